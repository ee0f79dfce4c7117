"""What `export` writes is what the query returns: CSV as psql's \\copy, Parquet as the types of the columns say."""

import gzip
import math
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fix_pools import Kind
from fix_server import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from pgmonkey_magic.cells import AsItIs, Export, Request, Session
from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.errors import RequestError, SQLError
from pgmonkey_magic.results import Output

FIXED = {
    "int2": (pa.int16(), ["-32768", "7"]),
    "int4": (pa.int32(), ["0", "-2147483648", "2147483647"]),
    "int8": (pa.int64(), ["9223372036854775807", "9007199254740993"]),
    "oid": (pa.uint32(), ["0", "4294967295"]),
    "float4": (pa.float32(), ["0.1", "-0", "3.4028235e38", "NaN", "-Infinity"]),
    "float8": (pa.float64(), ["0.1", "5e-324", "NaN", "Infinity"]),
    "bool": (pa.bool_(), ["true", "false"]),
    "numeric(12,2)": (pa.decimal128(12, 2), ["0", "-9999999999.99", "0.10"]),
    "numeric(38,10)": (pa.decimal128(38, 10), ["1234567890123456789012345678.0123456789"]),
    "numeric(60,20)": (pa.decimal256(60, 20), ["1234567890123456789012345678901234567890.01234567890123456789"]),
    "numeric(5,-2)": (pa.decimal128(7, 0), ["1234567", "-100"]),
    "numeric(3,5)": (pa.decimal128(5, 5), ["0.00123"]),
    "text": (pa.large_string(), ["", "é🐒", "x" * 5000, "a\nb", "NaN", "infinity"]),
    "varchar(9)": (pa.large_string(), ["", "abc"]),
    "char(5)": (pa.large_string(), ["a", "abcde"]),
    "date": (pa.date32(), ["0001-01-01", "1969-12-31", "9999-12-31"]),
    "timestamp": (pa.timestamp("us"), ["0001-01-01", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"]),
    "timestamptz": (pa.timestamp("us", "Europe/Berlin"), ["1969-12-31 23:59:59.999999+00", "2024-07-01 12:00+00"]),
    "time": (pa.time64("us"), ["00:00", "23:59:59.999999"]),
    "bytea": (pa.binary(), ["", r"\x00ff"]),
    "int4[]": (pa.list_(pa.int32()), ["{}", "{1,NULL,-2147483648}"]),
    "int2[]": (pa.list_(pa.int16()), ["{1}"]),
    "float4[]": (pa.list_(pa.float32()), ["{0.1}"]),
    "text[]": (pa.list_(pa.large_string()), ["{}", '{"a,b",NULL,"NULL",""}']),
    "bool[]": (pa.list_(pa.bool_()), ["{t,NULL}"]),
    "date[]": (pa.list_(pa.date32()), ["{2020-01-01,NULL}"]),
    "timestamptz[]": (pa.list_(pa.timestamp("us", "Europe/Berlin")), ["{2020-01-01 00:00+00}"]),
    "numeric(6,1)[]": (pa.list_(pa.decimal128(6, 1)), ["{1.5,NULL}"]),
}
AS_TEXT = {
    "numeric": ["1.10", "1e400", "NaN", "-Infinity", "0.000"],
    "numeric(100,2)": ["1.10"],
    "numeric[]": ["{1.50,NaN}"],
    "interval": ["1 day", "1 year 2 mons -3 days 04:05:06.7", "178000000 years"],
    "timetz": ["24:00:00+02", "12:34:56.7+05:30"],
    "uuid": ["ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ['{"a": [1, 2.5, null, "é"]}', "1e999"],
    "jsonb": ["null", '{"a": [1, 2.5, null, "é"]}'],
    "inet": ["10.0.0.1/8", "::1"],
    "int4range": ["empty", "[1,5)"],
    "tstzrange": ["[2020-01-01 00:00+00,infinity)"],
    "int4multirange": ["{[1,2),[5,8)}"],
    "interval[]": ["{1 mon,1 day}"],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "point": ["(1,2)"],
    "money": ["12.34"],
    "bit(3)": ["101"],
    "tsvector": ["a b:1"],
    "regclass": ["pg_class"],
    "int2vector": ["1 2"],
}

Exporting = Callable[..., Any]


@pytest.fixture
def session(server: Server, kind: Kind) -> Iterator[Session]:
    """A session on a pool of the kind, in a zone with a summer time."""
    session = Session()
    settings_key = "sync_settings" if kind.connection_type == "pool" else "async_settings"
    config = {**server.config(), settings_key: {"TimeZone": "Europe/Berlin"}}
    session.connect_dict(config, name="test", connection_type=kind.connection_type)
    return session


@pytest.fixture
def export(session: Session, tmp_path: Path) -> Exporting:
    """`export(name, sql)` exports and returns the result."""

    def exporting(name: str, sql: str, decimals: str | None = None, **values: Any) -> Any:
        request = Request(sql, values, way=Export.to(str(tmp_path / name), decimals))
        return session.start(request, session.named("test")).outcome(120)

    return exporting


def cell(session: Session, sql: str, **output: str) -> Any:
    return session.start(Request(sql, way=AsItIs(Output(**output))), session.named("test")).result(120)


def values(types: dict[str, list[str]]) -> str:
    """A query with one column for each type: its values, a NULL, and as many rows as the longest has."""
    columns = ", ".join(
        f"(ARRAY[{', '.join(literal(value) for value in found)}, NULL])[i]::{type_} AS " + f'"{type_}"'
        for type_, found in types.items()
    )
    return f"SELECT {columns} FROM generate_series(1, 7) i ORDER BY i"


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# -- CSV ---------------------------------------------------------------------------------------------------------------

NASTY = (
    'SELECT i, t, NULL::text AS n, \'\' AS e, i::numeric(9,2) AS "a ""b"", c", ARRAY[\'x\', NULL, \'a"b\'] AS arr, '
    "'\\x00ff'::bytea AS raw FROM unnest(ARRAY['a', 'a,b', 'a\"b', E'a\\nb', E'a\\rb', '\\.', ' x ', 'é🐒', NULL, '', "
    "E'a\\tb']) WITH ORDINALITY AS _(t, i) -- the end"
)
QUERIES = {
    "nasty": NASTY,
    "one column": "SELECT t FROM unnest(ARRAY['\\.', '', NULL, 'a']) t",
    "no rows": "SELECT 1 AS a, 2 AS a WHERE false",
    "twice the same name": "SELECT 1 AS a, 2 AS a, 3 AS a;",
    "many rows": "SELECT i, md5(i::text), i * 0.1 AS x, now()::date FROM generate_series(1, 50000) i",
    "with": "WITH x AS (SELECT 1 AS a) TABLE x",
    "brackets": "(SELECT 1 AS a) UNION ALL SELECT 2 ORDER BY a",
    "values": "VALUES (1, 'a'), (2, 'b')",
}


def psql_copy(server: Server, path: Path, sql: str, options: str) -> bytes:
    one_line = " ".join(sql.removesuffix(" -- the end").rstrip(";").split("\n"))
    subprocess.run(
        [find_binaries() / "psql", "-qX", make_conninfo(**server.settings)],
        input=rf"SET TimeZone = 'Europe/Berlin'; \copy ({one_line}) TO '{path}' (FORMAT csv, HEADER{options})",
        text=True,
        check=True,
        env={"PGCLIENTENCODING": "UTF8"},
    )
    return path.read_bytes()


@pytest.mark.parametrize("case", QUERIES)
def test_csv_is_what_psql_writes(server: Server, export: Exporting, tmp_path: Path, case: str) -> None:
    sql = QUERIES[case]
    expected = psql_copy(server, tmp_path / "psql.csv", sql, "")
    result = export("ours.csv", sql)
    assert (tmp_path / "ours.csv").read_bytes() == expected
    assert result.value.rowcount == cell_rows(server, sql)
    assert result.value.tag.startswith("export ")
    assert result.value.tag.endswith("→ ours.csv")
    export("ours.csv.gz", sql)
    assert gzip.decompress((tmp_path / "ours.csv.gz").read_bytes()) == expected
    expected = psql_copy(server, tmp_path / "psql.tsv", sql, r", DELIMITER E'\t'")
    export("ours.tsv", sql)
    assert (tmp_path / "ours.tsv").read_bytes() == expected


def cell_rows(server: Server, sql: str) -> int:
    return len(server.query(sql))


@pytest.mark.parametrize("sql", ["SHOW work_mem", "EXPLAIN (COSTS OFF) SELECT 1 AS x"])
def test_what_copy_does_not_take_is_csv_too(export: Exporting, tmp_path: Path, sql: str) -> None:
    export("x.csv", sql)
    header, *lines = (tmp_path / "x.csv").read_text().splitlines()
    assert (header, lines) in [("work_mem", ["4MB"]), ("QUERY PLAN", ["Result"])]


@given(st.lists(st.one_of(st.none(), st.just(r"\."), st.text('ab,"\\.\t\n\ré ', max_size=4)), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_our_own_csv_follows_the_server(server: Server, cells: list[str | None]) -> None:
    from pgmonkey_magic.cells.export.csv import Csv

    with psycopg.connect(**server.settings) as conn:
        row = psycopg.sql.SQL(", ").join([psycopg.sql.SQL("{}::text").format(each) for each in cells])
        copy = psycopg.sql.SQL("COPY (SELECT {}) TO STDOUT (FORMAT csv)").format(row)
        with conn.cursor().copy(copy) as out:
            expected = b"".join(map(bytes, out))
    assert Csv()._line([None if each is None else each.encode() for each in cells]) == expected


# -- Parquet -----------------------------------------------------------------------------------------------------------


def test_each_type_has_its_column_and_its_values(session: Session, export: Exporting, tmp_path: Path) -> None:
    sql = values({type_: found for type_, (_, found) in FIXED.items()})
    export("x.parquet", sql)
    table = pq.read_table(tmp_path / "x.parquet")
    assert {field.name: field.type for field in table.schema} == {
        name: pa.list_(type_.value_type) if pa.types.is_list(type_) else type_ for name, (type_, _) in FIXED.items()
    }
    frame = cell(session, sql, kind="arrow", decimals="exact")
    for name in FIXED:
        # The elements of a float4[] are Python's floats in a cell.
        expected = frame[name].cast(pa.list_(pa.float32())) if name == "float4[]" else frame[name]
        assert same(table[name].to_pylist(), expected.to_pylist()), name
        assert None in table[name].to_pylist(), name


def same(ours: list[Any], others: list[Any]) -> bool:
    return repr([normal(each) for each in ours]) == repr([normal(each) for each in others])


def normal(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.normalize()
    if isinstance(value, list):
        return [normal(each) for each in value]
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def test_pandas_reads_what_the_cell_gives(session: Session, export: Exporting, tmp_path: Path) -> None:
    sql = (
        "SELECT i::int2 AS a, i AS b, i::int8 AS c, i * 0.5::float8 AS d, i % 2 = 0 AS e, 'x' || i AS f, "
        "date '2020-01-01' + i AS g, timestamp '2020-01-01' + i * interval '1 h' AS h, "
        "timestamptz '2020-03-29' + i * interval '1 h' AS k, i::numeric(9,2) AS n FROM generate_series(1, 1000) i"
    )
    export("x.parquet", sql, "float")
    ours, frame = pd.read_parquet(tmp_path / "x.parquet"), cell(session, sql)
    frame["g"] = frame["g"].dt.date
    pd.testing.assert_frame_equal(ours, frame)


def test_other_types_are_the_servers_text_and_a_line_says_so(server: Server, export: Exporting, tmp_path: Path) -> None:
    sql = values(AS_TEXT)
    result = export("x.parquet", sql)
    table = pq.read_table(tmp_path / "x.parquet")
    assert set(table.schema.types) == {pa.large_string()}
    with psycopg.connect(**server.settings, options="-c TimeZone=Europe/Berlin") as conn:
        said = conn.execute(sql).pgresult  # type: ignore[arg-type]
        assert said is not None
        expected = [[said.get_value(row, i) for row in range(said.ntuples)] for i in range(said.nfields)]
    ours = [[None if each is None else each.encode() for each in column.to_pylist()] for column in table.columns]
    assert ours == expected
    numbers, others = result.lines
    assert "any number of digits: numeric, numeric(100,2), numeric[]; cast to numeric(p, s)" in numbers
    assert "as the server writes it: interval, timetz, uuid" in others


def test_the_schema_does_not_depend_on_the_rows(export: Exporting, tmp_path: Path) -> None:
    everything = {**{type_: found for type_, (_, found) in FIXED.items()}, **AS_TEXT}
    sql = values(everything)
    export("all.parquet", sql)
    schema = pq.read_schema(tmp_path / "all.parquet")
    for case in ("i > 99", "i = 7", "i = 1"):
        export("some.parquet", sql.replace("ORDER BY", f"WHERE {case} ORDER BY"))
        assert pq.read_schema(tmp_path / "some.parquet") == schema, case
    export("none.parquet", sql + " LIMIT 0")
    empty = pq.read_table(tmp_path / "none.parquet")
    assert (empty.schema, empty.num_rows) == (schema, 0)


def test_a_large_result_is_several_row_groups_of_one_schema(export: Exporting, tmp_path: Path) -> None:
    # The first NULL, the first long number and the first array come late.
    result = export(
        "x.parquet",
        "SELECT i, CASE WHEN i > 900000 THEN i END AS late, (i * 1000.01)::numeric(20,2) AS n, "
        "CASE WHEN i > 900000 THEN ARRAY[i] END AS a, 'x' || i AS t FROM generate_series(1, 1000000) i ORDER BY i",
    )
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.metadata.num_row_groups > 1
    assert result.value.rowcount == file.metadata.num_rows == 1_000_000
    table = file.read()
    assert table["i"].to_pylist() == list(range(1, 1_000_001))
    assert table["late"].null_count == 900_000
    assert table["n"][-1].as_py() == Decimal("1000010000.00")
    assert table["a"][-1].as_py() == [1_000_000]


def test_names_are_as_in_a_cell(export: Exporting, tmp_path: Path) -> None:
    result = export("x.parquet", 'SELECT 1 AS a, 2 AS a, 3 AS "a_1", 4 AS "column x: y"')
    assert pq.read_schema(tmp_path / "x.parquet").names == ["a", "a_2", "a_1", "column x: y"]
    assert "second column a renamed to a_2" in result.lines


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("date 'infinity'", "infinity"),
        ("date '10000-01-01'", "a year beyond"),
        ("timestamp '-infinity'", "infinity"),
        ("timestamptz '0044-03-15 BC'", "a year beyond"),
        ("time '24:00'", "24:00:00"),
        ("'NaN'::numeric(9,2)", "NaN"),
        ("ARRAY[[1, 2], [3, 4]]", "more than one dimension"),
        ("ARRAY[date 'infinity']", "infinity"),
    ],
)
def test_a_value_without_a_place_in_its_column_is_an_error(
    session: Session, export: Exporting, tmp_path: Path, value: str, said: str
) -> None:
    for others in ("", f" UNION ALL SELECT 2, NULLIF({value}, {value})"):
        with pytest.raises(RequestError, match="column odd holds a value that") as caught:
            export("x.parquet", f"SELECT 1 AS i, {value} AS odd{others}")
        assert said in str(caught.value)
        assert "cast the column to text" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    export("x.parquet", f"SELECT 1 AS i, ({value})::text AS odd")
    assert session.named("test").pool.occupancy.in_use == 0


def test_decimals_as_floats(export: Exporting, tmp_path: Path) -> None:
    result = export("x.parquet", "SELECT 0.1::numeric AS a, 1.5::numeric(9,2) AS b, ARRAY[2.5] AS c", "float")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.to_pylist() == [{"a": 0.1, "b": 1.5, "c": [2.5]}]
    assert result.lines == ()
    with pytest.raises(RequestError, match="column a holds a value that double has not"):
        export("x.parquet", "SELECT 1e400::numeric AS a", "float")


@pytest.mark.parametrize("sql", ["SHOW work_mem", "EXPLAIN (COSTS OFF) SELECT 1 AS x"])
def test_what_copy_does_not_take_is_parquet_too(export: Exporting, tmp_path: Path, sql: str) -> None:
    export("x.parquet", sql)
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() in ([{"work_mem": "4MB"}], [{"QUERY PLAN": "Result"}])


# -- both --------------------------------------------------------------------------------------------------------------

WRITING = {
    "insert": "INSERT INTO {} SELECT generate_series(1, 3) RETURNING n, n::numeric AS x, interval '1 mon' AS y",
    "insert of arrays": "INSERT INTO {} VALUES (1), (2), (3) RETURNING n, ARRAY[n] AS x, int4range(n, 9) AS y",
    "with": "WITH t AS (INSERT INTO {} VALUES (1), (2), (3) RETURNING n) SELECT n, n::numeric AS x, 1 AS y FROM t",
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("case", WRITING)
def test_what_writes_and_returns_is_exported_and_committed(
    server: Server, export: Exporting, table: str, tmp_path: Path, case: str, ending: str
) -> None:
    result = export(f"x.{ending}", WRITING[case].format(table))
    assert result.value.rowcount == 3
    assert server.query(f"SELECT n FROM {table}") == [(1,), (2,), (3,)]
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    back = read(tmp_path / f"x.{ending}")
    assert list(back.columns) == ["n", "x", "y"]
    assert back["n"].tolist() == [1, 2, 3]
    export(f"y.{ending}", f"DELETE FROM {table} RETURNING n")
    assert server.query(f"SELECT n FROM {table}") == []
    assert read(tmp_path / f"y.{ending}")["n"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_file_that_cannot_be_written_changes_nothing(
    server: Server, export: Exporting, table: str, tmp_path: Path, ending: str
) -> None:
    with pytest.raises(RequestError, match="there is no directory"):
        export(f"nowhere/x.{ending}", f"INSERT INTO {table} VALUES (1) RETURNING n")
    assert server.query(f"SELECT n FROM {table}") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_parameters_are_values(export: Exporting, tmp_path: Path, ending: str) -> None:
    nasty = "it's; DROP TABLE x -- \\"
    export(
        f"x.{ending}",
        "SELECT :t AS t, :i + 1 AS i, :a::int[] AS a, :n AS n, :u AS u",
        t=nasty,
        i=41,
        a=[1, 2],
        n=None,
        u=uuid.UUID(int=7),
    )
    back = (pd.read_csv if ending == "csv" else pd.read_parquet)(tmp_path / f"x.{ending}")
    assert back[["t", "i", "u"]].iloc[0].tolist() == [nasty, 42, str(uuid.UUID(int=7))]
    assert back["n"].isna().all()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_error_points_into_the_query(export: Exporting, tmp_path: Path, ending: str) -> None:
    with pytest.raises(SQLError, match="nowhere") as caught:
        export(f"x.{ending}", "SELECT 1,\n  nowhere")
    assert caught.value.detail[:2] == ("LINE 2:   nowhere", "          ^")
    with pytest.raises(SQLError, match="invalid input syntax") as caught:
        export(f"x.{ending}", "SELECT 1,\n  'x'::text::int")
    with pytest.raises(SQLError, match="invalid input syntax") as caught:
        export(f"x.{ending}", "SELECT :x::int", x="no number")
    assert not caught.value.detail[0].startswith("LINE")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql", ["CREATE TEMP TABLE x ()", "SELECT FROM pg_class", "COPY (SELECT 1) TO STDOUT", "SET work_mem = '5MB'"]
)
def test_what_returns_nothing_is_refused(export: Exporting, tmp_path: Path, sql: str) -> None:
    with pytest.raises(RequestError, match="export takes a query that returns columns"):
        export("x.csv", sql)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_is_bounded(server: Server, kind: Kind, tmp_path: Path, ending: str) -> None:
    # 200 MB on the wire; the bound is far above what two row groups need, and far below the result.
    code = f"""
import resource
from pgmonkey_magic.cells import Export, Request, Session
from pgmonkey_magic.pools import clear_cache
session = Session()
session.connect_dict({server.config()!r}, name="test", connection_type={kind.connection_type!r})
def export(rows):
    sql = f"SELECT i, i::int8 AS b, i::float8 AS f, repeat(md5(i::text), 5) AS t FROM generate_series(1, {{rows}}) i"
    way = Export.to({str(tmp_path / "x.")!r} + {ending!r}, None)
    job = session.start(Request(sql, way=way), session.named("test"))
    job.result(100)
    return job.progress.nbytes
export(1000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
nbytes = export(1_000_000)
clear_cache()
print(nbytes >> 20, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    travelled, grown = map(int, done.stdout.split())
    assert travelled > 170
    assert grown < (20 if ending == "csv" else 130)
