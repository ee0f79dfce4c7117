"""Which `:name` in a text is a parameter, in psql's three forms.

A colon also stands in slices (`x[1:2]`, `x[lo:hi]`) and in SQL/JSON (`json_object('a' : b)`). What decides is what
stands before it: after a value a colon separates, after an operator, a comma, an opening bracket or a keyword it begins
a parameter. So `x[:n]` and `ARRAY[:a, :b]` hold parameters; a slice without a lower bound is written `x[: n]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pgmonkey_magic.sql.lexer import Kind, Token, tokens

_VALUES = (Kind.STRING, Kind.NAME, Kind.NUMBER, Kind.POSITION, Kind.CLOSE, Kind.PARAMETER)
_BEFORE_A_VALUE = frozenset(
    """
    all and any array as asc between by case collate default desc distinct do else end except execute fetch filter first
    for from having if ilike in insert intersect interval into is isnull last like limit next not notnull null offset on
    only or order over partition returning select set show similar some symmetric then to union update using values when
    where with within
    """.split()  # noqa: SIM905 - a list of words is read as such
)
"""Keywords after which a value may stand, so that a colon inside of brackets begins a parameter there."""


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
    found: list[Parameter] = []
    before: Token | None = None  # the last token that is no blank
    brackets: list[str] = []
    for token in tokens(sql):
        if token.kind is Kind.PARAMETER and not _separates(before, token, brackets):
            found.append(_parameter(token))
        if token.kind is Kind.OPEN:
            brackets.append(token.text)
        elif token.kind is Kind.CLOSE and brackets:
            brackets.pop()
        if not token.is_blank:
            before = token
    return found


def _separates(before: Token | None, token: Token, brackets: list[str]) -> bool:
    """Tell whether the colon stands between two values instead of before a name."""
    if before is None:
        return False
    if before.kind is Kind.WORD:
        in_subscript = bool(brackets) and brackets[-1] == "["
        return before.end == token.start or (in_subscript and before.text.lower() not in _BEFORE_A_VALUE)
    return before.kind in _VALUES


def _parameter(token: Token) -> Parameter:
    form = {"'": Form.LITERAL, '"': Form.IDENTIFIER}.get(token.text[1], Form.VALUE)
    name = token.text[1:] if form is Form.VALUE else token.text[2:-1]
    return Parameter(name, form, token.start, token.end)
