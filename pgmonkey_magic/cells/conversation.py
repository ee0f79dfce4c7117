"""What a cell says to the server and hears from it: BEGIN, the person's SQL, COMMIT or ROLLBACK.

A generator like `results.wire.query`, so that it runs the same over sync and async pools. A cell is one transaction:
it commits if every statement succeeded and rolls back if one failed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from pgmonkey_magic.cells.binding import bound, commands
from pgmonkey_magic.cells.ways import StatementFailed
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import CommitLost, Trace, commit, trace_of, whose
from pgmonkey_magic.results import Answer, query
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen
    from psycopg.errors import Diagnostic

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.request import Request
    from pgmonkey_magic.cells.ways import Connection, Exchange, Part, Statement

MAX_NOTICES = 100
"""Kept per cell; a RAISE NOTICE in a loop must not fill the notebook."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The whole conversation. Durations in seconds."""

    statements: tuple[Statement, ...]
    execute_s: float
    fetch_s: float


def converse(exchange: Exchange, request: Request, on_notice: Callable[[Diagnostic], None]) -> PQGen[Transcript]:
    """Run the cell's SQL on a borrowed connection, each command in the request's way.

    Where a transaction is open already, or the SQL holds commands that begin or end one, the person is in charge:
    nothing is begun, committed or rolled back but by the SQL. Otherwise the cell is one transaction.

    Raises StatementFailed after the rollback; InFailedSqlTransaction where the SQL itself left the transaction aborted
    without an error of its own; RequestError for a value that cannot be sent; CommitLost.
    """
    conn = exchange.conn
    pgconn = conn.pgconn
    is_open = pgconn.transaction_status != TransactionStatus.IDLE
    if is_open and (request.own_terms or request.autocommit):
        raise RequestError(
            f"{request.own_terms or '--autocommit'} cannot be used inside of an open transaction; end it first with "
            "%pgmonkey COMMIT or %pgmonkey ROLLBACK"
        )
    in_charge = is_open or request.in_charge
    conn.add_notice_handler(on_notice)
    try:
        pieces = commands(request.sql, request.values, conn, one_by_one=in_charge or request.way.one_by_one)
        sent = [(command, bound(command, conn)) for command in pieces]
        execute_s = fetch_s = 0.0
        statements: list[Statement] = []
        opening = "" if is_open else request.opening
        for command, parameters in sent:
            running = request.way.run(exchange, replace(command, opening=opening), parameters)
            opening = ""
            part = yield from (_told(conn, running) if in_charge and _commits(command) else running)
            execute_s += part.execute_s
            fetch_s += part.fetch_s
            statements += part.statements
        if not in_charge and pgconn.transaction_status != TransactionStatus.IDLE:
            if request.rolls_back:
                execute_s += _elapsed((yield from query(pgconn, b"ROLLBACK")))
            else:
                execute_s += yield from _commit(conn, writes=trace_of(request.sql) is not Trace.NONE)
        return Transcript(tuple(statements), execute_s, fetch_s)
    except BaseException:
        if not in_charge and pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            yield from query(pgconn, b"ROLLBACK")
        raise
    finally:
        conn.remove_notice_handler(on_notice)


def _commits(command: Command) -> bool:
    return any(statement.words[:1] in (("commit",), ("end",)) for statement in split(command.text))


def _told(conn: Connection, committing: PQGen[Part]) -> PQGen[Part]:
    """Run a COMMIT that the person typed, and be able to say what became of it where its answer never comes."""
    xid, life = (yield from whose(conn)) if conn.pgconn.transaction_status == TransactionStatus.INTRANS else (None, "")
    try:
        return (yield from committing)
    except StatementFailed as failed:
        if conn.pgconn.status == ConnStatus.BAD:
            raise CommitLost(xid, life) from failed.error
        raise


def _commit(conn: Connection, *, writes: bool) -> PQGen[float]:
    """Commit and return the seconds that it took."""
    if conn.pgconn.transaction_status == TransactionStatus.INERROR:
        raise psycopg.errors.InFailedSqlTransaction(
            "the cell left its transaction aborted: the server rolled it back, nothing was committed"
        )
    began_at = time.monotonic()
    yield from commit(conn, writes=writes)
    return time.monotonic() - began_at


def _elapsed(answer: Answer) -> float:
    return answer.complete_at - answer.sent_at
