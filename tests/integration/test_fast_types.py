"""The fast way gives what the ordinary way gives: every type, its edges, NULLs, in every kind of session."""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
import pytest
from fix_server import Server

from pgmonkey_magic.results import Reader, query
from pgmonkey_magic.results.fast import Wanted, fetch
from pgmonkey_magic.results.frame import Frame
from pgmonkey_magic.results.output import DEFAULT, Output

TYPES = {
    "int2": ["0", "1", "-32768", "32767"],
    "int4": ["0", "-2147483648", "2147483647"],
    "int8": ["0", "-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "oid": ["0", "4294967295"],
    "float4": ["0", "-0", "1.5", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"],
    "float8": ["0", "-0", "0.1", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity"],
    "bool": ["true", "false"],
    "numeric": [
        *("0", "0.00", "1", "-1", "10000", "9999", "99990000", "0.1", "-0.0001", "123456789.123456789", "1e20"),
        *("9007199254740993", "9007199254740992.5", "0.30000000000000004", "12345678901234567890.1234567890", "NaN"),
        *("1e-20", "Infinity", "-Infinity", "1e400", "1e-400", "3.3333333333333333", "99999999.99", "2.5e-324"),
        *("1.7976931348623158e308", "1.7976931348623159e308", "4.35", "1e22", "1e23"),
        "179769313486231580793728971405301",
    ],
    "numeric(12,2)": ["0", "1.10", "-9999999999.99", "1234.56"],
    "text": ["", "a", "é", "日本語", "🐒", " a ", "NaN", "None", "infinity", "x" * 5000, "tab\there", "a\nb"],
    "varchar": ["", "a", "é"],
    "char(5)": ["", "a", "é", "abcde"],
    "name": ["", "a", "é"],
    '"char"': ["a", ""],
    "date": ["2000-01-01", "1970-01-01", "0001-01-01", "9999-12-31"],
    "timestamp": ["2000-01-01", "1969-12-31 23:59:59.999999", "0001-01-01", "9999-12-31 23:59:59.999999"],
    "timestamptz": ["2000-01-01 00:00+00", "1969-12-31 23:59:59.999999+00", "2024-07-01 12:00+00"],
    "time": ["00:00", "23:59:59.999999", "12:34:56.7"],
    "timetz": ["00:00+00", "23:59:59.999999-07", "12:34:56.7+05:30", "01:00+15:59"],
    "interval": [
        *("0", "1 day", "-1 day", "1 day -02:03:04.5", "100 days"),
        *("00:00:00.000001", "-00:00:00.000001", "9999999 days"),
    ],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ["null", "1", '"x"', '{"a": [1, 2.5, null, "é"]}', "[]", "1e999", "12345678901234567890123"],
    "jsonb": ["null", "1", '"x"', '{"a": [1, 2.5, null, "é"]}', "[]"],
    "bytea": ["", r"\x00ff", r"\xdeadbeef"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "::1", "fe80::/10"],
    "cidr": ["10.0.0.0/8", "10.0.0.1/32", "::/0"],
    "int4[]": ["{}", "{1,2}", "{NULL,3}", "{{1,2},{3,4}}", "[0:1]={5,6}"],
    "text[]": ["{}", '{"a,b",NULL,"NULL"}', '{""}'],
    "numeric[]": ["{1.5,NaN}", "{NULL}"],
    "date[]": ["{2020-01-01}", "{NULL}"],
    "interval[]": ["{1 mon,1 day}"],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "int4range": ["empty", "[1,5)", "(,)", "[1,)"],
    "tstzrange": ["[2020-01-01 00:00+00,2021-01-01 00:00+00)"],
    "int4multirange": ["{}", "{[1,2),[5,8)}"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101"],
    "varbit": ["", "10110"],
    "money": ["12.34", "-1"],
    "point": ["(1,2)"],
    "box": ["((0,0),(1,1))"],
    "path": ["[(0,0),(1,1)]"],
    "circle": ["<(1,2),3>"],
    "tsvector": ["a b:1"],
    "tsquery": ["a & b"],
    "regclass": ["pg_class"],
    "regtype": ["integer"],
    "pg_lsn": ["16/B374D848"],
    "xid": ["7"],
    "oidvector": ["1 2"],
    "jsonpath": ["$.a"],
    "fast_mood": ["sad", "é ok"],
    "fast_mood[]": ["{sad,NULL}"],
    "fast_pair": ['(1,"a b")', "(,)"],
    "fast_positive": ["1", "5"],
    "fast_words": ["{a,b}"],
}
ODD = {
    "date": [
        "infinity",
        "-infinity",
        "0044-03-15 BC",
        "4713-01-01 BC",
        "10000-01-01",
        "5874897-12-31",
        "0001-12-31 BC",
    ],
    "timestamp": ["infinity", "-infinity", "0044-03-15 12:00:00.5 BC", "294276-12-31 23:59:59.999999", "10000-01-01"],
    "timestamptz": [
        *("infinity", "-infinity"),
        *("0044-03-15 12:00+00 BC", "294276-12-31 23:59+00", "12000-07-01 12:00+00"),
    ],
    "time": ["24:00:00"],
    "timetz": ["24:00:00+02", "24:00:00-15:59"],
    "interval": [
        *("1 mon", "1 year 2 mons -3 days 04:05:06.7", "-1 mon 2 days"),
        *("-1 year -1 day 00:00:01", "178000000 years", "infinity", "200000000 days", "2562047788:00:54"),
    ],
    "date[]": ["{infinity}", "{0044-03-15 BC}"],
    "daterange": ["[2020-01-01,infinity)"],
}
EDGES_OF_TIME = ["0001-01-01 00:00+00", "0001-01-01 12:00+00", "9999-12-31 23:59:59.999999+00", "9999-12-31 12:00+00"]


@pytest.fixture(scope="module")
def conn(server: Server) -> Iterator[psycopg.Connection]:
    drop = "DROP TYPE IF EXISTS fast_mood, fast_pair CASCADE; DROP DOMAIN IF EXISTS fast_positive, fast_words"
    with psycopg.connect(**server.settings, autocommit=True) as conn:
        conn.execute(drop)
        conn.execute("CREATE TYPE fast_mood AS ENUM ('sad', 'é ok')")
        conn.execute("CREATE TYPE fast_pair AS (n int, t text)")
        conn.execute("CREATE DOMAIN fast_positive AS int CHECK (VALUE > 0)")
        conn.execute("CREATE DOMAIN fast_words AS text[]")
        yield conn
        conn.execute(drop)


def ordinary(conn: psycopg.Connection, sql: str, output: Output = DEFAULT) -> Frame:
    answer = conn.wait(query(conn.pgconn, sql.encode(conn.info.encoding)))
    return Reader(conn, answer.results[0], output).frame()


def fast(conn: psycopg.Connection, sql: str, output: Output = DEFAULT) -> Frame:
    fetched = conn.wait(fetch(conn, sql, wanted=Wanted(output)))
    assert fetched is not None
    return fetched.frame()


def literal(type_: str, value: str) -> str:
    return "'" + value.replace("'", "''") + f"'::{type_}"


def assert_same(one: Frame, other: Frame) -> None:
    assert one.notes == other.notes
    assert [str(dtype) for dtype in one.data.dtypes] == [str(dtype) for dtype in other.data.dtypes]
    assert one.data.columns.to_list() == other.data.columns.to_list()
    for i in range(one.data.shape[1]):
        if str(one.data.dtypes.iloc[i]) != "object":
            pd.testing.assert_series_equal(one.data.iloc[:, i], other.data.iloc[:, i], check_exact=True)
        for a, b in zip(one.data.iloc[:, i], other.data.iloc[:, i], strict=True):
            assert type(a) is type(b)
            assert a == b if isinstance(a, Decimal) and a.is_finite() else repr(a) == repr(b)
            if isinstance(a, float):
                assert math.copysign(1, a) == math.copysign(1, b)


def check(conn: psycopg.Connection, type_: str, values: list[str], output: Output = DEFAULT) -> None:
    rows = [f"({i}, {literal(type_, value)})" for i, value in enumerate(values)]
    table = f"(VALUES {', '.join(rows)}) AS t(i, v)"
    for sql in (
        f"SELECT v FROM {table} ORDER BY i",
        f"SELECT CASE WHEN i % 2 = 0 THEN v END AS v, i FROM {table}, generate_series(1, 3) n ORDER BY n, i",
        f"SELECT i, NULL::{type_} AS v, v AS w FROM {table} ORDER BY i DESC",
        f"SELECT v FROM {table} WHERE i < 0",
    ):
        assert_same(fast(conn, sql, output), ordinary(conn, sql, output))


@pytest.mark.parametrize("type_", TYPES)
def test_every_type(conn: psycopg.Connection, type_: str) -> None:
    check(conn, type_, TYPES[type_])


@pytest.mark.parametrize("type_", ODD)
def test_values_that_python_does_not_have(conn: psycopg.Connection, type_: str) -> None:
    for value in ODD[type_]:
        check(conn, type_, [value])
    check(conn, type_, [*TYPES.get(type_, []), *ODD[type_]])


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Etc/GMT+5"]
)
def test_time_zones(conn: psycopg.Connection, zone: str) -> None:
    conn.execute(f"SET TimeZone = '{zone}'")
    try:
        check(conn, "timestamptz", TYPES["timestamptz"])
        check(conn, "timestamptz", EDGES_OF_TIME)
        check(conn, "timestamptz", [*EDGES_OF_TIME, *ODD["timestamptz"]])
        years = ("1850-01-01", "1945-05-01", "2037-07-01", "2500-07-01")
        check(conn, "timestamptz", [f"{year} 00:00+00" for year in years])
    finally:
        conn.execute("RESET TimeZone")


def test_no_rows_have_the_zone_of_the_session_too(conn: psycopg.Connection) -> None:
    conn.execute("SET TimeZone = 'Asia/Kathmandu'")
    try:
        for way in (fast, ordinary):
            data = way(conn, "SELECT now() AS v, '{}'::jsonb AS j FROM pg_am WHERE false").data
            assert [str(dtype) for dtype in data.dtypes] == ["datetime64[us, Asia/Kathmandu]", "object"]
    finally:
        conn.execute("RESET TimeZone")


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_a_date_style_fails_no_fetch(conn: psycopg.Connection, style: str) -> None:
    conn.execute(f"SET DateStyle = '{style}'")
    try:
        sql = "SELECT date '2024-02-03' AS d, timestamp '2024-02-03 04:05' AS t, timestamptz '2024-02-03 04:05+00' AS z"
        quick, slow = fast(conn, sql), ordinary(conn, sql)
        assert quick.notes == ()
        assert str(quick.data["z"].dtype) == "datetime64[us, UTC]"
        assert quick.data["z"][0] == pd.Timestamp("2024-02-03 04:05", tz="UTC")
        pd.testing.assert_frame_equal(quick.data[["d", "t"]], slow.data[["d", "t"]])
        # psycopg's loader reads the text of a timestamptz in no style but ISO.
        assert "kept as the server's text" in slow.notes[0]
    finally:
        conn.execute("RESET DateStyle")


@pytest.mark.parametrize("style", ["iso_8601", "sql_standard", "postgres_verbose"])
def test_an_interval_style_does_not_matter(conn: psycopg.Connection, style: str) -> None:
    conn.execute(f"SET IntervalStyle = '{style}'")
    try:
        values = fast(conn, "SELECT interval '1 day 02:00' AS v").data["v"]
        assert values.to_list() == [pd.Timedelta(days=1, hours=2)]
    finally:
        conn.execute("RESET IntervalStyle")


def test_json_nested_too_deep_is_the_servers_text(conn: psycopg.Connection) -> None:
    sql = "SELECT (repeat('[', 5000) || repeat(']', 5000))::jsonb AS j"
    for way in (fast, ordinary):
        frame = way(conn, sql)
        assert frame.data["j"][0] == "[" * 5000 + "]" * 5000
        assert "kept as the server's text" in frame.notes[0]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII", "EUC_JP"])
def test_client_encodings(conn: psycopg.Connection, encoding: str) -> None:
    conn.execute(f"SET client_encoding = '{encoding}'")
    try:
        accent = "'x'" if encoding == "EUC_JP" else "chr(233)"
        sql = (
            f"SELECT {accent} AS e, 'abc'::char(5) AS c, relname, E'a\\nb' AS t FROM pg_class ORDER BY relname LIMIT 20"
        )
        assert_same(fast(conn, sql), ordinary(conn, sql))
    finally:
        conn.execute("RESET client_encoding")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS a, 2 AS a, 'x' AS a, 3 AS a_1",
        'SELECT 1 AS "é", 2 AS "quo""ted"',
        "SELECT FROM generate_series(1, 3)",
        "SELECT * FROM pg_class WHERE false",
        "SELECT * FROM pg_attribute ORDER BY attrelid, attnum LIMIT 500",
        "SELECT * FROM pg_class ORDER BY oid",
        "SELECT * FROM pg_type ORDER BY oid",
        "SELECT * FROM pg_stats ORDER BY schemaname, tablename, attname LIMIT 50",
        "SELECT * FROM pg_settings ORDER BY name",
        "VALUES (1, 'a'), (2, NULL)",
        "TABLE pg_am",
        "SELECT oid, amname FROM pg_am ORDER BY oid -- the end",
        "WITH a AS (SELECT 1 AS x) SELECT x, ROW(x, 'y') FROM a -- the end",
        "SELECT pg_sleep(0), 'a'::cstring, ARRAY[ROW(1, 2)], NULL",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 /* end */",
    ],
)
def test_queries(conn: psycopg.Connection, sql: str) -> None:
    result = conn.wait(fetch(conn, sql))
    if "SELECT FROM" in sql:
        assert result is None, "the ordinary way counts rows without columns"
        assert ordinary(conn, sql).data.shape == (3, 0)
        return
    assert result is not None
    assert_same(result.frame(), ordinary(conn, sql))


def test_a_type_with_a_cast_of_its_own_to_text_is_shown_as_the_server_writes_it(conn: psycopg.Connection) -> None:
    shout = "CREATE FUNCTION fast_shout(fast_mood) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT 'SHOUTED'::text$$"
    with conn.transaction(force_rollback=True):
        conn.execute(shout)
        conn.execute("CREATE CAST (fast_mood AS text) WITH FUNCTION fast_shout(fast_mood)")
        assert fast(conn, "SELECT 'sad'::fast_mood AS v, 1 AS n").data["v"].to_list() == ["sad"]


def test_numerics_by_the_thousand_are_the_nearest_floats(conn: psycopg.Connection) -> None:
    sql = (
        "SELECT setseed(0.5); CREATE TEMP TABLE numerics AS"
        " SELECT i, (random() * 10 ^ (random() * 30 - 10))::numeric AS a, i::numeric / 7 AS b,"
        " round((random() * 1e7)::numeric, 2) AS c, -(i::numeric ^ 5) AS d, (9007199254740992 + i)::numeric AS e,"
        " (i::numeric / 3) ^ (i % 40 - 20) AS f, trunc(random() * 1e8)::numeric * 1e8 AS g,"
        " (9007199254740993 + 7919 * i)::numeric * 0.0001 AS h"
        " FROM generate_series(1, 5000) i"
    )
    conn.execute(sql)
    for output in (Output(), Output(decimals="exact")):
        table = "SELECT * FROM numerics ORDER BY i"
        assert_same(fast(conn, table, output), ordinary(conn, table, output))
    conn.execute("DROP TABLE numerics")


def test_a_number_of_100_000_digits_is_not_written_out(conn: psycopg.Connection) -> None:
    frame = fast(conn, "SELECT -1e131071 AS v")
    assert frame.data["v"].to_list() == ["-1.000E+131071"]
    assert "kept as the server's text" in frame.notes[0]
    assert fast(conn, "SELECT -1e131071 AS v", Output(decimals="exact")).data["v"][0] == Decimal("-1E+131071")


@pytest.mark.parametrize("backend", ["numpy", "pyarrow"])
@pytest.mark.parametrize("type_", TYPES)
def test_other_dtypes(conn: psycopg.Connection, type_: str, backend: Any) -> None:
    check(conn, type_, TYPES[type_] + ODD.get(type_, []), Output(backend))


DECLARED = [
    ("numeric(10, 2)", ["0", "1.50", "-0.01", "99999999.99"], "decimal128(10, 2)", "decimal128(10, 2)"),
    ("numeric(38, 20)", ["0.1", "-" + "9" * 15 + ".5"], "decimal128(38, 20)", "decimal128(38, 20)"),
    ("numeric(5)", ["12345", "0"], "decimal128(5, 0)", "decimal128(5, 0)"),
    ("numeric(76, 10)", ["9" * 60 + ".0123456789", "-1"], "decimal256(76, 10)", "decimal256(76, 10)"),
    ("numeric(77, 1)", ["1.5", "-20"], "decimal128(3, 1)", "decimal128(1, 0)"),
    ("numeric", ["1.5", "-20.125"], "decimal128(5, 3)", "decimal128(1, 0)"),
]
"""What a column is declared as, values, what holds them, and what holds none of them; a numeric without digits, or with
more than Arrow has, is as wide as its values."""


@pytest.mark.parametrize(("type_", "values", "dtype", "empty"), DECLARED)
def test_exact_decimals_are_as_wide_as_the_column(
    conn: psycopg.Connection, type_: str, values: list[str], dtype: str, empty: str
) -> None:
    exact = Output(decimals="exact")
    check(conn, type_, values, exact)
    sql = f"SELECT v::{type_} FROM unnest(ARRAY{{}}::numeric[]) AS v"
    for way in (fast, ordinary):
        for some, found in ((values, dtype), ([], empty)):
            frame = way(conn, sql.format(some), exact)
            assert str(frame.data["v"].dtype) == f"{found}[pyarrow]"
            assert frame.data["v"].to_list() == [Decimal(value) for value in some]
            assert frame.notes == ()
        odd = way(conn, sql.format([*values, "NaN"]), exact)
        assert odd.data["v"].dtype == object
        assert "does not fit an Arrow decimal" in odd.notes[0]


@pytest.mark.parametrize("backend", ["nullable", "numpy", "pyarrow"])
@pytest.mark.parametrize("type_", ["numeric", "numeric(12,2)", "numeric[]"])
def test_exact_decimals(conn: psycopg.Connection, type_: str, backend: Any) -> None:
    check(conn, type_, TYPES[type_], Output(backend, "exact"))
    if type_ == "numeric":
        for value in TYPES[type_]:
            check(conn, type_, [value], Output(backend, "exact"))
