"""The clients of a load: threads over a sync pool, tasks over an async one. Each borrows, holds, returns.

The two stand side by side, because only the waiting differs. A hold is `SELECT pg_sleep(…)` in a block of the pool: a
borrowed connection that is busy on the server, with BEGIN and COMMIT around it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning.lab.load import Script
    from pgmonkey_magic.tuning.lab.notes import Notes

HOLD = "SELECT pg_catalog.pg_sleep(%s)"
CANCEL_TIMEOUT_S = 1.0


class Clients(Protocol):
    """Carries out a script; `start` returns at once."""

    def start(self) -> None:
        """Begin."""
        ...

    def ended(self, timeout_s: float) -> bool:
        """Wait until every client is done, at most so long; tell whether they are."""
        ...

    def cut(self) -> None:
        """End them now: the server cancels what it does for them, and nobody asks again.

        Call it until they have ended: a statement that has not reached the server yet cannot be cancelled there.
        """
        ...


class Threads:
    """A thread for each client."""

    def __init__(self, pool: PGPool, script: Script, notes: Notes, count: int) -> None:
        self._pool, self._script, self._notes = pool, script, notes
        self._over = threading.Event()
        self._held: set[psycopg.Connection[Any]] = set()
        self._cancelling = threading.Lock()
        """Held while statements are cancelled, so that no connection comes into other hands meanwhile."""
        self._threads = [
            threading.Thread(target=self._live, args=(i,), name=f"pgmonkey-lab-{i + 1}", daemon=True)
            for i in range(count)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def ended(self, timeout_s: float) -> bool:
        """Wait until every client is done, at most so long; tell whether they are."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def cut(self) -> None:
        """End them now."""
        self._over.set()
        with self._cancelling:
            for conn in self._held:
                with suppress(psycopg.Error):  # whoever cannot be reached must not keep the others
                    conn.cancel_safe(timeout=CANCEL_TIMEOUT_S)

    def _live(self, client: int) -> None:
        for turn in self._script.turns(client):
            if self._over.wait(max(0.0, turn.at_s - self._script.clock.seconds())):
                return
            with self._notes.request(turn) as request, self._pool as conn:
                self._notes.granted(request)
                self._hold(conn, turn.hold_s)

    def _hold(self, conn: psycopg.Connection[Any], hold_s: float) -> None:
        with self._cancelling:
            self._held.add(conn)
        try:
            if self._over.is_set():
                raise psycopg.errors.QueryCanceled("the run is over")
            conn.execute(HOLD, [hold_s])
        finally:
            with self._cancelling:
                self._held.discard(conn)


class Tasks:
    """A task for each client, on an event loop of its own."""

    def __init__(self, pool: PGAsyncPool, script: Script, notes: Notes, count: int) -> None:
        self._pool, self._script, self._notes, self._count = pool, script, notes, count
        self._over = False
        self._held: dict[asyncio.Task[None], psycopg.AsyncConnection[Any]] = {}
        self._cancelling = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._cuts: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._run, name="pgmonkey-lab-tasks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ended(self, timeout_s: float) -> bool:
        """Wait until every client is done, at most so long; tell whether they are."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def cut(self) -> None:
        """End them now; those who rest or wait are cancelled as tasks, those who hold on the server."""
        self._over = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: they have ended
                self._loop.call_soon_threadsafe(lambda: self._cuts.append(asyncio.create_task(self._cut())))

    async def _cut(self) -> None:
        for task in self._tasks:
            if task not in self._held:
                task.cancel()
        async with self._cancelling:
            for conn in self._held.copy().values():
                with suppress(psycopg.Error):
                    await conn.cancel_safe(timeout=CANCEL_TIMEOUT_S)

    def _run(self) -> None:
        # psycopg cannot use Windows' proactor loop.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._live_all())

    async def _live_all(self) -> None:
        self._tasks = [asyncio.create_task(self._live(i), name=f"pgmonkey-lab-{i + 1}") for i in range(self._count)]
        self._loop = asyncio.get_running_loop()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):  # as in a thread, where it would be seen too
                raise outcome

    async def _live(self, client: int) -> None:
        for turn in self._script.turns(client):
            await asyncio.sleep(max(0.0, turn.at_s - self._script.clock.seconds()))
            if self._over:
                return
            with self._notes.request(turn) as request:
                async with self._pool as conn:
                    self._notes.granted(request)
                    await self._hold(conn, turn.hold_s)

    async def _hold(self, conn: psycopg.AsyncConnection[Any], hold_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: this runs in one
        self._held[task] = conn
        try:
            await conn.execute(HOLD, [hold_s])
        finally:
            async with self._cancelling:
                del self._held[task]
