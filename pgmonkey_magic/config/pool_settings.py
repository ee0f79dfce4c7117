"""The settings of a pool: their defaults, their ranges, how they bound each other."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config.names import POOL_KEYS, check_keys, kind_of
from pgmonkey_magic.config.references import hint
from pgmonkey_magic.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_WHOLE = 2**31 - 1
MAX_SECONDS = 1e9
"""About 31 years; a wait of more than 292 overflows in the lock of a thread."""

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,15}\s*", re.ASCII)
_DECIMAL = re.compile(r"\s*[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})([eE][+-]?[0-9]{1,2})?\s*", re.ASCII)
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The settings of one pool; times in seconds. `from_mapping` validates, the constructor does not."""

    min_size: int = 5
    max_size: int = 20
    timeout: float = 30.0
    max_idle: float = 300.0
    max_lifetime: float = 3600.0
    check_on_checkout: bool = False
    max_waiting: int = 0
    reconnect_timeout: float = 300.0
    num_workers: int = 3

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, path: str = "pool_settings") -> PoolSettings:
        """Validate a mapping; what is missing or None takes its default, and numbers may be written as text.

        *path* is the section's name in errors. Raises ConfigError.
        """
        given = {key: value for key, value in (values or {}).items() if value is not None}
        check_keys(given, POOL_KEYS, path)
        settings = cls(**{key: _READERS[key](f"{path}.{key}", value) for key, value in given.items()})
        _check_order(settings, "min_size", "max_size", given, path)
        _check_order(settings, "max_idle", "max_lifetime", given, path)
        return settings


def whole(path: str, value: object, least: int) -> int:
    """Read a whole number of at least *least*."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_WHOLE:
        return value
    raise ConfigError(f"{path!r} must be a whole number of at least {least}, not {_shown(value)}{hint(value)}")


def seconds(path: str, value: object, *, zero: bool = False) -> float:
    """Read a finite number of seconds above 0, or from 0 on with *zero*."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value <= MAX_SECONDS:
        number = float(value) if value > -MAX_SECONDS else -1.0
        if number > 0 or (zero and number == 0):
            return number
    least = "0 or more" if zero else "more than 0"
    raise ConfigError(f"{path!r} must be a number of seconds, {least}, not {_shown(value)}{hint(value)}")


def truth(path: str, value: object) -> bool:
    """Read true or false, also as the words of YAML 1.1 and as 1 or 0, which is how a variable holds them."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _WORDS:
        return _WORDS[word]
    raise ConfigError(f"{path!r} must be true or false, not {_shown(value)}{hint(value)}")


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "min_size": lambda path, value: whole(path, value, 0),
    "max_size": lambda path, value: whole(path, value, 1),
    "timeout": seconds,
    "max_idle": seconds,
    "max_lifetime": seconds,
    "check_on_checkout": truth,
    "max_waiting": lambda path, value: whole(path, value, 0),
    "reconnect_timeout": lambda path, value: seconds(path, value, zero=True),
    "num_workers": lambda path, value: whole(path, value, 1),
}


def _check_order(settings: PoolSettings, low: str, high: str, given: Mapping[str, Any], path: str) -> None:
    small, large = getattr(settings, low), getattr(settings, high)
    if small <= large:
        return

    def said(name: str, value: float) -> str:
        return f"'{path}.{name}' ({value:g}{'' if name in given else ', the default'})"

    if low in given and high not in given:
        cure = f"set {high} to at least {small:g} as well"
    elif high in given and low not in given:
        cure = f"set {low} to at most {large:g} as well"
    else:
        cure = f"lower {low} or raise {high}"
    raise ConfigError(f"{said(low, small)} is greater than {said(high, large)}; {cure}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # The bound keeps Python from refusing to print an integer of thousands of digits.
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**15):
        return f"{value:g}" if math.isfinite(value) and isinstance(value, float) else str(value)
    return "so large a number" if isinstance(value, int) else kind_of(value)
