"""The fast way: one query → COPY BINARY → columns that grow while the server sends.

`suits` tells from a statement's words whether to try it; `fetch` asks the server what its columns are and fetches them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import DiagnosticField

from pgmonkey_magic.results.copy_out import drain
from pgmonkey_magic.results.describe import Description, copy_statement, describe, notices_of
from pgmonkey_magic.results.literals import with_literals
from pgmonkey_magic.results.output import DEFAULT, Output
from pgmonkey_magic.results.wire import Timed, query, with_field
from pgmonkey_magic.sql import Kind, remembered, split, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import PQGen

    from pgmonkey_magic.results.decoding import Decoder
    from pgmonkey_magic.results.frame import Connection, Frame
    from pgmonkey_magic.results.wire import Parameters

QUERIES = frozenset({"select", "with", "table"})
FEW = 200
"""Up to so many rows the ordinary way is about as fast as the question and the COPY."""
MOST_LIMIT = 2**63 - 1
"""The most that LIMIT takes, a bigint."""
CHUNK_BYTES = 64 << 20
"""A chunk holds about that much at most, of however few rows."""
WRITES = frozenset({"insert", "update", "delete", "merge"})


@remembered
def suits(sql: str) -> bool:
    """Tell whether *sql* is one query that may have enough rows for the fast way: it reads from something.

    A query without FROM, or with a small LIMIT, has few rows, and then the ordinary way needs no question. VALUES is as
    large as its text.
    """
    statement = only_statement(sql)
    words = _words(statement)
    if not words or words[0] not in QUERIES or not (words[0] == "table" or "from" in words):
        return False
    outermost = _outermost(statement)
    if "into" in outermost or not WRITES.isdisjoint(outermost):
        return False  # SELECT INTO makes a table; WITH … INSERT is an INSERT, and its tag says so
    limits = [after for word, after in pairwise(outermost) if word == "limit" and after.isdecimal()]
    return not limits or int(limits[-1]) > FEW


def only_statement(sql: str) -> str:
    """Return the one statement of *sql*, at its place, without semicolons; nothing where there are several."""
    statements = split(sql)
    return sql[: statements[0].start].replace(";", " ") + statements[0].text if len(statements) == 1 else ""


def _words(statement: str) -> list[str]:
    return [token.text.lower() for token in tokens(statement) if token.kind is Kind.WORD]


def _outermost(statement: str) -> list[str]:
    """Return the words and numbers outside of brackets."""
    depth, found = 0, []
    for token in tokens(statement):
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        if depth == 0 and token.kind in (Kind.WORD, Kind.NUMBER):
            found.append(token.text.lower())
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants of a result.

    At most `limit` rows; `advance` is told `(bytes, rows)` that have come. With `on_chunk` nothing is kept: it is given
    the result in Frames of `chunk_rows` rows (None: as they come), fewer where rows are large and at the end, at least
    one. What these raise ends the fetch.
    """

    output: Output = DEFAULT
    limit: int | None = None
    on_chunk: Callable[[Frame], None] | None = None
    chunk_rows: int | None = None
    advance: Callable[[int, int], None] | None = None


WANTED = Wanted()


@dataclass(frozen=True, slots=True)
class Fetched(Timed):
    """A result that has arrived; `sent_at` is when its columns were asked for."""

    names: tuple[str, ...]
    oids: tuple[int, ...]
    rows: int
    nbytes: int
    truncated: bool
    frame: Callable[[], Frame]
    """Makes the DataFrame; may be called once, after the connection has gone back."""

    @property
    def tag(self) -> str:
        """The command tag, as psql shows it."""
        return f"SELECT {self.rows}"


class _Sink:
    """Decodes the batches of one result, and does with them what is wanted."""

    def __init__(self, decoder: Decoder, wanted: Wanted) -> None:
        self._decoder = decoder
        self._wanted = wanted
        self.batch_bytes = decoder.batch_bytes
        self.rows = self._chunk_bytes = self._chunks = 0
        self.truncated = False

    def take(self, buffer: memoryview, sizes: Sequence[int]) -> None:
        limit = self._wanted.limit
        if limit is not None and self.rows + len(sizes) > limit:
            self.truncated = True
            sizes = sizes[: limit - self.rows]
        self.rows += len(sizes)
        if self._wanted.on_chunk is None:
            self._decoder.take(buffer, sizes)
            return
        while sizes:
            room = (self._wanted.chunk_rows or len(sizes)) - self._decoder.rows
            part, sizes = sizes[:room], sizes[room:]
            self._decoder.take(buffer, part)
            nbytes = sum(part)
            self._chunk_bytes += nbytes
            buffer = buffer[nbytes:]
            if len(part) == room or self._chunk_bytes >= CHUNK_BYTES:
                self._hand_over(self._wanted.on_chunk)

    def end(self) -> None:
        """Hand the last chunk over."""
        if self._wanted.on_chunk is not None and (self._decoder.rows or not self._chunks):
            self._hand_over(self._wanted.on_chunk)

    def _hand_over(self, on_chunk: Callable[[Frame], None]) -> None:
        self._chunks += 1
        self._chunk_bytes = 0
        on_chunk(self._decoder.frame())

    def frame(self) -> Frame:
        return self._decoder.frame()

    def advance(self, nbytes: int, rows: int) -> None:
        if self._wanted.advance is not None:
            self._wanted.advance(nbytes, rows)


def fetch(
    conn: Connection,
    sql: str,
    parameters: Parameters | None = None,
    wanted: Wanted = WANTED,
    opening: str = "",
) -> PQGen[Fetched | None]:
    """Run *opening* (BEGIN, SET …), then fetch the rows of one query, which `suits` has found fit, by COPY BINARY.

    None, after the opening, where this query has to go the ordinary way: it returns no columns, or it would have to be
    wrapped and changes data, or a parameter has no literal. A generator in psycopg's wait protocol.

    Raises the psycopg error of the server, its position one in *sql*; DecodeError, and what *wanted* raises. The
    connection is usable after each, unless it is lost.
    """
    sent_at = time.monotonic()
    source = yield from asked(conn, sql, parameters, opening, limited=wanted.limit is not None)
    if source is None:
        return None
    description = source.description
    # Here, not above: loading the extension must not wait for pandas and Arrow.
    from pgmonkey_magic.results.decoding import Decoder, Session  # noqa: PLC0415

    session = Session.of(conn, wanted.output)
    sink = _Sink(Decoder(description.names, description.oids, session, description.modifiers), wanted)
    one_more = None if wanted.limit is None else min(wanted.limit + 1, MOST_LIMIT)
    copy, before = copy_statement(source.text.encode(conn.info.encoding), description, one_more)
    try:
        with notices_of(conn.pgconn, description.notices):
            drained = yield from drain(conn.pgconn, copy, sink)
        sink.end()
    except psycopg.Error as error:
        raise _moved(error, before if source.is_as_written else None) from error
    return Fetched(
        names=description.names,
        oids=description.oids,
        rows=sink.rows,
        nbytes=drained.nbytes,
        truncated=sink.truncated,
        sent_at=sent_at,
        first_byte_at=drained.first_byte_at,
        complete_at=drained.complete_at,
        frame=sink.frame,
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A query that can be copied: its text, with literals in place of parameters, and its columns."""

    text: str
    is_as_written: bool
    description: Description


def asked(
    conn: Connection, sql: str, parameters: Parameters | None, opening: str, *, limited: bool = False
) -> PQGen[Source | None]:
    """Run *opening* and ask what one query returns; None where it has to go the ordinary way, as in `fetch`."""
    statement = only_statement(sql)
    # The question would have the server infer a type for a $1; the ordinary way says that there is no such parameter.
    # Strings in which a backslash escapes may hold what looks like the end of the statement.
    has_unbound = parameters is None and any(token.kind is Kind.POSITION for token in tokens(statement))
    if has_unbound or conn.pgconn.parameter_status(b"standard_conforming_strings") == b"off":
        if opening:
            yield from query(conn.pgconn, opening.encode())
        return None
    types = parameters.types if parameters is not None else ()
    # As it was written, with its semicolon, which an error may name.
    question = sql.encode(conn.info.encoding) if statement else b""
    description = yield from describe(conn.pgconn, question, opening, types)
    if description is None or not _can_be_copied(statement, description, limited=limited):
        return None
    if parameters is None:
        return Source(statement, True, description)
    text = with_literals(conn, statement, parameters, description.parameters)
    return None if text is None else Source(text, text == statement, description)


def _can_be_copied(statement: str, description: Description, *, limited: bool) -> bool:
    # WITH that changes data must stand at the top.
    is_wrapped = limited or not description.is_binary
    return not is_wrapped or WRITES.isdisjoint(_words(statement))


def _moved(error: psycopg.Error, before: int | None) -> psycopg.Error:
    """Return the error with its position in the person's statement, before which so much stood; None: it has none."""
    position = error.diag.statement_position
    if not position:
        return error
    moved = int(position) - before if before is not None else 0
    return with_field(error, DiagnosticField.STATEMENT_POSITION, str(moved) if moved > 0 else None)
