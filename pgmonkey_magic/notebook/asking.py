"""From what was typed to a Request: the options' values, and what the parameters of the SQL mean in this notebook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells import Request, Upload, is_backslash
from pgmonkey_magic.cells.unfilled import unfilled
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.ways import way_of, way_of_export
from pgmonkey_magic.sql import Parameter, find_parameters

if TYPE_CHECKING:
    from pgmonkey_magic.notebook.grammar import Command, Options, Query
    from pgmonkey_magic.notebook.names import Names

LEVELS = ("read-committed", "repeatable-read", "serializable", "read-uncommitted")
_TAKING_SQL = {"export": way_of_export}
"""The ways of subcommands that take SQL."""


def asked_for(query: Query, names: Names, cell: int | None) -> Request:
    """Return the request for a query. Raises RequestError for an option's value or a name that means nothing."""
    if query.command is not None and query.command.word == "upload":
        return _upload(query.command, names, cell)
    options = query.options
    sql = _text(query)
    given = _given(options, names)
    return Request(
        sql=sql,
        values={
            name: given[name] if name in given else names.value(name)
            for name in dict.fromkeys(parameter.name for parameter in _parameters(sql))
        },
        cell=cell,
        autocommit=options.has("autocommit"),
        wait_s=_seconds("--wait", options.value("wait")),
        timeout_s=_seconds("--timeout", options.value("timeout")),
        isolation=_level(options.value("isolation")),
        read_only=options.has("read-only"),
        rollback=options.has("rollback"),
        way=way_of(options, names, sql)
        if query.command is None
        else _TAKING_SQL[query.command.word](query.command, sql),
        remarks=unfilled(sql, given, names.local, names.notebook),
    )


def _upload(command: Command, names: Names, cell: int | None) -> Request:
    options, (name, table) = command.options, command.arguments
    if (frame := names.get(name, None)) is None:
        near = names.near(name)
        cure = f"did you mean {near}?" if near else "name a DataFrame"
        raise RequestError(f"upload: there is no {name!r} in the notebook; {cure}")
    key = options.value("key")
    columns = () if key is None else tuple(column.strip() for column in key.split(","))
    way = Upload.of(frame, table, options.value("mode") or "fail", columns)
    return Request(
        sql=way.statement,
        cell=cell,
        wait_s=_seconds("--wait", options.value("wait")),
        timeout_s=_seconds("--timeout", options.value("timeout")),
        rollback=options.has("rollback"),
        way=way,
    )


def _parameters(sql: str) -> list[Parameter]:
    return [] if is_backslash(sql) else find_parameters(sql)


def _text(query: Query) -> str:
    path = query.options.value("file")
    if path is None:
        return query.sql
    if query.sql.strip():
        raise RequestError("--file brings the SQL; leave out the one that is typed")
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"--file {path}: {getattr(error, 'strerror', None) or error}") from error


def _given(options: Options, names: Names) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if (expression := options.value("params")) is not None:
        values = names.evaluate("--params", expression)
        if not isinstance(values, Mapping):
            raise RequestError(f"--params takes a dict, not {type(values).__name__}")
        given |= values
    for text in options.values("param"):
        name, equals, expression = text.partition("=")
        if not equals or not name.isidentifier():
            raise RequestError(f"-p takes NAME=EXPR, not {text!r}")
        given[name] = names.evaluate(f"-p {name}=", expression)
    return given


def _level(text: str | None) -> str | None:
    if text is None:
        return None
    level = "-".join(text.lower().replace("_", " ").replace("-", " ").split())
    if level not in LEVELS:
        raise RequestError(f"--isolation takes one of {', '.join(LEVELS)}, not {text!r}")
    return level.replace("-", " ").upper()


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise RequestError(f"{option} takes a positive number of seconds, not {text!r}")
    return seconds
