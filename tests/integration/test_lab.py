"""The lab on a real server, over both kinds of pool: measured beside predicted, bounded, stopped, nothing left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from fix_pools import Kind, until
from fix_server import Server

from pgmonkey_magic import RequestError
from pgmonkey_magic.config import Config, parse_config
from pgmonkey_magic.pools import cached_entries
from pgmonkey_magic.tuning.lab import (
    APPLICATION_NAME,
    LESSONS,
    Answer,
    LabStopped,
    LessonRun,
    Load,
    LoadRun,
    allowance,
    histogram,
)
from pgmonkey_magic.tuning.lab.bench import LOOK
from pgmonkey_magic.tuning.lab.load import Clock, Script

SIZE, HOLD_S = 3, 0.04
PROMPTLY_S = 1.0
SHORT = {"reuse", "stale", "session-state"}
"""Lessons that may be over before they are stopped."""


@pytest.fixture
def config(server: Server) -> Iterator[Config]:
    """A configuration of the test server; at the end nothing of the lab is left, on the server or here."""
    pools = len(cached_entries())
    yield parse_config(server.config())
    until(lambda: server.backends(APPLICATION_NAME) == 0, 2)
    until(lambda: server.backends(LOOK) == 0, 2)
    until(lambda: not lab_threads(), 2)
    assert len(cached_entries()) == pools


def lab_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pgmonkey-lab")]


# -- loads ------------------------------------------------------------------------------------------------------

LOADS = {
    "open": Load(rate=0.75 * SIZE / HOLD_S, hold_s=HOLD_S, seconds=4, seed=8),
    "open, constant holds": Load(rate=0.75 * SIZE / HOLD_S, hold_s=HOLD_S, hold="constant", seconds=4, seed=8),
    "closed": Load(workers=8, think_s=0.06, hold_s=HOLD_S, seconds=3, seed=8),
    "closed, constant holds": Load(workers=8, think_s=0.06, hold_s=HOLD_S, hold="constant", seconds=3, seed=8),
}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_what_is_measured_lies_in_the_predicted_range(config: Config, kind: Kind, load: Load) -> None:
    report = LoadRun.begin(load, config, kind.connection_type, max_size=SIZE).outcome()
    prediction, seen = report.prediction, report.measured
    assert prediction is not None
    assert (report.measurement.timeouts, report.measurement.errors) == (0, 0)
    # A busy machine wakes a thread some milliseconds late, which no formula knows.
    assert prediction.low.mean_s / 2 - 0.005 <= seen.mean_s <= 2 * prediction.high.mean_s + 0.005
    assert prediction.low.p95_s / 2 - 0.005 <= seen.p95_s <= 2 * prediction.high.p95_s + 0.005
    assert prediction.low.p_wait - 0.15 <= seen.p_wait <= prediction.high.p_wait + 0.15
    assert 0.4 < seen.utilisation <= 1
    assert report.wait_s(0.5) <= report.wait_s(0.95) <= report.wait_s(0.99)
    assert sum(each.requests for each in report.histogram) == len(report.measurement.served)
    p95 = next(row for row in report.rows() if row["figure"] == "p95 wait ms")
    assert p95["from"] <= p95["predicted"] <= p95["to"]


def test_more_than_the_pool_can_serve_times_out_and_ends_all_the_same(config: Config, kind: Kind) -> None:
    load = Load(rate=60, hold_s=0.1, hold="constant", seconds=1.5)
    report = LoadRun.begin(load, config, kind.connection_type, max_size=2, timeout=0.3).outcome()
    seen = report.measurement
    assert seen.timeouts > 0
    assert "came free within" in seen.causes[0]
    assert any("more is asked than the pool can serve" in each for each in report.cautions)
    assert seen.seconds < load.seconds + 2
    assert seen.throughput <= 2 / 0.1 * 1.1


def test_a_request_that_finds_no_client_free_waits_from_its_arrival_on(config: Config, kind: Kind) -> None:
    load = Load(rate=200, hold_s=0.05, hold="constant", seconds=2.5)
    report = LoadRun.begin(load, config, kind.connection_type, max_size=2).outcome()
    # 40 a second are served, so the hundredth waits for 2 s; behind the 31 others at the pool it would be 0.8 s.
    assert report.wait_s(0.99) > 1.4


def test_a_run_is_watched_while_it_runs(config: Config, kind: Kind) -> None:
    run = LoadRun.begin(Load(workers=6, hold_s=0.02, seconds=20), config, kind.connection_type, max_size=2)
    until(lambda: len(run.measurement().served) > 10)
    first = run.measurement()
    assert run.pool is not None
    assert run.pool.occupancy.size == 2
    until(lambda: len(run.measurement().moments) > len(first.moments) + 3)
    second = run.measurement()
    assert len(second.served) > len(first.served)
    assert second.served[: len(first.served)] == first.served
    assert max(moment.in_use for moment in second.moments) == 2
    assert max(moment.waiting for moment in second.moments) >= 1
    assert histogram(sorted(each.wait_s for each in second.served))
    assert run.stop(PROMPTLY_S)


@pytest.mark.parametrize(
    "load", [Load(workers=20, hold_s=20, hold="constant", seconds=30), Load(rate=50, hold_s=20, seconds=30)]
)
def test_a_run_stops_at_once_in_the_middle_of_its_holds(config: Config, server: Server, kind: Kind, load: Load) -> None:
    run = LoadRun.begin(load, config, kind.connection_type, max_size=4)
    until(lambda: run.pool is not None and run.pool.occupancy.in_use == 4 and run.pool.occupancy.waiting > 5)
    began = time.monotonic()
    assert run.stop(PROMPTLY_S)
    assert time.monotonic() - began < PROMPTLY_S
    assert server.query("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND state = 'active'")[0] == (
        1,
    )
    report = run.outcome()
    assert report.measurement.cut >= 5
    assert report.measurement.errors == 0
    assert report.prediction is None


def test_a_run_on_a_pool_of_others_leaves_it_and_them_alone(config: Config, server: Server, kind: Kind) -> None:
    pool = kind.open(server.config(application_name="ours"), min_size=2, max_size=2)
    with kind.block(pool) as block:
        pid = block.execute("SELECT pg_backend_pid()")
        report = LoadRun.begin_on(Load(workers=3, hold_s=0.01, seconds=0.5), pool).outcome()
        assert report.measurement.served
        run = LoadRun.begin_on(Load(workers=1, hold_s=9, hold="constant", seconds=10), pool)
        until(lambda: pool.occupancy.in_use == 2)
        assert run.stop(PROMPTLY_S)
        assert block.execute("SELECT pg_backend_pid()") == pid
    assert pool.occupancy.in_use == 0
    assert server.backends("ours") == 2


def test_the_same_seed_asks_for_the_same() -> None:
    def turns(load: Load) -> list[tuple[float, float]]:
        return [(turn.at_s, turn.hold_s) for turn in Script(load, Clock()).turns(0)]

    load = LOADS["open"]
    assert turns(load) == turns(load)
    assert turns(load) != turns(Load(rate=load.rate, hold_s=HOLD_S, seconds=4, seed=9))
    assert len({hold for _, hold in turns(LOADS["open, constant holds"])}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"rate": 5, "workers": 5},
        {"workers": 33},
        {"workers": 0},
        {"rate": 1001},
        {"rate": float("nan")},
        {"rate": 5, "seconds": 61},
        {"rate": 5, "seconds": 5, "hold_s": 6},
        {"rate": 5, "hold_s": 0},
        {"workers": 5, "think_s": -1},
        {"workers": 5, "hold": "normal"},
    ],
)
def test_a_load_is_bounded(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Load(**wrong)


def test_a_pool_of_the_lab_is_bounded(config: Config, server: Server, kind: Kind) -> None:
    allowed = allowance(config, kind.connection_type)
    ((room,),) = server.query("SELECT current_setting('max_connections')::int - 3")
    assert 0 < allowed <= room / 2
    with pytest.raises(RequestError, match=f"at most {allowed} here, half of what the server has free"):
        LoadRun.begin(LOADS["open"], config, kind.connection_type, max_size=allowed + 1)
    assert server.backends(APPLICATION_NAME) == 0


def test_a_server_that_is_not_there_says_so_at_once(kind: Kind, tmp_path: Any) -> None:
    nowhere = parse_config({"connection_settings": {"host": str(tmp_path)}})
    with pytest.raises(psycopg.OperationalError):
        LoadRun.begin(LOADS["open"], nowhere, kind.connection_type)
    with pytest.raises(psycopg.OperationalError):
        LessonRun.begin(LESSONS["reuse"], nowhere, kind.connection_type)


# -- lessons ----------------------------------------------------------------------------------------------------


def answer_to(name: str, config: Config, kind: Kind) -> Answer:
    answer = LessonRun.begin(LESSONS[name], config, kind.connection_type).outcome()
    assert answer.connection_type == kind.connection_type
    assert answer.sentence
    assert answer.seconds < 30
    return answer


def test_there_are_twelve() -> None:
    assert len(LESSONS) == 12
    for lesson in LESSONS.values():
        assert lesson.question.endswith("?")
        assert lesson.steps
        assert 1 <= lesson.connections <= 16


def test_reuse(config: Config, kind: Kind) -> None:
    answer = answer_to("reuse", config, kind)
    pids = [row["backend pid"] for row in answer.rows]
    assert len(pids) == 6
    assert len(set(pids)) <= 3
    assert f"6 workers were served by {len(set(pids))} backends" in answer.sentence
    assert sum(row["waited ms"] > 25 for row in answer.rows) >= 3  # behind holds of 50 ms


def test_queueing(config: Config, kind: Kind) -> None:
    rows = answer_to("queueing", config, kind).rows
    assert [row["busy %"] for row in rows] == sorted(row["busy %"] for row in rows)
    assert rows[-1]["P(wait) %"] > rows[0]["P(wait) %"] + 30  # 87 and 5 where the machine has nothing else to do
    assert rows[-1]["p95 wait ms"] > rows[0]["p95 wait ms"]
    for row in rows:
        assert row["predicted from ms"] / 2 - 10 <= row["p95 wait ms"] <= 2 * row["to ms"] + 10


def test_exhaustion(config: Config, kind: Kind) -> None:
    answer = answer_to("exhaustion", config, kind)
    refused, served = answer.rows
    assert refused["result"] == "PoolUnavailable"
    assert 0.29 <= refused["seconds"] < 0.3 + 0.25
    assert served["result"] == "served"
    assert "report 0." in answer.sentence
    assert "import 0." in answer.sentence


def test_growth(config: Config, kind: Kind) -> None:
    first, second, raised = answer_to("growth", config, kind).rows
    assert (first["open"], second["open"], raised["open"]) == (4, 4, 8)
    assert raised["slowest wait ms"] < 600  # the holders would come back after 800


def test_shrink(config: Config, kind: Kind) -> None:
    before, lowered, idle = answer_to("shrink", config, kind).rows
    assert (before["open"], lowered["open"], idle["open"]) == (6, 2, 0)
    assert idle["seconds"] - lowered["seconds"] > 0.4  # not before max_idle


def test_stale(config: Config, server: Server, kind: Kind) -> None:
    # Another process's lab, with the same name: nobody may end it.
    with psycopg.connect(**server.settings, application_name=APPLICATION_NAME) as bystander:
        answer = answer_to("stale", config, kind)
        assert bystander.execute("SELECT 1").fetchall() == [(1,)]
    assert [row["result"] for row in answer.rows] == ["served"] * 5
    assert all(row["new backend"] for row in answer.rows)
    assert "ended all 5 idle connections" in answer.sentence
    assert "got 0 errors" in answer.sentence


def test_leak(config: Config, kind: Kind) -> None:
    answer = answer_to("leak", config, kind)
    none, one, two, three, ended = (row["served/s"] for row in answer.rows)
    assert none > 1.15 * one
    assert one > 1.3 * two
    assert three == 0
    assert answer.rows[3]["timeouts"] >= 6
    assert ended > 1.15 * one
    assert "leaky job 1, leaky job 2, leaky job 3" in answer.sentence


def test_idle_in_transaction(config: Config, kind: Kind) -> None:
    free, limited = answer_to("idle-in-transaction", config, kind).rows
    assert free["server says"] == limited["server says"] == "idle in transaction"
    assert free["other waited ms"] >= 700
    assert 150 <= limited["other waited ms"] < 700
    assert (free["thinker"], limited["thinker"]) == ("went on", "SQLSTATE 25P03")


def test_self_deadlock(config: Config, kind: Kind) -> None:
    few, enough, alone = answer_to("self-deadlock", config, kind).rows
    assert (few["max_size"], enough["max_size"]) == (3, 4)
    assert few["failed"] >= 1
    assert few["seconds"] >= 0.5
    assert (enough["served"], enough["failed"]) == (3, 0)
    assert (alone["failed"], alone["seconds"] < 1) == (1, True)  # its timeout is 5 s


def test_session_state(config: Config, kind: Kind) -> None:
    answer = answer_to("session-state", config, kind)
    assert len(answer.rows) == 4
    assert all(row["first borrower"] and not row["next borrower"] for row in answer.rows)
    assert "over the same backend, found 0" in answer.sentence


def test_interrupt(config: Config, kind: Kind) -> None:
    answer = answer_to("interrupt", config, kind)
    assert [row["SQLSTATE"] for row in answer.rows] == ["57014"] * 8
    assert all(row["ended in ms"] < 2000 for row in answer.rows)
    assert "none of them runs on; afterwards 2 of 2 connections" in answer.sentence


def test_too_big(config: Config, kind: Kind) -> None:
    answer = answer_to("too-big", config, kind)
    assert [row["max_size"] for row in answer.rows] == [1, 2, 4, 8]
    first, last = answer.rows[0], answer.rows[-1]
    more, longer = last["served/s"] / first["served/s"], last["hold ms"] / first["hold ms"]
    assert more * longer == pytest.approx(8, rel=0.3)  # eight that never rest
    assert f"{more:.1f} times as many statements" in answer.sentence


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_stops_at_once_and_leaves_the_pools_of_others_alone(
    config: Config, server: Server, kind: Kind, name: str
) -> None:
    pool = kind.open(server.config(application_name="ours"), min_size=1, max_size=2)
    with kind.block(pool) as block:
        pid = block.execute("SELECT pg_backend_pid()")
        run = LessonRun.begin(LESSONS[name], config, kind.connection_type)
        run.wait(0.15)
        assert run.stop(PROMPTLY_S)
        if name in SHORT:
            with suppress(LabStopped):
                assert run.outcome().rows
        else:
            with pytest.raises(LabStopped):
                run.outcome()
        assert block.execute("SELECT pg_backend_pid()") == pid


def test_a_lesson_needs_its_room_and_the_servers_own_address(
    config: Config, server: Server, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = parse_config({**server.config(), "pgbouncer": True})
    with pytest.raises(RequestError, match="PgBouncer hides"):
        LessonRun.begin(LESSONS["stale"], behind, kind.connection_type)
    monkeypatch.setattr("pgmonkey_magic.tuning.lab.lesson.allowance", lambda *_: 5)
    with pytest.raises(RequestError, match="the lesson too-big needs 8 connections"):
        LessonRun.begin(LESSONS["too-big"], config, kind.connection_type)
