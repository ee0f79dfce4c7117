"""COPY … TO STDOUT drained at libpq's own speed.

This is the one file that reads COPY data by names outside of psycopg's documentation: `pgconn.get_copy_data`, in a loop
that stays in Python only to write each row into a buffer. `OWN_LOOP = False` reads through psycopg's own generator
instead, the one under `cursor.copy()`; a test shows that both give the same.

A row's memoryview is copied at once. Kept, a million of them would be work for the garbage collector.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from io import SEEK_CUR, BytesIO
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import errors, generators, waiting
from psycopg.pq import ExecStatus

from pgmonkey_magic.results.copy_format import PADDING, TRAILER, DecodeError, header_size
from pgmonkey_magic.results.wire import py_codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

OWN_LOOP = True


class Sink(Protocol):
    """Takes rows in batches."""

    batch_bytes: int

    def take(self, buffer: memoryview, sizes: Sequence[int]) -> None:
        """Take whole rows of these sizes; behind them *buffer* holds PADDING. What it raises ends the COPY."""
        ...

    def advance(self, nbytes: int, rows: int) -> None:
        """Hear that so much more has come. What it raises ends the COPY."""
        ...


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of a COPY (`time.monotonic()` seconds, as in wire.Answer)."""

    rows: int
    nbytes: int
    sent_at: float
    first_byte_at: float
    complete_at: float


def drain(pgconn: PGconn, statement: bytes, sink: Sink) -> PQGen[Drained]:
    """Run COPY (…) TO STDOUT (FORMAT BINARY) and hand its rows to *sink*.

    Raises the psycopg error of the server; DecodeError for rows that are none, and whatever *sink* raises, after the
    rest has been read and dropped. The connection is usable after each, unless it is lost.
    """
    sent_at = time.monotonic()
    pgconn.send_query(statement)
    rows = _Rows(sink)
    results: list[PGresult] = []
    try:
        yield from generators.send(pgconn)
        while (result := (yield from generators.fetch(pgconn))) is not None:
            if result.status == ExecStatus.COPY_OUT:
                yield from (_read if OWN_LOOP else _read_by_psycopg)(pgconn, rows, results)
            else:
                results.append(result)
    except psycopg.OperationalError as lost:
        # A server that ends a connection says why before it does; that is a better error than its end.
        while (result := pgconn.get_result()) is not None and result.status != ExecStatus.COPY_OUT:
            results.append(result)
        failure = _failure_of(pgconn, results)
        raise (failure if failure is not None and failure.sqlstate else lost) from lost
    complete_at = time.monotonic()
    if (failure := _failure_of(pgconn, results)) is not None:
        raise failure
    rows.end()
    return Drained(rows.count, rows.nbytes, sent_at, rows.first_byte_at or complete_at, complete_at)


class _Rows:
    """The rows of the batch that is being read, and whether all is well with those before."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.buffer, self.sizes = BytesIO(), array("q")
        self.count = self.nbytes = 0
        self._told = 0, 0
        self._failure: Exception | None = None
        self.first_byte_at: float | None = None

    def begin(self, data: memoryview) -> None:
        """Take the first message: the header, and the first row behind it."""
        self.first_byte_at = time.monotonic()
        try:
            row = data[header_size(data) :]
        except DecodeError as failure:
            self._failure = failure
            return
        if row:
            self.add(row)

    def add(self, row: memoryview) -> None:
        """Take one row."""
        self.sizes.append(self.buffer.write(row))

    def is_full(self) -> bool:
        """Hand a full batch over, and say so."""
        if self.buffer.tell() < self._sink.batch_bytes:
            return False
        self._hand_over()
        self.tell()
        return True

    def end(self) -> None:
        """Hand the last batch over. Raises what went wrong."""
        self.buffer.seek(-len(TRAILER) if self.sizes else 0, SEEK_CUR)
        if self.sizes and self.sizes[-1] == len(TRAILER) and self.buffer.read(len(TRAILER)) == TRAILER:
            self.sizes.pop()
        elif self._failure is None:
            self._failure = DecodeError("the server's answer breaks off before the end of its rows")
        self._hand_over()
        self.tell()
        if self._failure is not None:
            raise self._failure

    def _hand_over(self) -> None:
        size = self.buffer.tell()
        self.count += len(self.sizes)
        self.nbytes += size
        if self._failure is None and self.sizes:
            self.buffer.write(PADDING)
            rows = self.buffer.getbuffer()[: size + len(PADDING)]
            try:
                self._sink.take(rows, self.sizes)
                rows.release()
            except Exception as failure:  # noqa: BLE001 - the protocol goes on to its end, and `end` raises it
                self._failure = failure
                self.buffer = BytesIO()  # the failure's traceback still holds the other
        self.buffer.seek(0)
        del self.sizes[:]

    def tell(self) -> None:
        """Tell the sink how far it is."""
        rows = self.count + len(self.sizes)
        if self.sizes and self.sizes[-1] == len(TRAILER):
            rows -= 1  # no row is as short as that
        nbytes = self.nbytes + self.buffer.tell()
        if nbytes > self._told[0] and self._failure is None:
            told, self._told = self._told, (nbytes, rows)
            try:
                self._sink.advance(nbytes - told[0], rows - told[1])
            except Exception as failure:  # noqa: BLE001 - as above
                self._failure = failure


def _read(pgconn: PGconn, rows: _Rows, results: list[PGresult]) -> PQGen[None]:  # noqa: ARG001 - the caller gets them
    """Read all rows."""
    get = pgconn.get_copy_data
    size, data = get(1)
    while size == 0:
        yield waiting.WAIT_R
        pgconn.consume_input()
        size, data = get(1)
    if size > 0:
        rows.begin(data)
    while size >= 0:
        write, append, before = rows.buffer.write, rows.sizes.append, len(rows.sizes)
        for size, data in map(get, repeat(1)):
            if size <= 0:
                break
            write(data)
            append(size)
        # Where rows have come, more may have: to wait for them costs much on an event loop, to look costs little. A
        # full batch is the moment at which others have their turn.
        if size == 0:
            if rows.is_full():
                yield waiting.WAIT_R
            elif len(rows.sizes) == before:
                rows.tell()
                yield waiting.WAIT_R
            pgconn.consume_input()


def _read_by_psycopg(pgconn: PGconn, rows: _Rows, results: list[PGresult]) -> PQGen[None]:
    """Read all rows with psycopg's own generator."""
    first = True
    while isinstance(data := (yield from generators.copy_from(pgconn)), memoryview):
        if first:
            rows.begin(data)
        else:
            rows.add(data)
            rows.is_full()
        first = False
    results.append(data)


def _failure_of(pgconn: PGconn, results: Sequence[PGresult]) -> psycopg.Error | None:
    for result in results:
        if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
            encoding = py_codec(pgconn.parameter_status(b"client_encoding") or b"utf-8")
            return errors.error_from_result(result, encoding=encoding)
    return None
