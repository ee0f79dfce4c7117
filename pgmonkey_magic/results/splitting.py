"""Whether a query can be read in parts, over several sessions, and give the same rows in the same order.

The text must be of the plainest shape (sql/one_table.py), and then the server is asked, never guessed at:

* `debug_parallel_query` puts a Gather on top of a plan exactly where all of the query may run in another process: no
  temporary table, no lock on rows, no function that is not PARALLEL SAFE.
* Below it the plan must be the sequential scan of one table, or of its partitions: no aggregate, no sort, no limit, no
  subquery, and nothing that an index finds faster.
* The plan of a part must be the scan of a range of blocks with the same output and the same filter as the whole, so
  that the part means what the text means.

A parallel worker of the server has the time of its leader; another session has a time of its own. So nothing may ask
for the time of the transaction. All parts see one snapshot (PostgreSQL's documentation, "Snapshot Synchronization
Functions"). No row of it lies behind the blocks that the table has now, and VACUUM FULL and the like, which would move
rows, wait for the end of the transaction that has asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql as quoting

from pgmonkey_magic.results import parts
from pgmonkey_magic.results.describe import copy_statement
from pgmonkey_magic.results.fast import asked
from pgmonkey_magic.results.parts import Unsplit
from pgmonkey_magic.results.plan import read_plans
from pgmonkey_magic.results.wire import query
from pgmonkey_magic.sql import one_table, quoted, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

    from pgmonkey_magic.results.describe import Description
    from pgmonkey_magic.results.fast import Source
    from pgmonkey_magic.results.frame import Connection
    from pgmonkey_magic.results.parts import Scan
    from pgmonkey_magic.results.plan import PlanNode
    from pgmonkey_magic.results.wire import Parameters
    from pgmonkey_magic.sql import OneTable

LOCK_TIMEOUT_MS = 250
"""How long another session waits for a lock on a table. VACUUM FULL may be waiting for the first session's lock, and
would keep out who comes later, for whom the first session waits."""
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
ONE_PROCESS = "SET LOCAL max_parallel_workers_per_gather = 0"
SETTINGS = (
    "SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat(name, '=', setting), ',' ORDER BY name)) "
    "FROM pg_catalog.pg_settings WHERE context IN ('user', 'superuser')"
)
"""What a session has set, in one word: a time zone, say, shows in the values."""
RENAMED = 160000
"""Since PostgreSQL 16 force_parallel_mode is called debug_parallel_query."""
UNSTEADY = """
SELECT DISTINCT proname FROM pg_catalog.pg_proc
WHERE proname OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.name[]) AND provolatile OPERATOR(pg_catalog.<>) 'i'
AND (pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace
     OR proname IN ('now', 'statement_timestamp', 'transaction_timestamp'))
LIMIT 1"""
"""Of PostgreSQL's own functions, those that ask for the time of the transaction; what others do nobody knows."""
SIZES = """
SELECT pg_catalog.pg_relation_size(one::pg_catalog.regclass), pg_catalog.pg_table_size(one::pg_catalog.regclass),
       pg_catalog.current_setting('block_size')
FROM pg_catalog.unnest({}::pg_catalog.text[]) WITH ORDINALITY AS _(one, place) ORDER BY place"""


@dataclass(frozen=True, slots=True)
class Split:
    """A query in parts, whose columns are described.

    `copies` are the COPY commands of the parts in the order of their rows. `joining` begins a transaction of another
    session that sees the same, and then asks for what must be `settings` there too.
    """

    description: Description
    copies: tuple[bytes, ...]
    joining: bytes
    settings: bytes


def split_query(conn: Connection, sql: str, parameters: Parameters | None, opening: str) -> PQGen[Split]:
    """Begin the transaction whose snapshot all parts will see, with what *opening* sets in it, and split one query.

    Raises Unsplit, after which that transaction is to be rolled back: also for an error in the query, of which will
    hear who runs it as it is. Raises psycopg.Error where the server is lost, or was asked to cancel.
    """
    settings = [command.text.strip() for command in split(opening) if command.words[:1] == ("set",)]
    # Silent: whatever is said of the text will be said again by whoever runs it.
    tell, conn.pgconn.notice_handler = conn.pgconn.notice_handler, None
    try:
        return (yield from _split(conn, sql, parameters, settings))
    except psycopg.Error as error:
        # Syntax and access, what is not supported, values: something is wrong with the question, not with the server.
        if (error.sqlstate or "")[:2] in ("42", "0A", "22"):
            raise Unsplit(error.diag.message_primary or str(error)) from error
        raise
    finally:
        conn.pgconn.notice_handler = tell


def _split(conn: Connection, sql: str, parameters: Parameters | None, settings: Sequence[str]) -> PQGen[Split]:
    source = yield from asked(conn, sql, parameters, "; ".join((BEGIN, *settings)))
    shape = source and one_table(source.text)
    if source is None or shape is None:
        raise Unsplit("only SELECT … FROM one table [WHERE …] can be split")
    parts.refuse_moments(source.text)
    forced = "debug_parallel_query" if conn.info.server_version >= RENAMED else "force_parallel_mode"
    has_set, plan = yield from _ask(
        conn,
        SETTINGS,
        "SET LOCAL max_parallel_workers_per_gather = 2",
        "SET LOCAL parallel_setup_cost = 1e10",  # so that no Gather is there but the forced one
        f"SET LOCAL {forced} = on",
        _explain(source.text),
    )
    scans = parts.scans_of(_root(conn, plan))
    sizes = yield from _sizes(conn, scans)
    yield from _ask(conn, f"SET LOCAL {forced} = off", ONE_PROCESS)
    texts = yield from _checked(conn, shape, scans, sizes)
    (snapshot,) = yield from _ask(conn, "SELECT pg_catalog.pg_export_snapshot()")
    joining = (
        f"{BEGIN}; SET TRANSACTION SNAPSHOT '{_value(snapshot)}'; {'; '.join((*settings, SETTINGS))}; {ONE_PROCESS}; "
        f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"
    )
    return Split(source.description, _copies(conn, source, texts), joining.encode(), _value(has_set).encode())


def _copies(conn: Connection, source: Source, texts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(copy_statement(text.encode(conn.info.encoding), source.description)[0] for text in texts)


def _sizes(conn: Connection, scans: Sequence[Scan]) -> PQGen[list[tuple[int, int]]]:
    """Return each table's blocks, and its bytes with TOAST. Raises Unsplit for what is another in each session."""
    called = parts.functions(scans)
    tables = [f"{quoted(scan.schema)}.{quoted(scan.table)}" for scan in scans]
    asking = [
        text.format(quoting.Literal(names).as_string(conn)) for text, names in ((UNSTEADY, called), (SIZES, tables))
    ]
    unsteady, found = yield from _ask(conn, *asking)
    if unsteady.ntuples:
        raise Unsplit(f"{_value(unsteady)}() may be another in each session")
    rows = [[int(found.get_value(row, column) or 0) for column in range(3)] for row in range(found.ntuples)]
    parts.check_size(scans, sum(nbytes for _, nbytes, _ in rows))
    return [(main // block, nbytes) for main, nbytes, block in rows]


def _checked(
    conn: Connection, shape: OneTable, scans: Sequence[Scan], sizes: Sequence[tuple[int, int]]
) -> PQGen[list[str]]:
    """Return the texts of the parts, of which the server has planned one of each table."""
    ranges = parts.parts_of(sizes)
    texts = [shape.over(scans[of].schema, scans[of].table, first, end) for of, first, end in ranges]
    samples = {of: (text, bool(first or end)) for text, (of, first, end) in zip(texts, ranges, strict=True)}
    plans = yield from _ask(conn, *(_explain(text) for text, _ in samples.values()))
    for (of, (_, is_range)), plan in zip(samples.items(), plans, strict=True):
        parts.check_part(_root(conn, plan), scans[of], shape, is_range=is_range)
    return texts


def _ask(conn: Connection, *statements: str) -> PQGen[list[PGresult]]:
    """Return the answers of those statements that return rows."""
    answer = yield from query(conn.pgconn, ";\n".join(statements).encode(conn.info.encoding))
    return [result for result in answer.results if result.nfields]


def _explain(statement: str) -> str:
    return f"EXPLAIN (FORMAT JSON, VERBOSE) {statement}\n"


def _root(conn: Connection, result: PGresult) -> PlanNode:
    (plan,) = read_plans((result.get_value(0, 0) or b"[]").decode(conn.info.encoding))
    return plan.root


def _value(result: PGresult) -> str:
    return (result.get_value(0, 0) or b"").decode()
