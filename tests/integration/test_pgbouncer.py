"""Behind PgBouncer in transaction mode, which gives each transaction another server process."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fix_notebook import Shell
from fix_pgbouncer import SERVER_CONNECTIONS, Bouncer
from fix_pools import AsyncBlock, Kind, SyncBlock, in_threads, until
from fix_server import Server
from psycopg.pq import TransactionStatus

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.cells.job import Cancelled, Job
from pgmonkey_magic.cells.request import Request
from pgmonkey_magic.pools.liveness import FRESH_S

OFTEN = 12
"""More than psycopg's prepare_threshold of 5, after which it would prepare a statement."""
IGNORING = {"ignore_startup_parameters": "options"}
"""Of a PgBouncer that swallows startup options, so that nothing is noticed before a statement has been prepared."""


def ask(block: SyncBlock | AsyncBlock, sql: str, parameters: list[Any]) -> list[tuple]:
    """Run a statement with parameters, which is what psycopg prepares."""
    if isinstance(block, SyncBlock):
        cur = block.conn.execute(sql, parameters)
        return cur.fetchall() if cur.description else []

    async def fetch() -> list[tuple]:
        cur = await block.conn.execute(sql, parameters)
        return await cur.fetchall() if cur.description else []

    return block.run(fetch())


def ask_often(kind: Kind, pool: Any) -> None:
    with kind.block(pool) as block:
        assert [ask(block, "SELECT %s::int", [n]) for n in range(OFTEN)] == [[(n,)] for n in range(OFTEN)]


def at_rest(pool: Any) -> None:
    """Wait until the pool's workers have put everything back."""
    until(lambda: pool.occupancy.idle == pool.occupancy.size > 0)


# -- pools -----------------------------------------------------------------------------------------------------------


def test_200_borrows_from_8_threads(pgbouncer: Bouncer, kind: Kind, server: Server, table: str) -> None:
    pool = kind.open(pgbouncer.config(application_name="behind"), min_size=2, max_size=8)
    seen: defaultdict[int, set[int]] = defaultdict(set)

    def work(thread: int) -> None:
        for number in range(25 * thread, 25 * thread + 25):
            with kind.block(pool) as block:
                for n in range(OFTEN):
                    assert ask(block, "SELECT %s::int + %s", [number, n]) == [(number + n,)]
                ask(block, f"INSERT INTO {table} VALUES (%s)", [number])
                seen[id(block.conn)] |= {pid for (pid,) in block.execute("SELECT pg_backend_pid()")}

    in_threads(8, work)
    assert server.query(f"SELECT n FROM {table} ORDER BY n") == [(n,) for n in range(200)]
    assert len(set.union(*seen.values())) <= SERVER_CONNECTIONS
    assert any(len(pids) > 1 for pids in seen.values()), "no client has met two server processes: nothing was proved"


def test_tasks_of_one_loop(pgbouncer: Bouncer, server: Server, table: str) -> None:
    async def work(pool: Any, number: int) -> None:
        async with pool as conn:
            for n in range(OFTEN):
                cur = await conn.execute("SELECT %s::int + %s", [number, n])
                assert await cur.fetchall() == [(number + n,)]
            await conn.execute(f"INSERT INTO {table} VALUES (%s)", [number])

    async def main() -> None:
        config = pgbouncer.config() | {"async_pool_settings": {"min_size": 1, "max_size": 6}}
        opened: Any = PGConnectionManager().get_database_connection_from_dict(config, "async_pool")
        pool = await opened
        await asyncio.gather(*(work(pool, number) for number in range(40)))

    try:
        asyncio.run(main())
    finally:
        PGConnectionManager().clear_cache()
    assert server.query(f"SELECT n FROM {table} ORDER BY n") == [(n,) for n in range(40)]


def test_a_block_commits_or_rolls_back(pgbouncer: Bouncer, kind: Kind, server: Server, table: str) -> None:
    pool = kind.open(pgbouncer.config(), min_size=1, max_size=2)
    with kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
        assert server.query(f"SELECT * FROM {table}") == []
    with pytest.raises(ZeroDivisionError), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (2)")
        raise ZeroDivisionError
    with pytest.raises(psycopg.errors.InFailedSqlTransaction), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (3)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            block.execute("SELECT 1/0")
    assert server.query(f"SELECT * FROM {table}") == [(1,)]
    at_rest(pool)
    with kind.block(pool) as block:  # which meets no aborted transaction of the ones before
        assert block.execute(f"SELECT * FROM {table}") == [(1,)]


def test_nothing_is_reset_that_may_be_anothers(pgbouncer: Bouncer, kind: Kind, server: Server) -> None:
    pool = kind.open(pgbouncer.config(application_name="behind"), min_size=1, max_size=1)
    with kind.block(pool) as block:
        block.execute("SET LOCAL statement_timeout = '5s'")  # on a direct connection this makes the pool clean up
    at_rest(pool)
    last = server.query("SELECT query FROM pg_stat_activity WHERE application_name = 'behind'")
    assert last == [("COMMIT",)]


def test_a_check_gets_its_answer(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(), min_size=1, max_size=1, check_on_checkout=True, timeout=2)
    ask_often(kind, pool)
    at_rest(pool)
    time.sleep(FRESH_S + 0.1)  # younger ones are not asked
    clients = pgbouncer.clients()
    with kind.block(pool) as block:
        assert block.conn.info.transaction_status == TransactionStatus.IDLE
        assert pgbouncer.clients() == clients == 1
    at_rest(pool)
    time.sleep(FRESH_S + 0.1)
    pgbouncer.freeze()
    try:
        with pytest.raises(PoolUnavailable), kind.block(pool):
            pytest.fail("handed out without a proof")
    finally:
        pgbouncer.thaw()
    ask_often(kind, pool)


def test_live_tuning(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(), min_size=1, max_size=1)
    ask_often(kind, pool)
    pool.apply(replace(pool.settings, min_size=6, max_size=6))
    until(lambda: pgbouncer.clients() == pool.occupancy.idle == 6)
    in_threads(6, lambda _: ask_often(kind, pool))
    pool.apply(replace(pool.settings, min_size=2, max_size=2))
    until(lambda: pgbouncer.clients() == pool.occupancy.size == 2)
    in_threads(6, lambda _: ask_often(kind, pool))
    pool.undo()
    until(lambda: pgbouncer.clients() == 6)


def test_a_restart_is_survived(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(), min_size=4, max_size=4)
    until(lambda: pool.occupancy.idle == 4)
    pgbouncer.restart()
    in_threads(8, lambda _: ask_often(kind, pool))
    until(lambda: pgbouncer.clients() == pool.occupancy.idle == 4)


def test_while_it_is_away_the_reason_is_said(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(), min_size=2, max_size=2, timeout=5)
    until(lambda: pool.occupancy.idle == 2)
    pgbouncer.stop()
    before = time.monotonic()
    with pytest.raises(PoolUnavailable, match="cannot connect"), kind.block(pool):
        pytest.fail("nobody can serve")
    assert time.monotonic() - before < 2.5
    pgbouncer.start()
    ask_often(kind, pool)


def test_a_cancelled_cell_stops_at_the_server(pgbouncer: Bouncer, kind: Kind, server: Server) -> None:
    pool = kind.open(pgbouncer.config(application_name="cancelled"), min_size=1, max_size=1)
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(%'"
    job = Job.start(Request("SELECT pg_sleep(30)"), pool, "test")
    until(lambda: server.query(sleeping) == [(1,)])
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    until(lambda: server.query(sleeping) == [(0,)], 2)
    ask_often(kind, pool)


# -- cells -----------------------------------------------------------------------------------------------------------


def written(path: Path, config: dict[str, Any]) -> Path:
    sizes = {"min_size": 1, "max_size": 3}
    path.write_text(yaml.safe_dump(config | {"pool_settings": sizes, "async_pool_settings": dict(sizes)}))
    path.chmod(0o600)
    return path


@pytest.fixture(params=["pool", "async_pool"])
def bounced(pgbouncer: Bouncer, shell: Shell, tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """A shell that is connected through PgBouncer, over each kind of pool."""
    path = written(tmp_path / "bounced.yaml", pgbouncer.config())
    shell.run(f"%pgmonkey connect {path} --as bounced -t {request.param}")
    return shell


def test_cells_run(bounced: Shell, server: Server, table: str) -> None:
    for n in range(OFTEN):
        assert bounced.run(f"%pgmonkey SELECT {n} AS n")["n"].to_list() == [n]
    frame = bounced.run(f"%%pgmonkey\nINSERT INTO {table} VALUES (1), (2);\nSELECT n FROM {table} ORDER BY n")
    assert frame["n"].to_list() == [1, 2]
    error = bounced.error(f"%%pgmonkey\nINSERT INTO {table} VALUES (3);\nSELECT 1/0")
    assert error.sqlstate == "22012"
    assert server.query(f"SELECT n FROM {table} ORDER BY n") == [(1,), (2,)]
    bounced.run(f"%%pgmonkey --autocommit\nVACUUM {table}")


def test_cells_survive_tuning_and_a_restart(bounced: Shell, pgbouncer: Bouncer) -> None:
    bounced.run("%pgmonkey SELECT 1")  # a pool opens with its first borrow
    bounced.run("%pgmonkey tune min_size=4 max_size=5")
    until(lambda: pgbouncer.clients() == 4)
    pgbouncer.restart()
    assert bounced.run("%pgmonkey SELECT 1 AS n")["n"].to_list() == [1]


def test_connect_names_options_that_the_switch_does_not_leave_out(
    pgbouncer: Bouncer, shell: Shell, tmp_path: Path
) -> None:
    path = written(tmp_path / "options.yaml", pgbouncer.config(options="-c work_mem=1MB -c jit=off"))
    error = shell.error(f"%pgmonkey connect {path}")
    assert "PGOPTIONS" in str(error)
    assert "ignore_startup_parameters" in str(error)


# -- without the switch ----------------------------------------------------------------------------------------------


def test_connect_names_the_switch(pgbouncer: Bouncer, shell: Shell, tmp_path: Path) -> None:
    path = written(tmp_path / "direct.yaml", pgbouncer.config(switch=False))
    error = shell.error(f"%pgmonkey connect {path}")
    assert "startup parameter" in str(error)
    assert "`pgbouncer: true`" in str(error)


def test_a_borrow_names_the_switch(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(switch=False), min_size=1, max_size=1)
    with pytest.raises(PoolUnavailable, match="`pgbouncer: true`"), kind.block(pool):
        pytest.fail("PgBouncer takes no startup options")


def test_prepared_statements_break(pgbouncer: Bouncer, kind: Kind) -> None:
    # The reason for the switch: were this to pass, the tests above would prove nothing.
    pgbouncer.restart(**IGNORING, default_pool_size=1)
    first, second = (
        kind.open(pgbouncer.config(switch=False, application_name=name), min_size=1, max_size=1) for name in "ab"
    )
    ask_often(kind, first)
    with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
        ask_often(kind, second)


@pytest.mark.parametrize(("statement", "sqlstate"), [("PREPARE p AS SELECT 2", "42P05"), ("EXECUTE q", "26000")])
def test_a_prepared_statements_error_names_the_switch(
    pgbouncer: Bouncer, shell: Shell, tmp_path: Path, statement: str, sqlstate: str
) -> None:
    pgbouncer.restart(**IGNORING, default_pool_size=1)
    shell.run(f"%pgmonkey connect {written(tmp_path / 'direct.yaml', pgbouncer.config(switch=False))}")
    shell.run("%pgmonkey PREPARE p AS SELECT 1")
    error = shell.error(f"%pgmonkey {statement}")
    assert error.sqlstate == sqlstate
    assert any("`pgbouncer: true`" in line for line in error.detail)
