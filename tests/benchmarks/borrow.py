"""What a borrow costs, beside the stock pools of psycopg_pool, in one run: `python tests/benchmarks/borrow.py`.

Every figure is the median of interleaved rounds. Ratios are what counts: machines differ and are noisy.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools.loop import submit

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE, ROUNDS, BORROWS = 10, 7, 3000


def in_thread(work: Callable[[], float]) -> float:
    """Run *work* in a thread that is not the main one, which our sync pool treats with more care."""
    out: list[float] = []
    thread = threading.Thread(target=lambda: out.append(work()))
    thread.start()
    thread.join()
    return out[0]


def bare_us(once: Callable[[], None], count: int = BORROWS) -> float:
    """Return the microseconds of one empty borrow."""
    started = time.perf_counter()
    for _ in range(count):
        once()
    return (time.perf_counter() - started) / count * 1e6


def threads_rate(block: Callable[[], Any], workers: int) -> float:
    """Return borrows with `SELECT 1` and COMMIT per second, by so many threads."""

    def body() -> None:
        for _ in range(BORROWS // workers):
            with block() as conn:
                conn.execute("SELECT 1").fetchone()

    threads = [threading.Thread(target=body) for _ in range(workers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BORROWS / (time.perf_counter() - started)


async def tasks_rate(block: Callable[[], Any], workers: int) -> float:
    """Return the same by so many tasks of the running loop."""

    async def body() -> None:
        for _ in range(BORROWS // workers):
            async with block() as conn:
                await (await conn.execute("SELECT 1")).fetchone()

    started = time.perf_counter()
    await asyncio.gather(*(body() for _ in range(workers)))
    return BORROWS / (time.perf_counter() - started)


async def stock_tasks(conninfo: str, workers: int) -> float:
    """Open a stock async pool on the running loop and measure it."""
    async with AsyncConnectionPool(conninfo, min_size=SIZE, max_size=SIZE, open=False) as pool:
        await pool.wait()
        return await tasks_rate(pool.connection, workers)


def line(name: str, stock: list[float], ours: list[float], unit: str) -> None:
    """Print one row: medians, and ours as a multiple of stock."""
    a, b = statistics.median(stock), statistics.median(ours)
    print(f"| {name} | {a:,.1f} {unit} | {b:,.1f} {unit} | {b / a:.2f} |")


def main() -> None:
    """Measure and print the table."""
    with Cluster() as cluster:
        config: dict[str, Any] = {"connection_settings": conninfo_to_dict(cluster.conninfo)}
        sizes = {"min_size": SIZE, "max_size": SIZE}
        config |= {"pool_settings": sizes, "async_pool_settings": dict(sizes)}
        manager = PGConnectionManager()
        ours: Any = manager.get_database_connection_from_dict(config, "pool")
        ours_async: Any = asyncio.run(_awaited(manager.get_database_connection_from_dict(config, "async_pool")))
        print("| measure | psycopg_pool | ours | ours ÷ stock |\n| --- | --- | --- | --- |")
        with ConnectionPool(cluster.conninfo, min_size=SIZE, max_size=SIZE) as stock:
            stock.wait()
            once = {
                "stock": lambda: stock.putconn(stock.getconn()),
                "ours": lambda: ours.give_back(ours.borrow()),
            }
            pairs = [
                (in_thread(lambda: bare_us(once["stock"])), in_thread(lambda: bare_us(once["ours"])))
                for _ in range(ROUNDS)
            ]
            line("empty borrow, a worker thread", *map(list, zip(*pairs, strict=True)), "µs")
            pairs = [(bare_us(once["stock"], 500), bare_us(once["ours"], 500)) for _ in range(ROUNDS)]
            line("empty borrow, the main thread", *map(list, zip(*pairs, strict=True)), "µs")
            for workers in (1, 10, 50):
                pairs = [
                    (threads_rate(stock.connection, workers), threads_rate(lambda: ours, workers))
                    for _ in range(ROUNDS)
                ]
                line(f"{workers} threads, SELECT 1", *map(list, zip(*pairs, strict=True)), "/s")
        for workers in (1, 10, 50):
            own, foreign, stocks = [], [], []
            for _ in range(ROUNDS):
                stocks.append(asyncio.run(stock_tasks(cluster.conninfo, workers)))
                own.append(submit(tasks_rate(lambda: ours_async, workers)).result())
                foreign.append(asyncio.run(tasks_rate(lambda: ours_async, workers)))
            line(f"{workers} tasks on the pool's own loop, SELECT 1", stocks, own, "/s")
            line(f"{workers} tasks on a loop of their own, SELECT 1", stocks, foreign, "/s")
        manager.clear_cache()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


if __name__ == "__main__":
    main()
