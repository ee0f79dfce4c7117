"""FROM lists and select lists, read from the text alone.

A subquery's columns are its select list, as far as that is plain; a `*` stays a `Star` until a catalogue says what it
stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.completion.tree import Group, Item, name_of, path_at, path_before, text_of, word_of
from pgmonkey_magic.completion.words import (
    BEGINS_QUERY,
    ENDS_FROM,
    NO_ALIAS,
    OPERAND_FOLLOWS,
    SET_OPERATIONS,
    UPDATES_NOTHING,
)
from pgmonkey_magic.sql import Kind, Token

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_DEPTH = 20
"""Of subqueries in FROM lists; deeper ones have no known columns."""


@dataclass(frozen=True, slots=True)
class Source:
    """A relation of a FROM list. `name` is what it is called there, `path` where the catalogue has it.

    `outputs` are its columns where the text itself names them. `depth` counts the queries between it and the cursor.
    """

    name: str
    path: tuple[str, ...] = ()
    outputs: tuple[str | Star, ...] | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Star:
    """All columns of these relations."""

    sources: tuple[Source, ...]


def begins_query(items: Sequence[Item]) -> bool:
    """Tell whether a group holds a query."""
    return bool(items) and word_of(items[0]) in BEGINS_QUERY


def opens_from(items: Sequence[Item], i: int) -> bool:
    """Tell whether a relation stands behind the word at *i*."""
    match word_of(items[i]):
        case "from":
            return i == 0 or word_of(items[i - 1]) != "distinct"  # IS DISTINCT FROM
        case "join" | "into":
            return True
        case "update":
            return is_command(items, i)
        case "using":  # and not JOIN … USING
            return any(word_of(item) in ("delete", "merge") for item in items[:i])
        case _:
            return False


def names_in(group: Group) -> tuple[str, ...]:
    """Return the first name of each of a group's entries."""
    return tuple(name for entry in _split(group.items) if (name := name_of(entry[0])) is not None)


class Reader:
    """Reads FROM lists. `merged` collects the columns of USING."""

    def __init__(self, ctes: tuple[Source, ...], depth: int = 0) -> None:
        self.ctes = ctes
        self.merged: set[str] = set()
        self._depth = depth

    def relations(self, items: list[Item]) -> Iterator[Source]:
        """Give the relations of a query, in order."""
        i, in_from = 0, False
        while i < len(items):
            word = word_of(items[i])
            if opens_from(items, i):
                in_from = word in ("from", "using") or in_from
            elif word == "using" and i + 1 < len(items) and isinstance(group := items[i + 1], Group):
                self.merged |= set(names_in(group))
                i += 2
                continue
            elif not (in_from and text_of(items[i]) == ","):
                in_from = in_from and word not in ENDS_FROM
                i += 1
                continue
            i += 1
            if found := self.relation(items, i, written=word in ("into", "update")):
                source, i = found
                yield source
            elif i < len(items) and isinstance(group := self._past_only(items, i)[0], Group):
                yield from self._nested(group)
                i += 1

    def relation(self, items: list[Item], i: int, *, written: bool = False) -> tuple[Source, int] | None:
        """Read a relation and its alias at *i*; return where it ends. None where there is none.

        Behind one that is *written* to, brackets hold its columns; otherwise they make it a function.
        """
        first, i = self._past_only(items, i)
        outputs: tuple[str | Star, ...] | None
        if isinstance(first, Group) and begins_query(first.items):
            name, path, outputs, i = "", (), self._deeper().outputs(first.items), i + 1
        elif word_of(first) in NO_ALIAS or name_of(first) is None:
            return None
        else:
            path, i = path_at(items, i)
            name, outputs = path[-1], None
            if cte := self._cte(path):
                path, outputs = (), cte.outputs
            elif not written and i < len(items) and isinstance(items[i], Group):
                path, outputs, i = (), (name,), i + 1  # of a function, the column is called as it is
        alias, columns, i = _alias(items, i)
        if written:
            return Source(alias or name, path), i
        if outputs == (name,) and alias:
            outputs = (alias,)
        if columns:
            outputs = (*columns, *(outputs or ())[len(columns) :])
        return Source(alias or name, path, outputs), i

    def outputs(self, items: list[Item]) -> tuple[str | Star, ...]:
        """Return the columns of a query: of its select list, its RETURNING, or its VALUES."""
        if self._depth > MAX_DEPTH:
            return ()
        reader = Reader((*reversed(ctes_in(items, self.ctes, len(items), self._depth)), *self.ctes), self._depth + 1)
        query = _first_query(items)
        words = [word_of(item) for item in query]
        for opening in ("returning", "select"):
            if opening in words:
                found = tuple(reader.relations(query))
                entries = _split(_select_list(query[words.index(opening) + 1 :]))
                return tuple(output for entry in entries if (output := _output(entry, found)) is not None)
        if "values" in words and isinstance(row := (query[words.index("values") + 1 :] or [None])[0], Group):
            return tuple(f"column{n}" for n, _ in enumerate(_split(row.items), 1))
        return ()

    def _nested(self, group: Group) -> Iterator[Source]:
        """Give the relations of a join in brackets."""
        if self._depth > MAX_DEPTH:
            return
        inner = self._deeper()
        if found := inner.relation(group.items, 0):
            yield found[0]
        yield from inner.relations(group.items)
        self.merged |= inner.merged

    def _deeper(self) -> Reader:
        return Reader(self.ctes, self._depth + 1)

    def _cte(self, path: tuple[str, ...]) -> Source | None:
        return next((cte for cte in self.ctes if (cte.name,) == path), None)

    @staticmethod
    def _past_only(items: list[Item], i: int) -> tuple[Item | None, int]:
        while i < len(items) and word_of(items[i]) in ("only", "lateral", "if", "not", "exists"):
            i += 1
        return (items[i] if i < len(items) else None), i


def ctes_in(items: list[Item], outer: tuple[Source, ...], end: int, depth: int = 0) -> list[Source]:
    """Return the common table expressions that are defined before *end*, in order."""
    found: list[Source] = []
    start = next((i + 1 for i, item in enumerate(items[:end]) if word_of(item) == "with"), end)
    if start < end and word_of(items[start]) == "recursive":
        start += 1
    while start < end and depth <= MAX_DEPTH and (name := name_of(items[start])) is not None:
        i, columns = start + 1, ()
        if i < len(items) and isinstance(group := items[i], Group):
            i, columns = i + 1, names_in(group)
        while i < len(items) and word_of(items[i]) in ("as", "not", "materialized"):
            i += 1
        if i >= end or not isinstance(body := items[i], Group):
            break
        outputs = Reader((*reversed(found), *outer), depth + 1).outputs(body.items)
        found.append(Source(name, (), (*columns, *outputs[len(columns) :])))
        if i + 1 >= len(items) or text_of(items[i + 1]) != ",":
            break
        start = i + 2
    return found


def is_command(items: Sequence[Item], i: int) -> bool:
    """Tell whether an UPDATE names a relation."""
    return i == 0 or word_of(items[i - 1]) not in UPDATES_NOTHING


def _first_query(items: list[Item]) -> list[Item]:
    """Return a query up to its first UNION, whose columns are those of the whole."""
    words = (word_of(item) for item in items)
    return items[: next((i for i, word in enumerate(words) if word in SET_OPERATIONS), len(items))]


def _select_list(items: list[Item]) -> list[Item]:
    start = 0
    if items and word_of(items[0]) in ("distinct", "all"):
        start = 3 if len(items) > 2 and word_of(items[1]) == "on" else 1
    for i in range(start, len(items)):
        is_end = word_of(items[i]) in ENDS_FROM or word_of(items[i]) == "into" or opens_from(items, i)
        if is_end and word_of(items[i]) != "when":
            return items[start:i]
    return items[start:]


def _output(entry: list[Item], sources: tuple[Source, ...]) -> str | Star | None:
    """Return the name of one entry of a select list, as the server gives it, where that is plain."""
    last, before = entry[-1], (entry[-2] if len(entry) > 1 else None)
    if text_of(last) == "*":
        qualifier = path_before(entry, len(entry) - 2)[0]
        return Star(tuple(s for s in sources if not qualifier or s.name == qualifier[-1]))
    if isinstance(last, Group):  # a function's result has its name
        return name_of(before)
    if before is None or word_of(before) == "as" or text_of(before) == "." or is_operand(before):
        return name_of(last)
    is_cast = isinstance(before, Token) and before.kind is Kind.CAST and len(entry) > 2
    return _output(entry[:-2], sources) if is_cast else None


def is_operand(item: Item) -> bool:
    """Tell whether an item may be a value, or the end of one."""
    if isinstance(item, Group):
        return True
    if item.kind is Kind.WORD:
        return item.text.lower() not in OPERAND_FOLLOWS
    return item.kind in (Kind.NAME, Kind.NUMBER, Kind.STRING, Kind.POSITION, Kind.PARAMETER)


def _split(items: Iterable[Item]) -> list[list[Item]]:
    """Cut a list at its commas; empty entries are left out."""
    entries: list[list[Item]] = [[]]
    for item in items:
        if text_of(item) == ",":
            entries.append([])
        else:
            entries[-1].append(item)
    return [entry for entry in entries if entry]


def _alias(items: list[Item], i: int) -> tuple[str | None, tuple[str, ...], int]:
    """Read `AS alias (columns)` at *i*, all of it optional; return where it ends."""
    if i + 1 < len(items) and word_of(items[i]) == "as":
        i += 1
    if i >= len(items) or (name := name_of(items[i])) is None or word_of(items[i]) in NO_ALIAS:
        return None, (), i
    if i + 1 < len(items) and isinstance(group := items[i + 1], Group):
        return name, names_in(group), i + 2
    return name, (), i + 1
