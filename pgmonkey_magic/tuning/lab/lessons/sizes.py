"""Lessons on how large a pool is: queueing, growth, shrink, too big."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.tuning.lab.lesson import Lesson
from pgmonkey_magic.tuning.lab.load import Load

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning.lab.bench import Bench
    from pgmonkey_magic.tuning.lab.lesson import Rows

ENOUGH_PROCESSORS = 0.8
SEED = 395
"""Of a second that is as busy as it was meant to be, neither lucky nor unlucky."""
WORK = "SELECT pg_catalog.sum(n) FROM pg_catalog.generate_series(1, 60000) AS n"
"""Some milliseconds of a processor of the server, and nothing else."""


def _queueing(bench: Bench) -> tuple[Rows, str]:
    size, hold_s, rows = 3, 0.02, []
    with bench.pool(min_size=size, max_size=size) as pool:
        for utilisation in (0.3, 0.6, 0.8, 0.95):
            report = bench.load(Load(rate=utilisation * size / hold_s, hold_s=hold_s, seconds=1.0, seed=SEED), pool)
            prediction, seen = report.prediction, report.measured
            rows.append(
                {
                    "busy %": round(seen.utilisation * 100, 1),
                    "requests/s": round(report.measurement.throughput, 1),
                    "P(wait) %": round(seen.p_wait * 100, 1),
                    "p95 wait ms": round(seen.p95_s * 1e3, 1),
                    "predicted from ms": prediction and round(prediction.low.p95_s * 1e3, 1),
                    "to ms": prediction and round(prediction.high.p95_s * 1e3, 1),
                }
            )
    first, last = rows[0], rows[-1]
    return rows, (
        f"at {first['busy %']:.0f} % busy {first['P(wait) %']:.0f} % of the requests waited and the p95 wait was "
        f"{first['p95 wait ms']:.0f} ms; at {last['busy %']:.0f} % it was {last['P(wait) %']:.0f} % and "
        f"{last['p95 wait ms']:.0f} ms, for {last['requests/s'] / max(first['requests/s'], 0.1):.1f} times the "
        f"requests: from about 80 % on the queue, not the work of {hold_s * 1e3:.0f} ms, is what one waits for"
    )


def _growth(bench: Bench) -> tuple[Rows, str]:
    with bench.pool(min_size=1, max_size=4, timeout=5) as pool:
        rows: Rows = [_burst(bench, pool, moment) for moment in ("4 ask at once", "4 ask again")]
        crowd = [bench.aside(lambda: bench.ask(pool, "SELECT pg_catalog.pg_sleep(0.8)")) for _ in range(8)]
        bench.until(lambda: pool.occupancy.in_use == 4 and pool.occupancy.waiting == 4)
        pool.apply(replace(pool.settings, max_size=8))
        raised_s = bench.until(lambda: pool.occupancy.in_use == 8)
        rows.append(_row(pool, "8 ask, max_size is raised to 8", raised_s))
        for thread, _ in crowd:
            thread.join()
    first, second, raised = rows
    return rows, (
        f"a pool with 1 connection, which 4 asked at once, grew to {first['open']} on demand: the last of them waited "
        f"{first['slowest wait ms']:.1f} ms for its connection to be opened, and {second['slowest wait ms']:.1f} ms "
        f"the next time; raising max_size served those who were waiting within {raised['slowest wait ms']:.0f} ms, "
        f"with {raised['open']} open"
    )


def _burst(bench: Bench, pool: PGPool | PGAsyncPool, moment: str) -> dict[str, Any]:
    asked = time.perf_counter()

    def one(i: int) -> float:
        def work(conn: psycopg.Connection[Any]) -> float:
            waited_s = time.perf_counter() - asked
            conn.execute("SELECT pg_catalog.pg_sleep(0.2)")
            return waited_s

        return bench.borrow(pool, work, who=f"client {i + 1}")

    return _row(pool, moment, max(bench.crowd(4, one)))


def _row(pool: PGPool | PGAsyncPool, moment: str, slowest_s: float) -> dict[str, Any]:
    return {"moment": moment, "open": pool.occupancy.size, "slowest wait ms": round(slowest_s * 1e3, 1)}


def _shrink(bench: Bench) -> tuple[Rows, str]:
    rows: Rows = []
    max_idle_s = 0.5
    with bench.pool(min_size=0, max_size=6, max_idle=max_idle_s) as pool:
        pids = bench.pids(pool, 6)
        began = time.perf_counter()

        def note(moment: str) -> dict[str, Any]:
            row = {"moment": moment, "seconds": round(time.perf_counter() - began, 2), "open": bench.alive(pids)}
            rows.append(row)
            return row

        note("6 were in use, all came back")
        thread, _ = bench.aside(lambda: bench.ask(pool, "SELECT pg_catalog.pg_sleep(0.4)"))
        bench.until(lambda: pool.occupancy.in_use == 1)
        pool.apply(replace(pool.settings, max_size=2))
        bench.until(lambda: bench.alive(pids) <= 2)
        lowered = note("max_size lowered to 2, one in use")
        thread.join()
        bench.until(lambda: bench.alive(pids) == 0, 4 * max_idle_s + 1)
        idle = note(f"idle for more than max_idle ({max_idle_s:g} s)")
    return rows, (
        f"lowering max_size from 6 to 2 closed {6 - lowered['open']} connections at once, while one was in use; the "
        f"last {lowered['open']}, above min_size 0, were closed {idle['seconds'] - lowered['seconds']:.1f} s later, "
        f"when nobody had needed them for max_idle ({max_idle_s:g} s): {idle['open']} are left on the server"
    )


def _too_big(bench: Bench) -> tuple[Rows, str]:
    # The better of two rounds: a moment in which the machine had something else to do tells nothing of the size.
    rounds = [[_throughput(bench, size, 0.4) for size in (1, 2, 4, 8)] for _ in range(2)]
    rows = [max(both, key=lambda row: row["served/s"]) for both in zip(*rounds, strict=True)]
    one, last = rows[0], rows[-1]
    more, longer = last["served/s"] / one["served/s"], last["hold ms"] / one["hold ms"]
    why = (
        "what the server's processors cannot do at once only waits inside of it, where nobody sees a queue"
        if more < ENOUGH_PROCESSORS * last["max_size"]
        else "this server has the processors for that many at once; a pool becomes too big where that ends"
    )
    return rows, (
        f"{last['max_size']} connections served {more:.1f} times as many statements as one ({last['served/s']:.0f} and "
        f"{one['served/s']:.0f} a second), and each statement took {longer:.1f} times as long: {why}"
    )


def _throughput(bench: Bench, size: int, seconds: float) -> dict[str, Any]:
    """Keep every connection of a pool busy with work for the server's processors."""
    with bench.pool(min_size=size, max_size=size) as pool:
        over = time.perf_counter() + seconds

        def one(_: int) -> list[float]:
            holds = []
            while (began := time.perf_counter()) < over:
                bench.check()
                bench.ask(pool, WORK)
                holds.append(time.perf_counter() - began)
            return holds

        holds = [hold for each in bench.crowd(size, one) for hold in each]
    return {
        "max_size": size,
        "served/s": round(len(holds) / seconds, 1),
        "hold ms": round(sum(holds) / len(holds) * 1e3, 2),
    }


LESSONS = (
    Lesson(
        "queueing",
        "From which load on does one wait for a connection?",
        (
            "open a pool of 3",
            "let requests of 20 ms in the mean arrive at random, so that 30, 60, 80 and 95 % of it are busy",
            "compare the waits with what queueing theory says of such a second",
        ),
        3,
        _queueing,
    ),
    Lesson(
        "growth",
        "How does a pool grow, and who waits for that?",
        (
            "open a pool with min_size 1 and max_size 4",
            "let 4 ask at once, twice",
            "let 8 ask, and raise max_size to 8 while 4 of them wait",
        ),
        8,
        _growth,
    ),
    Lesson(
        "shrink",
        "When are connections closed that nobody needs?",
        (
            "open 6 connections of a pool with min_size 0 and max_idle 0.5 s",
            "lower max_size to 2 while one is in use",
            "ask the server how many are left, now and after max_idle",
        ),
        7,
        _shrink,
    ),
    Lesson(
        "too-big",
        "Do more connections serve more?",
        (
            "give the server's processors something to do, over 1, 2, 4 and 8 connections that never rest",
            "count what is served, and how long each statement takes; twice, and the better of both counts",
        ),
        8,
        _too_big,
    ),
)
