"""Predictions with their ranges, the row of sizes, recommendations and refusals, presets, the diff to be shown."""

from __future__ import annotations

import heapq
import math
import random
import statistics
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmonkey_magic.config import PoolSettings, edit_yaml
from pgmonkey_magic.pools import Usage, quantile
from pgmonkey_magic.tuning import (
    LIFECYCLES,
    PER_FLASK_WORKER,
    Goal,
    Reading,
    Workload,
    closed_load,
    closed_load_wait,
    fastapi_size,
    goal_for,
    lately,
    mean_wait,
    observed,
    predict,
    recommend,
    troubles,
    what_if,
    yaml_diff,
)

RATE, HOLD_S = 140.0, 0.02  # 2.8 connections busy


def served(size: int, rate: float, hold: Any, count: int, seed: int) -> tuple[list[float], list[float]]:
    """Serve Poisson arrivals one by one; return waits and holds, ascending."""
    rng = random.Random(seed)
    free, now, waits, holds = [0.0] * size, 0.0, [], []
    for _ in range(count):
        now += rng.expovariate(rate)
        holds.append(hold(rng))
        begins = max(now, heapq.heappop(free))
        waits.append(begins - now)
        heapq.heappush(free, begins + holds[-1])
    return sorted(waits), sorted(holds)


def load_of(size: int = 4, rate: float = RATE, count: int = 5000, seed: int = 5, **others: Any) -> Workload:
    """Return what a ledger would say of so many requests with exponential holds of 20 ms."""
    waits, holds = served(size, rate, lambda rng: rng.expovariate(1 / HOLD_S), count, seed)
    seen = usage(waits, holds, count / rate)
    return replace(observed(seen), rest_busy=1.0, **others)


def usage(waits: list[float], holds: list[float], seconds: float, refused: int = 0) -> Usage:
    return Usage(seconds, len(holds), refused, sum(holds) / seconds, tuple(waits), tuple(holds))


# -- prediction -------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 60), st.floats(0, 5), st.floats(0.001, 5))
@settings(max_examples=60, deadline=None)
def test_a_closed_load_waits_as_the_states_of_the_machine_repair_model_say(
    size: int, workers: int, think_s: float, hold_s: float
) -> None:
    utilisation, p_wait, mean_s, p95_s = closed_load(size, workers, think_s, hold_s)
    assert mean_s == pytest.approx(closed_load_wait(size, workers, think_s, hold_s), rel=1e-6, abs=1e-9)
    assert 0 <= p_wait <= 1 + 1e-9
    assert 0 < utilisation <= 1 + 1e-9
    assert p95_s >= 0
    assert (p95_s == 0) == (p_wait <= 0.05)


@pytest.mark.parametrize(("size", "hold_cv", "source"), [(4, 1.0, "Erlang C"), (4, 0.0, "Erlang C, Allen-Cunneen")])
def test_an_open_load_waits_within_its_range(size: int, hold_cv: float, source: str) -> None:
    prediction = predict(size, Workload(RATE, HOLD_S, hold_cv), requests=2000)
    assert prediction.source == source
    assert prediction.expected.mean_s == pytest.approx(mean_wait(size, RATE, HOLD_S, hold_cv))
    hold = (lambda rng: rng.expovariate(1 / HOLD_S)) if hold_cv else (lambda _: HOLD_S)
    inside = 0
    for seed in range(20):
        waits, _ = served(size, RATE, hold, 2000, seed)
        inside += prediction.low.p95_s <= quantile(waits, 0.95) <= prediction.high.p95_s
    assert inside >= 16  # of 95 in 100, so that 15 or fewer of 20 come once in 400 times
    for figure in ("p_wait", "mean_s", "p95_s"):
        assert getattr(prediction.low, figure) <= getattr(prediction.expected, figure)
        assert getattr(prediction.expected, figure) <= getattr(prediction.high, figure)


def test_a_closed_load_is_in_its_range_and_has_a_formula_only_for_exponential_holds() -> None:
    load = Workload(0, HOLD_S, 1.0, workers=12, think_s=0.04)
    prediction = predict(4, load, requests=2000)
    assert prediction.source == "M/M/c//N"
    assert prediction.low.mean_s < prediction.expected.mean_s < prediction.high.mean_s
    constant = predict(4, replace(load, hold_cv=0.0), requests=2000)
    assert constant.source.startswith("simulated")
    assert constant.expected.mean_s < prediction.expected.mean_s


def test_fewer_requests_have_a_wider_range_and_the_same_call_the_same_answer() -> None:
    load = Workload(RATE, HOLD_S)
    few, many = (predict(4, load, requests=count) for count in (100, 2000))
    assert few.high.p95_s - few.low.p95_s > 1.5 * (many.high.p95_s - many.low.p95_s)
    assert predict(4, load, requests=100) == few


def test_the_measured_holds_count_and_not_only_their_mean() -> None:
    rare_long = tuple(sorted([0.002] * 950 + [0.362] * 50))
    load = Workload(RATE, statistics.fmean(rare_long), 3.9, 1000, 60, holds_s=rare_long)
    assert predict(8, load, requests=1000).high.p95_s > 3 * predict(8, Workload(RATE, HOLD_S), requests=1000).high.p95_s


# -- what if ----------------------------------------------------------------------------------------------------


def test_a_row_of_sizes_with_the_measured_one_beside_its_prediction() -> None:
    answer = what_if(load_of(), 4)
    assert answer.refusal is None
    assert answer.cautions == ()
    assert [row.size for row in answer.rows] == [2, 3, 4, 5, 6, 8]
    assert [row.size for row in answer.rows if row.measured] == [4]
    present = answer.rows[2]
    assert present.measured is not None
    low, high = present.prediction.low, present.prediction.high
    assert low.p95_s <= present.measured.p95_s <= high.p95_s
    waits = [row.prediction.expected.p95_s for row in answer.rows]
    assert waits == sorted(waits, reverse=True)
    assert math.isinf(waits[0])  # 2 connections cannot serve what keeps 2.8 busy
    row = present.as_dict()
    assert (row["max_size"], row["now"], row["by"]) == (4, True, "Erlang C")
    assert row["measured p95 ms"] == pytest.approx(present.measured.p95_s * 1e3, abs=0.01)


def test_other_sizes_are_predicted_as_they_would_have_been() -> None:
    answer = what_if(load_of(size=6), 6, sizes=[4, 5, 6, 8])
    for row in answer.rows:
        waits, _ = served(row.size, RATE, lambda rng: rng.expovariate(1 / HOLD_S), 2000, 77)
        assert row.prediction.low.p95_s <= quantile(waits, 0.95) <= row.prediction.high.p95_s


@given(st.integers(3, 8), st.floats(0, 2), st.integers(200, 2000))
@settings(max_examples=20, deadline=None)
def test_what_is_expected_lies_in_the_range_beside_it(size: int, hold_cv: float, count: int) -> None:
    load = Workload(2.976 / HOLD_S, HOLD_S, hold_cv, count, 60)  # 3 connections are busy by 99.2 %
    for each in what_if(load, 8, sizes=[size]).rows:
        low, expected, high = (getattr(each.prediction, name).p95_s for name in ("low", "expected", "high"))
        assert low <= expected <= high


def test_a_steady_state_that_no_such_stretch_reaches_is_not_what_is_expected() -> None:
    nearly_full, roomy = what_if(Workload(2.976 / HOLD_S, HOLD_S, requests=250, seconds=60), 8, sizes=[3, 8]).rows
    assert nearly_full.prediction.source == "simulated (the steady state is outside the range of such a stretch)"
    assert nearly_full.prediction.expected == nearly_full.prediction.middle
    assert roomy.prediction.source == "Erlang C"


@pytest.mark.parametrize(
    ("load", "size", "said"),
    [
        (load_of(count=37), 4, "37 of 200 requests and 0 of 30 s so far; ask again in 30 s"),
        (
            Workload(RATE, HOLD_S, requests=50, seconds=20),
            4,
            "50 of 200 requests and 20 of 30 s so far; ask again in 60 s",
        ),
        (Workload(0, 0), 4, "0 of 200 requests and 0 of 30 s so far; ask again once it is at work"),
        (load_of(), 2, "not stable: 2.8 of 2 connections"),
        (load_of(refused=100), 4, "100 of 5100 requests got no connection"),
        (load_of(bottleneck="the server is the bottleneck"), 4, "the server is the bottleneck"),
    ],
)
def test_it_refuses_to_guess(load: Workload, size: int, said: str) -> None:
    answer = what_if(load, size)
    assert answer.rows == ()
    assert answer.refusal is not None
    assert said in answer.refusal


def test_it_says_where_the_load_is_not_the_one_of_the_formula() -> None:
    load = load_of()
    closed = replace(load, waits_s=tuple(wait / 20 for wait in load.waits_s))
    (caution,) = what_if(closed, 4).cautions
    assert "shorter than the predicted range" in caution
    assert "closed load" in caution
    bursts = replace(load, waits_s=tuple(wait * 20 for wait in load.waits_s))
    (caution,) = what_if(bursts, 4).cautions
    assert "longer than the predicted range" in caution


# -- the load that is observed ----------------------------------------------------------------------------------


def readings(*stretches: tuple[float, int, float]) -> list[Reading]:
    """Return running totals after stretches of (seconds, requests, hold)."""
    found, seconds, granted, held_s = [Reading(0, 0, 0, 0)], 0.0, 0, 0.0
    for length, count, hold_s in stretches:
        seconds, granted, held_s = seconds + length, granted + count, held_s + count * hold_s
        found.append(Reading(seconds, granted, 0, held_s))
    return found


def life(history: list[Reading], holds: list[float]) -> Usage:
    last = history[-1]
    return Usage(last.seconds, last.granted, last.refused, last.held_s / last.seconds, (), tuple(sorted(holds)))


def test_the_busiest_stretch_counts_and_the_quietest_is_known() -> None:
    history = readings((30, 60, 0.01), (30, 3000, 0.01), (30, 90, 0.01))
    load = observed(life(history, [0.01] * 100), history)
    assert load.rate == pytest.approx(100)
    assert load.requests == 3000
    assert load.busy == pytest.approx(1.0)
    assert load.rest_busy == pytest.approx(0.02)
    assert load.hold_cv == 0
    whole = observed(life(history, [0.01] * 100))
    assert whole.rate == pytest.approx(35)
    assert whole.rest_busy is None


def test_holds_that_grow_with_the_connections_in_use_are_the_server() -> None:
    history = readings((30, 600, 0.01), (30, 900, 0.05))
    load = observed(life(history, [0.03] * 100), history)
    assert load.bottleneck is not None
    assert "50.0 ms with 1.5 connections busy and 10.0 ms with 0.2" in load.bottleneck
    history = readings((30, 600, 0.01), (30, 3000, 0.011))
    assert observed(life(history, [0.01] * 100), history).bottleneck is None


def test_holds_that_only_vary_by_chance_are_not_the_server() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        stretches = []
        for _ in range(40):
            count = rng.randint(50, 200)
            stretches.append((30.0, count, sum(rng.expovariate(1 / 0.02) for _ in range(count)) / count))
        history = readings(*stretches)
        assert observed(life(history, [0.02] * 100), history).bottleneck is None


def test_readings_closer_than_a_stretch_are_put_together() -> None:
    history = readings(*[(5, 50, 0.01)] * 6)
    assert observed(life(history, [0.01] * 100), history).seconds == pytest.approx(30)
    assert observed(life(history[:3], [0.01] * 100), history[:3]).rest_busy is None


def test_the_newest_stretch_has_its_own_waits_and_holds() -> None:
    history = readings((30, 60, 0.01), (40, 400, 0.02))
    now = Usage(80, 560, 0, (60 * 0.01 + 400 * 0.02 + 100 * 0.03) / 80, (), ())

    def latest(count: int) -> tuple[list[float], list[float]]:
        assert count == 500
        return [0.001] * count, [0.022] * count

    ledger: Any = SimpleNamespace(usage=lambda: now, latest=latest)
    load = lately(ledger, history)
    assert (load.seconds, load.requests, load.rate) == (50, 500, 10)
    assert load.hold_s == pytest.approx(0.022)
    assert len(load.waits_s) == len(load.holds_s) == 500
    ledger.latest = lambda count: ([0.0] * count, [0.01] * count)
    assert lately(ledger, []).requests == 560


def test_waits_that_are_not_known_to_be_the_loads_are_not_shown() -> None:
    answer = what_if(replace(load_of(), waits_s=()), 4)
    assert answer.cautions == ()
    assert [row.size for row in answer.rows if row.is_present] == [4]
    assert all(row.measured is None and row.as_dict()["measured p95 ms"] is None for row in answer.rows)


# -- recommend --------------------------------------------------------------------------------------------------

PRESENT = PoolSettings(min_size=2, max_size=10)


def test_the_smallest_size_that_meets_the_target_with_its_reasons() -> None:
    load = load_of(size=10)
    found = recommend(load, PRESENT, Goal(0.010, most=20, lifecycle=LIFECYCLES["bursty"]))
    assert found.refusal is None
    assert found.row is not None
    size = found.settings.max_size
    assert found.row.prediction.expected.p95_s <= 0.010 < predict(size - 1, load, requests=1).expected.p95_s
    assert asdict(found.settings) == asdict(PRESENT) | {
        "min_size": 1,
        "max_size": size,
        "max_idle": 60,
        "max_lifetime": 1800,
    }
    assert [reason.split()[0] for reason in found.reasons] == ["max_size", "min_size", "max_idle"]
    assert "Erlang C" in found.reasons[0]
    looser = recommend(load, PRESENT, Goal(0.015))
    assert looser.row is not None
    assert looser.settings.max_size < size
    one_less = predict(looser.settings.max_size - 1, load, requests=1)
    assert looser.row.prediction.expected.p95_s <= 0.015 < one_less.expected.p95_s


def test_a_load_without_a_formula_gets_a_size_that_meets_the_target() -> None:
    load = Workload(0, HOLD_S, 0.0, 1000, 60, workers=12, think_s=2 * HOLD_S)
    found = recommend(load, PRESENT, Goal(HOLD_S))
    assert found.row is not None
    assert found.row.prediction.source.startswith("simulated")
    assert found.row.prediction.expected.p95_s <= HOLD_S
    assert 1 < found.settings.max_size <= 12


@pytest.mark.parametrize(
    ("load", "goal", "trouble", "said"),
    [
        (load_of(size=10, count=150), Goal(0.01), (), "150 of 200 requests"),
        (load_of(size=10, rate=600.0, count=20_000), Goal(0.01), (), "not stable"),
        (load_of(size=10), goal_for(0.01, free=40, processes=10), (), "the server has 4 for this pool"),
        (load_of(size=10), Goal(0.01), ("thread x 90.0 s looks like a leak",), "looks like a leak"),
        (load_of(size=10, count=150), Goal(0.01), ("the last attempt to connect failed",), "last attempt to connect"),
    ],
)
def test_it_recommends_nothing_and_says_why(load: Workload, goal: Goal, trouble: Any, said: str) -> None:
    found = recommend(load, PRESENT, goal, trouble)
    assert found.settings == PRESENT
    assert found.reasons == ()
    assert found.refusal is not None
    assert said in found.refusal


def test_a_leak_and_a_failed_connect_are_troubles() -> None:
    class Held:
        def seconds(self) -> float:
            return 90.0

        def __str__(self) -> str:
            return "thread x 90.0 s"

    ledger = SimpleNamespace(usage=lambda: usage([0.0], [0.01], 60), held=lambda: [Held()])
    pool: Any = SimpleNamespace(ledger=ledger, connect_error=OSError("no\nroute"))
    leak, failed = troubles(pool)
    assert leak.startswith("thread x 90.0 s looks like a leak")
    assert failed.endswith("no route")
    pool = SimpleNamespace(ledger=SimpleNamespace(usage=ledger.usage, held=list), connect_error=None)
    assert troubles(pool) == ()


def test_the_presets_are_the_tutorials() -> None:
    assert {name: (preset.max_idle, preset.max_lifetime) for name, preset in LIFECYCLES.items()} == {
        "steady": (300, 3600),
        "bursty": (60, 1800),
        "background": (600, 7200),
    }
    for preset in LIFECYCLES.values():
        PoolSettings.from_mapping(preset.settings())
        assert preset.reason
    assert (PER_FLASK_WORKER.low, PER_FLASK_WORKER.high) == (5, 10)
    assert (fastapi_size(10).low, fastapi_size(10).high) == (20, 30)


# -- the diff ---------------------------------------------------------------------------------------------------

CANARY = "hunter2-canary"
TEXT = f"""\
# ours
connection_settings:
  host: localhost
  password: {CANARY}   # do not lose it
pool_settings:
  min_size: 2     # at night
  max_size: 10
"""


def test_the_diff_shows_what_changes_and_no_secret() -> None:
    shown = yaml_diff(TEXT, edit_yaml(TEXT, {"pool_settings": {"max_size": 30}}), "our.yaml")
    assert "-  max_size: 10" in shown
    assert "+  max_size: 30" in shown
    assert shown.splitlines()[:2] == ["--- our.yaml", "+++ our.yaml, changed"]
    assert "min_size: 2     # at night" in shown
    assert CANARY not in shown
    assert yaml_diff(TEXT, TEXT) == ""


@pytest.mark.parametrize(
    "text",
    [
        f"{{connection_settings: {{password: {CANARY}, host: x}}, pool_settings: {{max_size: 10}}}}\n",
        f"connection_settings:\n  password: '{CANARY}'\npool_settings:\n  max_size: 10\n",
        f"connection_settings:\n  password: >-\n    {CANARY}\npool_settings:\n  max_size: 10\n",
        f"connection_settings:\n  user: &a {CANARY}\n  password: *a\npool_settings: {{max_size: 10}}\n",
        f"connection_settings:\n  sslpassword:\n    {CANARY}\npool_settings: {{max_size: 10}}\n",
        f"postgresql:\n  connection_settings: {{password: {CANARY}}}\n  pool_settings: {{max_size: 10}}\n",
    ],
)
def test_no_way_to_write_a_secret_shows_it(text: str) -> None:
    shown = yaml_diff(text, edit_yaml(text, {"pool_settings": {"max_size": 30}}))
    assert "30" in shown
    assert CANARY not in shown


def test_a_reference_to_a_secret_is_shown() -> None:
    text = TEXT.replace(f"{CANARY}   # do not lose it", "{from_env: PGPASSWORD}").replace("# ours\n", "")
    shown = yaml_diff(text, edit_yaml(text, {"connection_settings": {"host": "db"}}))
    assert "password: {from_env: PGPASSWORD}" in shown
