"""Which relations a name at the cursor may belong to: those of the queries around it, innermost first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgmonkey_magic.completion.relations import Reader, Source, begins_query, ctes_in, is_command, opens_from
from pgmonkey_magic.completion.tree import Group, Item, Level, text_of, word_of
from pgmonkey_magic.completion.words import ENDS_FROM, SET_OPERATIONS, SPEAKS_FROM

if TYPE_CHECKING:
    from collections.abc import Sequence


TARGET_FOLLOWS = frozenset({"into", "table", "copy", "references"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What is in scope, innermost first; `merged` are the columns that JOIN … USING made one of two."""

    sources: tuple[Source, ...] = ()
    ctes: tuple[Source, ...] = ()
    merged: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    """The names of the query's own select list, for ORDER BY and GROUP BY."""


def scope_of(levels: Sequence[Level]) -> Scope:
    """Return what is in scope at the cursor."""
    ctes: list[Source] = []
    for level in reversed(levels):
        ctes += ctes_in(level.items, tuple(reversed(ctes)), level.at)
    reader = Reader(tuple(reversed(ctes)))
    sources: list[Source] = []
    for depth, level in enumerate(levels):
        if depth > 0 and _is_closed_off(level):
            continue
        if depth + 1 == len(levels) or not _speaks_from(levels[depth + 1]):
            sources += (replace(source, depth=depth) for source in reader.relations(_query_around(level)))
    sources += _of_definition(levels)
    outputs = reader.outputs(_query_around(levels[0])) if "by" in map(word_of, levels[0].before) else ()
    return Scope(
        tuple(sources),
        reader.ctes,
        frozenset(reader.merged),
        tuple(output for output in outputs if isinstance(output, str)),
    )


def target_of(levels: Sequence[Level]) -> Source | None:
    """Return the relation that the statement writes to or defines: after INTO, UPDATE, TABLE, COPY, REFERENCES."""
    for level in levels:
        before = level.before
        for i in range(len(before) - 1, -1, -1):
            word = word_of(before[i])
            is_target = word in TARGET_FOLLOWS or (word == "update" and is_command(before, i))
            is_target = is_target or (word == "on" and word_of(level.items[0]) == "create")
            if is_target and (found := Reader(()).relation(level.items, i + 1, written=True)):
                return found[0]
    return None


def joined_at(levels: Sequence[Level]) -> Source | None:
    """Return the relation whose JOIN … USING the brackets around the cursor belong to."""
    before = levels[1].before if len(levels) > 1 else []
    found = list(Reader(scope_of(levels).ctes).relations(before))
    return found[-1] if found else None


def in_from_list(before: Sequence[Item]) -> bool:
    """Tell whether the last clause is a list of relations."""
    for i in range(len(before) - 1, -1, -1):
        if opens_from(before, i):
            return word_of(before[i]) != "into"
        if word_of(before[i]) in ENDS_FROM:
            return False
    return False


def _of_definition(levels: Sequence[Level]) -> list[Source]:
    """Return what an index, a policy or a constraint is defined on, and what ON CONFLICT calls `excluded`."""
    statement = levels[-1].items
    target = target_of(levels)
    if target is None:
        return []
    found = [target] if word_of(statement[0]) in ("create", "alter") else []
    if any("conflict" in map(word_of, level.before) for level in levels):
        found.append(Source("excluded", target.path))
    return found


def _speaks_from(outer: Level) -> bool:
    """Tell whether the group inside is the arguments of a function such as EXTRACT, where FROM is no clause."""
    return outer.at > 0 and word_of(outer.items[outer.at - 1]) in SPEAKS_FROM


def _query_around(level: Level) -> list[Item]:
    """Return the part of a level that is one query: between UNIONs, and without what a SELECT in it cannot see."""
    start, end = 0, len(level.items)
    for i, item in enumerate(level.items):
        if word_of(item) in SET_OPERATIONS:
            start, end = (i + 1, end) if i < level.at else (start, min(end, i))
    words = [word_of(item) for item in level.items[start : level.at]]
    # INSERT INTO t SELECT …: t is not in the scope of the SELECT, but in that of RETURNING.
    if "into" in words and not {"returning", "conflict"} & set(words):
        hidden = [words.index(word) for word in ("select", "values") if word in words[words.index("into") :]]
        start += min(hidden, default=0)
    return level.items[start:end]


def _is_closed_off(level: Level) -> bool:
    """Tell whether the group that holds the cursor sees nothing of the query around it: a subquery in FROM, a CTE."""
    if not isinstance(group := level.items[level.at], Group) or not begins_query(group.items):
        return False
    if level.at == 0:
        return False
    word = word_of(level.items[level.at - 1])
    return word in ("from", "join", "as", "materialized") or (
        text_of(level.items[level.at - 1]) == "," and in_from_list(level.before)
    )
