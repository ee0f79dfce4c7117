"""The arithmetic against known values, its own laws, and a simulation of the queue."""

from __future__ import annotations

import heapq
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.tuning import (
    busy_connections,
    closed_load_wait,
    erlang_c,
    mean_wait,
    self_deadlock_minimum,
    smallest_size,
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


@pytest.mark.parametrize("share", [0.95, 0.51, 0, -0.05, math.nan])
def test_a_share_that_is_a_percentile_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is what may wait longer: 0\.05 for the p95"):
        wait_quantile(4, 32, 0.1, share)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"rate": 0}, {"hold_s": -0.1}, {"hold_s": math.nan}])
def test_a_wait_of_figures_that_no_pool_can_have_is_refused(wrong: dict[str, float]) -> None:
    figures: dict[str, Any] = {"size": 4, "rate": 32, "hold_s": 0.1, **wrong}
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be greater than 0"):
        wait_quantile(**figures, share=0.05)


@given(st.floats(0.01, 2000), st.floats(0.0001, 1), st.floats(0, 10), st.floats(0, 3))
def test_the_smallest_size_meets_the_goal_and_one_less_does_not(
    rate: float, hold_s: float, p95_s: float, cv: float
) -> None:
    size = smallest_size(rate, hold_s, p95_s, cv)
    assert wait_quantile(size, rate, hold_s, 0.05, cv) <= p95_s
    assert size == 1 or wait_quantile(size - 1, rate, hold_s, 0.05, cv) > p95_s


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ((0, 0.1, 0.02), "rate must be greater than 0"),
        ((40, -1, 0.02), "hold_s must be greater than 0"),
        ((40, 0.1, -0.02), "p95_s must be a number of seconds"),
        ((40, 0.1, math.nan), "p95_s must be a number of seconds"),
        ((40, 0.1, math.inf), "p95_s must be a number of seconds"),
        ((1e9, 100, 0.02), "has 262,143 at most"),
        ((math.inf, 0.1, 0.02), "has 262,143 at most"),
    ],
)
def test_no_size_is_given_for_nonsense(figures: tuple[float, float, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        smallest_size(*figures)


def test_a_very_large_load_has_its_size_too() -> None:
    assert smallest_size(40, 0.1, 0.020) == 8
    assert 262_143 < smallest_size(262_143, 1.0, 0.020) < 270_000
