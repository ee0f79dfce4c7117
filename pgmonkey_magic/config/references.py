"""References to the environment and to secret files: `${VAR}`, `${VAR:-default}`, `from_env`, `from_file`.

They are resolved only on request: a shared file could otherwise send what the environment holds to a foreign host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from pgmonkey_magic.config.files import NotReadableError, read_regular
from pgmonkey_magic.config.redaction import is_reference, is_sensitive
from pgmonkey_magic.errors import ConfigError, EnvInterpolationError

VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*?))?\}")
SECRET_FILE_LIMIT = 64 * 1024
CURE = "use --resolve-env or %config PgMonkey.resolve_env = True (in Python: resolve_env=True)"


def resolve_env_vars(config: Any, allow_sensitive_defaults: bool = False) -> Any:
    """Return a copy of a configuration dict in which every reference is replaced by what it stands for.

    A default counts only where the variable is not set, and for passwords, tokens and key files only with
    *allow_sensitive_defaults*. Anything but a dict is returned as it is.

    Raises EnvInterpolationError, which names the key and the variable or file and never a value.
    """
    if not isinstance(config, Mapping):
        return config
    return _resolved(config, "", sensitive=False, defaults=allow_sensitive_defaults)


def has_variable(value: object) -> bool:
    """Tell whether *value* is text that holds a `${VAR}`."""
    return isinstance(value, str) and VARIABLE.search(value) is not None


def hint(value: object) -> str:
    """Return the cure to append to the complaint about *value*, if it is an unresolved `${VAR}`."""
    return f"; it is an unresolved ${{VAR}}: {CURE}" if has_variable(value) else ""


def refuse_references(config: Mapping[str, Any], path: str = "") -> None:
    """Raise ConfigError for the first `from_env` or `from_file`: unresolved, they stand for no value at all."""
    for key, value in config.items():
        here = f"{path}.{key}" if path else str(key)
        if is_reference(value):
            raise ConfigError(f"{here!r} is an unresolved {next(iter(value))} reference; {CURE}")
        if isinstance(value, Mapping):
            refuse_references(value, here)


def _resolved(value: Any, path: str, *, sensitive: bool, defaults: bool) -> Any:
    if is_reference(value):
        return _from_reference(value, path)
    if isinstance(value, Mapping):
        return {
            key: _resolved(
                item,
                f"{path}.{key}" if path else str(key),
                sensitive=sensitive or is_sensitive(key),
                defaults=defaults,
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_resolved(item, f"{path}[{i}]", sensitive=sensitive, defaults=defaults) for i, item in enumerate(value)]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _variable(match, path, default_allowed=defaults or not sensitive), value)
    return value


def _variable(match: re.Match[str], path: str, *, default_allowed: bool) -> str:
    name, default = match["name"], match["default"]
    value = os.environ.get(name)
    if value is not None:
        return value
    if default is None:
        raise EnvInterpolationError(f"environment variable {name!r} is not set, and {path!r} has no default for it")
    if not default_allowed:
        raise EnvInterpolationError(
            f"environment variable {name!r} is not set, and a default is not allowed for {path!r}, a sensitive key; "
            "set the variable (or pass allow_sensitive_defaults=True in Python)"
        )
    return default


def _from_reference(reference: Mapping[str, Any], path: str) -> str:
    kind, target = next(iter(reference.items()))
    if not isinstance(target, str | os.PathLike) or not str(target):
        raise EnvInterpolationError(f"'{path}.{kind}' must name a {'variable' if kind == 'from_env' else 'file'}")
    if kind == "from_env":
        value = os.environ.get(str(target))
        if value is None:
            raise EnvInterpolationError(f"environment variable {str(target)!r} is not set; '{path}.from_env' needs it")
        return value
    return _secret_from(os.fspath(target), path)


def _secret_from(target: str, path: str) -> str:
    try:
        text = read_regular(target, SECRET_FILE_LIMIT).data.decode()
    except NotReadableError as error:
        reason = str(error)
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    else:
        return text.rstrip("\r\n")
    # Raised out here, so that no UnicodeDecodeError, which holds the bytes, hangs on it as context.
    raise EnvInterpolationError(f"secret file {target!r} {reason}; '{path}.from_file' needs it")
