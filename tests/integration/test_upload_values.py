"""A DataFrame into a table: what arrives of each kind of value, and what is refused with column and row."""

import datetime as dt
import ipaddress
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from fix_upload import Uploads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgmonkey_magic.errors import RequestError, SQLError


def test_every_kind_of_column_gets_its_type_and_comes_back(up: Uploads) -> None:
    frame = pd.DataFrame(
        {
            "i8": np.array([-128, 127], "int8"),
            "u8": np.array([0, 255], "uint8"),
            "i16": np.array([-(2**15), 2**15 - 1], "int16"),
            "i32": np.array([-(2**31), 2**31 - 1], "int32"),
            "u32": np.array([0, 2**32 - 1], "uint32"),
            "i64": [-(2**63), 2**63 - 1],
            "u64": np.array([0, 2**64 - 1], "uint64"),
            "Int64": pd.array([2**62 + 1, None], dtype="Int64"),
            "f32": np.array([1.5, np.inf], "float32"),
            "f64": [-0.0, np.nan],
            "b": [True, False],
            "boolean": pd.array([True, None], dtype="boolean"),
            "text": ["", None],
            "cat": pd.Categorical(["x", None]),
            "ts": pd.to_datetime(["2024-02-29 01:02:03.000004", None]),
            "tz": pd.to_datetime(["2024-02-29 01:02:03.000004", None]).tz_localize("Asia/Tokyo"),
            "d": [dt.date(1, 1, 1), dt.date(9999, 12, 31)],
            "time": [dt.time(23, 59, 59, 999999), None],
            "timetz": [dt.time(1, tzinfo=dt.timezone(dt.timedelta(hours=-3))), None],
            "iv": pd.to_timedelta(["-1 days +23:00:00", None]),
            "num": [Decimal("1.10"), Decimal("NaN")],
            "big": [2**70, None],
            "uuid": [uuid.UUID(int=2**127), None],
            "js": [{"a": [1, None]}, [{"b": "ä"}]],
            "ints": [[1, None, 2**40], []],
            "texts": [["a", None, 'q"\\'], None],
            "nums": [[Decimal("0.10")], None],
            "vec": [np.array([1.5, 2.5]), np.array([], "float64")],
            "inet": [ipaddress.ip_address("::1"), ipaddress.ip_address("10.0.0.1")],
            "cidr": [ipaddress.ip_network("10.0.0.0/8"), None],
            "by": [b"\0\\\xff", b""],
            "none": [None, None],
        }
    )
    assert (done := up(frame)).tag == "COPY 2"
    assert done.rowcount == 2
    assert up.types() == [
        *("smallint", "smallint", "smallint", "integer", "bigint", "bigint", "numeric(20,0)", "bigint", "real"),
        *("double precision", "boolean", "boolean", "text", "text", "timestamp without time zone"),
        *("timestamp with time zone", "date", "time without time zone", "time with time zone", "interval"),
        *("numeric", "numeric", "uuid", "jsonb", "bigint[]", "text[]", "numeric[]", "double precision[]"),
        *("inet", "cidr", "bytea", "text"),
    ]
    back = up.run("SELECT *, num::text AS n, iv::text AS i FROM t", decimals="exact")
    for name in (
        "i8",
        "u8",
        "i16",
        "i32",
        "u32",
        "i64",
        "f32",
        "b",
        "text",
        "time",
        "timetz",
        "uuid",
        "js",
        "by",
        "iv",
        "ints",
        "texts",
        "nums",
        "inet",
        "cidr",
        "Int64",
        "boolean",
        "ts",
        "cat",
    ):
        given, found = frame[name], back[name]
        assert [x for x in given if not _missing(x)] == [x for x in found if not _missing(x)], name
        assert [_missing(x) for x in given] == [_missing(x) for x in found], name
    assert np.signbit(back["f64"][0])
    assert np.isnan(back["f64"][1])
    assert up.run("SELECT f64 IS NULL AS missing FROM t")["missing"].to_list() == [False, True]
    assert list(back["u64"]) == [0, 2**64 - 1]
    assert list(back["n"]) == ["1.10", "NaN"]
    assert back["big"][0] == 2**70
    assert back["tz"][0] == frame["tz"][0]
    assert back["d"].astype(str).to_list() == ["0001-01-01", "9999-12-31"]
    assert back["vec"].to_list() == [[1.5, 2.5], []]
    assert back["i"][0] == "-01:00:00"


def _missing(value: Any) -> bool:
    return value is None or (not isinstance(value, list | dict | np.ndarray) and bool(pd.isna(value)))


def test_polars_and_arrow(up: Uploads) -> None:
    data = {"a": [1, None], "s": ["x", None], "l": [[1, 2], None], "st": [{"k": 1}, None], "f": [float("nan"), None]}
    for frame in (pl.DataFrame(data, strict=False), pa.table(data), pd.DataFrame(data).convert_dtypes()):
        up.run("DROP TABLE IF EXISTS t")
        up(frame)
        found = up.run("SELECT a, s, l, st, f::text FROM t", as_="dicts")
        assert found[0]["a"] == 1
        assert (found[0]["s"], found[0]["l"], found[0]["st"]) == ("x", [1, 2], {"k": 1})
        assert set(found[1].values()) == {None}
        if not isinstance(frame, pd.DataFrame):
            assert found[0]["f"] == "NaN"  # there NaN is a value and null is missing
    more = pl.DataFrame({"d": [Decimal("1.10")], "t": [dt.time(1)], "iv": [dt.timedelta(-1)], "c": ["x"]}).with_columns(
        pl.col("c").cast(pl.Categorical)
    )
    back = up.back(more, decimals="exact")
    assert back.iloc[0].to_list() == [Decimal("1.10"), dt.time(1), pd.Timedelta(days=-1), "x"]
    with pytest.raises(RequestError, match="collect"):
        up(more.lazy())
    with pytest.raises(RequestError, match="to_frame"):
        up(pd.Series([1]))
    with pytest.raises(RequestError, match="list is no table"):
        up([1])


REFUSED: list[tuple[str, Any, str]] = [
    ("smallint", [1, 40_000], r"column 'c', df.iloc\[1\]: 40000 is out of range for smallint"),
    ("int", [1.0, 2.5], r"df.iloc\[1\]: 2.5 is no whole number"),
    ("int", [1.0, np.inf], "inf is out of range|no whole number"),
    ("bigint", [1.0, 2.0**63], "out of range for bigint"),
    ("bigint", np.array([1, 2**63], "uint64"), "out of range for bigint"),
    ("real", [1.0, 1e39], "out of range for real"),
    ("text", ["x", "a\0b"], r"df.iloc\[1\]: it has a NUL character"),
    ("text", pd.Series(["x", "\ud800"], dtype=object), r"df.iloc\[1\]: .*surrogates not allowed"),
    ("date", pd.to_datetime(["2024-01-01", "2024-01-01 10:00"], format="ISO8601"), "has a time of day"),
    ("timestamp", pd.to_datetime(["2024-01-01 00:00:00.000000001"] * 2).as_unit("ns"), "finer than a microsecond"),
    ("timestamp", np.array([0, 2**62], "M8[s]"), "out of range for a timestamp"),
    ("timestamp", pd.to_datetime(["2024-01-01"] * 2, utc=True), "has a time zone"),
    ("interval", pd.to_timedelta([0, 1], unit="ns").as_unit("ns"), "finer than a microsecond"),
    ("jsonb", [{"a": float("nan")}, {}], r"df.iloc\[0\]: Out of range float values"),
    ("jsonb", [{"a": object()}, {}], "not JSON serializable"),
]


@pytest.mark.parametrize(("kind", "values", "words"), REFUSED, ids=[f"{r[0]}: {r[2][:30]}" for r in REFUSED])
def test_what_does_not_fit_names_column_and_row(up: Uploads, kind: str, values: Any, words: str) -> None:
    up.run(f"CREATE TABLE t (n int, c {kind})")
    with pytest.raises(RequestError, match=words):
        up(pd.DataFrame({"n": [1, 2], "c": values}), mode="append")
    assert up.count() == 0
    assert up.idle() == 1


def test_a_mixture_is_an_error_that_says_what_to_do(up: Uploads) -> None:
    now = pd.Timestamp.now("UTC")
    for values in ([1, "x"], [dt.date(2024, 1, 1), 1], [True, 1], [now, now.tz_localize(None)]):
        with pytest.raises(RequestError, match=r"column 'c' holds values of several types .*astype\(str\)"):
            up(pd.DataFrame({"c": pd.Series(values, dtype=object)}))
    for values, words in (
        ([1j, 2j], "complex128"),
        ([object()], "class object"),
        (pd.period_range("2024", periods=1), "periods"),
    ):
        with pytest.raises(RequestError, match=words):
            up(pd.DataFrame({"c": values}))
    up(pd.DataFrame({"c": pd.Series([1, 2.5, None], dtype=object), "d": pd.Series([Decimal(1), 2, 3], dtype=object)}))
    assert up.types() == ["double precision", "numeric"]


def test_values_go_into_the_types_that_the_table_has(up: Uploads) -> None:
    up.run(
        "CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);"
        "CREATE TABLE t (i int, n numeric(6,2), f real, m mood, p positive, v varchar(3), ch char(3), d date, "
        "js jsonb, js2 json, t text, ts timestamp, o oid, arr int[])"
    )
    frame = pd.DataFrame(
        {
            "i": [1.0, np.nan],
            "n": [0.1, 10.005],
            "f": [1, 2],
            "m": ["ok", None],
            "p": [3, 4],
            "v": ["abc", ""],
            "ch": ["a", None],
            "d": pd.to_datetime(["2024-01-01", None]),
            "js": ['{"a": 1}', None],
            "js2": [[1], {"x": None}],
            "t": [1, 2],
            "ts": [dt.date(2024, 1, 1), None],
            "o": [1, 2**32 - 1],
            "arr": [[1, None], []],
        }
    )
    up(frame, mode="append")
    row = up.run("SELECT * FROM t", as_="dicts")[0]
    assert (row["i"], row["n"], row["m"], row["p"], row["ch"]) == (1, 0.1, "ok", 3, "a  ")
    assert (row["js"], row["js2"], row["t"], row["arr"]) == ({"a": 1}, [1], "1", [1, None])
    with pytest.raises(SQLError, match="violates check constraint") as failed:
        up(frame.assign(p=[1, -1]), mode="append")
    assert "ROW: df.iloc[1]" in "\n".join(failed.value.detail)
    with pytest.raises(SQLError, match="too long for type character varying") as failed:
        up(frame.assign(v=["abcd", ""]).set_axis(["x", "y"]), mode="append")
    assert "ROW: df.iloc[0] (index 'x')" in "\n".join(failed.value.detail)
    with pytest.raises(SQLError, match="invalid input value for enum mood"):
        up(frame.assign(m="fine"), mode="append")
    assert up.count() == 2


def test_what_has_no_binary_form_goes_as_text(up: Uploads) -> None:
    up.run(
        "CREATE TABLE t (i int, ts timestamptz, n numeric, u uuid, m macaddr, r int4range, b bool, f float8, d date, "
        "s text, x int, iv interval, nested int[], z timestamptz, by bytea, js jsonb, ok bool)"
    )
    frame = pd.DataFrame(
        {
            "i": ["1", None],
            "ts": pd.to_datetime(["2024-07-01", None]),  # the session's zone, as in a literal
            "n": ["1.50", "NaN"],
            "u": [str(uuid.UUID(int=7)), None],
            "m": ["08:00:2b:01:02:03", None],
            "r": [psycopg.types.range.Range(1, 5), None],
            "b": ["yes", None],
            "f": [1e300, np.nan],
            "d": [dt.date(2024, 1, 1), None],
            "s": ["tab\t nl\n cr\r bs\\ \\N é", None],
            "x": [2.0, np.nan],
            "iv": pd.to_timedelta(["1 days", None]),
            "nested": [[[1, 2], [3, 4]], None],
            "z": pd.to_datetime(["2024-01-01", None], utc=True),
            "by": [b"\0\\", None],
            "js": [{"a": "\\"}, None],
            "ok": [True, False],
        }
    )
    up(frame, mode="append")
    first, second = up.run("SELECT t.*, iv::text AS i2, r::text AS r2, ts::text AS ts2 FROM t", as_="dicts")
    assert (first["i"], first["n"], first["u"], first["m"]) == (1, 1.5, uuid.UUID(int=7), "08:00:2b:01:02:03")
    assert (first["ts2"], first["r2"], first["b"], first["f"]) == ("2024-07-01 00:00:00+03", "[1,5)", True, 1e300)
    assert (first["s"], first["x"], first["i2"]) == ("tab\t nl\n cr\r bs\\ \\N é", 2, "1 day")
    assert (first["nested"], first["by"], first["js"]) == ([[1, 2], [3, 4]], b"\0\\", {"a": "\\"})
    assert first["z"] == pd.Timestamp("2024-01-01", tz="UTC")
    assert all(second[name] is None for name in ("i", "u", "m", "b", "d", "s", "x", "nested", "by", "js"))
    with pytest.raises(SQLError, match="invalid input syntax for type integer") as failed:
        up(frame.assign(i=["1", "x"]), mode="append")
    assert "ROW: df.iloc[1]" in "\n".join(failed.value.detail)
    assert up.count() == 2


def test_a_session_in_another_encoding(up: Uploads) -> None:
    frame = pd.DataFrame({"a": ["é", None]})
    up.run("BEGIN; SET LOCAL client_encoding = 'LATIN1'")
    up(frame)
    assert up.run("SELECT a, length(a) AS n FROM t")["n"].to_list()[0] == 1
    with pytest.raises(RequestError, match=r"no .* SET client_encoding"):
        up(pd.DataFrame({"a": ["€"]}), mode="append")
    up.run("ROLLBACK")


def test_large_values_and_many_pieces(up: Uploads) -> None:
    texts = ["x" * (1 << 22), "", "y" * (1 << 23), None] + ["z"] * 100_000
    frame = pd.DataFrame({"a": range(len(texts)), "s": texts})
    back = up.back(frame)
    pd.testing.assert_frame_equal(back.sort_values("a", ignore_index=True), frame)


@pytest.mark.parametrize(
    "output",
    [{}, {"dtypes": "numpy"}, {"dtypes": "pyarrow"}, {"decimals": "exact"}, {"as_": "arrow"}, {"as_": "polars"}],
    ids=str,
)
def test_whatever_a_query_gives_goes_back_unchanged(up: Uploads, output: dict[str, str]) -> None:
    up.run(
        "CREATE TABLE source AS SELECT i, i::int2 AS s, i * 1000003 AS b, i / 7.0::float4 AS r, i / 7.0::float8 AS f, "
        "i % 2 = 0 AS ok, (i * 1.25)::numeric(12,3) AS n, 'ä' || i AS t, ('v' || i)::varchar(9) AS v, "
        "date '2024-01-01' + i AS d, timestamp '1969-12-31 23:59:59.999999' + i * interval '1 hour' AS ts, "
        "timestamptz '2024-03-30 00:00:00+00' + i * interval '1 hour' AS tz, interval '36 hours' * i AS iv, "
        "time '00:00' + i * interval '1 second' AS ti, md5(i::text)::uuid AS u, jsonb_build_object('i', i) AS j, "
        "int4send(i) AS by, ARRAY[i, NULL] AS ints, ARRAY['a' || i] AS texts, inet '10.0.0.0' + i AS ip "
        "FROM generate_series(-3, 40) i"
    )
    up.run("INSERT INTO source VALUES (NULL); CREATE TABLE t (LIKE source)")
    rows = up.run("TABLE source", **output)
    assert up(rows, mode="append").rowcount == 45
    assert up.run("SELECT * FROM (TABLE source EXCEPT ALL TABLE t) _", as_="dicts") == []
    assert up.count() == 45


FINITE = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES: dict[str, Any] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "boolean": st.booleans() | st.none(),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "str": TEXT | st.none(),
    "datetime64[us]": st.datetimes() | st.none(),
    "datetime64[us, UTC]": st.datetimes(pd.Timestamp(1, 1, 3), pd.Timestamp(9999, 12, 29)) | st.none(),
    "timedelta64[us]": st.timedeltas(dt.timedelta(-100_000_000), dt.timedelta(100_000_000)) | st.none(),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.none(),
    "date": st.dates() | st.none(),
    "time": st.times() | st.none(),
    "bytes": st.binary() | st.none(),
    "uuid": st.uuids() | st.none(),
    "json": st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT) | st.none(),
    "ints": st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()) | st.none(),
    "texts": st.lists(TEXT | st.none()) | st.none(),
    "floats": st.lists(FINITE) | st.none(),
}
OBJECTS = ("decimal", "date", "time", "bytes", "uuid", "json", "ints", "texts", "floats")


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    kinds = draw(st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=6, unique=True))
    rows = draw(st.integers(0, 6))
    columns = {}
    for kind in kinds:
        values = draw(st.lists(VALUES[kind], min_size=rows, max_size=rows))
        if kind.startswith("datetime"):
            values = pd.Series(values, dtype="datetime64[us]")
            columns[kind] = values.dt.tz_localize("UTC") if "UTC" in kind else values
        else:
            columns[kind] = pd.Series(values, dtype=object if kind in OBJECTS else kind)
    return pd.DataFrame(columns)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(frame=frames())
def test_what_goes_in_comes_back(up: Uploads, frame: pd.DataFrame) -> None:
    back = up.back(frame, decimals="exact")
    assert len(back) == len(frame)
    for name in frame:
        given_, found = frame[name].to_list(), back[name].to_list()
        if name.startswith("datetime") and "UTC" in name:
            found = [None if _missing(x) else x.tz_convert("UTC") for x in found]
        if name == "date":
            found = [None if _missing(x) else x.date() for x in back[name].astype(object)]
        if name.startswith("float") and name != "floats":
            assert np.array_equal(np.array(given_), np.array(found, float), equal_nan=True), name
            assert np.array_equal(np.signbit(given_) & ~np.isnan(given_), np.signbit(found) & ~np.isnan(found)), name
            continue
        assert [_missing(x) for x in given_] == [_missing(x) for x in found], name
        assert [x for x in given_ if not _missing(x)] == [x for x in found if not _missing(x)], name
    same = {"int64", "int16", "Int64", "boolean", "float64", "float32", "str", "datetime64[us]", "timedelta64[us]"}
    for name in same & {*frame}:
        if name not in ("Int64", "boolean") or frame[name].isna().any():
            assert back[name].dtype == frame[name].dtype, name
