"""A result of libpq → a DataFrame: names, types, and notes on values that pandas cannot hold.

psycopg's loaders make the values; `columns.py` makes each column of them. A value that a loader refuses (a date beyond
the year 9999, say) never fails the fetch: that column is then loaded value by value, and the refused ones keep the
server's text.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import TextBinaryLoader, TextLoader

from pgmonkey_magic.results.output import DEFAULT, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import abc
    from psycopg.abc import Buffer, Loader
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

    def piece(self, start: int, rows: int) -> Frame:
        """Return so many rows from *start* on, as a frame of their own."""
        data = self.data[start : start + rows]
        return Frame(data.reset_index(drop=True) if hasattr(data, "reset_index") else data, self.notes)

    def noted(self, *notes: str) -> Frame:
        """Return the same with further notes before its own."""
        return replace(self, notes=(*notes, *self.notes))

    def first(self, rows: int, why: str) -> Frame:
        """Return the first *rows* of a longer frame, with a note that says why there are no more."""
        return Frame(self.data[:rows], (*self.notes, f"more rows were left out: {why}"), truncated=True)


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a result: their names, all different, and the OIDs of their types."""

    names: tuple[str, ...]
    oids: tuple[int, ...]
    notes: tuple[str, ...]
    """What must be said about the names."""

    @classmethod
    def of(cls, names: Sequence[str], oids: Sequence[int]) -> Self:
        """Give repeated names numbers."""
        unique, notes = unique_names(names)
        return cls(tuple(unique), tuple(oids), tuple(notes))


class Reader:
    """Reads one result. Make it while the connection is borrowed: loaders ask it for time zone and encoding."""

    def __init__(self, conn: Connection, result: PGresult, output: Output = DEFAULT) -> None:
        self._result = result
        self._output = output
        self._encoding = conn.info.encoding
        self._zone = conn.info.timezone
        self._transformer = loading(conn, output)
        self._transformer.set_pgresult(result)
        self._loaders: list[Loader] = [
            self._transformer.get_loader(result.ftype(i), Format(result.fformat(i))) for i in range(result.nfields)
        ]

    def frame(self) -> Frame:
        """Convert; may be called after the connection has gone back."""
        # Here, not above: loading the extension must not wait for pandas.
        from pgmonkey_magic.results import columns  # noqa: PLC0415

        header = Header.of(
            [(self._result.fname(i) or b"").decode(self._encoding) for i in range(self._nfields)],
            [self._result.ftype(i) for i in range(self._nfields)],
        )
        notes = list(header.notes)
        found: list[Column] = []
        loaded = self._columns(notes, header.names)
        for i, (name, oid, values) in enumerate(zip(header.names, header.oids, loaded, strict=True)):
            if oid == columns.NUMERIC and self._output.decimals == "exact":
                declared = columns.declared_decimal(self._result.fmod(i))
                found.append(columns.decimals(values, name, notes, declared))
            else:
                found.append(columns.from_values(oid, values, name, notes, self._zone))
        return assemble(header, found, notes, self._result.ntuples, self._output)

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


def loading(conn: Connection, output: Output) -> abc.Transformer:
    """Return psycopg's way from the server's values to Python's, with the loaders that lose nothing."""
    context = conn.cursor()
    # interval as text, because psycopg's loader turns a month into 30 days and an infinite interval into 0; numeric as
    # the float nearest to it, unless it is wanted exactly.
    context.adapters.register_loader("interval", TextLoader)
    if output.decimals == "float":
        context.adapters.register_loader("numeric", FloatLoader)
    if output.kind in {"arrow", "polars"}:
        # Arrow would make one struct of all JSON objects, with every key in each.
        context.adapters.register_loader("json", TextLoader)
        context.adapters.register_loader("json", TextBinaryLoader)
        context.adapters.register_loader("jsonb", TextLoader)
        context.adapters.register_loader("jsonb", _JsonbText)
    return Transformer(context)


class _JsonbText(TextBinaryLoader):
    """The text behind the version number, 1, that jsonb has in binary."""

    def load(self, data: Buffer) -> bytes | str:
        return super().load(memoryview(data)[1:])


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


def assemble(header: Header, columns: Sequence[Column], notes: list[str], rows: int, output: Output) -> Frame:
    """Return the columns as what is wanted. Raises RequestError where they cannot be that."""
    from pgmonkey_magic.results import containers  # noqa: PLC0415 - as in Reader.frame

    data = containers.contain(header, columns, notes, rows, output)
    return Frame(data, tuple(notes))


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
