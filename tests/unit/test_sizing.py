"""The arithmetic against known values, its own laws, and a simulation of the queue."""

from __future__ import annotations

import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.tuning import (
    busy_connections,
    closed_load_wait,
    erlang_c,
    mean_wait,
    self_deadlock_minimum,
    wait_quantile,
)


def test_known_values() -> None:
    assert busy_connections(200, 0.05) == pytest.approx(10)
    assert erlang_c(1, 0.5) == pytest.approx(0.5)  # M/M/1: the utilisation
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 8.0) == pytest.approx(0.409, abs=1e-3)
    assert mean_wait(1, 50, 0.01) == pytest.approx(0.01)
    assert self_deadlock_minimum(10, 2) == 11
    assert math.isinf(mean_wait(2, 300, 0.01))


@given(st.integers(1, 200), st.floats(0.001, 0.999))
def test_a_probability_falls_with_the_size(size: int, utilisation: float) -> None:
    busy = size * utilisation
    assert 0 <= erlang_c(size + 1, busy) <= erlang_c(size, busy) <= 1


@given(st.integers(1, 50), st.integers(1, 200), st.floats(0, 10), st.floats(0.001, 10))
def test_a_closed_load_obeys_littles_law(size: int, workers: int, think_s: float, hold_s: float) -> None:
    wait = closed_load_wait(size, workers, think_s, hold_s)
    assert wait >= 0
    throughput = workers / (think_s + hold_s + wait)
    assert throughput <= size / hold_s * (1 + 1e-6)  # the pool can serve no more than this


def test_an_open_load_waits_as_simulated() -> None:
    rng = random.Random(7)
    size, rate, hold_s = 4, 32.0, 0.1
    free, now, waits = [0.0] * size, 0.0, []
    for _ in range(200_000):
        now += rng.expovariate(rate)
        begins = max(now, heapq.heappop(free))
        waits.append(begins - now)
        heapq.heappush(free, begins + rng.expovariate(1 / hold_s))
    waits.sort()
    assert sum(waits) / len(waits) == pytest.approx(mean_wait(size, rate, hold_s), rel=0.1)
    assert waits[int(0.95 * len(waits))] == pytest.approx(wait_quantile(size, rate, hold_s, 0.05), rel=0.1)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(erlang_c(size, rate * hold_s), rel=0.05)
