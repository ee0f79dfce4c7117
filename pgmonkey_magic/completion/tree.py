"""What is typed, and the statement around it as a tree of brackets.

Only the statement that holds the cursor counts, and only what the cursor stands outside of: in a string, a comment or a
dollar-quoted body there is nothing to complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pgmonkey_magic.sql import Kind, Token, tokens

PROBE = "x"
"""A letter put at the cursor: the token that it becomes part of is the one that is being typed."""
MAX_LENGTH = 200_000
"""Characters; a longer text is nobody's typing, and reading it would take longer than anybody waits."""
_COMPLETE = frozenset({Kind.NUMBER, Kind.POSITION, Kind.NAME, Kind.STRING, Kind.PARAMETER, Kind.CLOSE})
_REST_OF_WORD = re.compile(r"[\w$]*")


@dataclass(slots=True, eq=False)
class Group:
    """What stands in a pair of brackets, or the statement itself; the closing bracket may be missing."""

    bracket: str
    items: list[Item] = field(default_factory=list)


Item = Token | Group


@dataclass(frozen=True, slots=True)
class Level:
    """A group that holds the cursor; `at` is the place of the cursor, or of the group that holds it, in `items`."""

    items: list[Item]
    at: int

    @property
    def before(self) -> list[Item]:
        """What stands before the cursor."""
        return self.items[: self.at]


@dataclass(frozen=True, slots=True)
class Typed:
    """The beginning of a name or a keyword; `fragment` is without its opening quote.

    `qualifier` are the names before it that end in a dot; they are not in `levels`, which go from the innermost group
    to the statement. `closed` tells whether the closing quote stands behind the cursor.
    """

    fragment: str
    quoted: bool
    closed: bool
    qualifier: tuple[str, ...]
    levels: tuple[Level, ...]


def typed_at(sql: str, cursor: int) -> Typed | None:
    """Return what is typed before *cursor* (characters from 0); None where nothing can be completed."""
    if len(sql) > MAX_LENGTH:
        return None
    before = list(tokens(sql[:cursor] + PROBE))
    last = before.pop()
    if last.kind is Kind.WORD:
        fragment, quoted = last.text[: -len(PROBE)], False
    elif last.kind is Kind.PARAMETER:  # of a slice; what is a parameter never comes here
        fragment, quoted = last.text[1 : -len(PROBE)], False
    elif last.kind is Kind.NAME and last.text.startswith('"'):
        fragment, quoted = last.text[1 : -len(PROBE)].replace('""', '"'), True
    else:
        return None
    if not (fragment or quoted) and before and before[-1].kind in _COMPLETE:
        return None
    skipped, closed = _behind(sql[cursor:], quoted=quoted)
    levels, qualifier = _levels(before, list(tokens(sql[cursor + skipped :])))
    return Typed(fragment, quoted, closed, qualifier, levels)


def name_of(item: Item | None) -> str | None:
    """Return the name that a token is, as the server folds it; None where it is none."""
    if not isinstance(item, Token):
        return None
    if item.kind is Kind.WORD:
        return item.text.lower()
    if item.kind is Kind.NAME and item.text.startswith('"'):
        return item.text[1:].removesuffix('"').replace('""', '"')
    return None


def word_of(item: Item | None) -> str | None:
    """Return the unquoted word that a token is, in lower case; None where it is none."""
    return item.text.lower() if isinstance(item, Token) and item.kind is Kind.WORD else None


def text_of(item: Item | None) -> str:
    """Return a token's text, nothing for a group."""
    return item.text if isinstance(item, Token) else ""


def path_at(items: list[Item], i: int) -> tuple[tuple[str, ...], int]:
    """Read a dotted name that begins at *i*; return its parts and where it ends."""
    parts: list[str] = []
    while i < len(items) and (name := name_of(items[i])) is not None:
        parts.append(name)
        i += 1
        if i >= len(items) or text_of(items[i]) != ".":
            break
        i += 1
    return tuple(parts), i


def path_before(items: list[Item], end: int) -> tuple[tuple[str, ...], int]:
    """Read a dotted name that ends before *end*; return its parts and where it begins."""
    parts: list[str] = []
    i = end
    while i > 0 and (name := name_of(items[i - 1])) is not None:
        parts.insert(0, name)
        i -= 1
        if i == 0 or text_of(items[i - 1]) != ".":
            break
        i -= 1
    return tuple(parts), i


def _behind(rest: str, *, quoted: bool) -> tuple[int, bool]:
    """Return how many characters behind the cursor belong to what is typed, and whether they end in a quote."""
    if not quoted:
        match = _REST_OF_WORD.match(rest)
        return (match.end() if match else 0), False
    line = rest.partition("\n")[0]
    # Of an odd number of quotes the first one closes ours; otherwise they are other names'.
    return (line.index('"') + 1, True) if line.count('"') % 2 else (0, False)


def _levels(before: list[Token], after: list[Token]) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    ends = [i for i, token in enumerate(before) if token.kind is Kind.SEMICOLON]
    open_groups = [Group("")]
    for token in before[ends[-1] + 1 if ends else 0 :]:
        _take(token, open_groups)
    qualifier = _take_qualifier(open_groups[-1].items)
    marks = [(group, len(group.items) - 1) for group in open_groups[:-1]]
    marks.append((open_groups[-1], len(open_groups[-1].items)))
    for token in after:
        if token.kind is Kind.SEMICOLON:
            break
        _take(token, open_groups)
    return tuple(Level(group.items, at) for group, at in reversed(marks)), qualifier


def _take(token: Token, open_groups: list[Group]) -> None:
    if token.kind is Kind.OPEN:
        group = Group(token.text)
        open_groups[-1].items.append(group)
        open_groups.append(group)
    elif token.kind is Kind.CLOSE:
        if len(open_groups) > 1:
            open_groups.pop()
    elif not token.is_blank:
        open_groups[-1].items.append(token)


def _take_qualifier(items: list[Item]) -> tuple[str, ...]:
    if not items or text_of(items[-1]) != ".":
        return ()
    parts, start = path_before(items, len(items) - 1)
    del items[start:]
    return parts
