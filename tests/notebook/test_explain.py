"""--explain: plans in place of rows, over both kinds of pool."""

import pytest
from fix_notebook import Shell
from fix_server import Server

from pgmonkey_magic.cells import ResultSets
from pgmonkey_magic.results.plan import Plan


def test_a_plan_is_estimated_and_nothing_runs(connected: Shell, server: Server, table: str) -> None:
    plan = connected.run(f"%pgmonkey -e INSERT INTO {table} SELECT generate_series(1, 10)")
    assert isinstance(plan, Plan)
    assert not plan.analyzed
    assert f"Insert on public.{table}" in repr(plan)
    assert server.query(f"SELECT count(*) FROM {table}") == [(0,)]
    assert connected.footer.startswith("EXPLAIN · ")
    assert connected["_pg"] is plan
    assert connected.run("%pgmonkey -e plan SELECT 1").root.title == "Result"


def test_analyze_runs_and_rolls_back_unless_told(connected: Shell, server: Server, table: str) -> None:
    insert = f"INSERT INTO {table} SELECT generate_series(1, 10)"
    plan = connected.run(f"%pgmonkey --explain analyze {insert}")
    assert plan.analyzed
    assert plan.execution_ms > 0
    assert "rolled back; --commit keeps it" in connected.footer
    assert server.query(f"SELECT count(*) FROM {table}") == [(0,)]
    connected.run(f"%pgmonkey --explain analyze --commit {insert}")
    assert "rolled back" not in connected.footer
    assert server.query(f"SELECT count(*) FROM {table}") == [(10,)]
    connected.run(f"%pgmonkey --explain=analyze SELECT * FROM {table}")
    assert "rolled back" not in connected.footer


def test_parameters_and_several_statements(connected: Shell) -> None:
    connected.run("top = 3")
    plan = connected.run("%pgmonkey -e analyze SELECT generate_series(1, :top::int)")
    assert plan.root.actual_rows == 3
    plans = connected.run("%%pgmonkey -e\nSELECT 1;\n-- two\nSELECT 2")
    assert isinstance(plans, ResultSets)
    assert [plan.root.title for plan in plans] == ["Result", "Result"]
    connected.run("%%pgmonkey -e p <<\nSELECT 1")
    assert isinstance(connected["p"], Plan)


def test_a_plan_is_read_in_the_clients_encoding(connected: Shell) -> None:
    connected.run("%pgmonkey -q BEGIN")
    connected.run("%pgmonkey -q SET LOCAL client_encoding = 'latin1'")
    plan = connected.run("%pgmonkey -e SELECT 'ä' FROM pg_class WHERE relname = 'ö'")
    assert "'ö'" in repr(plan)
    connected.run("%pgmonkey -q ROLLBACK")


def test_html_and_text_in_one_bundle(connected: Shell) -> None:
    plan = connected.run("%pgmonkey -e SELECT '<b>' || relname FROM pg_class")
    data, _ = connected.ip.display_formatter.format(plan)
    assert "Seq Scan on pg_catalog.pg_class" in data["text/plain"]
    assert "<table" in data["text/html"]
    assert "<b>" not in data["text/html"]


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("%%pgmonkey -e\nSELECT *\nFROM nowhere", 'relation "nowhere" does not exist'),
        ("%pgmonkey -e CREATE TABLE x (y int)", "syntax error"),
        ("%pgmonkey --explain=now SELECT 1", "--explain takes plan or analyze"),
        ("%pgmonkey --commit SELECT 1", "--commit belongs to --explain analyze"),
        ("%pgmonkey --commit -e SELECT 1", "--commit belongs to --explain analyze"),
        ("%pgmonkey -e -n 3 SELECT 1", "exclude each other"),
        ("%%pgmonkey -e\n-- nothing", "no SQL statement"),
        ("%pgmonkey --autocommit -e analyze SELECT 1", "--explain belong"),
    ],
)
def test_what_cannot_be_explained_says_so(connected: Shell, cell: str, part: str) -> None:
    error = connected.error(cell)
    assert part in str(error)
    if "nowhere" in cell:
        assert error.detail[0] == "LINE 2: FROM nowhere"
        assert error.detail[1].index("^") == error.detail[0].index("nowhere")
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
