"""Reading files: what a pgmonkey user has works here, and whatever else is one sentence that leaks nothing."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgmonkey_magic.config import load_config, parse_config, read_config
from pgmonkey_magic.config.load import CONFIG_FILE_LIMIT
from pgmonkey_magic.errors import ConfigError

PGMONKEY_FILE = """\
# What a pgmonkey user has: quoted numbers, empty strings, an empty section.
connection_type: 'async_pool'

connection_settings:
  user: 'anna'
  password: 's3cret'
  host: 'db.example'
  port: '5433'
  dbname: 'shop'
  sslmode: 'prefer'
  sslcert: ''  # none
  sslkey: ''
  sslrootcert: ''
  connect_timeout: '10'
  application_name: 'myapp'
  keepalives: '1'
  keepalives_idle: '60'
  keepalives_interval: '15'
  keepalives_count: '5'
  # autocommit: false

sync_settings:
  # statement_timeout: '30000'

pool_settings:
  min_size: 5
  max_size: 20
  timeout: 30
  max_idle: 300
  max_lifetime: 3600
  check_on_checkout: false

async_settings:
  statement_timeout: '30000'
  lock_timeout: 10000
  jit: off

async_pool_settings:
  min_size: 2
  max_size: 10
"""


def written(tmp_path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "config.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def error_of(path: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pgmonkey_file_loads(tmp_path: Path) -> None:
    path = written(tmp_path, PGMONKEY_FILE)
    config = read_config(path)
    assert config.connection_type == "async_pool"
    assert config.connection_settings["password"] == "s3cret"
    assert config.connection_settings["port"] == "5433"
    assert config.connection_settings["sslcert"] == ""
    assert config.pool_settings.max_size == 20
    assert config.async_pool_settings.max_size == 10
    assert config.async_pool_settings.timeout == 30
    assert dict(config.sync_settings) == {}
    assert dict(config.async_settings) == {"statement_timeout": "30000", "lock_timeout": "10000", "jit": "off"}
    assert config.source == path
    assert not config.autocommit
    assert not config.pgbouncer


def test_load_config_returns_what_plain_yaml_does(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, PGMONKEY_FILE)) == yaml.safe_load(PGMONKEY_FILE)


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = (
        "connection_settings:\npool_settings: &p {min_size: 1, max_size: 3}\n"
        "async_pool_settings:\n  <<: *p\n  max_size: 4\n"
    )
    config = read_config(written(tmp_path, text))
    assert (config.async_pool_settings.min_size, config.async_pool_settings.max_size) == (1, 4)


def test_the_old_wrapper_is_unwrapped_with_a_warning_at_the_callers_line(tmp_path: Path) -> None:
    path = written(tmp_path, "postgresql:\n  connection_settings:\n    host: h\n")
    for call in (read_config, load_config):
        with pytest.warns(DeprecationWarning, match="one level up") as caught:
            call(path)
        assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning):
        assert parse_config({"postgresql": {"connection_settings": {"host": "h"}}}).connection_settings["host"] == "h"


def test_a_wrapper_with_keys_beside_it_is_refused(tmp_path: Path) -> None:
    assert "beside 'postgresql'" in error_of(written(tmp_path, "postgresql: {}\npool_settings: {}\n"))


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path, "connection_settings: {host: h}\n")
    config = read_config("~/config.yaml")
    assert config.source == tmp_path / "config.yaml"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n", "must be a mapping"),
        ("hello\n", "must be a mapping"),
        ("postgresql:\nx: 1\n", "beside"),
        ("connection_settings:\n  host: h\n  host: g\n", "'connection_settings.host' twice, on lines 2 and 3"),
        ("connection_settings: {host: [}\n", "line 1, column 30"),
        ("a: 1\n\tb: 2\n", "blanks, not tabs"),
        ("connection_settings:\n  host: h: i\n", "line 2, column 10: a value that holds ': ' needs quotes"),
        ("connection_settings: *nothing\n", "starts with '*' needs quotes"),
        ("connection_settings: !nothing x\n", "starts with '!'"),
        ("connection_settings: {user: @x}\n", "needs quotes"),
        ("a: 1\n---\nb: 1\n", "only one document"),
        ("connection_settings:\n  dbname: 2024-13-45\n", "line 2"),
        ("connection_settings:\n  dbname: 2024-12-24\n", "put it in quotes"),
        ("a: \x07\n", "control character at line 1, column 4"),
        (b"connection_settings:\n  host: \xff\n", "not UTF-8 text (line 2)"),
        ("x: " + "[" * 100, "more than 20 levels"),
        ("x: " + "[" * 100_000, "more than 20 levels"),
        ("x: " + "1" * 10_000 + "\n", "number"),
        ("x: " + "1:" * 50_000 + "1\n", "number"),
        ("x: &a [*a]\n", "contains itself"),
        ("? [a]\n: 1\n", "no plain text"),
        ("#" * (CONFIG_FILE_LIMIT + 1), "larger than 256 KiB"),
    ],
)
def test_unusable_content_is_one_sentence_that_names_the_file(tmp_path: Path, content: str | bytes, words: str) -> None:
    message = error_of(written(tmp_path, content))
    assert words in message
    assert "config.yaml" in message or "dbname" in message


@pytest.mark.parametrize("merge", ["", "<<: "])
def test_alias_bombs_are_refused_quickly(tmp_path: Path, merge: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} " + "{" + f"<<: [{', '.join([f'*a{i - 1}'] * 10)}]" + "}" for i in range(1, 15)]
    if not merge:
        lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 15))]
    start = time.monotonic()
    assert "more than 10000 values" in error_of(written(tmp_path, "\n".join(lines)))
    assert time.monotonic() - start < 2


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "does not exist; check the path" in error_of(tmp_path / "nothing.yaml")
    assert "is a directory" in error_of(tmp_path)
    assert "not a usable path" in error_of("a\0b")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "not a regular file" in error_of(fifo)
    assert "not a regular file" in error_of("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything; run as another user")
def test_an_unreadable_file(tmp_path: Path) -> None:
    assert "cannot be read" in error_of(written(tmp_path, "a: 1", 0o000))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_password_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, PGMONKEY_FILE, mode)
    with pytest.warns(UserWarning, match="chmod 600") as caught:
        read_config(path)
    assert "s3cret" not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", ["${PW}", "''", "", "{from_env: PW}", "{from_file: /x}"])
def test_without_a_literal_password_reading_by_others_is_fine(tmp_path: Path, value: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_config(written(tmp_path, f"connection_settings:\n  password: {value}\n  sslcert: /c\n", 0o644))


@pytest.mark.parametrize("value", ["12345", "${PW:-fallback}"])
def test_other_literal_passwords_are_seen_too(tmp_path: Path, value: str) -> None:
    with pytest.warns(UserWarning, match="chmod 600"):
        load_config(written(tmp_path, f"connection_settings:\n  password: {value}\n", 0o644))


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    assert "any user can write" in error_of(written(tmp_path, "connection_settings: {}\n", mode))


def test_the_file_is_named_in_the_detail_of_a_validation_error(tmp_path: Path) -> None:
    path = written(tmp_path, "connection_settings:\npool_settings: {min_szie: 3}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'pool_settings.min_szie'; did you mean 'min_size'\?") as caught:
        read_config(path)
    assert caught.value.detail == (f"in {path}",)


YAML_LIKE = st.text(st.sampled_from("ab:1 -\n'\"[]{}&*!|>#%@`\t\\,?=~.\x85\ufeff<0x_"), max_size=60)


@given(YAML_LIKE | st.text(max_size=40) | st.binary(max_size=60))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_is_a_dict_or_a_config_error(tmp_path: Path, content: str | bytes) -> None:
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    path = written(tmp_path, b"connection_settings:\n  host: " + data)
    try:
        assert isinstance(load_config(path), dict)
    except ConfigError as error:
        assert str(path) in str(error)
