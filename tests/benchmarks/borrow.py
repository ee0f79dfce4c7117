"""What a borrow costs, beside the stock pools of psycopg_pool, in one run: `python tests/benchmarks/borrow.py`.

Both are measured in short slices that take turns, and compared slice by slice, because machines differ and are noisy:
`stock ÷ ours` is the median of the ratios of neighbouring slices. The CPU time is that of this process, all its threads
and the kernel's work for them, without the server's; other programs disturb it less than they disturb the clock.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools.loop import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SIZE, SLICES, BORROWS = 10, 40, 600
Slice = tuple[float, float]
"""Microseconds of the clock and of CPU time that one borrow takes."""


class Stopwatch:
    """Measures *borrows* borrows: `with Stopwatch(n) as watch: …`, then `watch.took`."""

    def __init__(self, borrows: int) -> None:
        self._borrows = borrows

    def __enter__(self) -> Self:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_error: object) -> None:
        ended = time.perf_counter(), time.process_time()
        clock, cpu = ((b - a) / self._borrows * 1e6 for a, b in zip(self._began, ended, strict=True))
        self.took: Slice = (clock, cpu)


def in_thread(work: Callable[[], Slice]) -> Slice:
    """Run *work* in a thread that is not the main one, which our sync pool treats with more care."""
    out: list[Slice] = []
    thread = threading.Thread(target=lambda: out.append(work()))
    thread.start()
    thread.join()
    return out[0]


def bare(once: Callable[[], None], count: int) -> Slice:
    """Measure empty borrows."""
    with Stopwatch(count) as watch:
        for _ in range(count):
            once()
    return watch.took


def by_threads(block: Callable[[], Any], workers: int) -> Slice:
    """Measure borrows with `SELECT 1` and COMMIT by so many threads."""

    def body() -> None:
        for _ in range(BORROWS // workers):
            with block() as conn:
                conn.execute("SELECT 1").fetchone()

    threads = [threading.Thread(target=body) for _ in range(workers)]
    with Stopwatch(BORROWS) as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return watch.took


async def by_tasks(block: Callable[[], Any], workers: int) -> Slice:
    """Measure the same by so many tasks of the running loop."""

    async def body() -> None:
        for _ in range(BORROWS // workers):
            async with block() as conn:
                await (await conn.execute("SELECT 1")).fetchone()

    with Stopwatch(BORROWS) as watch:
        await asyncio.gather(*(body() for _ in range(workers)))
    return watch.took


def compare(name: str, stock: Callable[[], Slice], ours: Callable[[], Slice]) -> None:
    """Let the two take turns, each of them first in every other pair; print one row."""
    pairs: list[tuple[Slice, Slice]] = []
    for number in range(SLICES + 1):
        first, second = (stock, ours) if number % 2 else (ours, stock)
        one, other = first(), second()
        pairs.append((one, other) if number % 2 else (other, one))
    del pairs[0]  # to warm up
    cells = []
    for unit in range(2):
        a, b = (statistics.median(pair[side][unit] for pair in pairs) for side in range(2))
        cells.append(f"{a:,.1f} µs | {b:,.1f} µs")
    faster, leaner = (statistics.median(a[unit] / b[unit] for a, b in pairs) for unit in range(2))
    print(f"| {name} | {cells[0]} | {faster:.2f} | {cells[1]} | {leaner:.2f} |", flush=True)


def compare_sync(conninfo: str, ours: Any) -> None:
    """Print the rows of the sync pools."""
    with ConnectionPool(conninfo, min_size=SIZE, max_size=SIZE) as stock:
        stock.wait()

        def stock_once() -> None:
            stock.putconn(stock.getconn())

        def our_once() -> None:
            ours.give_back(ours.borrow())

        compare(
            "empty borrow, a worker thread",
            lambda: in_thread(lambda: bare(stock_once, BORROWS)),
            lambda: in_thread(lambda: bare(our_once, BORROWS)),
        )
        compare("empty borrow, the main thread", lambda: bare(stock_once, BORROWS), lambda: bare(our_once, BORROWS))
        for workers in (1, 10, 50):
            compare(
                f"{workers} threads, SELECT 1",
                lambda workers=workers: by_threads(stock.connection, workers),
                lambda workers=workers: by_threads(lambda: ours, workers),
            )


def compare_async(conninfo: str, ours: Any, where: str, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Print the rows of the async pools; *run* runs a coroutine on the loop on which the tasks are."""
    stock = run(_opened(conninfo))
    for workers in (1, 10, 50):
        compare(
            f"{workers} tasks on {where}, SELECT 1",
            lambda workers=workers: run(by_tasks(stock.connection, workers)),
            lambda workers=workers: run(by_tasks(lambda: ours, workers)),
        )
    run(stock.close())


async def _opened(conninfo: str) -> AsyncConnectionPool[Any]:
    pool = AsyncConnectionPool(conninfo, min_size=SIZE, max_size=SIZE, open=False)
    await pool.open(wait=True)
    return pool


def main() -> None:
    """Measure and print the table."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # where a shell's background ignores it, nothing interrupts
    with Cluster() as cluster:
        config: dict[str, Any] = {"connection_settings": conninfo_to_dict(cluster.conninfo)}
        sizes = {"min_size": SIZE, "max_size": SIZE}
        config |= {"pool_settings": sizes, "async_pool_settings": dict(sizes)}
        manager = PGConnectionManager()
        ours: Any = manager.get_database_connection_from_dict(config, "pool")
        ours_async: Any = asyncio.run(_awaited(manager.get_database_connection_from_dict(config, "async_pool")))
        print("| a borrow | psycopg_pool | ours | stock ÷ ours | its CPU | our CPU | stock ÷ ours |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        compare_sync(cluster.conninfo, ours)
        compare_async(cluster.conninfo, ours_async, "the pool's own loop", lambda coro: submit(coro).result())
        with asyncio.Runner() as runner:
            compare_async(cluster.conninfo, ours_async, "a loop of their own", runner.run)
        manager.clear_cache()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


if __name__ == "__main__":
    main()
