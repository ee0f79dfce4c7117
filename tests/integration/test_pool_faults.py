"""What a stock pool gets wrong under faults and tuning, over both kinds of ours."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_pools import Kind, in_threads, run_borrow, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager, PoolUnavailable, RequestError
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools.loop import submit

if TYPE_CHECKING:
    from collections.abc import Iterator

SLACK_S = 0.25
"""What a borrow may take beyond its timeout; on top of it, this machine's own hiccups."""
HICCUP_S = 0.5


def hold(kind: Kind, pool: Any, count: int) -> tuple[threading.Event, list[threading.Thread]]:
    """Borrow *count* connections in threads of their own until the event is set."""
    end, taken = threading.Event(), threading.Semaphore(0)

    def body() -> None:
        with kind.block(pool):
            taken.release()
            end.wait(30)

    threads = [threading.Thread(target=body) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert taken.acquire(timeout=20)
    return end, threads


def let_go(end: threading.Event, threads: list[threading.Thread]) -> None:
    end.set()
    for thread in threads:
        thread.join(20)


def borrowable(kind: Kind, pool: Any, count: int) -> None:
    """Prove by borrowing that exactly *count* connections can be had at once."""
    end, threads = hold(kind, pool, count)
    try:
        with pytest.raises(PoolUnavailable):
            run_borrow(kind, pool, timeout=0.2)
    finally:
        let_go(end, threads)
    until(lambda: pool.occupancy.in_use == 0)


def backends(server: Any, name: str) -> list[int]:
    sql = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}'"
    return [pid for (pid,) in server.query(sql)]


# -- sizes -----------------------------------------------------------------------------------------------------------


def test_growing_opens_no_more_than_max_size(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="grow"), min_size=2, max_size=10)
    let_go(*hold(kind, pool, 10))
    pool.apply(replace(pool.settings, min_size=10, max_size=10))
    until(lambda: pool.occupancy.idle == 10)
    time.sleep(0.3)
    assert len(backends(server, "grow")) == 10  # a stock pool has 18 here
    borrowable(kind, pool, 10)


def test_lowering_max_size_closes_the_surplus_at_once(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="lower"), min_size=0, max_size=12)
    let_go(*hold(kind, pool, 12))
    end, threads = hold(kind, pool, 6)
    pool.apply(replace(pool.settings, max_size=4))
    until(lambda: len(backends(server, "lower")) == 6, 2)  # the idle ones are gone, the borrowed ones in use
    let_go(end, threads)
    until(lambda: len(backends(server, "lower")) == 4, 2)
    borrowable(kind, pool, 4)


def test_raising_max_size_serves_those_who_already_wait(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1, timeout=20)
    end, threads = hold(kind, pool, 1)
    waiters = threading.Thread(target=in_threads, args=(3, lambda _i: run_borrow(kind, pool, 20)))
    waiters.start()
    until(lambda: pool.occupancy.waiting == 3)
    pool.apply(replace(pool.settings, max_size=4))
    waiters.join(3)
    assert not waiters.is_alive()
    let_go(end, threads)


def test_a_pool_says_that_it_is_tuned(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=2)
    assert not pool.tuned
    before = pool.settings
    pool.apply(replace(before, timeout=3.0))
    assert pool.tuned
    assert "tuned" in repr(pool)
    pool.apply(before)
    assert not pool.tuned
    with pytest.raises(RequestError, match="num_workers"):
        pool.apply(replace(before, num_workers=1))
    assert pool.settings == before


def test_timeout_can_be_tuned(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1, timeout=20)
    end, threads = hold(kind, pool, 1)
    pool.apply(replace(pool.settings, timeout=0.2))
    with pytest.raises(PoolUnavailable, match=r"within 0\.2 s"), kind.block(pool):
        pytest.fail("the pool of one has a holder")
    let_go(end, threads)


def test_max_idle_can_be_tuned_and_counts_from_now(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="idle"), min_size=1, max_size=8)
    let_go(*hold(kind, pool, 8))
    assert len(backends(server, "idle")) == 8
    pool.apply(replace(pool.settings, max_idle=0.3))
    until(lambda: len(backends(server, "idle")) == 1, 3)  # all that were not needed, not one in each interval


def test_max_lifetime_can_be_tuned_for_connections_that_exist(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="life"), min_size=2, max_size=2)
    until(lambda: pool.occupancy.idle == 2)
    before = set(backends(server, "life"))
    pool.apply(replace(pool.settings, max_lifetime=0.1, max_idle=0.1))
    until(lambda: not before & set(backends(server, "life")))
    borrowable(kind, pool, 2)


def test_recycle_replaces_every_connection(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="recycle"), min_size=3, max_size=3)
    until(lambda: pool.occupancy.idle == 3)
    end, threads = hold(kind, pool, 1)
    before = set(backends(server, "recycle"))
    pool.recycle()
    let_go(end, threads)
    until(lambda: not before & set(backends(server, "recycle")))
    borrowable(kind, pool, 3)


SIZES = st.tuples(st.integers(0, 6), st.integers(1, 6)).map(lambda sizes: (min(sizes), max(1, *sizes)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(SIZES, min_size=1, max_size=8))
def test_random_tuning_under_load_never_exceeds_max_size(kind: Kind, server: Any, steps: list) -> None:
    name = f"tuning-{kind.connection_type}"
    pool = kind.open(server.config(application_name=name), min_size=1, max_size=3, timeout=20)
    stop, failures = threading.Event(), []

    def work(_i: int) -> None:
        while not stop.is_set():
            try:
                with kind.block(pool) as block:
                    block.execute("SELECT 1")
            except Exception as error:  # noqa: BLE001 - asserted below
                failures.append(error)

    workers = threading.Thread(target=in_threads, args=(6, work))
    workers.start()
    for min_size, max_size in steps:
        pool.apply(replace(pool.settings, min_size=min_size, max_size=max_size))
        time.sleep(0.02)
    stop.set()
    workers.join(30)
    assert failures == []
    until(lambda: pool.occupancy.in_use == 0)
    until(lambda: min_size <= len(backends(server, name)) <= max_size, 3)
    borrowable(kind, pool, max_size)
    PGConnectionManager().clear_cache()


# -- faults ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[Cluster]:
    """A server that this test may stop and restart."""
    with Cluster() as cluster:
        yield cluster


@pytest.mark.parametrize("check", [False, True])
def test_fifty_stale_connections_cost_the_next_borrow_next_to_nothing(
    kind: Kind, own_server: Cluster, check: bool
) -> None:
    config = {"connection_settings": conninfo_to_dict(own_server.conninfo)}
    pool = kind.open(config, min_size=50, max_size=50, check_on_checkout=check)
    until(lambda: pool.occupancy.idle == 50, 30)
    own_server.restart()
    started = time.monotonic()
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]
    assert time.monotonic() - started < 0.5 + HICCUP_S  # a stock pool fails 50 times, or at 30 s with its check
    until(lambda: pool.occupancy.idle == 50, 30)


def test_a_stopped_backend_is_replaced_within_the_timeout(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="frozen"), min_size=1, max_size=1, check_on_checkout=True)
    until(lambda: pool.occupancy.idle == 1)
    time.sleep(0.6)  # it is not asked again at once
    (pid,) = backends(server, "frozen")
    os.kill(pid, signal.SIGSTOP)  # a backend of the test's own server
    try:
        started = time.monotonic()
        run_borrow(kind, pool, timeout=2)
        assert time.monotonic() - started < 2 + SLACK_S
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: pid not in backends(server, "frozen"))


def test_a_server_that_is_back_is_used_at_once(kind: Kind, own_server: Cluster) -> None:
    config = {"connection_settings": conninfo_to_dict(own_server.conninfo)}
    pool = kind.open(config, min_size=1, max_size=1, timeout=20)
    run_borrow(kind, pool, 20)
    own_server.stop()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(PoolUnavailable) as caught:
            run_borrow(kind, pool, 20)
        assert time.monotonic() - started < 0.5 + HICCUP_S
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    time.sleep(3.5)  # by now a stock pool pauses for seconds between its attempts
    own_server.start()
    started = time.monotonic()
    run_borrow(kind, pool, 20)
    assert time.monotonic() - started < SLACK_S + HICCUP_S
    borrowable(kind, pool, 1)


# -- what a borrower leaves behind -----------------------------------------------------------------------------------

LEFT = {
    "setting": ("SET search_path = nowhere", "SHOW search_path"),
    "setting by function": ("SELECT set_config('work_mem', '1234kB', false)", "SHOW work_mem"),
    "role": ("SET ROLE pg_read_all_data", "SELECT current_user"),
    "session authorization": ("SET SESSION AUTHORIZATION pg_read_all_data", "SELECT session_user"),
    "temporary table": ("CREATE TEMP TABLE left_behind (n int)", "SELECT to_regclass('left_behind')"),
    "advisory lock": ("SELECT pg_advisory_lock(42)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
    "listen": ("LISTEN left_behind", "SELECT count(*) FROM pg_listening_channels()"),
    "held cursor": ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE is_holdable"),
    "prepared statement": (
        "PREPARE left_behind AS SELECT 1",
        "SELECT count(*) FROM pg_prepared_statements WHERE from_sql",
    ),
}


@pytest.mark.parametrize("what", LEFT)
def test_the_next_borrower_finds_factory_state(kind: Kind, server: Any, what: str) -> None:
    leave, look = LEFT[what]
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with kind.block(pool) as block:
        before = block.execute(look)
        block.execute(leave)
        block.execute("COMMIT")  # LISTEN begins here
        assert block.execute(look) != before  # it would leak
    with kind.block(pool) as block:
        assert block.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert block.execute(look) == before


def test_the_client_side_is_in_factory_state_too(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with kind.block(pool) as block:
        conn = block.conn
        factories = conn.row_factory, conn.cursor_factory, conn.prepare_threshold
        conn.row_factory = psycopg.rows.dict_row
        conn.cursor_factory = psycopg.ClientCursor if kind.connection_type == "pool" else psycopg.AsyncClientCursor
        conn.prepare_threshold = 0
        conn._autocommit = True
        conn._read_only = True
        conn.add_notice_handler(print)
        conn.add_notify_handler(print)
        conn.adapters.register_loader("int4", psycopg.types.string.TextLoader)
    with kind.block(pool) as block:
        assert block.conn is conn
        assert (conn.row_factory, conn.cursor_factory, conn.prepare_threshold) == factories
        assert (conn.autocommit, conn.read_only) == (False, None)
        assert (conn._notice_handlers, conn._notify_handlers) == ([], [])
        assert block.execute("SELECT 1") == [(1,)]


def test_psycopgs_own_prepared_statements_survive_the_reset(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    for _ in range(8):
        with kind.block(pool) as block:
            assert block.execute("SELECT 1 AS prepared_by_psycopg") == [(1,)]
            block.execute("SET TimeZone = 'Asia/Tokyo'")
    with kind.block(pool) as block:
        count = (
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%prepared_by_psycopg%' AND NOT from_sql"
        )
        assert block.execute(count) == [(1,)]


def test_reading_costs_no_reset(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with kind.block(pool) as block:
        assert block.execute("SELECT count(*) FROM pg_class") != []
        assert block.conn.trace == 0


@pytest.mark.parametrize("where", ["a loop of its own", "the pool's loop"])
def test_a_task_cancelled_in_the_middle_of_a_check_loses_no_connection(server: Any, where: str) -> None:
    kind = Kind("async_pool")
    pool = kind.open(
        server.config(application_name="check"), min_size=2, max_size=2, timeout=20, check_on_checkout=True
    )
    until(lambda: pool.occupancy.idle == 2)
    time.sleep(0.6)  # they are not asked again at once
    pids = backends(server, "check")

    async def cancelled() -> None:
        task = asyncio.ensure_future(pool.borrow())
        await asyncio.sleep(0.3)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # backends of the test's own server
    try:
        asyncio.run(cancelled()) if where == "a loop of its own" else submit(cancelled()).result()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    borrowable(kind, pool, 2)
    PGConnectionManager().clear_cache()
