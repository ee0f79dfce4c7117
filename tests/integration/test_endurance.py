"""The same promises ten thousand times: each test has a short form and, behind the marker `long`, a long one.

`pytest -m long -s tests/integration/test_endurance.py` runs the long forms; every test prints its figures. What is
interrupted or killed runs in a process of its own, which is this file run as a script.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fix_figures import Tell
from fix_pools import Kind, until
from fix_server import Server
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.pools import reclaim
from pgmonkey_magic.pools.loop import submit

TESTS = Path(__file__).parents[1]
SLACK_S = 0.25
HICCUP_S = 0.5
"""What this machine may take for itself, as busy as these tests make it."""


def forms(short: int, long: int) -> pytest.MarkDecorator:
    """Give a test its two counts."""
    long_form = pytest.param(long, id="long", marks=(pytest.mark.long, pytest.mark.timeout(3600)))
    return pytest.mark.parametrize("count", [pytest.param(short, id="short"), long_form])


async def settled(value: Any) -> Any:
    """Return what a method of either kind of pool has answered."""
    return await value if inspect.isawaitable(value) else value


def borrowable(pool: Any, count: int, timeout: float = 2) -> int:
    """Return how many of *count* connections can be had at once."""

    async def errand() -> int:
        leases = []
        with suppress(PoolUnavailable):
            while len(leases) < count:
                leases.append(await settled(pool.borrow(timeout=timeout)))
        for lease in leases:
            await settled(pool.give_back(lease))
        return len(leases)

    return asyncio.run(errand())


@contextmanager
def load(threads: int, work: Callable[[], None]) -> Iterator[None]:
    """Have *threads* threads work again and again during the block; raise what they raised at its end."""
    stop = threading.Event()

    def body() -> None:
        while not stop.is_set():
            work()

    with ThreadPoolExecutor(threads) as executor:
        workers = [executor.submit(body) for _ in range(threads)]
        try:
            yield
        finally:
            stop.set()
    for worker in workers:
        worker.result()


def child(errand: str, **arguments: Any) -> subprocess.Popen[str]:
    """Run one of ERRANDS in a process of its own; its arguments go by stdin, because a DSN may hold a password."""
    process = subprocess.Popen(
        [sys.executable, __file__, errand],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(arguments) + "\n")
    process.stdin.flush()
    return process


# -- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["waiting", "anywhere"])
@forms(short=100, long=10_000)
def test_no_interrupt_loses_a_connection(kind: Kind, server: Server, tell: Tell, count: int, where: str) -> None:
    arguments = {"connection_type": kind.connection_type, "where": where, "count": count, "config": server.config()}
    with child("interrupts", **arguments) as process:
        try:
            stdout, stderr = process.communicate(timeout=60 + count / 3)
        finally:
            process.kill()
    assert process.returncode == 0, stderr
    figures = json.loads(stdout)
    tell(**figures, stderr_lines=len(stderr.splitlines()))
    # Up to Python 3.11 asyncio.wait_for swallows a cancellation that comes together with what is waited for.
    assert count - figures["interrupted"] <= (0 if kind.connection_type == "pool" else count // 10)
    assert (figures["lost"], figures["forgotten"], figures["masked"]) == (0, 0, 0)
    assert stderr == ""


@dataclass
class Account:
    """What interrupts have cost; every field but the last two counts."""

    interrupted: int = 0
    masked: int = 0
    """Interrupts that came out as another error."""
    while_waiting: int = 0
    lost: int = 0
    """Connections that could not be borrowed any more."""
    forgotten: int = 0
    """Requests that the ledger takes for waiting or holding for ever."""
    slowest_s: float = 0.0
    """The longest that it took until all connections could be borrowed again."""
    threads: int = 0
    """Of this process, at the end."""


THREAD_ROUND_S, TASK_ROUND_S = 3.0, 0.5
"""When a round ends that was not interrupted, because something has swallowed the interrupt."""


INTERRUPTER = """
import os, signal, sys, time
for line in sys.stdin:
    time.sleep(float(line))
    os.kill(os.getppid(), signal.SIGINT)
"""
"""A program that sends its parent the Ctrl-C. From a thread it would only come when the main thread has let go of the
interpreter, and so never between two steps of Python."""


def interrupt_thread(pool: Any, interrupter: subprocess.Popen[str], delay: float) -> BaseException | None:
    """Interrupt the main thread in a loop of blocks, as in a cell; return what came out."""
    since = time.monotonic()
    try:
        print(delay, file=interrupter.stdin, flush=True)
        while (now := time.monotonic()) < since + THREAD_ROUND_S:
            with pool as conn:
                token = int(now * 1e6)
                assert conn.execute(f"SELECT {token}").fetchone() == (token,)
    except (KeyboardInterrupt, RuntimeError) as error:
        reclaim(since)  # as the notebook does at the end of an interrupted cell
        return error.with_traceback(None)  # whose frames know the connection
    return None


async def interrupt_task(pool: Any, delay: float) -> BaseException | None:
    """Cancel a task in a loop of blocks; return what came out."""

    async def blocks() -> None:
        since = time.monotonic()
        while (now := time.monotonic()) < since + TASK_ROUND_S:
            async with pool as conn:
                token = int(now * 1e6)
                cur = await conn.execute(f"SELECT {token}")
                assert await cur.fetchone() == (token,)

    task = asyncio.ensure_future(blocks())
    asyncio.get_running_loop().call_later(delay, task.cancel)
    try:
        await task
    except asyncio.CancelledError as error:
        return error.with_traceback(None)
    return None


def in_a_loop_as_a_kernels(coro: Coroutine[Any, Any, Any]) -> Any:
    """Run on a loop of this thread that leaves Python's handler of Ctrl-C in place."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coro)
    finally:
        loop.close()


LOOPS = (asyncio.run, in_a_loop_as_a_kernels, lambda coro: submit(coro).result())


@contextmanager
def held(pool: Any, seconds: float) -> Iterator[threading.Thread]:
    """Have another thread hold a connection for so long, if the pool still has one."""
    taken = threading.Event()

    async def hold() -> None:
        try:
            lease = await settled(pool.borrow(timeout=2))
        finally:
            taken.set()
        time.sleep(seconds)
        await settled(pool.give_back(lease))

    thread = threading.Thread(target=asyncio.run, args=(hold(),))
    thread.start()
    taken.wait()
    try:
        yield thread
    finally:
        thread.join()


def in_ledger(pool: Any) -> int:
    """Return how many requests the ledger has, after a while for those that are just being struck out."""
    deadline = time.monotonic() + 0.5
    while (left := pool.occupancy.in_use + pool.occupancy.waiting) and time.monotonic() < deadline:
        time.sleep(0.001)
    return left


def interrupts(connection_type: str, where: str, count: int, config: dict[str, Any]) -> None:
    """In a child: interrupt so many times, look after each whether anything is lost, print the account."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have been told to ignore it
    kind, account = Kind(connection_type), Account()
    interrupter = subprocess.Popen([sys.executable, "-c", INTERRUPTER], stdin=subprocess.PIPE, text=True)
    size = 1 if where == "waiting" else 2
    pool = None
    for i in range(count):
        pool = pool or kind.open(config, min_size=size, max_size=size)
        delay = random.uniform(0, 0.003)
        # Longer than the delay three times of four; where it is not, hand-over and interrupt may coincide.
        with held(pool, random.uniform(0, 0.006)) if where == "waiting" else nullcontext() as holder:
            if kind.connection_type == "pool":
                came_out = interrupt_thread(pool, interrupter, delay)
            else:
                came_out = LOOPS[i % len(LOOPS)](interrupt_task(pool, delay))
            account.interrupted += came_out is not None
            account.masked += isinstance(came_out, RuntimeError)
            account.while_waiting += holder is not None and holder.is_alive()
        started = time.monotonic()
        lost = size - borrowable(pool, size, timeout=0.5)
        account.slowest_s = max(account.slowest_s, round(time.monotonic() - started, 3))
        forgotten = in_ledger(pool)
        account.lost += lost
        account.forgotten += forgotten
        if lost or forgotten:
            PGConnectionManager().clear_cache()  # so that one loss is counted once
            pool = None
    PGConnectionManager().clear_cache()
    interrupter.communicate()
    account.threads = threading.active_count()
    print(json.dumps(asdict(account)))


# -- kernel deaths ---------------------------------------------------------------------------------------------------

RUNNING = {
    "sleeping": "SELECT pg_sleep(600)",
    "waiting for a lock": "SELECT pg_advisory_lock({i})",
    "computing": "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b",
}
KERNELS_AT_ONCE = 5


@forms(short=5, long=1000)
def test_no_backend_outlives_its_killed_process(kind: Kind, server: Server, tell: Tell, count: int) -> None:
    def die(i: int) -> float:
        name, sql = f"death-{kind.connection_type}-{i}", list(RUNNING.values())[i % len(RUNNING)].format(i=i)
        backends = f"SELECT state FROM pg_stat_activity WHERE application_name = '{name}' ORDER BY 1"
        with psycopg.connect(**server.settings, autocommit=True) as conn:
            outside: Any = conn
            outside.execute(f"SELECT pg_advisory_lock({i})")
            arguments = {"connection_type": kind.connection_type, "config": server.config(application_name=name)}
            with child("kernel", **arguments, sql=sql) as process:
                try:
                    until(lambda: outside.execute(backends).fetchall() == [("active",), ("idle",)], 30)
                    time.sleep(random.uniform(0, 0.2))
                finally:
                    process.kill()
            started = time.monotonic()
            until(lambda: not outside.execute(backends).fetchall())
            return time.monotonic() - started

    with ThreadPoolExecutor(KERNELS_AT_ONCE) as executor:
        seconds = sorted(executor.map(die, range(count)))
    (left,) = server.query(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^death-{kind.connection_type}'"
    )
    tell(killed=count, left=left[0], median_s=round(seconds[count // 2], 2), slowest_s=round(seconds[-1], 2))
    assert left == (0,)
    assert seconds[-1] < 3


def kernel(connection_type: str, config: dict[str, Any], sql: str) -> None:
    """In a child: run a statement until killed."""
    kind = Kind(connection_type)
    with kind.block(kind.open(config, min_size=2, max_size=2)) as block:
        block.execute(sql)


# -- restarts --------------------------------------------------------------------------------------------------------


@dataclass
class Tokens:
    """What the threads that insert know of what they have inserted."""

    pool: Any
    kind: Kind
    committed: set[int] = field(default_factory=set)
    rolled_back: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)

    def insert(self) -> None:
        """Insert a token, once, and note what became of it by what the block raised."""
        token = random.getrandbits(62)
        try:
            with self.kind.block(self.pool) as block:
                block.execute(f"INSERT INTO tokens VALUES ({token})")
        except psycopg.errors.TransactionResolutionUnknown:
            self.unknown.add(token)
        except (PoolUnavailable, psycopg.OperationalError):
            self.rolled_back.add(token)
            time.sleep(0.01)  # a person's program would not ask more often either
        else:
            self.committed.add(token)


def connect_seconds(server: Server) -> float:
    started = time.monotonic()
    server.query("SELECT 1")
    return time.monotonic() - started


@forms(short=2, long=100)
def test_restarts_under_load_lose_nothing_and_repeat_nothing(
    kind: Kind, tell: Tell, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    caplog.set_level(
        logging.CRITICAL, "psycopg"
    )  # each restart is worth a hundred lines, which would bury what has failed
    borrows, excess, refused = [], [], []
    with Cluster() as cluster:
        server = Server(conninfo_to_dict(cluster.conninfo))
        server.query("CREATE TABLE tokens (token bigint)")
        pool = kind.open(server.config(), min_size=10, max_size=10)
        tokens = Tokens(pool, kind)
        with load(8, tokens.insert):
            for i in range(count):
                time.sleep(random.uniform(0.1, 0.5))
                cluster.restart("immediate" if i % 4 == 3 else "fast")  # every fourth is a crash
                started = time.monotonic()
                try:
                    with kind.block(pool) as block:
                        block.execute("SELECT 1")
                except (PoolUnavailable, psycopg.OperationalError) as error:
                    refused.append(f"{type(error).__name__}: {error}")
                borrows.append(time.monotonic() - started)
                excess.append(borrows[-1] - connect_seconds(server))
        left = borrowable(pool, 11)
        found = [token for (token,) in server.query("SELECT token FROM tokens")]
        PGConnectionManager().clear_cache()
    rows = set(found)
    figures = {
        "committed": len(tokens.committed),
        "rolled_back": len(tokens.rolled_back),
        "unknown": len(tokens.unknown),
        "repeated": len(found) - len(rows),
        "missing": len(tokens.committed - rows),
        "undead": len(tokens.rolled_back & rows),
    }
    tell(restarts=count, refused=len(refused), slowest_s=round(max(borrows), 3), borrowable=left, **figures)
    assert refused == []
    assert max(excess) < SLACK_S + HICCUP_S
    assert (figures["repeated"], figures["missing"], figures["undead"]) == (0, 0, 0)
    assert left == 10


# -- tuning ----------------------------------------------------------------------------------------------------------


class Limits:
    """Which max_size was in force when, and who held a connection then, both as seen from outside the pool."""

    def __init__(self, max_size: int) -> None:
        self._lock = threading.Lock()
        self._since: list[tuple[float, int]] = [(0.0, max_size)]
        self._held = 0
        self.grants = 0
        self.above = 0
        """Grants that made more connections borrowed than were allowed."""

    def change(self, max_size: int) -> None:
        with self._lock:
            self._since.append((time.monotonic(), max_size))

    @contextmanager
    def granted(self, requested_at: float) -> Iterator[None]:
        """Note a grant, made since *requested_at*.

        All who are seen to hold now held already at the last of their grants, which is no earlier than this one; so
        one of the limits that were in force since the request must have allowed for them.
        """
        with self._lock:
            self._held += 1
            self.grants += 1
            allowed = 0
            for since, max_size in reversed(self._since):
                allowed = max(allowed, max_size)
                if since <= requested_at:
                    break
            self.above += self._held > allowed
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1


def random_settings(before: Any) -> Any:
    """Return settings that may follow *before*; some of the six have stayed as they were."""
    sizes = sorted([random.randint(0, 8), random.randint(1, 8)])
    max_idle = random.choice([0.02, 0.5, 300.0])
    change = {
        "min_size": sizes[0],
        "max_size": sizes[1],
        "timeout": random.uniform(15, 30),
        "max_idle": max_idle,
        "max_lifetime": max(max_idle, random.choice([0.05, 1.0, 3600.0])),
        "check_on_checkout": random.random() < 0.5,
    }
    return replace(before, **change)


@forms(short=150, long=10_000)
def test_live_tuning_under_load_fails_nobody(kind: Kind, server: Server, tell: Tell, count: int) -> None:
    name = f"endurance-{kind.connection_type}"
    pool = kind.open(server.config(application_name=name), min_size=1, max_size=3)
    limits, failures, waits = Limits(3), [], [0.0]

    def query() -> None:
        requested_at = time.monotonic()
        try:
            with kind.block(pool) as block, limits.granted(requested_at):
                waits.append(time.monotonic() - requested_at)
                block.execute(random.choice(["SELECT 1", "SELECT pg_sleep(0.002)", "SET work_mem = '1MB'"]))
        except Exception as error:  # noqa: BLE001 - asserted below
            failures.append(f"{type(error).__name__}: {error}")

    def tune(settings: Any) -> None:
        limits.change(max(pool.settings.max_size, settings.max_size))
        pool.apply(settings)
        limits.change(settings.max_size)

    with load(8, query):
        for step in range(count):
            tune(random_settings(pool.settings))
            time.sleep(random.uniform(0, 0.02))
            if step % 50 == 49:
                until(lambda: server.backends(name) <= pool.settings.max_size, 3)
        tune(replace(random_settings(pool.settings), max_idle=300.0, max_lifetime=3600.0))
    now = pool.settings
    until(lambda: pool.occupancy.in_use == 0 and now.min_size <= server.backends(name) <= now.max_size, 3)
    left = borrowable(pool, now.max_size + 1)
    figures = {"failed": len(failures), "above_max_size": limits.above, "longest_wait_s": round(max(waits), 3)}
    tell(steps=count, borrows=limits.grants, **figures, max_size=now.max_size, borrowable=left)
    assert failures == []
    assert limits.above == 0
    assert left == now.max_size
    assert server.backends(name) == now.max_size


ERRANDS = {"interrupts": interrupts, "kernel": kernel}

if __name__ == "__main__":
    ERRANDS[sys.argv[1]](**json.loads(sys.stdin.readline()))
