"""Which keys hold secrets, and how their values are kept out of what people see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REDACTED = "***REDACTED***"
KEY_FILES = frozenset({"sslkey", "sslcert", "sslrootcert"})
"""Paths, hence no secrets, but masked and without default values, as in pgmonkey."""
SECRET_NAMES = frozenset({"scram_client_key", "scram_server_key"})
SECRET_WORDS = ("password", "token", "secret", "credential")
REFERENCES = ("from_env", "from_file")
"""The keys of a mapping that stands for a value."""


def is_secret(key: object) -> bool:
    """Tell whether a value under this key is itself a secret."""
    name = str(key).lower()
    return name in SECRET_NAMES or any(word in name for word in SECRET_WORDS)


def is_sensitive(key: object) -> bool:
    """Tell whether a value under this key is masked: the secrets and the paths of key files."""
    return is_secret(key) or str(key).lower() in KEY_FILES


def redact_config(config: Any) -> Any:
    """Return a deep copy of a configuration dict with every sensitive value replaced by `***REDACTED***`.

    Empty values stay, as there is nothing to hide, and so do `from_env` and `from_file`, which name a secret but hold
    none. Anything but a dict is returned as it is.
    """
    return _redacted(config) if isinstance(config, Mapping) else config


def is_reference(value: object) -> bool:
    """Tell whether *value* is `{from_env: …}` or `{from_file: …}`."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in REFERENCES


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: REDACTED if is_sensitive(key) and item and not is_reference(item) else _redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


class Settings(Mapping[str, str]):
    """A read-only mapping of settings whose repr masks the secrets; `dict(settings)` and `**settings` hold them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(redact_config(self._values))
