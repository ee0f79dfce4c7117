"""`Config`: a validated configuration as a frozen value, and the rules of its sections."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config.names import kind_of
from pgmonkey_magic.config.pool_settings import PoolSettings, truth
from pgmonkey_magic.config.redaction import Settings, redact_config
from pgmonkey_magic.config.references import has_variable, hint
from pgmonkey_magic.config.yaml_text import NAME
from pgmonkey_magic.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONNECTION_TYPES = ("normal", "pool", "async", "async_pool")

SWITCHES = frozenset({"keepalives", "sslcompression", "sslsni", "gssdelegation", "replication"})
"""The libpq parameters that are 1 or 0; true under any other key is a word that lost its quotes."""
WHOLE_NUMBERS = frozenset(
    {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,10}\s*", re.ASCII)
_SALT = secrets.token_bytes(32)
"""Random per process, so that a key that was seen cannot be used to try out passwords."""


@dataclass(frozen=True, slots=True, repr=False)
class Config:
    """A validated configuration, equal to another by content. Its repr holds no secret.

    `connection_settings` has libpq's own keywords only, each value as text; `sync_settings` and `async_settings` are
    server settings. `source` is the file it came from and no part of the content.
    """

    connection_type: str
    connection_settings: Mapping[str, str]
    autocommit: bool
    pool_settings: PoolSettings
    async_pool_settings: PoolSettings
    sync_settings: Mapping[str, str]
    async_settings: Mapping[str, str]
    pgbouncer: bool
    source: Path | None = field(default=None, compare=False)

    def key(self, connection_type: str) -> str:
        """Return the cache key for a connection of that type: 32 hex digits, free of secrets, valid in this process.

        It covers what such a connection depends on, with defaults filled in: changing `pool_settings` makes a new
        pool of type `pool` and leaves an `async_pool` alone.
        """
        content = {
            "type": connection_type,
            "connection": dict(self.connection_settings),
            "autocommit": self.autocommit,
            "server": dict(self.server_settings_for(connection_type)),
            "pool": asdict(self.pool_settings_for(connection_type)) if "pool" in connection_type else None,
            "pgbouncer": self.pgbouncer,
        }
        canonical = json.dumps(content, sort_keys=True).encode()
        return hashlib.blake2b(canonical, key=_SALT, digest_size=16).hexdigest()

    def pool_settings_for(self, connection_type: str) -> PoolSettings:
        """Return the pool settings of the sync or of the async types."""
        return self.async_pool_settings if _is_async(connection_type) else self.pool_settings

    def server_settings_for(self, connection_type: str) -> Mapping[str, str]:
        """Return the server settings of the sync or of the async types."""
        return self.async_settings if _is_async(connection_type) else self.sync_settings

    def redacted(self) -> dict[str, Any]:
        """Return the content in the shape of the file, for showing, with secrets masked."""
        return redact_config(
            {
                "connection_type": self.connection_type,
                "connection_settings": {**self.connection_settings, "autocommit": self.autocommit},
                "sync_settings": dict(self.sync_settings),
                "pool_settings": asdict(self.pool_settings),
                "async_settings": dict(self.async_settings),
                "async_pool_settings": asdict(self.async_pool_settings),
                "pgbouncer": self.pgbouncer,
            }
        )

    def __repr__(self) -> str:
        return f"Config({self.redacted()!r}, source={str(self.source) if self.source else None!r})"


def build_config(data: Mapping[str, Any], source: Path | None) -> Config:
    """Validate a configuration whose key names are checked and whose references are resolved.

    Raises ConfigError with the dotted path; it never shows the value of a sensitive key.
    """
    if "connection_settings" not in data:
        raise ConfigError("'connection_settings' is missing; it holds host, port, user, password and dbname")
    connection = {key: value for key, value in (data["connection_settings"] or {}).items() if value is not None}
    autocommit = connection.pop("autocommit", False)
    pgbouncer = truth("pgbouncer", False if data.get("pgbouncer") is None else data["pgbouncer"])
    return Config(
        connection_type=_connection_type(data.get("connection_type")),
        connection_settings=Settings({key: _connection_setting(key, value) for key, value in connection.items()}),
        autocommit=truth("connection_settings.autocommit", autocommit),
        pool_settings=PoolSettings.from_mapping(data.get("pool_settings"), "pool_settings"),
        async_pool_settings=PoolSettings.from_mapping(data.get("async_pool_settings"), "async_pool_settings"),
        sync_settings=_server_settings(data, "sync_settings", pgbouncer=pgbouncer),
        async_settings=_server_settings(data, "async_settings", pgbouncer=pgbouncer),
        pgbouncer=pgbouncer,
        source=source,
    )


def unresolved_references(config: Config) -> list[str]:
    """Return the paths in `connection_settings` that still hold a `${VAR}`, to hint at when connecting fails."""
    return [f"connection_settings.{key}" for key, value in config.connection_settings.items() if has_variable(value)]


def _is_async(connection_type: str) -> bool:
    if connection_type not in CONNECTION_TYPES:
        raise ConfigError(f"unknown connection type {connection_type!r}; known are {', '.join(CONNECTION_TYPES)}")
    return connection_type.startswith("async")


def _connection_type(value: object) -> str:
    if value is None:
        return "normal"
    if value in CONNECTION_TYPES:
        return str(value)
    near = get_close_matches(value, CONNECTION_TYPES, n=1) if isinstance(value, str) else []
    shown = repr(value) if isinstance(value, str) and NAME.fullmatch(value) else kind_of(value)
    cure = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(CONNECTION_TYPES)}"
    raise ConfigError(f"'connection_type' cannot be {shown}; {cure}{hint(value)}")


def _connection_setting(key: str, value: Any) -> str:
    path = f"connection_settings.{key}"
    if isinstance(value, bool):
        if key not in SWITCHES:
            raise ConfigError(f"{path!r} must be text, not true or false; put it in quotes")
        return str(int(value))
    text = _text(path, value)
    if key == "port" and not all(_is_port(part) for part in text.split(",")):
        raise ConfigError(f"{path!r} must be a number from 1 to 65535{hint(value)}")
    if key in WHOLE_NUMBERS and text and not _NUMBER.fullmatch(text):
        raise ConfigError(f"{path!r} must be a whole number{hint(value)}")
    if key == "dbname" and re.match(r"postgres(ql)?://", text):
        raise ConfigError(
            f"{path!r} must be a name, not a URL; write host, port, user and password as keys of their own"
        )
    return text


def _is_port(part: str) -> bool:
    # Empty stands for the default port, also in a list for several hosts.
    return not part.strip() or (_NUMBER.fullmatch(part) is not None and 1 <= int(part) <= 65535)


def _server_settings(data: Mapping[str, Any], section: str, *, pgbouncer: bool) -> Settings:
    values = {key: value for key, value in (data.get(section) or {}).items() if value is not None}
    if values and pgbouncer:
        raise ConfigError(
            f"{section!r} cannot be used with `pgbouncer: true`, because behind it a server process belongs to nobody "
            "for long; set them for the role instead: ALTER ROLE … SET …"
        )
    return Settings(
        {
            key: ("on" if value else "off") if isinstance(value, bool) else _text(f"{section}.{key}", value)
            for key, value in values.items()
        }
    )


def _text(path: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if "\0" in text:
        raise ConfigError(f"{path!r} holds a NUL character, which PostgreSQL cannot take")
    return text
