"""Lessons on what lives in a session on the server: stale connections, idle in transaction, session state."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.pools import Keep, PoolUnavailable
from pgmonkey_magic.tuning.lab.bench import PID
from pgmonkey_magic.tuning.lab.lesson import Lesson
from pgmonkey_magic.tuning.lab.own_pool import APPLICATION_NAME

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning.lab.bench import Bench
    from pgmonkey_magic.tuning.lab.lesson import Rows

TERMINATE = (
    "SELECT pg_catalog.pg_terminate_backend(pid, 2000) FROM pg_catalog.pg_stat_activity "
    "WHERE pid = ANY(%s) AND application_name = %s"
)
"""Only processes that the lab has borrowed itself and that still carry its name."""


def _stale(bench: Bench) -> tuple[Rows, str]:
    size, rows = 5, []
    with bench.pool(min_size=size, max_size=size) as pool:
        pids = bench.pids(pool, size)
        ended = len(bench.outside(TERMINATE, pids, APPLICATION_NAME))
        for i in range(size):
            began = time.perf_counter()
            try:
                ((pid,),) = bench.ask(pool, PID)
                result = "served"
            except (psycopg.Error, PoolUnavailable) as error:
                pid, result = None, type(error).__name__
            took_ms = round((time.perf_counter() - began) * 1e3, 1)
            rows.append({"borrow": i + 1, "result": result, "ms": took_ms, "new backend": pid not in pids})
    failed = sum(row["result"] != "served" for row in rows)
    return rows, (
        f"the server ended all {ended} idle connections, as a restart does; the next {size} borrows got {failed} "
        f"errors: the first took {rows[0]['ms']:.1f} ms, in which the dead ones were found and replaced, and the last "
        f"{rows[-1]['ms']:.1f} ms"
    )


def _idle_in_transaction(bench: Bench) -> tuple[Rows, str]:
    rows = [_locked_out(bench, think_s=0.8, limit_ms=0), _locked_out(bench, think_s=0.8, limit_ms=200)]
    free, limited = rows
    return rows, (
        f"a borrower that thought for 0.8 s with its transaction open (the server calls that {free['server says']!r}) "
        f"kept a lock, and the next one waited {free['other waited ms']:.0f} ms for it; with "
        f"idle_in_transaction_session_timeout at 200 ms the server ended it, the other waited "
        f"{limited['other waited ms']:.0f} ms, and the thinker's next statement failed ({limited['thinker']})"
    )


def _locked_out(bench: Bench, *, think_s: float, limit_ms: int) -> dict[str, Any]:
    """Take a lock, do nothing for a while, and see how long somebody else waits for it."""
    lock = random.getrandbits(62)  # a number that nobody else is likely to lock
    keep = Keep()
    with bench.pool(min_size=2, max_size=2) as pool:

        def take(conn: psycopg.Connection[Any]) -> int:
            conn.execute(
                "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true)", [str(limit_ms)]
            )
            conn.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [lock])
            return conn.info.backend_pid

        try:
            pid = bench.borrow(pool, take, who="thinker", keep=keep)
            other, waited = bench.aside(lambda: _waits_for(bench, pool, lock))
            bench.sleep(min(0.1, think_s))
            states = bench.outside("SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = %s", pid)
            bench.sleep(think_s - 0.1)
            said = _goes_on(bench, pool, keep)
        finally:
            pool.release(keep)
        other.join(5)
    return {
        "limit ms": limit_ms or None,
        "server says": states[0][0] if states else "gone",
        "other waited ms": round(waited[0] * 1e3, 1) if isinstance(waited[0], float) else None,
        "thinker": said,
    }


def _waits_for(bench: Bench, pool: PGPool | PGAsyncPool, lock: int) -> float:
    began = time.perf_counter()
    bench.ask(pool, "SELECT pg_catalog.pg_advisory_xact_lock(%s)", lock, who="other")
    return time.perf_counter() - began


def _goes_on(bench: Bench, pool: PGPool | PGAsyncPool, keep: Keep) -> str:
    """Send the thinker's next statement and commit."""

    def work(conn: psycopg.Connection[Any]) -> None:
        conn.execute("SELECT 1")
        conn.commit()

    try:
        bench.borrow(pool, work, who="thinker", keep=keep)
    except psycopg.Error as error:
        return f"SQLSTATE {error.sqlstate}" if error.sqlstate else type(error).__name__
    return "went on"


LOCK = 7_238_441_905
STATE = (
    ("setting", "SET work_mem = '7777kB'", "SELECT pg_catalog.current_setting('work_mem') = '7777kB'"),
    (
        "temporary table",
        "CREATE TEMP TABLE left_behind (n int)",
        "SELECT to_regclass('pg_temp.left_behind') IS NOT NULL",
    ),
    (
        "advisory lock",
        f"SELECT pg_catalog.pg_advisory_lock({LOCK})",
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())",
    ),
    ("LISTEN", "LISTEN left_behind", "SELECT EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"),
)
"""What is left, how, and how one sees that it is there."""


def _session_state(bench: Bench) -> tuple[Rows, str]:
    leave = "; ".join(sql for _, sql, _ in STATE)

    def there(conn: psycopg.Connection[Any]) -> list[bool]:
        return [bool(conn.execute(look.encode()).fetchall()[0][0]) for _, _, look in STATE]

    def first(conn: psycopg.Connection[Any]) -> tuple[int, list[bool]]:
        for _, sql, _ in STATE:
            conn.execute(sql.encode())
        conn.commit()  # LISTEN begins with it
        return conn.info.backend_pid, there(conn)

    with bench.pool(min_size=1, max_size=1) as pool:
        pid, before = bench.borrow(pool, first, who="first borrower", sql=leave)
        next_pid, after = bench.borrow(pool, lambda conn: (conn.info.backend_pid, there(conn)), who="next borrower")
    rows: Rows = [
        {"what": what, "first borrower": had, "next borrower": has}
        for (what, _, _), had, has in zip(STATE, before, after, strict=True)
    ]
    same = "over the same backend" if next_pid == pid else "over another backend"
    return rows, (
        f"of {sum(before)} things that one borrower left in its session the next one, {same}, found {sum(after)}: a "
        "pool hands out connections in factory state"
    )


LESSONS = (
    Lesson(
        "stale",
        "What does one notice of a server restart between two borrows?",
        (
            "open a pool of 5 and learn the process ids of its backends",
            "end exactly these with pg_terminate_backend, which is what a restart does to each of them",
            "borrow 5 times, with check_on_checkout off",
        ),
        6,
        _stale,
    ),
    Lesson(
        "idle-in-transaction",
        "What does a transaction cost that is open and does nothing?",
        (
            "take a lock in a transaction and think for 0.8 s",
            "let somebody else wait for the lock, and ask the server what the thinker does",
            "do it again with idle_in_transaction_session_timeout at 200 ms",
        ),
        3,
        _idle_in_transaction,
    ),
    Lesson(
        "session-state",
        "What does the next borrower find of what the last one left in the session?",
        (
            "borrow the one connection of a pool and leave a setting, a temporary table, a lock, a LISTEN",
            "borrow it again and look for each of them",
        ),
        1,
        _session_state,
    ),
)
