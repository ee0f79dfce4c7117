"""A canary password appears in nothing that this room says."""

from __future__ import annotations

import copy
import dataclasses
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from pgmonkey_magic.config import edit_yaml, parse_config, read_config, redact_config
from pgmonkey_magic.errors import ConfigError

CANARY = "hunter2canary"

BROKEN = {
    "unclosed quote": f"connection_settings:\n  password: '{CANARY}\n",
    "colon in the value": f"connection_settings:\n  password: x: {CANARY}\n",
    "no blank after the colon": f"connection_settings:\n  user: u\n  password:{CANARY}\n  host: h\n",
    "no blank, last line": f"connection_settings:\n  password:{CANARY}\n",
    "no blank, in braces": f"connection_settings: {{user: u, password:{CANARY}}}\n",
    "no key": f"connection_settings: {CANARY}\n",
    "alias": f"connection_settings:\n  password: *{CANARY}\n",
    "tag": f"connection_settings:\n  password: !{CANARY}\n",
    "tag with text": f"connection_settings:\n  password: !x {CANARY}\n",
    "percent": f"connection_settings:\n  password: %{CANARY}\n",
    "escape": f'connection_settings:\n  password: "\\{CANARY}"\n',
    "twice": f"connection_settings:\n  password: {CANARY}\n  password: {CANARY}\n",
    "a key twice": f"connection_settings:\n  ? {CANARY} x\n  : 1\n  ? {CANARY} x\n  : 2\n",
    "list": f"connection_settings:\n  password: [{CANARY}]\n",
    "braces": f"connection_settings:\n  password: {{{CANARY}}}\n",
    "mapping": f"connection_settings:\n  password: {{{CANARY}: 1}}\n",
    "two references": f"connection_settings:\n  password: {{from_env: {CANARY}, from_file: x}}\n",
    "block": f"connection_settings:\n  password: |{CANARY}\n",
    "NUL": f'connection_settings:\n  password: "{CANARY}\\0"\n',
    "control character": f"connection_settings:\n  password: {CANARY}\x07\n",
    "wrong place, port": f"connection_settings:\n  port: {CANARY}\n",
    "wrong place, keepalives": f"connection_settings:\n  keepalives: {CANARY}\n",
    "wrong place, autocommit": f"connection_settings:\n  autocommit: {CANARY}\n",
    "wrong place, size": f"connection_settings:\npool_settings:\n  max_size: {CANARY}\n  timeout: 1\n",
    "wrong place, pgbouncer": f"connection_settings:\npgbouncer: {CANARY}\n",
    "URL": f"connection_settings:\n  dbname: postgresql://u:{CANARY}@h/d\n",
    "URL as a key": f"connection_settings:\n  ? postgresql://u:{CANARY}@h/d\n  : x\n",
    "URL as the file": f"postgresql://u:{CANARY}@h/d\n",
    "server setting": f"connection_settings:\nsync_settings:\n  'a {CANARY}': 1\n",
    "other error": f"connection_settings:\n  password: {CANARY}\n  hots: h\n",
    "top-level list": f"- {CANARY}\n",
    "not UTF-8": f"connection_settings:\n  password: {CANARY}ÿ\n".encode("latin-1"),
    "default": f"connection_settings:\n  password: ${{PGM_NONE:-{CANARY}}}\n",
}


def everything_said(error: BaseException) -> str:
    said = ["".join(traceback.format_exception(error)), repr(error), *getattr(error, "detail", ())]
    seen: BaseException | None = error.__context__
    while seen is not None:
        said += [repr(seen), str(seen), repr(vars(seen))]
        seen = seen.__context__
    return "\n".join(said)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("resolve_env", [False, True])
def test_no_error_or_warning_shows_the_password(
    tmp_path: Path, name: str, resolve_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGM_NONE", raising=False)
    content = BROKEN[name]
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o644)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            said = repr(read_config(path, resolve_env=resolve_env))
            assert (name, resolve_env) == ("default", False)
        except ConfigError as error:
            said = everything_said(error)
    said += "\n".join(str(warning.message) for warning in caught)
    # Source lines of this file in the traceback hold the word CANARY, not its value.
    assert CANARY not in said


@pytest.mark.parametrize("name", BROKEN)
def test_no_error_of_an_edit_shows_the_password(name: str) -> None:
    content = BROKEN[name]
    if isinstance(content, str):
        try:
            edit_yaml(content, {"pool_settings": {"max_size": 30}})
        except ConfigError as error:
            assert CANARY not in everything_said(error)


@pytest.mark.parametrize(
    "key", ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "sslkey", "sslcert", "sslrootcert"]
)
def test_no_repr_shows_a_sensitive_value(key: str) -> None:
    data = {"connection_settings": {"host": "h", key: CANARY}, "sync_settings": {"my.api_token": CANARY}}
    config = parse_config(data, source=Path("x.yaml"))
    surfaces = [
        *(repr(config), str(config), f"{config}", config.key("pool")),
        repr(config.connection_settings),
        str(config.sync_settings),
        repr(config.redacted()),
        repr(dataclasses.asdict(config)),
        repr(dataclasses.astuple(config)),
        repr(copy.deepcopy(config)),
        repr([config]),
        repr({name: getattr(config, name) for name in config.__slots__}),
    ]
    assert CANARY not in "\n".join(surfaces)
    assert "***REDACTED***" in repr(config)
    assert "'host': 'h'" in repr(config)
    assert "x.yaml" in repr(config)
    assert not hasattr(config, "__dict__")
    assert not hasattr(config.connection_settings, "__dict__")
    assert config.connection_settings[key] == CANARY


def test_redact_config_masks_what_holds_a_secret() -> None:
    config: dict[str, Any] = {
        "connection_settings": {
            "host": "h",
            "password": CANARY,
            "sslkey": "/k",
            "sslcert": "",
            "sslrootcert": None,
            "passfile": "/p",
            "SSLPassword": 5,
        },
        "list": [{"token": CANARY}],
        "secret": {"from_env": "PW"},
        "credentials": {"x": CANARY},
        5: 1,
    }
    before = copy.deepcopy(config)
    redacted = redact_config(config)
    assert config == before
    assert redacted == {
        "connection_settings": {
            "host": "h",
            "password": "***REDACTED***",
            "sslkey": "***REDACTED***",
            "sslcert": "",
            "sslrootcert": None,
            "passfile": "/p",
            "SSLPassword": "***REDACTED***",
        },
        "list": [{"token": "***REDACTED***"}],
        "secret": {"from_env": "PW"},
        "credentials": "***REDACTED***",
        5: 1,
    }
    assert redact_config("text") == "text"
