"""The arithmetic of pool sizes beside a real pool: `python tests/benchmarks/sizing.py` (four minutes).

A hold is `SELECT pg_sleep(…)` in a block of one of our sync pools, 20 ms in the mean: BEGIN, the answer, COMMIT and the
giving back are in it, so the mean hold that goes into a formula is the measured one, and so is the rate.

Three columns are not the formula's. *ledger* is what the pool says of itself. *outside* is the caller's clock, the
caller's own count of requests that found every connection taken, and the server's view of how many are busy. *ideal* is
a queue without any cost that was given the same arrivals and holds: what it shares with the measurement and the formula
lacks is the luck of this sample. The range holds 95 % of 200 ideal runs of this length: how wide luck spreads.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools.ledger import Ledger, Usage, quantile
from pgmonkey_magic.tuning import busy_connections, closed_load_wait, erlang_c, mean_wait, wait_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SEED, SIZE, HOLD_S, SECONDS, RUNS = 20, 4, 0.020, 18.0, 200
OPEN = ((0.3, 1, SECONDS), (0.5, 1, SECONDS), (0.7, 1, SECONDS), (0.8, 1, SECONDS), (0.8, 0, SECONDS), (0.9, 1, 40.0))
"""Utilisation, coefficient of variation of the holds (1 exponential, 0 constant), seconds."""
CLOSED = ((6, 0.020), (12, 0.040), (24, 0.100))
"""Workers and the mean seconds that each thinks between two borrows."""
NOTICEABLE_S = 0.0003
"""A wait in the ledger below this is the cost of a borrow, not a queue."""
SAMPLED_EVERY_S = 0.025
THREADS = 150
NAME = "sizing"

Script = list[tuple[float, float]]
"""A worker's life: seconds before it asks for a connection, seconds that it holds it, and so on."""


class Figures(NamedTuple):
    """What is predicted and measured of a load."""

    waiting: float
    wait_s: float
    p95_s: float
    busy: float


@dataclass(frozen=True, slots=True)
class Use:
    """One borrow by the caller's clock, and whether it found every connection taken."""

    asked: float
    began: float
    ended: float
    met_full: bool

    @property
    def hold_s(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Run:
    """A load that was served: the uses of each worker in order, and what others saw of it."""

    seconds: float
    began: float
    workers: list[list[Use]]
    usage: Usage
    busy_at_server: float

    @property
    def uses(self) -> list[Use]:
        return [use for worker in self.workers for use in worker]

    @property
    def rate(self) -> float:
        return len(self.uses) / self.seconds

    @property
    def hold_s(self) -> float:
        return statistics.fmean(use.hold_s for use in self.uses)

    @property
    def think_s(self) -> float:
        """The mean thought of a closed load: all the time spent away from the pool, for each request that ended it.

        The mean of the thoughts themselves would lack those that the end of the run cut off: the long ones.
        """
        at_pool_s = sum(use.ended - use.asked for use in self.uses)
        return (len(self.workers) * self.seconds - at_pool_s) / len(self.uses)

    def by_ledger(self, noticeable_s: float = NOTICEABLE_S) -> Figures:
        return _figures(self.usage.waits_s, self.usage.busy, noticeable_s)

    def from_outside(self) -> Figures:
        figures = _figures([use.began - use.asked for use in self.uses], self.busy_at_server)
        return figures._replace(waiting=statistics.fmean(use.met_full for use in self.uses))

    def as_ideal(self, size: int) -> Figures:
        """Return what a queue that costs nothing makes of the same arrivals, thoughts and holds."""
        scripts = []
        for worker in self.workers:
            ends = [self.began, *(use.ended for use in worker)]
            scripts.append([(use.asked - end, use.hold_s) for use, end in zip(worker, ends, strict=False)])
        return ideal(size, scripts, self.seconds)


def _figures(waits_s: Iterable[float], busy: float, noticeable_s: float = 0.0) -> Figures:
    waits = sorted(waits_s)
    queued = sum(wait > noticeable_s for wait in waits) / len(waits)
    return Figures(queued, statistics.fmean(waits), quantile(waits, 0.95), busy)


def open_load(rng: random.Random, rate: float, seconds: float, hold_cv: float = 1, hold_s: float = HOLD_S) -> Script:
    """Return Poisson arrivals, as seconds since the beginning, with their holds."""
    script, at = [], rng.expovariate(rate)
    while at < seconds:
        script.append((at, rng.expovariate(1 / hold_s) if hold_cv else hold_s))
        at += rng.expovariate(rate)
    return script


def closed_load(
    rng: random.Random, workers: int, think_s: float, seconds: float, hold_s: float = HOLD_S
) -> list[Script]:
    """Return a script for each worker that lasts longer than the run."""
    scripts: list[Script] = []
    for _ in range(workers):
        script, lasts = [], 0.0
        while lasts < seconds:
            script.append((rng.expovariate(1 / think_s), rng.expovariate(1 / hold_s)))
            lasts += sum(script[-1])
        scripts.append(script)
    return scripts


def alone(arrivals: Script) -> list[Script]:
    """Return an open load as workers that ask once each."""
    return [[arrival] for arrival in arrivals]


def ideal(size: int, scripts: list[Script], seconds: float) -> Figures:
    """Serve in the order of arrival, at no cost. Requests after *seconds* are not made."""
    lives, queue = [iter(script) for script in scripts], []

    def ask(who: int, after: float) -> None:
        for think_s, hold_s in islice(lives[who], 1):
            heapq.heappush(queue, (after + think_s, who, hold_s))

    for who in range(len(lives)):
        ask(who, 0.0)
    free, waits, held_s, end = [0.0] * size, [], 0.0, seconds
    while queue and queue[0][0] < seconds:
        asked, who, hold_s = heapq.heappop(queue)
        begins = max(asked, heapq.heappop(free))
        heapq.heappush(free, begins + hold_s)
        ask(who, begins + hold_s)
        waits.append(begins - asked)
        held_s, end = held_s + hold_s, max(end, begins + hold_s)
    return _figures(waits, held_s / end)


@dataclass(slots=True)
class Driver:
    """Serves requests from a pool and notes each by the caller's clock."""

    pool: Any
    size: int
    began: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _present: int = 0

    def begin(self) -> None:
        """Open a new book: what happened before is not part of the run."""
        self.pool.ledger = Ledger()
        self.began = time.perf_counter()

    def serve(self, hold_s: float) -> Use:
        """Borrow, hold so long, give back."""
        with self._lock:
            met_full = self._present >= self.size
            self._present += 1
        asked = time.perf_counter()
        with self.pool as conn:
            began = time.perf_counter()
            conn.execute("SELECT pg_sleep(%s)", [hold_s])
        ended = time.perf_counter()
        with self._lock:
            self._present -= 1
        return Use(asked, began, ended, met_full)

    def serve_open(self, arrivals: Script) -> list[list[Use]]:
        """Serve each arrival at its time, whoever is still waiting."""
        everybody = threading.Barrier(THREADS + 1)
        with ThreadPoolExecutor(THREADS) as threads:
            for _ in range(THREADS):  # so that no arrival waits for a thread to start
                threads.submit(everybody.wait)
            everybody.wait()
            self.begin()
            served = []
            for at, hold_s in arrivals:
                time.sleep(max(0.0, self.began + at - time.perf_counter()))
                served.append(threads.submit(self.serve, hold_s))
            return [[use.result()] for use in served]

    def serve_closed(self, scripts: list[Script], seconds: float) -> list[list[Use]]:
        """Let each worker think, borrow, hold, and begin again."""
        self.begin()

        def live(script: Script) -> list[Use]:
            uses: list[Use] = []
            for think_s, hold_s in script:
                left = self.began + seconds - time.perf_counter()
                time.sleep(max(0.0, min(think_s, left)))
                if think_s > left:
                    break
                uses.append(self.serve(hold_s))
            return uses

        with ThreadPoolExecutor(len(scripts)) as threads:
            return list(threads.map(live, scripts))


@contextmanager
def opened(settings: dict[str, Any], size: int, timeout_s: float = 30) -> Iterator[Any]:
    """Open a pool of so many connections, all made and idle."""
    config = {
        "connection_settings": {**settings, "application_name": NAME},
        "pool_settings": {"min_size": size, "max_size": size, "timeout": timeout_s},
    }
    manager = PGConnectionManager()
    pool: Any = manager.get_database_connection_from_dict(config, "pool")
    try:
        pool.connect()
        deadline = time.monotonic() + 30
        while pool.occupancy.idle < size:
            if time.monotonic() > deadline:
                raise TimeoutError("the pool did not open its connections")
            time.sleep(0.02)
        yield pool
    finally:
        manager.clear_cache()


@contextmanager
def watched(settings: dict[str, Any]) -> Iterator[list[int]]:
    """Ask the server again and again how many of the pool's connections are busy."""
    seen: list[int] = []
    over = threading.Event()
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}' AND state <> 'idle'"

    def look() -> None:
        with psycopg.connect(**settings, autocommit=True) as conn:
            while not over.wait(SAMPLED_EVERY_S):
                seen.extend(row[0] for row in conn.execute(sql))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def run(settings: dict[str, Any], size: int, serve: Callable[[Driver], list[list[Use]]]) -> Run:
    """Serve a load from a new pool of *size* connections and return what was seen of it."""
    with opened(settings, size) as pool, watched(settings) as seen:
        driver = Driver(pool, size)
        workers = serve(driver)
        usage, seconds = pool.ledger.usage(), time.perf_counter() - driver.began
    return Run(seconds, driver.began, workers, usage, statistics.fmean(seen))


def run_open(settings: dict[str, Any], size: int, arrivals: Script) -> Run:
    """Serve an open load."""
    return run(settings, size, lambda driver: driver.serve_open(arrivals))


def run_closed(settings: dict[str, Any], size: int, scripts: list[Script], seconds: float) -> Run:
    """Serve a closed load."""
    return run(settings, size, lambda driver: driver.serve_closed(scripts, seconds))


def erlang(size: int, seen: Run, hold_cv: float = 1) -> Figures:
    """Predict an open load of the measured rate and mean hold."""
    rate, hold_s = seen.rate, seen.hold_s
    return Figures(
        erlang_c(size, busy_connections(rate, hold_s)),
        mean_wait(size, rate, hold_s, hold_cv),
        wait_quantile(size, rate, hold_s, 0.05, hold_cv),
        busy_connections(rate, hold_s),
    )


def machine_repair(size: int, seen: Run) -> Figures:
    """Predict a closed load of the measured mean thought and hold; its P(wait) and p95 have no formula here."""
    wait_s = closed_load_wait(size, len(seen.workers), seen.think_s, seen.hold_s)
    rate = len(seen.workers) / (seen.think_s + wait_s + seen.hold_s)
    return Figures(math.nan, wait_s, math.nan, busy_connections(rate, seen.hold_s))


def spread(size: int, seconds: float, load: Callable[[], list[Script]]) -> list[Figures]:
    """Return the 2.5 % and the 97.5 % point of each figure over ideal runs."""
    columns = [sorted(column) for column in zip(*(ideal(size, load(), seconds) for _ in range(RUNS)), strict=True)]
    return [Figures(*(quantile(column, share) for column in columns)) for share in (0.025, 0.975)]


def show(load: str, measured: list[Figures], low_high: list[Figures]) -> None:
    """Print the rows of one load: a line for each figure, a column for each source."""
    names = {"waiting": ("P(wait)", 1, 3), "wait_s": ("mean wait, ms", 1e3, 1), "p95_s": ("p95 wait, ms", 1e3, 1)}
    for key in Figures._fields:
        name, scale, digits = names.get(key, ("in use", 1, 2))
        cells, ends = (
            [f"{value * scale:.{digits}f}".replace("nan", "") for value in (getattr(each, key) for each in source)]
            for source in (measured, low_high)
        )
        print(f"| {load} | {name} | {' | '.join(cells)} | {' – '.join(ends)} |", flush=True)


def show_open(settings: dict[str, Any], rng: random.Random, utilisation: float, hold_cv: float, seconds: float) -> str:
    """Run an open load, print its rows, and return how punctual it was."""
    arrivals = open_load(rng, utilisation * SIZE / HOLD_S, seconds, hold_cv)
    seen = run_open(settings, SIZE, arrivals)
    late = sorted(use.asked - seen.began - at for use, (at, _) in zip(seen.uses, arrivals, strict=True))
    load = f"ρ {seen.rate * seen.hold_s / SIZE:.3f}{'' if hold_cv else ', constant holds'}, {seconds:.0f} s"
    show(
        load,
        [erlang(SIZE, seen, hold_cv), seen.by_ledger(), seen.from_outside(), seen.as_ideal(SIZE)],
        spread(SIZE, seconds, lambda: alone(open_load(rng, seen.rate, seconds, hold_cv, seen.hold_s))),
    )
    return (
        f"{load}: {len(arrivals)} requests, {seen.rate:.1f}/s, mean hold {seen.hold_s * 1e3:.2f} ms, late by "
        f"{quantile(late, 0.5) * 1e3:.2f} ms (median), {quantile(late, 0.99) * 1e3:.2f} ms (p99)"
    )


def show_closed(settings: dict[str, Any], rng: random.Random, workers: int, think_s: float) -> str:
    """Run a closed load, print its rows, and return its measured parameters."""
    seen = run_closed(settings, SIZE, closed_load(rng, workers, think_s, SECONDS), SECONDS)
    load = f"{workers} workers think {think_s * 1e3:.0f} ms, {SECONDS:.0f} s"
    show(
        load,
        [machine_repair(SIZE, seen), erlang(SIZE, seen), seen.by_ledger(), seen.from_outside(), seen.as_ideal(SIZE)],
        spread(SIZE, SECONDS, lambda: closed_load(rng, workers, seen.think_s, SECONDS, seen.hold_s)),
    )
    return (
        f"{load}: {len(seen.uses)} requests, {seen.rate:.1f}/s, mean hold {seen.hold_s * 1e3:.2f} ms, mean thought "
        f"{seen.think_s * 1e3:.2f} ms"
    )


def main() -> None:
    """Measure and print the tables."""
    rng = random.Random(SEED)
    with Cluster() as cluster:
        settings: dict[str, Any] = conninfo_to_dict(cluster.conninfo)
        print(f"Pools of {SIZE}, holds of {HOLD_S * 1e3:.0f} ms asked for, seed {SEED}.\n\nOpen load (Poisson):\n")
        print("| load | figure | Erlang C | ledger | outside | ideal | 95 % of ideal runs |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        notes = [show_open(settings, rng, *each) for each in OPEN]
        print("\nClosed load (workers that wait for their answer):\n")
        print("| load | figure | M/M/c//N | Erlang C | ledger | outside | ideal | 95 % of ideal runs |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        notes += [show_closed(settings, rng, *each) for each in CLOSED]
    print("", *notes, sep="\n* ")


if __name__ == "__main__":
    main()
