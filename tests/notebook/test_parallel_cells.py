"""`--parallel` as it is typed: what the footer says, and where it stands aside."""

import re

import pandas as pd
import pytest
from fix_notebook import Shell
from fix_pools import until
from fix_server import Server

from pgmonkey_magic.notebook.grammar import parse_cell, parse_line
from pgmonkey_magic.results import parts


@pytest.fixture
def many(server: Server, table: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table of 9,000 rows, which are many here."""
    monkeypatch.setattr(parts, "LEAST_BYTES", 0)
    monkeypatch.setattr(parts, "LEAST_ROW_BYTES", 0)
    monkeypatch.setattr(parts, "PART_BYTES", 2 * 8192)
    server.query(f"INSERT INTO {table} SELECT generate_series(1, 9000)")
    return table


@pytest.fixture
def warm(connected: Shell) -> Shell:
    """A shell whose pool has three idle connections."""
    connected.run("%pgmonkey tune min_size=3")
    pool = connected.ip.magics_manager.registry["PgMonkey"].session.current.pool
    connected.run("%pgmonkey SELECT 1")
    until(lambda: pool.occupancy.idle == 3)
    return connected


def test_the_footer_says_over_how_many(warm: Shell, many: str) -> None:
    frame = warm.run(f"%pgmonkey --parallel 8 SELECT n, CASE WHEN n % 9 = 1 THEN pg_sleep(0.001)::text END FROM {many}")
    assert sorted(frame["n"]) == list(range(1, 9001))
    assert re.search(r"^9,000 rows · .* · parallel 3 of 8$", warm.footer)
    assert frame.attrs["pgmonkey"]["notes"] == ["parallel 3 of 8"]


def test_it_goes_with_other_options(warm: Shell, many: str) -> None:
    warm.run(
        f"%%pgmonkey --parallel 3 --read-only --timeout 30 --dtypes pyarrow -p least=9 rows <<\n"
        f"SELECT * FROM {many} WHERE n > :least"
    )
    assert len(warm["rows"]) == 8991
    assert isinstance(warm["rows"].dtypes["n"], pd.ArrowDtype)
    assert "parallel " in warm.footer
    found = warm.run(f"%pgmonkey --parallel 3 --as dicts TABLE {many}")
    assert {row["n"] for row in found} == set(range(1, 9001))


def test_in_the_background(warm: Shell, many: str) -> None:
    job = warm.run(f"%pgmonkey -b --parallel 3 TABLE {many}")
    assert len(job.result(20)) == 9000
    assert job.progress.rows == 9000


def test_inside_of_an_open_transaction_it_sees_what_was_written_there(warm: Shell, many: str) -> None:
    warm.run(f"%%pgmonkey\nBEGIN; DELETE FROM {many} WHERE n > 5000")
    frame = warm.run(f"%pgmonkey --parallel 3 TABLE {many}")
    assert len(frame) == 5000
    assert "parallel 1 of 3: the cell has no transaction of its own" in warm.footer
    warm.run("%pgmonkey ROLLBACK")
    assert len(warm.run(f"%pgmonkey --parallel 3 TABLE {many}")) == 9000


def test_several_statements_are_one_transaction_as_ever(warm: Shell, many: str) -> None:
    sets = warm.run(f"%%pgmonkey --parallel 3\nTABLE {many};\nDELETE FROM {many} WHERE n > 8000;\nTABLE {many}")
    assert [len(sets[0]), len(sets[2])] == [9000, 8000]
    assert warm.footer.count("parallel 1 of 3: the cell holds several statements") == 2
    begun = warm.run(f"%%pgmonkey --parallel 3\nBEGIN;\nTABLE {many};\nCOMMIT")
    assert len(begun) == 8000


def test_what_returns_no_rows_runs_as_it_is(warm: Shell, many: str) -> None:
    assert warm.run(f"%pgmonkey --parallel 3 DELETE FROM {many} WHERE n > 8000").rowcount == 1000
    assert len(warm.run("%pgmonkey --parallel 3 SHOW work_mem")) == 1


def test_small_tables_come_over_one(warm: Shell, table: str, server: Server) -> None:
    server.query(f"INSERT INTO {table} VALUES (1)")
    assert warm.run(f"%pgmonkey --parallel 3 TABLE {table}")["n"].to_list() == [1]
    assert re.search(r"parallel 1 of 3: 0.0 MB of a table; it pays from \d+ MB on$", warm.footer)


def test_what_is_said_of_the_text_is_said_once(warm: Shell, many: str) -> None:
    long_name = "x" * 70
    warm.run(f"%pgmonkey --parallel 3 SELECT n AS {long_name} FROM {many}")
    assert sum("will be truncated" in line for text in warm.shown for line in text.splitlines()) == 1
    warm.run(f"%pgmonkey --parallel 3 SELECT count(*) AS {long_name} FROM {many}")
    assert sum("will be truncated" in line for text in warm.shown for line in text.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--parallel 1", "at least 2"),
        ("--parallel 0", "at least 2"),
        ("--parallel many", "whole number"),
        ("--parallel 3 --max-rows 5", "exclude each other"),
        ("--parallel 3 --explain", "exclude each other"),
        ("--parallel 3 --as chunks", "exclude each other"),
    ],
)
def test_what_it_does_not_take(connected: Shell, options: str, words: str) -> None:
    assert words in str(connected.error(f"%%pgmonkey {options}\nSELECT 1"))


def test_not_for_backslash_commands(connected: Shell) -> None:
    assert "--parallel is for SQL" in str(connected.error(r"%pgmonkey --parallel 3 \dt"))


def test_the_grammar() -> None:
    query = parse_line("--parallel 4 SELECT 1")
    assert query.options.value("parallel") == "4"
    assert parse_cell("--parallel=4 x <<", "SELECT 1").options.value("parallel") == "4"
