"""References to the environment and to secret files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pgmonkey_magic.config import load_config, parse_config, read_config, resolve_env_vars
from pgmonkey_magic.errors import ConfigError, EnvInterpolationError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGM_HOST", "db.example")
    monkeypatch.setenv("PGM_PW", "pa${PGM_HOST}ss")
    monkeypatch.setenv("PGM_SIZE", "10")
    monkeypatch.setenv("PGM_EMPTY", "")
    monkeypatch.delenv("PGM_NONE", raising=False)


def resolved(value: Any, key: str = "host", **options: Any) -> Any:
    return resolve_env_vars({"connection_settings": {key: value}}, **options)["connection_settings"][key]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${PGM_HOST}", "db.example"),
        ("a-${PGM_HOST}-${PGM_SIZE}", "a-db.example-10"),
        ("${PGM_NONE:-local}", "local"),
        ("${PGM_NONE:-}", ""),
        ("${PGM_HOST:-local}", "db.example"),
        ("${PGM_EMPTY:-local}", ""),
        ("${PGM_PW}", "pa${PGM_HOST}ss"),  # what comes out is not looked at again
        ("$PGM_HOST ${1X} ${", "$PGM_HOST ${1X} ${"),
        ({"from_env": "PGM_PW"}, "pa${PGM_HOST}ss"),
        (["${PGM_SIZE}", 1], ["10", 1]),
        (5, 5),
        (None, None),
    ],
)
def test_resolution(value: Any, expected: Any) -> None:
    assert resolved(value) == expected


def test_the_input_is_not_changed() -> None:
    data = {"connection_settings": {"host": "${PGM_HOST}", "password": {"from_env": "PGM_PW"}}}
    copy = {"connection_settings": dict(data["connection_settings"])}
    assert resolve_env_vars(data) is not data
    assert data == copy
    assert resolve_env_vars("${PGM_HOST}") == "${PGM_HOST}"


def test_a_missing_variable_is_named_with_the_key() -> None:
    for value in ("${PGM_NONE}", {"from_env": "PGM_NONE"}):
        with pytest.raises(EnvInterpolationError, match=r"'PGM_NONE' is not set.*connection_settings\.host"):
            resolved(value)


@pytest.mark.parametrize(
    "key", ["password", "sslpassword", "sslkey", "sslcert", "sslrootcert", "API_Token", "my_secret"]
)
def test_defaults_are_not_for_secrets(key: str) -> None:
    with pytest.raises(
        EnvInterpolationError, match=f"default is not allowed for 'connection_settings.{key}'"
    ) as caught:
        resolved("${PGM_NONE:-hunter2}", key)
    assert "hunter2" not in str(caught.value)
    assert resolved("${PGM_SIZE:-hunter2}", key) == "10"
    assert resolved("${PGM_NONE:-hunter2}", key, allow_sensitive_defaults=True) == "hunter2"


def test_secret_files(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_bytes("pä ss\nline\r\n\n".encode())
    assert resolved({"from_file": str(file)}) == "pä ss\nline"
    file.write_bytes(b"x" * 65536)
    assert len(resolved({"from_file": str(file)})) == 65536


def test_secret_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"hunter2" * 10_000)
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    (tmp_path / "link").symlink_to("fifo")
    cases = {
        "fifo": "is not a regular file",
        "link": "is not a regular file",
        "large": "is larger than 64 KiB",
        "binary": "is not UTF-8",
        "nothing": "does not exist",
        ".": "is a directory",
    }
    for name, words in cases.items():
        with pytest.raises(EnvInterpolationError, match=words) as caught:
            resolved({"from_file": str(tmp_path / name)}, "password")
        assert "'connection_settings.password.from_file'" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__context__ is None or "hunter2" not in repr(caught.value.__context__)
    with pytest.raises(EnvInterpolationError, match="not a regular file"):
        resolved({"from_file": "/dev/zero"})


@pytest.mark.parametrize("target", [5, None, ["x"], ""])
def test_a_reference_must_name_something(target: Any) -> None:
    for kind in ("from_env", "from_file"):
        with pytest.raises(EnvInterpolationError, match=f"'connection_settings.host.{kind}' must name a"):
            resolved({kind: target})


def test_parse_config_resolves_every_section() -> None:
    config = parse_config(
        {
            "connection_type": "${PGM_NONE:-pool}",
            "connection_settings": {
                "host": "${PGM_HOST}",
                "password": {"from_env": "PGM_PW"},
                "port": "${PGM_NONE:-99}",
            },
            "pool_settings": {"max_size": "${PGM_SIZE}"},
            "sync_settings": {"my.size": {"from_env": "PGM_SIZE"}},
        },
        resolve_env=True,
    )
    assert config.connection_type == "pool"
    assert dict(config.connection_settings) == {"host": "db.example", "password": "pa${PGM_HOST}ss", "port": "99"}
    assert config.pool_settings.max_size == 10
    assert dict(config.sync_settings) == {"my.size": "10"}


def test_unknown_keys_are_never_resolved(tmp_path: Path) -> None:
    """A hostile shared file must not get a file read, nor learn whether a variable is set."""
    path = tmp_path / "c.yaml"
    for text in (
        "connection_settings: {hots: '${PGM_NONE}'}",
        "connection_settings: {}\nextra: {from_file: /dev/zero}",
        "connection_settings: {host: [{from_file: /dev/zero}]}",
    ):
        path.write_text(text)
        for call in (read_config, load_config):
            with pytest.raises(ConfigError) as caught:
                call(path, resolve_env=True)
            assert not isinstance(caught.value, EnvInterpolationError)


@pytest.mark.parametrize("reference", [{"from_env": "PGM_PW"}, {"from_file": "/x"}])
@pytest.mark.parametrize("section", ["connection_settings", "async_settings"])
def test_without_resolving_a_reference_is_an_error_with_the_cure(reference: dict[str, str], section: str) -> None:
    data = {"connection_settings": {}} | {section: {"application_name": reference}}
    with pytest.raises(ConfigError, match=rf"'{section}\.application_name' .*--resolve-env .*resolve_env=True"):
        parse_config(data)


@pytest.mark.parametrize(
    "sections",
    [
        {"connection_settings": {"port": "${PGM_SIZE}"}},
        {"connection_settings": {"keepalives": "${PGM_SIZE}"}},
        {"connection_settings": {"autocommit": "${PGM_SIZE}"}},
        {"pool_settings": {"max_size": "${PGM_SIZE}"}},
        {"pool_settings": {"timeout": "${PGM_SIZE}"}},
        {"pgbouncer": "${PGM_SIZE}"},
        {"connection_type": "${PGM_SIZE}"},
    ],
)
def test_without_resolving_a_variable_that_fails_names_the_cure(sections: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"unresolved \$\{VAR\}: use --resolve-env"):
        parse_config({"connection_settings": {}} | sections)


def test_load_config_keeps_or_resolves(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("connection_settings:\n  host: ${PGM_HOST}\n  password: {from_env: PGM_PW}\n")
    assert load_config(path)["connection_settings"] == {"host": "${PGM_HOST}", "password": {"from_env": "PGM_PW"}}
    assert load_config(path, resolve_env=True)["connection_settings"]["password"] == "pa${PGM_HOST}ss"
    assert read_config(path, resolve_env=True).connection_settings["host"] == "db.example"
