"""The arithmetic against a real pool and a real server; `tests/benchmarks/sizing.py` is the long form, with figures.

Formulas get the measured rate and mean hold, so that a slow machine moves both sides, and holds are long beside what it
takes to wake a thread. The seed of the open load gives an ordinary sample: a queue without cost (`Run.as_ideal`) waits
with these arrivals as the formula says, also where each hold is some milliseconds longer. Every bound is at least twice
what ten runs differed by with four busy processes on two cores.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.sizing import Run, closed_load, open_load, opened, run_closed, run_open
from fix_pools import in_threads, until

from pgmonkey_magic.tuning import (
    busy_connections,
    closed_load_wait,
    erlang_c,
    mean_wait,
    self_deadlock_minimum,
    wait_quantile,
)

SIZE = 3
UTILISATION, OPEN_HOLD_S, OPEN_S = 0.7, 0.050, 7.0
WORKERS, THINK_S, CLOSED_HOLD_S, CLOSED_S = 8, 0.030, 0.020, 2.5
SEED = 11
NOTICEABLE_S = 0.002
"""A busy machine wakes a thread later than this at times; 4 % of true waits are shorter."""
NESTED = [(2, 2), (4, 2), (3, 3)]


@pytest.fixture(scope="module")
def open_run(server: Any) -> Run:
    rate = UTILISATION * SIZE / OPEN_HOLD_S
    return run_open(server.settings, SIZE, open_load(random.Random(SEED), rate, OPEN_S, hold_s=OPEN_HOLD_S))


@pytest.fixture(scope="module")
def closed_run(server: Any) -> Run:
    scripts = closed_load(random.Random(SEED), WORKERS, THINK_S, CLOSED_S, hold_s=CLOSED_HOLD_S)
    return run_closed(server.settings, SIZE, scripts, CLOSED_S)


def test_an_open_load_waits_as_often_as_erlang_says(open_run: Run) -> None:
    predicted = erlang_c(SIZE, busy_connections(open_run.rate, open_run.hold_s))
    assert open_run.from_outside().waiting == pytest.approx(predicted, abs=0.15)
    assert open_run.by_ledger(NOTICEABLE_S).waiting == pytest.approx(predicted, abs=0.15)


def test_an_open_load_waits_as_long_as_predicted(open_run: Run) -> None:
    load = SIZE, open_run.rate, open_run.hold_s
    for seen in (open_run.from_outside(), open_run.by_ledger()):
        assert mean_wait(*load) / 2 < seen.wait_s < mean_wait(*load) * 2
        assert wait_quantile(*load, 0.05) / 2 < seen.p95_s < wait_quantile(*load, 0.05) * 2


def test_the_connections_in_use_are_littles(open_run: Run) -> None:
    predicted = busy_connections(open_run.rate, open_run.hold_s)
    assert open_run.by_ledger().busy == pytest.approx(predicted, rel=0.05)
    assert open_run.busy_at_server == pytest.approx(predicted, rel=0.2)


def test_the_ledger_agrees_with_the_callers_clocks(open_run: Run, closed_run: Run) -> None:
    for seen in (open_run, closed_run):
        assert seen.usage.granted == len(seen.uses)
        assert seen.by_ledger().wait_s == pytest.approx(seen.from_outside().wait_s, rel=0.2, abs=0.001)
        assert sum(seen.usage.holds_s) / len(seen.uses) == pytest.approx(seen.hold_s, rel=0.1)


def test_a_closed_load_waits_as_predicted_and_not_as_erlang_says(closed_run: Run) -> None:
    predicted = closed_load_wait(SIZE, WORKERS, closed_run.think_s, closed_run.hold_s)
    for seen in (closed_run.from_outside(), closed_run.by_ledger()):
        assert seen.wait_s == pytest.approx(predicted, rel=0.4)
        assert abs(seen.wait_s - predicted) < abs(seen.wait_s - mean_wait(SIZE, closed_run.rate, closed_run.hold_s))


def nest(pool: Any, count: int, before_last: Any) -> None:
    """Borrow so many connections in this thread, one inside the other."""
    with ExitStack() as held:
        for level in range(count):
            if level == count - 1:
                before_last()
            held.enter_context(pool)


@pytest.mark.parametrize(("threads", "held_at_once"), NESTED)
def test_one_connection_fewer_than_the_minimum_can_deadlock(server: Any, threads: int, held_at_once: int) -> None:
    minimum = self_deadlock_minimum(threads, held_at_once)
    all_but_one = threading.Barrier(threads, timeout=10)
    with opened(server.settings, minimum - 1) as pool:
        crowd = threading.Thread(
            target=lambda: in_threads(threads, lambda _: nest(pool, held_at_once, all_but_one.wait))
        )
        crowd.start()
        until(lambda: pool.occupancy.waiting == threads and pool.occupancy.in_use == minimum - 1)
        time.sleep(0.3)
        assert pool.occupancy.waiting == threads  # each waits for what another one holds
        pool.apply(replace(pool.settings, max_size=minimum))
        crowd.join(10)
        assert not crowd.is_alive()  # the one that was missing is enough for all
        assert pool.occupancy.in_use == 0
        assert pool.ledger.usage().refused == 0


@pytest.mark.parametrize(("threads", "held_at_once"), NESTED)
def test_the_minimum_never_deadlocks(server: Any, threads: int, held_at_once: int) -> None:
    all_but_one = threading.Barrier(threads, timeout=10)
    with opened(server.settings, self_deadlock_minimum(threads, held_at_once), timeout_s=8) as pool:
        in_threads(threads, lambda _: nest(pool, held_at_once, all_but_one.wait))  # the worst order of events

        def as_it_comes(i: int) -> None:
            rng = random.Random(i)
            for _ in range(40):
                nest(pool, held_at_once, lambda: time.sleep(rng.uniform(0, 0.002)))

        in_threads(threads, as_it_comes)
        assert pool.ledger.usage().refused == 0
