"""Cures beside the server's words: each fires where its cause is certain, and nowhere near."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from fix_notebook import Shell

from pgmonkey_magic import RequestError, SQLError

LIST = "a list is an array: write "
VALUES: dict[str, Any] = {
    "ids": [1, 2],
    "id": 1,
    "tab": "pg_class",
    "iv": "1 day",
    "none": None,
    "mem": "1MB",
    "tabl": "pg_catalog.pg_class",
    "parts": ["pg_catalog", "pg_class"],
    "cols": ["relname", "oid"],
}
HINTS = [
    ("SELECT 1 WHERE 1 IN :ids", LIST + "= ANY(:ids)"),
    ("SELECT 1 WHERE 1 NOT IN :ids", LIST + "<> ALL(:ids)"),
    ("SELECT 1;\nSELECT 2 WHERE 1 = :id AND 1 IN (:ids)", LIST + "= ANY(:ids)"),
    ("SELECT 1 WHERE 1 NOT IN (:ids)", LIST + "<> ALL(:ids)"),
    ("SELECT oid FROM pg_class WHERE oid = :ids", LIST + "= ANY(:ids)"),
    ("SELECT oid FROM pg_class WHERE oid <> :ids", LIST + "<> ALL(:ids)"),
    ("SELECT oid FROM pg_class WHERE oid /* or so */ IN ( :ids )", LIST + "= ANY(:ids)"),
    ("SELECT 1 WHERE 1 IN :id", "write IN (:id)"),
    ("SELECT * FROM :tab", ':tab is a value; for a name write :"tab"'),
    ("SELECT 1; UPDATE :tab SET a = 1", ':tab is a value; for a name write :"tab"'),
    ("DROP TABLE IF EXISTS :tab", ':tab is a value; for a name write :"tab"'),
    ("SELECT now() - Interval :iv", "a type before a value is for literals only; write :iv::interval"),
    ("SET work_mem = :mem", "SET takes no bound values; write :'mem' for a quoted literal"),
    ("SELECT 1 WHERE :none IS NULL OR 5 = :none", "say the type of :none, as in :none::text or :none::int"),
    ("SELECT :id + 1, :none IS NULL", "say the type of :none, as in :none::text or :none::int"),
    ("SELECT 1 WHERE :id = 1 ORDER :none", "$2 is :none"),
    ("SELECT array_position(:tab, 1)", "$1 is :tab"),
    ("SELECT 1 FROM pg_class FOR UPDATE :tab", "$1 is :tab"),
    ("SELECT 1 WHERE EXISTS :tab", "$1 is :tab"),
    ("SELECT * FROM :ids", "$1 is :ids"),
    ("SELECT repeat(:tab, :tab)", "$1 is :tab"),
    (
        'SELECT * FROM :"tabl"',
        ":\"tabl\" is one name, dot and all; with its schema or table it is a list: tabl = ['pg_catalog', 'pg_class']",
    ),
    (
        'SELECT :"cols" FROM pg_class',
        'the list of :"cols" is one name, relname.oid, not several columns; each of them takes its own :"…"',
    ),
    (
        "SELECT * FROM {{tab}}",
        'there is no Jinja and no f-string here: a value is :tab, the name of a table or column :"tab"',
    ),
    (
        "SELECT {tab} FROM pg_class",
        'there is no Jinja and no f-string here: a value is :tab, the name of a table or column :"tab"',
    ),
    (
        "SELECT 1 {% if x %}",
        'there is no Jinja and no f-string here: a value is :name, the name of a table or column :"name"',
    ),
]
NOT_HINTED = [
    "SELECT 1 WHERE ARRAY[1] = :ids",
    "SELECT 1 WHERE ARRAY[1] IN (:ids)",
    "SELECT 1 FROM pg_class WHERE :ids = oid",
    "SELECT ARRAY[1] || 'x' || :tab::int[] WHERE 'x' = ARRAY[1]",
    "SELECT oid FROM pg_class WHERE oid = ARRAY[1::smallint]",
    "SELECT relnam FROM pg_class WHERE relname = :tab",
    'SELECT * FROM :"iv"',
    'SELECT * FROM pg_catalog.:"none_such"',
    "SELECT 1 }",
    "SELECT '{{tab}}'::int",
    "DO $$ BEGIN SELECT {{tab}}; END $$",
    "DO $$ BEGIN EXECUTE 'SELECT $1'; END $$",
    "SELECT FROM pg_class WHERE relname = :tab AND",
    "SELECT '$1'::int WHERE :id = 1",
]


def hints(error: SQLError) -> list[str]:
    """The hints that are not the server's own."""
    assert error.diag is not None
    own = f"HINT: {error.diag.message_hint}"
    return [line.removeprefix("HINT: ") for line in error.detail if line.startswith("HINT: ") and line != own]


@pytest.fixture
def valued(connected: Shell) -> Shell:
    """A shell whose notebook has VALUES."""
    connected.ip.user_ns.update(VALUES, none_such="none_such")
    return connected


@pytest.mark.parametrize(("sql", "hint"), HINTS)
def test_an_error_with_a_certain_cause_has_a_cure(valued: Shell, sql: str, hint: str) -> None:
    error = valued.error(f"%%pgmonkey\n{sql}")
    assert isinstance(error, SQLError)
    assert hints(error) == [hint]
    assert error.diag is not None
    assert str(error) == error.diag.message_primary
    if error.diag.message_hint:
        assert f"HINT: {error.diag.message_hint}" in error.detail


@pytest.mark.parametrize("sql", NOT_HINTED)
def test_an_error_with_another_cause_has_none(valued: Shell, sql: str) -> None:
    error = valued.error(f"%%pgmonkey\n{sql}")
    assert isinstance(error, SQLError)
    assert hints(error) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT oid FROM pg_class WHERE oid = ANY(:ids)",
        "SELECT oid FROM pg_class WHERE oid <> ALL(:ids)",
        'SELECT 1 FROM :"tab"',
        'SELECT 1 FROM :"parts"',
        "SELECT :iv::interval",
        "SET work_mem = :'mem'",
        "SELECT 1 WHERE :none::int IS NULL OR 5 = :none",
        "SELECT 1 WHERE 1 IN (:id)",
    ],
)
def test_the_cures_cure(valued: Shell, sql: str) -> None:
    valued.run(f"%%pgmonkey\n{sql}")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 WHERE 1 = :df", "parameter :df (DataFrame) cannot be sent: %pgmonkey upload makes a table of it"),
        ("SELECT 1 WHERE 1 = :table", "parameter :table (Table) cannot be sent: %pgmonkey upload makes a table of it"),
        ("SELECT :o", "parameter :o (object) cannot be sent: PostgreSQL has no such type; for an attribute of it give"),
        ("SELECT :'o'", "parameter :o (object) cannot be sent: PostgreSQL has no such type; for an attribute of it"),
        (
            "SELECT :z.real",
            "parameter :z (complex) cannot be sent: PostgreSQL has no such type; for an attribute of it",
        ),
        ("SELECT :os", "parameter :os (list) cannot be sent: cannot adapt type 'object'"),
    ],
)
def test_a_value_of_no_type_is_named_with_a_cure(connected: Shell, sql: str, said: str) -> None:
    frame = pd.DataFrame({"a": [1]})
    connected.ip.user_ns.update(
        {"df": frame, "table": pa.Table.from_pandas(frame), "o": object(), "os": [object()], "z": 1j}
    )
    error = connected.error(f"%%pgmonkey\n{sql}")
    assert isinstance(error, RequestError)
    assert said in str(error)
    assert connected.run("%pgmonkey -p z=z.real --as scalar SELECT :z::float8") == 0.0


@pytest.mark.parametrize(
    "address",
    ["postgresql://me@localhost/db", "postgresql+psycopg://localhost", "'host=localhost dbname=db'", "DBNAME=db"],
)
def test_connect_takes_no_address(shell: Shell, address: str) -> None:
    error = shell.error(f"%pgmonkey connect {address}")
    assert isinstance(error, RequestError)
    assert "`pgmonkey-magic config create FILE` writes one" in str(error)


def test_a_file_may_have_any_name(connected: Shell) -> None:
    assert "'user=me.yaml' does not exist" in str(connected.error("%pgmonkey connect user=me.yaml"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("postgresql://me@localhost/db", "did you mean %pgmonkey connect FILE, with a YAML file that `pgmonkey-magic"),
        ("tables", r"did you mean %pgmonkey \dt?"),
        ("columns orders", r"did you mean %pgmonkey \d TABLE?"),
        ("profile orders", "did you mean %pgmonkey -o df SELECT …, then df.describe()?"),
        ("pols", "did you mean %pgmonkey pools?"),
    ],
)
def test_a_word_of_another_tool_has_its_like(connected: Shell, line: str, said: str) -> None:
    error = connected.error(f"%pgmonkey {line}")
    assert isinstance(error, SQLError)
    assert said in error.detail[-1]


@pytest.mark.parametrize(
    ("call", "given"), [("'SELECT %s', [5]", "list"), ("'SELECT %s', [[1, 2]]", "list"), ("'SELECT %s', (5,)", "tuple")]
)
def test_run_says_how_parameters_are_given(connected: Shell, call: str, given: str) -> None:
    for function in ("run", "await pgmonkey_magic.query"):
        error = connected.error(f"import pgmonkey_magic\n{function.replace('run', 'pgmonkey_magic.run')}({call})")
        assert isinstance(error, RequestError)
        assert f"params is a dict, not {given}; parameters are :name in the SQL" in str(error)
    assert connected.run("pgmonkey_magic.run('SELECT :x', {'x': 5}, as_='scalar')") == 5
    assert connected.run("pgmonkey_magic.run('SELECT :x', x=5, as_='scalar')") == 5


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("\\gx", "name.T"),
        ("\\o f.csv", "%pgmonkey export PATH SQL"),
        ("\\copy t from f", "%pgmonkey upload DF TABLE"),
        ("\\copy t to f", "%pgmonkey export PATH SQL"),
    ],
)
def test_a_backslash_command_that_writes_has_its_like(connected: Shell, command: str, said: str) -> None:
    error = connected.error(f"%pgmonkey {command}")
    assert isinstance(error, RequestError)
    assert said in str(error)


@pytest.mark.parametrize(
    ("sql", "notes"),
    [
        ("SELECT 1 WHERE 'x' = '{{tab}}'", ["'{{tab}}' was sent as it stands; write :tab, without quotes"]),
        ("SELECT 1 WHERE 'x' = '{{ tab }}'", ["'{{ tab }}' was sent as it stands; write :tab, without quotes"]),
        ("SELECT 1 WHERE 'x' = ':tab' AND 'y' = ':tab'", ["':tab' was sent as it stands; write :tab, without quotes"]),
        ("SELECT 1 WHERE 'x' = ':given'", ["':given' was sent as it stands; write :given, without quotes"]),
        ("SELECT 1 WHERE 'x' = '{{unknown}}'", []),
        ("SELECT 1 WHERE 'x' = 'a {{tab}}' AND 'x' = 'at :tab'", []),
        ("SELECT 1 WHERE 'x' = :'tab' -- ':tab'", []),
        ("SELECT $$ ':tab' $$, \"':tab'\" FROM (SELECT 1 AS \"':tab'\") AS t", []),
        ("SELECT 1 WHERE 'x' = '{\"a\":1}'", []),
    ],
)
def test_a_literal_that_was_meant_to_be_filled_in_is_told(valued: Shell, sql: str, notes: list[str]) -> None:
    valued.run(f"%%pgmonkey -p given=1\n{sql}")
    said = [part for part in valued.footer.split(" · ") if "was sent as it stands" in part]
    assert said == notes
