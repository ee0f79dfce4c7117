"""`stats`, `tune`, `check`, `recycle` and `audit` over both kinds of pool, and `audit` on the command line."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from fix_notebook import write_config
from fix_pools import until

from pgmonkey_magic import ConfigError, RequestError
from pgmonkey_magic.cli import main
from pgmonkey_magic.config import read_config
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools import get_cached

if TYPE_CHECKING:
    from fix_notebook import Shell
    from fix_server import Server


def test_tune_applies_now_and_says_what_changes_when(connected: Shell) -> None:
    table = connected.run("%pgmonkey tune max_size=5 timeout=7")
    assert table["setting"].to_list() == ["max_size", "timeout"]
    assert table["after"].to_list() == [5, 7.0]
    pools = connected.run("%pgmonkey pools")
    assert (pools["max_size"][0], pools["tuned"][0]) == (5, True)
    connected.run("%pgmonkey tune test --undo")
    pools = connected.run("%pgmonkey pools")
    assert (pools["max_size"][0], pools["tuned"][0]) == (3, False)


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("tune max_sise=5", ConfigError, "max_size"),
        ("tune max_size=0", ConfigError, "at least 1"),
        ("tune min_size=9", ConfigError, "min_size"),
        ("tune test other", RequestError, "key=value"),
        ("tune max_size=4 --save nowhere.yaml", ConfigError, "does not exist"),
        ("tune --undo", RequestError, "nothing to undo"),
        ("tune max_size=90000", RequestError, "--yes"),
        ("audit --processes some", RequestError, "whole number"),
        ("recycle nosuch", RequestError, "nosuch"),
    ],
)
def test_a_wrong_change_changes_nothing(connected: Shell, line: str, error: type, said: str) -> None:
    before = connected.run("%pgmonkey pools")
    raised = connected.error(f"%pgmonkey {line}")
    assert isinstance(raised, error)
    assert said in str(raised)
    assert connected.run("%pgmonkey pools").equals(before)


def test_growing_beyond_the_server_needs_a_second_yes(connected: Shell) -> None:
    connected.run("%pgmonkey tune max_size=90000 --yes")
    assert connected.run("%pgmonkey pools")["max_size"][0] == 90000


def test_saving_keeps_the_files_comments_and_its_pool(connected: Shell, config_file: Path) -> None:
    config_file.write_text("# ours\n" + config_file.read_text())
    pool = connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    connected.run(f"%pgmonkey tune max_size=4 --save {config_file}")
    assert config_file.read_text().startswith("# ours\n")
    assert not pool.tuned
    config = read_config(config_file)
    assert config.pool_settings_for(pool.connection_type).max_size == 4
    assert get_cached(config, pool.connection_type) is pool


def test_stats_tell_waits_and_holds(connected: Shell) -> None:
    for _ in range(3):
        connected.run("%pgmonkey -q SELECT pg_sleep(0.02)")
    (row,) = connected.run("%pgmonkey stats test").to_dict("records")
    assert (row["borrows"], row["refused"]) == (3, 0)
    assert 20 <= row["hold p50 ms"] < 1000
    assert row["wait p99 ms"] < 1000
    assert row["busy"] > 0


def test_check_and_recycle(connected: Shell, server: Server) -> None:
    pid = connected.run("%pgmonkey SELECT pg_backend_pid() AS pid")["pid"][0]
    server.query(f"SELECT pg_terminate_backend({pid}, 5000)")
    connected.run("%pgmonkey check")
    assert "1 dead connections replaced" in connected.stdout
    pool = connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    until(lambda: pool.occupancy.idle >= 1)
    before = connected.run("%pgmonkey SELECT pg_backend_pid() AS pid")["pid"][0]
    connected.run("%pgmonkey recycle")
    until(lambda: pool.occupancy.idle >= 1)
    assert connected.run("%pgmonkey SELECT pg_backend_pid() AS pid")["pid"][0] != before


def test_audit_compares_with_the_server(connected: Shell) -> None:
    table = connected.run("%pgmonkey audit --processes 2").set_index("check")
    assert table["verdict"]["connections"] == "OK"
    assert table["value"]["connections"].startswith("2 × 3 = 6 of ")
    assert table["verdict"]["statement_timeout"] == "review"
    table = connected.run("%pgmonkey audit --processes 1000").set_index("check")
    assert table["verdict"]["connections"] == "too small"


def test_audit_takes_the_pool_as_it_has_been_tuned(connected: Shell, config_file: Path) -> None:
    connected.run("%pgmonkey tune max_size=20")
    table = connected.run("%pgmonkey audit --processes 2").set_index("check")
    assert table["value"]["connections"].startswith("2 × 20 = 40 of ")
    connected.run("%pgmonkey tune --undo")
    table = connected.run("%pgmonkey audit").set_index("check")
    assert table["value"]["connections"].startswith("1 × 3 = 3 of ")
    assert "max_size: 3" in config_file.read_text()


def test_a_refusal_names_the_limit(connected: Shell) -> None:
    error = connected.error("%pgmonkey tune max_size=5000")
    assert re.search(r"free for pool test \(max_connections \d+ − \d+ reserved − \d+ used by others\); see", str(error))


def test_connecting_to_a_full_server_names_the_cure(shell: Shell) -> None:
    with Cluster(settings={"max_connections": 2, "superuser_reserved_connections": 0}) as own, ExitStack() as held:
        for _ in range(2):
            held.enter_context(psycopg.connect(own.conninfo))
        write_config(Path("full.yaml"), {"connection_settings": {"host": str(own.socket_dir), "user": "postgres"}})
        for kind in ("pool", "async_pool"):
            said = str(shell.error(f"%pgmonkey connect full.yaml -t {kind}"))
            assert "sorry, too many clients already" in said
            assert "fewer or smaller pools (%pgmonkey audit counts them" in said
            assert "PgBouncer" in said


def test_audit_on_the_command_line(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(config_file)]) == 0
    assert capsys.readouterr().out.startswith("OK         connections")
    assert main(["audit", str(config_file), "--processes", "1000"]) == 1


def test_an_audit_that_could_not_ask_has_a_status_of_its_own(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "nowhere.yaml"]) == 2
    assert "does not exist" in capsys.readouterr().err
    down = write_config(tmp_path / "down.yaml", server.config(host="127.0.0.1", port=1))
    assert main(["audit", str(down)]) == 2
    assert "refused" in capsys.readouterr().err
    assert main(["config", "check", str(down)]) == 1
