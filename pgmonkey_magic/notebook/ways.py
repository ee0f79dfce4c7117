"""Which way a cell is run, by its options or its word; those that say so exclude each other."""

from __future__ import annotations

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
    Way,
    is_backslash,
)
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import PLANS
from pgmonkey_magic.results import OPTIONS, Output
from pgmonkey_magic.sql import Kind, split, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgmonkey_magic.notebook.grammar import Command, Options
    from pgmonkey_magic.notebook.names import Names


def way_of(options: Options, names: Names, sql: str) -> Way:
    """Return how the statements are run; the options that say so exclude each other."""
    output = _output(options)
    ways: dict[str, Callable[[str], Way]] = {
        "explain": lambda text: _explained(text, commits=options.has("commit")),
        "max-rows": lambda text: FirstRows(whole("--max-rows", text), output),
        "parallel": lambda text: Parallel(whole("--parallel", text), output, is_alone=len(split(sql)) == 1),
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


def _in_chunks(options: Options, asked: Mapping[str, str], output: Output, sql: str) -> InChunks:
    if others := [key for key in (*asked, "background") if options.has(key)]:
        raise RequestError(f"--as chunks and --{others[0]} exclude each other")
    text = options.value("chunk-rows")
    return InChunks.of(sql, output, None if text is None else whole("--chunk-rows", text))


def _output(options: Options) -> Output:
    """Return what rows shall come as; chunks are DataFrames. Raises RequestError as Output does."""
    chosen = {field: word for field, option in OPTIONS.items() if (word := options.value(option[2:])) is not None}
    if chosen.get("kind") == "chunks":
        chosen["kind"] = "df"
    return Output(**chosen)


def way_of_export(command: Command, sql: str) -> Export:
    """Return the way of `export PATH`. Raises RequestError where it is not one query."""
    if not is_backslash(sql) and (count := len(split(sql))) != 1:
        raise RequestError(
            f"export takes one query, and there are {count or 'none'}"
            + ("; run the others in a cell before it" if count else "")
        )
    return Export.to(command.arguments[0], command.options.value("decimals"))


def _explained(text: str, *, commits: bool) -> Explained:
    if text not in PLANS:
        raise RequestError(f"--explain takes {' or '.join(PLANS)}, not {text!r}")
    return Explained(analyze=text == "analyze", commits=commits)


def whole(option: str, text: str) -> int:
    """Read a whole number. Raises RequestError."""
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
        near = names.near(text)
        raise RequestError(
            f"--copy-from {text}: there is neither such a file nor such a name"
            + (f"; did you mean {near}?" if near else "")
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
