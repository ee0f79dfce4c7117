"""What a cell leaves in its session and is gone with the cell, whose connection goes back as it left the factory."""

from __future__ import annotations

import re

from pgmonkey_magic.sql import Statement, only_reads, split, tokens

_TEMPORARY = re.compile(
    r'create (?:global |local )?temp(?:orary)? table (?:if not exists )?(?:pg_temp \. )?("(?:[^"]|"")*"|[^\s"]+)',
    re.IGNORECASE,
)
_OF_THE_TRANSACTION = ("local", "transaction", "constraints")


def temporary_tables(sql: str) -> set[str]:
    """Return the names of the temporary tables that *sql* creates and leaves, as the server keeps names.

    One with ON COMMIT DROP is none of them: who writes that knows when it ends.
    """
    found: set[str] = set()
    for statement in split(sql):
        match statement.words:
            case ("create", *words) if {"temp", "temporary"}.intersection(words[:2]):
                text = _words(statement)
                if (created := _TEMPORARY.match(text)) and not text.lower().endswith("on commit drop"):
                    found.add(name_of(created[1]))
            case ("drop", "table", *_):
                found.difference_update(map(name_of, _words(statement).split(" ")))
    return found


def remark(sql: str, for_good: str) -> str | None:
    """Return what to say of a cell that has worked for nothing but its own session, and had no use for it any more.

    *for_good* is the key of the YAML file where settings of every session stand.
    """
    statements = split(sql)
    if not statements:
        return None
    if statements[-1].words[:1] == ("listen",):
        return "its LISTEN is gone with this cell: listen on a connection of your own"
    if all(map(_sets, statements)):
        return f"what it set is gone with this cell: BEGIN keeps it over cells, {for_good} for good"
    if temporary_tables(sql) and not only_reads(statements[-1].text):
        return "its temporary table is gone with this cell: BEGIN keeps it over cells"
    return None


def name_of(written: str) -> str:
    """Return a name as the server keeps it."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()


def _sets(statement: Statement) -> bool:
    return statement.words[:1] == ("set",) and not set(_OF_THE_TRANSACTION).intersection(statement.words[1:2])


def _words(statement: Statement) -> str:
    return " ".join(token.text for token in tokens(statement.text) if not token.is_blank)
