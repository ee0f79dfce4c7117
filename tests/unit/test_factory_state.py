"""What counts as a trace, and the private names of psycopg by which it is recognised."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgmonkey_magic.pools import factory_state
from pgmonkey_magic.pools.factory_state import Trace, trace_of

if TYPE_CHECKING:
    from fix_server import Server


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "select pg_backend_pid();",
        b"SELECT count(*) FROM orders WHERE id = ANY(%s) AND name IN ('a', 'b')",
        "WITH x AS (SELECT sum(n) FROM t) SELECT * FROM x",
        "VALUES (1), (2)",
        "SHOW TimeZone",
    ],
)
def test_reading_leaves_no_trace(statement: str | bytes) -> None:
    assert trace_of(statement) is Trace.NONE


@pytest.mark.parametrize(
    "statement",
    [
        "SET TimeZone = 'UTC'",
        "/* x */ SET TimeZone = 'UTC'",
        "SELECT 1; SET TimeZone = 'UTC'",
        "SELECT set_config('a.b', 'c', false)",
        "SELECT pg_catalog.set_config('a.b', 'c', false)",
        "SELECT pg_advisory_lock(1)",
        'SELECT "count"(1)',
        "SELECT my_function()",
        "SELECT 1 INTO TEMP t",
        "CREATE TEMP TABLE t (n int)",
        "LISTEN x",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "INSERT INTO t VALUES (1)",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING n) SELECT * FROM x",
        "UPDATE t SET n = 1",
        "BEGIN",
        "EXPLAIN ANALYZE SELECT 1",
        "",
    ],
)
def test_what_may_leave_a_trace_counts_as_one(statement: str) -> None:
    assert trace_of(statement) is Trace.SESSION


def test_a_prepared_statement_needs_a_new_connection() -> None:
    assert trace_of("PREPARE x AS SELECT 1") is Trace.PREPARED
    assert trace_of("SELECT 1; prepare x AS SELECT 1") is Trace.PREPARED
    assert trace_of("PREPARE TRANSACTION 'x'") is Trace.SESSION


def test_private_names_of_psycopg() -> None:
    assert factory_state._EXECUTE is not None
    assert factory_state._EXECUTE.co_varnames[:2] == ("self", "query")
    assert None not in factory_state._TRACELESS
    assert len(factory_state._TRACELESS) == 6


def test_private_attributes_of_a_connection(server: Server) -> None:
    with psycopg.connect(**server.settings) as conn:
        for name in (*factory_state._SETTINGS, *factory_state._HANDLERS, "_begin_statement", "_adapters"):
            assert name in vars(conn) or hasattr(conn._prepared, name), name
        assert (conn._notice_handlers, conn._notify_handlers, conn._begin_statement) == ([], [], b"")
        assert isinstance(conn._notifies_backlog, deque)
