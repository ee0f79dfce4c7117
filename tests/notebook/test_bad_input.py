"""Bad input: one sentence that names the thing and the cure; nothing is lost, leaked or left borrowed."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
import yaml

from pgmonkey_magic import PgMonkeyError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from fix_notebook import Shell
    from fix_server import Server

CANARY = "canary-7f3a-pass"

FILES = {
    "broken YAML": ("connection_settings: [", "is not valid YAML"),
    "unknown key": ("connection_settings: {hots: h}", "did you mean"),
    "min over max": (
        "connection_settings: {host: h}\npool_settings: {min_size: 9, max_size: 2}",
        "'pool_settings.min_size' (9) is greater than 'pool_settings.max_size' (2)",
    ),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("password", ["", CANARY])
def test_a_file_that_cannot_be_used(shell: Shell, tmp_path: Path, case: str, password: str) -> None:
    text, said = FILES[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace("connection_settings: {", f"connection_settings: {{password: '{password}', "))
    path.chmod(0o600)
    refused(shell, f"%pgmonkey connect {path}", said)


def test_a_missing_file_names_the_path(shell: Shell) -> None:
    refused(shell, "%pgmonkey connect nowhere.yaml", "'nowhere.yaml' does not exist")


def test_an_unset_variable_is_named(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGM_UNSET", raising=False)
    path = tmp_path / "unset.yaml"
    path.write_text("connection_settings: {host: h, password: '${PGM_UNSET}'}")
    refused(shell, f"%pgmonkey connect {path} --resolve-env", "PGM_UNSET")


@pytest.mark.parametrize("kind", ["pool", "async_pool"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"port": 1}, "connection"),
        ({"dbname": "nosuch"}, 'database "nosuch" does not exist'),
        ({"user": "nosuch"}, 'role "nosuch" does not exist'),
        ({"host": "127.0.0.1", "port": 1}, "refused"),
    ],
)
def test_a_wrong_address_is_the_servers_own_error(
    shell: Shell, server: Server, tmp_path: Path, kind: str, wrong: dict[str, object], said: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(server.config(password=CANARY, **wrong)))
    path.chmod(0o600)
    refused(shell, f"%pgmonkey connect {path} -t {kind}", said)
    assert list(shell.run("%pgmonkey pools").index) == []


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%pgmonkey\nSELEC 1", 'syntax error at or near "SELEC"'),
        ("%%pgmonkey --quite\nSELECT 1", "did you mean --quiet"),
        ("%pgmonkey --wait soon SELECT 1", "positive number of seconds"),
        ("%%pgmonkey SELECT 1\nSELECT 2", "move SQL to the next line"),
        ("%%pgmonkey -o a-b\nSELECT 1", "no Python name"),
        ("%pgmonkey use tset", "did you mean 'test'"),
        ("%pgmonkey connect server.yaml password=x", "stays in the history"),
        ("%%pgmonkey -c nowhere\nSELECT 1", "no pool is open under the name 'nowhere'"),
        ("%%pgmonkey -t pol\nSELECT 1", "unknown connection type 'pol'"),
    ],
)
def test_a_mistake_in_a_cell_costs_nothing(connected: Shell, cell: str, said: str) -> None:
    refused(connected, cell, said)
    pools = connected.run("%pgmonkey pools")
    assert (pools["in use"] == 0).all()
    assert connected.run("%pgmonkey SELECT 1 AS one")["one"].to_list() == [1]


def refused(shell: Shell, cell: str, said: str) -> None:
    """The cell fails with one short sentence, which holds *said*, and nowhere does the password appear."""
    error = shell.error(cell)
    assert isinstance(error, PgMonkeyError)
    assert said in str(error)
    assert "\n" not in str(error)
    rendered = "\n".join(error._render_traceback_())
    full = "".join(traceback.format_exception(error))
    assert CANARY not in rendered + full + repr(error) + str(vars(error)) + shell.stdout


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("SELECT 1\0, this is lost", "NUL character (number 9)"),
        ("SELECT '\ud800'", "'\\ud800' cannot be sent in the connection's encoding"),
        ("SET client_encoding = 'LATIN1';\nSELECT '\u2603'", "'\\u2603' cannot be sent"),
    ],
)
def test_text_that_cannot_be_sent_is_told(connected: Shell, cell: str, part: str) -> None:
    error = connected.error(f"%%pgmonkey --autocommit\n{cell}")
    assert isinstance(error, RequestError)
    assert part in str(error)
    assert connected.run("%pgmonkey SELECT 'ä' AS x").x.item() == "ä"
