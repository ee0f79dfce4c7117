"""More rows for reliability.py: what ends, stalls, refuses or is asked for too much.

`KIND` is `reliability.stock` or `reliability.ours`: it opens a pool on a cluster. What may break or hang the script
runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import psycopg
import reliability as base
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.cells import Job, Request
from pgmonkey_magic.demo.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIND = Any
spawning = multiprocessing.get_context("spawn")


def is_ours(kind: KIND) -> bool:
    """Tell which of the two it is; by name, because the script's own module is not the one imported here."""
    return kind.__name__ == "ours"


@contextlib.contextmanager
def proxied(cluster: Cluster) -> Iterator[Any]:
    """Open the tests' proxy before the cluster."""
    sys.path.append(str(Path(__file__).parents[1]))
    proxy = importlib.import_module("fix_proxy").Proxy(f"{cluster.socket_dir}/.s.PGSQL.{cluster.port}")
    proxy.conninfo = make_conninfo(cluster.conninfo, host="127.0.0.1", port=proxy.port, sslmode="disable")
    yield proxy
    proxy.close()


def query(cluster: Cluster, sql: str) -> list[tuple]:
    """Run one statement on a connection of its own."""
    with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
        cur = conn.execute(sql.encode())
        return cur.fetchall() if cur.description else []


def in_child(work: Callable[..., None], *arguments: Any, seconds: float) -> str:
    """Run *work* in a new process; return the last line that it sent, and say so where it had to be killed."""
    receive, send = spawning.Pipe(duplex=False)
    child = spawning.Process(target=work, args=(*arguments, send))
    child.start()
    child.join(seconds)
    killed = child.is_alive()
    if killed:
        child.kill()
        child.join()
    line = "nothing"
    send.close()
    with contextlib.suppress(EOFError):
        while receive.poll():
            line = receive.recv()
    return f"{line}, then hangs (ended after {seconds:g} s)" if killed else line


# -- H7 to H17: hazards ----------------------------------------------------------------------------------------------


FORK_QUERIES = 300


def _late(*_: object) -> None:
    raise TimeoutError


def _ask(pool: Any, token: str) -> str:
    """Return `.` where the server's answer is ours, `x` where it is another's, `e` where there is none within 1 s."""
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        conn, back = base.borrow(pool, 2)
        mine = conn.execute("SELECT %s::text", [token]).fetchone() == (token,)
        back()
    except Exception:  # noqa: BLE001 - counted
        return "e"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "." if mine else "x"


def _fork(conninfo: str, kind_name: str, send: Any) -> None:
    """In a child: share an idle pool with a grandchild, and query through it from both."""
    signal.signal(signal.SIGALRM, _late)
    read, write = os.pipe()
    with getattr(base, kind_name)(conninfo, min_size=1, max_size=1) as pool:
        base.once(pool)
        begin = time.monotonic() + 0.3
        grandchild = os.fork()
        time.sleep(begin - time.monotonic())
        for n in range(FORK_QUERIES):
            outcome = _ask(pool, f"{os.getpid()} {n}")
            os.write(write, outcome.encode())
            if outcome == "e":
                break
        if grandchild == 0:
            os._exit(0)
        os.waitpid(grandchild, 0)
        told = os.read(read, 4096).decode()
        send.send(
            f"{len(told)} of {2 * FORK_QUERIES} queries answered, {told.count('x')} with another's answer, "
            f"{told.count('e')} of 2 processes fail"
        )
    os._exit(0)


def h11_fork(cluster: Cluster, kind: KIND) -> str:
    """Fork, and use the pool that both inherited."""
    return in_child(_fork, cluster.conninfo, kind.__name__, seconds=15)


LOOPS, TASKS = 3, 10


def _loops(conninfo: str, kind_name: str, send: Any) -> None:
    """In a child: open an async pool on one loop, borrow on others, in turn and at once; a borrow may take 2 s."""

    async def open_pool() -> Any:
        if kind_name == "ours":
            sizes = {"min_size": 2, "max_size": 4}
            config = {"connection_settings": conninfo_to_dict(conninfo), "async_pool_settings": sizes}
            manager: Any = PGConnectionManager()
            return await manager.get_database_connection_from_dict(config, "async_pool")
        pool = AsyncConnectionPool(conninfo, min_size=2, max_size=4, open=False)
        await pool.open(wait=True)
        return pool

    async def one() -> None:
        async with asyncio.timeout(2), pool if kind_name == "ours" else pool.connection() as conn:
            await conn.execute("SELECT pg_sleep(0.01)")

    async def crowd() -> None:
        outcomes.extend(await asyncio.gather(*(one() for _ in range(TASKS)), return_exceptions=True))
        failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
        send.send(f"{failed} of {len(outcomes)} borrows from other loops fail")

    pool, outcomes = asyncio.run(open_pool()), []
    for _ in range(LOOPS):
        asyncio.run(crowd())
    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(LOOPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


def h12_loops(cluster: Cluster, kind: KIND) -> str:
    """Use an async pool from other loops than the one that opened it, ten tasks at a time."""
    return in_child(_loops, cluster.conninfo, kind.__name__, seconds=20)


def h13_twenty_threads(cluster: Cluster, kind: KIND) -> str:
    """Ask twenty times at once for one configuration."""
    settings = conninfo_to_dict(cluster.conninfo) | {"application_name": "bench"}
    config = {
        "connection_type": "pool",
        "connection_settings": settings,
        "pool_settings": {"min_size": 1, "max_size": 2},
    }
    if is_ours(kind):
        manager: Any = PGConnectionManager()
    else:
        try:
            pgmonkey = importlib.import_module("pgmonkey")
        except ImportError:
            return "— (has no cache)"
        manager = pgmonkey.PGConnectionManager()
    barrier, made, begin = threading.Barrier(20), [], ConnectionPool.__init__

    def counted(pool: Any, *args: Any, **kwargs: Any) -> None:
        made.append(pool)
        begin(pool, *args, **kwargs)

    def ask() -> None:
        barrier.wait()
        manager.get_database_connection_from_dict(config, "pool")

    threads = [threading.Thread(target=ask) for _ in range(20)]
    with mock.patch.object(ConnectionPool, "__init__", counted):  # the only place that sees those thrown away, too
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    manager.clear_cache()
    who = "" if is_ours(kind) else "has no cache; pgmonkey: "
    return f"{who}{len(made)} pools for 20 threads"


def _sleeper(conninfo: str, kind_name: str, send: Any) -> None:
    with getattr(base, kind_name)(conninfo, min_size=1, max_size=1) as pool:
        conn, _ = base.borrow(pool)
        send.send(conn.info.backend_pid)
        conn.execute("SELECT pg_sleep(60)")


def h16_killed_client(cluster: Cluster, kind: KIND) -> str:
    """Kill a client process in the middle of its query; look for 8 s whether the query ends."""
    receive, send = spawning.Pipe(duplex=False)
    child = spawning.Process(target=_sleeper, args=(cluster.conninfo, kind.__name__, send))
    child.start()
    pid = receive.recv()
    time.sleep(0.5)
    child.kill()
    child.join()
    killed = time.monotonic()
    running = f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"
    while query(cluster, running):
        if time.monotonic() > killed + 8:
            query(cluster, f"SELECT pg_terminate_backend({pid})")
            return "its query still runs after 8 s"
        time.sleep(0.05)
    return f"its query ends after {time.monotonic() - killed:.1f} s"


# -- F2 to F17: faults -----------------------------------------------------------------------------------------------


def empty(pool: Any, seconds: float) -> None:
    """Borrow and give back, without a word to the server."""
    _, back = base.borrow(pool, seconds)
    back()


def f2_terminated(cluster: Cluster, kind: KIND) -> str:
    """Terminate the backend during a query."""
    with kind(cluster, min_size=1, max_size=1) as pool:
        base.fill_one(pool)
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bench'"
        timer = threading.Timer(0.5, query, (cluster, end))
        timer.start()

        def work() -> None:
            if is_ours(kind):
                Job.start(Request("SELECT pg_sleep(20)"), pool, "bench").result()
            with base.block(pool) as conn:
                conn.execute("SELECT pg_sleep(20)")

        error = base.apart(work)
        last = f" “… {error.detail[-1]}”" if getattr(error, "detail", None) else ""
        after = base.timed(lambda: base.once(pool, 5))
        return f"{'a cell: ' if is_ours(kind) else ''}{base.said(error)}{last}; next borrow {after}"


def f3_stalled(cluster: Cluster, kind: KIND) -> str:
    """Stall the network; borrow with the check on and a timeout of 2 s; release it after 6 s."""
    with proxied(cluster) as proxy:
        with kind(proxy.conninfo, min_size=1, max_size=1, check=ConnectionPool.check_connection) as pool:
            base.fill_one(pool)
            time.sleep(0.7)
            proxy.stall()
            released = threading.Timer(6, proxy.release)
            reset = threading.Timer(12, proxy.reset)  # stock would wait for ever
            released.start()
            reset.start()
            told = base.timed(lambda: empty(pool, 2), 8)
            released.join()
            after = base.timed(lambda: empty(pool, 5), 8)
            reset.cancel()
        return f"timeout 2 s: {told}; after the end of the stall {after}"


@contextlib.contextmanager
def mute() -> Iterator[str]:
    """Listen, and never answer."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as listener:
        yield make_conninfo(host="127.0.0.1", port=listener.getsockname()[1], user="u", dbname="d")


PLACE = re.compile(r"(connection failed: )?connection to server .*? failed: ")


def refused(conninfo: str, kind: KIND) -> str:
    """Borrow with a timeout of 2 s where nobody can connect, then close."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(kind(conninfo, min_size=5, max_size=5, timeout=2))
        told = PLACE.sub("", base.timed(lambda: empty(pool, 2), 60))
        closing = time.monotonic()
        stack.close()
        return f"{told}; close() {time.monotonic() - closing:.1f} s"


def f6_mute(_cluster: Cluster, kind: KIND) -> str:
    """Connect to a server that never answers."""
    with mute() as conninfo:
        return refused(conninfo, kind)


def f6_no_address(_cluster: Cluster, kind: KIND) -> str:
    """Connect to a host that has no address."""
    return refused("host=no-such-host.invalid user=u dbname=d", kind)


def f6_wrong_password(cluster: Cluster, kind: KIND) -> str:
    """Connect with a wrong password, and count the attempts to log in."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    del cluster
    with Cluster(tcp_port=port, password="right") as guarded:
        told = refused(make_conninfo(guarded.tcp_conninfo, password="wrong"), kind)
        return f"{told}; {guarded.log.count('FATAL:  password authentication failed')} logins tried"


def f6_no_database(cluster: Cluster, kind: KIND) -> str:
    """Connect to a database that is not there."""
    return refused(make_conninfo(cluster.conninfo, dbname="no_such"), kind)


@contextlib.contextmanager
def crowded(room: int) -> Iterator[tuple[Cluster, Callable[[], None]]]:
    """Run a server whose places others have taken, but *room*; the function has the others leave."""
    with Cluster(settings={"max_connections": 8, "superuser_reserved_connections": 0}) as small:
        others: list[psycopg.Connection[Any]] = []
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                others.append(psycopg.connect(small.conninfo))

        def leave(keep: int = 0) -> None:
            while len(others) > keep:
                others.pop().close()

        leave(len(others) - room)
        yield small, leave
        leave()


def f7_full(_cluster: Cluster, kind: KIND) -> str:
    """Have others use up max_connections for 9 s."""
    with crowded(0) as (small, leave), kind(small, min_size=1, max_size=2, timeout=2) as pool:
        room_at = time.monotonic() + 9
        told = PLACE.sub("", base.timed(lambda: empty(pool, 2), 60))
        time.sleep(room_at - time.monotonic())
        leave()
        return f"{told}; room after 9 s is used after {base.timed(lambda: base.once(pool, 20))}"


def f7_growth(_cluster: Cluster, kind: KIND) -> str:
    """Keep a pool with one connection in use from growing for 9 s."""
    with crowded(1) as (small, leave), kind(small, min_size=1, max_size=2, timeout=2) as pool:
        base.fill_one(pool)
        _, back = base.borrow(pool)
        room_at = time.monotonic() + 9
        error = base.apart(lambda: base.once(pool, 2))
        cause = "names the server's reason" if "too many clients" in repr(vars(error)) else "no reason"
        threading.Timer(room_at - time.monotonic(), leave).start()
        base.apart(lambda: base.once(pool, 30))
        served = time.monotonic() - room_at
        back()
        return f"timeout 2 s: {type(error).__name__}, {cause}; a waiter gets the room of second 9 after {served:.2f} s"


def f9_deferred(cluster: Cluster, kind: KIND) -> str:
    """Break a deferred constraint, which fails at COMMIT."""
    query(cluster, "DROP TABLE IF EXISTS bench_deferred")
    query(cluster, "CREATE TABLE bench_deferred (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with kind(cluster, min_size=1, max_size=1) as pool:

        def work() -> None:
            with base.block(pool) as conn:
                conn.execute("INSERT INTO bench_deferred VALUES (1), (1)")

        outcome = base.apart(work)
        conn, back = base.borrow(pool, 5)
        status = conn.info.transaction_status.name
        back()
        rows = query(cluster, "SELECT count(*) FROM bench_deferred")[0][0]
        return f"raises {type(outcome).__name__}, {rows} rows, next borrow {status}"


NOTICES = 100_000
FLOOD = f"DO $$ BEGIN FOR i IN 1..{NOTICES} LOOP RAISE NOTICE 'n %', i; END LOOP; END $$"


def f11_notices(cluster: Cluster, kind: KIND) -> str:
    """Receive 100,000 notices by a handler or a cell, and look whether the next borrower has the handler too."""
    with kind(cluster, min_size=1, max_size=1) as pool:
        kept: list[Any] = []

        def work() -> int:
            if is_ours(kind):
                job = Job.start(Request(FLOOD), pool, "bench")
                job.result()
                return len(job.notices)
            with base.block(pool) as conn:
                conn.add_notice_handler(kept.append)
                conn.execute(FLOOD)
            return len(kept)

        def handlers() -> int:
            with base.block(pool) as conn:
                conn.add_notice_handler(kept.append)
            with base.block(pool) as conn:
                return len(conn._notice_handlers)

        count = base.apart(work)
        who = "a cell keeps" if is_ours(kind) else "a list of"
        return f"{who} {count:,}; {'a' if base.apart(handlers) else 'no'} handler left for the next borrower"


def f13_altered(cluster: Cluster, kind: KIND) -> str:
    """Change a table under a prepared statement, and run it again outside a transaction and inside one."""
    told = []
    for inside in (False, True):
        query(cluster, "DROP TABLE IF EXISTS bench_altered")
        query(cluster, "CREATE TABLE bench_altered (n int)")
        with kind(cluster, min_size=1, max_size=1) as pool:

            def read(pool: Any = pool, inside: bool = inside) -> None:
                with base.block(pool) as conn:
                    if inside:
                        conn.execute("SELECT 1")
                    else:
                        conn._autocommit = True
                    conn.execute("SELECT * FROM bench_altered", prepare=True).fetchall()

            base.apart(read)
            query(cluster, "ALTER TABLE bench_altered ADD COLUMN m int")
            outcome = base.apart(read)
            note = " ".join(getattr(outcome, "__notes__", [])).partition(";")[0]
            again = base.apart(read)
            told.append(
                f"{'inside' if inside else 'outside'}: {base.said(outcome, 7) if outcome else 'works'}"
                f"{f' + “{note}”' if note else ''}, next {'works' if again is None else 'fails too'}"
            )
    if is_ours(kind):
        told.append(f"a cell: {_altered_cell(cluster)}")
    return "; ".join(told)


def _altered_cell(cluster: Cluster) -> str:
    with base.ours(cluster, min_size=1, max_size=1) as pool:
        Job.start(Request("SELECT * FROM bench_altered"), pool, "bench").result()
        query(cluster, "ALTER TABLE bench_altered ADD COLUMN o int")
        outcome = base.apart(lambda: Job.start(Request("SELECT * FROM bench_altered"), pool, "bench").result())
        return base.said(outcome, 7) if isinstance(outcome, Exception) else "works"


def f17_waiters(cluster: Cluster, kind: KIND) -> str:
    """Have 300 threads wait for one connection with a timeout of 1 s."""
    with kind(cluster, min_size=1, max_size=1) as pool:
        base.fill_one(pool)
        _, back = base.borrow(pool)
        errors: list[Exception] = []
        seconds: list[float] = []

        def wait() -> None:
            started = time.monotonic()
            try:
                base.borrow(pool, 1)
            except Exception as error:  # noqa: BLE001 - counted
                errors.append(error)
            seconds.append(time.monotonic() - started)

        threads = [threading.Thread(target=wait) for _ in range(300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        back()
        who = sum("held by" in "".join(getattr(error, "detail", ())) for error in errors)
        usable = base.timed(lambda: base.once(pool, 5))
        last = f"the last after {max(seconds):.2f} s"
        return f"{len(errors)} of 300 time out, {last}; {who} say who holds; next borrow {usable}"


HAZARDS = {
    "H11 fork, both use the pool": h11_fork,
    "H12 async pool, other loops": h12_loops,
    "H13 20 threads, one configuration": h13_twenty_threads,
    "H16 client killed mid-query": h16_killed_client,
    "F2 terminated during a query": f2_terminated,
    "F3 network stalls for 6 s, old lines cut after 12 s, check on": f3_stalled,
    "F6 mute server, timeout 2 s": f6_mute,
    "F6 no such host, timeout 2 s": f6_no_address,
    "F6 wrong password, timeout 2 s": f6_wrong_password,
    "F6 no such database, timeout 2 s": f6_no_database,
    "F7 max_connections used up, timeout 2 s": f7_full,
    "F7 the same, one connection is in use": f7_growth,
    "F9 constraint that fails at COMMIT": f9_deferred,
    "F11 100,000 notices": f11_notices,
    "F13 table altered under a prepared statement": f13_altered,
    "F17 300 waiters, timeout 1 s": f17_waiters,
}
