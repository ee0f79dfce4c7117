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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from psycopg.abc import Loader
    from psycopg.pq.abc import PGresult

INFINITIES = {b"infinity", b"-infinity"}
REFUSALS = (psycopg.Error, ValueError, ArithmeticError)
"""What psycopg's loaders raise for a value that has no Python counterpart."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A DataFrame and what must be said about it; `truncated` where it holds the first rows only."""

    data: pd.DataFrame
    notes: tuple[str, ...]
    truncated: bool = False

    def first(self, rows: int, why: str) -> Frame:
        """Return the first *rows* of a longer frame, with a note that says why there are no more."""
        return Frame(self.data.iloc[:rows], (*self.notes, f"more rows were left out: {why}"), truncated=True)


class Reader:
    """Reads one result. Make it while the connection is borrowed: loaders ask it for time zone and encoding."""

    def __init__(self, conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], result: PGresult) -> None:
        context = conn.cursor()
        # numeric as the float nearest to it; interval as text, because psycopg's loader turns a month into 30 days
        # and an infinite interval into 0.
        context.adapters.register_loader("numeric", FloatLoader)
        context.adapters.register_loader("interval", TextLoader)
        self._result = result
        self._encoding = conn.info.encoding
        self._transformer = Transformer(context)
        self._transformer.set_pgresult(result)
        self._loaders: list[Loader] = [
            self._transformer.get_loader(result.ftype(i), Format(result.fformat(i))) for i in range(result.nfields)
        ]

    def frame(self) -> Frame:
        """Convert; may be called after the connection has gone back."""
        # Here, not above: loading the extension must not wait for pandas.
        import pandas as pd  # noqa: PLC0415

        from pgmonkey_magic.results import columns  # noqa: PLC0415

        names, notes = unique_names(
            [(self._result.fname(i) or b"").decode(self._encoding) for i in range(self._nfields)]
        )
        series = {}
        for i, (name, values) in enumerate(zip(names, self._columns(notes, names), strict=True)):
            series[name] = columns.build(self._result.ftype(i), values, name, notes)
        data = pd.DataFrame(series, index=pd.RangeIndex(self._result.ntuples), copy=False)
        return Frame(data, tuple(notes))

    @property
    def _nfields(self) -> int:
        return self._result.nfields

    def _columns(self, notes: list[str], names: Sequence[str]) -> list[Sequence[Any]]:
        with contextlib.suppress(*REFUSALS):
            rows = self._transformer.load_rows(0, self._result.ntuples, tuple)
            return list(zip(*rows, strict=True)) if rows else [()] * self._nfields
        return [self._column(i, name, notes) for i, name in enumerate(names)]

    def _column(self, i: int, name: str, notes: list[str]) -> list[Any]:
        values: list[Any] = []
        infinite = refused = 0
        for row in range(self._result.ntuples):
            raw = self._result.get_value(row, i)
            try:
                values.append(None if raw is None else self._loaders[i].load(raw))
            except REFUSALS:
                assert raw is not None  # noqa: S101 - only a value can be refused
                if raw in INFINITIES:
                    infinite += 1
                    values.append(None)
                else:
                    refused += 1
                    values.append(bytes(raw).decode(self._encoding, "backslashreplace"))
        if infinite:
            notes.append(f"column {name}: {infinite} infinite shown as NaT")
        if refused:
            notes.append(f"column {name}: {refused} without a Python counterpart kept as the server's text")
        return values


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
