r"""What stands below the columns of `\d NAME`: indexes, constraints, policies, triggers and the rest, in psql's words.

Each section is one query that gives its finished lines. Sources: the catalogue's description in PostgreSQL's manual,
and what psql 18 prints; tests/integration/test_backslash.py holds both side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgmonkey_magic.cells.backslash.catalogue import Catalogue

SINCE_15, SINCE_18 = 150000, 180000


@dataclass(frozen=True, slots=True)
class Section:
    r"""A part of the footer: which kinds of relation (pg_class.relkind) may have it, and the query for its lines.

    The query knows `%(oid)s` and `%(verbose)s`. The heading stands above the lines, if there are any. `verbose` is what
    only `\d+` shows, `since` the first version of the server that has it.
    """

    kinds: str
    heading: str
    sql: str
    verbose: bool = False
    since: int = 0


def footer_lines(catalogue: Catalogue, oid: int, kind: str, *, verbose: bool) -> list[str]:
    """Return the lines below the columns of a relation. All in one query, because the server may be far away."""
    sections = [s for s in SECTIONS if kind in s.kinds and verbose >= s.verbose and catalogue.version >= s.since]
    if not sections:
        return []
    sql = " UNION ALL ".join(
        f"SELECT {i}, pg_catalog.row_number() OVER (), text FROM ({section.sql}) q (text) WHERE text IS NOT NULL"  # noqa: S608 - those below
        for i, section in enumerate(sections)
    )
    rows = catalogue.rows(f"{sql} ORDER BY 1, 2", {"oid": oid, "verbose": verbose})
    lines: list[str] = []
    for i, answers in groupby(rows, key=itemgetter(0)):
        heading = sections[i].heading
        lines += [heading] if heading else []
        lines += [line for _, _, text in answers for line in text.split("\n")]
    return lines


_PARTITION_OF = """
SELECT 'Partition of: ' || i.inhparent::pg_catalog.regclass || ' '
  || COALESCE(pg_catalog.pg_get_expr(c.relpartbound, c.oid), '')
  || CASE WHEN (pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::pg_catalog.bool THEN ' DETACH PENDING' ELSE '' END
  || CASE WHEN NOT %(verbose)s THEN ''
          ELSE E'\\n' || COALESCE('Partition constraint: ' || pg_catalog.pg_get_partition_constraintdef(c.oid),
                                  'No partition constraint') END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
WHERE c.oid = %(oid)s AND c.relispartition
"""
_INDEX = """
SELECT CASE WHEN i.indisprimary THEN 'primary key, '
            WHEN i.indisunique AND (pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool
              THEN 'unique nulls not distinct, '
            WHEN i.indisunique THEN 'unique, ' ELSE '' END
  || am.amname || ', for table "' || n.nspname || '.' || t.relname || '"'
  || COALESCE(', predicate (' || pg_catalog.pg_get_expr(i.indpred, i.indrelid, true) || ')', '')
  || CASE WHEN i.indisclustered THEN ', clustered' ELSE '' END
  || CASE WHEN NOT i.indisvalid THEN ', invalid' ELSE '' END
  || CASE WHEN con.condeferrable THEN ', deferrable' ELSE '' END
  || CASE WHEN con.condeferred THEN ', initially deferred' ELSE '' END
  || CASE WHEN i.indisreplident THEN ', replica identity' ELSE '' END
FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am am ON am.oid = c.relam
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN pg_catalog.pg_constraint con
    ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x')
WHERE i.indexrelid = %(oid)s
"""
_SEQUENCE_OF = """
SELECT CASE d.deptype WHEN 'i' THEN 'Sequence for identity column: ' ELSE 'Owned by: ' END
  || pg_catalog.format('%%I.%%I.%%I', n.nspname, c.relname, a.attname)
FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid
  AND d.objid = %(oid)s AND d.objsubid = 0 AND d.deptype IN ('a', 'i')
"""
_INDEXES = """
SELECT '    "' || c.relname || '"'
  || CASE WHEN con.contype = 'x' OR pg_catalog.pg_get_constraintdef(con.oid, true) LIKE '%%WITHOUT OVERLAPS)'
       THEN ' ' || pg_catalog.pg_get_constraintdef(con.oid, true)
     ELSE CASE WHEN i.indisprimary THEN ' PRIMARY KEY,' WHEN con.contype = 'u' THEN ' UNIQUE CONSTRAINT,'
               WHEN i.indisunique THEN ' UNIQUE,' ELSE '' END
       || ' ' || pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), '^.*? USING ', '')
       || CASE WHEN con.condeferrable THEN ' DEFERRABLE' ELSE '' END
       || CASE WHEN con.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END END
  || CASE WHEN i.indisclustered THEN ' CLUSTER' ELSE '' END
  || CASE WHEN NOT i.indisvalid THEN ' INVALID' ELSE '' END
  || CASE WHEN i.indisreplident THEN ' REPLICA IDENTITY' ELSE '' END
  || COALESCE(', tablespace "' || s.spcname || '"', '')
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
  LEFT JOIN pg_catalog.pg_constraint con
    ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x')
WHERE i.indrelid = %(oid)s ORDER BY i.indisprimary DESC, c.relname
"""
_CHECKS = """
SELECT '    "' || conname || '" ' || pg_catalog.pg_get_constraintdef(oid, true)
FROM pg_catalog.pg_constraint WHERE conrelid = %(oid)s AND contype = 'c' ORDER BY conname
"""
# A foreign key of a partitioned table holds for its partitions too.
_WITH_ANCESTORS = """
(SELECT %(oid)s::pg_catalog.oid
 UNION SELECT relid FROM pg_catalog.pg_partition_ancestors(%(oid)s::pg_catalog.oid::pg_catalog.regclass))
"""
_FOREIGN_KEYS = f"""
SELECT '    ' || CASE WHEN conrelid = %(oid)s THEN ''
                      ELSE 'TABLE "' || conrelid::pg_catalog.regclass || '" CONSTRAINT ' END
  || '"' || conname || '" ' || pg_catalog.pg_get_constraintdef(oid, true)
FROM pg_catalog.pg_constraint
WHERE conrelid IN {_WITH_ANCESTORS} AND contype = 'f' AND conparentid = 0 ORDER BY conrelid = %(oid)s DESC, conname
"""  # noqa: S608 - both parts stand above
_REFERENCES = f"""
SELECT '    TABLE "' || conrelid::pg_catalog.regclass || '" CONSTRAINT "' || conname || '" '
  || pg_catalog.pg_get_constraintdef(oid, true)
FROM pg_catalog.pg_constraint
WHERE confrelid IN {_WITH_ANCESTORS} AND contype = 'f' AND conparentid = 0 ORDER BY conname
"""  # noqa: S608 - the same
_POLICIES = """
SELECT 'Policies'
  || CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN ' (forced row security enabled)'
          WHEN c.relrowsecurity AND pol.list IS NULL THEN ' (row security enabled)'
          WHEN c.relrowsecurity THEN '' ELSE ' (row security disabled)' END
  || ':' || COALESCE(pol.list, ' (none)')
FROM pg_catalog.pg_class c, (
  SELECT pg_catalog.string_agg(
      E'\\n    POLICY "' || p.polname || '"'
      || CASE WHEN p.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
      || CASE p.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN 'w' THEN ' FOR UPDATE'
                       WHEN 'd' THEN ' FOR DELETE' ELSE '' END
      || COALESCE(E'\\n      TO ' || (SELECT pg_catalog.string_agg(r.rolname, ',' ORDER BY r.rolname)
                                   FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)), '')
      || COALESCE(E'\\n      USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
      || COALESCE(E'\\n      WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''),
      '' ORDER BY p.polname) AS list
  FROM pg_catalog.pg_policy p WHERE p.polrelid = %(oid)s) pol
WHERE c.oid = %(oid)s AND (c.relrowsecurity OR pol.list IS NOT NULL)
"""
_STATISTICS = """
SELECT '    "' || n.nspname || '.' || s.stxname || '"'
  || CASE WHEN s.stxkind && ARRAY['d', 'f', 'm']::"char"[] AND NOT s.stxkind @> ARRAY['d', 'f', 'm']::"char"[]
       THEN ' (' || pg_catalog.concat_ws(', ', CASE WHEN 'd' = ANY (s.stxkind) THEN 'ndistinct' END,
         CASE WHEN 'f' = ANY (s.stxkind) THEN 'dependencies' END, CASE WHEN 'm' = ANY (s.stxkind) THEN 'mcv' END) || ')'
       ELSE '' END
  || ' ON ' || pg_catalog.pg_get_statisticsobjdef_columns(s.oid) || ' FROM ' || s.stxrelid::pg_catalog.regclass
  || COALESCE('; STATISTICS ' || NULLIF(s.stxstattarget, -1), '')
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE s.stxrelid = %(oid)s ORDER BY n.nspname, s.stxname
"""
_PUBLICATIONS = """
SELECT '    "' || p.pubname || '"' || COALESCE(' (' || (
      SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')', '')
    || COALESCE(' WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid), '')
FROM pg_catalog.pg_publication p
  LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = %(oid)s
WHERE r.oid IS NOT NULL OR pg_catalog.pg_relation_is_publishable(%(oid)s::pg_catalog.oid::pg_catalog.regclass) AND (
  p.puballtables OR EXISTS (
    SELECT FROM pg_catalog.pg_publication_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.pnnspid
    WHERE n.pnpubid = p.oid AND c.oid = %(oid)s))
ORDER BY p.pubname
"""
_NOT_NULLS = """
SELECT '    "' || con.conname || '" NOT NULL "' || a.attname || '"'
  || CASE WHEN con.connoinherit THEN ' NO INHERIT'
          WHEN con.conislocal AND con.coninhcount > 0 THEN ' (local, inherited)'
          WHEN con.coninhcount > 0 THEN ' (inherited)' ELSE '' END
  || CASE WHEN con.convalidated THEN '' ELSE ' NOT VALID' END
FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
WHERE con.conrelid = %(oid)s AND con.contype = 'n' ORDER BY a.attnum
"""
_SERVER = """
SELECT 'Server: ' || s.srvname || COALESCE(E'\\nFDW options: (' || (
    SELECT pg_catalog.string_agg(pg_catalog.format('%%I %%L', o.option_name, o.option_value), ', ')
    FROM pg_catalog.pg_options_to_table(f.ftoptions) o) || ')', '')
FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = %(oid)s
"""
_INHERITS = """
SELECT 'Inherits: ' || pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, E',\\n          '
                                             ORDER BY i.inhseqno)
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
WHERE i.inhrelid = %(oid)s AND c.relkind NOT IN ('p', 'I')
"""
_TYPED = """
SELECT 'Typed table of type: ' || reloftype::pg_catalog.regtype
FROM pg_catalog.pg_class WHERE oid = %(oid)s AND reloftype <> 0
"""
_REPLICA_IDENTITY = """
SELECT 'Replica Identity: ' || CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'DEFAULT' END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = %(oid)s AND c.relreplident NOT IN ('i', CASE n.nspname WHEN 'pg_catalog' THEN 'n' ELSE 'd' END)
"""
_TABLESPACE = """
SELECT 'Tablespace: "' || s.spcname || '"'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = %(oid)s
"""
_ACCESS_METHOD = """
SELECT 'Access method: ' || am.amname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.oid = %(oid)s
"""
_OPTIONS = """
SELECT 'Options: ' || pg_catalog.array_to_string(c.reloptions || ARRAY(
    SELECT 'toast.' || x FROM pg_catalog.unnest(t.reloptions) x), ', ')
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = %(oid)s AND (c.reloptions IS NOT NULL OR t.reloptions IS NOT NULL)
"""
_TOAST_OF = """
SELECT 'Owning table: "' || n.nspname || '.' || c.relname || '"'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.reltoastrelid = %(oid)s
"""


def _rules(heading: str, enabled: str) -> Section:
    sql = f"""
    SELECT '    ' || pg_catalog.substr(pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid, true), ';'), 13)
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = %(oid)s AND r.ev_enabled = '{enabled}' ORDER BY r.rulename
    """  # noqa: S608 - one letter of those below
    return Section("rpf", heading, sql)


def _triggers(heading: str, condition: str) -> Section:
    sql = f"""
    SELECT '    ' || pg_catalog.regexp_replace(pg_catalog.pg_get_triggerdef(t.oid, true), '^.*? TRIGGER ', '')
      || COALESCE((SELECT ', ON TABLE ' || parent.tgrelid::pg_catalog.regclass
                   FROM pg_catalog.pg_trigger parent WHERE parent.oid = t.tgparentid), '')
    FROM pg_catalog.pg_trigger t WHERE t.tgrelid = %(oid)s AND {condition} ORDER BY t.tgname
    """  # noqa: S608 - one of the conditions below
    return Section("rpvmf", heading, sql)


def _children(kinds: str, what: str, label: str) -> Section:
    r"""How many partitions or children there are, with `\d+` which; that there are none is said of partitions only."""
    is_partitioned = "true" if kinds == "pI" else "false"
    sql = f"""
    SELECT CASE WHEN pg_catalog.count(*) = 0 THEN 'Number of {what}: 0'
      WHEN NOT %(verbose)s THEN 'Number of {what}: ' || pg_catalog.count(*) || E' (Use \\\\d+ to list them.)'
      ELSE '{label}: ' || pg_catalog.string_agg(
        c.oid::pg_catalog.regclass || COALESCE(' ' || pg_catalog.pg_get_expr(c.relpartbound, c.oid), '')
        || CASE WHEN NOT {is_partitioned} THEN '' WHEN c.relkind IN ('p', 'I') THEN ', PARTITIONED'
                WHEN c.relkind = 'f' THEN ', FOREIGN' ELSE '' END
        || CASE WHEN (pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::pg_catalog.bool THEN ' (DETACH PENDING)'
                ELSE '' END,
        E',\\n{" " * len(label)}  '
        ORDER BY pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', c.oid::pg_catalog.regclass::pg_catalog.text)
      END
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = %(oid)s HAVING {is_partitioned} OR pg_catalog.count(*) > 0
    """  # noqa: S608 - words of the calls below
    return Section(kinds, "", sql)


SECTIONS = (
    Section("rpfiI", "", _PARTITION_OF),
    Section("p", "", "SELECT 'Partition key: ' || pg_catalog.pg_get_partkeydef(%(oid)s)"),
    Section("iI", "", _INDEX),
    Section("S", "", _SEQUENCE_OF),
    Section("t", "", _TOAST_OF),
    Section("rpmt", "Indexes:", _INDEXES),
    Section("rpf", "Check constraints:", _CHECKS),
    Section("rpf", "Foreign-key constraints:", _FOREIGN_KEYS),
    Section("rp", "Referenced by:", _REFERENCES),
    Section("rpf", "", _POLICIES),
    Section("rpmf", "Statistics objects:", _STATISTICS),
    _rules("Rules:", "O"),
    _rules("Disabled rules:", "D"),
    _rules("Rules firing always:", "A"),
    _rules("Rules firing on replica only:", "R"),
    Section("rp", "Publications:", _PUBLICATIONS, since=SINCE_15),
    Section("rpf", "Not-null constraints:", _NOT_NULLS, verbose=True, since=SINCE_18),
    Section("vm", "View definition:", "SELECT pg_catalog.pg_get_viewdef(%(oid)s::pg_catalog.oid, true)", verbose=True),
    Section(
        "v",
        "Rules:",
        """SELECT ' ' || pg_catalog.substr(pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid, true), ';'), 13)
        FROM pg_catalog.pg_rewrite r WHERE r.ev_class = %(oid)s AND r.rulename <> '_RETURN' ORDER BY r.rulename""",
        verbose=True,
    ),
    _triggers("Triggers:", "t.tgenabled = 'O' AND NOT t.tgisinternal"),
    _triggers("Disabled user triggers:", "t.tgenabled = 'D' AND NOT t.tgisinternal"),
    _triggers("Disabled internal triggers:", "t.tgenabled = 'D' AND t.tgisinternal"),
    _triggers("Triggers firing always:", "t.tgenabled = 'A' AND NOT t.tgisinternal"),
    _triggers("Triggers firing on replica only:", "t.tgenabled = 'R' AND NOT t.tgisinternal"),
    Section("f", "", _SERVER),
    Section("rpf", "", _INHERITS),
    _children("pI", "partitions", "Partitions"),
    _children("rmf", "child tables", "Child tables"),
    Section("rp", "", _TYPED),
    Section("rpm", "", _REPLICA_IDENTITY, verbose=True),
    Section("rpmtiI", "", _TABLESPACE),
    Section("rpmtI", "", _ACCESS_METHOD, verbose=True),
    Section("rpmtfviI", "", _OPTIONS, verbose=True),
)
"""In psql's order."""
