"""The end of a block is committed, rolled back, or resolved by asking the server, also where the line is cut."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_pools import Kind, SyncBlock, until
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.config import parse_config
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools import committing
from pgmonkey_magic.pools.committing import CommitLost, transaction_outcome

if TYPE_CHECKING:
    from fix_proxy import Proxy
    from fix_server import Server


def proxied(server: Server, proxy: Proxy) -> dict[str, Any]:
    return server.config(host="127.0.0.1", port=proxy.port, sslmode="disable")


def test_a_commit_whose_answer_was_cut_off_but_which_happened_ends_the_block_cleanly(
    kind: Kind, server: Server, proxy: Proxy, table: str
) -> None:
    pool = kind.open(proxied(server, proxy), min_size=1, max_size=2)
    with kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
        proxy.cut = "after"
    assert server.query(f"SELECT n FROM {table}") == [(1,)]
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]


def test_a_commit_that_never_arrived_is_said_to_be_rolled_back(
    kind: Kind, server: Server, proxy: Proxy, table: str
) -> None:
    pool = kind.open(proxied(server, proxy), min_size=1, max_size=2)
    with pytest.raises(psycopg.OperationalError, match="rolled back: nothing has changed"), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1)")
        proxy.cut = "before"
    assert server.query(f"SELECT n FROM {table}") == []
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(("cut", "rows"), [("after", [(1,)]), ("before", [])])
def test_a_single_connection_resolves_its_commit_too(
    server: Server, proxy: Proxy, table: str, cut: str, rows: list[tuple]
) -> None:
    manager = PGConnectionManager()
    connection = manager.get_database_connection_from_dict(proxied(server, proxy), "normal")
    try:
        with SyncBlock(connection) as block:
            block.execute(f"INSERT INTO {table} VALUES (1)")
            proxy.cut = cut
    except psycopg.OperationalError as error:
        assert cut == "before"
        assert "rolled back" in str(error)
    else:
        assert cut == "after"
    assert server.query(f"SELECT n FROM {table}") == rows
    manager.clear_cache()


def test_a_deferred_constraint_fails_the_block_and_not_the_pool(kind: Kind, server: Server, table: str) -> None:
    server.query(f"ALTER TABLE {table} ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
    pool = kind.open(server.config(), min_size=1, max_size=1)
    with pytest.raises(psycopg.errors.UniqueViolation), kind.block(pool) as block:
        block.execute(f"INSERT INTO {table} VALUES (1), (1)")
    assert server.query(f"SELECT n FROM {table}") == []
    with kind.block(pool) as block:
        assert block.execute("SELECT 1") == [(1,)]


def test_a_transaction_nobody_knows_is_said_to_be_unknown(kind: Kind, server: Server) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)
    config = pool.config
    assert transaction_outcome(config, kind.connection_type, CommitLost(None, "")) == "committed"
    (in_future,) = server.query("SELECT (pg_current_xact_id()::text::bigint + 1000000)::text")[0]
    assert transaction_outcome(config, kind.connection_type, CommitLost(in_future, "")) is None


@pytest.mark.parametrize("crash", ["of the server", "of one process"])
def test_a_number_that_a_crash_has_given_to_another_transaction_is_not_believed(crash: str) -> None:
    with Cluster() as cluster:
        config = parse_config({"connection_settings": conninfo_to_dict(cluster.conninfo)})

        def insert(who: str) -> None:
            with psycopg.connect(cluster.conninfo) as conn:
                conn.execute("INSERT INTO crashed VALUES (%s)", [who])

        with psycopg.connect(cluster.conninfo) as conn:
            conn.execute("CREATE TABLE crashed (who text)")
        with psycopg.connect(cluster.conninfo) as conn:
            conn.execute("INSERT INTO crashed VALUES ('lost')")
            row = conn.execute(committing._WHO).fetchone()
            assert row is not None
            lost = CommitLost(str(row[0]), row[1])
            if crash == "of the server":
                cluster.restart("immediate")
            else:
                os.kill(conn.info.backend_pid, signal.SIGKILL)  # of this test's own server, which then recovers
            conn.close()

        def serves() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                insert("another")
                return True
            return False

        until(serves)
        for _ in range(3):
            insert("another")
        with psycopg.connect(cluster.conninfo) as conn:
            numbers = dict(conn.execute("SELECT who, xmin::text FROM crashed").fetchall())
            reused = conn.execute("SELECT pg_xact_status(%s::xid8)", [lost.xid]).fetchone()
        assert "lost" not in numbers
        assert reused == ("committed",), "the number belongs to another transaction now"
        assert transaction_outcome(config, "pool", lost) is None
