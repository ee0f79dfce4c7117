"""From what was typed to a Request: the options' values, and what the parameters of the SQL mean in this notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells import (
    AsItIs,
    CopyIn,
    CopyOut,
    Explained,
    Export,
    FirstRows,
    InChunks,
    Parallel,
    Request,
    Upload,
    Way,
    is_backslash,
)
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import PLANS
from pgmonkey_magic.results import OPTIONS, Output
from pgmonkey_magic.sql import Kind, Parameter, find_parameters, split, tokens

if TYPE_CHECKING:
    from pgmonkey_magic.notebook.grammar import Command, Options, Query

LEVELS = ("read-committed", "repeatable-read", "serializable", "read-uncommitted")


@dataclass(frozen=True, slots=True)
class Names:
    """Where a parameter's name is looked up: the function that a line magic stands in, then the notebook."""

    local: Mapping[str, Any]
    notebook: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """Return what the name means; RequestError with the near miss where it means nothing."""
        for space in (self.local, self.notebook):
            if name in space:
                return space[name]
        near = get_close_matches(name, [*self.local, *self.notebook], n=1)
        raise RequestError(
            f"the parameter :{name} is not defined; "
            + (f"did you mean :{near[0]}?" if near else f"assign {name} = … first, or give -p {name}=…")
        )

    def get(self, name: str, default: Any) -> Any:
        """Return what the name means, or *default*."""
        return self.local.get(name, self.notebook.get(name, default))

    def evaluate(self, option: str, expression: str) -> Any:
        """Return the value of a Python expression; RequestError with Python's own reason."""
        try:
            return eval(expression, dict(self.notebook), dict(self.local))  # noqa: S307 - the person's own notebook
        except Exception as error:
            raise RequestError(f"{option} {expression!r}: {type(error).__name__}: {error}") from error


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
        way=_way(options, names, sql) if query.command is None else _TAKING_SQL[query.command.word](query.command, sql),
    )


def _way(options: Options, names: Names, sql: str) -> Way:
    """Return how the statements are run; the options that say so exclude each other."""
    output = _output(options)
    ways: dict[str, Callable[[str], Way]] = {
        "explain": lambda text: _explained(text, commits=options.has("commit")),
        "max-rows": lambda text: FirstRows(_whole("--max-rows", text), output),
        "parallel": lambda text: Parallel(_connections(text), output, is_alone=len(split(sql)) == 1),
        "copy-from": lambda text: CopyIn(_source(text, names, sql)),
        "copy-to": lambda text: CopyOut(_target(text, names, sql)),
    }
    asked = {key: value for key in ways if (value := options.value(key)) is not None}
    if len(asked) > 1:
        raise RequestError(f"{' and '.join('--' + key for key in asked)} exclude each other")
    if options.has("commit") and options.value("explain") != "analyze":
        raise RequestError("--commit belongs to --explain analyze, which rolls back otherwise; any other cell commits")
    if options.value("as") == "chunks":
        return _in_chunks(options, asked, output, sql)
    if options.has("chunk-rows"):
        raise RequestError("--chunk-rows belongs to --as chunks")
    for key, value in asked.items():
        if output.asked and key not in ("max-rows", "parallel"):
            raise RequestError(f"{output.asked} is for rows, and --{key} returns none; leave out one of the two")
        return ways[key](value)
    return AsItIs(output)


def _connections(text: str) -> int:
    if (connections := _whole("--parallel", text)) < 2:
        raise RequestError(f"--parallel takes at least 2 connections, not {text}")
    return connections


def _in_chunks(options: Options, asked: Mapping[str, str], output: Output, sql: str) -> InChunks:
    if others := [key for key in (*asked, "background") if options.has(key)]:
        raise RequestError(f"--as chunks and --{others[0]} exclude each other")
    if len(split(sql)) != 1:
        raise RequestError("--as chunks is for one query; run the other statements in a cell of their own")
    if (text := options.value("chunk-rows")) is None:
        return InChunks(output=output)
    if (rows := _whole("--chunk-rows", text)) == 0:
        raise RequestError("--chunk-rows takes at least 1")
    return InChunks(rows, output)


def _output(options: Options) -> Output:
    """Return what rows shall come as; chunks are DataFrames. Raises RequestError as Output does."""
    chosen = {field: word for field, option in OPTIONS.items() if (word := options.value(option[2:])) is not None}
    if chosen.get("kind") == "chunks":
        chosen["kind"] = "df"
    output = Output(**chosen)
    if output.kind == "scalar" and options.has("max-rows"):
        raise RequestError("--as scalar is for one value; leave out --max-rows")
    return output


def _export(command: Command, sql: str) -> Export:
    if not is_backslash(sql) and (count := len(split(sql))) != 1:
        raise RequestError(
            f"export takes one query, and there are {count or 'none'}"
            + ("; run the others in a cell before it" if count else "")
        )
    return Export.to(command.arguments[0], command.options.value("decimals"))


_TAKING_SQL = {"export": _export}
"""The ways of subcommands that take SQL."""


def _upload(command: Command, names: Names, cell: int | None) -> Request:
    options, (name, table) = command.options, command.arguments
    if (frame := names.get(name, None)) is None:
        near = get_close_matches(name, [*names.local, *names.notebook], n=1)
        cure = f"did you mean {near[0]}?" if near else "name a DataFrame"
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


def _explained(text: str, *, commits: bool) -> Explained:
    if text not in PLANS:
        raise RequestError(f"--explain takes {' or '.join(PLANS)}, not {text!r}")
    return Explained(analyze=text == "analyze", commits=commits)


def _whole(option: str, text: str) -> int:
    number = text.replace("_", "").replace(",", "")
    if not number.isdecimal():
        raise RequestError(f"{option} takes a whole number, not {text!r}")
    return int(number)


def _source(text: str, names: Names, sql: str) -> Any:
    _needs_copy(sql, "--copy-from", "FROM STDIN")
    source = names.get(text, text)
    if hasattr(source, "read") or hasattr(source, "columns"):
        return source
    if not isinstance(source, str | PathLike):
        raise RequestError(
            f"--copy-from {text} is a {type(source).__name__}; it takes a path, an open file or a DataFrame"
        )
    if not (path := Path(source).expanduser()).exists():
        near = get_close_matches(text, [*names.local, *names.notebook], n=1)
        raise RequestError(
            f"--copy-from {text}: there is neither such a file nor such a name"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return path


def _target(text: str, names: Names, sql: str) -> Any:
    _needs_copy(sql, "--copy-to", "TO STDOUT")
    target = names.get(text, text)
    if not hasattr(target, "write") and not isinstance(target, str | PathLike):
        raise RequestError(f"--copy-to {text} is a {type(target).__name__}; it takes a path or an open file")
    return target


def _needs_copy(sql: str, option: str, words: str) -> None:
    end = words.split()[1].lower()
    copies = [
        statement
        for statement in split(sql)
        if statement.words[:1] == ("copy",)
        and any(token.kind is Kind.WORD and token.text.lower() == end for token in tokens(statement.text))
    ]
    if len(copies) != 1:
        raise RequestError(f"{option} is the other end of one COPY … {words}; the cell holds {len(copies) or 'none'}")


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
