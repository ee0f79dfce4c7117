"""`pgmonkey-magic config create` and `check`: a first file, and the proof that it works."""

from __future__ import annotations

import re
import stat
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from pgmonkey_magic.cli import main
from pgmonkey_magic.config import PoolSettings, read_config
from pgmonkey_magic.config.create import TEMPLATE

if TYPE_CHECKING:
    from fix_server import Server


def test_create_writes_a_private_file_that_is_valid_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.yaml"
    assert main(["config", "create", str(path)]) == 0
    assert "config check" in capsys.readouterr().out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_config(path).pool_settings.max_size == 10
    path.write_text("mine")
    assert main(["config", "create", str(path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["config", "create", str(tmp_path / "no" / "where.yaml")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_what_is_commented_out_in_the_template_is_true() -> None:
    text = TEMPLATE.read_text()
    commented = dict(re.findall(r"^  # (\w+): (\S+) {2,}#", text, re.MULTILINE))
    pools = asdict(PoolSettings())
    assert {key: yaml.safe_load(value) for key, value in commented.items() if key in pools} == {
        key: value for key, value in pools.items() if key not in {"min_size", "max_size"}
    }
    uncommented = re.sub(r"^# (?=(a?sync_settings|  \w+_timeout|pgbouncer))", "", text, flags=re.MULTILINE)
    assert yaml.safe_load(uncommented)["sync_settings"]["statement_timeout"] == "30s"


@pytest.mark.parametrize("kind", ["pool", "async_pool"])
def test_check_says_who_answered(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "new.yaml"
    main(["config", "create", str(path)])
    settings = server.settings
    text = path.read_text()
    for key, value in {"host": "${CHECK_HOST}", "port": settings["port"], "user": settings["user"]}.items():
        text = re.sub(rf"^  {key}: .*$", f"  {key}: {value}", text, flags=re.MULTILINE)
    if "password" in settings:  # of a server of one's own
        text = text.replace("  dbname:", f"  password: {settings['password']}\n  dbname:")
    path.write_text(text)
    monkeypatch.setenv("CHECK_HOST", settings["host"])
    capsys.readouterr()
    assert main(["config", "check", str(path), "--type", kind]) == 1
    assert "--resolve-env" in capsys.readouterr().err
    assert main(["config", "check", str(path), "--type", kind, "--resolve-env"]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"connected to postgres as {settings['user']}, PostgreSQL \d+", said)
    assert f"{kind}: min_size 2, max_size 10, timeout 30 s" in said


def test_a_readable_password_is_warned_of_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "open.yaml"
    path.write_text("connection_settings:\n  host: 127.0.0.1\n  port: 1\n  dbname: x\n  password: geheim\n")
    path.chmod(0o644)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        main(["config", "check", str(path)])
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("pgmonkey-magic: warning: ")
    assert said[0].endswith(f"run: chmod 600 {path}")
    assert "geheim" not in " ".join(said)


@pytest.mark.parametrize("processes", ["0", "-1", "x"])
def test_a_number_of_processes_that_is_none_is_refused(processes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "any.yaml", f"--processes={processes}"])
    assert "a whole number of at least 1" in capsys.readouterr().err


def test_check_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("connection_settings:\n  host: 127.0.0.1\n  port: 1\n  dbname: x\npool_settings:\n  maxsize: 3\n")
    assert main(["config", "check", str(path)]) == 1
    assert "did you mean 'max_size'?" in capsys.readouterr().err
    path.write_text(path.read_text().replace("maxsize", "min_size"))
    assert main(["config", "check", str(path)]) == 1
    assert "Connection refused" in capsys.readouterr().err
