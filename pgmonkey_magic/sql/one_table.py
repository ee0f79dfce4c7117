"""A query of the plainest shape, `SELECT … FROM one table [WHERE …]` or `TABLE one`, and the same over some blocks.

Every row lies in a block of its table, and its `ctid` says in which (PostgreSQL's documentation, "System Columns"). So
ranges of blocks are parts of a query that reads no other table and does nothing with more than one row. What the words
of the text cannot show, such as an aggregate, is for the server to say: see results/splitting.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgmonkey_magic.sql.lexer import Kind, Token, tokens

_ENDS_WHERE = frozenset(
    {"except", "fetch", "for", "group", "having", "intersect", "limit", "offset", "order", "union", "window"}
)
"""All reserved, so that none of them is a column without quotes."""
_ENDS_LIST = _ENDS_WHERE | {"distinct", "into"}
"""After these in the list of columns it is none of the plainest shape, or FROM is another FROM."""


@dataclass(frozen=True, slots=True)
class OneTable:
    """The text as it was written, in pieces: up to FROM, what the table is called, the condition (or nothing)."""

    head: str
    alias: str
    is_named: bool
    """Whether it has an alias; else `alias` is the table's name."""
    condition: str

    def over(self, schema: str, name: str, first: int, end: int | None) -> str:
        """Return the query over the blocks from *first* to before *end* of a table, which takes the place of the one.

        Its children are left out. Blocks count from 0, where nothing needs to be said; nor where *end* is None, the end
        of the table.
        """
        table = f"{quoted(schema)}.{quoted(name)}"
        if self.is_named or self.alias not in (name, quoted(name)):
            table += f" AS {self.alias}"
        conditions = []
        if first:
            conditions.append(f"{self.alias}.ctid OPERATOR(pg_catalog.>=) '({first},0)'::pg_catalog.tid")
        if end is not None:
            conditions.append(f"{self.alias}.ctid OPERATOR(pg_catalog.<) '({end},0)'::pg_catalog.tid")
        if self.condition:
            conditions.append(f"({self.condition}\n)")  # on a line of its own, because it may end in a comment
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"{self.head}FROM ONLY {table}{where}"


def one_table(statement: str) -> OneTable | None:
    """Read a statement without its semicolon; None where it is not of that shape, or not surely."""
    rest = [token for token in tokens(statement) if not token.is_blank]
    match _word(rest, 0):
        case "select":
            at = _from(rest)
            head = statement[: rest[at].start] if at is not None else ""
        case "table":
            at, head = 0, "SELECT * "
        case _:
            return None
    if at is None:
        return None
    at += 1 + (_word(rest, at + 1) == "only")
    name, at = _name(rest, at)
    alias, at = _alias(rest, at) if name else ("", at)
    if not name or (rest[0].text.lower() == "table" and (alias or at < len(rest))):
        return None
    if at == len(rest):
        return OneTable(head, alias or name, bool(alias), "")
    if _word(rest, at) != "where" or at + 1 == len(rest) or _ends(rest[at + 1 :]):
        return None
    return OneTable(head, alias or name, bool(alias), statement[rest[at].end :].strip())


def quoted(name: str) -> str:
    """Return a name as an identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def _word(rest: list[Token], at: int) -> str:
    return rest[at].text.lower() if at < len(rest) and rest[at].kind is Kind.WORD else ""


def _keywords(rest: list[Token]) -> list[tuple[int, str]]:
    """Return the words outside of brackets with their places, but for those that are surely names."""
    depth, found = 0, []
    for at, token in enumerate(rest):
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        is_name = at > 0 and (rest[at - 1].text == "." or _word(rest, at - 1) == "as")
        if depth == 0 and token.kind is Kind.WORD and not is_name:
            found.append((at, token.text.lower()))
    return found


def _from(rest: list[Token]) -> int | None:
    """Return the place of the FROM of a SELECT."""
    for at, word in _keywords(rest):
        if word == "from":
            return at
        if word in _ENDS_LIST:
            return None
    return None


def _name(rest: list[Token], at: int) -> tuple[str, int]:
    """Return the last part of a table's name, as it is written, and the place after it."""
    while at + 1 < len(rest) and rest[at].kind in (Kind.WORD, Kind.NAME) and rest[at + 1].text == ".":
        at += 2
    if at < len(rest) and rest[at].kind in (Kind.WORD, Kind.NAME):
        return rest[at].text, at + 1
    return "", at


def _alias(rest: list[Token], at: int) -> tuple[str, int]:
    if _word(rest, at) == "as":
        return _name(rest, at + 1)
    return ("", at) if _word(rest, at) == "where" else _name(rest, at)


def _ends(condition: list[Token]) -> bool:
    return any(word in _ENDS_WHERE for _, word in _keywords(condition))
