"""PostgreSQL's lexical rules, as far as they tell what a character is part of.

The text is cut into tokens without a gap: joined, they are the text again. Nothing is judged; what the server would
refuse (an unclosed string, a lone quote) becomes a token that reaches to the end.

Source: PostgreSQL's documentation, "Lexical Structure"; where psql differs from the server (`:name`), psql's. Strings
are read as with `standard_conforming_strings = on`, the default since PostgreSQL 9.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(Enum):
    """What a token is."""

    SPACE = "blanks"
    COMMENT = "comment"
    STRING = "string"
    """Any string constant: '…', E'…', U&'…', B'…', X'…', N'…', and dollar-quoted."""
    WORD = "word"
    """A keyword or an unquoted name."""
    NAME = "quoted name"
    """ "…" or U&"…"."""
    NUMBER = "number"
    POSITION = "positional parameter"
    """$1, as in the body of a function."""
    CAST = "cast"
    """The `::` between a value and its type."""
    PARAMETER = "parameter"
    """:name, :'name' or :"name"; whether it is one is for `sql.parameters` to say."""
    OPEN = "opening bracket"
    CLOSE = "closing bracket"
    SEMICOLON = "semicolon"
    OTHER = "operator or punctuation"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `start` counts characters from 0."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The position after its last character."""
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        """Whether the server skips it."""
        return self.kind in (Kind.SPACE, Kind.COMMENT)


# A name may hold any character beyond ASCII; digits and dollars only after the first.
_BLANK = r"[ \t\n\r\f\v]"  # these and no others: a no-break space is a letter of a name
_START = r"[A-Za-z_\u0080-\U0010ffff]"
_WORD = rf"{_START}(?:{_START}|[0-9$])*"
# A letter that sticks to a number belongs to it: 0xFF, 1e5, and the junk in 1e'…', which is no E'…'.
_DIGITS = r"[0-9](?:_?[0-9])*"
# Possessive, so that a text of megabytes is gone through once and without a memory of each step.
_QUOTED = r"'(?:[^']++|'')*+'?"
_ESCAPED = r"'(?:[^'\\]++|''|\\.)*+(?:'|\\?\Z)"
# Segments that stand on different lines are one constant, and the rules of the first hold for all.
_NEXT_LINE = rf"[ \t\f\v]*(?:--[^\n\r]*)?[\n\r](?:{_BLANK}|--[^\n\r]*[\n\r])*"
_RULES = (
    (Kind.SPACE, rf"{_BLANK}+"),
    (Kind.COMMENT, r"--[^\n\r]*"),
    (Kind.STRING, rf"[eE]{_ESCAPED}(?:{_NEXT_LINE}{_ESCAPED})*"),
    (Kind.STRING, rf"(?:[uU]&|[bBxXnN])?{_QUOTED}"),
    (Kind.NAME, r'(?:[uU]&)?"(?:[^"]++|"")*+"?'),
    (Kind.STRING, rf"\$(?P<tag>(?:{_START}(?:{_START}|[0-9])*)?)\$(?:.*?\$(?P=tag)\$|.*)"),
    (Kind.POSITION, rf"\$[0-9]+(?:{_WORD})?"),
    (Kind.WORD, _WORD),
    (
        Kind.NUMBER,
        rf"(?:{_DIGITS}(?:\.(?!\.)(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-](?:{_DIGITS}(?:{_WORD})?)?|{_WORD})?",
    ),
    (Kind.CAST, r"::"),
    (Kind.OTHER, r":="),
    (Kind.PARAMETER, rf":(?:{_START}(?:{_START}|[0-9])*|'(?:{_START}|[0-9])+'|\"(?:{_START}|[0-9])+\")"),
    (Kind.OPEN, r"[(\[]"),
    (Kind.CLOSE, r"[)\]]"),
    (Kind.SEMICOLON, r";"),
    (Kind.OTHER, r"."),
)
_KINDS = {f"k{i}": kind for i, (kind, _) in enumerate(_RULES)}
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@cache
def _token() -> re.Pattern[str]:
    """Compile the rules, with the first text and not before: it takes as long as a tenth of all that is loaded."""
    return re.compile("|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(_RULES)), re.DOTALL)


def tokens(sql: str) -> Iterator[Token]:
    """Cut *sql* into its tokens."""
    position, token = 0, _token()
    while position < len(sql):
        if sql.startswith("/*", position):
            end, kind = _comment_end(sql, position), Kind.COMMENT
        else:
            match = token.match(sql, position)
            assert match is not None and match.lastgroup is not None  # noqa: S101, PT018 - the last rule takes anything
            kind, end = _KINDS[match.lastgroup], match.end()
        yield Token(kind, sql[position:end], position)
        position = end


def _comment_end(sql: str, start: int) -> int:
    depth, position = 0, start
    while edge := _COMMENT_EDGE.search(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
        if depth == 0:
            return position
    return len(sql)
