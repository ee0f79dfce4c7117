"""The pool for tasks, backed by psycopg_pool.AsyncConnectionPool.

It lives on the pools' own loop (loop.py), and any loop borrows through it. A borrowed connection works on the
borrower's loop: psycopg waits on whatever loop is running. Only `conn.lock` remembers a loop once two tasks have
contended for it, so each hand-over puts in a fresh one.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools.base import BasePool
from pgmonkey_magic.pools.blocks import Blocks
from pgmonkey_magic.pools.committing import CommitLost, settle
from pgmonkey_magic.pools.factory_state import Trace, TracedAsyncConnection, rollback, trace_of
from pgmonkey_magic.pools.interrupts import in_helper, may_be_interrupted
from pgmonkey_magic.pools.lease import Keep, Lease, Talk, Terms, deliver
from pgmonkey_magic.pools.ledger import Borrower, Holder, Ticket, current_borrower
from pgmonkey_magic.pools.liveness import ask, check_deadline, is_dead, needs_proof
from pgmonkey_magic.pools.loop import on_pool_loop, submit
from pgmonkey_magic.pools.stock import AsyncStockPool, ConnectFailed, stock_arguments
from pgmonkey_magic.pools.sync_face import SyncFace, sync_face

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from pgmonkey_magic.config import Config, PoolSettings

T = TypeVar("T")
AsyncLease = Lease[TracedAsyncConnection]


class PGAsyncPool(BasePool[AsyncStockPool]):
    """An async pool. `async with pool as conn:` borrows a psycopg AsyncConnection and commits, or rolls back.

    Tasks of any event loop in any thread may borrow. Nested blocks in one task borrow further connections.
    """

    connection_type = "async_pool"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._leases: ContextVar[tuple[AsyncLease, ...]] = ContextVar(f"leases of {self.name}", default=())
        self._blocks: Blocks[AsyncLease] = Blocks()

    # -- life -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the pool, if it is not; connections are made in the background."""
        await _elsewhere(self._opened())

    async def disconnect(self) -> None:
        """Close the pool: idle connections now, borrowed ones when they come back. Using it again opens it anew."""
        stock, self.pool = self.pool, None
        if stock is not None:
            await _elsewhere(stock.close(timeout=2))

    def close(self) -> None:
        """Do the same as `disconnect` from a thread without a loop, such as at exit."""
        submit(self.disconnect()).result(timeout=5)

    async def _opened(self) -> AsyncStockPool:
        # Runs on the pools' loop and holds no await before `pool` is set, so two tasks cannot open two.
        if (stock := self.pool) is None:
            arguments = stock_arguments(self.settings, self._parameters, pgbouncer=self.config.pgbouncer)
            stock = AsyncStockPool(
                self._watch, self._nobody_can_serve, connection_class=TracedAsyncConnection, **arguments
            )
            self.pool = stock
            await stock.open()
        return stock

    def apply(self, settings: PoolSettings) -> None:
        """Give the running pool other settings; any thread may call it. Raises RequestError for one it cannot take."""

        async def errand() -> None:
            before = self._retuned(settings)
            if (stock := self.pool) is not None:
                if settings.max_idle != before.max_idle:
                    await stock.set_max_idle(settings.max_idle)
                await stock.resize(settings.min_size, settings.max_size)

        with self._tuning:
            submit(errand()).result()

    def sweep(self) -> int:
        """Replace the idle connections whose server end has gone; return how many they were."""
        return submit(stock.sweep()).result() if (stock := self.pool) else 0

    def recycle(self) -> None:
        """Replace every connection: the idle ones now, borrowed ones when they come back."""
        if (stock := self.pool) is not None:
            submit(stock.drain()).result()

    # -- borrowing --------------------------------------------------------------------------------------------

    async def borrow(self, holder: Holder | None = None, *, timeout: float | None = None) -> AsyncLease:
        """Wait up to *timeout* seconds (default: the pool's) for a connection, on whatever loop is running.

        Raises PoolUnavailable. Pair it with `give_back`; `async with pool as conn:` does both.
        """
        return await self._borrow(holder or current_borrower(), threading.get_ident(), timeout)

    async def _borrow(self, borrower: Borrower, thread_id: int, timeout: float | None) -> AsyncLease:
        """Borrow for a borrower of that thread."""
        self._refuse_self_deadlock(borrower, thread_id)
        ticket = self.ledger.request(borrower, thread_id)
        if (stock := self.pool) is not None and not may_be_interrupted() and (conn := stock.take_idle(self._is_fit)):
            return self._leased(conn, ticket, stock)
        return await (self._take if on_pool_loop() else self._take_over_there)(ticket, timeout)

    async def _take_over_there(self, ticket: Ticket, timeout: float | None) -> AsyncLease:
        """Have the pools' loop take a connection, wait for it on this one."""
        future: Future[AsyncLease] = Future()
        errand = submit(self._take_for(future, ticket, timeout))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancel() and not future.exception():
                await self.give_back(future.result())
            errand.cancel()
            raise

    async def give_back(self, lease: AsyncLease) -> None:
        """Return a connection; a spoiled or broken one is closed and replaced. Cancellation does not stop it."""
        if may_be_interrupted():
            await _elsewhere(self.give_back(lease))
            return
        self.ledger.end(lease.ticket)
        lease.conn.lock = asyncio.Lock()
        if lease.spoiled or not lease.lender.put_idle(lease.conn):
            await _elsewhere(self._put(lease))
        else:
            self._close_if_retired()

    async def _put(self, lease: AsyncLease) -> None:
        if lease.spoiled:
            await lease.conn.close()
        await lease.lender.put(lease.conn)
        self._close_if_retired()

    async def _take(self, ticket: Ticket, timeout: float | None) -> AsyncLease:
        timeout = self.settings.timeout if timeout is None else timeout
        try:
            stock = self.pool or await self._opened()
            conn = await self._take_patiently(stock, ticket.requested_at + timeout)
        except BaseException as error:
            self.ledger.end(ticket)
            if isinstance(error, (ConnectFailed, psycopg.Error)):
                reason = self._explain(error, timeout)
                raise reason from reason.__cause__
            raise
        return self._leased(conn, ticket, stock)

    async def _take_patiently(self, stock: AsyncStockPool, deadline: float) -> TracedAsyncConnection:
        while True:
            if self._must_connect_now(stock):
                await self._connect_now(stock, deadline)
            elif self._watch.error is not None:
                await stock.retry_now()
            conn = await stock.queue(deadline - time.monotonic())
            if self._is_fit(conn) or await self._is_usable_or_discarded(stock, conn, deadline):
                return conn

    async def _take_for(self, future: Future[AsyncLease], ticket: Ticket, timeout: float | None) -> None:
        try:
            lease = await self._take(ticket, timeout)
        except Exception as error:  # noqa: BLE001 - a task's end: the error travels to the one who waits
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if not deliver(future, lease):
            await self.give_back(lease)

    async def _is_usable_or_discarded(
        self, stock: AsyncStockPool, conn: TracedAsyncConnection, deadline: float
    ) -> bool:
        usable = False
        try:
            usable = await self._is_usable(conn, deadline)
        finally:
            # Also when this task is cancelled in the middle of the check. In a task of its own, because cancelled half
            # way it would lose this connection, and the idle ones that a sweep has in its hands.
            if not usable:
                await asyncio.shield(asyncio.wrap_future(submit(self._discard(stock, conn))))
        return usable

    async def _discard(self, stock: AsyncStockPool, conn: TracedAsyncConnection) -> None:
        await conn.close()
        await stock.putconn(conn)
        # What killed this one, such as a restart, killed others: nobody shall meet them one by one.
        await stock.sweep()

    async def _is_usable(self, conn: TracedAsyncConnection, deadline: float) -> bool:
        if is_dead(conn):
            return False
        if self.settings.check_on_checkout and needs_proof(conn):
            try:
                await conn.hold(ask(conn, check_deadline(deadline)))
            except psycopg.Error:
                return False  # why is of no interest: it is closed and another one taken
        return True

    async def _connect_now(self, stock: AsyncStockPool, deadline: float) -> None:
        # In a task of its own, because libpq does not take less than two seconds for an answer, and cancelled half way
        # it would lose its place in the pool.
        attempt = asyncio.ensure_future(stock.connect_now(self._hurry(deadline)))
        attempt.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # asyncio asks for somebody to look
        try:
            await asyncio.wait_for(asyncio.shield(attempt), deadline - time.monotonic())
        except TimeoutError:
            return  # the queue says the rest
        except psycopg.Error as error:
            raise ConnectFailed from self._watch.error or error

    # -- the block: one borrow, one transaction ---------------------------------------------------------------

    async def __aenter__(self) -> TracedAsyncConnection:
        frame = sys._getframe(1)  # noqa: SLF001 - the only name that the block has; later it would be another one
        lease = await self._borrow(current_borrower(), threading.get_ident(), None)
        self._blocks.begin(frame, lease)
        self._leases.set((*self._held(), lease))
        return lease.conn

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        lease = self._blocks.innermost(sys._getframe(1)) or self._newest()  # noqa: SLF001
        if lease is None:
            raise RequestError(f"this block holds no connection of pool {self.name}; use `async with` on it again")
        self._blocks.end(lease)
        try:
            if exc_type is None:
                async with lease.conn.lock:
                    if (ending := self._ending(lease.conn)) is not None:
                        await lease.conn.hold(ending)
            else:
                # See the sync twin for why.
                with suppress(psycopg.OperationalError):
                    async with lease.conn.lock:
                        await lease.conn.wait(rollback(lease.conn))
                if self._noted_stale_plan(exc):
                    await _elsewhere(lease.lender.drain())
        except CommitLost as lost:
            await asyncio.to_thread(settle, self.config, self.connection_type, lost)
        finally:
            await self.give_back(lease)

    def run(
        self,
        talk: Talk[T],
        terms: Terms,
        granted: Callable[[AsyncLease], None] = lambda _lease: None,
    ) -> T:
        """Borrow, let *talk* converse with the server, give back; the sync pool's twin, for a thread that may block."""
        thread_id = threading.get_ident()

        async def errand() -> T:
            lease = await self._lease_for(terms, thread_id)
            trace = lease.conn.trace
            try:
                granted(lease)
                return await lease.conn.hold(talk(lease.conn))
            finally:
                await self._end(lease, terms, trace)

        return submit(errand()).result()

    def lend(
        self,
        work: Callable[[SyncFace], T],
        terms: Terms,
        granted: Callable[[AsyncLease], None] = lambda _lease: None,
    ) -> T:
        """Borrow, let *work* use the connection in this thread, which may block, give back; the sync pool's twin.

        *work* gets a sync connection over the handle of the async one.
        """
        if may_be_interrupted():
            return in_helper(lambda: self.lend(work, terms, granted)).result()
        lease = submit(self._lease_for(terms, threading.get_ident())).result()
        return self.lend_on(lease, work, terms, granted)

    def lend_on(
        self,
        lease: AsyncLease,
        work: Callable[[SyncFace], T],
        terms: Terms,
        granted: Callable[[AsyncLease], None] = lambda _lease: None,
    ) -> T:
        """Do the same with a connection that was borrowed already."""
        trace = lease.conn.trace
        try:
            granted(lease)
            with sync_face(lease.conn) as conn:
                return work(conn)
        finally:
            submit(self._end(lease, terms, trace)).result()

    async def _lease_for(self, terms: Terms, thread_id: int) -> AsyncLease:
        # The loop's own thread would make all that wait for it one borrower.
        if terms.keep and terms.keep.lease:
            return terms.keep.lease
        return await self._borrow(terms.holder, thread_id, terms.timeout)

    async def _end(self, lease: AsyncLease, terms: Terms, trace: Trace) -> None:
        """Keep the connection or give it back, with the trace that *terms* tell of and the one from before."""
        lease.conn.trace = max(trace, trace_of(terms.statement))
        if not self._kept(lease, terms.keep):
            await self.give_back(lease)

    def release(self, keep: Keep) -> None:
        """Give back a kept connection, which rolls its transaction back; from a thread that may block."""
        lease, keep.lease = keep.lease, None
        if lease is not None:
            submit(self.give_back(lease)).result()

    def cancel(self, lease: AsyncLease, *, timeout: float) -> None:
        """Ask the server to cancel the statement that runs on a borrowed connection; any thread may ask."""
        submit(lease.conn.cancel_safe(timeout=timeout)).result()

    # -- the borrowed connection of this task, as pgmonkey offers it ------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[TracedAsyncConnection]:
        """Run a block in a transaction: a savepoint on this task's connection, or else on a fresh borrow."""
        if (lease := self._newest()) is not None:
            async with lease.conn.transaction():
                yield lease.conn
        else:
            async with self as conn, conn.transaction():
                yield conn

    @asynccontextmanager
    async def cursor(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        """Open a cursor on this task's connection, or else on a fresh borrow."""
        if (lease := self._newest()) is not None:
            async with lease.conn.cursor() as cur:
                yield cur
        else:
            async with self as conn, conn.cursor() as cur:
                yield cur

    async def commit(self) -> None:
        """Commit on the connection that this task has borrowed."""
        await self._mine().commit()

    async def rollback(self) -> None:
        """Roll back on the connection that this task has borrowed."""
        await self._mine().rollback()

    async def test_connection(self) -> None:
        """Borrow once and ask the server for an answer; raises what goes wrong."""
        async with self as conn:
            await conn.execute("SELECT 1")

    def _held(self) -> list[AsyncLease]:
        """Return what this task has borrowed for blocks that are still open; another task may have ended one."""
        return [lease for lease in self._leases.get() if lease.block is not None]

    def _newest(self) -> AsyncLease | None:
        held = self._held()
        return held[-1] if held else None

    def _mine(self) -> TracedAsyncConnection:
        if (lease := self._newest()) is not None:
            return lease.conn
        raise RequestError(f"this task has borrowed no connection of pool {self.name}; use `async with pool as conn:`")


async def _elsewhere(coro: Any) -> Any:
    """Run *coro* on the pools' loop and wait for its end; cancelling the wait does not cancel the work."""
    if on_pool_loop():
        return await coro
    return await asyncio.shield(asyncio.wrap_future(submit(coro)))
