"""A result of libpq → a DataFrame: names, types, and notes on values that pandas cannot hold.

psycopg's loaders make the values; `columns.py` makes each column of them. A value that a loader refuses (a date beyond
the year 9999, say) never fails the fetch: that column is then loaded value by value, and the refused ones keep the
server's text.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import TextLoader

from pgmonkey_magic.results.dtypes import DEFAULT, Dtypes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import abc
    from psycopg.abc import Loader
    from psycopg.pq.abc import PGresult

    from pgmonkey_magic.results.columns import Column

    Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

INFINITIES = {b"infinity", b"-infinity"}
REFUSALS = (psycopg.Error, ValueError, ArithmeticError, RuntimeError)
"""What psycopg's loaders raise for a value without a Python counterpart; a RuntimeError for a DateStyle that they do
not know and for JSON nested too deep."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A DataFrame, or the plan in its place, and what must be said about it.

    `truncated` where it holds the first rows only.
    """

    data: Any
    notes: tuple[str, ...]
    truncated: bool = False

    def first(self, rows: int, why: str) -> Frame:
        """Return the first *rows* of a longer frame, with a note that says why there are no more."""
        return Frame(self.data.iloc[:rows], (*self.notes, f"more rows were left out: {why}"), truncated=True)


class Reader:
    """Reads one result. Make it while the connection is borrowed: loaders ask it for time zone and encoding."""

    def __init__(self, conn: Connection, result: PGresult, dtypes: Dtypes = DEFAULT) -> None:
        self._result = result
        self._dtypes = dtypes
        self._encoding = conn.info.encoding
        self._zone = conn.info.timezone
        self._transformer = loading(conn, dtypes)
        self._transformer.set_pgresult(result)
        self._loaders: list[Loader] = [
            self._transformer.get_loader(result.ftype(i), Format(result.fformat(i))) for i in range(result.nfields)
        ]

    def frame(self) -> Frame:
        """Convert; may be called after the connection has gone back."""
        # Here, not above: loading the extension must not wait for pandas.
        from pgmonkey_magic.results import columns  # noqa: PLC0415

        names, notes = unique_names(
            [(self._result.fname(i) or b"").decode(self._encoding) for i in range(self._nfields)]
        )
        found: list[Column] = []
        for i, (name, values) in enumerate(zip(names, self._columns(notes, names), strict=True)):
            oid = self._result.ftype(i)
            if oid == columns.NUMERIC and self._dtypes.decimals == "exact":
                found.append(columns.decimals(values, name, notes))
            else:
                found.append(columns.from_values(oid, values, name, notes, self._zone))
        return assemble(names, found, notes, self._result.ntuples, self._dtypes)

    @property
    def _nfields(self) -> int:
        return self._result.nfields

    def _columns(self, notes: list[str], names: Sequence[str]) -> list[Sequence[Any]]:
        with contextlib.suppress(*REFUSALS):
            rows = self._transformer.load_rows(0, self._result.ntuples, tuple)
            return list(zip(*rows, strict=True)) if rows else [()] * self._nfields
        return [self._column(i, name, notes) for i, name in enumerate(names)]

    def _column(self, i: int, name: str, notes: list[str]) -> list[Any]:
        raws = [self._result.get_value(row, i) for row in range(self._result.ntuples)]
        return load_one_by_one(
            raws, self._loaders[i].load, lambda raw: bytes(raw).decode(self._encoding, "backslashreplace"), name, notes
        )


def loading(conn: Connection, dtypes: Dtypes) -> abc.Transformer:
    """Return psycopg's way from the server's values to Python's, with the loaders that lose nothing."""
    context = conn.cursor()
    # interval as text, because psycopg's loader turns a month into 30 days and an infinite interval into 0; numeric as
    # the float nearest to it, unless it is wanted exactly.
    context.adapters.register_loader("interval", TextLoader)
    if dtypes.decimals == "float":
        context.adapters.register_loader("numeric", FloatLoader)
    return Transformer(context)


def load_one_by_one(
    raws: Sequence[Any], load: Callable[[Any], Any], text: Callable[[Any], str], name: str, notes: list[str]
) -> list[Any]:
    """Return the values of *raws* (None for NULL); what *load* refuses becomes *text* of it, or None if infinite."""
    values: list[Any] = []
    infinite = refused = 0
    for raw in raws:
        try:
            values.append(None if raw is None else load(raw))
        except REFUSALS:
            if raw in INFINITIES:
                infinite += 1
                values.append(None)
            else:
                refused += 1
                values.append(text(raw))
    notes += odd_values(name, infinite, refused)
    return values


def odd_values(name: str, infinite: int, refused: int) -> list[str]:
    """Return the notes on a column with so many values that have no counterpart."""
    notes: list[str] = []
    if infinite:
        notes.append(f"column {name}: {infinite} infinite shown as NaT")
    if refused:
        notes.append(f"column {name}: {refused} without a Python counterpart kept as the server's text")
    return notes


def assemble(names: Sequence[str], columns: Sequence[Column], notes: Sequence[str], rows: int, dtypes: Dtypes) -> Frame:
    """Return the DataFrame of the columns; *names* are all different."""
    import pandas as pd  # noqa: PLC0415 - as in Reader.frame

    arrays = {name: column.array(dtypes) for name, column in zip(names, columns, strict=True)}
    return Frame(pd.DataFrame(arrays, index=pd.RangeIndex(rows), copy=False), tuple(notes))


def unique_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names with repeated ones as `a_1`, `a_2`, and the notes that say so."""
    taken = set(names)
    seen: set[str] = set()
    unique, notes = [], []
    for name in names:
        new, n = name, 0
        while new in seen or (n and new in taken):
            n += 1
            new = f"{name}_{n}"
        if n:
            notes.append(f"second column {name} renamed to {new}")
        seen.add(new)
        unique.append(new)
    return unique, notes
