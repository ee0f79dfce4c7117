"""Which `:name` in a text is a parameter, in psql's three forms.

A colon of SQL's own stands in two places: in slices (`x[1:2]`, `x[lo:hi]`) and in SQL/JSON's `json_object('a' : b)`
and `json_objectagg`. There it depends on what stands before it: after a value a colon separates, after an operator, a
comma, an opening bracket or a keyword it begins a parameter. So `x[:n]` and `ARRAY[:a, :b]` hold parameters; a slice
without a lower bound is written `x[: n]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pgmonkey_magic.sql.lexer import Kind, Token, tokens
from pgmonkey_magic.sql.remembering import remembered

_VALUES = (Kind.STRING, Kind.NAME, Kind.NUMBER, Kind.POSITION, Kind.CLOSE, Kind.PARAMETER)
_BEFORE_A_VALUE = frozenset(
    ["and", "between", "case", "else", "from", "ilike", "like", "not", "or", "symmetric", "then", "to", "value", "when"]
)
"""Words of an expression after which a value stands, so that a colon begins a parameter there.

All but `value` and `between` are reserved, so that none of them is a column with a colon behind it.
"""
_PAIRS = frozenset({"json_object", "json_objectagg"})
"""What takes pairs with a colon between key and value."""


class Form(Enum):
    """How a parameter is written, and so what it becomes."""

    VALUE = ":name"
    LITERAL = ":'name'"
    IDENTIFIER = ':"name"'


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter where it stands; `start` and `end` count characters from 0."""

    name: str
    form: Form
    start: int
    end: int


def find_parameters(sql: str) -> list[Parameter]:
    """Return the parameters of *sql*, in order; the same name may stand there more than once."""
    return list(_read(sql))


@remembered
def _read(sql: str) -> list[Parameter]:
    found: list[Parameter] = []
    before: Token | None = None  # the last token that is no blank
    may_separate = [False]  # whether a colon may stand between two values: for each bracket that is open
    for token in tokens(sql):
        if token.kind is Kind.PARAMETER and not (may_separate[-1] and _is_value(before, token)):
            found.append(_parameter(token))
        elif token.kind is Kind.OPEN:
            may_separate.append(token.text == "[" or (before is not None and before.text.lower() in _PAIRS))
        elif token.kind is Kind.CLOSE and len(may_separate) > 1:
            may_separate.pop()
        if not token.is_blank:
            before = token
    return found


def _is_value(before: Token | None, colon: Token) -> bool:
    """Tell whether a value has ended before the colon, so that the colon stands between it and the next."""
    if before is None:
        return False
    if before.kind is Kind.WORD:
        return before.end == colon.start or before.text.lower() not in _BEFORE_A_VALUE
    return before.kind in _VALUES


def _parameter(token: Token) -> Parameter:
    form = {"'": Form.LITERAL, '"': Form.IDENTIFIER}.get(token.text[1], Form.VALUE)
    name = token.text[1:] if form is Form.VALUE else token.text[2:-1]
    return Parameter(name, form, token.start, token.end)
