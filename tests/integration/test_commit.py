"""The end of a block is committed, rolled back, or resolved by asking the server, also where the line is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_pools import Kind, SyncBlock

from pgmonkey_magic import PGConnectionManager
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
    assert transaction_outcome(config, kind.connection_type, CommitLost(None)) == "committed"
    (in_future,) = server.query("SELECT (pg_current_xact_id()::text::bigint + 1000000)::text")[0]
    assert transaction_outcome(config, kind.connection_type, CommitLost(in_future)) is None
