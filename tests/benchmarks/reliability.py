"""Each hazard of a pool, shown on psycopg_pool and on ours in one run: `python tests/benchmarks/reliability.py`.

Prints the table of RELIABILITY.md; with arguments, such as `H5 F`, only the rows that begin so. The sync pools are
compared; the tests in tests/integration/ show the same behaviour of ours over both kinds. More rows stand in
reliability_faults.py.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTS = int(os.environ.get("INTERRUPTS", "200"))


def conninfo_of(server: Cluster | str) -> str:
    """Return how to connect."""
    return server if isinstance(server, str) else server.conninfo


@contextlib.contextmanager
def stock(server: Cluster | str, **settings: Any) -> Iterator[ConnectionPool]:
    """Open a stock pool."""
    with ConnectionPool(conninfo_of(server), kwargs={"application_name": "bench"}, **settings) as pool:
        yield pool


@contextlib.contextmanager
def ours(server: Cluster | str, **settings: Any) -> Iterator[Any]:
    """Open one of our pools."""
    settings["check_on_checkout"] = settings.pop("check", None) is not None
    config = {
        "connection_settings": conninfo_to_dict(conninfo_of(server)) | {"application_name": "bench"},
        "pool_settings": settings,
    }
    manager = PGConnectionManager()
    yield manager.get_database_connection_from_dict(config, "pool")
    manager.clear_cache()


def borrow(pool: Any, seconds: float | None = None) -> Any:
    """Borrow from either kind; give back with the returned function."""
    if isinstance(pool, ConnectionPool):
        conn = pool.getconn(seconds)
        return conn, lambda: pool.putconn(conn)
    lease = pool.borrow(timeout=seconds)
    return lease.conn, lambda: pool.give_back(lease)


def block(pool: Any) -> Any:
    """Return the context manager of one borrow."""
    return pool.connection() if isinstance(pool, ConnectionPool) else pool


def fill(pool: Any, count: int) -> None:
    """Have the pool open so many connections and return when they are idle."""
    deadline = time.monotonic() + 30
    backs = [borrow(pool, max(0.1, deadline - time.monotonic()))[1] for _ in range(count)]
    for back in backs:
        back()
    time.sleep(0.3)


def apart(work: Callable[[], Any]) -> Any:
    """Run in a thread of its own, so that several borrows are not one thread's."""
    out: list[Any] = []

    def body() -> None:
        try:
            out.append(work())
        except Exception as error:  # noqa: BLE001 - shown in the table
            out.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return out[0]


def backends(cluster: Cluster) -> int:
    """Count the pools' processes on the server."""
    with psycopg.connect(cluster.conninfo) as conn:
        row = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bench'").fetchone()
        return row[0] if row else 0


def seconds_of(work: Callable[[], Any]) -> str:
    """Return how long *work* took and what it raised."""
    started = time.monotonic()
    outcome = apart(work)
    took = f"{time.monotonic() - started:.2f} s"
    if isinstance(outcome, Exception):
        cause = f", cause {type(outcome.__cause__).__name__}" if outcome.__cause__ else ", no cause"
        return f"{type(outcome).__name__} after {took}{cause}"
    return took


def said(outcome: Any, words: int = 14) -> str:
    """Return the beginning of an error's text, or the value."""
    if not isinstance(outcome, BaseException):
        return str(outcome)
    text = " ".join(str(outcome).split()[:words])
    return f"{type(outcome).__name__} “{text}{' …' if len(str(outcome).split()) > words else ''}”"


def timed(work: Callable[[], Any], words: int = 14) -> str:
    """Return what *work* said in another thread, and after how long."""
    started = time.monotonic()
    outcome = apart(work)
    took = f"{time.monotonic() - started:.2f} s"
    return f"{said(outcome, words)} after {took}" if isinstance(outcome, BaseException) else took


def once(pool: Any, seconds: float = 30) -> None:
    """Borrow, SELECT 1, give back."""
    conn, back = borrow(pool, seconds)
    try:
        conn.execute("SELECT 1")
    finally:
        back()


def h1_interrupts(cluster: Cluster, kind: Any) -> str:
    """Interrupt the main thread while it waits for the only connection."""
    lost, done = 0, 0
    for _ in range(INTERRUPTS):
        with kind(cluster, min_size=1, max_size=1, timeout=5) as pool:
            fill_one(pool)
            _, back = apart(lambda pool=pool: borrow(pool))
            timer = threading.Timer(0.003, os.kill, (os.getpid(), signal.SIGINT))
            with contextlib.suppress(KeyboardInterrupt, PoolTimeout):
                timer.start()  # on a busy machine the interrupt may come while it still starts
                borrow(pool, 5)
            timer.join()
            back()
            time.sleep(0.002)
            try:
                apart_once = apart(lambda pool=pool: once(pool, 0.3))
                lost += isinstance(apart_once, PoolTimeout)
            finally:
                done += 1
        if lost >= 20:
            break
    return f"{lost} of {done} connections lost"


def fill_one(pool: Any) -> None:
    """Wait until the only connection is there."""
    apart(lambda: once(pool))


def h2_growth(cluster: Cluster, kind: Any) -> str:
    """Grow a pool that is grown already."""
    with kind(cluster, min_size=2, max_size=10) as pool:
        apart(lambda: fill(pool, 10))
        resize(pool, 10, 10)
        time.sleep(1)
        return f"{backends(cluster)} on the server, max_size 10"


def resize(pool: Any, min_size: int, max_size: int) -> None:
    """Give either kind other sizes."""
    if isinstance(pool, ConnectionPool):
        pool.resize(min_size, max_size)
    else:
        pool.apply(replace(pool.settings, min_size=min_size, max_size=max_size))


def h3_shrink(cluster: Cluster, kind: Any) -> str:
    """Lower max_size from 20 to 4."""
    with kind(cluster, min_size=0, max_size=20) as pool:
        apart(lambda: fill(pool, 20))
        resize(pool, 0, 4)
        time.sleep(2)
        return f"{backends(cluster)} open after 2 s, max_size 4"


def h4_queue(cluster: Cluster, kind: Any) -> str:
    """Raise max_size while somebody waits."""
    with kind(cluster, min_size=1, max_size=1) as pool:
        fill_one(pool)
        _, back = apart(lambda: borrow(pool))
        threading.Timer(0.5, resize, (pool, 1, 5)).start()
        told = seconds_of(lambda: once(pool, 4))
        back()
        return f"waiting request: {told} (raised after 0.5 s)"


def h5_stale(cluster: Cluster, kind: Any) -> str:
    """Restart the server under 50 idle connections, with the check on."""
    with kind(cluster, min_size=50, max_size=50, check=ConnectionPool.check_connection) as pool:
        apart(lambda: fill(pool, 50))
        cluster.restart()
        return f"next borrow: {seconds_of(lambda: once(pool, 30))}"


def h6_frozen(cluster: Cluster, kind: Any) -> str:
    """Stop the only backend; borrow with a timeout of 2 s and the check on."""
    with kind(cluster, min_size=1, max_size=1, check=ConnectionPool.check_connection) as pool:
        fill_one(pool)
        conn, back = apart(lambda: borrow(pool))
        pid = conn.info.backend_pid
        back()
        time.sleep(0.7)
        os.kill(pid, signal.SIGSTOP)  # a backend of this script's own server
        waking = threading.Timer(6, os.kill, (pid, signal.SIGCONT))
        waking.start()
        told = seconds_of(lambda: once(pool, 2))
        waking.join()
        return f"timeout 2 s: {told} (the backend wakes after 6 s)"


def h7_check(cluster: Cluster, kind: Any) -> str:
    """Look at the status at hand-over, with the check that people write."""
    with kind(cluster, min_size=1, max_size=1, check=lambda conn: conn.execute("SELECT 1")) as pool:
        fill_one(pool)
        time.sleep(0.6)
        conn, back = borrow(pool)
        status = conn.info.transaction_status.name
        back()
        return f"{'check_on_checkout' if kind is ours else 'check=SELECT 1'}: handed out {status}"


def h8_unreachable(cluster: Cluster, kind: Any) -> str:
    """Borrow while the server is down, timeout 5 s."""
    with kind(cluster, min_size=1, max_size=1, timeout=5) as pool:
        fill_one(pool)
        cluster.stop()
        try:
            apart(lambda: once(pool, 5))
            return seconds_of(lambda: once(pool, 5))
        finally:
            cluster.start()


def h9_swallowed(cluster: Cluster, kind: Any) -> str:
    """Swallow an SQL error inside the block."""
    with kind(cluster, min_size=1, max_size=1) as pool:

        def work() -> None:
            with block(pool) as conn:
                conn.execute("CREATE TABLE IF NOT EXISTS bench_swallowed (n int)")
                with contextlib.suppress(psycopg.Error):
                    conn.execute("SELECT 1/0")

        outcome = apart(work)
        return (
            f"raises {type(outcome).__name__}" if isinstance(outcome, Exception) else "ends without an error, rows gone"
        )


LEAVE = (
    "SET work_mem = '1234kB'",
    "CREATE TEMP TABLE bench_left (n int)",
    "SELECT pg_advisory_lock(42)",
    "LISTEN bench_left",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE bench_left AS SELECT 1",
    "SET ROLE pg_read_all_data",
)
LOOK = """
SELECT (current_setting('work_mem') = '1234kB')::int + (to_regclass('bench_left') IS NOT NULL)::int
     + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())::int
     + (SELECT count(*) FROM pg_listening_channels())::int + (SELECT count(*) FROM pg_cursors WHERE is_holdable)::int
     + (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)::int + (current_user = 'pg_read_all_data')::int
"""


def h10_state(cluster: Cluster, kind: Any) -> str:
    """Leave seven kinds of state behind and count what the next borrower finds."""
    with kind(cluster, min_size=1, max_size=1) as pool:

        def leave() -> None:
            with block(pool) as conn:
                for statement in LEAVE:
                    conn.execute(statement)

        def look() -> Any:
            with block(pool) as conn:
                return conn.execute(LOOK).fetchone()[0]

        apart(leave)
        return f"{apart(look)} of {len(LEAVE)} kinds leak"


def h14_max_idle(cluster: Cluster, kind: Any) -> str:
    """Lower max_idle live from 300 to 1; then ask four times for a look at the connections."""
    with kind(cluster, min_size=1, max_size=10, max_idle=300) as pool:
        apart(lambda: fill(pool, 10))
        changed = time.monotonic()
        if isinstance(pool, ConnectionPool):
            pool.max_idle = 1
        else:
            pool.apply(replace(pool.settings, max_idle=1))
        while (still := backends(cluster)) > 1 and time.monotonic() < changed + 4:
            time.sleep(0.05)
        took = time.monotonic() - changed
    with kind(cluster, min_size=1, max_size=10) as pool:
        fill_one(pool)
        time.sleep(0.3)
        before = backends(cluster)
        look = pool.check if isinstance(pool, ConnectionPool) else pool.sweep
        for _ in range(4):
            look()
            time.sleep(0.3)
        name = f"{look.__name__}()"
        grown = backends(cluster)
    idle = f"{still} of 10 still open after 4 s" if still > 1 else f"9 surplus gone after {took:.1f} s"
    return f"{idle}; four {name}: {before} → {grown} connections"


def h15_who_holds(cluster: Cluster, kind: Any) -> str:
    """Ask a fresh pool for its figures, and an exhausted one who holds."""
    with kind(cluster, min_size=1, max_size=1) as pool:
        if isinstance(pool, ConnectionPool):
            before = len(pool.get_stats())
            fill_one(pool)
            _, back = borrow(pool)
            apart(lambda: once(pool, 0.3))
            told = f"says how many, not who; get_stats() has {before} keys at first, {len(pool.get_stats())} later"
        else:
            fill_one(pool)
            _, back = borrow(pool)
            error = apart(lambda: once(pool, 0.3))
            told = f"“{error.detail[0].strip()}”; waits and holds of {pool.ledger.usage().granted} borrows"
        back()
        return told


def h17_self(cluster: Cluster, kind: Any) -> str:
    """Borrow twice in one thread at max_size 1, timeout 3 s."""
    with kind(cluster, min_size=1, max_size=1, timeout=3) as pool:

        def work() -> None:
            _, back = borrow(pool)
            try:
                borrow(pool, 3)
            finally:
                back()

        return timed(work)


HAZARDS = {
    "H1 interrupt while waiting": h1_interrupts,
    "H2 growing a grown pool": h2_growth,
    "H3 lowering max_size 20 → 4": h3_shrink,
    "H4 raising max_size with a queue": h4_queue,
    "H5 restart under 50 idle, check on": h5_stale,
    "H6 stopped backend, check on": h6_frozen,
    "H7 the check's transaction": h7_check,
    "H8 server down": h8_unreachable,
    "H9 error swallowed in the block": h9_swallowed,
    "H10 session state": h10_state,
    "H17 borrowing twice at max_size 1, timeout 3 s": h17_self,
    "H15 who holds": h15_who_holds,
    "H14 max_idle 300 → 1 live; asking for a look": h14_max_idle,
}


def main() -> None:
    """Run every hazard on both pools and print the table."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = tuple(sys.argv[1:]) or ("",)
    hazards = HAZARDS | importlib.import_module("reliability_faults").HAZARDS
    rows = sorted(hazards.items(), key=lambda row: (row[0][0] != "H", int(re.findall(r"\d+", row[0])[0])))
    print("| hazard | psycopg_pool | ours |\n| --- | --- | --- |", flush=True)
    with Cluster() as cluster:
        for name, hazard in rows:
            if not name.startswith(wanted):
                continue
            cells = []
            for kind in (stock, ours):
                cells.append(hazard(cluster, kind))
                time.sleep(0.5)
            print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
