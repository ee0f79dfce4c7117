"""Where in a magic the cursor stands: in an option's name or value, in a word's argument, or in SQL.

The counterpart of `grammar` for text that is not finished: read from the left by the same rules, up to the cursor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import (
    CELL_OPTIONS,
    SUBCOMMANDS,
    TOKEN,
    Option,
    Subcommand,
    parse_cell,
    unquoted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = re.compile(r"(?:[ \t]*\n)*[ \t]*%%pgmonkey(?![\w?])(?P<line>[^\n]*)(?:\n(?P<body>.*))?", re.DOTALL)
_LINE = re.compile(r"(?:[ \t]*|.*[^=!<>]=\s*)%pgmonkey(?![\w?])(?P<line>.*)", re.DOTALL)
_CONTINUED = re.compile(r"(?:[^\n]*\\\n)*[^\n]*")
_QUOTED = re.compile(r"""\s*(?P<open>["'])(?P<text>.*)\Z""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InSQL:
    """The cursor is in SQL. `may_be_word` tells that what is typed may as well be the word of a subcommand."""

    sql: str
    cursor: int
    given: dict[str, list[str]]
    may_be_word: bool = False


@dataclass(frozen=True, slots=True)
class InOption:
    """An option's name is typed; `known` are those that are left."""

    fragment: str
    known: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class InValue:
    """An option's value is typed, in quotes where `fragment` begins with one; `sql` is what the options are for."""

    fragment: str
    option: Option
    given: dict[str, list[str]]
    sql: str = ""
    may_be_quoted: bool = True


@dataclass(frozen=True, slots=True)
class InArgument:
    """An argument of a subcommand is typed; `arguments` are those before it."""

    fragment: str
    subcommand: Subcommand
    arguments: tuple[str, ...]
    known: tuple[Option, ...]


Where = InSQL | InOption | InValue | InArgument


@dataclass(slots=True)
class _Read:
    """What was read up to the cursor. `fragment` is the word that is being typed, which may be empty.

    `rest_at` is where something begins that is no option; None where the cursor comes first.
    """

    given: dict[str, list[str]] = field(default_factory=dict)
    waiting: Option | None = None
    fragment: str = ""
    rest_at: int | None = None
    closed: bool = False
    """Whether `--` was read, behind which nothing is an option."""


def where(text: str, cursor: int) -> Where | None:
    """Return where *cursor* (characters from 0) stands in a cell; None outside of our magics."""
    if "%pgmonkey" not in text:
        return None
    if match := _CELL.fullmatch(text):
        if match.start("line") <= cursor <= match.end("line"):
            return _in_cell_line(match["line"], cursor - match.start("line"), match["body"] or "")
        if match["body"] is not None and cursor >= match.start("body"):
            return InSQL(match["body"], cursor - match.start("body"), _given(match["line"]))
        return None
    start, line = _line_at(text, cursor)
    if (match := _LINE.fullmatch(line)) and start + match.start("line") < cursor:
        return _in_line(match["line"], cursor - start - match.start("line"))
    return None


def _line_at(text: str, cursor: int) -> tuple[int, str]:
    """Return the line that holds the cursor and where it begins; a backslash at its end continues it."""
    for match in _CONTINUED.finditer(text):
        if match.start() <= cursor <= match.end():
            return match.start(), match[0].replace("\\\n", "  ")
    return 0, ""


def _given(line: str) -> dict[str, list[str]]:
    """Return the options of a cell's first line, where it is right, else those at its beginning."""
    try:
        return parse_cell(line, "").options.given
    except RequestError:
        return _read(line + " ", CELL_OPTIONS).given


def _in_cell_line(line: str, cursor: int, body: str) -> Where | None:
    if cursor == 0:
        return None  # still the name of the magic
    read = _read(line[:cursor], CELL_OPTIONS)
    if read.waiting:
        return _value(read, body)
    if read.rest_at is not None and not read.given:
        word = line[read.rest_at :].split(maxsplit=1)[0]
        if word in SUBCOMMANDS and SUBCOMMANDS[word].takes_sql:
            return _in_subcommand(SUBCOMMANDS[word], line[read.rest_at + len(word) : cursor], body, is_cell=True)
    is_option = read.rest_at is None and not read.closed
    return InOption(read.fragment, _left(CELL_OPTIONS, read) if is_option else ())


def _in_line(line: str, cursor: int) -> Where | None:
    read = _read(line[:cursor], CELL_OPTIONS)
    if read.waiting:
        return _value(read, line[cursor:])
    if read.rest_at is None:
        if read.fragment.startswith("-") and not read.closed:
            return InOption(read.fragment, _left(CELL_OPTIONS, read))
        start = cursor - len(read.fragment)
        return InSQL(line[start:], cursor - start, read.given, may_be_word=not read.given)
    rest = line[read.rest_at :]
    word = rest.split(maxsplit=1)[0]
    if word in SUBCOMMANDS and not read.given:
        return _in_subcommand(SUBCOMMANDS[word], line[read.rest_at + len(word) : cursor], line[cursor:])
    return InSQL(rest, cursor - read.rest_at, read.given)


def _in_subcommand(subcommand: Subcommand, head: str, after: str, *, is_cell: bool = False) -> Where | None:
    """Read a subcommand up to the end of *head*, which is the cursor; *after* is what follows, or a cell's body."""
    arguments: list[str] = []
    whole = _Read()
    while True:
        read = _read(head, subcommand.options)
        whole.given |= read.given
        if read.waiting:
            return _value(read, after)
        is_sql = subcommand.takes_sql and not is_cell and len(arguments) == subcommand.arguments[1]
        if is_sql and not (read.rest_at is None and read.fragment.startswith("-") and not read.closed):
            start = len(head) - len(read.fragment) if read.rest_at is None else read.rest_at
            return InSQL(head[start:] + after, len(head) - start, whole.given)
        if read.rest_at is None:
            break
        match = TOKEN.match(head, read.rest_at)
        assert match is not None  # noqa: S101 - something begins there
        arguments.append(unquoted(match))
        head = head[match.end() :]
    known = _left(subcommand.options, whole)
    if read.fragment.startswith("-") and not read.closed:
        return InOption(read.fragment, known)
    return InArgument(read.fragment, subcommand, tuple(arguments), known)


def _value(read: _Read, sql: str) -> InValue | None:
    assert read.waiting is not None  # noqa: S101 - asked before
    name, equals, value = read.fragment.partition("=")
    if equals and name in read.waiting.names:
        return InValue(value, read.waiting, read.given, sql, may_be_quoted=False)
    return InValue(read.fragment, read.waiting, read.given, sql)


def _read(head: str, known: Sequence[Option]) -> _Read:
    """Read options up to the end of *head*, which is the cursor."""
    by_name = {name: option for option in known for name in option.names}
    read = _Read()
    position = 0
    while match := TOKEN.match(head, position):
        if (quoted := _QUOTED.match(head, position)) and quoted["open"] not in quoted["text"]:
            read.fragment = quoted["open"] + quoted["text"]
            return read
        word = match["bare"]
        if word is not None and match.end() == len(head):
            _leave_unchosen(read, word, typing=True)
            return _typing(read, word, by_name)
        _leave_unchosen(read, word)
        if read.waiting:
            read.given.setdefault(read.waiting.key, []).append(unquoted(match))
            read.waiting = None
        elif word == "--" and not read.closed:
            read.closed = True
        elif read.closed or word is None or not _take(read, word, by_name):
            read.rest_at = match.end() - len(match[0].lstrip())
            return read
        position = match.end()
    return read


def _leave_unchosen(read: _Read, word: str | None, *, typing: bool = False) -> None:
    """Wait no longer for the value of an option that does without one, where something else follows."""
    if read.waiting is None or not (choices := read.waiting.choices):
        return
    if word not in choices and not (typing and word and any(choice.startswith(word) for choice in choices)):
        read.given.setdefault(read.waiting.key, []).append(choices[0])
        read.waiting = None


def _typing(read: _Read, word: str, by_name: dict[str, Option]) -> _Read:
    """Take the word that touches the cursor."""
    name, equals, _ = word.partition("=")
    if not read.waiting and equals and name in by_name:
        read.waiting = by_name[name]
    read.fragment = word
    return read


def _take(read: _Read, word: str, by_name: dict[str, Option]) -> bool:
    """Take a whole option; False where there is no such option."""
    name, equals, value = word.partition("=")
    option = by_name.get(name)
    if option is None:
        return False
    if option.metavar and not equals:
        read.waiting = option
    else:
        read.given.setdefault(option.key, []).append(value)
    return True


def _left(known: Sequence[Option], read: _Read) -> tuple[Option, ...]:
    """Return the options that may still be given."""
    return tuple(option for option in known if option.repeats or option.key not in read.given)
