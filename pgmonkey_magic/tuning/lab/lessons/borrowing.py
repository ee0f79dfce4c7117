"""Lessons on a borrow from its begin to its end: reuse, exhaustion, interrupt."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.pools import PoolUnavailable
from pgmonkey_magic.tuning.lab.bench import PID
from pgmonkey_magic.tuning.lab.lesson import Lesson

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.tuning.lab.bench import Bench
    from pgmonkey_magic.tuning.lab.lesson import Rows

SLEEP = "SELECT pg_catalog.pg_sleep(%s)"


def _reuse(bench: Bench) -> tuple[Rows, str]:
    opened = [_timed(lambda: bench.outside("SELECT 1")) for _ in range(5)]
    with bench.pool(min_size=3, max_size=3) as pool:

        def worker(i: int) -> dict[str, Any]:
            asked = time.perf_counter()
            waited: list[float] = []

            def work(conn: psycopg.Connection[Any]) -> int:
                waited.append(time.perf_counter() - asked)
                ((pid, _),) = conn.execute("SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_sleep(0.05)").fetchall()
                return pid

            pid = bench.borrow(pool, work, who=f"worker {i}")
            return {"worker": i, "backend pid": pid, "waited ms": round(waited[0] * 1e3, 1)}

        rows = bench.crowd(6, worker)
        borrows = [_timed(lambda: bench.borrow(pool, lambda _: None)) for _ in range(50)]
    backends = len({row["backend pid"] for row in rows})
    borrow_ms, open_ms = (statistics.median(each) * 1e3 for each in (borrows, opened))
    return rows, (
        f"6 workers were served by {backends} backends, because each connection came back and was lent again; to "
        f"borrow and return one takes {borrow_ms:.2f} ms (median of 50), to open a new one for a statement "
        f"{open_ms:.1f} ms (median of 5)"
    )


def _exhaustion(bench: Bench) -> tuple[Rows, str]:
    timeout_s = 0.3
    rows: Rows = []
    with bench.pool(min_size=2, max_size=2, timeout=timeout_s) as pool:
        crowd = [
            bench.aside(lambda who=who: bench.borrow(pool, lambda conn: conn.execute(SLEEP, [0.8]), who=who))
            for who in ("report", "import")
        ]
        bench.until(lambda: pool.occupancy.in_use == 2)
        error: PoolUnavailable | None = None
        began = time.perf_counter()
        try:
            bench.ask(pool, PID, who="visitor")
        except PoolUnavailable as failed:
            error = failed
        waited_s = time.perf_counter() - began
        holders = [line.split(" held by ", 1)[1] for line in error.detail if " held by " in line] if error else []
        rows.append({"request": "while both are held", "result": _named(error), "seconds": round(waited_s, 3)})
        for thread, _ in crowd:
            thread.join()
        again_s = _timed(lambda: bench.ask(pool, PID, who="visitor"))
        rows.append({"request": "after they came back", "result": "served", "seconds": round(again_s, 3)})
    return rows, (
        f"with both connections held the third request waited for {waited_s:.2f} s (timeout is {timeout_s:g} s), then "
        f"failed with {_named(error)}, which names the holders ({'; '.join(holders)}); once they had given back, the "
        f"next was served in {again_s * 1e3:.1f} ms"
    )


def _interrupt(bench: Bench) -> tuple[Rows, str]:
    rows: Rows = []
    size = 2
    with bench.pool(min_size=size, max_size=size) as pool:
        before = set(bench.pids(pool, size))
        for i in range(8):
            thread, outcome = bench.aside(lambda: bench.borrow(pool, lambda conn: conn.execute(SLEEP, [20])))
            bench.until(lambda: pool.occupancy.in_use == 1)
            bench.sleep(0.01 * i)  # at another moment each time, also before the statement has reached the server
            began = time.perf_counter()
            while thread.is_alive():
                bench.cut()
                thread.join(0.02)
            ended_s = time.perf_counter() - began
            state = getattr(outcome[0], "sqlstate", None)
            rows.append({"interrupted after ms": 10 * i, "ended in ms": round(ended_s * 1e3, 1), "SQLSTATE": state})
        after = bench.pids(pool, size)
        ((running,),) = bench.outside(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE pid = ANY(%s) AND state = 'active'",
            after,
        )
    slowest_ms = max(row["ended in ms"] for row in rows)
    return rows, (
        f"{len(rows)} statements of 20 s were cancelled on the server and ended within {slowest_ms:.0f} ms, and "
        f"{running or 'none'} of them runs on; afterwards {len(after)} of {size} connections could be borrowed at "
        f"once, over {len(set(after) & before)} of the same backends"
    )


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _named(error: Exception | None) -> str:
    return type(error).__name__ if error else "served"


LESSONS = (
    Lesson(
        "reuse",
        "Do connections come back, and what does that save?",
        (
            "open a pool of 3",
            "let 6 workers ask at once for their backend's process id, and hold for 50 ms",
            "time 50 borrows, and 5 connections opened without a pool",
        ),
        4,
        _reuse,
    ),
    Lesson(
        "exhaustion",
        "What happens when every connection is taken for longer than the timeout?",
        (
            "open a pool of 2 whose timeout is 0.3 s",
            "let two borrowers hold for 0.8 s",
            "ask for a third connection, and once more after they came back",
        ),
        2,
        _exhaustion,
    ),
    Lesson(
        "interrupt",
        "What becomes of a statement and its connection when it is interrupted?",
        (
            "open a pool of 2",
            "start a statement of 20 s and cancel it, 8 times, each time a little later",
            "borrow all connections, and look what the server still runs",
        ),
        3,
        _interrupt,
    ),
)
