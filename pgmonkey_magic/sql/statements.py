"""Where one statement ends and the next begins, and what kind each is."""

from __future__ import annotations

from dataclasses import dataclass

from pgmonkey_magic.sql.lexer import Kind, Token, tokens
from pgmonkey_magic.sql.remembering import remembered

_ENDS_OR_BEGINS = frozenset({"begin", "commit", "end", "abort"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon; `start` counts characters of the whole text from 0.

    `words` are its first words outside of parentheses, at most five, in lower case: what it is, as far as they tell.
    """

    text: str
    start: int
    words: tuple[str, ...]

    @property
    def controls_transaction(self) -> bool:
        """Whether it begins or ends a transaction; savepoints do neither."""
        match self.words:
            case ("start" | "prepare", "transaction", *_):
                return True
            case ("rollback", "to", *_) | ("rollback", "work" | "transaction", "to", *_):
                return False
            case ("rollback", *_):
                return True
            case (first, *_):
                return first in _ENDS_OR_BEGINS
            case _:
                return False


def split(sql: str) -> list[Statement]:
    """Return the statements of *sql*; pieces that hold only blanks and comments are none."""
    return list(_read(sql))


@remembered
def _read(sql: str) -> list[Statement]:
    found: list[Statement] = []
    start, reader = 0, _Reader()
    for token in tokens(sql):
        if token.kind is Kind.SEMICOLON and reader.may_end:
            found += reader.statement(sql[start : token.start], start)
            start, reader = token.end, _Reader()
        else:
            reader.take(token)
    return found + reader.statement(sql[start:], start)


class _Reader:
    """Reads one statement: its first words, and whether a semicolon would end it.

    Inside of parentheses it does not, and not in the BEGIN ATOMIC … END body of a routine, in which CASE … END and
    nested BEGIN … END count. These are psql's rules, which takes any BEGIN of a CREATE FUNCTION or PROCEDURE for such
    a body.
    """

    HEAD = 5

    def __init__(self) -> None:
        self._words: list[str] = []
        self._is_empty = True
        self._parentheses = 0
        self._blocks = 0

    @property
    def may_end(self) -> bool:
        return self._parentheses == 0 and self._blocks == 0

    def take(self, token: Token) -> None:
        if token.is_blank:
            return
        self._is_empty = False
        if token.text == "(":
            self._parentheses += 1
        elif token.text == ")" and self._parentheses:
            self._parentheses -= 1
        elif token.kind is Kind.WORD and self._parentheses == 0:
            self._take_word(token.text.lower())

    def _take_word(self, word: str) -> None:
        if len(self._words) < self.HEAD:
            self._words.append(word)
        match self._words:
            case ["create", "function" | "procedure", *_] | ["create", "or", "replace", "function" | "procedure", *_]:
                if word == "begin" or (word == "case" and self._blocks):
                    self._blocks += 1
                elif word == "end" and self._blocks:
                    self._blocks -= 1

    def statement(self, text: str, start: int) -> list[Statement]:
        return [] if self._is_empty else [Statement(text, start, tuple(self._words))]
