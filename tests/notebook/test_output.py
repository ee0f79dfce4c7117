"""What rows come as: `--as`, `--dtypes`, `--decimals`; chunks in bounded memory; the guard on memory."""

import datetime as dt
import gc
import json
import math
import threading
import uuid
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from fix_notebook import Shell
from fix_pools import until

import pgmonkey_magic
from pgmonkey_magic import RequestError, SQLError
from pgmonkey_magic.cells import Chunks
from pgmonkey_magic.cells.memory import ResultTooLarge, _left_in_groups, free_bytes

ODD = """SELECT * FROM (VALUES
  (1, 1.50, true, 'é', date '2024-02-29', timestamptz '2024-01-01 12:00+01', interval '1 day 2 s',
   '{"a": [1]}'::jsonb, '"x"'::json, uuid '00000000-0000-0000-0000-000000000001', ARRAY[1, 2],
   '\\x00ff'::bytea, time '12:30', 'NaN'::float8),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
) AS v(i, n, b, t, d, z, s, j, k, u, a, y, c, f)"""
ROW = {
    "i": 1,
    "n": 1.5,
    "b": True,
    "t": "é",
    "d": dt.date(2024, 2, 29),
    "z": dt.datetime(2024, 1, 1, 11, tzinfo=dt.UTC),
    "s": dt.timedelta(days=1, seconds=2),
    "j": {"a": [1]},
    "k": "x",
    "u": uuid.UUID(int=1),
    "a": [1, 2],
    "y": b"\x00\xff",
    "c": dt.time(12, 30),
}

ENDLESS = "SELECT a, b FROM generate_series(1, 10000) a, generate_series(1, 10000) b"


def in_use(shell: Shell) -> int:
    return shell.ip.magics_manager.registry["PgMonkey"].session.current.pool.occupancy.in_use


def borrow_all(shell: Shell) -> None:
    """Prove that no connection is lost."""
    pool = shell.ip.magics_manager.registry["PgMonkey"].session.current.pool
    barrier = threading.Barrier(pool.settings.max_size)
    jobs = [shell.run("%pgmonkey -b --wait 5 SELECT pg_sleep(0.05), 1 AS x") for _ in range(barrier.parties)]
    assert [job.result(20).x[0] for job in jobs] == [1] * barrier.parties


def test_dicts_are_python_values(connected: Shell) -> None:
    first, second = connected.run(f"%%pgmonkey --as dicts\n{ODD}")
    assert math.isnan(first.pop("f"))
    assert first == ROW
    assert {type(value) for value in first.values()} == {type(value) for value in ROW.values()}
    assert set(second.values()) == {None}
    assert "2 rows" in connected.footer


def test_dicts_are_the_same_on_the_ordinary_way(connected: Shell) -> None:
    by_copy = connected.run(f"%%pgmonkey --as dicts --decimals exact\n{ODD}")
    ordinary = connected.run(
        f"%%pgmonkey --as dicts --decimals exact\nWITH made AS MATERIALIZED ({ODD}) TABLE made LIMIT 3"
    )
    for rows in (by_copy, ordinary):
        assert math.isnan(rows[0].pop("f"))
    assert by_copy == ordinary
    assert by_copy[0]["n"] == Decimal("1.50")


def test_arrow_has_arrow_types_and_json_as_text(connected: Shell) -> None:
    table = connected.run(f"%%pgmonkey --as arrow\n{ODD}")
    assert isinstance(table, pa.Table)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["i"] == "int32"
    assert kinds["d"] == "date32[day]"
    assert kinds["z"].startswith("timestamp[us, tz=")
    assert kinds["s"] == "duration[us]"
    assert (kinds["j"], kinds["k"], kinds["t"]) == ("large_string",) * 3
    assert kinds["y"] == "binary"
    first, second = table.to_pylist()
    assert json.loads(first["j"]) == {"a": [1]}
    assert json.loads(first["k"]) == "x"
    assert first["u"] == uuid.UUID(int=1)
    assert set(second.values()) == {None}


def test_polars(connected: Shell) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = connected.run(f"%%pgmonkey --as polars\n{ODD}")
    assert isinstance(frame, pl.DataFrame)
    assert frame["i"].to_list() == [1, None]
    assert frame["u"].to_list() == [str(uuid.UUID(int=1)), None]
    assert frame["d"].to_list() == [dt.date(2024, 2, 29), None]
    assert frame.schema["z"].time_zone is not None


def test_what_arrow_has_no_type_for_is_text_and_said(connected: Shell) -> None:
    table = connected.run("%pgmonkey --as arrow SELECT '[1,5)'::int4range AS r FROM generate_series(1, 2)")
    assert table["r"].to_pylist() == ["[1, 5)"] * 2
    assert "column r: text, because Arrow has no type for it" in connected.footer


@pytest.mark.parametrize("kind", ["arrow", "polars", "dicts", "df"])
def test_rows_without_columns_are_counted(connected: Shell, kind: str) -> None:
    assert len(connected.run(f"%pgmonkey --as {kind} SELECT FROM generate_series(1, 3)")) == 3


def test_scalar_is_one_value(connected: Shell) -> None:
    assert connected.run("%pgmonkey --as scalar SELECT count(*) FROM generate_series(1, 7)") == 7
    assert connected.run("%pgmonkey --as scalar SELECT 'a'") == "a"
    assert connected.run("%pgmonkey --as scalar SELECT NULL") is None
    assert connected.run("%pgmonkey --as scalar --decimals exact SELECT 0.1") == Decimal("0.1")
    for sql, found in (
        ("SELECT 1 WHERE false", "0 rows of 1 column"),
        ("SELECT 1, 2", "1 row of 2 columns"),
        ("SELECT g FROM generate_series(1, 1200) g", "1,200 rows of 1 column"),
    ):
        with pytest.raises(RequestError, match=found):
            connected.run(f"%pgmonkey --as scalar {sql}")


@pytest.mark.parametrize(
    ("option", "dtypes"),
    [
        ("", ["Int32", "float64", "boolean", "str"]),
        ("--dtypes numpy", ["float64", "float64", "object", "object"]),
        ("--dtypes pyarrow", ["int32[pyarrow]", "double[pyarrow]", "bool[pyarrow]", "large_string[pyarrow]"]),
        ("--decimals exact", ["Int32", "decimal128(3, 2)[pyarrow]", "boolean", "str"]),
    ],
)
@pytest.mark.parametrize("ending", ["", " LIMIT 3"])
def test_dtypes(connected: Shell, option: str, dtypes: list[str], ending: str) -> None:
    frame = connected.run(f"%%pgmonkey {option}\nSELECT i, n, b, t FROM ({ODD}) AS o{ending}")
    assert [str(dtype) for dtype in frame.dtypes] == dtypes


def test_max_rows_cuts_every_kind(connected: Shell) -> None:
    for kind in ("df", "arrow", "polars", "dicts"):
        rows = connected.run(f"%pgmonkey --max-rows 5 --as {kind} SELECT * FROM generate_series(1, 1000)")
        assert len(rows) == 5
        assert "--max-rows 5" in connected.footer


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--as dict SELECT 1", "--as takes one of df, polars, arrow, dicts, scalar, chunks, not 'dict'"),
        ("--dtypes int SELECT 1", "--dtypes takes one of"),
        ("--decimals 2 SELECT 1", "--decimals takes one of"),
        ("--as arrow --dtypes numpy SELECT 1", "--dtypes is for pandas DataFrames"),
        ("--as scalar --max-rows 3 SELECT 1", "leave out --max-rows"),
        ("--as polars --explain plan SELECT 1", "--as polars is for rows, and --explain returns none"),
        ("--as chunks --max-rows 3 SELECT 1", "exclude each other"),
        ("--as chunks -b SELECT 1", "exclude each other"),
        ("--as chunks SELECT 1; SELECT 2", "is for one query"),
        ("--chunk-rows 5 SELECT 1", "belongs to --as chunks"),
        ("--as chunks --chunk-rows 0 SELECT 1", "takes at least 1"),
        (r"--as arrow \dt", "--as arrow is for SQL"),
    ],
)
def test_choices_that_make_no_sense_are_said(connected: Shell, line: str, words: str) -> None:
    with pytest.raises(RequestError, match=words.replace("\\", "")):
        connected.run(f"%pgmonkey {line}")
    assert in_use(connected) == 0


def test_without_the_magic(connected: Shell) -> None:
    assert pgmonkey_magic.run("SELECT :x + 1", x=1, as_="scalar") == 2
    assert pgmonkey_magic.run("SELECT 1 AS x", as_="dicts") == [{"x": 1}]
    chunks = pgmonkey_magic.run("SELECT * FROM generate_series(1, 150000)", as_="chunks")
    assert [len(chunk) for chunk in chunks] == [100_000, 50_000]
    with pytest.raises(RequestError, match="takes one of"):
        pgmonkey_magic.run("SELECT 1", as_="frame")
    assert pgmonkey_magic.run("SELECT 1", as_="scalar", parallel=2) == 1
    chunks = pgmonkey_magic.run("SELECT * FROM generate_series(1, 25)", as_="chunks", chunk_rows=np.int64(10))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]


@pytest.mark.parametrize(
    ("how", "options", "words"),
    [
        ({"parallel": 1}, "--parallel 1", "--parallel takes at least 2 connections, not 1"),
        ({"parallel": 0}, "--parallel 0", "--parallel takes at least 2 connections, not 0"),
        ({"parallel": 2.5}, "--parallel 2.5", "--parallel takes a whole number"),
        ({"max_rows": -1}, "--max-rows -1", "--max-rows takes a whole number"),
        ({"as_": "scalar", "max_rows": 3}, "--as scalar --max-rows 3", "leave out --max-rows"),
        ({"as_": "chunks", "chunk_rows": 0}, "--as chunks --chunk-rows 0", "--chunk-rows takes at least 1"),
        (
            {"as_": "chunks", "chunk_rows": "x"},
            "--as chunks --chunk-rows x",
            "--chunk-rows takes a whole number, not 'x'",
        ),
        ({"chunk_rows": 5}, "--chunk-rows 5", "belongs to"),
        ({"as_": "chunks", "max_rows": 5}, "--as chunks --max-rows 5", "exclude each other"),
        ({"as_": "chunks", "parallel": 2}, "--as chunks --parallel 2", "exclude each other"),
        ({"max_rows": 1, "parallel": 2}, "--max-rows 1 --parallel 2", "exclude each other"),
    ],
)
def test_run_refuses_what_the_magic_refuses(connected: Shell, how: dict[str, Any], options: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        pgmonkey_magic.run("SELECT 1", **how)
    with pytest.raises(RequestError, match=words):
        connected.run(f"%pgmonkey {options} SELECT 1")


def test_run_takes_one_query_in_chunks(connected: Shell) -> None:
    with pytest.raises(RequestError, match="is for one query"):
        pgmonkey_magic.run("SELECT 1; SELECT 2", as_="chunks")
    assert in_use(connected) == 0


# -- chunks ---------------------------------------------------------------------------------------------------


def test_chunks_are_the_result_in_order(connected: Shell) -> None:
    chunks = connected.run(
        "%pgmonkey --as chunks --chunk-rows 3000 SELECT g, g::text AS t FROM generate_series(1, 10000) g"
    )
    assert isinstance(chunks, Chunks)
    assert in_use(connected) == 1
    parts = list(chunks)
    assert [len(part) for part in parts] == [3000, 3000, 3000, 1000]
    assert list(pd.concat(parts).g) == list(range(1, 10_001))
    assert parts[1].index[0] == 0
    assert chunks.rows == 10_000
    until(lambda: in_use(connected) == 0)


def test_chunks_of_declared_decimals_have_one_type(connected: Shell) -> None:
    """A file of several row groups, say, takes only one schema."""
    sql = "SELECT (g / 100.0)::numeric(10, 2) AS v, g / 100.0 AS w FROM generate_series(1, {}) g"
    for last in (2000, 0):
        chunks = list(connected.run(f"%pgmonkey --as chunks --chunk-rows 500 --decimals exact {sql.format(last)}"))
        assert [str(chunk["v"].dtype) for chunk in chunks] == ["decimal128(10, 2)[pyarrow]"] * max(last // 500, 1)
    frame = connected.run(f"%pgmonkey --decimals exact {sql.format(2000)}")
    assert frame["v"].to_list() == [Decimal(g) / 100 for g in range(1, 2001)]
    table = connected.run(f"%pgmonkey --as arrow --decimals exact {sql.format(2000)}")
    assert table.schema.field("v").type == pa.decimal128(10, 2)
    assert table.schema.field("w").type == pa.decimal128(22, 20), "as wide as its values, which the type does not say"


def test_nothing_is_one_empty_chunk(connected: Shell) -> None:
    (part,) = connected.run("%pgmonkey --as chunks SELECT g FROM generate_series(1, 0) g")
    assert list(part.columns) == ["g"]
    assert len(part) == 0


def test_chunks_of_what_cannot_be_copied(connected: Shell) -> None:
    sql = "EXPLAIN SELECT * FROM generate_series(1, 10) a, generate_series(1, 10) b WHERE a = b"
    whole = connected.run(f"%pgmonkey {sql}")
    parts = list(connected.run(f"%pgmonkey --as chunks --chunk-rows 2 {sql}"))
    assert len(whole) > 2
    assert all(len(part) <= 2 for part in parts)
    assert list(pd.concat(parts)["QUERY PLAN"]) == list(whole["QUERY PLAN"])


def test_closing_gives_the_connection_back(connected: Shell) -> None:
    with connected.run(f"%pgmonkey --as chunks --chunk-rows 1000 {ENDLESS}") as chunks:
        assert list(next(chunks).b) == list(range(1, 1001))
        assert in_use(connected) == 1
    until(lambda: in_use(connected) == 0)
    assert list(chunks) == []
    connected.run(f"%pgmonkey --as chunks --chunk-rows 1000 -o left {ENDLESS}")
    connected["left"].close()
    connected["left"].close()
    until(lambda: in_use(connected) == 0)
    borrow_all(connected)


def test_what_is_no_longer_held_is_closed(connected: Shell) -> None:
    connected.run(f"%pgmonkey --as chunks -o held {ENDLESS}")
    assert in_use(connected) == 1
    connected.run("del held, _pg")
    gc.collect()
    until(lambda: in_use(connected) == 0)
    borrow_all(connected)


def test_an_error_in_the_middle_is_raised_where_it_is_reached(connected: Shell) -> None:
    sql = "SELECT b / (50 - a) FROM generate_series(1, 100) a, generate_series(1, 10000) b"
    chunks = connected.run(f"%pgmonkey --as chunks --chunk-rows 1000 {sql}")
    with pytest.raises(SQLError, match="division by zero"):
        list(chunks)
    assert chunks.rows > 0
    until(lambda: in_use(connected) == 0)


def test_an_error_at_the_start_is_raised_by_the_cell(connected: Shell) -> None:
    with pytest.raises(SQLError, match="does not exist"):
        connected.run("%pgmonkey --as chunks SELECT nothing FROM nowhere")
    assert in_use(connected) == 0


def test_who_reads_slowly_lets_the_server_wait(connected: Shell) -> None:
    chunks = connected.run(
        "%pgmonkey --as chunks --chunk-rows 1000 "
        "SELECT a, repeat('x', 1000) FROM generate_series(1, 1000) a, generate_series(1, 2000) b"
    )
    job = chunks._job
    until(lambda: job.progress.rows > 1000)
    seen = -1
    while seen != job.progress.rows:  # until it stands
        seen = job.progress.rows
        threading.Event().wait(0.5)
    assert seen < 100_000
    chunks.close()
    borrow_all(connected)


def test_chunks_in_an_open_transaction(connected: Shell) -> None:
    connected.run("%pgmonkey BEGIN")
    connected.run("%pgmonkey CREATE TABLE seen AS SELECT g FROM generate_series(1, 5) g")
    assert [len(part) for part in connected.run("%pgmonkey --as chunks --chunk-rows 2 TABLE seen")] == [2, 2, 1]
    connected.run("%pgmonkey ROLLBACK")


# -- memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["SELECT", "DECLARE c CURSOR FOR SELECT"])
def test_a_result_that_would_fill_the_memory_is_stopped(connected: Shell, sql: str) -> None:
    share = 60e6 / free_bytes()
    connected.run(f"%config PgMonkey.memory_stop = {share}")
    query = f"{sql} g, repeat('x', 1000) AS t FROM generate_series(1, 3000) g, generate_series(1, 1000) b"
    try:
        with pytest.raises(ResultTooLarge, match=r"were free when it was stopped.*--as chunks"):
            connected.run(f"%%pgmonkey\n{query}" + ("" if sql == "SELECT" else "; FETCH ALL FROM c"))
    finally:
        connected.run("%config PgMonkey.memory_stop = 0.8")
    assert in_use(connected) == 0
    borrow_all(connected)


def test_a_large_result_is_warned_of(connected: Shell) -> None:
    connected.run(f"%config PgMonkey.memory_warn = {30e6 / free_bytes()}")
    try:
        connected.run(
            "%%pgmonkey frame <<\n"
            "SELECT g, repeat('x', 500) AS t FROM generate_series(1, 1000) g, generate_series(1, 300) b"
        )
        assert "of memory that were free" in connected.footer
    finally:
        connected.run("%config PgMonkey.memory_warn = 0.5")
    assert len(connected["frame"]) == 300_000


def test_the_limit_of_a_container_counts(tmp_path: Any) -> None:
    assert _left_in_groups(tmp_path) == []
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert _left_in_groups(tmp_path) == [450]
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_in_groups(tmp_path) == []
