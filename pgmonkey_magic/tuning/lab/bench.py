"""What a lesson works with: pools of its own, borrowers, a look from outside, and an end at any moment.

A lesson borrows by `pool.lend`, as cells do, which has one face over sync and async pools. Whatever it holds is known
here, so that a stop cancels it on the server.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from pgmonkey_magic.pools import Holder, Keep, Terms, connect_parameters
from pgmonkey_magic.tuning.lab.background import LabStopped
from pgmonkey_magic.tuning.lab.own_pool import APPLICATION_NAME, Pool, own_pool, refuse_beyond
from pgmonkey_magic.tuning.lab.run import LoadRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgmonkey_magic.config import Config
    from pgmonkey_magic.pools import Lease
    from pgmonkey_magic.tuning.lab.load import Load
    from pgmonkey_magic.tuning.lab.report import Report

T = TypeVar("T")
CANCEL_TIMEOUT_S = 1.0
MOST_AT_ONCE = 16
PID = "SELECT pg_catalog.pg_backend_pid()"
LOOK = "pgmonkey-lab-look"


class Bench:
    """The place of one lesson. `allowed` is the most connections that it may have open."""

    def __init__(self, config: Config, connection_type: str, allowed: int, stopping: threading.Event) -> None:
        self.config, self.connection_type, self._allowed = config, connection_type, allowed
        self._stopping = stopping
        self._lock = threading.Lock()
        self._held: dict[Any, Pool] = {}
        self._runs: list[LoadRun] = []
        self._barriers: list[threading.Barrier] = []
        self._asides: list[threading.Thread] = []

    @contextmanager
    def pool(self, **settings: Any) -> Iterator[Pool]:
        """Open a pool for a part of the lesson."""
        self.check()
        refuse_beyond(self._allowed, settings.get("max_size", 4), "this lesson")
        with own_pool(self.config, self.connection_type, **settings) as pool:
            try:
                yield pool
            except BaseException:
                self._end_asides()
                raise

    def borrow(
        self,
        pool: Pool,
        work: Callable[[psycopg.Connection[Any]], T],
        *,
        who: str | Holder = "the lesson",
        sql: str = "",
        keep: Keep | None = None,
    ) -> T:
        """Borrow, let *work* use the connection, commit, give back. *sql* is what it sends, if it leaves a trace.

        With *keep* it does not commit, and keeps the connection for as long as a transaction is open on it.
        """
        mine: list[Lease[Any]] = []

        def granted(lease: Lease[Any]) -> None:
            mine.append(lease)
            with self._lock:
                self._held[lease] = pool
            self.check()

        def block(conn: psycopg.Connection[Any]) -> T:
            result = work(conn)
            if keep is None:
                conn.commit()
            return result

        holder = who if isinstance(who, Holder) else Holder(who)
        try:
            return pool.lend(block, Terms(holder, sql, keep=keep), granted)
        finally:
            with self._lock:
                for lease in mine:
                    self._held.pop(lease, None)

    def ask(self, pool: Pool, sql: str, *values: Any, who: str = "the lesson") -> list[tuple[Any, ...]]:
        """Borrow once for one statement and return its rows."""
        return self.borrow(pool, lambda conn: conn.execute(sql.encode(), values or None).fetchall(), who=who, sql=sql)

    def pids(self, pool: Pool, count: int) -> list[int]:
        """Borrow so many connections at once and return their backends' process ids."""
        everybody = self.barrier(count)

        def one(i: int) -> int:
            def work(conn: psycopg.Connection[Any]) -> int:
                everybody.wait(5)
                return conn.info.backend_pid

            return self.borrow(pool, work, who=f"borrower {i + 1}")

        return self.crowd(count, one)

    def crowd(self, count: int, work: Callable[[int], T]) -> list[T]:
        """Call `work(0)`, `work(1)`, … at once, in a thread each; return their results in order, raise their errors."""
        with ThreadPoolExecutor(min(count, MOST_AT_ONCE), thread_name_prefix="pgmonkey-lab") as threads:
            return list(threads.map(work, range(count)))

    def aside(self, work: Callable[[], T]) -> tuple[threading.Thread, list[T | BaseException]]:
        """Call *work* in a thread of its own; return it and the list that its result or error will be in."""
        outcome: list[T | BaseException] = []

        def body() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001 - a thread's end: the lesson looks at it
                outcome.append(error)

        thread = threading.Thread(target=body, name="pgmonkey-lab-aside", daemon=True)
        self._asides.append(thread)
        thread.start()
        return thread, outcome

    def barrier(self, count: int) -> threading.Barrier:
        """Return a barrier that a stop breaks."""
        barrier = threading.Barrier(count)
        with self._lock:
            self._barriers.append(barrier)
        return barrier

    def _end_asides(self) -> None:
        """End what runs aside of a lesson that has failed or was stopped."""
        deadline = time.monotonic() + CANCEL_TIMEOUT_S
        while any(thread.is_alive() for thread in self._asides) and time.monotonic() < deadline:
            self.cut()  # again: a statement that has not reached the server yet cannot be cancelled there
            time.sleep(0.02)

    def load(self, load: Load, pool: Pool) -> Report:
        """Run a load against one of the lesson's pools and return the report."""
        self.check()
        run = LoadRun.begin_on(load, pool)
        with self._lock:
            self._runs.append(run)
        report = run.outcome()
        self.check()
        return report

    def outside(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the server over a connection that is no pool's."""
        self.check()
        parameters = connect_parameters(self.config, self.connection_type)
        parameters |= {"application_name": LOOK, "autocommit": True}
        with psycopg.connect(**parameters) as conn:
            cur = conn.execute(sql.encode(), values or None)
            return cur.fetchall() if cur.description else []

    def alive(self, pids: list[int]) -> int:
        """Count how many of the lab's backends with these process ids the server still has."""
        ((count,),) = self.outside(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE pid = ANY(%s) AND application_name = %s",
            pids,
            APPLICATION_NAME,
        )
        return count

    def sleep(self, seconds: float) -> None:
        """Sleep; raises LabStopped as soon as somebody stops the lesson."""
        self._stopping.wait(seconds)
        self.check()

    def until(self, condition: Callable[[], bool], seconds: float = 3.0) -> float:
        """Wait for *condition* at most so long; return how long it took."""
        began = time.perf_counter()
        while not condition() and time.perf_counter() - began < seconds:
            self.sleep(0.01)
        return time.perf_counter() - began

    def check(self) -> None:
        """Raise LabStopped if somebody has stopped the lesson."""
        if self._stopping.is_set():
            raise LabStopped("the lesson was stopped; what it had opened is closed")

    def cut(self) -> None:
        """Cancel on the server whatever the lesson holds; its borrowers end with that error."""
        with self._lock:
            held, runs, barriers = dict(self._held), list(self._runs), list(self._barriers)
        for barrier in barriers:
            barrier.abort()
        for run in runs:
            run.stop(0)
        for lease, pool in held.items():
            with suppress(psycopg.Error):  # one that cannot be reached must not keep the others
                pool.cancel(lease, timeout=CANCEL_TIMEOUT_S)
