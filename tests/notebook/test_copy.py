"""COPY both ways through a cell, and --max-rows."""

import datetime as dt
import gzip
import io
import os
import stat
import threading
import time
import uuid
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from fix_notebook import Shell
from fix_server import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def two(connected: Shell, table: str) -> str:
    """A table (a int, b text)."""
    connected.run(f"%pgmonkey -q DROP TABLE {table}")
    connected.run(f"%pgmonkey -q CREATE TABLE {table} (a int, b text)")
    return table


def rows(server: Server, table: str) -> list[tuple[object, ...]]:
    return server.query(f"SELECT a, b FROM {table} ORDER BY a NULLS LAST")


def test_a_file_goes_in_and_out_as_it_is(connected: Shell, server: Server, two: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('a,b\n1,"x, y"\n2,\n')
    done = connected.run(f"%%pgmonkey --copy-from in.csv\nCOPY {two} FROM STDIN (FORMAT csv, HEADER)")
    assert (done.tag, done.rowcount) == ("COPY 2", 2)
    assert rows(server, two) == [(1, "x, y"), (2, None)]
    connected.run(f"%%pgmonkey --copy-to out.csv\nCOPY (SELECT * FROM {two} ORDER BY a) TO STDOUT (FORMAT csv, HEADER)")
    assert (tmp_path / "out.csv").read_text() == 'a,b\n1,"x, y"\n2,\n'
    connected.run(f"%%pgmonkey --copy-to out.bin\nCOPY {two} TO STDOUT (FORMAT binary)")
    connected.run(f"%%pgmonkey --copy-from out.bin\nCOPY {two} FROM STDIN (FORMAT binary)")
    assert len(rows(server, two)) == 4


def test_open_files_of_text_and_of_bytes(connected: Shell, server: Server, two: str, tmp_path: Path) -> None:
    connected.ip.user_ns.update(text=io.StringIO("1\tä\n"), data=io.BytesIO(b"2\t\\N\n"), out=io.StringIO())
    connected.run(f"%%pgmonkey --copy-from text\nCOPY {two} FROM STDIN")
    connected.run(f"%%pgmonkey --copy-from data\nCOPY {two} FROM STDIN")
    assert rows(server, two) == [(1, "ä"), (2, None)]
    connected.run(f"%%pgmonkey --copy-to out\nCOPY {two} TO STDOUT")
    assert connected["out"].getvalue() == "1\tä\n2\t\\N\n"
    with gzip.open(tmp_path / "out.gz", "wb") as connected.ip.user_ns["packed"]:
        connected.run(f"%%pgmonkey --copy-to packed\nCOPY {two} TO STDOUT")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()).decode() == "1\tä\n2\t\\N\n"


def test_a_dataframe_goes_in_by_its_columns_names(connected: Shell, server: Server, two: str) -> None:
    connected.ip.user_ns["df"] = pd.DataFrame({"b": ["x", None, "y\tz\n\\N"], "a": [1.0, 2.0, float("nan")]})
    connected.run(f"%%pgmonkey --copy-from df\nCOPY {two} FROM STDIN")
    assert rows(server, two) == [(1, "x"), (2, None), (None, "y\tz\n\\N")]
    connected.run(f"%%pgmonkey --copy-from df\nCOPY {two} (b) FROM STDIN;")
    assert len(rows(server, two)) == 6
    assert 'no column "c"' in str(connected.error(f"%%pgmonkey --copy-from df\nCOPY {two} (a, c) FROM STDIN")).replace(
        "'", '"'
    )
    error = connected.error(f"%%pgmonkey --copy-from df\nCOPY {two} FROM STDIN (FORMAT csv)")
    assert "leave out '(FORMAT csv)'" in str(error)
    assert len(rows(server, two)) == 6


def test_a_dataframe_of_every_kind_arrives(connected: Shell, table: str) -> None:
    values = {
        "i": [1, -(2**62)],
        "f": [1.5, -1e300],
        "n": [Decimal("1.10"), Decimal("NaN")],
        "t": ["", "a\\b"],
        "d": [dt.date(2024, 2, 29), None],
        "ts": pd.to_datetime(["2024-01-02 03:04:05.000006", None]),
        "tz": pd.to_datetime(["2024-01-02 03:04:05+02:00", None], utc=True),
        "iv": pd.to_timedelta(["1 days 00:00:01", None]),
        "u": [uuid.UUID(int=7), None],
        "j": [{"a": [1, None]}, None],
        "arr": [[1, 2], []],
        "by": [b"\x00\\\xff", b""],
        "ok": [True, False],
        "c": pd.Categorical(["x", None]),
    }
    connected.ip.user_ns["df"] = pd.DataFrame(values)
    connected.run(
        f"%%pgmonkey -q\nDROP TABLE {table};\nCREATE TABLE {table} (i bigint, f float8, n numeric, t text, d date, "
        "ts timestamp, tz timestamptz, iv interval, u uuid, j jsonb, arr int[], by bytea, ok bool, c text)"
    )
    connected.run(f"%%pgmonkey --copy-from df\nCOPY {table} FROM STDIN")
    back = connected.run(f"%pgmonkey SELECT t.*, n::text AS n_text, iv::text AS iv_text, i::text FROM {table} t")
    first, second = back.iloc[0], back.iloc[1]
    assert (first.i, second.i) == (1, -(2**62))
    assert (first.f, second.f) == (1.5, -1e300)
    assert (first.n_text, back.n_text[1]) == ("1.10", "NaN"), "numeric has NaN"
    assert (first.t, second.t) == ("", "a\\b")
    assert (first.u, first.j, first.arr, second.arr) == (uuid.UUID(int=7), {"a": [1, None]}, [1, 2], [])
    assert (first.by, second.by) == (b"\x00\\\xff", b"")
    assert (bool(first.ok), bool(second.ok), first.c, first.iv_text) == (True, False, "x", "1 day 00:00:01")
    assert first.ts == pd.Timestamp("2024-01-02 03:04:05.000006")
    assert first.tz == pd.Timestamp("2024-01-02 03:04:05+02:00")
    assert second[["d", "ts", "tz", "iv_text", "u", "j", "c"]].isna().all()


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_arrives_as_it_was(connected: Shell, two: str, texts: list[str]) -> None:
    connected.run(f"%pgmonkey -q TRUNCATE {two}")
    connected.ip.user_ns["df"] = pd.DataFrame({"b": pd.Series(texts, dtype="str"), "a": range(len(texts))})
    connected.run(f"%%pgmonkey -q --copy-from df\nCOPY {two} FROM STDIN")
    assert connected.run(f"%pgmonkey SELECT b FROM {two} ORDER BY a").b.tolist() == texts


def test_what_fails_leaves_the_file_that_was_there(connected: Shell, two: str, tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("precious")
    old.chmod(0o640)
    connected.error("%%pgmonkey --copy-to old.csv\nCOPY (SELECT 10 / (5 - g) FROM generate_series(1, 9) g) TO STDOUT")
    assert old.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == sorted({"old.csv", "server.yaml"})
    connected.run("%%pgmonkey --copy-to old.csv\nCOPY (SELECT 1) TO STDOUT")
    assert old.read_text() == "1\n"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    connected.run(f"%%pgmonkey --copy-to empty.csv\nCOPY {two} TO STDOUT")
    assert (tmp_path / "empty.csv").read_text() == ""
    connected.run("%%pgmonkey --copy-to /dev/null\nCOPY (SELECT 1) TO STDOUT")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("line", "sql", "part"),
    [
        ("", "COPY {0} FROM STDIN", "--copy-from"),
        ("", "COPY {0} TO STDOUT", "--copy-to"),
        ("--copy-to x", "SELECT 1", "the cell holds none"),
        ("--copy-from nosuch.csv", "COPY {0} FROM STDIN", "neither such a file nor such a name"),
        ("--copy-from number", "COPY {0} FROM STDIN", "is a int"),
        ("--copy-to no/such/dir/x", "COPY {0} TO STDOUT", "No such file"),
        ("--copy-to x --max-rows 3", "COPY {0} TO STDOUT", "exclude each other"),
        ("--copy-from .", "COPY {0} FROM STDIN", "directory"),
        ("--copy-from broken", "COPY {0} FROM STDIN", "bad luck"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_the_connection_works_on(
    connected: Shell, two: str, line: str, sql: str, part: str
) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError("bad luck")

    connected.ip.user_ns.update(number=7, broken=Broken())
    error = connected.error(f"%%pgmonkey {line}\n{sql.format(two)}")
    assert part in str(error)
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1


def test_a_value_that_cannot_be_sent_names_its_column_and_the_connection_works_on(
    connected: Shell, server: Server, two: str
) -> None:
    connected.ip.user_ns["df"] = pd.DataFrame({"a": [1, 2], "b": ["fine", object()]})
    error = connected.error(f"%%pgmonkey --copy-from df\nCOPY {two} FROM STDIN")
    assert "column 'b', df.iloc[1]: " in str(error)
    assert rows(server, two) == []
    backend = connected.run("%pgmonkey SELECT pg_backend_pid() AS pid").pid.item()
    connected.error(f"%%pgmonkey --copy-from df\nCOPY {two} FROM STDIN")
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    assert server.query(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}") == [(1,)], "not thrown away"


def test_rows_of_a_copy_that_fails_at_its_end_are_not_there(connected: Shell, server: Server, two: str) -> None:
    connected.ip.user_ns["bad"] = io.BytesIO(b"1\tx\n" * 10_000 + b"no\tnumber\n")
    error = connected.error(f"%%pgmonkey --copy-from bad\nCOPY {two} FROM STDIN")
    assert "invalid input syntax" in str(error)
    assert rows(server, two) == []


def test_parameters_of_a_copy_are_literals(connected: Shell, two: str, tmp_path: Path) -> None:
    connected.run('word = "it\'s"')
    connected.run("%%pgmonkey --copy-to out.txt\nCOPY (SELECT :word || 'x') TO STDOUT")
    assert (tmp_path / "out.txt").read_text() == "it'sx\n"


def test_an_endless_source_is_cancelled(connected: Shell, server: Server, two: str) -> None:
    class Endless:
        def read(self, _size: int) -> bytes:
            time.sleep(0.01)
            return b"1\tx\n"

    connected.ip.user_ns["source"] = Endless()
    job = connected.run(f"%%pgmonkey -b --copy-from source\nCOPY {two} FROM STDIN")
    time.sleep(0.5)
    assert job.progress.nbytes > 0
    assert job.cancel()
    assert job.state == "cancelled"
    assert rows(server, two) == []
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    assert not [thread for thread in threading.enumerate() if thread.name == f"pgmonkey-job-{job.id}"]


# -- --max-rows -------------------------------------------------------------------------------------------------


def test_max_rows_stops_the_server_and_says_so(connected: Shell) -> None:
    began_at = time.monotonic()
    frame = connected.run("%pgmonkey -n 5 SELECT generate_series(1, 1000000000) AS n")
    assert time.monotonic() - began_at < 20
    assert frame.n.tolist() == [1, 2, 3, 4, 5]
    assert frame.attrs["pgmonkey"]["truncated"] is True
    assert "more rows were left out: --max-rows 5" in connected.footer


@pytest.mark.parametrize("options", ["", "--autocommit "])
@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("SELECT generate_series(1, 3) AS n", False),
        ("SELECT generate_series(1, 4) AS n", True),
        ("VALUES (1), (2), (3), (4)", True),
        ("WITH x AS (SELECT generate_series(1, 9)) TABLE x", True),
        ("(SELECT 1) UNION ALL SELECT generate_series(2, 9)", True),
        ("SELECT generate_series(1, :top::int)", True),
        ("SELECT n FROM generate_series(1, 2) n", False),
    ],
)
def test_max_rows_counts_rightly(connected: Shell, options: str, sql: str, left: bool) -> None:
    connected.run("top = 9")
    frame = connected.run(f"%%pgmonkey {options}-n 3\n{sql}")
    assert len(frame) == min(3, len(frame))
    assert frame.attrs["pgmonkey"]["truncated"] is left
    assert ("left out" in connected.footer) is left


@pytest.mark.parametrize("options", ["", "--autocommit ", "--as arrow ", "--decimals exact "])
def test_max_rows_come_by_copy_and_the_server_computes_no_more(
    connected: Shell, server: Server, two: str, options: str
) -> None:
    server.query("CREATE SEQUENCE max_rows_computed")
    try:
        sql = (
            "SELECT nextval('max_rows_computed') AS n, current_query() LIKE 'COPY (%' AS by_copy, "
            "ARRAY[i] AS a, i AS a FROM generate_series(2000, 1, -1) i WHERE i < :top"
        )
        connected.run("top = 1900")
        for at_most, left in ((1000, True), (3000, False)):
            rows = connected.run(f"%%pgmonkey {options}-n {at_most}\n{sql}")
            frame = rows.to_pandas() if "arrow" in options else rows
            count = min(at_most, 1899)
            assert frame["n"].diff().dropna().eq(1).all()
            assert frame["by_copy"].all()
            assert frame["a_1"].to_list() == list(range(1899, 1899 - count, -1))
            assert ("more rows were left out: --max-rows 1,000" in connected.footer) is left
            assert f"{count:,} rows" in connected.footer
            if "arrow" not in options:
                assert frame.attrs["pgmonkey"]["truncated"] is left
        assert server.query("SELECT last_value FROM max_rows_computed") == [(1001 + 1899,)], "one more row tells"
    finally:
        server.query("DROP SEQUENCE max_rows_computed")


@pytest.mark.parametrize("source", ["", " FROM generate_series(1, 2)"])
def test_max_rows_may_be_any_number(connected: Shell, source: str) -> None:
    for number in (0, 1, 2**31 - 1, 2**31, 2**63, 10**30):
        frame = connected.run(f"%pgmonkey -n {number} SELECT 1 AS x{source}")
        assert len(frame) == min(number, 2 if source else 1)
        assert frame.attrs["pgmonkey"]["truncated"] is (len(frame) < (2 if source else 1))


def test_max_rows_with_writes_and_several_statements(connected: Shell, server: Server, two: str) -> None:
    sets = connected.run(
        f"%%pgmonkey -n 2\nINSERT INTO {two} SELECT g, 'x' FROM generate_series(1, 5) g RETURNING a;\n"
        f"SELECT a FROM {two} ORDER BY a DESC;\nSHOW server_version"
    )
    assert [len(frame) for frame in sets] == [2, 2, 1]
    assert sets[1].a.tolist() == [5, 4]
    assert len(rows(server, two)) == 5, "the rows that are left out of the answer are in the table"
    error = connected.error("%%pgmonkey -n 2\nSELECT 1;\nSELECT nowhere")
    assert error.detail[0] == "LINE 2: SELECT nowhere"
    assert error.detail[1].index("^") == error.detail[0].index("nowhere")
    assert connected.run("%pgmonkey -n 0 SELECT 1 AS x").shape == (0, 1)
    assert "whole number" in str(connected.error("%pgmonkey -n x SELECT 1"))
