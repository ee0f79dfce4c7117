"""CSV, byte for byte as the server writes it: COPY … TO STDOUT (FORMAT CSV, HEADER).

What COPY does not take (SHOW, EXPLAIN, FETCH, EXECUTE) arrives as a whole, in the same texts, and is written by the
same rules.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.cells.export.query import Query, Taker, Written
from pgmonkey_magic.cells.ways import ask
from pgmonkey_magic.results import CopyRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedIOBase

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

    from pgmonkey_magic.cells.progress import Progress

PIECE = 128 << 10
"""Bytes that are written at once."""
LEVEL = 6
"""As gzip's own."""


@dataclass(frozen=True)
class Csv:
    """Values between commas or tabs, with a header."""

    delimiter: str = ","

    def write(self, query: Query, target: BufferedIOBase) -> PQGen[Written]:
        """Run the query and write its rows. Raises what `ask` raises, OSError where they cannot be written."""
        exchange = query.exchange
        copy = None
        if query.can_be_copied:
            terms = "" if self.delimiter == "," else f", DELIMITER '{self.delimiter}'"
            copy = query.inside("COPY (", f"\n) TO STDOUT (FORMAT CSV, HEADER{terms})")
        if copy is not None:
            rows = _Rows(exchange.progress, Taker(query, target.write))
            answer = yield from ask(exchange, copy, None, rows)
            rows.hand_over()
            return Written(answer.results[0].command_tuples or 0, answer.execute_s, answer.fetch_s)
        answer = yield from ask(exchange, query.command, query.parameters)
        result = answer.results[-1]
        names = [name.encode(exchange.conn.info.encoding) for name in query.description.names]
        target.write(self._line(names))
        target.write(b"".join(map(self._line, _values(result))))
        return Written(result.ntuples, answer.execute_s, answer.fetch_s)

    def _line(self, values: Sequence[bytes | None]) -> bytes:
        if values == [rb"\."]:
            return b'"\\."\n'  # alone on a line it would be the end of the data
        return self.delimiter.encode().join(map(self._cell, values)) + b"\n"

    def _cell(self, value: bytes | None) -> bytes:
        if value is None:
            return b""
        special = not value or any(mark in value for mark in (self.delimiter.encode(), b'"', b"\n", b"\r"))
        return b'"' + value.replace(b'"', b'""') + b'"' if special else value


@dataclass(frozen=True)
class Gzipped:
    """The same, packed by gzip."""

    csv: Csv

    def write(self, query: Query, target: BufferedIOBase) -> PQGen[Written]:
        """Write it."""
        with gzip.GzipFile("", "wb", LEVEL, target) as packed:
            return (yield from self.csv.write(query, packed))


class _Rows:
    """The other end of COPY: writes what comes, many rows at once."""

    def __init__(self, progress: Progress, write: Callable[[bytes], object]) -> None:
        self._progress = progress
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0
        self._headers = 1

    def data(self) -> Iterator[bytes]:
        raise CopyRefused

    def take(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self.hand_over()

    def hand_over(self) -> None:
        """Write what has come."""
        if self._pieces:
            self._progress.advance(self._size, len(self._pieces) - self._headers)
            self._write(b"".join(self._pieces))
            self._pieces.clear()
            self._size = self._headers = 0


def _values(result: PGresult) -> Iterator[list[bytes | None]]:
    for row in range(result.ntuples):
        yield [result.get_value(row, column) for column in range(result.nfields)]
