"""Reading the system catalogue for a backslash command: a pattern as psql understands it, a query, what comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import tuple_row

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import Frame, Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Connection = psycopg.Connection[Any]

_PART = re.compile(r'(?:[^".\s]|"(?:[^"]|"")*")*')


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that no result of the server holds; every value is a text."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def frame(self) -> Frame:
        """Return the DataFrame; it has nothing to note."""
        import pandas as pd  # noqa: PLC0415 - loading the extension must not wait for pandas

        return Frame(pd.DataFrame(list(self.rows), columns=list(self.names), dtype="str"), ())


@dataclass(frozen=True, slots=True)
class Description:
    """One table that a backslash command shows, the title above it, and the lines of text below it.

    `rowcount` counts the table's rows; `names` replace the names of its columns, where given. `footer` are lines in the
    words of psql, such as `Indexes:` and an index each.
    """

    title: str
    table: Reader | Table
    rowcount: int
    footer: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None

    def frame(self) -> Frame:
        """Convert; may be called after the connection has gone back."""
        frame = self.table.frame()
        if self.names is not None:
            frame.data.columns = list(self.names)
        return frame


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern for names, such as `shop.ord*`: the text that was typed, and the regular expressions it stands for.

    Outside of double quotes letters are folded to lower case, `*` is any text, `?` any character. Without a schema it
    means what the search path shows. Source: "Patterns" in psql's manual page.
    """

    text: str
    schema: str | None
    name: str

    @classmethod
    def read(cls, text: str, most: int, database: str) -> Self:
        """Read a pattern of at most *most* names with dots between them, the first of three being the database's.

        Raises RequestError for another database, for more names, and for more than one pattern.
        """
        from pgspecial.dbcommands import sql_name_pattern  # noqa: PLC0415 - needed by few cells

        parts = _parts(text)
        if len(parts) > most:
            names = {1: "one name", 2: "at most two names, SCHEMA.NAME", 3: "at most three names, DATABASE.SCHEMA.NAME"}
            raise RequestError(f"the pattern {text} has a dot too many; it takes {names[most]}")
        if len(parts) == 3 and _unquoted(parts.pop(0)) != database:
            raise RequestError(f"{text} names another database than {database}; connect to that one to look into it")
        schema, name = sql_name_pattern(".".join(parts))
        return cls(".".join(parts), schema, name)


def _parts(text: str) -> list[str]:
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        assert match is not None  # noqa: S101 - it matches the empty text too
        parts.append(match[0])
        if match.end() == len(text):
            break
        if text[match.end()] == '"':
            raise RequestError(f'the pattern {text} has a double quote that is not closed; a quote in a name is ""')
        if text[match.end()] != ".":
            raise RequestError(
                f'one pattern at a time, not {text!r}; a name with a blank goes into double quotes: "a b"'
            )
        position = match.end() + 1
    if not all(parts):
        raise RequestError(f"the pattern {text} lacks a name at a dot; * stands for any: schema.*")
    return parts


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


class _Cursor(psycopg.Cursor[Any]):
    """Prepares nothing: a statement kept on the server is a trace, and outlives the catalogue that it was made for."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> Self:
        return super().execute(query, params, prepare=False)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The system catalogue as a borrowed connection shows it."""

    conn: Connection

    @property
    def version(self) -> int:
        """The server's version, such as 180004."""
        return self.conn.info.server_version

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.conn.info.dbname

    def cursor(self) -> psycopg.Cursor[Any]:
        """Return a cursor that gives tuples and leaves nothing behind."""
        return _Cursor(self.conn, row_factory=tuple_row)

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.cursor().execute(sql.encode(), values).fetchall()

    def described(self, title: str, sql: str, values: Mapping[str, Any], footer: Sequence[str] = ()) -> Description:
        """Return what a query gives under a title."""
        return self.taken(title, self.cursor().execute(sql.encode(), values), footer)

    def taken(
        self, title: str, cursor: psycopg.Cursor[Any], footer: Sequence[str] = (), names: Sequence[str] | None = None
    ) -> Description:
        """Return what a cursor has got."""
        result = cursor.pgresult
        assert result is not None  # noqa: S101 - a query that fails raises
        renamed = tuple(names) if names is not None else None
        return Description(title, Reader(self.conn, result), result.ntuples, tuple(footer), renamed)
