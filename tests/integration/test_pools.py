"""The behaviour that the tutorial's table promises, over both kinds of pool and a real server."""

import asyncio
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from fix_pools import Kind, in_threads, until
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from pgmonkey_magic import PGConnectionManager, PoolUnavailable, RequestError


def test_borrow_and_return(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=2)
    with kind.block(pool) as block:
        assert isinstance(block.conn, (psycopg.Connection, psycopg.AsyncConnection))
        assert block.execute("SELECT 1") == [(1,)]
        assert pool.occupancy.in_use == 1
    assert pool.occupancy.in_use == 0


def test_connections_are_reused(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    pids = set()
    for _ in range(5):
        with kind.block(pool) as block:
            pids |= set(block.execute("SELECT pg_backend_pid()"))
    assert len(pids) == 1


def test_clean_exit_commits_and_an_exception_rolls_back(kind: Kind, server: Any, table: str) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=2)
    with kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
    with pytest.raises(ZeroDivisionError), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (2)")
        raise ZeroDivisionError
    assert server.query(f"SELECT * FROM {table}") == [(1,)]


def test_a_swallowed_error_raises_also_where_nothing_was_written(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing was committed"), kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]
        with pytest.raises(psycopg.errors.DivisionByZero):
            block.execute("SELECT 1/0")


def test_an_error_swallowed_inside_the_block_raises_at_its_end(kind: Kind, server: Any, table: str) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing was committed"), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            block.execute("SELECT 1/0")
    assert server.query(f"SELECT * FROM {table}") == []
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]


def test_exhaustion_raises_after_the_timeout_and_says_who_holds(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1, timeout=0.3)
    with kind.block(pool):
        started = time.monotonic()

        def borrow(_: int) -> None:
            with kind.block(pool):
                pass

        with pytest.raises(PoolUnavailable) as caught:
            in_threads(1, borrow)
        assert 0.25 < time.monotonic() - started < 5
    assert isinstance(caught.value, PoolTimeout)
    assert f"1 of 1 are in use and 0 more wait; end a holder, or raise {kind.section}.max_size" in str(caught.value)
    assert "held by" in caught.value.detail[0]
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]


def test_borrowing_more_than_max_size_in_one_thread_fails_at_once(server: Any) -> None:
    pool: Any = Kind("pool").open(server.config(), min_size=1, max_size=1, timeout=20)
    started = time.monotonic()
    with pytest.raises(PoolUnavailable, match="would wait for itself"), pool, pool:
        pass
    assert time.monotonic() - started < 5
    PGConnectionManager().clear_cache()


def test_nested_blocks_borrow_two_connections(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=2)
    with kind.block(pool) as outer, kind.block(pool) as inner:
        assert outer.execute("SELECT pg_backend_pid()") != inner.execute("SELECT pg_backend_pid()")
        assert pool.occupancy.in_use == 2


def test_never_more_than_max_size_backends(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="crowd"), min_size=1, max_size=3)

    def work(_: int) -> int:
        with kind.block(pool) as block:
            block.execute("SELECT pg_sleep(0.02)")
            return block.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crowd'")[0][0]

    assert max(in_threads(20, work)) <= 3


def test_a_token_set_on_a_connection_is_read_by_its_holder_only(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=4)

    def work(i: int) -> bool:
        with kind.block(pool) as block:
            block.execute(f"SET LOCAL pgmonkey.token = '{i}'")
            block.execute("SELECT pg_sleep(0.01)")
            return block.execute("SHOW pgmonkey.token") == [(str(i),)]

    assert all(in_threads(24, work))


def test_idle_connections_above_min_size_are_closed_after_max_idle(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="idlers"), min_size=1, max_size=3, max_idle=0.3, max_lifetime=60)
    with kind.block(pool), kind.block(pool), kind.block(pool):
        assert server.backends("idlers") == 3
    until(lambda: server.backends("idlers") == 1)


def test_an_old_connection_is_replaced(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1, max_idle=0.2, max_lifetime=0.2)
    with kind.block(pool) as block:
        first = block.execute("SELECT pg_backend_pid()")
        time.sleep(0.3)
    with kind.block(pool) as block:
        assert block.execute("SELECT pg_backend_pid()") != first


def test_a_stale_connection_is_found_by_the_check_and_replaced(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="stale"), min_size=1, max_size=1, check_on_checkout=True)
    with kind.block(pool) as block:
        first = block.execute("SELECT pg_backend_pid()")
    server.terminate("stale")
    with kind.block(pool) as block:
        assert block.execute("SELECT pg_backend_pid()") != first


def test_the_check_hands_over_an_idle_connection(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1, check_on_checkout=True)
    with kind.block(pool) as block:
        assert block.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"dbname": "no_such"}, 'database "no_such" does not exist'), ({"host": "/no/such"}, "No such file or directory")],
)
def test_a_pool_that_cannot_connect_tells_the_true_reason_at_once(
    kind: Kind, server: Any, wrong: dict, reason: str
) -> None:
    pool = kind.open(server.config(**wrong), min_size=1, max_size=2, timeout=20)
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(PoolUnavailable) as caught, kind.block(pool):
            pass
        assert reason in str(caught.value)
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        assert time.monotonic() - started < 5


def test_server_settings_reach_every_connection(kind: Kind, server: Any) -> None:
    wanted = {"work_mem": "7 MB", "application_name": "by settings"}
    pool = kind.open(server.config() | {"sync_settings": wanted, "async_settings": wanted}, min_size=1, max_size=1)
    with kind.block(pool) as block:
        assert block.execute("SHOW application_name") == [("by settings",)]
        assert block.execute("SHOW work_mem") == [("7MB",)]
        block.execute("SET work_mem = '9MB'")
        block.execute("RESET ALL")
        assert block.execute("SHOW work_mem") == [("7MB",)]


def test_disconnect_closes_and_the_next_use_opens_anew(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="closing"), min_size=2, max_size=2)
    with kind.block(pool):
        pass
    PGConnectionManager().clear_cache()
    until(lambda: server.backends("closing") == 0)
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]
    if kind.connection_type == "pool":
        pool.disconnect()
    else:
        pool.close()


def test_what_is_borrowed_survives_force_reload(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with kind.block(pool) as block:
        from pgmonkey_magic.pools import get_cached

        fresh: Any = get_cached(pool.config, kind.connection_type, force_reload=True)
        assert fresh is not pool
        assert block.execute("SELECT 1") == [(1,)]
    assert kind.open(server.config(), min_size=1, max_size=1) is fresh


def test_many_threads_get_one_pool(kind: Kind, server: Any) -> None:
    pools = in_threads(50, lambda _: kind.open(server.config(), min_size=1, max_size=2))
    assert len({id(pool) for pool in pools}) == 1


def test_the_cache_is_by_content_and_type(server: Any) -> None:
    manager, other = PGConnectionManager(), PGConnectionManager()
    config = server.config() | {"pool_settings": {"min_size": 1, "max_size": 2}}
    written_out = config | {"pool_settings": {"max_size": 2, "min_size": 1, "timeout": 30}, "connection_type": "normal"}
    first: Any = manager.get_database_connection_from_dict(config, "pool")
    assert other.get_database_connection_from_dict(written_out, "pool") is first
    assert manager.cache_info["size"] == 1
    assert list(manager.cache_info["connection_types"].values()) == ["pool"]
    bigger = config | {"pool_settings": {"min_size": 1, "max_size": 3}}
    assert manager.get_database_connection_from_dict(bigger, "pool") is not first
    manager.clear_cache()
    assert manager.cache_info["size"] == 0


def test_pgmonkeys_methods_on_the_borrowed_connection(server: Any, table: str) -> None:
    pool: Any = Kind("pool").open(server.config(), min_size=1, max_size=2)
    with pytest.raises(RequestError, match="borrowed no connection"):
        pool.cursor()
    with pool:
        pool.cursor().execute(f"INSERT INTO {table} VALUES (1)")
        pool.commit()
        pool.cursor().execute(f"INSERT INTO {table} VALUES (2)")
        pool.rollback()
    with pool.transaction() as conn:
        conn.execute(f"INSERT INTO {table} VALUES (3)")
    pool.test_connection()
    assert server.query(f"SELECT * FROM {table} ORDER BY 1") == [(1,), (3,)]
    PGConnectionManager().clear_cache()


def test_pgmonkeys_methods_on_the_async_pool(server: Any, table: str) -> None:
    async def main() -> None:
        pool: Any = await PGConnectionManager().get_database_connection_from_dict(
            server.config() | {"async_pool_settings": {"min_size": 1, "max_size": 2}}, "async_pool"
        )
        async with pool.cursor() as cur:
            await cur.execute(f"INSERT INTO {table} VALUES (1)")
        async with pool:
            async with pool.cursor() as cur:
                await cur.execute(f"INSERT INTO {table} VALUES (2)")
            await pool.rollback()
        async with pool.transaction() as conn:
            await conn.execute(f"INSERT INTO {table} VALUES (3)")
        await pool.test_connection()
        await PGConnectionManager().clear_cache_async()

    asyncio.run(main())
    assert server.query(f"SELECT * FROM {table} ORDER BY 1") == [(1,), (3,)]


@pytest.mark.parametrize("connection_type", ["normal", "async"])
def test_single_connections(server: Any, table: str, connection_type: str) -> None:
    manager = PGConnectionManager()
    config = server.config(application_name="single")

    async def main() -> None:
        connection: Any = await manager.get_database_connection_from_dict(config, "async")
        async with connection as conn:
            await conn.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(ZeroDivisionError):
            async with connection as conn:
                await conn.execute(f"INSERT INTO {table} VALUES (2)")
                raise ZeroDivisionError

    if connection_type == "async":
        asyncio.run(main())
    else:
        connection: Any = manager.get_database_connection_from_dict(config, "normal")
        with connection as conn:
            conn.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(ZeroDivisionError), connection as conn:
            conn.execute(f"INSERT INTO {table} VALUES (2)")
            raise ZeroDivisionError
    assert server.query(f"SELECT * FROM {table}") == [(1,)]
    until(lambda: server.backends("single") == 0)
    manager.clear_cache()


def test_an_unknown_connection_type_is_refused(server: Any) -> None:
    with pytest.raises(RequestError, match="unknown connection type 'pol'; use one of normal, pool"):
        PGConnectionManager().get_database_connection_from_dict(server.config(), "pol")


def test_one_async_pool_serves_many_event_loops_in_turn_and_at_once(server: Any) -> None:
    kind = Kind("async_pool")
    pool = kind.open(server.config(), min_size=1, max_size=3)

    async def load() -> int:
        async def one() -> int:
            async with pool as conn:
                rows = await (await conn.execute("SELECT 1")).fetchall()
                return rows[0][0]

        return sum(await asyncio.gather(*(one() for _ in range(20))))

    assert [asyncio.run(load()) for _ in range(3)] == [20, 20, 20]
    assert in_threads(5, lambda _: asyncio.run(load())) == [20] * 5
    assert pool.occupancy.in_use == 0
    PGConnectionManager().clear_cache()


def test_two_tasks_on_one_connection_do_not_tie_it_to_their_loop(server: Any) -> None:
    pool = Kind("async_pool").open(server.config(), min_size=1, max_size=1)

    async def contend() -> None:
        async with pool as conn:
            await asyncio.gather(*(conn.execute("SELECT pg_sleep(0.01)") for _ in range(3)))

    asyncio.run(contend())
    asyncio.run(contend())
    PGConnectionManager().clear_cache()


def test_a_cancelled_task_loses_no_connection(server: Any) -> None:
    pool = Kind("async_pool").open(server.config(), min_size=1, max_size=1, timeout=20)

    async def main() -> None:
        for delay in [0, 0, 0.0001, 0.0003, 0.001, 0.003] * 20:
            context = contextvars.copy_context()
            async with pool:
                waiting = asyncio.create_task(pool.__aenter__(), context=context)
                await asyncio.sleep(delay)
            # It may have got the connection just now: then it is its holder, and gives it back.
            waiting.cancel()
            try:
                await waiting
            except asyncio.CancelledError:
                pass
            else:
                lease = context[pool._leases][-1]
                await pool.give_back(lease)

    asyncio.run(main())
    until(lambda: pool.occupancy.in_use == 0)
    with Kind("async_pool").block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]
    PGConnectionManager().clear_cache()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, also where the tests run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_the_main_thread_waits_loses_no_connection(server: Any, interruptible: None) -> None:
    pool: Any = Kind("pool").open(server.config(), min_size=1, max_size=1, timeout=20)
    for delay in (0.01, 0.02, 0.03) * 5:
        lease_taken, release = threading.Event(), threading.Event()

        def hold(taken: threading.Event = lease_taken, end: threading.Event = release) -> None:
            with pool:
                taken.set()
                end.wait(20)

        holder = threading.Thread(target=hold)
        holder.start()
        assert lease_taken.wait(20)
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt), pool:
            pytest.fail("the pool of one has a holder")
        release.set()
        holder.join(20)
    with pool as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    until(lambda: pool.occupancy.in_use == 0)
    PGConnectionManager().clear_cache()


def test_a_forked_child_gets_its_own_connections(server: Any) -> None:
    pool: Any = Kind("pool").open(server.config(), min_size=1, max_size=1)
    with pool as conn:
        parent = conn.execute("SELECT pg_backend_pid()").fetchone()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run here: no assert, no exception, no exit handlers
        try:
            with pool as conn:
                os.write(write, str(conn.execute("SELECT pg_backend_pid()").fetchone()).encode())
            pool.disconnect()
        finally:
            os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(read) as answer:
        in_child = answer.read()
    assert in_child not in ("", str(parent))
    with pool as conn:
        assert conn.execute("SELECT pg_backend_pid()").fetchone() == parent
    PGConnectionManager().clear_cache()


def test_repr_shows_live_state_and_no_secret(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(password="canary-7f3a"), min_size=1, max_size=2)
    with kind.block(pool):
        assert "1 in use" in repr(pool)
    assert "canary-7f3a" not in repr(pool) + repr(vars(pool)) + repr(pool.pool) + repr(vars(pool.pool))


def test_a_first_borrow_opens_min_size_and_not_one_more(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="cold"), min_size=3, max_size=10)
    with kind.block(pool) as conn:
        conn.execute("SELECT 1")
    until(lambda: server.backends("cold") >= 3)
    time.sleep(0.5)
    assert server.backends("cold") == 3
    assert pool.occupancy.size == 3


def test_more_requests_than_connections_on_their_way_let_it_grow(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="crowd"), min_size=1, max_size=6)

    def hold(_number: int) -> None:
        with kind.block(pool) as conn:
            conn.execute("SELECT pg_sleep(1)")

    began = time.monotonic()
    in_threads(6, hold)
    assert time.monotonic() - began < 4, "they were served side by side"
    assert server.backends("crowd") == 6


def test_a_dead_connection_that_is_still_held_does_not_keep_the_pool_from_growing(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="dead"), min_size=1, max_size=2, timeout=5)
    with pytest.raises(psycopg.OperationalError), kind.block(pool) as conn:
        conn.execute("SELECT 1")
        server.terminate("dead")
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        with kind.block(pool) as other:
            assert other.execute("SELECT 2") == [(2,)]


def test_a_block_may_begin_in_one_thread_and_end_in_another(server: Any) -> None:
    """A web framework runs the two halves of a generator wherever a thread is free."""
    pool = Kind("pool").open(server.config(), min_size=2, max_size=2, timeout=2)

    @contextlib.contextmanager
    def dependency() -> Iterator[Any]:
        with pool as conn:
            yield conn

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        mine, other = dependency(), dependency()
        conn = first.submit(mine.__enter__).result()
        another = second.submit(other.__enter__).result()
        for one in (conn, another):
            one.execute("SELECT 1")
        assert second.submit(mine.__exit__, None, None, None).result() is False
        assert conn.info.transaction_status == TransactionStatus.IDLE, "its own was committed"
        assert another.info.transaction_status == TransactionStatus.INTRANS, "and nobody else's"
        with pool as third:
            assert third is conn
            assert third is not another
        assert first.submit(other.__exit__, None, None, None).result() is False
    assert pool.occupancy.in_use == 0
    with pool, pool:
        pass


def test_a_block_may_begin_in_one_task_and_end_in_another(server: Any) -> None:
    async def errand() -> None:
        pool = await PGConnectionManager().get_database_connection_from_dict(
            server.config() | {"async_pool_settings": {"min_size": 2, "max_size": 2, "timeout": 2}}, "async_pool"
        )

        @contextlib.asynccontextmanager
        async def dependency() -> AsyncIterator[Any]:
            async with pool as conn:
                yield conn

        mine, other = dependency(), dependency()
        conn = await asyncio.create_task(mine.__aenter__())
        another = await asyncio.create_task(other.__aenter__())
        for one in (conn, another):
            await one.execute("SELECT 1")
        await asyncio.create_task(mine.__aexit__(None, None, None))
        assert conn.info.transaction_status == TransactionStatus.IDLE
        assert another.info.transaction_status == TransactionStatus.INTRANS
        await asyncio.create_task(other.__aexit__(None, None, None))
        assert pool.occupancy.in_use == 0
        async with pool, pool:
            pass

    asyncio.run(errand())


def test_blocks_of_an_exit_stack_and_nested_ones_end_as_they_began(kind: Kind, server: Any) -> None:
    pool = kind.open(server.config(application_name="nested"), min_size=1, max_size=4, timeout=2)
    pids: list[Any] = []
    with contextlib.ExitStack() as stack:
        outer = stack.enter_context(kind.block(pool))
        with kind.block(pool) as middle, kind.block(pool) as inner:
            pids = [block.execute("SELECT pg_backend_pid()") for block in (outer, middle, inner)]
            assert pool.occupancy.in_use == 3
        assert outer.execute("SELECT pg_backend_pid()") == pids[0]
        assert pool.occupancy.in_use == 1
    assert len({str(pid) for pid in pids}) == 3
    assert pool.occupancy.in_use == 0
    if kind.connection_type == "pool":
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(pool)
            with pool as second:
                assert second is not first
            first.execute("SELECT 1")
        assert pool.occupancy.in_use == 0
