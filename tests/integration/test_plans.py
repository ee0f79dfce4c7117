"""Plans of a real server: the words of text EXPLAIN, times that add up, nothing dropped, marks where they belong."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fix_server import Server

from pgmonkey_magic.notebook.plan_view import plan_html
from pgmonkey_magic.results.plan import Plan, explain_command, explain_prefix, read_plans
from pgmonkey_magic.results.plan.text import printable

TABLES = """
CREATE SCHEMA plans;
SET search_path = plans;
CREATE TABLE customers (id int PRIMARY KEY, country text, "Odd name" int);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE, total int, note text);
INSERT INTO customers SELECT i, (ARRAY['DE', 'FR', '<b>'])[1 + i % 3], i FROM generate_series(1, 1000) i;
INSERT INTO orders SELECT i, 1 + i * 7 % 1000, i % 100, repeat('x', 50) FROM generate_series(1, 20000) i;
CREATE INDEX orders_total ON orders (total);
CREATE TABLE twins (a int, b int);
INSERT INTO twins SELECT i % 100, i % 100 FROM generate_series(1, 20000) i;
CREATE TABLE days (day int, v int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (20);
CREATE TABLE days_3 PARTITION OF days FOR VALUES FROM (20) TO (30);
INSERT INTO days SELECT i % 30, i FROM generate_series(1, 300) i;
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END';
CREATE TRIGGER slow AFTER INSERT ON twins FOR EACH ROW EXECUTE FUNCTION slow();
CREATE RULE also AS ON UPDATE TO twins DO ALSO DELETE FROM days WHERE day = old.a;
CREATE TABLE unseen (i int);
CREATE RULE nothing AS ON INSERT TO unseen DO INSTEAD NOTHING;
CREATE RULE tell AS ON DELETE TO unseen DO INSTEAD NOTIFY gone;
ANALYZE;
"""
PARALLEL = {
    "max_parallel_workers_per_gather": "2",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "0",
}
HASHED = {"enable_nestloop": "off", "enable_mergejoin": "off"}
NESTED = {"enable_hashjoin": "off", "enable_mergejoin": "off"}
STATEMENTS: dict[str, tuple[str, dict[str, str]]] = {
    "one row": ("SELECT 1", {}),
    "hash join": ("SELECT * FROM orders o RIGHT JOIN customers c ON o.customer = c.id WHERE c.country = 'DE'", {}),
    "merge join": (
        "SELECT * FROM orders o JOIN customers c ON o.customer = c.id ORDER BY c.id",
        {"enable_hashjoin": "off", "enable_nestloop": "off"},
    ),
    "nested loop": ("SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer WHERE o.id < 500", NESTED),
    "anti join": ("SELECT * FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer = c.id)", {}),
    "full join": ("SELECT * FROM customers a FULL JOIN twins b ON a.id = b.a", {}),
    "sort on disk": ("SELECT * FROM orders ORDER BY note, total", {"work_mem": "64kB"}),
    "hash on disk": ("SELECT count(*) FROM orders o JOIN twins t ON t.a = o.id", {"work_mem": "64kB", **HASHED}),
    "top rows": ("SELECT * FROM orders ORDER BY total DESC LIMIT 3", {}),
    "backward": ("SELECT * FROM orders ORDER BY id DESC LIMIT 3", {}),
    "incremental sort": ("SELECT * FROM orders ORDER BY total, note LIMIT 500", {"enable_seqscan": "off"}),
    "index only": (
        "SELECT id FROM orders WHERE id BETWEEN 5 AND 10",
        {"enable_seqscan": "off", "enable_bitmapscan": "off"},
    ),
    "bitmap": ("SELECT * FROM orders WHERE total = 5 OR id < 40", {"enable_seqscan": "off", "enable_indexscan": "off"}),
    "group": ("SELECT customer, count(*) FROM orders GROUP BY 1 HAVING count(*) > 3", {}),
    "grouping sets": ("SELECT customer, total, count(*) FROM orders GROUP BY CUBE (customer, total)", {}),
    "window": ("SELECT sum(total) OVER (PARTITION BY customer ORDER BY id) FROM orders", {}),
    "set operation": ("SELECT id FROM customers EXCEPT ALL SELECT customer FROM orders", {}),
    "union": ("SELECT id FROM customers UNION SELECT total FROM orders", {}),
    "distinct": ("SELECT DISTINCT customer FROM orders ORDER BY 1", {"enable_hashagg": "off"}),
    "parallel": ("SELECT customer, sum(total) FROM orders WHERE note LIKE '%x%' GROUP BY 1", PARALLEL),
    "parallel hash": (
        "SELECT count(*) FROM orders o JOIN twins t ON t.a = o.id",
        {**PARALLEL, **HASHED},
    ),
    "gather merge": ("SELECT * FROM orders ORDER BY note", PARALLEL),
    "parallel init plan": ("SELECT count(*) FROM orders WHERE total > (SELECT avg(b) FROM twins, customers)", PARALLEL),
    "init plan": ("SELECT * FROM orders WHERE total > (SELECT avg(a) FROM twins) ORDER BY note", {}),
    "sub plan": (
        'SELECT (SELECT max(total) FROM orders o WHERE o.customer = c.id) "<x>" FROM customers c WHERE id < 9',
        {},
    ),
    "hashed sub plan": ("SELECT * FROM customers WHERE id NOT IN (SELECT customer FROM orders)", {}),
    "cte": (
        (
            "WITH c AS MATERIALIZED (SELECT customer, sum(total) s FROM orders GROUP BY 1) "
            "SELECT * FROM c JOIN c d USING (s)"
        ),
        {},
    ),
    "recursive": (
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 500) SELECT sum(n) FROM t",
        {},
    ),
    "values": ("SELECT * FROM (VALUES (1), (2)) v(i), generate_series(1, 3) g, unnest(ARRAY[1], ARRAY[2]) u", {}),
    "project set": ("SELECT generate_series(1, 100)", {}),
    "xml table": ("SELECT * FROM json_each('{\"a\": 1}'), LATERAL regexp_split_to_table('a b', ' ')", {}),
    "partitions": ("SELECT * FROM days WHERE day = 3", {}),
    "pruned at start": ("SELECT * FROM days WHERE day < extract(year FROM now())::int - 2000000", {}),
    "merge append": ("SELECT * FROM days ORDER BY day", {"enable_sort": "on"}),
    "tid": ("SELECT * FROM orders WHERE ctid = '(0,1)'", {}),
    "sample": ("SELECT count(*) FROM orders TABLESAMPLE system (50) REPEATABLE (1)", {}),
    "lock": ("SELECT * FROM orders WHERE id = 7 FOR UPDATE", {}),
    "insert": ("INSERT INTO twins SELECT 1, 1 FROM generate_series(1, 20)", {}),
    "upsert": (
        (
            "INSERT INTO customers VALUES (1, 'x', 0), (0, 'y', 0) "
            "ON CONFLICT (id) DO UPDATE SET country = excluded.country"
        ),
        {},
    ),
    "update": ("UPDATE orders SET total = total + 1 WHERE id < 50 RETURNING *", {}),
    "delete with a foreign key": ("DELETE FROM customers WHERE id < 10", {}),
    "writing cte": ("WITH d AS (DELETE FROM orders WHERE id < 9000 RETURNING id) SELECT 1", {}),
    "moved rows": (
        "WITH d AS (DELETE FROM orders WHERE id < 9 RETURNING *) INSERT INTO twins SELECT id, total FROM d",
        {},
    ),
    "odd names": (
        'SELECT "Odd name" AS "<i>" FROM customers "A b" WHERE "Odd name" = 5 AND country <> E\'\\n\\x01\'',
        {},
    ),
    "nobody": ("SELECT * FROM orders WHERE false", {}),
    "never executed": ("SELECT * FROM customers c JOIN orders o ON o.id = c.id WHERE c.country = 'nowhere'", NESTED),
    "compiled": ("SELECT sum(total) FROM orders", {"jit": "on", "jit_above_cost": "0"}),
    "create as": ("CREATE TABLE made AS SELECT * FROM customers", {}),
    "system": (
        (
            "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "LEFT JOIN pg_type t ON t.oid = a.atttypid"
        ),
        {},
    ),
    "memoize": ("SELECT count(c.country) FROM orders o JOIN customers c ON c.id = o.total", NESTED),
}


@pytest.fixture(scope="module")
def conn(server: Server) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**server.settings) as conn:
        conn.execute(TABLES)
        conn.commit()
        conn.autocommit = True
        conn.execute("VACUUM plans.orders")
        conn.autocommit = False
        yield conn
        conn.rollback()
        conn.execute("DROP SCHEMA plans CASCADE")
        conn.commit()


def answer(conn: psycopg.Connection[Any], sql: str, settings: dict[str, str], *, analyze: bool) -> Any:
    """What the server answers to the EXPLAIN of a statement; nothing of it stays."""
    with conn.transaction(force_rollback=True):
        for name, value in {"jit": "off", **settings}.items():
            conn.execute("SELECT set_config(%s, %s, true)", (name, value))
        command = explain_command(sql, analyze=analyze, server_version=conn.info.server_version)
        row = conn.execute(command.encode()).fetchone()
        assert row is not None
        return row[0]


def plan_of(conn: psycopg.Connection[Any], name: str, *, analyze: bool = True) -> Plan:
    (plan,) = read_plans(answer(conn, *STATEMENTS[name], analyze=analyze))
    return plan


def run(conn: psycopg.Connection[Any], sql: str, **settings: str) -> Plan:
    (plan,) = read_plans(answer(conn, sql, settings, analyze=True))
    return plan


def text_explain(conn: psycopg.Connection[Any], name: str) -> list[str]:
    """The nodes' names and the roles above them in the server's text form."""
    sql, settings = STATEMENTS[name]
    with conn.transaction(force_rollback=True):
        for setting, value in {"jit": "off", **settings}.items():
            conn.execute("SELECT set_config(%s, %s, true)", (setting, value))
        lines = [row[0] for row in conn.execute(f"EXPLAIN (VERBOSE, COSTS OFF) {sql}".encode())]
    roles = ("InitPlan", "SubPlan", "CTE ")
    return [lines[0]] + [
        line.split("->  ")[-1].strip()
        for line in lines[1:]
        if "->  " in line or (line.strip().startswith(roles) and ":" not in line)
    ]


@pytest.mark.parametrize("name", STATEMENTS)
def test_nodes_have_the_names_that_text_explain_gives_them(conn: psycopg.Connection[Any], name: str) -> None:
    expected = text_explain(conn, name)
    plan = plan_of(conn, name, analyze=False)
    assert [words for each in plan.root.walk() for words in (each.role, each.title) if words] == expected


@pytest.mark.parametrize("name", STATEMENTS)
def test_times_add_up(conn: psycopg.Connection[Any], name: str) -> None:
    plan = plan_of(conn, name)
    nodes = list(plan.root.walk())
    own = [each.own_ms or 0 for each in nodes]
    assert min(own) >= 0
    assert plan.execution_ms is not None
    assert sum(own) <= plan.execution_ms + sum(each.rounding_ms for each in nodes)
    if name != "writing cte":
        assert sum(own) <= (plan.root.elapsed_ms or 0) * 1.02 + sum(each.rounding_ms for each in nodes)
    assert sum(each.own_cost or 0 for each in nodes) == pytest.approx(plan.root.total_cost, abs=0.01)
    assert sum(mark.kind == "slow" for each in nodes for mark in each.marks) == (max(own) > 0)


IN_THE_TITLE = {
    "Node Type",
    "Strategy",
    "Partial Mode",
    "Operation",
    "Parent Relationship",
    "Join Type",
    "Scan Direction",
}


@pytest.mark.parametrize("analyze", [True, False])
@pytest.mark.parametrize("name", STATEMENTS)
def test_all_that_the_server_said_can_be_seen(conn: psycopg.Connection[Any], name: str, analyze: bool) -> None:
    plan = plan_of(conn, name, analyze=analyze)
    markup = html.unescape(plan_html(plan))
    for each, row in zip(plan.root.walk(), plan.nodes, strict=True):
        assert row["properties"] == each.properties
        for key, value in each.properties.items():
            assert key in IN_THE_TITLE or all(text in markup for text in leaves(value)), (key, value)
    for key, value in plan.properties.items():
        assert all(text in markup for text in leaves(value)), (key, value)


def leaves(value: Any) -> list[str]:
    """The texts and whole numbers in a value as a view shows them; what says nothing is none."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in leaves(part)]
    if isinstance(value, list):
        return [text for part in value for text in leaves(part)]
    if isinstance(value, str):
        return [printable(value)]
    return [f"{value:,}"] if value and not isinstance(value, (bool, float)) else []


def test_the_server_points_into_the_statement(conn: psycopg.Connection[Any]) -> None:
    statement = "\n-- ü\nSELECT nowhere FROM plans.orders"
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        answer(conn, statement, {}, analyze=True)
    position = int(caught.value.diag.statement_position or 0)
    prefix = explain_prefix(analyze=True, server_version=conn.info.server_version)
    assert statement[position - len(prefix) - 1 :].startswith("nowhere")


def test_rules(conn: psycopg.Connection[Any]) -> None:
    two = read_plans(answer(conn, "UPDATE plans.twins SET b = 1 WHERE a = 1", {}, analyze=True))
    assert [plan.root.title for plan in two] == ["Delete on plans.days", "Update on plans.twins"]
    assert read_plans(answer(conn, "INSERT INTO plans.unseen VALUES (1)", {}, analyze=True)) == ()
    (told,) = read_plans(answer(conn, "DELETE FROM plans.unseen", {}, analyze=True))
    assert told.root.title == "Notify"
    assert "Notify" in plan_html(told)


def marks(plan: Plan) -> dict[str, str]:
    return {mark.kind: each.title for each in plan.root.walk() for mark in each.marks}


def test_a_sort_and_a_hash_on_disk(conn: psycopg.Connection[Any]) -> None:
    assert marks(plan_of(conn, "sort on disk"))["disk"] == "Sort"
    assert marks(plan_of(conn, "hash on disk"))["disk"] == "Hash"
    assert "disk" not in marks(plan_of(conn, "hash join"))
    assert "work_mem = 64kB" in str(plan_of(conn, "sort on disk"))


def test_columns_that_depend_on_each_other_are_misestimated(conn: psycopg.Connection[Any]) -> None:
    plan = run(conn, "SELECT * FROM plans.twins WHERE a = 5 AND b = 5")
    assert marks(plan)["estimate"] == "Seq Scan on plans.twins"
    assert "2 rows were expected, 200 came: 100× too few were expected" in str(plan)


@pytest.mark.parametrize("name", ["top rows", "backward", "anti join", "never executed", "merge join", "parallel"])
def test_plans_in_order_bear_no_mark_of_a_wrong_estimate(conn: psycopg.Connection[Any], name: str) -> None:
    assert "estimate" not in marks(plan_of(conn, name))


def test_a_parallel_plan_is_shared_out(conn: psycopg.Connection[Any]) -> None:
    plan = plan_of(conn, "parallel")
    scan = next(each for each in plan.root.walk() if each.type == "Seq Scan")
    assert scan.title == "Parallel Seq Scan on plans.orders"
    assert scan.processes == scan.loops
    assert scan.elapsed_ms == pytest.approx(scan.total_ms, abs=0.01)


def test_a_deleting_cte_that_nobody_reads_has_its_time(conn: psycopg.Connection[Any]) -> None:
    plan = plan_of(conn, "writing cte")
    delete = next(each for each in plan.root.walk() if each.type == "ModifyTable")
    assert (delete.own_ms or 0) > (plan.root.elapsed_ms or 0)
    assert sum(each.share or 0 for each in plan.root.walk()) <= 1.01


def test_triggers_are_told(conn: psycopg.Connection[Any]) -> None:
    plan = plan_of(conn, "insert")
    (mark,) = plan.marks
    assert mark.sentence.startswith("Trigger slow on twins took")
    assert "in 20 calls" in mark.sentence


def test_a_foreign_key_without_an_index_is_asked_about(conn: psycopg.Connection[Any]) -> None:
    plan = run(conn, "DELETE FROM plans.customers WHERE id < 200")
    assert "for constraint orders_customer_fkey on customers took" in plan.marks[0].sentence
    assert "have the referring columns an index?" in plan.marks[0].sentence


def test_what_never_ran_says_so(conn: psycopg.Connection[Any]) -> None:
    plan = plan_of(conn, "never executed")
    assert any(each.never_executed for each in plan.root.walk())
    assert "◄ never executed" in str(plan)


def test_a_plan_that_was_not_run_changes_nothing(conn: psycopg.Connection[Any]) -> None:
    plan = plan_of(conn, "delete with a foreign key", analyze=False)
    assert not plan.analyzed
    assert plan.planning_ms is not None
    assert str(plan).startswith("Not executed · planning")
    assert conn.execute("SELECT count(*) FROM plans.customers WHERE id < 10").fetchone() == (9,)
