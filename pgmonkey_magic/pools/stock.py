"""psycopg_pool's pools, corrected where they lose count, queue in vain or hide the reason.

    take_idle    what is idle is taken, and put back, by few steps; in the async pool from any loop without a hop
    resize       never more than max_size, the surplus closed at once, the queue served at once
    growing      not while as many connections are being opened as requests wait: a first borrow opens min_size of them
    _connect     a failure to connect reaches the waiting requests at once, with its reason
    connect_now  a server that is back is used at once, not when an attempt ends that pauses or hangs
    sweep        one dead connection found: the others are looked at before anybody else meets them
    reset        the next borrower gets a connection in factory state; a worker sees to it, and only where it is needed
    shrink       all connections that a whole `max_idle` did not need are closed, not one of them

What only counts stands once, in `_Counting`; it is called with the pool's lock held and returns what must be done next.
The two pools below it add the waiting and are twins, line by line.

Private names used, all of psycopg_pool 3.3: `_pool`, `_waiting`, `_lock`, `_closed`, `_nconns`, `_nconns_min`,
`_growing`, `_min_size`, `_max_size`, `_drained_at`, `_stats`, `_REQUESTS_NUM`, `_sched`, `_check_size`, `_connect`,
`_check_open_getconn`, `_getconn_unchecked`, `_add_connection`, `_add_to_pool`, `_close_connection`, `_shrink_pool`,
`_putconn`, `_return_connection`, `_reset_connection`, `_jitter`, `_maybe_grow_pool`, `AddConnection`,
`ReturnConnection`, `ShrinkPool`, `WaitingClient.set` and `.fail`; of its connections `_pool`, `_created_at` and
`_expire_at`. `tests/unit/test_stock.py` fails when one of them is gone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from psycopg_pool.pool import AddConnection, ReturnConnection, ShrinkPool
from psycopg_pool.pool_async import AddConnection as AsyncAddConnection
from psycopg_pool.pool_async import ReturnConnection as AsyncReturnConnection
from psycopg_pool.pool_async import ShrinkPool as AsyncShrinkPool

from pgmonkey_magic.pools.factory_state import RESET, RESET_TIMEOUT_S, Trace, must_reset, remember, restore, rollback
from pgmonkey_magic.pools.liveness import ask, is_dead
from pgmonkey_magic.pools.unavailable import one_line, without_frames

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from pgmonkey_magic.config import PoolSettings

logger = logging.getLogger("pgmonkey_magic.pools")

SAME_FAILURE_S = 0.2
"""While nobody waits, a failure to connect holds for so long for the other connections that the pool wants to open."""
HUNG_S = 0.25
"""A borrower that finds nothing but an attempt to connect which is older makes one of its own in its place."""
IMPATIENT_PAUSE_S = 0.5
"""The longest pause between attempts while somebody waits for a connection."""

# Without any logging set up, Python prints psycopg_pool's warnings, one per attempt, into the notebook. What matters of
# them is said once per change of state below, and in the errors.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class ConnectFailed(Exception):  # noqa: N818 - carries the error to the waiting request; never seen by a user
    """Ends the wait of a queued request; `__cause__` is why nobody can connect."""


class _Abandoned(BaseException):
    """Ends an attempt whose place another one has taken. No Exception, because the stock pool would try again."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt to connect, and who waited when it began."""

    began_at: float
    first: tuple[Any, ...]
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """A stock pool at one moment: its open connections, and those of them that are idle.

    `size` also counts what is still to be opened; `pausing` counts the attempts that wait before they are repeated.
    """

    connections: list[Any]
    idle: list[Any]
    size: int
    pausing: int


class _SameFailure(psycopg.OperationalError):
    """An attempt that was not made, because another one has just failed; `__cause__` is how."""


class ConnectWatch:
    """Remembers whether the last attempt to connect failed, and says each change of that once in the log."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._began_at = 0.0
        self.error: psycopg.Error | None = None
        self.encrypted: bool | None = None
        """Whether the last connection speaks TLS; None before the first."""

    @property
    def proven(self) -> bool:
        """Whether the last attempt succeeded. If not, only one is made at a time."""
        return self.encrypted is not None and self.error is None

    def spare_repetition(self, since: float) -> None:
        """Raise what the last attempt raised, if it was made after *since*."""
        if self.error is not None and self._began_at >= since:
            raise _SameFailure(one_line(self.error)) from self.error

    def failed(self, error: psycopg.Error, began_at: float) -> None:
        """Note a failed attempt, and when it began."""
        self._began_at = began_at
        if self.error is None:
            logger.warning("pool %s cannot connect: %s", self.name, one_line(error))
        self.error = error

    def succeeded(self, conn: Any) -> None:
        """Note that the server can be reached."""
        self.encrypted = conn.pgconn.ssl_in_use
        if self.error is not None:
            logger.warning("pool %s can connect again", self.name)
        self.error = None


def _refusal(error: psycopg.Error) -> ConnectFailed:
    # One per waiter: an exception raised in several threads would mix their tracebacks.
    refusal = ConnectFailed()
    refusal.__cause__ = error
    return refusal


_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_IDLE, _NO_TRACE = TransactionStatus.IDLE, Trace.NONE  # to look up a member of an enumeration takes time


class _Counting:
    """The arithmetic of a pool. Every method is called with the pool's lock held, or on its loop."""

    _pool: deque[Any]
    _waiting: deque[Any]
    _nconns: int
    _nconns_min: int
    _closed: bool
    _drained_at: float
    _stats: Any
    _REQUESTS_NUM: str
    _min_size: int
    _max_size: int
    _growing: bool
    _jitter: Callable[[float, float, float], float]
    max_lifetime: float
    _new_attempt: type[Any]
    """The kind of pool's own AddConnection."""

    def _begin_counting(self, watch: ConnectWatch, nobody_can_serve: Callable[[], bool]) -> None:
        self._watch = watch
        self._nobody_can_serve = nobody_can_serve
        self._backing_off: set[Any] = set()
        self._shrinker: Any = None
        self._one_at_a_time: Any = threading.Lock()
        self._in_flight: list[_Attempt] = []
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def _taken(self) -> Any:
        """Take the connection that has been idle for longest."""
        conn = self._pool.popleft()
        self._nconns_min = min(self._nconns_min, len(self._pool))
        self._stats[self._REQUESTS_NUM] += 1
        conn._pool = self  # noqa: SLF001
        return conn

    def _is_clean(self, conn: Any) -> bool:
        """Tell whether a returned connection needs neither care nor replacement."""
        return (
            conn.trace is _NO_TRACE
            and conn.pgconn.transaction_status == _IDLE
            and conn._expire_at > time.monotonic()  # noqa: SLF001
            and conn._created_at > self._drained_at  # noqa: SLF001
        )

    def _resized(self, min_size: int, max_size: int) -> tuple[list[Any], int]:
        """Take the new sizes; return the idle connections to close and how many to open."""
        self._min_size, self._max_size = min_size, max_size
        surplus = max(0, self._nconns - max_size)
        closing = [self._pool.popleft() for _ in range(min(surplus, len(self._pool)))]
        self._nconns -= len(closing)
        self._nconns_min = min(self._nconns_min, len(self._pool))
        unserved = len(self._waiting) - self._being_opened()
        opening = max(0, min_size - self._nconns, min(unserved, max_size - self._nconns))
        self._nconns += opening
        return closing, opening

    def _has_to_grow(self) -> bool:
        """Tell whether more requests wait than connections are being opened for them."""
        return self._nconns < self._max_size and self._being_opened() < len(self._waiting)

    def _being_opened(self) -> int:
        """Return how many connections are on their way, or less; those that pause or hang serve nobody soon."""
        hung = sum(self._has_hung(attempt) for attempt in self._in_flight)
        return self._nconns - len(self._known) - len(self._backing_off) - hung

    def _is_surplus(self) -> bool:
        """Strike one connection off the count if there are too many; the caller must then not add it."""
        if self._nconns <= self._max_size:
            return False
        self._nconns -= 1
        return True

    def _not_needed(self) -> tuple[list[Any], list[Any]]:
        """Return the idle connections to close: those no longer needed, and those to be replaced for their age."""
        unused = min(self._nconns_min, len(self._pool), max(0, self._nconns - self._min_size))
        closing = [self._pool.popleft() for _ in range(unused)]
        self._nconns -= unused
        now = time.monotonic()
        old = [conn for conn in self._pool if conn._expire_at <= now]  # noqa: SLF001
        for conn in old:
            self._pool.remove(conn)
        self._nconns_min = len(self._pool)
        return closing, old

    def counted(self) -> Counted:
        """Return what is there at this moment; without the lock, because nobody shall wait for one who looks on."""
        return Counted(self._open_ones(), list(self._pool), self._nconns, len(self._backing_off))

    def _open_ones(self) -> list[Any]:
        while True:
            try:
                return [conn for conn in self._known if not conn.closed]
            except RuntimeError:
                continue  # one was added meanwhile, and the walk begins anew

    def is_outdated(self, conn: Any) -> bool:
        """Tell whether a connection will be replaced when it comes back."""
        return conn._created_at <= self._drained_at or conn._expire_at <= time.monotonic()  # noqa: SLF001

    def _taken_idle(self) -> list[Any]:
        idle = list(self._pool)
        self._pool.clear()
        return idle

    @property
    def hangs(self) -> bool:
        """Whether an attempt to connect has been under way for suspiciously long."""
        return any(self._has_hung(attempt) for attempt in list(self._in_flight))

    def _has_hung(self, attempt: _Attempt) -> bool:
        return not attempt.abandoned and time.monotonic() - attempt.began_at > HUNG_S

    def _begun(self) -> _Attempt:
        attempt = _Attempt(time.monotonic(), tuple(self._waiting))
        self._in_flight.append(attempt)
        return attempt

    def _ended(self, attempt: _Attempt) -> bool:
        """Strike an attempt out; tell whether it still counts."""
        self._in_flight.remove(attempt)
        return not attempt.abandoned

    def _taken_over(self) -> Any:
        """Return the task of an attempt that pauses or hangs and will not be made any more; None if there is none."""
        if self._backing_off:
            return self._backing_off.pop()
        for attempt in self._in_flight:
            if self._has_hung(attempt):
                attempt.abandoned = True
                return self._new_attempt(self)
        return None

    def _refused(self, attempt: _Attempt) -> list[Any]:
        """Return the waiting requests that must be told that nobody can connect.

        To those that have come since the attempt began it says nothing: the server may have come back meanwhile.
        """
        if not self._nobody_can_serve():
            return []
        told = [client for client in self._waiting if client in attempt.first]
        for client in told:
            self._waiting.remove(client)
        return told

    def _pause(self, delay: float) -> float:
        if not self._waiting:
            return delay
        # Who waits although nobody can serve has come since the attempt that has just failed.
        return 0.0 if self._nobody_can_serve() else min(delay, IMPATIENT_PAUSE_S)

    def _spare_repetition(self) -> None:
        if not self._waiting:
            self._watch.spare_repetition(time.monotonic() - SAME_FAILURE_S)

    def _no_longer_backing_off(self, task: Any) -> bool:
        try:
            self._backing_off.remove(task)
        except KeyError:
            return False  # another one has resumed it
        return True

    def set_max_lifetime(self, seconds: float) -> None:
        """Set the age at which a connection is replaced, also for those that exist."""
        self.max_lifetime = seconds
        for conn in list(self._known):
            conn._expire_at = conn._created_at + self._jitter(seconds, -0.05, 0.0)  # noqa: SLF001


class SyncStockPool(_Counting, ConnectionPool[Any]):
    """A ConnectionPool with the corrections above."""

    _new_attempt = AddConnection

    def __init__(
        self, watch: ConnectWatch, nobody_can_serve: Callable[[], bool], *, resets: bool, **arguments: Any
    ) -> None:
        self._begin_counting(watch, nobody_can_serve)
        self._resets = resets
        super().__init__(**arguments)

    def take_idle(self, is_fit: Callable[[Any], bool] | None = None) -> Any:
        """Take an idle connection, if there is one, and one that is fit; else None."""
        with self._lock:
            if not self._pool or self._closed or (is_fit is not None and not is_fit(self._pool[0])):
                return None
            return self._taken()

    def queue(self, timeout: float) -> Any:
        """Wait for a connection in the queue, which lets the pool grow; getconn without what ours do not need."""
        self._check_open_getconn()
        self._stats[self._REQUESTS_NUM] += 1
        return self._getconn_unchecked(timeout)

    def _maybe_grow_pool(self) -> None:
        if self._has_to_grow():
            super()._maybe_grow_pool()

    def put(self, conn: Any) -> None:
        """Take a connection back: at once where it needs no care."""
        if self._is_clean(conn):
            restore(conn)
            self._add_to_pool(conn)
        else:
            self.putconn(conn)

    def resize(self, min_size: int, max_size: int | None = None) -> None:
        """Take new sizes now: close the surplus, open what is missing, for those who wait too."""
        min_size, max_size = self._check_size(min_size, max_size)
        with self._lock:
            closing, opening = self._resized(min_size, max_size)
        for _ in range(opening):
            self.run_task(AddConnection(self))
        for conn in closing:
            self._close_connection(conn)

    def set_max_lifetime(self, seconds: float) -> None:
        """Set the age at which a connection is replaced, also for those that exist."""
        with self._lock:  # a worker may be adding a connection to those
            super().set_max_lifetime(seconds)

    def set_max_idle(self, seconds: float) -> None:
        """Set after which time without need a connection is closed; counted from now."""
        self.max_idle = seconds
        self._shrinker = ShrinkPool(self)
        self.schedule_task(self._shrinker, seconds)

    def sweep(self) -> int:
        """Look at every idle connection, replace the dead ones, and return how many they were."""
        with self._lock:
            idle = self._taken_idle()
        dead = [conn for conn in idle if is_dead(conn)]
        for conn in idle:
            if conn not in dead:
                self._add_to_pool(conn)
        self.replace(dead)
        return len(dead)

    def replace(self, conns: list[Any]) -> None:
        """Close these connections, which nobody holds, and open others for them."""
        for conn in conns:
            self._close_connection(conn)
            self.run_task(AddConnection(self))

    def retry_now(self) -> None:
        """Make the attempts to connect that wait for their next turn."""
        for task in list(self._backing_off):
            self._resume(task)

    def connect_now(self, timeout: float) -> None:
        """Connect here and now in place of an attempt that pauses or hangs, if there is one. Raises psycopg.Error."""
        with self._lock:
            task = self._taken_over()
        if task is None:
            return
        try:
            conn = self._connect(timeout)
        except _Abandoned:
            return  # another borrower has taken this one's place
        except BaseException:
            self.schedule_task(task, IMPATIENT_PAUSE_S)
            raise
        with self._lock:
            self._growing = self._growing and not task.growing
        self._add_to_pool(conn)
        self.retry_now()

    def schedule_task(self, task: Any, delay: float) -> None:
        """Run a task later. Pauses between attempts to connect can be cut short, old shrink timers lapse."""
        if isinstance(task, AddConnection):
            self._backing_off.add(task)
            self._sched.enter(self._pause(delay), lambda: self._resume(task))
        elif isinstance(task, ShrinkPool):
            self._shrinker = self._shrinker or task
            if task is self._shrinker:
                self._sched.enter(delay, lambda: task.tick() if task is self._shrinker else None)
        else:
            super().schedule_task(task, delay)

    def _resume(self, task: Any) -> None:
        if self._no_longer_backing_off(task):
            task.tick()

    def _connect(self, timeout: float | None = None) -> Any:
        # Whoever waits for this very attempt (and says for how long) does not queue behind one that may hang.
        if self._watch.proven or timeout:
            return self._attempt(timeout)
        with self._one_at_a_time:
            self._spare_repetition()
            return self._attempt(timeout)

    def _attempt(self, timeout: float | None) -> Any:
        attempt = self._begun()
        try:
            conn = super()._connect(timeout)
        except psycopg.Error as error:
            with self._lock:
                counts = self._ended(attempt)
                refused = self._refused(attempt) if counts else []
            if not counts:
                raise _Abandoned from error
            self._watch.failed(without_frames(error), attempt.began_at)
            for client in refused:
                client.fail(_refusal(error))
            raise
        self._watch.succeeded(conn)
        with self._lock:
            counts = self._ended(attempt)
            self._known.add(conn)
        if not counts:
            self._close_connection(conn)
            raise _Abandoned
        remember(conn)
        return conn

    def _putconn(self, conn: Any, from_getconn: bool) -> None:
        if conn.trace is Trace.NONE:
            self._return_connection(conn, from_getconn=from_getconn)
        else:
            self.run_task(_Return(self, conn, from_getconn=from_getconn))

    def _reset_connection(self, conn: Any) -> None:
        if conn.pgconn.transaction_status in _OPEN:
            try:
                conn.hold(rollback(conn))
            except psycopg.Error as error:
                logger.info("a connection that could not be rolled back is closed: %s", one_line(error))
                self._close_connection(conn)
        super()._reset_connection(conn)
        if conn.trace is Trace.PREPARED:
            self._close_connection(conn)
        elif self._resets and must_reset(conn):
            try:
                conn.hold(ask(conn, time.monotonic() + RESET_TIMEOUT_S, RESET))
            except psycopg.Error as error:
                logger.info("a connection that could not be reset is closed: %s", one_line(error))
                self._close_connection(conn)
        restore(conn)

    def _add_connection(self, attempt: Any, growing: bool = False) -> None:
        with self._lock:
            if self._is_surplus():
                self._growing = self._growing and not growing
                return
        try:
            super()._add_connection(attempt, growing=growing)
        except _Abandoned:
            with self._lock:
                self._growing = self._growing and not growing

    def _add_to_pool(self, conn: Any) -> None:
        conn._pool = None  # noqa: SLF001
        with self._lock:
            if not self._closed and not self._is_surplus():
                while self._waiting:
                    if self._waiting.popleft().set(conn):
                        return
                self._pool.append(conn)
                return
        self._close_connection(conn)

    def _shrink_pool(self) -> None:
        with self._lock:
            closing, old = self._not_needed()
        self.replace(old)
        for conn in closing:
            self._close_connection(conn)


class _Return(ReturnConnection):
    """The stock task does nothing where the pool was closed meanwhile, and the connection stays open."""

    def run(self) -> None:
        pool = self.pool()
        if pool is None or pool.closed:
            self.conn.close()
        else:
            super().run()


class _AsyncReturn(AsyncReturnConnection):
    """Its twin."""

    async def run(self) -> None:
        pool = self.pool()
        if pool is None or pool.closed:
            await self.conn.close()
        else:
            await super().run()


class _GatedLock(asyncio.Lock):
    """An asyncio lock that also keeps out other threads, which try its gate and never wait for it."""

    def __init__(self, gate: threading.Lock) -> None:
        super().__init__()
        self._gate = gate

    async def __aenter__(self) -> None:
        """Wait for the tasks of the pool's loop, then shut the gate; behind it a thread stays for microseconds."""
        await self.acquire()
        self._gate.acquire()

    async def __aexit__(self, *_error: object) -> None:
        """Open the gate, then let the next task in."""
        self._gate.release()
        self.release()


class AsyncStockPool(_Counting, AsyncConnectionPool[Any]):
    """The twin of SyncStockPool. It lives on the pools' loop."""

    _new_attempt = AsyncAddConnection

    def __init__(
        self, watch: ConnectWatch, nobody_can_serve: Callable[[], bool], *, resets: bool, **arguments: Any
    ) -> None:
        self._begin_counting(watch, nobody_can_serve)
        self._resets = resets
        super().__init__(**arguments)
        self._gate = threading.Lock()
        self._lock = _GatedLock(self._gate)
        self._one_at_a_time = asyncio.Lock()

    def take_idle(self, is_fit: Callable[[Any], bool]) -> Any:
        """Take an idle connection that is fit, if there is one and nothing to wait for; else None. For any thread."""
        if not self._pool or not self._gate.acquire(blocking=False):
            return None
        try:
            return self._taken() if self._pool and not self._closed and is_fit(self._pool[0]) else None
        finally:
            self._gate.release()

    async def queue(self, timeout: float) -> Any:
        """Wait for a connection in the queue, which lets the pool grow; getconn without what ours do not need."""
        self._check_open_getconn()
        self._stats[self._REQUESTS_NUM] += 1
        return await self._getconn_unchecked(timeout)

    def _maybe_grow_pool(self) -> None:
        if self._has_to_grow():
            super()._maybe_grow_pool()

    def put_idle(self, conn: Any) -> bool:
        """Put a connection that needs no care among the idle ones; False where it does. For any thread."""
        if self._waiting or not self._is_clean(conn) or not self._gate.acquire(blocking=False):
            return False
        try:
            if self._closed or self._waiting or self._nconns > self._max_size:
                return False
            restore(conn)
            conn._pool = None  # noqa: SLF001
            self._pool.append(conn)
            return True
        finally:
            self._gate.release()

    async def put(self, conn: Any) -> None:
        """Take a connection back: at once where it needs no care."""
        if self._is_clean(conn):
            restore(conn)
            await self._add_to_pool(conn)
        else:
            await self.putconn(conn)

    async def resize(self, min_size: int, max_size: int | None = None) -> None:
        """Take new sizes now: close the surplus, open what is missing, for those who wait too."""
        min_size, max_size = self._check_size(min_size, max_size)
        async with self._lock:
            closing, opening = self._resized(min_size, max_size)
        for _ in range(opening):
            self.run_task(AsyncAddConnection(self))
        for conn in closing:
            await self._close_connection(conn)

    async def set_max_idle(self, seconds: float) -> None:
        """Set after which time without need a connection is closed; counted from now."""
        self.max_idle = seconds
        self._shrinker = AsyncShrinkPool(self)
        await self.schedule_task(self._shrinker, seconds)

    async def sweep(self) -> int:
        """Look at every idle connection, replace the dead ones, and return how many they were."""
        async with self._lock:
            idle = self._taken_idle()
        dead = [conn for conn in idle if is_dead(conn)]
        for conn in idle:
            if conn not in dead:
                await self._add_to_pool(conn)
        await self.replace(dead)
        return len(dead)

    async def replace(self, conns: list[Any]) -> None:
        """Close these connections, which nobody holds, and open others for them."""
        for conn in conns:
            await self._close_connection(conn)
            self.run_task(AsyncAddConnection(self))

    async def retry_now(self) -> None:
        """Make the attempts to connect that wait for their next turn."""
        for task in list(self._backing_off):
            await self._resume(task)

    async def connect_now(self, timeout: float) -> None:
        """Connect here and now in place of an attempt that pauses or hangs, if there is one. Raises psycopg.Error."""
        async with self._lock:
            task = self._taken_over()
        if task is None:
            return
        try:
            conn = await self._connect(timeout)
        except _Abandoned:
            return  # another borrower has taken this one's place
        except BaseException:
            await self.schedule_task(task, IMPATIENT_PAUSE_S)
            raise
        async with self._lock:
            self._growing = self._growing and not task.growing
        await self._add_to_pool(conn)
        await self.retry_now()

    async def schedule_task(self, task: Any, delay: float) -> None:
        """Run a task later. Pauses between attempts to connect can be cut short, old shrink timers lapse."""
        if isinstance(task, AsyncAddConnection):
            self._backing_off.add(task)
            await self._sched.enter(self._pause(delay), lambda: self._resume(task))
        elif isinstance(task, AsyncShrinkPool):
            self._shrinker = self._shrinker or task
            if task is self._shrinker:
                await self._sched.enter(delay, lambda: self._tick(task))
        else:
            await super().schedule_task(task, delay)

    async def _tick(self, shrinker: Any) -> None:
        if shrinker is self._shrinker:
            await shrinker.tick()

    async def _resume(self, task: Any) -> None:
        if self._no_longer_backing_off(task):
            await task.tick()

    async def _connect(self, timeout: float | None = None) -> Any:
        # See the sync twin for why.
        if self._watch.proven or timeout:
            return await self._attempt(timeout)
        async with self._one_at_a_time:
            self._spare_repetition()
            return await self._attempt(timeout)

    async def _attempt(self, timeout: float | None) -> Any:
        attempt = self._begun()
        try:
            conn = await super()._connect(timeout)
        except psycopg.Error as error:
            async with self._lock:
                counts = self._ended(attempt)
                refused = self._refused(attempt) if counts else []
            if not counts:
                raise _Abandoned from error
            self._watch.failed(without_frames(error), attempt.began_at)
            for client in refused:
                await client.fail(_refusal(error))
            raise
        self._watch.succeeded(conn)
        async with self._lock:
            counts = self._ended(attempt)
            self._known.add(conn)
        if not counts:
            await self._close_connection(conn)
            raise _Abandoned
        remember(conn)
        return conn

    async def _putconn(self, conn: Any, from_getconn: bool) -> None:
        if conn.trace is Trace.NONE:
            await self._return_connection(conn, from_getconn=from_getconn)
        else:
            self.run_task(_AsyncReturn(self, conn, from_getconn=from_getconn))

    async def _reset_connection(self, conn: Any) -> None:
        if conn.pgconn.transaction_status in _OPEN:
            try:
                await conn.hold(rollback(conn))
            except psycopg.Error as error:
                logger.info("a connection that could not be rolled back is closed: %s", one_line(error))
                await self._close_connection(conn)
        await super()._reset_connection(conn)
        if conn.trace is Trace.PREPARED:
            await self._close_connection(conn)
        elif self._resets and must_reset(conn):
            try:
                await conn.hold(ask(conn, time.monotonic() + RESET_TIMEOUT_S, RESET))
            except psycopg.Error as error:
                logger.info("a connection that could not be reset is closed: %s", one_line(error))
                await self._close_connection(conn)
        restore(conn)

    async def _add_connection(self, attempt: Any, growing: bool = False) -> None:
        async with self._lock:
            if self._is_surplus():
                self._growing = self._growing and not growing
                return
        try:
            await super()._add_connection(attempt, growing=growing)
        except _Abandoned:
            async with self._lock:
                self._growing = self._growing and not growing

    async def _add_to_pool(self, conn: Any) -> None:
        conn._pool = None  # noqa: SLF001
        async with self._lock:
            if not self._closed and not self._is_surplus():
                while self._waiting:
                    if await self._waiting.popleft().set(conn):
                        return
                self._pool.append(conn)
                return
        await self._close_connection(conn)

    async def _shrink_pool(self) -> None:
        async with self._lock:
            closing, old = self._not_needed()
        await self.replace(old)
        for conn in closing:
            await self._close_connection(conn)


def stock_arguments(
    settings: PoolSettings, parameters: Callable[[], dict[str, Any]], *, pgbouncer: bool
) -> dict[str, Any]:
    """Return what both constructors take. *parameters* is called per connection, so the pool itself holds no secret."""
    return {
        "resets": not pgbouncer,  # there a session is a transaction, and the next one may go to another server process
        "kwargs": parameters,
        "open": False,
        "min_size": settings.min_size,
        "max_size": settings.max_size,
        "timeout": settings.timeout,
        "max_idle": settings.max_idle,
        "max_lifetime": settings.max_lifetime,
        "max_waiting": settings.max_waiting,
        "reconnect_timeout": settings.reconnect_timeout,
        "num_workers": settings.num_workers,
    }
