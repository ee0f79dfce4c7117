"""The ways to run a command of a cell: as it is, its first rows only, its plan instead of its rows.

A request names its way; COPY's are in copying.py. Each is a generator in psycopg's wait protocol, as `converse` is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import DEFAULT, Answer, CopyEnd, Fetched, Frame, Output, Reader, Wanted, fetch, query, suits
from pgmonkey_magic.sql import only_reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.progress import Progress
    from pgmonkey_magic.pools import Crew
    from pgmonkey_magic.results import Parameters

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

CURSOR = "pgmonkey_rows"
MOST_FETCH = 2**31 - 1
"""The most that FETCH takes, an integer; libpq can count no more rows either."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement's outcome: its tag, how many rows it returned or touched, and what makes a value of its rows.

    `rowcount` is None where the command has none; `content` where it returned no rows. `lines` stand below its rows.
    """

    tag: str
    rowcount: int | None
    content: Callable[[], Frame] | None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What came back for one command. Durations in seconds."""

    statements: tuple[Statement, ...]
    execute_s: float
    fetch_s: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """The two ends of a conversation, and where its progress is told."""

    conn: Connection
    progress: Progress
    crew: Crew
    """Whoever else may help, where the way `blocks`."""


class StatementFailed(Exception):  # noqa: N818 - what happened; worded for people where it is caught
    """A command of the cell failed."""

    def __init__(self, command: Command, error: psycopg.Error) -> None:
        super().__init__(command.text)
        self.command = command
        self.error = error


class Way(ABC):
    """How the commands of a cell are run."""

    option: ClassVar[str] = ""
    """What chooses it, as it is typed."""
    one_by_one: ClassVar[bool] = True
    """Whether each statement has to be a command of its own."""
    output: Output = DEFAULT
    """What rows come as."""
    blocks: ClassVar[bool] = False
    """Whether it may wait for something else than the server, which only the job's own thread may do."""

    @property
    def rolls_back(self) -> bool:
        """Whether the cell's transaction is rolled back at its end."""
        return False

    @abstractmethod
    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Run one command. Raises StatementFailed; RequestError for what the way cannot do."""


@dataclass(frozen=True)
class AsItIs(Way):
    """Everything that comes back is kept: a query's rows come by COPY, anything else goes out as it was written."""

    output: Output = DEFAULT
    one_by_one: ClassVar[bool] = False

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Run it."""
        if suits(command.text):
            wanted = Wanted(self.output, advance=exchange.progress.advance)
            fetched = yield from fetched_by_copy(exchange, command, parameters, wanted)
            if fetched is not None:
                return Part((Statement(fetched.tag, fetched.rows, fetched.frame),), fetched.execute_s, fetched.fetch_s)
            command = command.opened()
        answer = yield from ask(exchange, command, parameters)
        # Readers before COMMIT: a SET LOCAL of the time zone is still in force here.
        return part(answer, tuple(statement(exchange.conn, result, self.output) for result in answer.results))


@dataclass(frozen=True)
class FirstRows(Way):
    """At most `limit` rows of each query, which the server then computes no further. Raises RequestError for others."""

    limit: int
    output: Output = DEFAULT
    option: ClassVar[str] = "--max-rows"

    def __post_init__(self) -> None:
        check_whole(self.option, self.limit)
        if self.output.kind == "scalar":
            raise RequestError(f"--as scalar is for one value; leave out {self.option}")

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Fetch by COPY with a LIMIT; what it cannot fetch from a cursor; what has no cursor as it is, to be cut."""
        if not only_reads(command.text):
            whole = yield from AsItIs(self.output).run(exchange, command, parameters)
            return Part(tuple(map(self._cut, whole.statements)), whole.execute_s, whole.fetch_s)
        if suits(command.text):
            wanted = Wanted(self.output, self.limit, advance=exchange.progress.advance)
            fetched = yield from fetched_by_copy(exchange, command, parameters, wanted)
            if fetched is not None:
                content = self._first(fetched.frame) if fetched.truncated else fetched.frame
                return Part((Statement(fetched.tag, fetched.rows, content),), fetched.execute_s, fetched.fetch_s)
            command = command.opened()
        return (yield from self._from_cursor(exchange, command, parameters))

    def _from_cursor(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Fetch from a cursor, which needs a transaction; one that is begun for it is committed."""
        pgconn = exchange.conn.pgconn
        command, opened_s = yield from opened(exchange, command)
        begins = pgconn.transaction_status == TransactionStatus.IDLE
        if begins:
            yield from query(pgconn, b"BEGIN")
        try:
            declare = command.after(f"DECLARE {CURSOR} NO SCROLL CURSOR FOR ")
            declared = yield from ask(exchange, declare, parameters)
            fetching = f"FETCH {min(self.limit + 1, MOST_FETCH)} FROM {CURSOR}"
            answer = yield from ask(exchange, command.replaced(fetching), None)
            rows = answer.results[0]
            tag = f"SELECT {min(rows.ntuples, self.limit)}"
            found = self._cut(Statement(tag, rows.ntuples, Reader(exchange.conn, rows, self.output).frame))
            yield from query(pgconn, f"CLOSE {CURSOR}".encode())
            if begins:
                yield from query(pgconn, b"COMMIT")
        except BaseException:
            if begins and pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                yield from query(pgconn, b"ROLLBACK")
            raise
        waited_s = opened_s + declared.complete_at - declared.sent_at
        return Part((found,), waited_s + answer.execute_s, answer.fetch_s)

    def _cut(self, whole: Statement) -> Statement:
        read, rows = whole.content, whole.rowcount
        if read is None or rows is None or rows <= self.limit:
            return whole
        return Statement(whole.tag, self.limit, self._first(read))

    def _first(self, read: Callable[[], Frame]) -> Callable[[], Frame]:
        return lambda: read().first(self.limit, f"--max-rows {self.limit:,}")


def check_whole(option: str, value: Any) -> None:
    """Raise RequestError unless *value* is a whole number, 0 or more."""
    if not isinstance(value, Integral) or int(value) < 0:
        raise RequestError(f"{option} takes a whole number, not {value!r}")


def ask(
    exchange: Exchange, command: Command, parameters: Parameters | None, copy_end: CopyEnd | None = None
) -> PQGen[Answer]:
    """Send a command, after its opening, and return the answer.

    Raises StatementFailed, which knows the command; RequestError for a character that cannot be sent.
    """
    conn = exchange.conn
    text = _encoded(command, conn)
    command, opened_s = yield from opened(exchange, command)
    try:
        answer = yield from query(conn.pgconn, text, parameters, copy_end)
    except psycopg.Error as error:
        raise StatementFailed(command, error) from error
    return replace(answer, sent_at=answer.sent_at - opened_s)


def opened(exchange: Exchange, command: Command) -> PQGen[tuple[Command, float]]:
    """Send a command's opening; return the command without it, and the seconds that it took."""
    if not command.opening:
        return command, 0.0
    answer = yield from query(exchange.conn.pgconn, command.opening.encode())
    return command.opened(), answer.complete_at - answer.sent_at


def fetched_by_copy(
    exchange: Exchange, command: Command, parameters: Parameters | None, wanted: Wanted
) -> PQGen[Fetched | None]:
    """Send a query's opening and fetch its rows; None, after the opening, where the query cannot be copied.

    Raises as `ask` does.
    """
    _encoded(command, exchange.conn)
    try:
        return (yield from fetch(exchange.conn, command.text, parameters, wanted, command.opening))
    except psycopg.Error as error:
        raise StatementFailed(command, error) from error


def _encoded(command: Command, conn: Connection) -> bytes:
    try:
        return command.text.encode(conn.info.encoding)
    except UnicodeEncodeError as error:
        raise RequestError(
            f"the character {command.text[error.start]!a} cannot be sent in the connection's encoding, "
            f"{conn.info.encoding}; remove it, or SET client_encoding = 'UTF8'"
        ) from error


def part(answer: Answer, statements: tuple[Statement, ...]) -> Part:
    """Return the statements with the time that their command took."""
    return Part(statements, answer.execute_s, answer.fetch_s)


def statement(conn: Connection, result: Any, output: Output = DEFAULT) -> Statement:
    """Return what libpq's result of one statement tells."""
    tag = (result.command_status or b"").decode()
    if result.status == ExecStatus.TUPLES_OK:
        return Statement(tag, result.ntuples, Reader(conn, result, output).frame)
    return Statement(tag, result.command_tuples, None)
