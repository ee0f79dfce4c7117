"""A pool in the process beside PgBouncer, in one run: `python tests/benchmarks/pgbouncer.py`.

Each way runs `SELECT 1` in a transaction of its own, 100 times a slice, and the ways take turns. PgBouncer runs in
transaction mode; all of it over Unix sockets without encryption, so a connection costs as little as it can.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster

sys.path.insert(0, str(Path(__file__).parents[1]))
from fix_pgbouncer import Bouncer
from fix_server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

SLICES, TIMES = 20, 100


def connecting(settings: dict[str, Any]) -> Callable[[], None]:
    """Return what connects, asks, and closes."""

    def once() -> None:
        with psycopg.connect(**settings) as conn:
            conn.execute("SELECT 1")

    return once


def keeping(settings: dict[str, Any]) -> Callable[[], None]:
    """Return what asks over one connection that stays open."""
    conn = psycopg.connect(**settings, prepare_threshold=None)

    def once() -> None:
        with conn.transaction():
            conn.execute("SELECT 1")

    return once


def borrowing(config: dict[str, Any]) -> Callable[[], None]:
    """Return what borrows from a pool and asks."""
    pool = PGConnectionManager().get_database_connection_from_dict(config, "pool")

    def once() -> None:
        with pool as conn:
            conn.execute("SELECT 1")

    return once


def slice_us(once: Callable[[], None]) -> float:
    """Return microseconds for one of TIMES calls."""
    start = time.perf_counter()
    for _ in range(TIMES):
        once()
    return (time.perf_counter() - start) / TIMES * 1e6


def main() -> None:
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        sys.exit("no PgBouncer: apt-get install pgbouncer")
    with Cluster() as cluster:
        server = Server(conninfo_to_dict(cluster.conninfo))
        bouncer = Bouncer(program, server)
        try:
            bouncer.start()
            ways = {
                "connect, ask, close": connecting(server.settings),
                "connect, ask, close, through PgBouncer": connecting(bouncer.settings),
                "ask over an open connection": keeping(server.settings),
                "ask over an open connection, through PgBouncer": keeping(bouncer.settings),
                "borrow from the pool and ask": borrowing(server.config()),
                "borrow from the pool and ask, through PgBouncer": borrowing(bouncer.config()),
            }
            took: dict[str, list[float]] = {name: [] for name in ways}
            for once in ways.values():
                once()
            for _ in range(SLICES):
                for name, once in ways.items():
                    took[name].append(slice_us(once))
            base = took["borrow from the pool and ask"]
            print("| way | median µs | × a borrow |\n|---|---|---|")
            for name, times in took.items():
                ratio = statistics.median(a / b for a, b in zip(times, base, strict=True))
                print(f"| {name} | {statistics.median(times):,.0f} | {ratio:.2f} |")
            PGConnectionManager().clear_cache()
        finally:
            bouncer.close()


if __name__ == "__main__":
    main()
