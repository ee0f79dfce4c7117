"""Bound values as literals, for COPY, which takes no parameters.

The server has said of which type each parameter is; the literal is the text that would have been bound, quoted by libpq
and cast to that type, so it means the same and is never read as SQL. As a part of the statement it may be seen in
pg_stat_activity and in the server's log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import Escaping

from pgmonkey_magic.sql import Kind, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.results.frame import Connection
    from pgmonkey_magic.results.wire import Parameters

BYTEA = 17
BARE = {1042: "bpchar", 1560: '"bit"'}
"""`character` and `bit` alone mean a length of 1 in a cast."""


def with_literals(conn: Connection, statement: str, parameters: Parameters, oids: Sequence[int]) -> str | None:
    """Return *statement* with a literal in place of each `$1`; None where a value cannot be written as one."""
    if len(oids) != len(parameters.values):
        return None
    literals: list[str] = []
    for value, format_, oid in zip(parameters.values, parameters.formats, oids, strict=True):
        type_ = _type_name(conn, oid)
        if type_ is None or (format_ and value is not None and oid != BYTEA):
            return None
        literals.append(f"(NULL::{type_})" if value is None else f"({_quoted(conn, value, format_)}::{type_})")
    text = ""
    for token in tokens(statement):
        if token.kind is Kind.POSITION:
            number = int(token.text[1:])
            if not 1 <= number <= len(literals):
                return None
            text += literals[number - 1]
        else:
            text += token.text
    return text


def _quoted(conn: Connection, value: bytes, format_: int) -> str:
    if format_:
        return f"'\\x{bytes(value).hex()}'"
    return bytes(Escaping(conn.pgconn).escape_literal(value)).decode(conn.info.encoding)


def _type_name(conn: Connection, oid: int) -> str | None:
    """Return what a cast calls the type, None for one that psycopg's registry does not know."""
    info = conn.adapters.types.get(oid)
    if info is None:
        return None
    name = BARE.get(info.oid, info.regtype)
    if info.oid == oid:
        return name
    return f"{name}[]" if info.array_oid == oid else None
