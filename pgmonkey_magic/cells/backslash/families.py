r"""Backslash commands such as `\d orders`: which there are, what each is asked, and what to use for psql's others.

Only commands that read the catalogue are carried out, by an allow list: those of psql that write files, run programs,
change a session or a display have their own way in a notebook, and are refused with its name.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from psycopg.pq import ConnStatus, TransactionStatus

from pgmonkey_magic.cells.backslash import listing
from pgmonkey_magic.cells.backslash.catalogue import Catalogue, Connection, Description, Pattern, Table
from pgmonkey_magic.cells.backslash.instead import INSTEAD
from pgmonkey_magic.cells.backslash.listing import Asked
from pgmonkey_magic.cells.backslash.relation import describe_relations
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SENT = "SELECT"
"""For `Terms.statement`: what is sent only reads, and leaves no trace on the connection."""

_BLANK = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"(\\[^\sS+]*)([S+]*)")


@dataclass(frozen=True, slots=True)
class Family:
    """A command: the regular expression of its word, how it is written, what it shows, and who carries it out.

    What the group of the expression matches are letters that say what to list. A pattern has at most `names` names with
    dots between them; with 0 the argument is no pattern. `modifiers` are `+` for more columns, `S` for what belongs to
    the system.
    """

    word: str
    syntax: str
    meaning: str
    carry_out: Callable[[Catalogue, Asked], list[Description]]
    names: int = 1
    modifiers: str = "+"


def _pgspecial(word: str, what: str) -> Callable[[Catalogue, Asked], list[Description]]:
    return lambda catalogue, asked: listing.from_pgspecial(catalogue, asked, word, what)


def _all_or_one(catalogue: Catalogue, asked: Asked) -> list[Description]:
    if asked.pattern is None:
        return listing.relations(catalogue, asked)
    return describe_relations(catalogue, asked.pattern, verbose=asked.verbose)


def _help(_: Catalogue, asked: Asked) -> list[Description]:
    if asked.argument:
        raise RequestError(f"\\? lists every backslash command; leave out {asked.argument}")
    rows = tuple((family.syntax, family.meaning) for family in FAMILIES)
    return [Description("Backslash commands", Table(("Command", "Shows"), rows), len(rows))]


FAMILIES = (
    Family(
        r"\\d",
        "\\d[S+] [PATTERN]",
        "tables, views, sequences; with a pattern all about each relation that it fits",
        _all_or_one,
        names=3,
        modifiers="S+",
    ),
    Family(
        r"\\d([tvmisE]+)",
        "\\d{tvmisE}[S+] [PATTERN]",
        "tables, views, materialized views, indexes, sequences, foreign tables: \\dt, \\dv, \\dtv, …",
        listing.relations,
        names=3,
        modifiers="S+",
    ),
    Family(
        r"\\df([anptw]*)",
        "\\df[anptw][S+] [PATTERN]",
        "functions; with letters aggregates, normal ones, procedures, triggers, window functions",
        listing.functions,
        names=3,
        modifiers="S+",
    ),
    Family(r"\\sf", "\\sf[+] NAME[(TYPES)]", "the definition of a function", listing.source, names=0),
    Family(r"\\dn", "\\dn[+] [PATTERN]", "schemas", _pgspecial("\\dn", "schemas")),
    Family(r"\\dT", "\\dT[+] [PATTERN]", "data types", _pgspecial("\\dT", "data types"), names=3),
    Family(r"\\dD", "\\dD[+] [PATTERN]", "domains", _pgspecial("\\dD", "domains"), names=3),
    Family(r"\\d[ug]", "\\du[S+] [PATTERN]", "roles, and what they may do (also \\dg)", listing.roles, modifiers="S+"),
    Family(
        r"\\dp|\\z",
        "\\dp [PATTERN]",
        "who may do what with tables, views, sequences (also \\z)",
        _pgspecial("\\dp", "access privileges"),
        names=3,
        modifiers="",
    ),
    Family(r"\\ddp", "\\ddp [PATTERN]", "default privileges", listing.default_privileges, modifiers=""),
    Family(r"\\dx", "\\dx[+] [PATTERN]", "extensions; with + the objects of each", listing.extensions),
    Family(r"\\db", "\\db[+] [PATTERN]", "tablespaces", listing.tablespaces),
    Family(
        r"\\dF",
        "\\dF[+] [PATTERN]",
        "text search configurations; with + their dictionaries",
        _pgspecial("\\dF", "text search configurations"),
    ),
    Family(r"\\l(?:ist)?", "\\l[+] [PATTERN]", "databases (also \\list)", _pgspecial("\\l", "databases")),
    Family(r"\\\?", "\\?", "this list", _help, names=0, modifiers=""),
)
"""The allow list, and what `\\?` shows."""
_WORDS = r"\d \dt \dv \dm \di \ds \dE \df \sf \dn \dT \dD \du \dg \dp \z \ddp \dx \db \dF \l \list \?".split()  # noqa: SIM905 - as in a shell
"""For the near miss."""


def is_backslash(sql: str) -> bool:
    """Tell whether a cell or line holds backslash commands: it begins with a backslash, after blanks and comments.

    No statement of SQL can begin so.
    """
    return sql.startswith("\\", _BLANK.match(sql).end())  # type: ignore[union-attr] - it matches the empty text too


def commands(sql: str) -> list[str]:
    """Return the commands of a cell, one a line. Raises RequestError for a line that is none."""
    found, position = [], 0
    while (position := _BLANK.match(sql, position).end()) < len(sql):  # type: ignore[union-attr] - as above
        line = sql[position:].split("\n", 1)[0]
        if not line.startswith("\\"):
            raise RequestError(
                f"a cell holds either backslash commands, one a line, or SQL; this is none: {line.strip()}"
            )
        position += len(line)
        found.append(line.strip())
    return found


def describe(conn: Connection, command: str) -> list[Description]:
    """Carry out one backslash command on a borrowed connection: what psql shows, as tables and lines of text.

    All of it is one read-only look at the catalogue: in a snapshot of its own where no transaction is open, else inside
    of that transaction, which goes on as it was. No lock, setting or prepared statement stays behind.

    Raises RequestError for a command that is none of these, for a pattern that cannot be read, and where nothing fits
    it; psycopg.Error with the server's own reason.
    """
    family, asked = understood(command)
    catalogue = Catalogue(conn)
    if family.names and asked.argument:
        asked = replace(asked, pattern=Pattern.read(asked.argument, family.names, catalogue.database))
    with _aside(conn):
        return family.carry_out(catalogue, asked)


def understood(command: str) -> tuple[Family, Asked]:
    """Return which command this is, and what it is asked. Raises RequestError for one that is not on the list."""
    typed, *argument = command.strip().rstrip("; \t").split(maxsplit=1)
    match = _WORD.fullmatch(typed)
    word, modifiers = match.groups() if match else (typed, "")
    for family in FAMILIES:
        if named := re.fullmatch(family.word, word):
            break
    else:
        raise _unknown(word)
    for modifier in modifiers:
        if modifier not in family.modifiers:
            cure = "; name the schema: pg_catalog.*" if modifier == "S" and family.names > 1 else ""
            raise RequestError(f"{word} takes no {modifier}, it is written {family.syntax}{cure}")
    return family, Asked("".join(named.groups()), "+" in modifiers, "S" in modifiers, "".join(argument))


def _unknown(word: str) -> RequestError:
    word = "\\!" if word.startswith("\\!") else word
    if word in INSTEAD:
        return RequestError(f"{word} is not carried out here; {INSTEAD[word]}")
    near = get_close_matches(word, _WORDS, n=1) if len(word) > 1 else []
    cure = f"did you mean {near[0]}?" if near else "%pgmonkey \\? lists those there are"
    return RequestError(f"there is no backslash command {word} here; {cure}")


@contextmanager
def _aside(conn: Connection) -> Iterator[None]:
    """Keep what happens inside apart from the connection's own work: it ends, well or badly, with a rollback."""
    pgconn = conn.pgconn
    if pgconn.transaction_status == TransactionStatus.IDLE:
        begin, end = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", b"ROLLBACK"
    else:
        begin, end = b"SAVEPOINT pgmonkey_look", b"ROLLBACK TO pgmonkey_look; RELEASE pgmonkey_look"
    conn.wait(query(pgconn, begin))
    try:
        yield
    finally:
        if pgconn.status == ConnStatus.OK:
            conn.wait(query(pgconn, end))
