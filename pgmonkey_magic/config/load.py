"""From a file or a dict to a `Config`: read, unwrap, check names, resolve, validate, in this order."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgmonkey_magic.config.files import FileContent, NotReadableError, read_regular
from pgmonkey_magic.config.names import SECTIONS, check_names
from pgmonkey_magic.config.redaction import is_secret
from pgmonkey_magic.config.references import VARIABLE, refuse_references, resolve_env_vars
from pgmonkey_magic.config.schema import Config, build_config
from pgmonkey_magic.config.yaml_text import parse_yaml
from pgmonkey_magic.errors import ConfigError

CONFIG_FILE_LIMIT = 256 * 1024
_BETWEEN = {"pgmonkey_magic", "IPython"}
"""The packages between a person's code or cell and here."""

StrPath = str | os.PathLike[str]


def load_config(path: StrPath, resolve_env: bool = False, allow_sensitive_defaults: bool = False) -> dict[str, Any]:
    """Return the content of a YAML file as a dict, without the wrapper key `postgresql:` of old files.

    With *resolve_env* the references are resolved, once all key names are known ones; without it they stay as they
    are written. Warns of a password that others can read.

    Raises ConfigError for a file that cannot be read or that others can write, EnvInterpolationError for a reference.
    """
    content = _read_file(path)
    data = _unwrapped(parse_yaml(_decoded(content, path), _called(path)), _called(path))
    if os.name == "posix" and content.mode & 0o044 and _has_literal_secret(data):
        _warn(
            f"{_called(path)} holds a password and is readable by other users; run: chmod 600 {os.fspath(path)}",
            UserWarning,
        )
    if resolve_env:
        check_names(data)
        data = resolve_env_vars(data, allow_sensitive_defaults)
    return data


def read_config(path: StrPath, *, resolve_env: bool = False, allow_sensitive_defaults: bool = False) -> Config:
    """Return the validated configuration of a YAML file.

    Raises ConfigError, whose detail names the file, and EnvInterpolationError for a reference.
    """
    data = load_config(path)
    try:
        return parse_config(
            data,
            source=Path(path).expanduser().absolute(),
            resolve_env=resolve_env,
            allow_sensitive_defaults=allow_sensitive_defaults,
        )
    except ConfigError as error:
        error.add_note(f"in {os.fspath(path)}")
        raise


def parse_config(
    data: Mapping[str, Any],
    *,
    source: Path | None = None,
    resolve_env: bool = False,
    allow_sensitive_defaults: bool = False,
) -> Config:
    """Return the validated configuration of a dict in the shape of the YAML file; *data* is not changed.

    Raises ConfigError with the dotted path and the cure, EnvInterpolationError for a reference.
    """
    data = _unwrapped(data, "the configuration")
    check_names(data)
    if resolve_env:
        data = resolve_env_vars(data, allow_sensitive_defaults)
    else:
        refuse_references(data)
    return build_config(data, source)


def read_text(path: StrPath) -> str:
    """Return the text of a configuration file; ConfigError as for `load_config`."""
    return _decoded(_read_file(path), path)


def _read_file(path: StrPath) -> FileContent:
    try:
        content = read_regular(path, CONFIG_FILE_LIMIT)
    except NotReadableError as error:
        cure = "; check the path" if str(error) == "does not exist" else ""
        raise ConfigError(f"{_called(path)} {error}{cure}") from None
    if os.name == "posix" and content.mode & 0o002:
        raise ConfigError(
            f"{_called(path)} is refused, because any user can write to it; run: chmod o-w {os.fspath(path)}"
        )
    return content


def _decoded(content: FileContent, path: StrPath) -> str:
    try:
        return content.data.decode()
    except UnicodeDecodeError as error:
        line = content.data.count(b"\n", 0, error.start) + 1
    # Raised out here, so that the decoding error, which holds the bytes, does not hang on it as context.
    raise ConfigError(f"{_called(path)} is not UTF-8 text (line {line}); save it as UTF-8")


def _called(path: StrPath) -> str:
    return f"configuration file {os.fspath(path)!r}"


def _unwrapped(data: object, name: str) -> dict[str, Any]:
    if data is None:
        raise ConfigError(f"{name} is empty; it needs at least 'connection_settings:'")
    if isinstance(data, Mapping) and "postgresql" in data:
        if len(data) > 1:
            raise ConfigError(
                f"{name} has keys beside 'postgresql'; move them into it, or its content to the top level"
            )
        _warn(
            "the top-level key 'postgresql' is deprecated; remove it and move its content one level up",
            DeprecationWarning,
        )
        data = data["postgresql"]
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name} must be a mapping of settings at its top level, such as 'connection_settings:'")
    return dict(data)


def _has_literal_secret(data: Mapping[str, Any]) -> bool:
    sections = [data[name] for name in SECTIONS if isinstance(data.get(name), Mapping)]
    return any(
        is_secret(key) and isinstance(value, str | int | float) and VARIABLE.sub(r"\g<default>", str(value)) != ""
        for section in sections
        for key, value in section.items()
    )


def _warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the person's own code or cell that led here, however deep we are."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
