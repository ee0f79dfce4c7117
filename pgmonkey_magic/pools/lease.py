"""A borrowed connection together with its entry in the ledger, and what may be done with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import FrameType

    import psycopg
    from psycopg.abc import PQGen

    from pgmonkey_magic.pools.ledger import Holder, Ticket

T = TypeVar("T")
C = TypeVar("C", bound="psycopg.Connection[Any] | psycopg.AsyncConnection[Any]")

Talk = Callable[["psycopg.Connection[Any] | psycopg.AsyncConnection[Any]"], "PQGen[T]"]
"""A conversation with the server: given a borrowed connection, a generator in psycopg's wait protocol.

It never waits itself, so one conversation serves sync and async pools; the pool drives it.
"""


@dataclass(slots=True, eq=False)
class Lease(Generic[C]):
    """One borrow. `spoiled` means: close the connection when it comes back, do not reuse it.

    `lender` is the stock pool that lent it, which may no longer be the present one when it comes back. `block` is the
    frame of the `with` block that it was borrowed for, while that is open, `outer` the lease of the block around it in
    the same frame, and `among` the list of a thread's blocks, which it is in as long as it is out.
    """

    conn: C
    ticket: Ticket
    lender: Any
    spoiled: bool = False
    block: FrameType | None = None
    outer: Lease[Any] | None = None
    among: list[Any] | None = None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open on it, aborted or not."""
        return self.conn.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)


@dataclass(slots=True, eq=False)
class Keep:
    """A place for the lease of a conversation that has left a transaction open, for the next one to go on with it."""

    lease: Lease[Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the conversation that uses it."""
    ended: dict[str, str] = field(default_factory=dict)
    """Names of temporary tables that are gone, each with the holder that it ended with."""


STALE_PLAN = (
    "another session has changed a table under a prepared statement, which therefore did not run; the pool's "
    "connections are replaced: run the block again"
)
FOREIGN_PLAN = (
    "a prepared statement belongs to one server process, and this connection has been given another: this looks like "
    "PgBouncer; write `pgbouncer: true` into the file"
)


def has_stale_plan(error: BaseException | None) -> bool:
    """Tell whether a block failed because its connection knows a table as it was ("cached plan must not change …").

    psycopg would send the same prepared statement again, so that each later borrower failed too. The server's message
    may be translated, the place in its source is not.
    """
    return isinstance(error, FeatureNotSupported) and error.diag.source_function == "RevalidateCachedQuery"


def has_foreign_plan(error: BaseException | None) -> bool:
    """Tell whether a block failed because somebody between the pool and the server shares out server processes."""
    return isinstance(error, (InvalidSqlStatementName, DuplicatePreparedStatement))


@dataclass(frozen=True, slots=True)
class Terms:
    """How a conversation gets its connection: for whom, for which SQL, how long it waits, and whether it keeps it.

    With `keep` the connection is not given back while a transaction is open on it, and the next conversation with the
    same `keep` goes on there.
    """

    holder: Holder
    statement: str
    timeout: float | None = None
    keep: Keep | None = None


def deliver(future: Future[T], value: T) -> bool:
    """Hand *value* to whoever waits for *future*; False when they have gone and it stays with the caller.

    A `concurrent.futures.Future` settles the race between delivery and `cancel()` under its own lock, so that a
    connection always has exactly one owner, whatever interrupts the wait.
    """
    if not future.set_running_or_notify_cancel():
        return False
    future.set_result(value)
    return True
