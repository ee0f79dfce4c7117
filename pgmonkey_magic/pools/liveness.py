"""Is a connection that has been idle still alive? A look for free, and a question with a deadline.

The look: a server that has gone has closed its end, and a closed socket can be read. It costs microseconds and no round
trip, so every borrow does it. It cannot see a backend that has stopped or a network that swallows everything; for those
there is the question, an empty query, asked where `check_on_checkout` is set.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.pq import ConnStatus, ExecStatus

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

T = TypeVar("T")

CHECK_TIMEOUT_S = 2.0
"""How long a check may take before the connection is replaced; less where the borrow has less time left."""
FRESH_S = 0.5
"""A connection whose server has answered so recently is handed out without the question."""
WARM_S = 0.001
"""And one that has answered just now without the look, for which busy threads would have to queue: it lets go of the
interpreter's lock."""

_OK = ConnStatus.OK  # to look up a member of an enumeration costs as much as a call


class CheckTimeout(psycopg.OperationalError):
    """A connection did not answer in time."""


def is_dead(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the other end of an idle connection has gone; never waits.

    What else can be read from an idle connection (a NOTICE, a notification, a changed setting) is taken in on the way.
    """
    pgconn = conn.pgconn
    if pgconn.status != _OK:
        return True
    try:
        # Until nothing more is there: a server that ends a connection says why first, and only then comes the end.
        while _readable(pgconn.socket):
            pgconn.consume_input()
            while pgconn.notifies():
                continue
    except (psycopg.OperationalError, OSError, ValueError):
        return True
    return pgconn.status != _OK


if hasattr(select, "poll"):

    def _readable(fd: int) -> bool:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

else:  # Windows has no poll, and its select has no limit on the number of a socket

    def _readable(fd: int) -> bool:
        return bool(select.select([fd], [], [], 0)[0])


def ask(
    conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], deadline: float, statements: bytes = b""
) -> PQGen[list[PGresult]]:
    """Have the server run *statements* until *deadline* (`time.monotonic()` seconds), in psycopg's wait protocol.

    By the simple protocol and without BEGIN, so an idle connection is IDLE afterwards. An empty query is the cheapest
    question. Returns the results. Raises CheckTimeout, the error of a statement, or psycopg.OperationalError where the
    connection is lost.
    Exact to a tenth of a second, which is how often psycopg's drivers come back empty-handed.
    """
    pgconn = conn.pgconn
    results: list[PGresult] = []
    pgconn.send_query(statements)
    yield from generators.send(pgconn)
    while True:
        while pgconn.is_busy():
            while not (yield waiting.WAIT_R):
                if time.monotonic() > deadline:
                    raise CheckTimeout("the server did not answer in time")
            pgconn.consume_input()
        if (result := pgconn.get_result()) is None:
            return results
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
        results.append(result)


def bounded(gen: PQGen[T], deadline: float) -> PQGen[T]:
    """Hold psycopg's conversation *gen* until *deadline* (`time.monotonic()` seconds); CheckTimeout after it.

    The connection is then in the middle of it and good for nothing but to be closed.
    """
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise CheckTimeout("the server did not answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def needs_proof(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the server has been silent long enough to be asked."""
    return time.monotonic() - getattr(conn, "heard_at", 0.0) > FRESH_S


def is_warm(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the server has answered so recently that a look would say nothing new."""
    return time.monotonic() - getattr(conn, "heard_at", 0.0) < WARM_S


def check_deadline(borrow_deadline: float) -> float:
    """Return until when a check may take, so that time is left to take another connection instead."""
    now = time.monotonic()
    return now + min(CHECK_TIMEOUT_S, max(0.0, borrow_deadline - now) / 2)
