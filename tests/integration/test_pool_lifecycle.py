"""Pools over time: a file that is edited, modules loaded again, a table that changes, a server that is a stranger."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from fix_notebook import write_config
from fix_pools import Kind, until

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.config import parse_config
from pgmonkey_magic.pools import Holder, PGAsyncPool, PGPool, Terms, cache, connect_parameters, loop
from pgmonkey_magic.pools.connecting import REQUIRED_AUTH, is_local

if TYPE_CHECKING:
    from fix_notebook import Shell
    from fix_proxy import Proxy
    from fix_server import Server


def edited(path: Path, section: str, **sizes: int) -> None:
    write_config(path, yaml.safe_load(path.read_text()) | {section: sizes})


# -- a configuration that is edited ----------------------------------------------------------------------------------


def test_the_pool_of_an_edited_file_closes_when_its_last_borrower_is_done(
    kind: Kind, server: Server, tmp_path: Path
) -> None:
    section, name = kind.section, f"edited-{kind.connection_type}"
    path = write_config(tmp_path / "edited.yaml", server.config(application_name=name) | {section: {"min_size": 2}})
    old = kind.open_file(path)
    with kind.block(old) as block:
        edited(path, section, min_size=1, max_size=3)
        new = kind.open_file(path)
        assert new is not old
        assert old.retired
        assert not new.retired
        assert {entry.connectable for entry in cache.cached_entries().values()} == {old, new}
        assert block.execute("SELECT 1") == [(1,)]  # who holds one, keeps it
    until(lambda: [entry.connectable for entry in cache.cached_entries().values()] == [new])
    until(lambda: server.backends(name) == 1)
    assert kind.open_file(path) is new


def test_the_names_of_a_notebook_follow_the_file(connected: Shell, config_file: Path) -> None:
    connected.run("%pgmonkey SELECT 1")
    kind = connected.run("%pgmonkey pools")["type"][0]
    edited(config_file, f"{kind}_settings", min_size=1, max_size=7)
    connected.run(f"%pgmonkey connect {config_file} -t {kind}")
    pools = connected.run("%pgmonkey pools")
    assert set(pools["max_size"][pools["name"].isin(["test"])]) == {7}
    connected.run("import time; time.sleep(0.5)")
    assert list(connected.run("%pgmonkey pools")["max_size"].unique()) == [7]


# -- modules that are loaded again -----------------------------------------------------------------------------------


def test_modules_that_are_run_again_keep_the_one_pool(kind: Kind, server: Server) -> None:
    before = kind.open(server.config(), min_size=1)
    importlib.reload(loop)
    importlib.reload(cache)
    try:
        assert kind.open(server.config(), min_size=1) is before
        with kind.block(before) as block:
            assert block.execute("SELECT 1") == [(1,)]
        assert sum(thread.name == "pgmonkey-loop" for thread in threading.enumerate()) <= 1
    finally:
        cache.clear_cache()


# -- a table that is changed by somebody else ------------------------------------------------------------------------


def test_a_plan_that_has_gone_stale_fails_once_and_never_again(kind: Kind, server: Server, table: str) -> None:
    pool = kind.open(server.config(), min_size=1, max_size=1)

    def look() -> list[tuple]:
        with kind.block(pool) as block:
            return block.execute(f"SELECT * FROM {table}")

    for _ in range(8):  # psycopg prepares what has been run five times
        look()
    server.query(f"ALTER TABLE {table} ADD COLUMN more text")
    with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        look()
    assert "run the block again" in "".join(caught.value.__notes__)
    for _ in range(8):
        assert look() == []


# -- who the server is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("", True),
        ("/var/run/postgresql", True),
        ("localhost", True),
        ("127.0.0.5", True),
        ("::1", True),
        ("db.example.org", False),
        ("10.0.0.7", False),
        ("localhost.evil.example", False),
    ],
)
def test_a_server_elsewhere_must_prove_itself(host: str, local: bool) -> None:
    assert is_local(host) is local
    settings = {"host": host, "dbname": "x"}
    given = connect_parameters(parse_config({"connection_settings": settings}), "pool")
    assert given.get("require_auth") == (None if local else REQUIRED_AUTH)
    given = connect_parameters(parse_config({"connection_settings": settings | {"require_auth": "md5"}}), "pool")
    assert given["require_auth"] == "md5"


def test_a_stranger_that_accepts_anybody_is_refused_with_the_cure(
    kind: Kind, server: Server, proxy: Proxy, shell: Shell, tmp_path: Path
) -> None:
    # 127.1 reaches the loopback address and is not known to be local.
    config = server.config(host="127.1", port=proxy.port, sslmode="disable")
    pool = kind.open(config, min_size=1, timeout=5)
    with pytest.raises(PoolUnavailable, match="such as `require_auth: md5`"), kind.block(pool):
        pytest.fail("the test server asks for no password")
    path = write_config(tmp_path / "stranger.yaml", config)
    assert "such as `require_auth: md5`" in str(shell.error(f"%pgmonkey connect {path} -t {kind.connection_type}"))
    config["connection_settings"]["require_auth"] = "none"
    write_config(path, config)
    shell.run(f"%pgmonkey connect {path} -t {kind.connection_type}")
    assert shell.run("%pgmonkey SELECT 1 AS one")["one"].to_list() == [1]
    assert list(shell.run("%pgmonkey pools")["tls"].dropna()) == [False]


def test_the_manager_gives_both_pools_of_a_file(server: Server, tmp_path: Path) -> None:
    """The sync and the async pool of one file are no rivals: neither retires the other."""
    path = write_config(tmp_path / "both.yaml", server.config())
    manager = PGConnectionManager()
    sync_pool: Any = manager.get_database_connection(path, "pool")
    async_pool = Kind("async_pool").open_file(path)
    assert not sync_pool.retired
    assert not async_pool.retired
    manager.clear_cache()


@pytest.mark.parametrize("cls", [PGPool, PGAsyncPool])
def test_a_pool_that_is_closed_while_a_connection_comes_back_leaves_none_open(
    server: Server, cls: type[PGPool | PGAsyncPool]
) -> None:
    """The stock pool drops the return that is queued then; whoever refers to the connection keeps it open."""
    name = f"comes_back_{cls.__name__}"
    config = parse_config({"connection_settings": {**server.settings, "application_name": name}})
    kept: list[Any] = []
    for _ in range(10):
        pool = cls(config)
        pool.lend(lambda conn: conn.execute("SET work_mem = '7777kB'"), Terms(Holder("x"), "SET work_mem"), kept.append)
        pool.close() if isinstance(pool, PGAsyncPool) else pool.disconnect()
    until(lambda: server.query(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'") == [(0,)])
    assert len(kept) == 10
