"""Lessons on holding what others need: leak, self-deadlock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.pools import Holder, Keep, PoolUnavailable
from pgmonkey_magic.tuning.lab.bench import PID
from pgmonkey_magic.tuning.lab.lesson import Lesson
from pgmonkey_magic.tuning.lab.load import Load
from pgmonkey_magic.tuning.sizing import self_deadlock_minimum

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning.lab.bench import Bench
    from pgmonkey_magic.tuning.lab.lesson import Rows


def _leak(bench: Bench) -> tuple[Rows, str]:
    rows: Rows = []
    keeps: list[Keep] = []
    with bench.pool(min_size=3, max_size=3, timeout=0.3) as pool:
        try:
            rows.append(_used(bench, pool, leaked=0))
            for leaked in (1, 2, 3):
                keeps.append(Keep())
                bench.borrow(pool, lambda conn: conn.execute(PID), who=f"leaky job {leaked}", keep=keeps[-1])
                rows.append(_used(bench, pool, leaked))
            named = ", ".join(ticket.holder.who for ticket in pool.ledger.held())
        finally:
            for keep in keeps:
                pool.release(keep)
        rows.append(_used(bench, pool, leaked=0))
    served = ", ".join(f"{row['served/s']:.0f}" for row in rows[:4])
    return rows, (
        f"each connection that was never given back took its share of the throughput ({served} requests/s with 0, 1, "
        f"2, 3 of 3 gone, and {rows[3]['timeouts']} timeouts then); no max_size cures that, but the ledger names the "
        f"holders ({named}), and once they had ended it was {rows[4]['served/s']:.0f} requests/s again"
    )


def _used(bench: Bench, pool: PGPool | PGAsyncPool, leaked: int) -> dict[str, Any]:
    """Let 6 workers use what is left of the pool."""
    load = Load(workers=6, hold_s=0.01, hold="constant", seconds=0.6)
    served = bench.load(load, pool).measurement
    return {
        "leaked": leaked,
        "left": pool.settings.max_size - leaked,
        "served/s": round(served.throughput, 1),
        "timeouts": served.timeouts,
    }


def _self_deadlock(bench: Bench) -> tuple[Rows, str]:
    threads, held_at_once = 3, 2
    minimum = self_deadlock_minimum(threads, held_at_once)
    rows = [_nested(bench, threads, size) for size in (minimum - 1, minimum)]
    rows.append(_alone(bench))
    alone_ms = rows[-1]["seconds"] * 1e3
    return rows, (
        f"{threads} threads that each hold one connection and ask for a second one all waited for each other at "
        f"max_size {minimum - 1} ({rows[0]['failed']} of {threads} timed out); with {minimum}, which is threads × "
        f"(held at once − 1) + 1, {rows[1]['served']} of {threads} were served; one that could only wait for itself "
        f"was refused after {alone_ms:.0f} ms instead of 5 s"
    )


def _nested(bench: Bench, threads: int, size: int) -> dict[str, Any]:
    """Let each thread hold one connection before any asks for a second one: the worst order of events."""
    everybody = bench.barrier(threads)
    began = time.perf_counter()
    with bench.pool(min_size=size, max_size=size, timeout=0.5) as pool:

        def one(i: int) -> bool:
            def outer(_conn: psycopg.Connection[Any]) -> None:
                everybody.wait(5)
                bench.borrow(pool, lambda inner: inner.execute(PID), who=f"thread {i}")

            try:
                bench.borrow(pool, outer, who=f"thread {i}")
            except PoolUnavailable:
                return False
            return True

        served = sum(bench.crowd(threads, one))
    return _nesting(threads, size, served, began)


def _alone(bench: Bench) -> dict[str, Any]:
    """Let one borrower ask twice where there is one connection."""
    me = Holder("the lesson")
    with bench.pool(min_size=1, max_size=1, timeout=5) as pool:
        began = time.perf_counter()
        served = 1
        try:
            bench.borrow(pool, lambda _: bench.borrow(pool, lambda inner: inner.execute(PID), who=me), who=me)
        except PoolUnavailable:
            served = 0
        return _nesting(1, 1, served, began)


def _nesting(threads: int, size: int, served: int, began: float) -> dict[str, Any]:
    seconds = round(time.perf_counter() - began, 3)
    return {
        "threads": threads,
        "each holds": 2,
        "max_size": size,
        "served": served,
        "failed": threads - served,
        "seconds": seconds,
    }


LESSONS = (
    Lesson(
        "leak",
        "What does a borrower cost that never gives its connection back?",
        (
            "open a pool of 3 and let 6 workers use it",
            "keep one connection, then two, then all three",
            "look who holds them, end the holders, and measure again",
        ),
        3,
        _leak,
    ),
    Lesson(
        "self-deadlock",
        "How many connections does it take where a borrower borrows a second one?",
        (
            "let 3 threads each hold one connection, and then ask for a second",
            "with threads × (held at once − 1) connections, and with one more",
            "let one borrower ask twice at a pool of 1",
        ),
        4,
        _self_deadlock,
    ),
)
