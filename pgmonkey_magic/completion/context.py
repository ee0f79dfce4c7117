"""What may stand at a place in SQL text: the pure beginning of completion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.completion.clauses import compared_with, wanted
from pgmonkey_magic.completion.scope import Scope, joined_at, scope_of, target_of
from pgmonkey_magic.completion.tree import PROBE, Typed, typed_at, word_of
from pgmonkey_magic.completion.wants import Want, Wanted
from pgmonkey_magic.completion.words import COMMANDS, CORE
from pgmonkey_magic.sql import find_parameters

if TYPE_CHECKING:
    from pgmonkey_magic.completion.relations import Source

_KEYWORDS = frozenset(COMMANDS) | frozenset(CORE)
_PARAMETER = re.compile(r":(?P<quote>['\"]?)(?P<name>\w*)\Z")


@dataclass(frozen=True, slots=True)
class ParameterPlace:
    """The beginning of a parameter's name, behind `:`, `:'` or `:"`; `closing` is the quote that is still missing."""

    fragment: str
    closing: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a keyword or a name of the server may stand; what is typed of it so far is in `typed`."""

    typed: Typed
    wanted: Wanted
    scope: Scope
    target: Source | None
    compared: tuple[str, ...]
    """The dotted name that stands before a comparison or an assignment, the cursor behind it."""
    assigned: bool
    upper: bool
    """Whether keywords are written in capitals here."""

    @property
    def fragment(self) -> str:
        """The text before the cursor that a completion replaces, with its quote and without its qualifier."""
        return '"' + self.typed.fragment.replace('"', '""') if self.typed.quoted else self.typed.fragment


def place_at(sql: str, cursor: int) -> Place | ParameterPlace | None:
    """Return what may stand at *cursor* (characters from 0) of *sql*; None inside strings, comments and the like."""
    if parameter := _parameter_at(sql, cursor):
        return parameter
    if (typed := typed_at(sql, cursor)) is None:
        return None
    if typed.qualifier and not any(typed.qualifier):
        return None
    kinds = wanted(typed.levels)
    if not kinds.kinds:
        return None
    return Place(
        typed=typed,
        wanted=kinds,
        scope=scope_of(typed.levels),
        target=joined_at(typed.levels) if Want.SHARED in kinds.kinds else target_of(typed.levels),
        compared=compared_with(typed.levels),
        assigned="set" in map(word_of, typed.levels[0].before),
        upper=_is_upper(typed),
    )


def _parameter_at(sql: str, cursor: int) -> ParameterPlace | None:
    head = sql[:cursor]
    if (match := _PARAMETER.search(head)) is None:
        return None
    quote = match["quote"]
    probe = head + PROBE + quote
    found = find_parameters(probe)
    if not found or found[-1].end != len(probe):
        return None
    return ParameterPlace(match["name"], "" if sql[cursor:].startswith(quote or "\0") else quote)


def _is_upper(typed: Typed) -> bool:
    """Follow the case of what is typed, and where nothing is, that of the keyword before."""
    if typed.fragment:
        return not typed.fragment.islower()
    for level in typed.levels:
        for item in reversed(level.before):
            if word_of(item) in _KEYWORDS:
                return not item.text.islower()  # type: ignore[union-attr] - a word is a token
    return True
