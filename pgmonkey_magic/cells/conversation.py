"""What a cell says to the server and hears from it: BEGIN, the person's SQL, COMMIT or ROLLBACK.

A generator like `results.wire.query`, so that it runs the same over sync and async pools. A cell is one transaction:
it commits if every statement succeeded and rolls back if one failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from pgmonkey_magic.pools import Trace, trace_of
from pgmonkey_magic.results import Answer, Reader, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen
    from psycopg.errors import Diagnostic

    from pgmonkey_magic.cells.request import Request

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

MAX_NOTICES = 100
"""Kept per cell; a RAISE NOTICE in a loop must not fill the notebook."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement's outcome: its tag and either the reader of its rows or a row count."""

    tag: str
    rowcount: int | None
    reader: Reader | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole conversation. Durations in seconds."""

    statements: tuple[Statement, ...]
    execute_s: float
    fetch_s: float


def converse(conn: Connection, request: Request, on_notice: Callable[[Diagnostic], None]) -> PQGen[Transcript]:
    """Run the cell's SQL on a borrowed connection.

    Raises the psycopg error of the statement that failed, after the rollback; InFailedSqlTransaction where the SQL
    itself left the transaction aborted without an error of its own; CommitLost.
    """
    conn.add_notice_handler(on_notice)
    pgconn = conn.pgconn
    try:
        execute_s = 0.0
        if not request.autocommit:
            execute_s += _elapsed((yield from query(pgconn, b"BEGIN")))
        answer = yield from query(pgconn, request.sql.encode(conn.info.encoding))
        # Readers before COMMIT: a SET LOCAL of the time zone is still in force here.
        statements = tuple(_statement(conn, result) for result in answer.results)
        if pgconn.transaction_status != TransactionStatus.IDLE:
            execute_s += yield from _commit(pgconn, writes=trace_of(request.sql) is not Trace.NONE)
        execute_s += answer.first_byte_at - answer.sent_at
        return Transcript(statements, execute_s, answer.complete_at - answer.first_byte_at)
    except BaseException:
        if pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            yield from query(pgconn, b"ROLLBACK")
        raise
    finally:
        conn.remove_notice_handler(on_notice)


class CommitLost(Exception):  # noqa: N818 - what happened; the job words it for people
    """The connection was lost after COMMIT was sent and before its answer came.

    `xid` is the transaction's number, by which the server can be asked; None where it had written nothing.
    """

    def __init__(self, xid: str | None) -> None:
        super().__init__(xid)
        self.xid = xid


def _commit(pgconn: Any, *, writes: bool) -> PQGen[float]:
    """Commit and return the seconds that it took."""
    spent_s, xid = 0.0, None
    if writes and pgconn.transaction_status == TransactionStatus.INTRANS:
        # Asked for before COMMIT, because nothing can be asked on a line that was cut.
        answer = yield from query(pgconn, b"SELECT pg_catalog.pg_current_xact_id_if_assigned()")
        spent_s, xid = _elapsed(answer), answer.results[0].get_value(0, 0)
    try:
        answer = yield from query(pgconn, b"COMMIT")
    except psycopg.OperationalError as error:
        if pgconn.status == ConnStatus.BAD:
            raise CommitLost(xid.decode() if xid else None) from error
        raise
    if answer.results[-1].command_status == b"ROLLBACK":
        raise psycopg.errors.InFailedSqlTransaction(
            "the cell left its transaction aborted: the server rolled it back, nothing was committed"
        )
    return spent_s + _elapsed(answer)


def _elapsed(answer: Answer) -> float:
    return answer.complete_at - answer.sent_at


def _statement(conn: Connection, result: Any) -> Statement:
    tag = (result.command_status or b"").decode()
    if result.status == ExecStatus.TUPLES_OK:
        return Statement(tag, result.ntuples, Reader(conn, result))
    return Statement(tag, result.command_tuples, None)
