"""What may stand at the beginning of brackets, told by what stands before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmonkey_magic.completion import wants
from pgmonkey_magic.completion.relations import is_operand
from pgmonkey_magic.completion.scope import in_from_list
from pgmonkey_magic.completion.tree import Item, Level, path_before, text_of, word_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.completion.wants import Wanted

FILLERS = frozenset({"if", "not", "exists", "concurrently", "only"})
"""What may stand between a keyword and the name that it announces."""
_BEHIND_WORD = {
    **dict.fromkeys(("conflict", "set", "key", "unique", "include"), wants.TARGETS),
    "using": wants.SHARED,
}
_BEHIND_NAMED = {
    **dict.fromkeys(("into", "references", "copy", "vacuum", "analyze"), wants.TARGETS),
    **dict.fromkeys(("table", "with", "recursive"), wants.NOTHING),  # new names
    "on": wants.TARGETS_OR_FUNCTIONS,  # CREATE INDEX
}
"""By the word before the name before the brackets: `INTO orders (`."""


def at_beginning(levels: Sequence[Level]) -> Wanted:
    """Return what may stand at the beginning of a statement, of brackets, or of an entry in brackets."""
    if len(levels) == 1:
        return wants.COMMANDS
    outer, is_first = levels[1], not levels[0].before
    word, opening = words_before(outer)
    item, command = _item_before(outer), word_of(outer.items[0])
    if word in ("from", "join", "lateral") or (text_of(item) == "," and in_from_list(outer.before)):
        return wants.RELATIONS_OR_QUERY if is_first else wants.RELATIONS
    if word in ("as", "materialized"):
        return wants.COMMANDS if is_first or command != "create" else wants.NOTHING
    if word == "using" and command in ("create", "alter"):  # of a policy
        return wants.EXPRESSION
    found = _BEHIND_WORD.get(word) or _BEHIND_NAMED.get(opening)
    may_be_query = is_first and (item is None or not is_operand(item))
    return found or (wants.EXPRESSION_OR_QUERY if may_be_query else wants.EXPRESSION)


def words_before(outer: Level) -> tuple[str, str]:
    """Return the word directly before a group, and the word before the dotted name that stands before it."""
    _, start = path_before(outer.items, outer.at)
    opening = start
    while opening and word_of(outer.items[opening - 1]) in FILLERS:
        opening -= 1
    named = word_of(outer.items[opening - 1]) if opening and start < outer.at else None
    if named == "using" and word_of(outer.items[0]) == "create":
        named = "on"  # CREATE INDEX … ON t USING gin (
    return word_of(_item_before(outer)) or "", named or ""


def is_type_next(levels: Sequence[Level]) -> bool:
    """Tell whether a type follows the name of a column: in CREATE TABLE, and behind ADD COLUMN."""
    entry = [word_of(item) for item in _entry(levels[0].before)]
    if len(levels) == 1:
        return len(entry) > 2 and entry[-3:-1] == ["add", "column"]
    is_definition = len(levels) == 2 and words_before(levels[1])[1] == "table"
    return is_definition and word_of(levels[1].items[0]) == "create" and len(entry) == 1


def _item_before(outer: Level) -> Item | None:
    return outer.items[outer.at - 1] if outer.at else None


def _entry(before: list[Item]) -> list[Item]:
    """Return the items since the last comma."""
    start = next((i + 1 for i in range(len(before) - 1, -1, -1) if text_of(before[i]) == ","), 0)
    return before[start:]
