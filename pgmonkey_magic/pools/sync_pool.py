"""The pool for threads, backed by psycopg_pool.ConnectionPool.

The main thread is the one that Ctrl-C interrupts, and a stock pool loses its connection when an interrupt arrives
while it waits. So there a helper thread (interrupts.py) borrows for it, and gives the connection straight back if
nobody wants it any more.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools.base import BasePool
from pgmonkey_magic.pools.blocks import Blocks
from pgmonkey_magic.pools.committing import CommitLost, settle
from pgmonkey_magic.pools.factory_state import TracedConnection, rollback, trace_of
from pgmonkey_magic.pools.interrupts import in_helper, may_be_interrupted
from pgmonkey_magic.pools.lease import Keep, Lease, Talk, Terms, deliver
from pgmonkey_magic.pools.ledger import Borrower, Holder, current_borrower
from pgmonkey_magic.pools.liveness import ask, check_deadline, is_dead, is_warm, needs_proof
from pgmonkey_magic.pools.stock import ConnectFailed, SyncStockPool, stock_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pgmonkey_magic.config import PoolSettings

T = TypeVar("T")
SyncLease = Lease[TracedConnection]


class _Borrowed(threading.local):
    def __init__(self) -> None:
        self.leases: list[SyncLease] = []
        """Those of this thread's `with` blocks, the innermost last."""


class PGPool(BasePool[SyncStockPool]):
    """A sync pool. `with pool as conn:` borrows a psycopg connection and commits, or rolls back on an exception.

    Nested blocks in one thread borrow further connections. Every method may be called from any thread.
    """

    connection_type = "pool"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._opening = threading.Lock()
        self._borrowed = _Borrowed()
        self._blocks: Blocks[SyncLease] = Blocks()

    def forget_parent(self) -> None:
        """Begin anew in a forked child."""
        super().forget_parent()
        self._opening, self._borrowed, self._blocks = threading.Lock(), _Borrowed(), Blocks()

    # -- life -------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the pool, if it is not; connections are made in the background."""
        self._opened()

    def _opened(self) -> SyncStockPool:
        if (stock := self.pool) is not None:
            return stock
        with self._opening:
            if (stock := self.pool) is None:
                arguments = stock_arguments(self.settings, self._parameters, pgbouncer=self.config.pgbouncer)
                stock = SyncStockPool(
                    self._watch, self._nobody_can_serve, connection_class=TracedConnection, **arguments
                )
                stock.open()
                self.pool = stock
            return stock

    def disconnect(self) -> None:
        """Close the pool: idle connections now, borrowed ones when they come back. Using it again opens it anew."""
        stock, self.pool = self.pool, None
        if stock is not None:
            stock.close(timeout=2 / (stock.num_workers + 1))  # which it takes for each of its threads in turn

    def apply(self, settings: PoolSettings) -> None:
        """Give the running pool other settings; any thread may call it. Raises RequestError for one it cannot take."""
        with self._tuning:
            before = self._retuned(settings)
            if (stock := self.pool) is not None:
                if settings.max_idle != before.max_idle:
                    stock.set_max_idle(settings.max_idle)
                stock.resize(settings.min_size, settings.max_size)

    def sweep(self) -> int:
        """Replace the idle connections whose server end has gone; return how many they were."""
        return stock.sweep() if (stock := self.pool) else 0

    def recycle(self) -> None:
        """Replace every connection: the idle ones now, borrowed ones when they come back."""
        if (stock := self.pool) is not None:
            stock.drain()

    # -- borrowing --------------------------------------------------------------------------------------------

    def borrow(self, holder: Holder | None = None, *, timeout: float | None = None) -> SyncLease:
        """Wait up to *timeout* seconds (default: the pool's) for a connection.

        Raises PoolUnavailable. Pair it with `give_back`; `with pool as conn:` does both.
        """
        return self._borrow(holder or current_borrower(), timeout)

    def _borrow(
        self, borrower: Borrower, timeout: float | None, enter: Callable[[SyncLease], None] = lambda _lease: None
    ) -> SyncLease:
        """Borrow, and *enter* the lease where it belongs before an interrupt can come between."""
        thread_id = threading.get_ident()
        self._refuse_self_deadlock(borrower, thread_id)
        if not may_be_interrupted():
            lease = self._take(borrower, thread_id, timeout)
            enter(lease)
            return lease
        future: Future[SyncLease] = Future()
        try:
            in_helper(lambda: self._take_for(future, borrower, thread_id, timeout, enter)).result()
            return future.result()
        except BaseException:
            if not future.cancel() and not future.exception():
                self.give_back(future.result())
            raise

    def give_back(self, lease: SyncLease) -> None:
        """Return a connection; a spoiled or broken one is closed and replaced."""
        if may_be_interrupted():
            in_helper(lambda: self._put(lease)).result()
        else:
            self._put(lease)

    def _put(self, lease: SyncLease) -> None:
        if lease.among is not None:
            try:
                lease.among.remove(lease)  # until somebody has it in hand it stays there, where `reclaim` finds it
            except ValueError:
                return  # another thread was faster
        self._blocks.end(lease)
        self.ledger.end(lease.ticket)
        if lease.spoiled:
            lease.conn.close()
        lease.lender.put(lease.conn)
        self._close_if_retired()

    def _take(self, borrower: Borrower, thread_id: int, timeout: float | None) -> SyncLease:
        ticket = self.ledger.request(borrower, thread_id)
        timeout = self.settings.timeout if timeout is None else timeout
        try:
            stock = self.pool or self._opened()
            conn = self._take_usable(stock, ticket.requested_at + timeout)
        except BaseException as error:
            self.ledger.end(ticket)
            if isinstance(error, (ConnectFailed, psycopg.Error)):
                reason = self._explain(error, timeout)
                raise reason from reason.__cause__
            raise
        return self._leased(conn, ticket, stock)

    def _take_usable(self, stock: SyncStockPool, deadline: float) -> TracedConnection:
        while True:
            conn = stock.take_idle() or self._wait_for_one(stock, deadline)
            if self._is_usable(conn, deadline):
                return conn
            conn.close()
            stock.putconn(conn)
            # What killed this one, such as a restart, killed others: nobody shall meet them one by one.
            stock.sweep()

    def _wait_for_one(self, stock: SyncStockPool, deadline: float) -> TracedConnection:
        if self._must_connect_now(stock):
            self._connect_now(stock, deadline)
        elif self._watch.error is not None:
            stock.retry_now()
        return stock.queue(deadline - time.monotonic())

    def _is_usable(self, conn: TracedConnection, deadline: float) -> bool:
        if is_warm(conn):
            return True
        if is_dead(conn):
            return False
        if self.settings.check_on_checkout and needs_proof(conn):
            try:
                conn.hold(ask(conn, check_deadline(deadline)))
            except psycopg.Error:
                return False  # why is of no interest: it is closed and another one taken
        return True

    def _connect_now(self, stock: SyncStockPool, deadline: float) -> None:
        # In a helper, because libpq does not take less than two seconds for an answer, and we may have less.
        attempt = in_helper(lambda: stock.connect_now(self._hurry(deadline)))
        try:
            attempt.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return  # the queue says the rest
        except psycopg.Error as error:
            raise ConnectFailed from self._watch.error or error

    def _take_for(
        self,
        future: Future[SyncLease],
        borrower: Borrower,
        thread_id: int,
        timeout: float | None,
        enter: Callable[[SyncLease], None],
    ) -> None:
        try:
            lease = self._take(borrower, thread_id, timeout)
        except BaseException as error:  # noqa: BLE001 - a helper's end: the error travels to the one who waits
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        enter(lease)
        if not deliver(future, lease):
            self._put(lease)

    # -- the block: one borrow, one transaction ---------------------------------------------------------------

    def __enter__(self) -> TracedConnection:
        frame, leases = sys._getframe(1), self._borrowed.leases  # noqa: SLF001 - the only name that a block has

        def enter(lease: SyncLease) -> None:
            lease.among = leases
            leases.append(lease)
            self._blocks.begin(frame, lease)

        return self._borrow(current_borrower(), None, enter).conn

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        lease = self._blocks.innermost(sys._getframe(1)) or self._newest()  # noqa: SLF001
        if lease is None:
            raise RequestError(
                f"the connection of this block was taken back when its cell was interrupted; use `with` on pool "
                f"{self.name} again"
            )
        try:
            if exc_type is None:
                with lease.conn.lock:
                    if (ending := self._ending(lease.conn)) is not None:
                        lease.conn.hold(ending)
            else:
                # A lost connection cannot be rolled back, and need not: the server has done it. The error that ended
                # the block must not be hidden behind this one.
                with suppress(psycopg.OperationalError), lease.conn.lock:
                    lease.conn.wait(rollback(lease.conn))
                if self._noted_stale_plan(exc):
                    self.recycle()
        except CommitLost as lost:
            settle(self.config, self.connection_type, lost)
        finally:
            self.give_back(lease)

    def _newest(self) -> SyncLease | None:
        leases = self._borrowed.leases
        return leases[-1] if leases else None

    def reclaim(self, since: float) -> None:
        """Give back what this thread's `with` blocks have borrowed after *since* (`time.monotonic()`) and still hold.

        For the end of an interrupted cell: an interrupt in the very step into `__exit__` keeps that from running. The
        connections are closed, so that what else may still know them cannot use them any more.
        """
        leases = self._borrowed.leases
        for lease in [lease for lease in leases if lease.ticket.requested_at >= since]:
            lease.spoiled = True
            self.give_back(lease)

    def run(
        self,
        talk: Talk[T],
        terms: Terms,
        granted: Callable[[SyncLease], None] = lambda _lease: None,
    ) -> T:
        """Borrow, let *talk* converse with the server, give back. *granted* is told when the wait is over.

        The transaction is the conversation's own affair. Call it from a thread that may block.
        """
        return self.lend(lambda conn: conn.hold(talk(conn)), terms, granted)

    def lend(
        self,
        work: Callable[[TracedConnection], T],
        terms: Terms,
        granted: Callable[[SyncLease], None] = lambda _lease: None,
    ) -> T:
        """Borrow, let *work* use the connection in this thread, which may block, give back.

        What *work* sends counts as `terms.statement`, which tells what it may leave behind. The transaction is its own
        affair.
        """
        lease = (
            terms.keep.lease if terms.keep and terms.keep.lease else self.borrow(terms.holder, timeout=terms.timeout)
        )
        return self.lend_on(lease, work, terms, granted)

    def lend_on(
        self,
        lease: SyncLease,
        work: Callable[[TracedConnection], T],
        terms: Terms,
        granted: Callable[[SyncLease], None] = lambda _lease: None,
    ) -> T:
        """Do the same with a connection that was borrowed already."""
        trace = lease.conn.trace
        try:
            granted(lease)
            return work(lease.conn)
        finally:
            lease.conn.trace = max(trace, trace_of(terms.statement))
            if not self._kept(lease, terms.keep):
                self.give_back(lease)

    def release(self, keep: Keep) -> None:
        """Give back a kept connection, which rolls its transaction back."""
        lease, keep.lease = keep.lease, None
        if lease is not None:
            self.give_back(lease)

    def cancel(self, lease: SyncLease, *, timeout: float) -> None:
        """Ask the server to cancel the statement that runs on a borrowed connection; any thread may ask."""
        lease.conn.cancel_safe(timeout=timeout)

    # -- the borrowed connection of this thread, as pgmonkey offers it ----------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[TracedConnection]:
        """Run a block in a transaction: a savepoint on this thread's connection, or else on a fresh borrow."""
        if (lease := self._newest()) is not None:
            with lease.conn.transaction():
                yield lease.conn
        else:
            with self as conn, conn.transaction():
                yield conn

    def cursor(self) -> psycopg.Cursor[Any]:
        """Return a cursor on the connection that this thread has borrowed; RequestError if it has none."""
        return self._mine().cursor()

    def commit(self) -> None:
        """Commit on the connection that this thread has borrowed."""
        self._mine().commit()

    def rollback(self) -> None:
        """Roll back on the connection that this thread has borrowed."""
        self._mine().rollback()

    def test_connection(self) -> None:
        """Borrow once and ask the server for an answer; raises what goes wrong."""
        with self as conn:
            conn.execute("SELECT 1")

    def _mine(self) -> TracedConnection:
        if (lease := self._newest()) is not None:
            return lease.conn
        raise RequestError(f"this thread has borrowed no connection of pool {self.name}; use `with pool as conn:`")
