"""`--parallel`: the same rows in the same order as over one connection, whoever writes meanwhile; and what fails."""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psycopg
import pytest
from fix_pgbouncer import Bouncer
from fix_pools import Kind, in_threads, run_borrow, until
from fix_server import Server

from pgmonkey_magic import PGConnectionManager, SQLError
from pgmonkey_magic.cells import AsItIs, Cancelled, Job, Parallel, Request, Result, Way
from pgmonkey_magic.pools import Holder
from pgmonkey_magic.results import Output, parts

SIZE = 4
"""Connections of the pool."""
LATE = f"parallel 1 of {SIZE}: the others came too late to help"
SPLIT = {LATE, *(f"parallel {n} of {SIZE}" for n in range(2, SIZE + 1))}
"""Whoever comes first takes most of a small table."""
SLOW = "SELECT id FROM {} WHERE pg_sleep(0.002) IS NOT NULL"
"""Two milliseconds a row; a part of the table below has hundreds."""
SOME_SLOW = SLOW.replace("0.002", "CASE WHEN id % 10 = 1 THEN 0.002 ELSE 0 END")

started: list[Job] = []


@pytest.fixture(autouse=True)
def ended_jobs() -> Iterator[None]:
    """Whatever a test has begun ends with it, also where it fails."""
    yield
    while started:
        started.pop().cancel()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split what is small, so that small tables have many parts."""
    monkeypatch.setattr(parts, "LEAST_BYTES", 0)
    monkeypatch.setattr(parts, "LEAST_ROW_BYTES", 0)
    monkeypatch.setattr(parts, "PART_BYTES", 4 * 8192)


@pytest.fixture
def pool(kind: Kind, server: Server) -> Any:
    """A pool with idle connections and nothing in the server that would mix up the order of one connection's rows."""
    ordered = {"synchronize_seqscans": "off", "max_parallel_workers_per_gather": "0"}
    name = f"parallel-{uuid.uuid4().hex[:8]}"
    config = {**server.config(application_name=name), "sync_settings": ordered, "async_settings": ordered}
    pool = kind.open(config, min_size=SIZE, max_size=SIZE, timeout=5)
    until(lambda: pool.occupancy.idle == SIZE)
    return pool


@pytest.fixture(scope="module")
def big(server: Server) -> Iterator[str]:
    """A table with holes: a third of its rows are dead, and some blocks are empty."""
    name = f"big_{uuid.uuid4().hex[:8]}"
    server.query(
        f"CREATE TABLE {name} AS SELECT i AS id, 'row ' || i AS t, CASE WHEN i % 5 > 0 THEN i / 7.0 END AS q "
        "FROM generate_series(1, 20000) i"
    )
    server.query(f"DELETE FROM {name} WHERE id % 3 = 0 OR id BETWEEN 4000 AND 6000")
    server.query(f"ANALYZE {name}")
    yield name
    server.query(f"DROP TABLE {name}")


def cell(pool: Any, sql: str, way: Way | None = None, **more: Any) -> Result:
    return Job.start(Request(sql, way=way or AsItIs(), **more), pool, "test").outcome(60)


def job(pool: Any, sql: str, connections: int = SIZE) -> Job:
    started.append(Job.start(Request(sql, way=Parallel(connections)), pool, "test"))
    return started[-1]


def note(result: Result) -> str:
    (found,) = [note for note in result.notes if note.startswith("parallel")]
    return found


def same(pool: Any, sql: str, output: Output | None = None, **more: Any) -> str:
    """Compare with one connection, and return what the footer says."""
    output = output or Output()
    one, several = cell(pool, sql, AsItIs(output), **more), cell(pool, sql, Parallel(SIZE, output), **more)
    match output.kind:
        case "df":
            pd.testing.assert_frame_equal(several.value, one.value, check_flags=False)
            assert several.value.attrs["pgmonkey"]["rows"] == len(one.value)
        case "arrow":
            assert several.value.schema == one.value.schema
            assert repr(several.value.to_pylist()) == repr(one.value.to_pylist())
        case "polars":
            assert several.value.equals(one.value)
        case _:
            assert repr(several.value) == repr(one.value)
    assert [n for n in several.notes if not n.startswith("parallel")] == list(one.notes)
    assert several.sets.tags == one.sets.tags
    return note(several)


def all_are_back(kind: Kind, pool: Any) -> None:
    """Borrow all connections at once."""
    barrier = threading.Barrier(SIZE)

    def borrow(_: int) -> None:
        with kind.block(pool) as block:
            barrier.wait(20)
            assert block.execute("SELECT count(*) FROM pg_class")[0][0] > 0
            barrier.wait(20)

    in_threads(SIZE, borrow)
    assert pool.occupancy.in_use == 0
    assert pool.occupancy.size == SIZE


# -- the same as over one connection ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {}",
        "TABLE {}",
        "SELECT t, id + 1 AS next FROM ONLY {} AS x WHERE x.id % 2 = 0 OR t LIKE '%7' -- every other",
        "SELECT ctid, x FROM {} x",
        "SELECT id FROM {} WHERE q IS NULL",
        "SELECT id, upper(t), round(q, 2), to_char(q, '999.9') FROM {}",
        "SELECT id FROM {} WHERE id < 0",
    ],
)
def test_the_same_rows_in_the_same_order(pool: Any, big: str, sql: str) -> None:
    assert same(pool, sql.format(big)) in SPLIT


def test_over_every_connection_and_in_many_parts(pool: Any, big: str, kind: Kind) -> None:
    assert (
        same(pool, f"SELECT id, CASE WHEN id % 10 = 1 THEN pg_sleep(0.001)::text END FROM {big}")
        == f"parallel {SIZE} of {SIZE}"
    )
    all_are_back(kind, pool)


TYPES = """
    i AS id, CASE WHEN i % 7 > 0 THEN i::int2 END AS a, i::int8 * 1000003 AS b, i::oid AS c, i::float4 / 3 AS d,
    CASE WHEN i % 11 > 0 THEN i::float8 / 7 ELSE 'NaN' END AS e, CASE WHEN i % 4 > 0 THEN i % 2 = 0 END AS f,
    (i * 7.25)::numeric(12, 2) AS g, CASE WHEN i = {one} THEN '1e400' ELSE i / 13.0 END AS h,
    repeat('é€', i % 9) AS i, md5(i::text)::uuid AS j, decode(md5(i::text), 'hex') AS k,
    CASE WHEN i = {one} THEN date 'infinity' ELSE date '2020-01-01' + i % 3000 END AS l,
    CASE WHEN i = {one} THEN timestamp '12000-01-01' ELSE timestamp '2020-01-01' + i * interval '1 min' END AS m,
    timestamptz '2020-01-01' + i * interval '1 hour' AS n,
    CASE WHEN i = {one} THEN interval '1 month' ELSE i * interval '1 second' END AS o,
    time '00:00' + i * interval '1 second' AS p, jsonb_build_object('i', i, 'l', ARRAY[i, NULL]) AS q,
    ARRAY[i, NULL, i + 1] AS r, int4range(i, i + 5) AS s, point(i, -i) AS t, (i % 256)::text::inet AS u,
    ROW(i, 'x')::text AS v, i::bit(16) AS w, i::text::char(6) AS x, NULL::text AS y, i::money AS z
"""


@pytest.mark.parametrize(
    "output",
    [
        Output(),
        Output(dtypes="pyarrow"),
        Output(dtypes="numpy"),
        Output(decimals="exact"),
        Output(kind="arrow"),
        Output(kind="dicts"),
        Output(kind="polars"),
    ],
    ids=repr,
)
def test_types_of_all_kinds(pool: Any, server: Server, output: Output) -> None:
    types = TYPES.format(one=2500).replace("(i % 256)::text::inet", "('10.0.0.' || i % 256)::inet")
    server.query(
        f"DROP TABLE IF EXISTS of_types; CREATE TABLE of_types AS SELECT {types} FROM generate_series(1, 4000) i"
    )
    assert same(pool, "SELECT * FROM of_types", output) in SPLIT
    server.query("DROP TABLE of_types")


@pytest.mark.parametrize("rows", [0, 1, 100, 500])
def test_small_tables(pool: Any, server: Server, table: str, rows: int) -> None:
    server.query(f"INSERT INTO {table} SELECT generate_series(1, {rows})")
    assert same(pool, f"TABLE {table}") == f"parallel 1 of {SIZE}: all of it is one part"


def test_names_in_quotes_and_schemas(pool: Any, server: Server) -> None:
    server.query('CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."T a.b" ("from" int, "ctid " text)')
    server.query('INSERT INTO "Odd ""one"."T a.b" SELECT i, $$x"$$ FROM generate_series(1, 5000) i')
    try:
        for sql in (
            'SELECT * FROM "Odd ""one"."T a.b"',
            'SELECT "T a.b"."from" AS from, "ctid " FROM "Odd ""one"."T a.b" WHERE "from" > 7',
            'SELECT "Odd ""one"."T a.b"."from" FROM "Odd ""one"."T a.b"',
            'SELECT "X".from FROM "Odd ""one"."T a.b" AS "X" WHERE "X".from > 7',
        ):
            assert same(pool, sql) in SPLIT, sql
    finally:
        server.query('DROP SCHEMA "Odd ""one" CASCADE')


def test_parameters(pool: Any, big: str) -> None:
    values = {"ids": list(range(1, 9000, 7)), "like": "row 1%'", "none": None}
    sql = f"SELECT id, t, :like AS said FROM {big} WHERE id = ANY(:ids) AND t <> :like AND :none::int IS NULL"
    assert same(pool, sql, values=values) in SPLIT


@pytest.fixture
def tree(server: Server) -> Iterator[str]:
    """A partitioned table, of whose partitions one is partitioned, one is empty and one has its columns in disorder."""
    server.query(
        "CREATE TABLE tree (k int, id int, t text) PARTITION BY LIST (k);"
        "CREATE TABLE tree_3 PARTITION OF tree FOR VALUES IN (3);"
        "CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1) PARTITION BY RANGE (id);"
        "CREATE TABLE tree_1b PARTITION OF tree_1 FOR VALUES FROM (5000) TO (100000);"
        "CREATE TABLE tree_1a PARTITION OF tree_1 FOR VALUES FROM (0) TO (5000);"
        "CREATE TABLE tree_0 PARTITION OF tree FOR VALUES IN (0);"
        "CREATE TABLE tree_9 PARTITION OF tree DEFAULT;"
        "INSERT INTO tree SELECT i % 4, i, 'row ' || i FROM generate_series(1, 12000) i WHERE i % 4 > 0;"
    )
    yield "tree"
    server.query("DROP TABLE tree")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM tree",
        "SELECT tableoid::regclass, id + 1, t || k FROM tree WHERE id % 3 > 0",
        "SELECT t FROM tree AS x WHERE x.k > 1",
        "TABLE tree",
    ],
)
def test_a_partitioned_table(pool: Any, tree: str, sql: str) -> None:
    assert same(pool, sql.replace("tree", tree)) in SPLIT


def test_partitions_that_differ_from_their_table(pool: Any, tree: str, server: Server) -> None:
    server.query("CREATE TABLE tree_2 (t text, gone int, id int, k int); ALTER TABLE tree_2 DROP gone")
    server.query("INSERT INTO tree_2 SELECT 'row ' || i, i, 2 FROM generate_series(1, 5000) i")
    server.query(f"DELETE FROM {tree} WHERE k = 2; ALTER TABLE {tree} ATTACH PARTITION tree_2 FOR VALUES IN (2)")
    assert "would mean something else" in same(pool, "SELECT * FROM tree")
    assert same(pool, "SELECT id, t FROM tree") in SPLIT
    assert same(pool, "SELECT tree FROM tree").startswith("parallel 1 of")


def test_inherited_tables(pool: Any, server: Server) -> None:
    server.query("CREATE TABLE mother AS SELECT i AS a, 'x' AS b FROM generate_series(1, 4000) i")
    server.query("CREATE TABLE child (c int) INHERITS (mother)")
    server.query("INSERT INTO child SELECT -i, 'y', 1 FROM generate_series(1, 4000) i")
    try:
        assert same(pool, "SELECT a, b FROM mother") in SPLIT
        assert "would mean something else" in same(pool, "SELECT * FROM mother")
        assert same(pool, "SELECT * FROM ONLY mother") in SPLIT
        same(pool, "SELECT a + 1 FROM mother")
        same(pool, "SELECT mother FROM mother")
    finally:
        server.query("DROP TABLE mother CASCADE")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT FROM {}", "only SELECT"),
        ("SELECT count(*) FROM {}", "Aggregate"),
        ("SELECT id, row_number() OVER () FROM {}", "another process"),
        ("SELECT id, generate_series(1, 2) FROM {}", "ProjectSet"),
        ("SELECT id, (SELECT max(id) FROM {0}) FROM {0}", "Aggregate|Seq Scan|Result"),
        ("SELECT id FROM {} WHERE false", "Result"),
        ("SELECT id, random() > 2 AS never FROM {}", "another process"),
        ("SELECT id FROM {} x WHERE EXISTS (SELECT FROM pg_class WHERE oid = x.id)", "another process|Join"),
        ("SELECT id FROM {} ORDER BY id", "only SELECT"),
        ("SELECT DISTINCT id % 3 AS n FROM {} ORDER BY 1", "only SELECT"),
        ("SELECT id FROM {} LIMIT 1000", "only SELECT"),
        ("WITH w AS (SELECT id FROM {}) SELECT * FROM w", "only SELECT"),
        ("SELECT a.id FROM {0} a JOIN {0} b USING (id) ORDER BY 1", "only SELECT"),
        ("SELECT id FROM {} FOR SHARE", "only SELECT"),
        ("SELECT id, now() > '2000-01-01' AS later FROM {}", r"now\(\) may be another"),
        ("SELECT id, current_date > '2000-01-01' AS later FROM {}", "CURRENT_DATE is another"),
        ("SELECT id, 'today'::date > '2000-01-01' AS later FROM {}", "another moment"),
        ("SELECT i FROM generate_series(1, 3) i", "only SELECT"),
        ("SELECT relname FROM pg_stat_user_tables WHERE relname = 'none'", "plan has|another process"),
        ("SELECT 1 AS n", "only SELECT"),
    ],
)
def test_what_cannot_be_split_comes_over_one_connection(pool: Any, big: str, sql: str, reason: str) -> None:
    said = same(pool, sql.format(big))
    assert said.startswith(f"parallel 1 of {SIZE}: ")
    assert pool.occupancy.in_use == 0
    assert re.search(reason, said), said


def test_views_and_functions_of_ones_own(pool: Any, server: Server, big: str) -> None:
    server.query(
        f"CREATE VIEW whole AS SELECT * FROM {big}; CREATE VIEW swapped AS SELECT id, q::text AS t, t AS q FROM {big};"
        f"CREATE VIEW few AS SELECT * FROM {big} WHERE id > 9; CREATE MATERIALIZED VIEW made AS SELECT * FROM {big};"
        "CREATE FUNCTION plain(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END';"
        "CREATE FUNCTION safe(int) RETURNS int LANGUAGE plpgsql STABLE PARALLEL SAFE AS 'BEGIN RETURN $1; END';"
        "CREATE FUNCTION sure(int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS 'BEGIN RETURN $1; END'"
    )
    try:
        assert same(pool, "SELECT * FROM made") in SPLIT
        assert same(pool, "SELECT * FROM whole") in SPLIT  # nothing but the table, the server says
        assert "would mean something else" in same(pool, "SELECT id, t FROM swapped")
        assert "would mean something else" in same(pool, "SELECT * FROM few")
        assert "may run in another process" in same(pool, f"SELECT plain(id) FROM {big}")
        assert "safe() may be another" in same(pool, f"SELECT safe(id) FROM {big}")
        assert same(pool, f"SELECT sure(id) FROM {big}") in SPLIT
    finally:
        server.query("DROP VIEW whole, swapped, few; DROP MATERIALIZED VIEW made; DROP FUNCTION plain, safe, sure")


def test_what_does_not_pay(pool: Any, big: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert re.fullmatch(r"parallel 1 of 4: .* MB of a table; it pays from \d+ MB on", same(pool, f"TABLE {big}"))


def test_an_index_that_is_faster(pool: Any, server: Server, big: str) -> None:
    server.query(f"CREATE INDEX {big}_id ON {big} (id)")
    assert "plan has" in same(pool, f"SELECT * FROM {big} WHERE id = 7")
    server.query(f"DROP INDEX {big}_id")


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELECT nothing FROM {}", "42703"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT 1/0 FROM {}", "22012"),
        ("SELECT 1 / (id - 9001) FROM {}", "22012"),
        ("SELECT FROM WHERE", "42601"),
    ],
)
def test_errors_are_those_of_one_connection(kind: Kind, pool: Any, big: str, sql: str, sqlstate: str) -> None:
    with pytest.raises(SQLError) as one:
        cell(pool, sql.format(big))
    with pytest.raises(SQLError) as several:
        cell(pool, sql.format(big), Parallel(SIZE))
    assert several.value.sqlstate == one.value.sqlstate == sqlstate
    assert str(several.value) == str(one.value)
    assert several.value.detail == one.value.detail
    all_are_back(kind, pool)


def test_who_may_not_see_it(kind: Kind, server: Server, tree: str, big: str) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    server.query(f"CREATE ROLE {role} LOGIN; GRANT SELECT (id, t) ON {big} TO {role}; GRANT SELECT ON {tree} TO {role}")
    pool = kind.open(server.config(options=f"-c role={role}"), min_size=2, max_size=2)
    until(lambda: pool.occupancy.idle == 2)
    try:
        assert "permission denied" in note(cell(pool, f"SELECT id FROM {big}", Parallel(2)))
        assert "permission denied for table tree_" in note(cell(pool, f"SELECT id FROM {tree}", Parallel(2)))
        with pytest.raises(SQLError, match="permission denied"):
            cell(pool, f"SELECT q FROM {big}", Parallel(2))
    finally:
        PGConnectionManager().clear_cache()
        server.query(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_row_level_security(kind: Kind, server: Server, big: str) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    server.query(
        f"CREATE ROLE {role} LOGIN; CREATE TABLE rls AS SELECT * FROM {big}; GRANT SELECT ON rls TO {role};"
        "ALTER TABLE rls ENABLE ROW LEVEL SECURITY; CREATE POLICY odd ON rls USING (id % 2 = 1)"
    )
    pool = kind.open(server.config(options=f"-c role={role} -c synchronize_seqscans=off"), min_size=2, max_size=2)
    until(lambda: pool.occupancy.idle == 2)
    try:
        found = cell(pool, "SELECT * FROM rls", Parallel(2))
        pd.testing.assert_frame_equal(found.value, cell(pool, "SELECT * FROM rls").value)
        assert set(found.value["id"] % 2) == {1}
    finally:
        PGConnectionManager().clear_cache()
        server.query(f"DROP TABLE rls; DROP OWNED BY {role}; DROP ROLE {role}")


# -- one picture --------------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(server: Server) -> Iterator[str]:
    """A table whose transactions move money, so that its sum and its count never change."""
    name = f"accounts_{uuid.uuid4().hex[:8]}"
    server.query(
        f"CREATE TABLE {name} AS SELECT i AS id, 100 AS money, repeat('x', 50) AS t FROM generate_series(1, 6000) i;"
        f"ALTER TABLE {name} ADD PRIMARY KEY (id)"
    )
    yield name
    server.query(f"DROP TABLE {name}")


def test_one_snapshot_while_others_write(pool: Any, server: Server, accounts: str) -> None:
    stop = threading.Event()
    moved = [0, 0]

    def write(i: int) -> None:
        with psycopg.connect(**server.settings, autocommit=True) as conn:
            while not stop.is_set():
                moved[i] += 1
                a, b = (moved[i] * 7919 * (i + 1)) % 6000 + 1, (moved[i] * 104729) % 6000 + 1
                # The rows move to the end of the table, and into holes; one goes and comes back under its number.
                conn.execute(
                    f"WITH gone AS (DELETE FROM {accounts} WHERE id = {min(a, b)} RETURNING *), "  # type: ignore[arg-type]
                    f"less AS (UPDATE {accounts} SET money = money - 1 WHERE id = {max(a, b)} AND id <> {min(a, b)} "
                    f"AND EXISTS (SELECT FROM gone) RETURNING 1) "
                    f"INSERT INTO {accounts} SELECT id, money + (SELECT count(*) FROM less), t FROM gone"
                )

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        notes = set()
        for _ in range(40):
            result = cell(pool, f"SELECT id, money FROM {accounts}", Parallel(SIZE))
            notes.add(note(result))
            assert sorted(result.value["id"]) == list(range(1, 6001))
            assert result.value["money"].sum() == 600_000
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert min(moved) > 0
    assert notes & (SPLIT - {LATE})


def test_sessions_whose_values_would_look_otherwise_do_not_help(kind: Kind, pool: Any, big: str) -> None:
    # What raw libpq calls set, the pool cannot see: so each connection has a time zone of its own.
    barrier = threading.Barrier(SIZE)

    def set_zone(i: int) -> None:
        with kind.block(pool) as block:
            barrier.wait(20)
            block.conn.pgconn.exec_(f"SET TimeZone = 'Etc/GMT+{i + 1}'".encode())
            barrier.wait(20)

    in_threads(SIZE, set_zone)
    sql = f"SELECT id, (timestamptz '2020-01-01 00:00+00')::text AS at FROM {big}"
    result = cell(pool, sql, Parallel(SIZE))
    assert note(result) == LATE
    assert result.value["at"].nunique() == 1
    all_are_back(kind, pool)


# -- whose connections --------------------------------------------------------------------------------------------


def borrow_some(kind: Kind, pool: Any, count: int, until_set: threading.Event) -> list[threading.Thread]:
    """Have threads hold so many connections until the event is set."""
    held = threading.Barrier(count + 1)

    def hold() -> None:
        with kind.block(pool):
            held.wait(20)
            until_set.wait(60)

    threads = [threading.Thread(target=hold) for _ in range(count)]
    for thread in threads:
        thread.start()
    held.wait(20)
    return threads


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_idle_connections_only(kind: Kind, pool: Any, big: str, taken: int) -> None:
    done = threading.Event()
    threads = borrow_some(kind, pool, taken, done)
    try:
        free = SIZE - taken
        running = job(pool, SOME_SLOW.format(big))
        most = 0
        while not running.wait(0.01):
            most = max(most, pool.occupancy.in_use)
        said = note(running.outcome(60))
        assert most == SIZE
        expected = f"parallel {free} of {SIZE}" if free > 1 else f"parallel 1 of {SIZE}: no other connection is idle"
        assert said == expected
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    all_are_back(kind, pool)


def test_it_does_not_let_the_pool_grow(kind: Kind, server: Server, big: str) -> None:
    pool = kind.open(server.config(application_name="small"), min_size=2, max_size=8)
    until(lambda: pool.occupancy.idle == 2)
    assert note(cell(pool, SOME_SLOW.format(big), Parallel(8))) == "parallel 2 of 8"
    assert pool.occupancy.size == 2


def test_not_behind_pgbouncer(kind: Kind, pgbouncer: Bouncer, big: str) -> None:
    pool = kind.open(pgbouncer.config(), min_size=3, max_size=3)
    until(lambda: pool.occupancy.idle == 3)
    result = cell(pool, f"SELECT id FROM {big}", Parallel(3))
    assert "PgBouncer" in note(result)
    assert len(result.value) > 1000
    PGConnectionManager().clear_cache()


def test_the_holders_are_named(pool: Any, big: str) -> None:
    request = Request(SOME_SLOW.format(big), cell=7, way=Parallel(SIZE))
    running = Job.start(request, pool, "test")
    until(lambda: pool.ledger.in_use == SIZE)
    assert {ticket.holder for ticket in pool.ledger.held()} == {Holder("cell [7]", request.holder.query)}
    running.result(60)


def test_who_waits_for_a_connection_gets_one_of_them(kind: Kind, pool: Any, big: str) -> None:
    running = job(pool, SLOW.format(big).replace("0.002", "CASE WHEN id % 10 = 1 THEN 0.004 ELSE 0 END"))
    until(lambda: pool.ledger.in_use == SIZE)
    began_at = time.monotonic()
    run_borrow(kind, pool, 30)
    waited_s = time.monotonic() - began_at
    assert not running.done(), "too fast to show anything"
    assert pool.ledger.in_use < SIZE
    data = running.outcome(120).value
    assert list(data["id"]) == sorted(data["id"])
    assert waited_s < 0.8 * running.seconds
    all_are_back(kind, pool)


def test_none_are_taken_while_somebody_waits(kind: Kind, pool: Any, big: str) -> None:
    done = threading.Event()
    threads = borrow_some(kind, pool, SIZE, done)
    waiting = threading.Thread(target=run_borrow, args=(kind, pool, 30))
    waiting.start()
    try:
        until(lambda: pool.occupancy.waiting == 1)
        assert pool.borrow_idle(Holder("test"), 3) == []
        assert pool.keeps_waiting or pool.occupancy.waiting
    finally:
        done.set()
        for thread in (*threads, waiting):
            thread.join(20)
    assert not pool.keeps_waiting
    all_are_back(kind, pool)


def test_a_lock_that_somebody_waits_for_keeps_nobody_waiting(
    kind: Kind, pool: Any, server: Server, big: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pgmonkey_magic.pools import Crew

    hire = Crew.hire
    rewriting: list[threading.Thread] = []

    def hire_late(*args: Any) -> int:
        # The first connection has its lock on the table; this waits for it, and who comes later waits for this.
        rewriting.append(threading.Thread(target=server.query, args=(f"VACUUM FULL {big}",)))
        rewriting[0].start()
        until(lambda: server.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        return hire(*args)

    monkeypatch.setattr(Crew, "hire", hire_late)
    result = cell(pool, f"SELECT id FROM {big}", Parallel(SIZE))
    assert note(result) == LATE
    rewriting[0].join(20)
    assert sorted(result.value["id"]) == [n for (n,) in server.query(f"SELECT id FROM {big} ORDER BY 1")]
    all_are_back(kind, pool)


# -- what fails ---------------------------------------------------------------------------------------------------


def running_parts(server: Server, pool: Any) -> list[int]:
    """The server processes that send a part now, the first connection's first."""
    name = pool.config.connection_settings["application_name"]
    return [
        pid
        for (pid,) in server.query(
            f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}' AND state = 'active' "
            "AND query LIKE 'COPY%' ORDER BY xact_start"
        )
    ]


def at_work(server: Server, pool: Any, sql: str) -> Job:
    """Start a slow cell and wait until all work on it."""
    started = job(pool, sql)
    until(lambda: len(running_parts(server, pool)) == SIZE)
    return started


@pytest.mark.parametrize("which", [0, 2], ids=["the first", "another"])
def test_a_server_process_that_ends(kind: Kind, pool: Any, server: Server, big: str, which: int) -> None:
    running = at_work(server, pool, SLOW.format(big))
    server.query(f"SELECT pg_terminate_backend({running_parts(server, pool)[which]}, 5000)")
    with pytest.raises(SQLError, match="terminating connection") as raised:
        running.result(10)
    assert raised.value.sqlstate == "57P01"
    assert "nothing was committed" in raised.value.detail[-1]
    until(lambda: not running_parts(server, pool), 2)
    until(lambda: pool.occupancy.idle == SIZE)
    all_are_back(kind, pool)


def test_a_cancelled_cell(kind: Kind, pool: Any, server: Server, big: str) -> None:
    running = at_work(server, pool, SLOW.format(big))
    began_at = time.monotonic()
    assert running.cancel()
    assert time.monotonic() - began_at < 5
    with pytest.raises(Cancelled):
        running.result()
    assert running_parts(server, pool) == []
    until(lambda: pool.occupancy.idle == SIZE)
    all_are_back(kind, pool)


def test_cancelled_while_the_first_waits_for_the_others(
    kind: Kind, pool: Any, server: Server, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two parts: the first takes the first connection half a second, the other takes another one for ever.
    monkeypatch.setattr(parts, "PART_BYTES", 60_000)
    server.query(f"INSERT INTO {table} SELECT generate_series(1, 3000)")
    slow = "pg_sleep(CASE WHEN n = 1 THEN 0.5 WHEN n > 2500 THEN 10 ELSE 0 END)"
    running = job(pool, f"SELECT n FROM {table} WHERE {slow} IS NOT NULL", 2)
    until(lambda: len(running_parts(server, pool)) == 2)
    until(lambda: len(running_parts(server, pool)) == 1)
    time.sleep(0.3)
    assert running.cancel()
    with pytest.raises(Cancelled):
        running.result()
    assert running_parts(server, pool) == []
    until(lambda: pool.occupancy.idle == SIZE)
    all_are_back(kind, pool)


def test_an_error_in_one_part_ends_the_others(kind: Kind, pool: Any, server: Server, big: str) -> None:
    # The first part fails after half a second, in which the others have begun what takes them half a minute.
    sleep = "pg_sleep(CASE WHEN id BETWEEN 11 AND 600 THEN 0 ELSE 0.08 END)"
    began_at = time.monotonic()
    with pytest.raises(SQLError, match="division by zero") as raised:
        job(pool, f"SELECT 1 / (id - 10) AS n FROM {big} WHERE {sleep} IS NOT NULL").result(60)
    took_s = time.monotonic() - began_at
    assert raised.value.sqlstate == "22012"
    assert running_parts(server, pool) == []
    assert took_s < 15, "the others were not ended"
    until(lambda: pool.occupancy.idle == SIZE)
    all_are_back(kind, pool)


def test_a_statement_timeout_holds_for_the_parts(kind: Kind, pool: Any, server: Server, big: str) -> None:
    with pytest.raises(SQLError, match="statement timeout"):
        cell(pool, SLOW.format(big).replace("0.002", "0.05"), Parallel(SIZE), timeout_s=0.6)
    assert running_parts(server, pool) == []
    until(lambda: pool.occupancy.idle == SIZE)
    all_are_back(kind, pool)


def test_nothing_is_left_in_the_sessions(kind: Kind, pool: Any, big: str) -> None:
    before = _settings(kind, pool)
    assert same(pool, f"SELECT * FROM {big}", timeout_s=30) in SPLIT
    assert same(pool, f"SELECT count(*) FROM {big}", timeout_s=30).startswith("parallel 1 of")
    assert _settings(kind, pool) == before


def _settings(kind: Kind, pool: Any) -> set[Any]:
    """The settings of all sessions."""
    barrier = threading.Barrier(SIZE)

    def look(_: int) -> Any:
        with kind.block(pool) as block:
            barrier.wait(20)
            found = block.execute("SELECT name, setting FROM pg_settings WHERE context IN ('user', 'superuser')")
            barrier.wait(20)
            return tuple(found)

    return set(in_threads(SIZE, look))


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_terms_of_a_transaction_that_agree(pool: Any, big: str, isolation: str) -> None:
    assert same(pool, f"TABLE {big}", isolation=isolation, read_only=True) in SPLIT
    assert same(pool, f"TABLE {big}", rollback=True) in SPLIT


def test_terms_of_a_transaction_that_do_not(pool: Any, big: str) -> None:
    sql = f"SELECT id, current_setting('transaction_isolation') AS i FROM {big}"
    assert "REPEATABLE READ" in same(pool, sql, isolation="SERIALIZABLE")
    assert "no transaction of its own" in same(pool, f"TABLE {big}", autocommit=True)
