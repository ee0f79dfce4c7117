"""What always holds, whatever is done to a pool and in whatever order: a stateful test against a real server.

Borrowing, giving back, committing, leaving state behind, live tuning and the death of server processes are mixed at
random; after each grant and at the end the pool must be what a person relies on.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import pytest
from fix_pools import Kind, until
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.pools import Holder
from pgmonkey_magic.pools.loop import submit

if TYPE_CHECKING:
    from fix_server import Server

_numbers = itertools.count(1)
FACTORY = """
SELECT current_setting('work_mem') <> '77kB',
       to_regclass('pg_temp.left_behind') IS NULL,
       NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
       NOT EXISTS (SELECT FROM pg_listening_channels())
"""
LEAVE = (
    "SET work_mem = '77kB'",
    "CREATE TEMP TABLE left_behind (n int)",
    "SELECT pg_try_advisory_lock(7)",
    "LISTEN left_behind",
)


@dataclass
class Held:
    """One lease in the hands of the test, and what it has written and not yet committed."""

    lease: Any
    pid: int
    pending: list[int] = field(default_factory=list)
    dead: bool = False


class PoolMachine(RuleBasedStateMachine):
    """The model: who holds what, and which rows must be in the table."""

    kind: ClassVar[Kind]
    server: ClassVar[Server]
    table: ClassVar[str]

    @initialize()
    def open(self) -> None:
        self.name = f"machine-{next(_numbers)}"
        self.server.query(f"TRUNCATE {self.table}")
        self.pool = self.kind.open(
            self.server.config(application_name=self.name), min_size=1, max_size=3, timeout=5, max_idle=60
        )
        self.held: list[Held] = []
        self.committed: set[int] = set()

    # -- the two kinds, from whichever thread or loop ----------------------------------------------------------------

    def call(self, method: Any, *args: Any, where: str = "own", **options: Any) -> Any:
        """Call a method of the pool from the main thread, from another one, or on the pools' own loop."""
        if self.kind.connection_type == "pool":
            work = lambda: method(*args, **options)  # noqa: E731
        else:
            work = lambda: asyncio.run(method(*args, **options))  # noqa: E731
            if where == "own":
                return submit(method(*args, **options)).result(30)
        if where != "thread":
            return work()
        out: list[Any] = []

        def body() -> None:
            try:
                out.append((work(), None))
            except BaseException as error:  # noqa: BLE001 - raised below
                out.append((None, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(30)
        value, error = out[0]
        if error is not None:
            raise error
        return value

    def execute(self, held: Held, sql: str) -> list[tuple]:
        conn = held.lease.conn
        if self.kind.connection_type == "pool":
            cur = conn.execute(sql)
            return cur.fetchall() if cur.description else []

        async def fetch() -> list[tuple]:
            cur = await conn.execute(sql)
            return await cur.fetchall() if cur.description else []

        return submit(fetch()).result(30)

    def end(self, held: Held, how: str) -> None:
        method = getattr(held.lease.conn, how)
        if self.kind.connection_type == "pool":
            method()
        else:
            submit(method()).result(30)

    # -- what can happen ---------------------------------------------------------------------------------------------

    @rule(where=st.sampled_from(["main", "thread", "own"]))
    def borrow(self, where: str) -> None:
        borrower = Holder(f"borrower {next(_numbers)}")
        started = time.monotonic()
        if len(self.held) >= self.pool.settings.max_size:
            with pytest.raises(PoolUnavailable):
                self.call(self.pool.borrow, borrower, where=where, timeout=0.05)
            assert time.monotonic() - started < 1.5
            return
        lease = self.call(self.pool.borrow, borrower, where=where)
        held = Held(lease, lease.conn.info.backend_pid)
        assert lease.conn.pgconn.transaction_status == TransactionStatus.IDLE
        assert lease.conn.row_factory is tuple_row
        assert held.pid not in {other.pid for other in self.held}, "a connection has one holder"
        assert self.execute(held, FACTORY) == [(True, True, True, True)]
        self.end(held, "rollback")
        self.held.append(held)

    @precondition(lambda self: self.held)
    @rule(
        which=st.integers(0, 99),
        how=st.sampled_from(["commit", "rollback", "leave"]),
        where=st.sampled_from(["main", "thread", "own"]),
    )
    def give_back(self, which: int, how: str, where: str) -> None:
        held = self.held.pop(which % len(self.held))
        if how != "leave":
            try:
                self.end(held, how)
            except psycopg.OperationalError:
                assert held.dead
            else:
                assert not held.dead or not held.pending or how == "rollback"
                if how == "commit":
                    self.committed.update(held.pending)
        self.call(self.pool.give_back, held.lease, where=where)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def write(self, which: int) -> None:
        held, token = self.held[which % len(self.held)], next(_numbers)
        try:
            self.execute(held, f"INSERT INTO {self.table} VALUES ({token})")
        except psycopg.Error:
            assert held.dead
        else:
            held.pending.append(token)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), what=st.sampled_from(LEAVE))
    def leave_state(self, which: int, what: str) -> None:
        held = self.held[which % len(self.held)]
        held.lease.conn.row_factory = dict_row
        try:
            self.execute(held, what)
            self.end(held, "commit")  # without which the server forgets a SET
        except psycopg.errors.DuplicateTable:
            self.end(held, "rollback")
        except psycopg.Error:
            assert held.dead
        else:
            self.committed.update(held.pending)
        held.pending.clear()

    @rule(low=st.integers(0, 4), high=st.integers(1, 5))
    def tune(self, low: int, high: int) -> None:
        self.pool.apply(replace(self.pool.settings, min_size=min(low, high), max_size=high))

    @rule()
    def recycle(self) -> None:
        self.pool.recycle()

    @rule(check=st.booleans())
    def tune_check(self, check: bool) -> None:
        self.pool.apply(replace(self.pool.settings, check_on_checkout=check))

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def lose_one_in_use(self, which: int) -> None:
        held = self.held[which % len(self.held)]
        self.server.query(f"SELECT pg_terminate_backend({held.pid}, 5000)")
        held.dead = True
        held.pending.clear()

    @rule()
    def lose_all_idle(self) -> None:
        mine = ", ".join(str(held.pid) for held in self.held) or "0"
        self.server.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE application_name = '{self.name}' AND pid NOT IN ({mine})"
        )

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def ledger_is_true(self) -> None:
        if hasattr(self, "held"):
            assert self.pool.occupancy.in_use == len(self.held)

    def teardown(self) -> None:
        if not hasattr(self, "held"):
            return
        while self.held:
            self.give_back(0, "commit", "main")
        rows = {n for (n,) in self.server.query(f"SELECT n FROM {self.table}")}
        assert rows == self.committed, "what the client knows to be committed is what the table holds"
        until(lambda: self.pool.occupancy.size <= self.pool.settings.max_size)
        while len(self.held) < self.pool.settings.max_size:
            self.borrow("main")
        until(lambda: self.server.backends(self.name) == self.pool.settings.max_size, 5)
        while self.held:
            self.give_back(0, "leave", "own")
        PGConnectionManager().clear_cache()
        until(lambda: self.server.backends(self.name) == 0, 2)


def play(kind: Kind, server: Server, table: str, examples: int) -> None:
    machine = type("Machine", (PoolMachine,), {"kind": kind, "server": server, "table": table})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
            print_blob=True,
        ),
    )


def test_what_always_holds(kind: Kind, server: Server, table: str) -> None:
    play(kind, server, table, 12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_what_always_holds_at_length(kind: Kind, server: Server, table: str) -> None:
    play(kind, server, table, 400)
