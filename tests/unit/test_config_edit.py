"""Changing a file in place: the changed lines change, every other byte stays."""

from __future__ import annotations

import os
import stat
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.config import edit_yaml, load_config, save_settings
from pgmonkey_magic.errors import ConfigError

FILE = """\
# head

connection_type: 'pool'     # quoted
connection_settings:
    host:      db.example   # aligned
    password: ${PW}
    user: {from_env: PGUSER}
    sslkey:
        from_file: /run/key   # a reference on lines of its own
    port: ~

sync_settings:
    # statement_timeout: '30000'

pool_settings:
    min_size: 5      # at rest
    max_size: "20"
    # max_waiting: 0

async_pool_settings: {min_size: 1, max_size: 3}  # flow
# tail
"""


def changed_lines(before: str, after: str) -> list[str]:
    return [line.rstrip("\r\n") for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"pool_settings": {"max_size": 30}}, ['-     max_size: "20"', "+     max_size: 30"]),
        ({"pool_settings": {"min_size": 6}}, ["-     min_size: 5      # at rest", "+     min_size: 6      # at rest"]),
        ({"pool_settings": {"max_idle": 9.5}}, ["+     max_idle: 9.5"]),
        ({"pool_settings": {"check_on_checkout": True}}, ["+     check_on_checkout: true"]),
        ({"sync_settings": {"work_mem": "64MB"}}, ["+     work_mem: 64MB"]),
        ({"sync_settings": {"jit": "off"}}, ["+     jit: 'off'"]),
        ({"async_settings": {"lock_timeout": "5"}}, ["+ async_settings:", "+     lock_timeout: '5'"]),
        ({"connection_settings": {"port": 5433}}, ["-     port: ~", "+     port: 5433"]),
        (
            {"connection_settings": {"sslkey": "/k"}},
            [
                "-     sslkey:",
                "-         from_file: /run/key   # a reference on lines of its own",
                "+     sslkey: /k   # a reference on lines of its own",
            ],
        ),
        ({"connection_settings": {"user": "u"}}, ["-     user: {from_env: PGUSER}", "+     user: u"]),
        (
            {"async_pool_settings": {"max_size": 4, "timeout": 2}},
            [
                "- async_pool_settings: {min_size: 1, max_size: 3}  # flow",
                "+ async_pool_settings: {min_size: 1, max_size: 4, timeout: 2}  # flow",
            ],
        ),
        ({}, []),
        ({"pool_settings": {}}, []),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_the_changed_lines_change(changes: dict[str, Any], lines: list[str], newline: str) -> None:
    before = FILE.replace("\n", newline)
    after = edit_yaml(before, changes)
    diff = list(changed_lines(before, after))
    assert sorted(diff) == sorted(lines)
    assert after.count(newline) == after.count("\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("connection_settings:", "connection_settings:\npool_settings:\n  max_size: 30\n"),
        ("{connection_settings: {}}", "{connection_settings: {}, pool_settings: {max_size: 30}}"),
        ("connection_settings:\npool_settings:", "connection_settings:\npool_settings:\n  max_size: 30\n"),
        ("pool_settings: ~ # x\na: 1\n", "pool_settings:  # x\n  max_size: 30\na: 1\n"),
        ("pool_settings: {}\n", "pool_settings: {max_size: 30}\n"),
        ("{pool_settings: }", "{pool_settings: {max_size: 30} }"),
        ("pool_settings: {max_size: 7,}\n", "pool_settings: {max_size: 30,}\n"),
        ("pool_settings: {min_size: 7,}\n", "pool_settings: {min_size: 7, max_size: 30,}\n"),
        ("pool_settings:\n  max_size:\n", "pool_settings:\n  max_size: 30\n"),
        ("pool_settings:\n  max_size: |\n    7\n  min_size: 1\n", "pool_settings:\n  max_size: 30\n  min_size: 1\n"),
        (
            "a: &x 1\npool_settings:\n  min_size: *x # y\n",
            "a: &x 1\npool_settings:\n  min_size: *x # y\n  max_size: 30\n",
        ),
        ("a: &x 1\npool_settings:\n  max_size: *x # y\n", "a: &x 1\npool_settings:\n  max_size: 30 # y\n"),
        (
            "b: &b {min_size: 1, max_size: 9}\npool_settings:\n  <<: *b\n",
            "b: &b {min_size: 1, max_size: 9}\npool_settings:\n  <<: *b\n  max_size: 30\n",
        ),
        ("a: 1\n# last\n...\n", "a: 1\npool_settings:\n  max_size: 30\n# last\n...\n"),
        ("---\nx:\n - 1\n - 2\n# end", "---\nx:\n - 1\n - 2\n# end\npool_settings:\n  max_size: 30\n"),
        ("\ufeffpool_settings:\n  max_size: 7\n", "\ufeffpool_settings:\n  max_size: 30\n"),
        ("postgresql:\n  pool_settings:\n    max_size: 7\n", "postgresql:\n  pool_settings:\n    max_size: 30\n"),
        (
            "postgresql:\n    connection_settings:\n        host: h\n",
            "postgresql:\n    connection_settings:\n        host: h\n    pool_settings:\n        max_size: 30\n",
        ),
    ],
)
def test_shapes_of_files(before: str, after: str) -> None:
    assert edit_yaml(before, {"pool_settings": {"max_size": 30}}) == after


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (FILE, {"pool_settings": {"max_szie": 1}}, "did you mean 'max_size'"),
        (FILE, {"pools": {"max_size": 1}}, "is not a section"),
        (FILE, {"pool_settings": {"max_size": 3}}, r"'pool_settings.min_size' \(5\) is greater"),
        (FILE, {"pool_settings": {"max_size": [1]}}, "must be one value"),
        ("", {"pool_settings": {"max_size": 30}}, "mapping"),
        ("[1]", {"pool_settings": {"max_size": 30}}, "mapping"),
        ("postgresql: 1", {"pool_settings": {"max_size": 30}}, "mapping"),
        ("pool_settings: 5", {"pool_settings": {"max_size": 30}}, "'pool_settings' must be a mapping"),
        ("a: [", {"pool_settings": {"max_size": 30}}, "not valid YAML"),
        (
            "pool_settings: &p {max_size: 9}\nasync_pool_settings: *p\n",
            {"pool_settings": {"max_size": 30}},
            "share values through YAML aliases",
        ),
        (
            "pool_settings: &p {max_size: 9}\nasync_pool_settings: *p\n",
            {"async_pool_settings": {"max_size": 30}},
            "'async_pool_settings' is a YAML alias",
        ),
    ],
)
def test_what_cannot_be_changed_is_said(text: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        edit_yaml(text, changes)


def test_a_section_with_an_unresolved_reference_can_be_changed() -> None:
    after = edit_yaml("pool_settings: {min_size: '${MIN}'}", {"pool_settings": {"max_size": 2}})
    assert after == "pool_settings: {min_size: '${MIN}', max_size: 2}"


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.dictionaries(st.sampled_from(["jit", "work_mem", "my.name"]), TEXTS | st.booleans() | st.integers(), min_size=1),
    st.integers(5, 99),
    st.sampled_from(["", "# comment\n", "\n\n"]),
    st.integers(1, 8),
    st.permutations(["connection_settings", "sync_settings", "pool_settings", "pgbouncer"]),
)
def test_edits_keep_every_other_line_and_mean_what_was_asked(
    guc: dict[str, Any], size: int, noise: str, indent: int, order: list[str]
) -> None:
    blank = " " * indent
    blocks = {
        "connection_settings": f"connection_settings:\n{blank}host:   'h'  # c\n{blank}password: ${{PW}}\n",
        "sync_settings": f"sync_settings:\n{noise}",
        "pool_settings": f"pool_settings:\n{blank}min_size: 1 # x\n{blank}max_size: 4\n{noise}",
        "pgbouncer": "pgbouncer:   off\n",
    }
    before = noise.join(blocks[name] for name in order)
    after = edit_yaml(before, {"sync_settings": guc, "pool_settings": {"max_size": size}})
    expected = yaml.safe_load(before)
    expected["sync_settings"] = guc
    expected["pool_settings"]["max_size"] = size
    assert yaml.safe_load(after) == expected
    gone = [line for line in changed_lines(before, after) if line[0] == "-"]
    assert gone == ([] if size == 4 else [f"- {blank}max_size: 4"])


def test_a_value_keeps_its_blanks() -> None:
    for value in ("a\xa0", " a ", "\u3000"):
        assert yaml.safe_load(edit_yaml("sync_settings:\n  jit: x\n", {"sync_settings": {"jit": value}})) == {
            "sync_settings": {"jit": value}
        }


# -- files -----------------------------------------------------------------------------------------------------


def test_save_keeps_the_mode_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    for mode in (0o600, 0o640, 0o644):
        path.chmod(mode)
        inode = path.stat().st_ino
        save_settings(path, {"pool_settings": {"max_size": 30 + mode}})
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_ino != inode
        assert load_config(path)["pool_settings"]["max_size"] == 30 + mode
    assert os.listdir(tmp_path) == ["c.yaml"]


def test_save_follows_a_link_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "c.yaml").write_bytes(FILE.replace("\n", "\r\n").encode())
    link = tmp_path / "link.yaml"
    link.symlink_to("real/c.yaml")
    save_settings(str(link), {"pool_settings": {"max_size": 31}})
    assert link.is_symlink()
    assert b"max_size: 31\r\n" in (tmp_path / "real" / "c.yaml").read_bytes()


def test_a_failed_save_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    with pytest.raises(ConfigError):
        save_settings(path, {"pool_settings": {"max_size": 1}})

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\)"):
        save_settings(path, {"pool_settings": {"max_size": 30}})
    assert path.read_text() == FILE
    assert os.listdir(tmp_path) == ["c.yaml"]
    with pytest.raises(ConfigError, match="does not exist"):
        save_settings(tmp_path / "nothing.yaml", {})
