"""Parameters in cells: what each Python value means, that none is read as SQL; the options of the transaction."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from fix_notebook import Shell
from fix_server import Server
from psycopg.types.json import Jsonb

from pgmonkey_magic import RequestError, SQLError
from pgmonkey_magic.cells.binding import adapted

UTC = dt.UTC
VALUES = [
    (None, "text", None),
    (True, "bool", "true"),
    (7, "int", "7"),
    (2**40, "bigint", str(2**40)),
    (2**70, "numeric", str(2**70)),
    (1.5, "float8", "1.5"),
    (float("nan"), "float8", "NaN"),
    (float("inf"), "float8", "Infinity"),
    (decimal.Decimal("12345678901234567890.123"), "numeric", "12345678901234567890.123"),
    ('it\'s \\ "x" :a $1 %s é', "text", 'it\'s \\ "x" :a $1 %s é'),
    (b"\x00\xff'", "bytea", "\\x00ff27"),
    (dt.date(2026, 2, 3), "date", "2026-02-03"),
    (dt.time(1, 2, 3), "time", "01:02:03"),
    (dt.datetime(2026, 2, 3, 4, 5, 6), "timestamp", "2026-02-03 04:05:06"),  # noqa: DTZ001 - a naive one is the case
    (dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), "timestamptz", "2026-02-03 04:05:06+00"),
    (dt.timedelta(days=1, seconds=2), "interval", "1 day 00:00:02"),
    (uuid.UUID(int=5), "uuid", "00000000-0000-0000-0000-000000000005"),
    ([1, 2, None], "int[]", "{1,2,NULL}"),
    ([], "int[]", "{}"),
    ((1, 2), "int[]", "{1,2}"),
    (["a,b", "c'd"], "text[]", '{"a,b",c\'d}'),
    ([[1, 2], [3, 4]], "int[]", "{{1,2},{3,4}}"),
    ({"a": [1, None]}, "jsonb", '{"a": [1, null]}'),
    (np.int16(3), "int", "3"),
    (np.float32(0.5), "float8", "0.5"),
    (np.float64(0.5), "float8", "0.5"),
    (np.bool_(True), "bool", "true"),
    (np.str_("x"), "text", "x"),
    (np.datetime64("2026-02-03T04:05:06"), "timestamp", "2026-02-03 04:05:06"),
    (np.datetime64("NaT"), "timestamp", None),
    (np.timedelta64(90, "s"), "interval", "00:01:30"),
    (np.array([1, 2]), "int[]", "{1,2}"),
    (pd.NA, "int", None),
    (pd.NaT, "timestamp", None),
    (pd.Timestamp("2026-02-03 04:05:06.000007"), "timestamp", "2026-02-03 04:05:06.000007"),
    (pd.Timestamp("2026-02-03", tz="UTC"), "timestamptz", "2026-02-03 00:00:00+00"),
    (pd.Timedelta("1h"), "interval", "01:00:00"),
    (pd.Series([1, 2]), "int[]", "{1,2}"),
    (pd.Series([1, None], dtype="Int64"), "int[]", "{1,NULL}"),
    (pd.Index(["a"]), "text[]", "{a}"),
    (range(3), "int[]", "{0,1,2}"),
]


@pytest.mark.parametrize(("value", "sql_type", "text"), VALUES, ids=lambda value: repr(value)[:30])
def test_a_value_means_the_same_to_the_server(connected: Shell, value: Any, sql_type: str, text: str | None) -> None:
    connected.ip.user_ns["value"] = value
    connected.run("%pgmonkey -q SET timezone = 'UTC'")
    frame = connected.run(
        f"%pgmonkey SELECT (:value)::{sql_type}::text AS bound, (:'value')::{sql_type}::text AS quoted"
    )
    answers = [None if pd.isna(answer) else answer for answer in (frame["bound"][0], frame["quoted"][0])]
    assert answers == [text, text]


ZONE = zoneinfo.ZoneInfo("Europe/Amsterdam")
BY_COPY = [
    *(
        0,
        -1,
        32767,
        -(2**31),
        2**63 - 1,
        2**70,
        -(2**70),
        True,
        False,
        np.int64(-7),
        np.uint64(2**64 - 1),
        np.bool_(False),
    ),
    *(0.1, -0.0, 1 / 3, 1e300, 5e-324, 1.7976931348623157e308, float("nan"), float("inf"), -float("inf")),
    *(np.float32(0.1), np.float64(2 / 3)),
    *(decimal.Decimal("-1.50"), decimal.Decimal("1E+5"), decimal.Decimal("NaN"), decimal.Decimal(1) / 3),
    *(dt.date.min, dt.date(2026, 2, 3), dt.date.max, dt.time.max, dt.time(1, 2, 3, tzinfo=UTC)),
    *(dt.datetime.min, dt.datetime.max, dt.datetime(2026, 2, 3, 4, 5, 6, 7)),  # noqa: DTZ001, DTZ901 - naive ones
    *(dt.datetime.min.replace(tzinfo=UTC), dt.datetime(1930, 1, 1, tzinfo=ZONE), dt.datetime(2026, 7, 1, tzinfo=ZONE)),
    *(dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZONE, fold=fold) for fold in (0, 1)),
    *(pd.Timestamp("2026-02-03 04:05:06.000007", tz="America/New_York"), np.datetime64("2026-02-03T04:05:06.000007")),
    *(
        dt.timedelta(days=40, microseconds=1),
        pd.Timedelta("1h"),
        uuid.UUID(int=2**127 + 5),
        b"\x00\xff'\\",
        {"a": [1.5, None]},
    ),
    *([1, None, 2**40], [0.1, float("nan")], [[1, 2], [3, 4]], [True], [decimal.Decimal("1.50")], [uuid.UUID(int=5)]),
    *([dt.datetime(2026, 7, 1, 1, 2, 3, 4, tzinfo=ZONE), None], [dt.date(2026, 1, 2)], np.array([1.5, 2.5]), range(3)),
]
BY_PARAMETER = [
    dt.timedelta(microseconds=-1),
    dt.datetime(2026, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=20))),
    dt.datetime(2026, 2, 3, tzinfo=dt.timezone(dt.timedelta(microseconds=500))),
    10**5000,
]
"""Their text would not be read, or not alike everywhere."""
SENT = "SELECT encode(record_send(ROW(:value)), 'hex') AS bytes, current_query() LIKE 'COPY (%' AS by_copy"


@pytest.mark.parametrize(
    "setting", ["datestyle = 'SQL, DMY'", "intervalstyle = sql_standard", "timezone = 'Asia/Tokyo'"]
)
def test_a_value_arrives_to_the_last_bit_by_copy_and_otherwise(connected: Shell, server: Server, setting: str) -> None:
    """The server gives back the type and the bytes that it has understood, which psycopg has sent in binary."""
    with psycopg.connect(**server.settings) as conn:
        for value, by_copy in [(value, True) for value in BY_COPY] + [(value, False) for value in BY_PARAMETER]:
            meant = adapted(value)
            mark = "%s" if isinstance(meant, list | decimal.Decimal | Jsonb) else "%b"
            expected = conn.execute(f"SELECT encode(record_send(ROW({mark})), 'hex')", [meant]).fetchone()
            connected.ip.user_ns["value"] = value
            for source, is_copied in (("", False), (" FROM pg_am", by_copy)):
                frame = connected.run(f"%%pgmonkey\nSET LOCAL {setting};\n{SENT}{source}")
                assert (*frame.iloc[0],) == (*expected, is_copied), (value, source)


def test_null_and_text_arrive_by_copy(connected: Shell) -> None:
    for value in (None, np.str_("it's"), pd.NaT, [None], ["a", None, "b c"], []):
        connected.ip.user_ns["value"] = value
        frame = connected.run(
            "%pgmonkey SELECT :value::text AS x, current_query() LIKE 'COPY (%' AS by_copy FROM pg_am"
        )
        expected = connected.run("%pgmonkey SELECT :value::text AS x")
        assert frame["by_copy"].all()
        assert frame["x"].iloc[:1].equals(expected["x"]), value


def corpus() -> list[str]:
    """Return two hundred texts that would mean something else if they were pasted."""
    ends = [
        "'",
        '"',
        "''",
        "\\'",
        "$$",
        "$a$",
        ";",
        "--",
        "/*",
        "*/",
        ")",
        "]",
        "\\",
        "%s",
        "$1",
        ":a",
        "{",
        "\n",
        "\u2019",
        "é",
    ]
    tails = [
        "",
        " OR 1=1",
        "; DROP TABLE x",
        " UNION SELECT 1",
        "::int",
        "||'x'",
        " -- ",
        " /* ",
        "E'",
        "\\'; SELECT 1; --",
    ]
    return [f"x{end}{tail}" for end in ends for tail in tails]


def test_two_hundred_injections_come_back_as_they_went(connected: Shell) -> None:
    texts = corpus()
    assert len(set(texts)) == 200
    connected.ip.user_ns["texts"] = texts
    assert connected.run("%pgmonkey SELECT unnest(:texts::text[]) AS x")["x"].to_list() == texts
    for text in texts:
        connected.ip.user_ns["text"] = text
        frame = connected.run("%pgmonkey -q SELECT :text AS a, :'text' AS b, 1 AS :\"text\"")
        assert frame.iloc[0, :2].to_list() == [text, text]
        assert frame.columns[2] == text.encode()[:63].decode("utf-8", "ignore")


def test_names_come_from_the_function_then_the_notebook(connected: Shell) -> None:
    connected.run(
        "n = 1\ndef look():\n    n = 2\n    return get_ipython().run_line_magic('pgmonkey', 'SELECT :n::int AS n')"
    )
    assert connected.run("%pgmonkey SELECT :n::int AS n")["n"].to_list() == [1]
    assert connected.run("%%pgmonkey\nSELECT :n::int AS n")["n"].to_list() == [1]
    assert connected.run("def f():\n    n = 5\n    df = %pgmonkey SELECT :n::int AS n\n    return df\nf()")[
        "n"
    ].to_list() == [5]


def test_parameters_by_options(connected: Shell) -> None:
    connected.run("n = 1\nmore = {'a': 'x', 'n': 3}")
    assert connected.run("%pgmonkey -p n=n+1 SELECT :n::int AS n")["n"].to_list() == [2]
    assert connected.run('%pgmonkey -p "n=[1, 2]" -p m=4 SELECT :n AS n, :m::int AS m')["m"].to_list() == [4]
    assert connected.run("%pgmonkey --params more -p n=9 SELECT :a AS a, :n::int AS n")["n"].to_list() == [9]


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ('-p who="two words"', "two words"),
        ("-p who='two words'", "two words"),
        ("""-p "who='two words'\"""", "two words"),
        ("""-p who="'two words'\"""", "'two words'"),
        ('--param=who="a \\"b\\" c"', 'a "b" c'),
        ("""-p who="it's "+'so'""", "it's so"),
    ],
)
def test_a_parameters_text_may_hold_blanks(connected: Shell, typed: str, value: str) -> None:
    """What stands behind the = is Python, quotes included; but for quotes around it all."""
    assert connected.run(f"%pgmonkey {typed} SELECT :who AS who, 'a  \"b' AS x").iloc[0].to_list() == [value, 'a  "b']
    assert connected.run(f"%%pgmonkey {typed} df <<\nSELECT :who AS who") is None
    assert connected["df"]["who"].to_list() == [value]


def test_names_and_literals_where_no_values_are_taken(connected: Shell, server: Server, table: str) -> None:
    connected.run(f"where = ['public', '{table}']; what = \"it's\"")
    connected.run('%%pgmonkey\nINSERT INTO :"where" VALUES (1);\nCOMMENT ON TABLE :"where" IS :\'what\'')
    assert server.query(f"SELECT obj_description('{table}'::regclass)") == [("it's",)]
    error = connected.error('%pgmonkey COMMENT ON TABLE :"where" IS :what')
    assert isinstance(error, SQLError)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%pgmonkey SELECT :vlaue", "did you mean :value?"),
        ("%pgmonkey SELECT :zzzzqq", "assign zzzzqq = … first, or give -p zzzzqq=…"),
        ("%pgmonkey -p 1=2 SELECT 1", "-p takes NAME=EXPR"),
        ("%pgmonkey -p n=1/0 SELECT :n", "ZeroDivisionError"),
        ("%pgmonkey --params [1] SELECT 1", "--params takes a dict, not list"),
        ("%pgmonkey SELECT :thing", "parameter :thing (object) cannot be sent"),
        ("%pgmonkey SELECT :nul", "parameter :nul (str) cannot be sent"),
        ("%pgmonkey SELECT :'nul'", "parameter :nul (str) cannot be sent"),
        ('%pgmonkey SELECT 1 AS :"thing"', ':"thing" is a name'),
        ("%pgmonkey --file nowhere.sql", "--file nowhere.sql: No such file"),
        ("%pgmonkey --timeout soon SELECT 1", "--timeout takes a positive number of seconds"),
        ("%pgmonkey --isolation high SELECT 1", "--isolation takes one of read-committed"),
        ("%pgmonkey --autocommit --read-only SELECT 1", "--read-only belong to a transaction"),
        ("%%pgmonkey --rollback\nSELECT 1; COMMIT", "which COMMIT would end"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_sentence(connected: Shell, cell: str, said: str) -> None:
    connected.run("value = 1; thing = object(); nul = 'a\\0b'")
    error = connected.error(cell)
    assert isinstance(error, RequestError)
    assert said in str(error)
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def test_an_error_points_into_the_cell_as_it_was_written(connected: Shell) -> None:
    connected.run("a = 1; b = 2")
    error = connected.error("%%pgmonkey\nSELECT :a;\nSELECT :a, :b, nothing")
    assert error.detail[0] == "LINE 2: SELECT :a, :b, nothing"
    assert error.detail[1].index("^") == error.detail[0].index("nothing")


def test_a_statement_without_values_gets_the_hint(connected: Shell) -> None:
    connected.run("v = '1s'")
    error = connected.error("%pgmonkey CREATE ROLE x PASSWORD :v")
    assert error.sqlstate in {"42601", "42P02"}
    assert connected.run("%pgmonkey SET statement_timeout = :'v'").tag == "SET"


# -- the cell's transaction --------------------------------------------------------------------------------------------


def test_rollback_shows_and_changes_nothing(connected: Shell, server: Server, table: str) -> None:
    assert connected.run(f"%pgmonkey --rollback INSERT INTO {table} VALUES (1) RETURNING n")["n"].to_list() == [1]
    assert "rolled back" in connected.footer
    assert server.query(f"SELECT * FROM {table}") == []


def test_isolation_and_timeout_hold_for_the_cell_alone(connected: Shell) -> None:
    both = "%pgmonkey --isolation serializable --timeout 3 SELECT current_setting('transaction_isolation') AS i, "
    frame = connected.run(both + "current_setting('statement_timeout') AS t")
    assert frame.iloc[0].to_list() == ["serializable", "3s"]
    alone = "SELECT current_setting('transaction_isolation') AS i, current_setting('statement_timeout') AS t"
    assert connected.run(f"%pgmonkey {alone}").iloc[0].to_list() == ["read committed", "0"]
    assert connected.run(f"%pgmonkey --autocommit --timeout 3 {alone}")["t"].to_list() == ["3s"]
    for _ in range(3):
        assert connected.run(f"%pgmonkey {alone}")["t"].to_list() == ["0"]
    error = connected.error("%pgmonkey --timeout 0.1 SELECT pg_sleep(5)")
    assert "HINT: --timeout 0.1 ended it" in error.detail


ESCAPES = """
INSERT INTO {t} VALUES (1)
UPDATE {t} SET n = 1
DELETE FROM {t}
TRUNCATE {t}
DROP TABLE {t}
ALTER TABLE {t} ADD x int
CREATE TABLE escaped_1 (n int)
CREATE TABLE escaped_2 AS SELECT 1
SELECT 1 INTO escaped_3
CREATE VIEW escaped_4 AS SELECT 1
CREATE FUNCTION escaped_5() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE SCHEMA escaped_6
CREATE SEQUENCE escaped_7
COMMENT ON TABLE {t} IS 'x'
GRANT SELECT ON {t} TO PUBLIC
SET TRANSACTION READ WRITE; INSERT INTO {t} VALUES (1)
SET transaction_read_only = off; INSERT INTO {t} VALUES (1)
SELECT set_config('transaction_read_only', 'off', true); INSERT INTO {t} VALUES (1)
COMMIT; INSERT INTO {t} VALUES (1)
END; INSERT INTO {t} VALUES (1)
ROLLBACK; INSERT INTO {t} VALUES (1)
ABORT; INSERT INTO {t} VALUES (1)
/* x */ COMMIT AND CHAIN; INSERT INTO {t} VALUES (1)
BEGIN READ WRITE; INSERT INTO {t} VALUES (1)
START TRANSACTION READ WRITE; INSERT INTO {t} VALUES (1)
SAVEPOINT a; SET TRANSACTION READ WRITE; INSERT INTO {t} VALUES (1)
DO $$BEGIN INSERT INTO {t} VALUES (1); END$$
DO $$BEGIN COMMIT; INSERT INTO {t} VALUES (1); END$$
DO $$BEGIN SET TRANSACTION READ WRITE; INSERT INTO {t} VALUES (1); END$$
DO $$BEGIN ROLLBACK; INSERT INTO {t} VALUES (1); END$$
WITH x AS (INSERT INTO {t} VALUES (1) RETURNING n) SELECT * FROM x
EXPLAIN ANALYZE INSERT INTO {t} VALUES (1)
PREPARE p AS INSERT INTO {t} VALUES (1); EXECUTE p
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; INSERT INTO {t} VALUES (1)
""".strip().splitlines()


def test_nothing_escapes_read_only(connected: Shell, server: Server, table: str) -> None:
    assert len(ESCAPES) >= 30
    for escape in ESCAPES:
        connected.error(f"%%pgmonkey --read-only\n{escape.format(t=table)}")
    assert server.query(f"SELECT * FROM {table}") == []
    assert server.query("SELECT relname FROM pg_class WHERE relname LIKE 'escaped%'") == []
    assert connected.run("%pgmonkey --read-only SELECT 1 AS x")["x"].to_list() == [1]
    assert connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1)").rowcount == 1


def test_sql_from_a_file(connected: Shell, tmp_path: Path) -> None:
    (tmp_path / "query.sql").write_text("-- größe\nSELECT :n::int AS n;\n", encoding="utf-8")
    connected.run("n = 4")
    assert connected.run("%pgmonkey --file query.sql")["n"].to_list() == [4]
    assert connected.run("%%pgmonkey -f query.sql\n\n")["n"].to_list() == [4]
    assert isinstance(connected.error("%%pgmonkey -f query.sql\nSELECT 1"), RequestError)


def test_a_dry_run_sends_nothing(connected: Shell, server: Server, table: str) -> None:
    connected.run("n = 4")
    assert connected.run(f"%pgmonkey --dry-run INSERT INTO {table} VALUES (:n)") is None
    assert connected.shown[0].splitlines() == [
        "BEGIN",
        f"INSERT INTO {table} VALUES ($1)",
        "  $1 = :n = 4",
        "COMMIT",
        "nothing was sent; the pool is test",
    ]
    assert server.query(f"SELECT * FROM {table}") == []
    connected.run("%pgmonkey -q BEGIN")
    connected.run(f"%pgmonkey --dry-run DELETE FROM {table}")
    assert connected.shown[0].splitlines() == [f"DELETE FROM {table}", "nothing was sent; the pool is test"]
    connected.run("%pgmonkey -q ROLLBACK")
