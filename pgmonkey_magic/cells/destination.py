"""The table that a DataFrame goes into: what it is called, what the catalogue knows of it, what may go into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self

from psycopg import sql as quoting

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.sql import Kind, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg.pq.abc import PGresult

    from pgmonkey_magic.cells.ways import Connection
    from pgmonkey_magic.results.encoding import TargetType

_TABLE = """
SELECT n.nspname, c.relname, pg_catalog.current_schema()
FROM (VALUES (pg_catalog.to_regclass({table}))) AS asked (oid)
LEFT JOIN pg_catalog.pg_class c ON c.oid = asked.oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""
_COLUMNS = """
SELECT a.attname, COALESCE(b.oid, t.oid), pg_catalog.format_type(a.atttypid, a.atttypmod),
       COALESCE(b.typreceive, t.typreceive), e.oid, pg_catalog.format_type(e.oid, NULL), e.typreceive,
       a.attgenerated, a.attidentity
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_type e
     ON e.oid = COALESCE(b.typelem, t.typelem) AND COALESCE(b.typcategory, t.typcategory) = 'A'
WHERE a.attrelid = pg_catalog.to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""
"""Of a domain the type below. Of a domain over a domain that is a domain, whose values go as text."""
_KEYS = """
SELECT pg_catalog.json_agg(a.attname)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.generate_subscripts(i.indkey, 1) AS s (n)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.n]
WHERE i.indrelid = pg_catalog.to_regclass({table}) AND s.n < i.indnkeyatts AND i.indisunique AND i.indisvalid
      AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid"""
"""The columns of the unique indexes that ON CONFLICT (columns) can mean."""
_SHAPE = """
SELECT pg_catalog.string_agg(pg_catalog.format('%s %s', a.attname, a.atttypid), ', ' ORDER BY a.attnum)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped"""
QUESTIONS = (_TABLE, _COLUMNS, _KEYS, _SHAPE)


@dataclass(frozen=True, slots=True)
class TableName:
    """The name of a table, and of its schema where one is given, without quotes."""

    schema: str | None
    table: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `[schema.]table` by SQL's rules: without quotes it is in lower case. Raises RequestError."""
        found = [token for token in tokens(text) if not token.is_blank]
        names = [_unquoted(token.text) for token in found[::2] if token.kind in (Kind.WORD, Kind.NAME)]
        if len(found) not in (1, 3) or len(names) != len(found) // 2 + 1 or not all(names):
            raise RequestError(
                f"{text!r} is no table's name; write [schema.]table, in double quotes where SQL needs them"
            )
        if len(found) == 3 and found[1].text != ".":
            raise RequestError(f"{text!r} is no table's name; write schema.table")
        return cls(names[0] if len(names) == 2 else None, names[-1])

    def quoted(self, conn: Connection | None) -> str:
        """Return it as SQL takes it."""
        return identifier([each for each in (self.schema, self.table) if each is not None], conn)

    def __str__(self) -> str:
        return self.table if self.schema is None else f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table; `generated` says how the server makes its values, where only the server may."""

    type: TargetType
    generated: str


@dataclass(frozen=True, slots=True)
class Destination:
    """What the catalogue says of a table, by the names of its columns, in order; `unique` are keys for ON CONFLICT.

    `exists` is false where there is no such table: then `name` is where it would be made. `shape` changes when the
    columns or their types do.
    """

    name: TableName
    exists: bool
    columns: dict[str, TableColumn]
    unique: tuple[frozenset[str], ...]
    shape: str | None

    @classmethod
    def of(cls, asked: TableName, results: Sequence[PGresult], encoding: str) -> Self:
        """Read the answers to QUESTIONS. Raises RequestError where there is no schema to make the table in."""
        table, columns, keys, shape = (_rows(result, encoding) for result in results)
        schema, name, current = table[0]
        if name is None and (asked.schema or current) is None:
            raise RequestError(
                f"the search_path has no schema for the new table {asked.table}; write schema.{asked.table}"
            )
        return cls(
            TableName(schema, name) if name is not None else TableName(asked.schema or current, asked.table),
            name is not None,
            {str(row[0]): _column(row) for row in columns},
            tuple(frozenset(json.loads(str(row[0]))) for row in keys),
            shape[0][0],
        )

    def types(self, names: Iterable[str], *, cure: str) -> list[TargetType]:
        """Return the types of these columns. Raises RequestError for one that cannot be written; *cure* ends it."""
        names = list(names)
        if surplus := [name for name in names if name not in self.columns]:
            same = [column for column in self.columns if column.lower() == surplus[0].lower()]
            near = same or get_close_matches(surplus[0], self.columns, n=1)
            raise RequestError(
                f"table {self.name} has no column {', '.join(map(repr, surplus))}, which the DataFrame has; "
                + (f"did you mean {near[0]!r}? {cure}" if near else cure)
            )
        for name in names:
            if how := self.columns[name].generated:
                raise RequestError(
                    f"column {name!r} of table {self.name} is {how}, so that only the server writes it; leave it out: "
                    f"df.drop(columns=[{name!r}])"
                )
        return [self.columns[name].type for name in names]


def questions(name: TableName, conn: Connection) -> str:
    """Return the statements whose results `Destination.of` reads."""
    return ";".join(_about(question, name, conn) for question in QUESTIONS)


def shape_question(name: TableName, conn: Connection) -> str:
    """Return the statement that asks for the shape of a table."""
    return _about(_SHAPE, name, conn)


def _about(question: str, name: TableName, conn: Connection) -> str:
    return question.format(table=quoting.Literal(name.quoted(conn)).as_string(conn))


def identifier(parts: Sequence[str], conn: Connection | None) -> str:
    """Return a name, of several parts with points, in quotes."""
    return quoting.Identifier(*parts).as_string(conn)


def identifiers(names: Iterable[str], conn: Connection) -> str:
    """Return names in quotes with commas."""
    return ", ".join(identifier([name], conn) for name in names)


def _column(row: Sequence[Any]) -> TableColumn:
    from pgmonkey_magic.results.encoding import TargetType  # noqa: PLC0415 - loading must not wait for Arrow

    _, oid, name, receive, element, element_name, element_receive, generated, identity = row
    inner = None if element is None else TargetType(int(element), element_name, _bare(element_receive))
    how = "GENERATED ALWAYS AS IDENTITY" if identity == "a" else "a generated column" if generated else ""
    return TableColumn(TargetType(int(oid), name, _bare(receive), inner), how)


def _bare(function: str) -> str:
    """Return the name of a function without the schema, which it has where that is not in the search_path."""
    return function.rpartition(".")[2]


def _rows(result: PGresult, encoding: str) -> list[list[str | None]]:
    values = ([result.get_value(row, i) for i in range(result.nfields)] for row in range(result.ntuples))
    return [[None if value is None else value.decode(encoding) for value in row] for row in values]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
