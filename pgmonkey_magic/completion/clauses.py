"""What may stand at the cursor, told by what stands before it: the item directly before, then the clause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmonkey_magic.completion import wants
from pgmonkey_magic.completion.brackets import FILLERS, at_beginning, is_type_next, words_before
from pgmonkey_magic.completion.relations import is_operand
from pgmonkey_magic.completion.scope import in_from_list
from pgmonkey_magic.completion.tree import Group, Item, Level, path_before, text_of, word_of
from pgmonkey_magic.completion.wants import Want, Wanted
from pgmonkey_magic.completion.words import COMPARISONS, OPERAND_FOLLOWS, SPEAKS_FROM, UPDATES_NOTHING
from pgmonkey_magic.sql import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BEHIND = {
    **dict.fromkeys(("from", "join", "lateral", "into", "update", "only", "table", "truncate"), wants.RELATIONS),
    **dict.fromkeys(("analyze", "vacuum", "lock", "copy", "cluster", "references", "inherits"), wants.RELATIONS),
    **dict.fromkeys(("call", "procedure"), wants.PROCEDURES),
    **dict.fromkeys(("type", "returns"), wants.TYPES),
    **dict.fromkeys(("show", "reset"), wants.SETTINGS),
    "schema": wants.SCHEMAS,
    "function": wants.FUNCTIONS,
    "column": wants.TARGETS,
    "explain": wants.COMMANDS,
    "view": Wanted(wants.RELATIONS.kinds, "view"),
}
"""What stands behind a keyword; `_EXCEPTIONS` come first."""
_NEW_NAMES = frozenset({"table", "view", "index", "function", "procedure", "type", "sequence"})
_DEFINES = frozenset({"drop", "alter", "create", "truncate", "refresh", "reindex"})
_OPERATORS = frozenset("+-*/<>=~!@#%^&|`?")
_LISTS = frozenset(
    """
    by cast conflict from having into lock on only returning select set table truncate using vacuum values view where
    with
    """.split()  # noqa: SIM905 - a list of words is read as such
)
"""Keywords behind which commas may stand."""


def wanted(levels: Sequence[Level]) -> Wanted:
    """Return what may stand at the cursor; *levels* go from the innermost group to the statement."""
    before = levels[0].before
    if not before:
        return at_beginning(levels)
    last = before[-1]
    if text_of(levels[-1].items[0]) == "\\":  # a backslash command and its pattern
        return wants.RELATIONS if len(before) > 1 else wants.NOTHING
    if (word := word_of(last)) is not None:
        return _behind_word(word, before, levels)
    if text_of(last) == ",":
        return _behind_comma(before, levels)
    is_cast = not isinstance(last, Group) and last.kind is Kind.CAST
    if is_cast or is_type_next(levels):
        return wants.TYPES
    is_operator = text_of(last)[:1] in _OPERATORS or text_of(last) == ":="
    return _behind_operator(before) if is_operator else wants.KEYWORDS


def compared_with(levels: Sequence[Level]) -> tuple[str, ...]:
    """Return the dotted name that stands before a comparison, or an assignment, that the cursor is behind."""
    before = levels[0].before
    end = len(before)
    while end and text_of(before[end - 1]) in COMPARISONS:
        end -= 1
    return path_before(before, end)[0] if end < len(before) else ()


# -- behind a word ---------------------------------------------------------------------------------------------------


def _behind_word(word: str, before: list[Item], levels: Sequence[Level]) -> Wanted:
    statement = _words(levels[-1].before)
    exception = _EXCEPTIONS.get(word)
    if exception and (found := exception(before, levels, statement)) is not None:
        return found
    if word in FILLERS and statement[0] in _DEFINES:
        rest = before[:-1]
        return _behind_word(word_of(rest[-1]) or "", rest, levels) if rest else wants.KEYWORDS
    if word in _NEW_NAMES and statement[0] == "create":
        return wants.SCHEMAS
    if word in _BEHIND:
        return _BEHIND[word]
    otherwise = wants.TYPES if is_type_next(levels) else wants.KEYWORDS
    return wants.EXPRESSION if word in OPERAND_FOLLOWS else otherwise


def _behind_from(before: list[Item], levels: Sequence[Level], _statement: list[str]) -> Wanted | None:
    is_distinct = len(before) > 2 and word_of(before[-2]) == "distinct"
    if is_distinct or (len(levels) > 1 and words_before(levels[1])[0] in SPEAKS_FROM):
        return wants.EXPRESSION
    return None


def _behind_update(before: list[Item], _levels: Sequence[Level], statement: list[str]) -> Wanted | None:
    is_none = len(before) > 1 and word_of(before[-2]) in UPDATES_NOTHING
    return wants.KEYWORDS if is_none or statement[0] in ("grant", "revoke") else None


def _behind_on(_before: list[Item], levels: Sequence[Level], statement: list[str]) -> Wanted:
    if statement[0] == "create" and len(levels) == 1 and "select" not in statement:
        return wants.RELATIONS
    if statement[0] in ("grant", "revoke"):
        return wants.RELATIONS_OR_KEYWORDS
    return wants.KEYWORDS if statement[0] == "comment" else wants.EXPRESSION


def _behind_set(before: list[Item], _levels: Sequence[Level], statement: list[str]) -> Wanted:
    if statement[0] == "alter" and {"table", "view", "index"} & set(statement):
        return wants.KEYWORDS
    return wants.SETTINGS_OR_KEYWORDS if len(before) == 1 or statement[0] == "alter" else wants.TARGETS


def _behind_set_scope(before: list[Item], _levels: Sequence[Level], _statement: list[str]) -> Wanted | None:
    is_set = len(before) > 1 and word_of(before[-2]) == "set"
    return wants.SETTINGS_OR_KEYWORDS if is_set else None


def _behind_to(before: list[Item], _levels: Sequence[Level], _statement: list[str]) -> Wanted | None:
    return _value_of_setting(before[:-1])


def _behind_as(_before: list[Item], levels: Sequence[Level], statement: list[str]) -> Wanted:
    if len(levels) > 1 and words_before(levels[1])[0] == "cast":
        return wants.TYPES
    is_query_next = statement[0] in ("create", "prepare") and "select" not in statement
    return wants.COMMANDS if is_query_next else wants.NOTHING


def _behind_using(_before: list[Item], _levels: Sequence[Level], statement: list[str]) -> Wanted:
    return wants.RELATIONS if {"delete", "merge"} & set(statement) else wants.NOTHING


def _behind_column(before: list[Item], _levels: Sequence[Level], statement: list[str]) -> Wanted | None:
    if len(before) > 1 and word_of(before[-2]) == "add":
        return wants.NOTHING  # a new name
    return wants.RELATIONS if statement[0] == "comment" else None


def _behind_view(before: list[Item], _levels: Sequence[Level], statement: list[str]) -> Wanted | None:
    is_materialized = len(before) > 1 and word_of(before[-2]) == "materialized" and statement[0] != "create"
    return Wanted(wants.RELATIONS.kinds, "materialized view") if is_materialized else None


_EXCEPTIONS: dict[str, Callable[[list[Item], Sequence[Level], list[str]], Wanted | None]] = {
    "from": _behind_from,
    "update": _behind_update,
    "on": _behind_on,
    "set": _behind_set,
    "local": _behind_set_scope,
    "session": _behind_set_scope,
    "to": _behind_to,
    "as": _behind_as,
    "using": _behind_using,
    "column": _behind_column,
    "view": _behind_view,
}

# -- behind a comma, an operator -------------------------------------------------------------------------------------


def _behind_comma(before: list[Item], levels: Sequence[Level]) -> Wanted:
    if in_from_list(before):
        return wants.RELATIONS
    command = _words(levels[-1].before)[0]
    clause = next((word for word in reversed(_words(before)) if word in _LISTS), None)
    if clause is None:
        return at_beginning(levels) if len(levels) > 1 else wants.NOTHING
    if clause == "set":
        return _behind_comma_of_set(before, command)
    if clause in ("table", "truncate", "lock", "vacuum", "view", "only"):
        return wants.RELATIONS if command != "create" else wants.NOTHING
    if clause == "on" and command in ("grant", "revoke"):
        return wants.RELATIONS
    is_new = clause in ("with", "into")  # the name of another common table expression, or of a variable
    return wants.NOTHING if is_new else wants.EXPRESSION


def _behind_comma_of_set(before: list[Item], command: str) -> Wanted:
    if command != "set":
        return wants.TARGETS
    end = next((i for i, item in enumerate(before) if text_of(item) == "=" or word_of(item) == "to"), 0)
    return _value_of_setting(before[:end]) or wants.NOTHING


def _behind_operator(before: list[Item]) -> Wanted:
    if text_of(before[-1]) == "*" and (
        len(before) == 1
        or not is_operand(before[-2])
        or word_of(before[-2]) in ("select", "distinct", "all", "returning")
    ):
        return wants.KEYWORDS  # SELECT *, and the like: no product
    is_equal = text_of(before[-1]) == "="
    return (_value_of_setting(before[:-1]) if is_equal else None) or wants.EXPRESSION


def _value_of_setting(before: list[Item]) -> Wanted | None:
    """Return what the values are of the setting that `SET [SESSION | LOCAL] name` or `ALTER … SET name` ends with."""
    words = [word_of(item) for item in before]
    if not words or words[0] not in ("set", "alter") or "set" not in words or {"table", "view", "index"} & set(words):
        return None
    path, start = path_before(before, len(before))
    if not path or words[start - 1] not in ("set", "local", "session"):
        return None
    return wants.SCHEMAS if path == ("search_path",) else Wanted((Want.VALUE,), ".".join(path))


def _words(items: Sequence[Item]) -> list[str]:
    """Return the words among items, in lower case; at least one, which may be empty."""
    return [word for item in items if (word := word_of(item)) is not None] or [""]
