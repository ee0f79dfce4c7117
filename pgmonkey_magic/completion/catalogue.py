"""What a server has that a name may mean, as far as the role may use it, read in one short read-only transaction.

The connection is one of its own, outside of the pool: nobody who waits for a borrow waits for this, and this waits for
nobody. Both connecting and reading end at a deadline.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.pools import connect_parameters
from pgmonkey_magic.pools.liveness import bounded
from pgmonkey_magic.results import Parameters, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn

    from pgmonkey_magic.config import Config

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5.0
KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}
"""By pg_class.relkind."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialized view or foreign table; `columns` are names and types, in order."""

    schema: str
    name: str
    kind: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What can be named, by schema and name.

    `path` is the search path with pg_catalog in its place. `functions` tell `function` or `procedure`. `types` are by
    schema, as they are written. `keywords` have the category of pg_get_keywords: U, C, T or R. `settings` have the
    words that are their values, if those are words.
    """

    path: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    relations: Mapping[str, Mapping[str, Relation]] = field(default_factory=dict)
    functions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keywords: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def relation(self, path: tuple[str, ...]) -> Relation | None:
        """Find a relation by its name, along the search path, or by schema and name."""
        *schema, name = path[-2:] or ("",)
        found = (self.relations.get(each, {}).get(name) for each in (schema or self.path))
        return next((relation for relation in found if relation), None)


_PATH = b"SELECT pg_catalog.to_json(pg_catalog.current_schemas(true))"
_SCHEMAS = b"""
SELECT pg_catalog.json_agg(nspname ORDER BY nspname) FROM pg_catalog.pg_namespace n
WHERE pg_catalog.has_schema_privilege(n.oid, $1) AND n.nspname !~ $2
"""
_RELATIONS = b"""
SELECT pg_catalog.json_agg(pg_catalog.json_build_array(nspname, relname, relkind, columns) ORDER BY nspname, relname)
FROM (
    SELECT n.nspname, c.relname, c.relkind, pg_catalog.json_agg(
        pg_catalog.json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum
    ) FILTER (WHERE a.attname IS NOT NULL) AS columns
    FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind::text = ANY ($3::text[])
    CROSS JOIN LATERAL (SELECT pg_catalog.has_table_privilege(c.oid, $4) AS whole) may
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (whole OR pg_catalog.has_column_privilege(c.oid, a.attnum, $4))
    WHERE pg_catalog.has_schema_privilege(n.oid, $1) AND n.nspname !~ $2
      AND (whole OR pg_catalog.has_table_privilege(c.oid, $5) OR pg_catalog.has_any_column_privilege(c.oid, $4))
    GROUP BY n.nspname, c.oid, c.relname, c.relkind
) r
"""
# The functions behind operators, types and access methods are not called by name. That the former are described as
# "implementation of … operator" is a rule that PostgreSQL's own tests hold (opr_sanity).
_FUNCTIONS = b"""
SELECT pg_catalog.json_agg(pg_catalog.json_build_array(nspname, proname, kind) ORDER BY nspname, proname)
FROM (
    SELECT DISTINCT n.nspname, p.proname, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid
    WHERE pg_catalog.has_schema_privilege(n.oid, $1) AND n.nspname !~ $2
      AND pg_catalog.has_function_privilege(p.oid, $3)
      AND NOT p.proargtypes::oid[] && $4::regtype[]::oid[] AND p.prorettype <> ALL ($5::regtype[]::oid[])
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_description d
          WHERE d.objoid = p.oid AND d.classoid = 'pg_catalog.pg_proc'::regclass AND d.description LIKE $6
      )
) f
"""
_TYPES = b"""
SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, t.typname, pg_catalog.format_type(t.oid, NULL)))
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE pg_catalog.has_schema_privilege(n.oid, $1) AND n.nspname !~ $2
  AND t.typcategory <> $3 AND (c.oid IS NULL OR c.relkind = $4) AND pg_catalog.has_type_privilege(t.oid, $1)
"""
_KEYWORDS = b"SELECT pg_catalog.json_agg(pg_catalog.json_build_array(word, catcode)) FROM pg_catalog.pg_get_keywords()"
_SETTINGS = b"""
SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
    name, CASE vartype WHEN 'bool' THEN ARRAY['on', 'off'] ELSE enumvals END) ORDER BY name)
FROM pg_catalog.pg_settings
"""
_USABLE = ("USAGE", "^pg_(toast|temp_|toast_temp_)")
_COLUMN_RIGHTS, _TABLE_RIGHTS = "SELECT, INSERT, UPDATE, REFERENCES", "DELETE, TRUNCATE, TRIGGER"
_INTERNAL = "{internal,cstring}"
_NOT_CALLED = "{internal,cstring,trigger,event_trigger,index_am_handler,table_am_handler,fdw_handler,language_handler}"


def read_catalogue(config: Config, connection_type: str) -> Catalogue:
    """Connect, read, close. Raises psycopg.Error where that fails or takes too long."""
    parameters = connect_parameters(config, connection_type)
    try:
        wanted = int(parameters["connect_timeout"])
    except ValueError:
        wanted = 0  # libpq's own error says what is wrong with it
    if not 0 < wanted <= CONNECT_TIMEOUT_S:
        parameters["connect_timeout"] = CONNECT_TIMEOUT_S
    parameters["client_encoding"] = "UTF8"
    conn = psycopg.connect(**parameters)
    try:
        return conn.wait(bounded(_read(conn.pgconn), time.monotonic() + READ_TIMEOUT_S))
    finally:
        conn.close()


def _read(pgconn: PGconn) -> PQGen[Catalogue]:
    # The limits are the transaction's: a SET would stay with a server process of PgBouncer's.
    yield from query(pgconn, b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    limit = str(round(READ_TIMEOUT_S * 1000))
    yield from _json(pgconn, b"SELECT pg_catalog.to_json(pg_catalog.set_config('statement_timeout', $1, true))", limit)
    path = yield from _json(pgconn, _PATH)
    schemas = yield from _json(pgconn, _SCHEMAS, *_USABLE)
    kinds = "{" + ",".join(KINDS) + "}"
    relations = yield from _json(pgconn, _RELATIONS, *_USABLE, kinds, _COLUMN_RIGHTS, _TABLE_RIGHTS)
    functions = yield from _json(pgconn, _FUNCTIONS, *_USABLE, "EXECUTE", _INTERNAL, _NOT_CALLED, "implementation of %")
    types = yield from _json(pgconn, _TYPES, *_USABLE, "A", "c")
    keywords = yield from _json(pgconn, _KEYWORDS)
    settings = yield from _json(pgconn, _SETTINGS)
    yield from query(pgconn, b"COMMIT")
    return Catalogue(
        path=tuple(path),
        schemas=tuple(schemas),
        relations=_relations(relations),
        functions=_by_schema(functions),
        types=_types(types),
        keywords=dict(keywords),
        settings={name: tuple(values or ()) for name, values in settings},
    )


def _json(pgconn: PGconn, statement: bytes, *values: str) -> PQGen[Any]:
    """Run a query with bound values and return the JSON of its one field; NULL is an empty list."""
    bound = Parameters(tuple(value.encode() for value in values), (0,) * len(values), (0,) * len(values))
    answer = yield from query(pgconn, statement, bound)
    text = answer.results[0].get_value(0, 0)
    # A database without an encoding may hold names that are no UTF-8; nobody can type those.
    return json.loads(bytes(text).decode("utf-8", "replace")) if text else []


def _relations(rows: list[Any]) -> dict[str, dict[str, Relation]]:
    found: dict[str, dict[str, Relation]] = {}
    for schema, name, relkind, columns in rows:
        relation = Relation(schema, name, KINDS[relkind], tuple((column, kind) for column, kind in columns or ()))
        found.setdefault(schema, {})[name] = relation
    return found


def _by_schema(rows: list[Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for schema, name, value in rows:
        found.setdefault(schema, {})[name] = value
    return found


def _types(rows: list[Any]) -> dict[str, tuple[str, ...]]:
    """Return the types by schema: those of pg_catalog as SQL writes them and by their short name, others by name."""
    found: dict[str, set[str]] = {}
    for schema, name, written in rows:
        names = found.setdefault(schema, set())
        if schema != "pg_catalog":
            names.add(name)
        else:  # "char" is not char
            names.update({written} if written == f'"{name}"' else {written, name})
    return {schema: tuple(sorted(names)) for schema, names in found.items()}
