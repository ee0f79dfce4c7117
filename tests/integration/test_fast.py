"""The fast way's conversation with the server: what it asks, when it steps aside, errors, cancellation, early ends."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import psycopg
import pytest
from fix_pgbouncer import Bouncer
from fix_pools import in_threads
from fix_server import Server
from psycopg.pq import TransactionStatus

from pgmonkey_magic.results import Reader, copy_out, fast, query
from pgmonkey_magic.results.copy_format import DecodeError
from pgmonkey_magic.results.decoding import Decoder
from pgmonkey_magic.results.describe import describe
from pgmonkey_magic.results.fast import Wanted, fetch, suits
from pgmonkey_magic.results.wire import Parameters

SERIES = "SELECT i, 'row ' || i AS t, CASE WHEN i % 3 = 0 THEN NULL ELSE i / 7.0 END AS q FROM generate_series(1, {}) i"


class Driver:
    """A connection of one kind with one synchronous face."""

    def __init__(self, conn: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.conn = conn
        self.loop = loop

    def run(self, make: Callable[[], Any]) -> Any:
        if self.loop is None:
            return self.conn.wait(make())

        async def body() -> Any:
            return await self.conn.wait(make())

        return self.loop.run_until_complete(body())

    def fetch(self, sql: str, *args: Any, **more: Any) -> Any:
        return self.run(lambda: fetch(self.conn, sql, *args, **more))

    def query(self, sql: str, parameters: Parameters | None = None) -> Any:
        return self.run(lambda: query(self.conn.pgconn, sql.encode(), parameters))

    def is_usable(self) -> bool:
        assert self.conn.pgconn.transaction_status in (TransactionStatus.IDLE, TransactionStatus.INTRANS)
        return self.query("SELECT 7").results[0].get_value(0, 0) == b"7"


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest, server: Server) -> Iterator[Driver]:
    if request.param == "sync":
        with psycopg.connect(**server.settings, autocommit=True) as conn:
            yield Driver(conn, None)
        return
    loop = asyncio.new_event_loop()
    conn = loop.run_until_complete(psycopg.AsyncConnection.connect(**server.settings, autocommit=True))
    yield Driver(conn, loop)
    loop.run_until_complete(conn.close())
    loop.close()


def test_a_result_and_what_it_carries(driver: Driver) -> None:
    before = time.monotonic()
    fetched = driver.fetch(SERIES.format(50_000))
    assert fetched.tag == "SELECT 50000"
    assert fetched.names == ("i", "t", "q")
    assert fetched.oids == (23, 25, 1700)
    assert fetched.nbytes > 50_000 * 20
    assert before < fetched.sent_at <= fetched.first_byte_at <= fetched.complete_at < time.monotonic()
    assert not fetched.truncated
    driver.query("SELECT 1")  # the connection goes on to other things
    data = fetched.frame().data
    assert data["i"].to_list() == list(range(1, 50_001))
    assert data["t"].iloc[-1] == "row 50000"
    assert data["q"].isna().sum() == 16_666
    assert data["q"].iloc[0] == 1 / 7


def test_the_opening_goes_with_the_question(driver: Driver) -> None:
    fetched = driver.fetch(
        "SELECT current_setting('transaction_read_only') AS r, now() AS n FROM pg_am",
        opening="BEGIN READ ONLY; SET LOCAL timezone = 'Asia/Kathmandu'; SELECT 1",
    )
    assert driver.conn.pgconn.transaction_status == TransactionStatus.INTRANS
    driver.query("COMMIT")
    data = fetched.frame().data
    assert data["r"][0] == "on"
    assert str(data["n"].dtype) == "datetime64[us, Asia/Kathmandu]"


@pytest.mark.parametrize(
    ("sql", "sqlstate", "at"),
    [
        ("SELECT x FROM pg_am", "42703", "x"),
        ("SELECT 1 FROM pg_am WHERE", "42601", None),
        ("SELECT 1 FROM nowhere", "42P01", "nowhere"),
        ("-- é\n SELECT 1 FROM nowhere ; -- ;", "42P01", "nowhere"),
        ("SELECT 1 / (i - 30000) FROM generate_series(1, 40000) i", "22012", None),
        ("SELECT 1 FROM pg_am) TO STDOUT --", "42601", ")"),
        ("SELECT 1 FROM pg_am WHERE; -- end", "42601", ";"),
    ],
)
def test_an_error_is_the_servers_and_points_into_the_statement(
    driver: Driver, sql: str, sqlstate: str, at: str | None
) -> None:
    with pytest.raises(psycopg.Error) as raised:
        driver.fetch(sql, opening="BEGIN")
    assert raised.value.sqlstate == sqlstate
    if at is not None:
        assert int(raised.value.diag.statement_position) == sql.index(at) + 1
    assert driver.conn.pgconn.transaction_status == TransactionStatus.INERROR
    driver.query("ROLLBACK")
    assert driver.is_usable()


@pytest.mark.parametrize("columns", ["n", "n, a"])
def test_an_error_that_only_the_copy_meets_points_into_the_statement_too(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    # Nobody else can touch a temporary table, so the answer to the question is right but outdated by this.
    def describe_and_rename(pgconn: Any, *args: Any) -> Any:
        found = yield from describe(pgconn, *args)
        yield from query(pgconn, b"ALTER TABLE gone RENAME TO gone_now")
        return found

    driver.query("CREATE TEMP TABLE gone AS SELECT 1 AS n, '{1}'::int[] AS a")
    monkeypatch.setattr(fast, "describe", describe_and_rename)
    sql = f"SELECT 'é', {columns} FROM gone"
    with pytest.raises(psycopg.errors.UndefinedTable) as raised:
        driver.fetch(sql)
    assert int(raised.value.diag.statement_position) == sql.index("gone") + 1
    assert raised.value.diag.message_primary == 'relation "gone" does not exist'


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT FROM pg_am",
        "SELECT 1 AS n INTO TEMP made FROM pg_am",
        "WITH w AS (INSERT INTO {t} VALUES (1) RETURNING n) SELECT ARRAY[n] FROM w",
        "SELECT $1::int FROM pg_am",
        "SELECT $1 IS NULL, nowhere FROM pg_am",
        "SELECT 1 FROM pg_am) TO STDOUT; INSERT INTO {t} VALUES (1); COPY (SELECT 1",
    ],
)
def test_what_cannot_be_copied_is_left_to_the_ordinary_way(driver: Driver, table: str, sql: str) -> None:
    assert driver.fetch(sql.format(t=table), opening="BEGIN") is None
    assert driver.conn.pgconn.transaction_status == TransactionStatus.INTRANS
    driver.query("ROLLBACK")
    assert driver.query(f"SELECT count(*) FROM {table}").results[0].get_value(0, 0) == b"0"


@pytest.mark.parametrize("columns", ["1", "'{1}'::int[]"])
def test_a_notice_is_told_as_often_as_it_is_sent_on_the_ordinary_way(driver: Driver, columns: str) -> None:
    told: list[str | None] = []
    driver.conn.add_notice_handler(lambda diag: told.append(diag.message_primary))
    name = "n" * 70
    truncated = f'identifier "{name}" will be truncated to "{name[:63]}"'
    say = f"EXECUTE 'SELECT 1 AS {name}'; RAISE NOTICE 'hello'; RETURN 1"
    driver.query(f"CREATE FUNCTION pg_temp.say() RETURNS int LANGUAGE plpgsql AS $$BEGIN {say}; END$$")
    driver.fetch(f"SELECT {columns} AS {name}, pg_temp.say() FROM generate_series(1, 2)", opening="BEGIN")
    assert told == [truncated, *[truncated, "hello"] * 2]
    told.clear()
    with pytest.raises(psycopg.errors.UndefinedColumn):
        driver.fetch(f"SELECT nowhere AS {name} FROM pg_am")
    assert told == [truncated]


def test_what_has_to_become_text_is_computed_once(driver: Driver) -> None:
    told: list[str | None] = []
    driver.conn.add_notice_handler(lambda diag: told.append(diag.message_primary))
    say = "BEGIN RAISE NOTICE 'computed'; RETURN ARRAY[1]; END"
    driver.query(f"CREATE FUNCTION pg_temp.say() RETURNS int[] STABLE LANGUAGE plpgsql AS $${say}$$")
    driver.fetch("SELECT pg_temp.say() AS a FROM generate_series(1, 3)")
    assert told == ["computed"] * 3


def test_strings_with_backslashes_are_left_to_the_ordinary_way(driver: Driver) -> None:
    driver.query("SET standard_conforming_strings = off")
    assert driver.fetch(r"SELECT amname FROM pg_am WHERE amname <> 'a\'; --'", opening="BEGIN") is None
    assert driver.conn.pgconn.transaction_status == TransactionStatus.INTRANS


def test_a_query_that_changes_data_runs_once(driver: Driver, table: str) -> None:
    fetched = driver.fetch(f"WITH w AS (INSERT INTO {table} VALUES (1), (2) RETURNING n) SELECT n FROM w")
    assert fetched.frame().data["n"].to_list() == [1, 2]
    assert driver.query(f"SELECT count(*) FROM {table}").results[0].get_value(0, 0) == b"2"


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT 1", False),
        ("SELECT current_query()", False),
        ("VALUES (1)", False),
        ("SELECT 1 -- from", False),
        ("SELECT 'from'", False),
        ("SHOW work_mem", False),
        ("EXPLAIN SELECT * FROM t", False),
        ("INSERT INTO t SELECT * FROM u RETURNING *", False),
        ("SELECT * FROM t", True),
        ("/* a */ select a from t", True),
        ("TABLE t", True),
        ("(SELECT 1 FROM t)", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x", True),
        ("", False),
        ("SELECT * FROM t LIMIT 10", False),
        ("SELECT * FROM t ORDER BY a LIMIT 10 OFFSET 5;", False),
        ("SELECT * FROM t LIMIT 100000", True),
        ("SELECT * FROM t LIMIT ALL", True),
        ("WITH s AS (SELECT * FROM t) INSERT INTO u SELECT * FROM s RETURNING *", False),
        ("WITH s AS (DELETE FROM t RETURNING *) SELECT * FROM s", True),
        ("SELECT * INTO u FROM t", False),
        ("SELECT * FROM t; -- the end", True),
        ("SELECT * FROM t; SELECT * FROM u", False),
        ("SELECT * FROM t LIMIT 5 * 1000", False),
        ("SELECT * FROM (SELECT * FROM t LIMIT 5) t, u", True),
        ('SELECT 1 AS "limit" FROM t', True),
    ],
)
def test_which_statements_are_asked_about(sql: str, answer: bool) -> None:
    assert suits(sql) is answer


@pytest.mark.parametrize("columns", ["i", "i, ARRAY[i] AS a"])
def test_a_limit_stops_the_server_and_keeps_the_order(driver: Driver, columns: str) -> None:
    sql = f"SELECT {columns} FROM generate_series(1, 10000000) i ORDER BY i DESC -- end"
    sql = sql.replace("ORDER BY i DESC", "") if columns == "i" else sql.replace("10000000", "100000")
    started = time.monotonic()
    fetched = driver.fetch(sql, wanted=Wanted(limit=10))
    assert time.monotonic() - started < 20
    expected = list(range(1, 11)) if columns == "i" else list(range(100_000, 99_990, -1))
    assert fetched.frame().data["i"].to_list() == expected
    assert fetched.truncated
    assert fetched.tag == "SELECT 10"
    assert driver.is_usable()
    whole = driver.fetch("SELECT i FROM generate_series(1, 10) i", wanted=Wanted(limit=10))
    assert not whole.truncated
    assert whole.rows == 10
    assert len(driver.fetch("SELECT i FROM generate_series(1, 10) i", wanted=Wanted(limit=0)).frame().data) == 0


def test_a_wrapped_query_keeps_its_order_in_a_parallel_plan(driver: Driver) -> None:
    driver.query("CREATE UNLOGGED TABLE fast_order AS SELECT i, md5(i::text) AS m FROM generate_series(1, 100000) i")
    try:
        for setting in (
            *("parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0"),
            *("max_parallel_workers_per_gather = 2", "parallel_leader_participation = off"),
        ):
            driver.query(f"SET {setting}")
        sql = "SELECT m, ARRAY[i] AS a FROM fast_order ORDER BY m"
        plan = driver.query(f"EXPLAIN {sql}").results[0]
        assert any(b"Gather" in plan.get_value(row, 0) for row in range(plan.ntuples))
        data = driver.fetch(sql).frame().data
        assert data["m"].is_monotonic_increasing
        assert len(data) == 100_000
    finally:
        driver.query("DROP TABLE fast_order")


def test_chunks_come_one_by_one_and_nothing_is_kept(driver: Driver) -> None:
    chunks: list[pd.DataFrame] = []
    fetched = driver.fetch(SERIES.format(300_000), wanted=Wanted(on_chunk=lambda frame: chunks.append(frame.data)))
    assert len(chunks) > 3
    assert max(map(len, chunks)) < 150_000
    whole = pd.concat(chunks, ignore_index=True)
    assert whole["i"].to_list() == list(range(1, 300_001))
    assert fetched.rows == 300_000
    assert fetched.frame().data.empty


def test_progress_is_told_while_rows_come(driver: Driver) -> None:
    told: list[tuple[int, int]] = []
    fetched = driver.fetch(SERIES.format(200_000), wanted=Wanted(advance=lambda *progress: told.append(progress)))
    assert len(told) > 3
    assert sum(nbytes for nbytes, _ in told) == fetched.nbytes
    assert sum(rows for _, rows in told) == 200_000
    assert all(rows >= 0 for _, rows in told)


@pytest.mark.parametrize("what", ["on_chunk", "advance"])
def test_what_a_listener_raises_ends_the_fetch_and_spares_the_connection(driver: Driver, what: str) -> None:
    def refuse(*_: object) -> None:
        raise ZeroDivisionError(what)

    with pytest.raises(ZeroDivisionError, match=what):
        driver.fetch(SERIES.format(200_000), wanted=Wanted(**{what: refuse}), opening="BEGIN")
    assert driver.conn.pgconn.transaction_status == TransactionStatus.INTRANS
    driver.query("COMMIT")
    assert driver.is_usable()


def test_a_malformed_answer_spares_the_connection(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    take = Decoder.take
    monkeypatch.setattr(Decoder, "take", lambda self, buffer, *rest: take(self, bytes(len(buffer)), *rest))
    with pytest.raises(DecodeError, match="columns announced"):
        driver.fetch(SERIES.format(200_000))
    assert driver.is_usable()


def test_cancellation(driver: Driver) -> None:
    timer = threading.Timer(0.5, driver.conn.cancel_safe) if driver.loop is None else None
    if timer:
        timer.start()
    else:
        driver.loop.call_later(0.5, lambda: asyncio.ensure_future(driver.conn.cancel_safe(), loop=driver.loop))
    started = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        sql = "SELECT a, b, ARRAY[a] FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
        driver.fetch(sql, wanted=Wanted(on_chunk=id))
    assert time.monotonic() - started < 30
    assert driver.is_usable()


def test_a_server_that_ends_the_connection_says_why(driver: Driver, server: Server) -> None:
    pid = driver.conn.pgconn.backend_pid
    timer = threading.Timer(0.5, lambda: server.query(f"SELECT pg_terminate_backend({pid})"))
    timer.start()
    with pytest.raises(psycopg.OperationalError) as raised:
        driver.fetch("SELECT a, pg_sleep(0.01) FROM generate_series(1, 100000) a")
    timer.join()
    assert raised.value.sqlstate == "57P01"


@pytest.mark.parametrize("opening", ["", "BEGIN"])
def test_behind_pgbouncer_many_clients_ask_at_once(pgbouncer: Bouncer, opening: str) -> None:
    def client(number: int) -> list[int]:
        with psycopg.connect(**pgbouncer.settings, autocommit=True, prepare_threshold=None) as conn:
            found = []
            for turn in range(10):
                sql = f"SELECT i, ARRAY['x'] AS a{number} FROM generate_series(1, {number * 1000 + turn}) i"
                fetched = conn.wait(fetch(conn, sql, opening=opening))
                assert fetched is not None
                assert fetched.names[1] == f"a{number}"
                found.append(len(fetched.frame().data))
                if opening:
                    conn.execute("COMMIT")
            return found

    for number, lengths in enumerate(in_threads(6, client)):
        assert lengths == [number * 1000 + turn for turn in range(10)]


def test_psycopgs_own_loops_give_the_same(driver: Driver, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = SERIES.format(30_000)
    own = driver.fetch(sql)
    monkeypatch.setattr(copy_out, "OWN_LOOP", False)
    other = driver.fetch(sql)
    assert own.nbytes == other.nbytes
    pd.testing.assert_frame_equal(own.frame().data, other.frame().data)
    statement = f"COPY ({sql}) TO STDOUT (FORMAT BINARY)"
    with psycopg.connect(**server.settings) as conn, conn.cursor().copy(statement) as copy:
        documented = b"".join(map(bytes, copy))
    assert own.nbytes == len(documented) - 19  # the header


class TestParameters:
    """Bound values travel as literals of the type that the server has inferred."""

    @pytest.mark.parametrize(
        ("sql", "values", "types"),
        [
            ("SELECT i FROM generate_series(1, 100) i WHERE i < $1 OR i = $2", [b"4", b"50"], [0, 0]),
            ("SELECT $1 AS a, $2 AS b, $1 AS c FROM pg_am LIMIT 1", [b"it's \\ a", None], [25, 25]),
            ("SELECT i FROM generate_series(1, 9) i WHERE i = ANY($1) LIMIT $2", [b"{1,2,3}", b"2"], [1007, 0]),
            ("SELECT $1::char(3) AS c, $2 AS b FROM pg_am LIMIT 1", [b"abc", b"101"], [0, 1560]),
            (
                "SELECT date_trunc($1, $2) AS d FROM pg_am GROUP BY date_trunc($1, $2)",
                [b"day", b"2024-01-02 03:04Z"],
                [25, 1184],
            ),
            ("SELECT -$1[1] AS a, $1[1:2] FROM pg_am LIMIT 1", [b"{1,2}"], [1007]),
        ],
    )
    def test_they_mean_the_same(self, driver: Driver, sql: str, values: list[Any], types: list[int]) -> None:
        parameters = Parameters(tuple(values), types, [0] * len(values))
        fetched = driver.fetch(sql, parameters)
        answer = driver.query(sql, parameters)
        pd.testing.assert_frame_equal(fetched.frame().data, Reader(driver.conn, answer.results[0]).frame().data)

    def test_bytea_in_binary(self, driver: Driver) -> None:
        fetched = driver.fetch("SELECT $1 AS b FROM pg_am LIMIT 1", Parameters((b"\0'\\\xff",), [17], [1]))
        assert fetched.frame().data["b"][0] == b"\0'\\\xff"

    def test_what_has_no_literal_goes_the_ordinary_way(self, driver: Driver) -> None:
        binary_integer = Parameters((b"\0\0\0\1",), [23], [1])
        assert driver.fetch("SELECT $1 AS b FROM pg_am", binary_integer) is None
        assert driver.is_usable()

    def test_injection(self, driver: Driver) -> None:
        for value in (b"'", b"\\'", b"'); DROP TABLE x; --", b"$1", "é'\\".encode(), b"::text", b"/*", b"--"):
            fetched = driver.fetch("SELECT $1 AS v FROM pg_am LIMIT 1", Parameters((value,), [25], [0]))
            assert fetched.frame().data["v"][0] == value.decode()
