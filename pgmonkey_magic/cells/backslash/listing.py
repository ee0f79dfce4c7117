"""The backslash commands that list: ours where pgspecial leaves out or mistakes what psql shows, else pgspecial's.

Ours are relations (pgspecial has no partitioned indexes and no table beside an index), functions (a procedure is not a
normal function), roles (BYPASSRLS), tablespaces (`+`), default privileges (`*` in a pattern) and the objects of an
extension (a pattern).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.cells.backslash.catalogue import Description, Table
from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgmonkey_magic.cells.backslash.catalogue import Catalogue, Pattern


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it was typed: the letters that say what to list, `+` and `S`.

    `argument` is the text behind the word; `pattern` is what it means to a command that takes one.
    """

    letters: str = ""
    verbose: bool = False
    system: bool = False
    argument: str = ""
    pattern: Pattern | None = None

    @property
    def values(self) -> dict[str, object]:
        """What the queries below ask for: the pattern, and whether what belongs to the system is wanted."""
        return {
            "schema": self.pattern.schema if self.pattern else None,
            "name": self.pattern.name if self.pattern else None,
            "everything": self.system or self.pattern is not None,
        }


def _fits(name: str, value: str) -> str:
    """Return SQL for: a name fits a pattern, where there is one."""
    return f"""(%({value})s::pg_catalog.text IS NULL
      OR {name} OPERATOR(pg_catalog.~) %({value})s::pg_catalog.text COLLATE pg_catalog.default)"""


def _shown(visible: str) -> str:
    """Return SQL for: not the system's, unless it is asked for; on the search path, unless a schema is named."""
    return f"""(%(everything)s OR n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast')
  AND (%(schema)s::pg_catalog.text IS NOT NULL OR {visible})"""


RELATIONS = {
    "t": ("tables", "rp"),
    "v": ("views", "v"),
    "m": ("materialized views", "m"),
    "i": ("indexes", "iI"),
    "s": ("sequences", "S"),
    "E": ("foreign tables", "f"),
}
"""The letters of `\\dtvmisE`, in any number and order: what they list, and its pg_class.relkind."""
_RELATIONS = """
SELECT n.nspname AS "Schema", c.relname AS "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index'
    WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table'
    WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END AS "Type",
  pg_catalog.pg_get_userbyid(c.relowner) AS "Owner"
  {columns}
FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
WHERE c.relkind::pg_catalog.text = ANY (%(kinds)s) AND {fits_schema} AND {fits} AND {shown}
ORDER BY 1, 2
"""


def relations(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List tables, views and so on, as the letters say; without letters all but indexes."""
    letters = "".join(dict.fromkeys(asked.letters)) or "tvmsE"
    kinds = "".join(RELATIONS[letter][1] for letter in letters)
    if "t" in letters and asked.values["everything"]:
        kinds += "t"
    columns = [', t.relname AS "Table"'] if "i" in letters else []
    if asked.verbose:
        columns.append(""", CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 't' THEN 'temporary'
            WHEN 'u' THEN 'unlogged' END AS "Persistence" """)
        columns += [', am.amname AS "Access method"'] if set(letters) & set("tmi") else []
        columns.append(""", pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(c.oid)) AS "Size",
            pg_catalog.obj_description(c.oid, 'pg_class') AS "Description" """)
    sql = _RELATIONS.format(
        columns="".join(columns),
        fits_schema=_fits("n.nspname", "schema"),
        fits=_fits("c.relname", "name"),
        shown=_shown("pg_catalog.pg_table_is_visible(c.oid)"),
    )
    what = RELATIONS[letters][0] if len(letters) == 1 else "relations"
    return [_found(catalogue.described(f"List of {what}", sql, asked.values | {"kinds": list(kinds)}), what, asked)]


_FUNCTIONS = f"""
SELECT n.nspname AS "Schema", p.proname AS "Name", pg_catalog.pg_get_function_result(p.oid) AS "Result data type",
  pg_catalog.pg_get_function_arguments(p.oid) AS "Argument data types",
  CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE 'func' END AS "Type" {{columns}}
FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE {_fits("n.nspname", "schema")} AND {_fits("p.proname", "name")}
  AND {_shown("pg_catalog.pg_function_is_visible(p.oid)")}
  AND (%(kinds)s = '' OR pg_catalog.strpos(%(kinds)s, CASE WHEN p.prokind <> 'f' THEN p.prokind::pg_catalog.text
    WHEN p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype THEN 't' ELSE 'n' END) > 0)
ORDER BY 1, 2, 4
"""  # noqa: S608 - the parts are above
_FUNCTIONS_PLUS = """,
  CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' WHEN 'v' THEN 'volatile' END AS "Volatility",
  CASE p.proparallel WHEN 'r' THEN 'restricted' WHEN 's' THEN 'safe' WHEN 'u' THEN 'unsafe' END AS "Parallel",
  pg_catalog.pg_get_userbyid(p.proowner) AS "Owner",
  CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END AS "Security",
  CASE WHEN p.proleakproof THEN 'yes' ELSE 'no' END AS "Leakproof?",
  pg_catalog.array_to_string(p.proacl, E'\\n') AS "Access privileges", l.lanname AS "Language",
  CASE WHEN l.lanname IN ('internal', 'c') THEN p.prosrc END AS "Internal name",
  pg_catalog.obj_description(p.oid, 'pg_proc') AS "Description"
"""


def functions(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List functions, with letters only aggregates, normal ones, procedures, triggers or window functions."""
    sql = _FUNCTIONS.replace("{columns}", _FUNCTIONS_PLUS if asked.verbose else "")
    found = catalogue.described("List of functions", sql, asked.values | {"kinds": asked.letters})
    return [_found(found, "functions", asked)]


_ROLES = f"""
SELECT r.rolname AS "Role name", pg_catalog.concat_ws(', ',
    CASE WHEN r.rolsuper THEN 'Superuser' END, CASE WHEN NOT r.rolinherit THEN 'No inheritance' END,
    CASE WHEN r.rolcreaterole THEN 'Create role' END, CASE WHEN r.rolcreatedb THEN 'Create DB' END,
    CASE WHEN NOT r.rolcanlogin THEN 'Cannot login' END, CASE WHEN r.rolreplication THEN 'Replication' END,
    CASE WHEN r.rolbypassrls THEN 'Bypass RLS' END,
    CASE r.rolconnlimit WHEN -1 THEN NULL WHEN 0 THEN 'No connections' WHEN 1 THEN '1 connection'
      ELSE r.rolconnlimit || ' connections' END,
    'Password valid until ' || r.rolvaliduntil) AS "Attributes",
  pg_catalog.array_to_string(ARRAY(
    SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b ON b.oid = m.roleid
    WHERE m.member = r.oid ORDER BY b.rolname), ', ') AS "Member of" {{columns}}
FROM pg_catalog.pg_roles r
WHERE {_fits("r.rolname", "name")} AND (%(everything)s OR r.rolname !~ '^pg_') ORDER BY 1
"""  # noqa: S608 - the part is above


def roles(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List roles; PostgreSQL's own, whose names begin with pg_, only where they are asked for."""
    more = """, pg_catalog.shobj_description(r.oid, 'pg_authid') AS "Description" """ if asked.verbose else ""
    found = catalogue.described("List of roles", _ROLES.replace("{columns}", more), asked.values)
    return [_found(found, "roles", asked)]


_TABLESPACES = f"""
SELECT s.spcname AS "Name", pg_catalog.pg_get_userbyid(s.spcowner) AS "Owner",
  pg_catalog.pg_tablespace_location(s.oid) AS "Location" {{columns}}
FROM pg_catalog.pg_tablespace s WHERE {_fits("s.spcname", "name")} ORDER BY 1
"""  # noqa: S608 - the part is above
# Its size may be seen by those who may use it, or read statistics.
_TABLESPACES_PLUS = """, pg_catalog.array_to_string(s.spcacl, E'\\n') AS "Access privileges", s.spcoptions AS "Options",
  CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR s.spcname = 'pg_default'
      OR pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')
    THEN pg_catalog.pg_size_pretty(pg_catalog.pg_tablespace_size(s.oid)) ELSE 'No Access' END AS "Size",
  pg_catalog.shobj_description(s.oid, 'pg_tablespace') AS "Description"
"""


def tablespaces(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List tablespaces."""
    sql = _TABLESPACES.replace("{columns}", _TABLESPACES_PLUS if asked.verbose else "")
    return [_found(catalogue.described("List of tablespaces", sql, asked.values), "tablespaces", asked)]


_DEFAULT_PRIVILEGES = f"""
SELECT pg_catalog.pg_get_userbyid(d.defaclrole) AS "Owner", n.nspname AS "Schema",
  CASE d.defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function' WHEN 'T' THEN 'type'
    WHEN 'n' THEN 'schema' WHEN 'L' THEN 'large object' END AS "Type",
  pg_catalog.array_to_string(d.defaclacl, E'\\n') AS "Access privileges"
FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
WHERE {_fits("n.nspname", "name")} OR {_fits("pg_catalog.pg_get_userbyid(d.defaclrole)", "name")} ORDER BY 1, 2, 3
"""  # noqa: S608 - the part is above


def default_privileges(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List default privileges of the schemas or owners that the pattern fits."""
    found = catalogue.described("Default access privileges", _DEFAULT_PRIVILEGES, asked.values)
    return [_found(found, "default privileges", asked)]


def extensions(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """List extensions; with `+` the objects of each."""
    if not asked.verbose:
        return from_pgspecial(catalogue, asked, "\\dx", "extensions")
    find = f"SELECT e.extname, e.oid FROM pg_catalog.pg_extension e WHERE {_fits('e.extname', 'name')} ORDER BY 1"  # noqa: S608 - as above
    objects = """SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0) AS "Object description"
        FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid = %(oid)s AND d.deptype = 'e' ORDER BY 1"""
    found = [
        catalogue.described(f'Objects in extension "{name}"', objects, {"oid": oid})
        for name, oid in catalogue.rows(find, asked.values)
    ]
    if not found:
        raise _not_found("extensions", asked)
    return found


def source(catalogue: Catalogue, asked: Asked) -> list[Description]:
    """Show the definition of a function: as one value, and line by line below.

    Raises RequestError with the server's sentence where none, or more than one, has that name.
    """
    if not asked.argument:
        raise RequestError("\\sf needs the name of a function: \\sf NAME, or \\sf NAME(type, …) where several have it")
    try:
        (text,) = (str(row[0]) for _, rows, _, _ in _pgspecial(catalogue, asked, "\\sf") for row in rows)
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        # Its context and position are those of a query that nobody has typed.
        raise RequestError(f"{error.diag.message_primary}; \\df *NAME* finds functions and their types") from error
    lines = tuple(text.rstrip("\n").split("\n"))
    return [Description(f"Definition of {asked.argument}", Table(("Source",), ((text,),)), 1, lines)]


def from_pgspecial(catalogue: Catalogue, asked: Asked, word: str, what: str) -> list[Description]:
    """List *what* as pgspecial's command *word* does."""
    found = []
    for title, cursor, headers, _ in _pgspecial(catalogue, asked, word):
        if headers is None:  # in place of a table, the sentence that nothing fits
            raise _not_found(what, asked)
        text = " · ".join(title.strip().split("\n")) if title else f"List of {what}"
        found.append(catalogue.taken(text, cursor, names=headers))
    return [_found(found[0], what, asked)] if len(found) == 1 else found


def _pgspecial(
    catalogue: Catalogue, asked: Asked, word: str
) -> Iterable[tuple[str | None, Any, Sequence[str] | None, str | None]]:
    """Return what pgspecial gives: titles, rows or a cursor that has them, names of columns, status."""
    from pgspecial.main import PGSpecial  # noqa: PLC0415 - needed by few cells

    typed = asked.pattern.text if asked.pattern else asked.argument
    return PGSpecial().execute(catalogue.cursor(), f"{word}{'+' if asked.verbose else ''} {typed}") or ()


def _found(description: Description, what: str, asked: Asked) -> Description:
    """Return it; where it is empty, say so: a pattern that fits nothing is an error."""
    if description.rowcount:
        return description
    if asked.pattern:
        raise _not_found(what, asked)
    return replace(description, footer=(f"Did not find any {what}.",))


def _not_found(what: str, asked: Asked) -> RequestError:
    named = f' named "{asked.pattern.text}"' if asked.pattern else ""
    return RequestError(f"Did not find any {what}{named}.")
