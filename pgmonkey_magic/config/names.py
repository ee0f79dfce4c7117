"""Which keys a configuration may have. Unknown ones are refused before anything is resolved or used."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pgmonkey_magic.config.redaction import REFERENCES, is_reference
from pgmonkey_magic.config.yaml_text import NAME
from pgmonkey_magic.errors import ConfigError

SECTIONS = (
    "connection_settings",
    "sync_settings",
    "pool_settings",
    "async_settings",
    "async_pool_settings",
)
TOP_LEVEL = ("connection_type", *SECTIONS, "pgbouncer")
POOL_KEYS = (
    "min_size",
    "max_size",
    "timeout",
    "max_idle",
    "max_lifetime",
    "check_on_checkout",
    "max_waiting",
    "reconnect_timeout",
    "num_workers",
)
SERVER_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)*")
_FROM_OTHER_TOOLS = {
    "database": "dbname",
    "db": "dbname",
    "username": "user",
    "hostname": "host",
    "passwd": "password",
    "pass": "password",
}


@cache
def libpq_keywords() -> tuple[str, ...]:
    """Return the connection parameters of the libpq that is installed, newest ones included."""
    from psycopg import pq  # noqa: PLC0415 - loads libpq, which only this question needs

    return tuple(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def check_names(config: Mapping[str, Any]) -> None:
    """Check every key name and that each value is a scalar or a reference.

    Raises ConfigError with the dotted path and the near miss; it shows keys, never values.
    """
    check_keys(config, TOP_LEVEL, "")
    for key, value in config.items():
        if key in SECTIONS:
            check_section(key, value)
        else:
            _check_shape(key, value)


def check_section(section: str, values: Any) -> None:
    """Do the same for one section; None stands for an empty one."""
    if values is None:
        return
    if not isinstance(values, Mapping) or is_reference(values):
        raise ConfigError(f"{section!r} must be a mapping, one 'key: value' per line, not {kind_of(values)}")
    if section == "connection_settings":
        check_keys(values, (*libpq_keywords(), "autocommit"), section)
    elif section in ("pool_settings", "async_pool_settings"):
        check_keys(values, POOL_KEYS, section)
    else:
        for key in values:
            if not isinstance(key, str) or not SERVER_SETTING.fullmatch(key) or len(key) > 63:
                raise ConfigError(f"{_dotted(section, key)} is not the name of a server setting")
    for key, value in values.items():
        _check_shape(f"{section}.{key}", value)


def check_keys(values: Mapping[str, Any], known: Collection[str], section: str) -> None:
    """Raise ConfigError for the first key that is not among *known*."""
    for key in values:
        if key in known:
            continue
        near = [_FROM_OTHER_TOOLS[key]] if key in _FROM_OTHER_TOOLS and "dbname" in known else []
        near = near or get_close_matches(str(key), known, n=1)
        if near:
            cure = f"did you mean {near[0]!r}?"
        elif "dbname" in known:
            cure = "libpq knows no such connection parameter"
        else:
            cure = f"known are {', '.join(known)}"
        raise ConfigError(f"unknown key {_dotted(section, key)}; {cure}")


def kind_of(value: object) -> str:
    """Name the kind of a value for an error; not the value, which may be a secret in the wrong place."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (Mapping, "a mapping"),
        ((list, tuple, set), "a list"),
    )
    if value is None:
        return "nothing"
    return next((name for kind, name in kinds if isinstance(value, kind)), f"a {type(value).__name__}")


def _check_shape(path: str, value: object) -> None:
    if is_reference(value):
        return
    if value is None or isinstance(value, str | int | float | os.PathLike):
        return
    quotes = "" if isinstance(value, Mapping | list | tuple | set) else "; if it is text, put it in quotes"
    if isinstance(value, Mapping) and len(value) == 1:
        near = get_close_matches(str(next(iter(value))), REFERENCES, n=1)
        quotes = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"{path!r} must be one value (text, a number, true or false), not {kind_of(value)}{quotes}")


def _dotted(section: str, key: object) -> str:
    shown = key if isinstance(key, str) and NAME.fullmatch(key) else f"({kind_of(key)} that is no name)"
    return f"'{section}.{shown}'" if section else f"'{shown}'"
