"""Networks that stall or break, servers that do not answer or refuse, and a crowd: over both kinds of pool."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import traceback
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_notebook import write_config
from fix_pools import Kind, in_threads, run_borrow, until
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.demo.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_notebook import Shell
    from fix_proxy import Proxy

SLACK_S = 0.25
"""What a borrow may take beyond its timeout; on top of it, this machine's own hiccups."""
HICCUP_S = 0.5
OLD_ENOUGH_S = 0.6
"""An idle connection is asked before it is handed out only when it has been idle for longer than half a second."""


def through(proxy: Proxy, server: Any, **settings: Any) -> dict[str, Any]:
    """Return the configuration of the test server behind the proxy."""
    return server.config(host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable", **settings)


def borrow_all(kind: Kind, pool: Any, count: int, timeout: float = 5) -> None:
    """Borrow *count* connections at once, have each answer, give them back."""
    if kind.connection_type == "pool":
        leases = [pool.borrow(timeout=timeout) for _ in range(count)]
        for lease in leases:
            lease.conn.execute("SELECT 1")
            lease.conn.rollback()
            pool.give_back(lease)
    else:

        async def errand() -> None:
            leases = [await pool.borrow(timeout=timeout) for _ in range(count)]
            for lease in leases:
                await lease.conn.execute("SELECT 1")
                await lease.conn.rollback()
                await pool.give_back(lease)

        asyncio.run(errand())


def whole(kind: Kind, pool: Any) -> None:
    """Prove by borrowing that no connection was lost."""
    borrow_all(kind, pool, pool.settings.max_size)
    assert pool.occupancy.in_use == 0


def refused(kind: Kind, pool: Any, timeout: float, within_s: float) -> PoolUnavailable:
    """Return the error of a borrow, which must come in time."""
    started = time.monotonic()
    with pytest.raises(PoolUnavailable) as caught:
        run_borrow(kind, pool, timeout)
    assert time.monotonic() - started < within_s + HICCUP_S
    return caught.value


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail where the block takes longer."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + HICCUP_S


def close(kind: Kind, pool: Any) -> None:
    pool.disconnect() if kind.connection_type == "pool" else pool.close()


# -- networks --------------------------------------------------------------------------------------------------------


def stall(kind: Kind, server: Any, proxy: Proxy, size: int, timeout: int) -> Any:
    """Return a pool that asks before it hands out, and all of whose connections stall."""
    pool = kind.open(through(proxy, server), min_size=size, max_size=size, timeout=timeout, check_on_checkout=True)
    until(lambda: pool.occupancy.idle == size)
    time.sleep(OLD_ENOUGH_S)
    proxy.stall()
    return pool


@pytest.mark.parametrize(("size", "timeout"), [(1, 1), (5, 2)])
def test_a_stalled_network_costs_no_more_than_the_timeout(
    kind: Kind, server: Any, proxy: Proxy, size: int, timeout: int
) -> None:
    pool = stall(kind, server, proxy, size, timeout)
    refused(kind, pool, timeout, timeout + SLACK_S)
    proxy.release()
    time.sleep(timeout + 2)  # what tries to connect has given up by now
    with at_most(SLACK_S):
        run_borrow(kind, pool, 5)
    whole(kind, pool)


@pytest.mark.parametrize("size", [1, 5])
def test_the_end_of_a_stall_is_used_at_once(kind: Kind, server: Any, proxy: Proxy, size: int) -> None:
    pool = stall(kind, server, proxy, size, timeout=2)
    refused(kind, pool, 2, 2 + SLACK_S)
    proxy.release()
    with at_most(SLACK_S):
        run_borrow(kind, pool, 15)


def test_a_stalled_network_is_named_as_the_cause(kind: Kind, server: Any, proxy: Proxy) -> None:
    pool = kind.open(through(proxy, server), min_size=1, max_size=1, timeout=2, check_on_checkout=True)
    until(lambda: pool.occupancy.idle == 1)
    time.sleep(OLD_ENOUGH_S)
    proxy.stall()
    error = refused(kind, pool, 2, 2 + SLACK_S)
    assert isinstance(error.__cause__, psycopg.OperationalError)


def test_a_network_that_stalls_before_a_return_costs_the_pool_nothing(kind: Kind, server: Any, proxy: Proxy) -> None:
    pool = kind.open(through(proxy, server), min_size=4, max_size=4, timeout=5)
    until(lambda: pool.occupancy.idle == 4)
    stalled = threading.Event()

    def leave_behind(_i: int) -> None:
        lease = pool.borrow()
        lease.conn.execute("SET work_mem = '1234kB'")
        stalled.wait(20)
        pool.give_back(lease)

    async def leave_behind_async() -> None:
        lease = await pool.borrow()
        await lease.conn.execute("SET work_mem = '1234kB'")
        await asyncio.to_thread(stalled.wait, 20)
        await pool.give_back(lease)

    work = leave_behind if kind.connection_type == "pool" else lambda _i: asyncio.run(leave_behind_async())
    borrowers = threading.Thread(target=in_threads, args=(4, work), daemon=True)
    borrowers.start()
    until(lambda: pool.occupancy.in_use == 4)
    time.sleep(0.2)
    proxy.stall()
    stalled.set()
    borrowers.join(5)
    assert not borrowers.is_alive()
    time.sleep(2 + HICCUP_S)  # what asks has given up by now
    proxy.release()
    whole(kind, pool)


@pytest.mark.parametrize("check", [False, True])
def test_a_network_cut_while_idle_is_not_noticed(kind: Kind, server: Any, proxy: Proxy, check: bool) -> None:
    pool = kind.open(through(proxy, server), min_size=4, max_size=4, check_on_checkout=check)
    until(lambda: pool.occupancy.idle == 4)
    time.sleep(OLD_ENOUGH_S)
    proxy.reset()
    time.sleep(0.05)
    with at_most(SLACK_S), kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]
    whole(kind, pool)


def test_a_network_cut_during_a_query_commits_nothing(kind: Kind, server: Any, proxy: Proxy, table: str) -> None:
    pool = kind.open(through(proxy, server), min_size=2, max_size=2)
    until(lambda: pool.occupancy.idle == 2)
    timer = threading.Timer(0.5, proxy.reset)
    with pytest.raises(psycopg.OperationalError, match="connection"), at_most(2), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
        timer.start()
        block.execute("SELECT pg_sleep(20)")
    timer.join()
    assert server.query(f"SELECT * FROM {table}") == []
    with at_most(SLACK_S):
        run_borrow(kind, pool, 5)
    time.sleep(0.5)  # on a busy machine the end of the other connection may still be on its way
    whole(kind, pool)


# -- servers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as listener:
        yield listener.getsockname()[1]


def mute_config(port: int) -> dict[str, Any]:
    return {"connection_settings": {"host": "127.0.0.1", "port": port, "user": "u", "dbname": "mute"}}


@pytest.mark.parametrize("timeout", [1, 2])
@pytest.mark.parametrize("min_size", [0, 1, 5])
def test_a_mute_server_is_named_by_the_timeout(kind: Kind, mute_port: int, min_size: int, timeout: int) -> None:
    pool = kind.open(mute_config(mute_port), min_size=min_size, max_size=5, timeout=timeout)
    for _ in range(2):
        error = refused(kind, pool, timeout, timeout + SLACK_S)
        assert isinstance(error.__cause__, psycopg.errors.ConnectionTimeout)
        assert "timeout expired" in str(error) or f"port {mute_port} has not answered" in str(error)


@pytest.mark.parametrize("min_size", [1, 5])
def test_a_pool_of_a_mute_server_closes_in_two_seconds(kind: Kind, mute_port: int, min_size: int) -> None:
    pool = kind.open(mute_config(mute_port), min_size=min_size, max_size=5, timeout=1)
    refused(kind, pool, 1, 10)
    with at_most(2):
        close(kind, pool)


def test_a_host_without_an_address_is_named(kind: Kind) -> None:
    settings = {"host": "no-such-host.invalid", "user": "u", "dbname": "d"}
    pool = kind.open({"connection_settings": settings}, min_size=1, max_size=2, timeout=20)
    for _ in range(2):
        error = refused(kind, pool, 20, 0.5)
        assert isinstance(error.__cause__, psycopg.OperationalError)
        assert "no-such-host.invalid" in str(error)
    with at_most(2):
        close(kind, pool)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """A server that asks for a password over TCP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    with Cluster(tcp_port=port, password="canary-31c9") as cluster:
        yield cluster


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"password": "canary-wrong"}, 'password authentication failed for user "postgres"'),
        ({"dbname": "no_such"}, 'database "no_such" does not exist'),
    ],
)
def test_a_refused_login_is_told_at_once(kind: Kind, guarded: Cluster, wrong: dict, reason: str) -> None:
    config = {"connection_settings": conninfo_to_dict(guarded.tcp_conninfo) | wrong}
    pool = kind.open(config, min_size=1, max_size=2, timeout=20)
    for _ in range(2):
        error = refused(kind, pool, 20, 0.5)
        assert isinstance(error.__cause__, psycopg.OperationalError)
        assert reason in str(error)
        recorded = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert "canary-wrong" not in str(error) + "".join(recorded.format())
    with at_most(2):
        close(kind, pool)


def test_the_cure_of_a_login_is_that_of_its_cause(
    guarded: Cluster, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"connection_settings": {**conninfo_to_dict(guarded.tcp_conninfo), "require_auth": "md5"}}
    path = write_config(tmp_path / "guarded.yaml", config)
    error = str(shell.error(f"%pgmonkey connect {path}"))
    assert "connection_settings.require_auth allows only md5" in error
    assert "not on this machine" not in error
    del config["connection_settings"]["require_auth"]
    monkeypatch.setenv("PGREQUIREAUTH", "none")
    write_config(path, config)
    assert "$PGREQUIREAUTH allows only none" in str(shell.error(f"%pgmonkey connect {path}"))
    monkeypatch.delenv("PGREQUIREAUTH")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    del config["connection_settings"]["password"]
    write_config(path, config)
    assert "or by ~/.pgpass" in str(shell.error(f"%pgmonkey connect {path}"))


def test_a_failed_connect_of_a_cell_keeps_no_password_in_its_frames(
    guarded: Cluster, shell: Shell, tmp_path: Path
) -> None:
    config = {"connection_settings": conninfo_to_dict(guarded.tcp_conninfo) | {"password": "canary-wrong"}}
    error = shell.error(f"%pgmonkey connect {write_config(tmp_path / 'guarded.yaml', config)}")
    recorded = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert "password authentication failed" in str(error)
    assert "canary" not in "".join(line for line in recorded.format() if "/tests/" not in line)


def test_a_wrong_password_is_not_tried_once_for_each_connection(kind: Kind, guarded: Cluster) -> None:
    said = 'password authentication failed for user "postgres"'
    before = guarded.log.count(said)
    config = {"connection_settings": conninfo_to_dict(guarded.tcp_conninfo) | {"password": "canary-wrong"}}
    pool = kind.open(config, min_size=5, max_size=5, timeout=20)
    refused(kind, pool, 20, 0.5)
    time.sleep(0.3)
    assert guarded.log.count(said) - before <= 2  # the pool's own, and the borrower's where that had failed already


@pytest.fixture
def crowded() -> Iterator[tuple[Cluster, list[psycopg.Connection[Any]]]]:
    """A server for eight, and the connections of others that take all eight places."""
    with Cluster(settings={"max_connections": 8, "superuser_reserved_connections": 0}) as cluster:
        others: list[psycopg.Connection[Any]] = []
        crowd(cluster, others)
        yield cluster, others
        leave(others)


def crowd(cluster: Cluster, others: list[psycopg.Connection[Any]]) -> None:
    """Take every place that is left."""
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        while True:
            others.append(psycopg.connect(cluster.conninfo, autocommit=True))


def leave(others: list[psycopg.Connection[Any]]) -> None:
    while others:
        others.pop().close()


def test_a_full_server_is_named_and_room_is_used_at_once(
    kind: Kind, crowded: tuple[Cluster, list[psycopg.Connection[Any]]]
) -> None:
    cluster, others = crowded
    pool = kind.open({"connection_settings": conninfo_to_dict(cluster.conninfo)}, min_size=2, max_size=3, timeout=20)
    for _ in range(2):
        error = refused(kind, pool, 20, 0.5)
        assert isinstance(error.__cause__, psycopg.OperationalError)
        assert "too many clients already" in str(error)
    time.sleep(3.5)  # by now a stock pool pauses for seconds between its attempts
    leave(others)
    with at_most(1):
        run_borrow(kind, pool, 20)
    whole(kind, pool)


def test_a_pool_that_cannot_grow_says_why_and_grows_as_soon_as_there_is_room(
    kind: Kind, crowded: tuple[Cluster, list[psycopg.Connection[Any]]]
) -> None:
    cluster, others = crowded
    others.pop().close()
    pool = kind.open({"connection_settings": conninfo_to_dict(cluster.conninfo)}, min_size=1, max_size=3, timeout=20)
    until(lambda: pool.occupancy.idle == 1)
    waited: list[float] = []

    def wait() -> None:
        with kind.block(pool):
            waited.append(time.monotonic())

    with kind.block(pool):
        error = in_thread(lambda: refused(kind, pool, 1, 1 + SLACK_S))
        assert "too many clients already" in "\n".join(error.detail)
        assert "1 of 3 are in use" in str(error)
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(7.5)  # by now a stock pool pauses for seconds between its attempts
        assert not waited
        leave(others)
        room_at = time.monotonic()
        waiter.join(15)
    assert waited[0] - room_at < 1 + HICCUP_S
    whole(kind, pool)


def in_thread(work: Any) -> Any:
    """Run *work* as another borrower."""
    return in_threads(1, lambda _i: work())[0]


# -- commits and crowds ----------------------------------------------------------------------------------------------


def test_a_constraint_that_fails_at_commit_raises(kind: Kind, server: Any, table: str) -> None:
    server.query(f"ALTER TABLE {table} ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
    pool = kind.open(server.config(), min_size=1, max_size=2)
    with pytest.raises(psycopg.errors.UniqueViolation), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1), (1)")
    assert server.query(f"SELECT * FROM {table}") == []
    with kind.block(pool) as block:
        assert block.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    whole(kind, pool)


def test_an_idle_in_transaction_timeout_raises(kind: Kind, server: Any, table: str) -> None:
    config = server.config(options="-c idle_in_transaction_session_timeout=200")
    pool = kind.open(config, min_size=1, max_size=1)
    with (
        pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout, match="idle-in-transaction timeout"),
        kind.block(pool) as block,
    ):
        block.execute(f"INSERT INTO {table} VALUES (1)")
        time.sleep(0.5)
    assert server.query(f"SELECT * FROM {table}") == []
    whole(kind, pool)


WAITERS = 300


def wait_in_a_crowd(kind: Kind, pool: Any, timeout: float) -> list[tuple[float, Exception | None]]:
    """Have 300 threads or tasks borrow at once; return how long each waited and its error."""
    if kind.connection_type == "pool":

        def one(_i: int) -> tuple[float, Exception | None]:
            started = time.monotonic()
            try:
                pool.give_back(pool.borrow(timeout=timeout))
            except PoolUnavailable as error:
                return time.monotonic() - started, error
            return time.monotonic() - started, None

        return in_threads(WAITERS, one)

    async def one_async() -> tuple[float, Exception | None]:
        started = time.monotonic()
        try:
            await pool.give_back(await pool.borrow(timeout=timeout))
        except PoolUnavailable as error:
            return time.monotonic() - started, error
        return time.monotonic() - started, None

    async def crowd() -> list[tuple[float, Exception | None]]:
        return await asyncio.gather(*(one_async() for _ in range(WAITERS)))

    return asyncio.run(crowd())


def test_three_hundred_waiters_end_in_time_and_hear_who_holds(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=2, max_size=2, timeout=20)
    with kind.block(pool), kind.block(pool):
        outcomes = in_thread(lambda: wait_in_a_crowd(kind, pool, 1))
    assert max(seconds for seconds, _ in outcomes) < 1 + SLACK_S + HICCUP_S
    errors = [error for _, error in outcomes if isinstance(error, PoolUnavailable)]
    assert len(errors) == WAITERS
    assert all("2 of 2 are in use" in str(error) and "held by" in error.detail[0] for error in errors)
    assert pool.occupancy.waiting == 0
    whole(kind, pool)


def test_three_hundred_waiters_are_all_served(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=2, max_size=2, timeout=20)
    assert [error for _, error in wait_in_a_crowd(kind, pool, 20)] == [None] * WAITERS
    whole(kind, pool)
    PGConnectionManager().clear_cache()
