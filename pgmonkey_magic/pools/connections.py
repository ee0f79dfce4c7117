"""Every connection of a pool at one moment: for those who look on.

Nothing is kept for it but two marks that a borrow leaves (`Ticket.conn` and `uses`); it is worked out when asked, from
the stock pool and the ledger, without a lock and without waiting. So it is exact for each connection, and of a pool
that works at the same time it may be a borrow behind itself.
"""

from __future__ import annotations

import select
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from psycopg.pq import TransactionStatus

    from pgmonkey_magic.pools.base import BasePool
    from pgmonkey_magic.pools.ledger import Ticket
    from pgmonkey_magic.pools.stock import Counted


class Stage(StrEnum):
    """What a connection is doing for its pool."""

    IDLE = "idle"
    IN_USE = "in use"
    RESETTING = "resetting"
    """On its way between a borrower and the idle ones: being rolled back, cleaned, or proven."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """One open connection. `pid` is the server process (behind PgBouncer: PgBouncer's number for the client).

    `transaction` is libpq's status; `uses` counts its borrowers so far; `outdated` means that it is replaced when it
    comes back; `hung_up` that the server has closed its end; `ticket` is its borrower's, None where nobody has it.
    """

    pid: int
    stage: Stage
    transaction: TransactionStatus
    uses: int
    outdated: bool = False
    hung_up: bool = False
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """A pool's open connections; how many are being opened, and how many of those pause after a failure.

    `broken` counts the borrowed ones that are closed already; `connected` is False while the pool is not open.
    """

    connections: tuple[Pooled, ...] = ()
    broken: int = 0
    opening: int = 0
    pausing: int = 0
    connected: bool = False


def census(pool: BasePool[Any]) -> Census:
    """Look at every connection of *pool*; for any thread, never waits."""
    if (stock := pool.pool) is None:
        return Census()
    counted: Counted = stock.counted()
    tickets = {id(ticket.conn): ticket for ticket in pool.ledger.held()}
    idle = {id(conn) for conn in counted.idle}
    found = [_pooled(conn, tickets.get(id(conn)), id(conn) in idle, stock) for conn in counted.connections]
    connections = tuple(each for each in found if each is not None)
    broken = sum(1 for ticket in tickets.values() if ticket.conn.closed)
    opening = max(0, counted.size - len(connections) - broken)
    return Census(connections, broken, opening, min(opening, counted.pausing), connected=True)


def _pooled(conn: Any, ticket: Ticket | None, is_idle: bool, stock: Any) -> Pooled | None:
    pgconn = conn.pgconn
    try:
        pid, fd = pgconn.backend_pid, pgconn.socket
    except psycopg.OperationalError:
        return None  # closed since it was counted
    stage = Stage.IN_USE if ticket else Stage.IDLE if is_idle else Stage.RESETTING
    return Pooled(pid, stage, pgconn.transaction_status, conn.uses, stock.is_outdated(conn), _hung_up(fd), ticket)


def _hung_up(fd: int) -> bool:
    """Tell whether the other end of a socket is closed. Unlike `liveness.is_dead` it reads nothing: it is not ours."""
    event = getattr(select, "POLLRDHUP", 0)
    if not event:
        return False  # only Linux can tell without reading
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(0))
