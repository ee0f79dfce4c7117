"""What a statement is, beyond its first words: whether it only reads rows, and what a COPY names."""

from __future__ import annotations

from dataclasses import dataclass

from pgmonkey_magic.sql.lexer import Kind, Token, tokens

_READS = frozenset({"select", "values", "table", "with"})
_WRITES = frozenset({"into", "insert", "update", "delete", "merge"})


@dataclass(frozen=True, slots=True)
class CopyFrom:
    """A COPY … FROM STDIN: `columns` as the server names them, None where it lists none.

    `names_end` is the position after the table's name, where a list of columns may be put; `options` is what follows
    STDIN.
    """

    columns: tuple[str, ...] | None
    names_end: int
    options: str


def only_reads(statement: str) -> bool:
    """Tell whether a statement is a query that a cursor can be declared for.

    Errs on the safe side: a query with FOR UPDATE, or with a column that is called "merge" without quotes, is none.
    """
    words = [token.text.lower() for token in tokens(statement) if token.kind is Kind.WORD]
    return bool(words) and words[0] in _READS and _starts_with_word(statement) and _WRITES.isdisjoint(words)


def copy_from(statement: str) -> CopyFrom | None:
    """Read a COPY table [(columns)] FROM STDIN; None for anything else."""
    rest = [token for token in tokens(statement) if not token.is_blank]
    if not rest or rest.pop(0).text.lower() != "copy":
        return None
    while len(rest) > 1 and _is_name(rest[0]) and rest[1].text == ".":
        rest = rest[2:]
    if not rest or not _is_name(rest[0]):
        return None
    names_end = rest.pop(0).end
    columns = None
    if rest and rest[0].kind is Kind.OPEN:
        closing = next((i for i, token in enumerate(rest) if token.kind is Kind.CLOSE), len(rest))
        columns = tuple(_unquoted(token.text) for token in rest[1:closing] if _is_name(token))
        rest = rest[closing + 1 :]
    if [token.text.lower() for token in rest[:2]] != ["from", "stdin"]:
        return None
    return CopyFrom(columns, names_end, statement[rest[1].end :].strip(" \t\r\n;"))


def _starts_with_word(statement: str) -> bool:
    return next((token.kind is Kind.WORD for token in tokens(statement) if not token.is_blank), False)


def _is_name(token: Token) -> bool:
    return token.kind in (Kind.WORD, Kind.NAME)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
