"""Transactions over several cells: the person who types BEGIN is in charge until COMMIT or ROLLBACK."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from fix_notebook import Shell
from fix_pools import until
from fix_server import Server

from pgmonkey_magic import RequestError, SQLError


def in_use(shell: Shell) -> int:
    return int(shell.run("%pgmonkey pools")["in use"].iloc[0])


def test_a_transaction_goes_on_over_cells_until_commit(connected: Shell, server: Server, table: str) -> None:
    connected.run("%pgmonkey BEGIN")
    assert re.search(r"transaction open \d s", connected.footer)
    connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1)")
    pids = {connected.run("%pgmonkey SELECT pg_backend_pid() AS pid")["pid"][0] for _ in range(3)}
    assert len(pids) == 1
    assert "transaction open" in connected.footer
    assert in_use(connected) == 1
    assert server.query(f"SELECT * FROM {table}") == []
    connected.run("%pgmonkey COMMIT")
    assert "transaction" not in connected.footer
    assert server.query(f"SELECT * FROM {table}") == [(1,)]
    assert in_use(connected) == 0


def test_rollback_takes_all_of_it_back(connected: Shell, server: Server, table: str) -> None:
    connected.run(f"%%pgmonkey\nSTART TRANSACTION;\nINSERT INTO {table} VALUES (1);\nSAVEPOINT a;")
    connected.run(f"%pgmonkey INSERT INTO {table} VALUES (2)")
    connected.run("%pgmonkey ROLLBACK TO a")
    assert connected.run(f"%pgmonkey SELECT n FROM {table}")["n"].to_list() == [1]
    connected.run("%pgmonkey ROLLBACK")
    assert server.query(f"SELECT * FROM {table}") == []
    assert in_use(connected) == 0


def test_an_aborted_transaction_stays_until_the_person_ends_it(connected: Shell, server: Server, table: str) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1)")
    error = connected.error("%pgmonkey SELECT nothing")
    assert error.detail[-1].endswith("is aborted; end it with %pgmonkey ROLLBACK")
    assert "cell [" in error.detail[-1]
    error = connected.error("%pgmonkey SELECT 1")
    assert isinstance(error, SQLError)
    assert error.sqlstate == "25P02"
    assert "end it with %pgmonkey ROLLBACK" in error.detail[-1]
    assert in_use(connected) == 1
    connected.run("%pgmonkey ROLLBACK")
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    assert server.query(f"SELECT * FROM {table}") == []


def test_a_transaction_whose_connection_died_is_reported_and_not_replaced(
    connected: Shell, server: Server, table: str
) -> None:
    connected.run("%pgmonkey BEGIN")
    pid = connected.run(f"%%pgmonkey\nINSERT INTO {table} VALUES (1);\nSELECT pg_backend_pid() AS pid")["pid"][0]
    server.query(f"SELECT pg_terminate_backend({pid}, 5000)")
    error = connected.error(f"%pgmonkey INSERT INTO {table} VALUES (2)")
    assert isinstance(error, SQLError)
    assert server.query(f"SELECT * FROM {table}") == []
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    assert "transaction" not in connected.footer
    assert in_use(connected) == 0


def test_in_charge_each_statement_is_its_own(connected: Shell, server: Server, table: str) -> None:
    connected.run(f"%%pgmonkey\nBEGIN; INSERT INTO {table} VALUES (1); COMMIT;\nVACUUM {table};")
    connected.error(f"%%pgmonkey\nBEGIN; INSERT INTO {table} VALUES (2); COMMIT;\nSELECT nothing")
    assert server.query(f"SELECT n FROM {table} ORDER BY n") == [(1,), (2,)]
    connected.run(f"%%pgmonkey --autocommit\nVACUUM {table};\nVACUUM {table};")
    assert in_use(connected) == 0


@pytest.mark.parametrize(
    "option", ["--read-only", "--rollback", "--timeout 5", "--isolation serializable", "--autocommit"]
)
def test_options_of_a_cells_own_transaction_are_refused_inside_another(connected: Shell, option: str) -> None:
    connected.run("%pgmonkey BEGIN")
    error = connected.error(f"%pgmonkey {option} SELECT 1")
    assert isinstance(error, RequestError)
    assert "inside of an open transaction" in str(error)
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    connected.run("%pgmonkey ROLLBACK")


def test_disconnecting_rolls_an_open_transaction_back(connected: Shell, server: Server, table: str) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1)")
    connected.run("%pgmonkey disconnect")
    assert re.fullmatch(r"pool test is closed; the transaction of cell \[\d+\] was rolled back\n", connected.stdout)
    until(
        lambda: server.query("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == [(0,)]
    )
    assert server.query(f"SELECT * FROM {table}") == []


def test_disconnecting_all_says_whose_transactions_are_gone(connected: Shell) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run("%pgmonkey disconnect --all")
    assert "pool test is closed; the transaction of cell [" in connected.stdout


def test_no_name_leaves_a_pool_with_an_open_transaction(
    connected: Shell, server: Server, table: str, config_file: Path
) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1)")
    kind = connected.run("%pgmonkey pools")["type"][0]
    content = yaml.safe_load(config_file.read_text())
    content[f"{kind}_settings"] = {"min_size": 1, "max_size": 7}
    config_file.write_text(yaml.safe_dump(content))
    error = connected.error(f"%pgmonkey connect {config_file} --as test -t {kind}")
    assert "a transaction is open on pool test" in str(error)
    connected.run("%pgmonkey use test")
    connected.run("%pgmonkey COMMIT")
    assert server.query(f"SELECT * FROM {table}") == [(1,)]


def test_what_a_transaction_has_left_on_the_session_is_gone_afterwards(connected: Shell) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run("%pgmonkey SET work_mem = '77kB'")
    connected.run("%pgmonkey COMMIT")
    for _ in range(4):
        assert connected.run("%pgmonkey SHOW work_mem")["work_mem"][0] != "77kB"


# -- what a cell leaves in its session ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("%pgmonkey SET work_mem = '8MB'", "what it set is gone with this cell: BEGIN keeps it over cells, "),
        ("%%pgmonkey --autocommit\nSET TIME ZONE 'UTC'; SET \"my.x\" = 1", "what it set is gone with this cell"),
        ("%pgmonkey CREATE TEMP TABLE t1 (n int)", "its temporary table is gone with this cell: BEGIN keeps it"),
        ("%%pgmonkey\nCREATE TEMPORARY TABLE t1 (n int); INSERT INTO t1 VALUES (1)", "its temporary table is gone"),
        ("%%pgmonkey --autocommit\nCREATE LOCAL TEMP TABLE t1 AS SELECT 1 AS n", "its temporary table is gone"),
        ("%pgmonkey LISTEN news", "its LISTEN is gone with this cell"),
    ],
)
def test_what_is_gone_with_a_cell_is_said(connected: Shell, typed: str, said: str) -> None:
    connected.run(typed)
    assert said in connected.footer


def test_where_settings_stay_is_named_by_the_kind_of_the_pool(connected: Shell) -> None:
    kind = connected.run("%pgmonkey pools")["type"][0]
    connected.run("%pgmonkey SET work_mem = '8MB'")
    assert f"over cells, {'async' if kind == 'async_pool' else 'sync'}_settings for good" in connected.footer


@pytest.mark.parametrize(
    "typed",
    [
        "%pgmonkey SET LOCAL work_mem = '8MB'",
        "%pgmonkey SET TRANSACTION READ ONLY",
        "%%pgmonkey\nSET work_mem = '8MB'; SHOW work_mem",
        "%%pgmonkey\nCREATE TEMP TABLE t1 (n int); SELECT * FROM t1",
        "%%pgmonkey\nCREATE TEMP TABLE t1 (n int); DROP TABLE t1",
        "%%pgmonkey\nCREATE TEMP TABLE t1 (n int) ON COMMIT DROP",
        "%pgmonkey --rollback SET work_mem = '8MB'",
        "%pgmonkey --explain CREATE TEMP TABLE t1 AS SELECT 1",
    ],
)
def test_nothing_is_said_of_what_was_used_or_ends_by_itself(connected: Shell, typed: str) -> None:
    connected.run(typed)
    assert "gone with this cell" not in connected.footer


def test_in_an_open_transaction_nothing_is_gone(connected: Shell) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run("%pgmonkey SET work_mem = '8MB'")
    assert "gone with" not in connected.footer
    connected.run("%pgmonkey CREATE TEMP TABLE t1 (n int)")
    assert "gone with" not in connected.footer
    connected.run("%pgmonkey ROLLBACK")
    assert "gone with" not in connected.footer


@pytest.mark.parametrize("typed", ["SELECT * FROM t1", "SELECT 1 FROM T1 WHERE true", 'INSERT INTO "t1" VALUES (2)'])
def test_a_temporary_table_that_is_missed_is_told_of(connected: Shell, typed: str) -> None:
    connected.run("%pgmonkey CREATE TEMP TABLE IF NOT EXISTS t1 (n int)")
    error = connected.error(f"%pgmonkey {typed}")
    (hint,) = [line for line in error.detail if line.startswith("HINT")]
    assert re.fullmatch(r"HINT: the temporary table t1 ended with cell \[\d+\]; BEGIN keeps it over cells", hint)
    assert not any("HINT" in line for line in connected.error("%pgmonkey SELECT * FROM t2").detail)
