"""One statement string sent over a libpq connection, and everything that comes back.

A generator in psycopg's wait protocol: it yields what to wait for and never waits, so `conn.wait(...)` drives it on a
sync connection and `await conn.wait(...)` on an async one. It uses the low-level names of psycopg (`pq`, `waiting`,
`generators.send`), because a cursor tells neither when the server's first byte came nor lets go of a COPY.

The text goes out byte for byte by the simple query protocol, which takes any number of statements; only parameters need
the extended one.
"""

from __future__ import annotations

import codecs
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import psycopg
from psycopg import generators, waiting
from psycopg.pq import DiagnosticField, ExecStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult


class CopyRefused(Exception):  # noqa: N818 - a finding about the statement; the cells' floor words it for people
    """The statement was COPY FROM STDIN or TO STDOUT, whose other end nobody plays here."""


class CopyEnd(Protocol):
    """The other end of COPY. Each method may raise CopyRefused, or what reading and writing raises."""

    def data(self) -> Iterator[bytes]:
        """Give the data of COPY FROM STDIN, in pieces of any size."""
        ...

    def take(self, data: bytes, /) -> None:
        """Take one row, or the header, of COPY TO STDOUT."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """When an answer came (`time.monotonic()` seconds).

    Between `sent_at` and `first_byte_at` the server worked; until `complete_at` the rows travelled.
    """

    sent_at: float
    first_byte_at: float
    complete_at: float

    @property
    def execute_s(self) -> float:
        """Seconds until the server's first byte."""
        return self.first_byte_at - self.sent_at

    @property
    def fetch_s(self) -> float:
        """Seconds from there to its last."""
        return self.complete_at - self.first_byte_at


@dataclass(frozen=True, slots=True)
class Answer(Timed):
    """The results of one statement string, in order."""

    results: tuple[PGresult, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The values of `$1`, `$2`, … as the protocol takes them: bytes or None, type OIDs, formats (0 text, 1 binary)."""

    values: tuple[Any, ...]
    types: Sequence[int]
    formats: Sequence[int]


def query(
    pgconn: PGconn, statement: bytes, parameters: Parameters | None = None, copy_end: CopyEnd | None = None
) -> PQGen[Answer]:
    """Send *statement*, return every result. With *parameters* it is one statement, sent by the extended protocol.

    Raises the psycopg error of the server's SQLSTATE, psycopg.OperationalError where the connection is lost, and
    CopyRefused or whatever else *copy_end* raises, after which the connection is usable.
    """
    sent_at = time.monotonic()
    if parameters is None:
        pgconn.send_query(statement)
    else:
        pgconn.send_query_params(statement, parameters.values, parameters.types, parameters.formats)
    yield from generators.send(pgconn)
    first_byte_at: float | None = None
    results: list[PGresult] = []
    failure: Exception | None = None
    with _Notices(pgconn) as notices:
        while True:
            busy = pgconn.is_busy()
            while busy:
                # The driver comes back empty-handed ten times a second, so that Ctrl-C and cancellation find it awake.
                while not (yield waiting.WAIT_R):
                    continue
                read_at, heard = time.monotonic(), notices.count
                _consume(pgconn, results)
                busy = pgconn.is_busy()
                if notices.count == heard:  # a notice on the way is no answer yet
                    first_byte_at = first_byte_at or read_at
            if (result := pgconn.get_result()) is None:
                break
            if result.status in (ExecStatus.COPY_IN, ExecStatus.COPY_OUT):
                failure = (yield from _copy(pgconn, result.status, copy_end)) or failure
            else:
                results.append(result)
    complete_at = time.monotonic()
    if failure is not None:
        raise failure
    _raise_failure(pgconn, results)
    return Answer(tuple(results), sent_at=sent_at, first_byte_at=first_byte_at or complete_at, complete_at=complete_at)


class _Notices:
    """Counts the server's notices, and passes them on."""

    def __init__(self, pgconn: PGconn) -> None:
        self.count = 0
        self._pgconn = pgconn
        self._handler = pgconn.notice_handler

    def __enter__(self) -> Self:
        self._pgconn.notice_handler = self._take
        return self

    def __exit__(self, *_: object) -> None:
        self._pgconn.notice_handler = self._handler

    def _take(self, result: PGresult) -> None:
        self.count += 1
        if self._handler is not None:
            self._handler(result)


def _copy(pgconn: PGconn, status: int, end: CopyEnd | None) -> PQGen[Exception | None]:
    return (yield from (_copy_in if status == ExecStatus.COPY_IN else _copy_out)(pgconn, end))


def _copy_in(pgconn: PGconn, end: CopyEnd | None) -> PQGen[Exception | None]:
    """Send the data; return why they could not be had, after which the server has been told that none follow."""
    failure: Exception | None = None
    pieces = _refused() if end is None else end.data()
    while True:
        try:
            piece = next(pieces, None)
        except Exception as reason:  # noqa: BLE001 - the protocol goes on to its end, and then `query` raises it
            failure, piece = reason, None
        if piece is None:
            break
        pgconn.put_copy_data(piece)
        yield from generators.send(pgconn)
    pgconn.put_copy_end(None if failure is None else b"the data cannot be read")
    yield from generators.send(pgconn)
    return failure


def _refused() -> Iterator[bytes]:
    raise CopyRefused


def _copy_out(pgconn: PGconn, end: CopyEnd | None) -> PQGen[Exception | None]:
    """Hand over the data; return why they could not be taken, after which the rest of them is dropped."""
    failure = CopyRefused() if end is None else None
    while True:
        size, data = pgconn.get_copy_data(1)
        if size < 0:
            return failure
        if size == 0:
            while not (yield waiting.WAIT_R):
                continue
            pgconn.consume_input()
        elif end is not None and failure is None:
            try:
                end.take(bytes(data))
            except Exception as reason:  # noqa: BLE001 - as above
                failure = reason


def _consume(pgconn: PGconn, results: list[PGresult]) -> None:
    try:
        pgconn.consume_input()
    except psycopg.OperationalError:
        # A server that ends a connection says why before it does; that is a better error than "closed unexpectedly".
        _raise_failure(pgconn, results)
        raise


def _raise_failure(pgconn: PGconn, results: list[PGresult]) -> None:
    encoding = pgconn.parameter_status(b"client_encoding") or b"utf-8"
    for result in results:
        if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
            raise psycopg.errors.error_from_result(result, encoding=py_codec(encoding))


def with_field(error: psycopg.Error, field: DiagnosticField, value: str | None) -> psycopg.Error:
    """Return the same error with one field of the server's message changed; None takes it out."""
    fields = {each: getattr(error.diag, each.name.lower(), None) for each in DiagnosticField} | {field: value}
    info: Any = {each: text.encode() for each, text in fields.items() if text is not None}
    return type(error)(*error.args, info=info, encoding="utf-8")


def py_codec(client_encoding: bytes) -> str:
    """Return the Python codec for PostgreSQL's name of an encoding; UTF-8 where there is none (SQL_ASCII)."""
    try:
        return codecs.lookup(client_encoding.decode()).name
    except LookupError:
        return "utf-8"
