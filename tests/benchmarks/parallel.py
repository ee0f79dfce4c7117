"""`--parallel N` beside the same cell without it, in one run: `python tests/benchmarks/parallel.py`.

Each way has its turn in each round; the ratio is the median of the rounds' ratios, below 1 where the split is faster.
`--rows 1000000 100000`, `--shapes`, `--connections 2 4`, `--rounds`, `--type pool async_pool`. `--always` splits
however small a table and however narrow its rows are: `results.parts` begins to split where these ratios are below 1.

What a split can gain depends on the machine: one connection keeps one core of the server busy and, where rows are
narrow, nearly one of the client.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from results import SHAPES as USUAL
from results import machine, ratio, table

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.cells import AsItIs, Job, Parallel, Request, Way
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.results import parts

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool

SHAPES = USUAL | {f"{n} bigints": ", ".join(f"i * {k}::int8 AS a{k}" for k in range(n)) for n in (2, 4, 6, 8, 12)}


def opened(settings: dict[str, Any], kind: str, size: int) -> PGPool | PGAsyncPool:
    """Return a pool with *size* idle connections."""
    config = {"connection_settings": settings, f"{kind}_settings": {"min_size": size, "max_size": size}}
    found: Any = PGConnectionManager().get_database_connection_from_dict(config, kind)

    async def awaited() -> Any:
        return await found

    pool = found if kind == "pool" else asyncio.run(awaited())
    while pool.occupancy.idle < size:
        time.sleep(0.05)
    return pool


def run(pool: PGPool | PGAsyncPool, sql: str, way: Way) -> tuple[float, str]:
    """Return how long a cell takes, and what its footer says of it."""
    started = time.perf_counter()
    result = Job.start(Request(sql, way=way), pool, "benchmark").outcome()
    return time.perf_counter() - started, " · ".join(note for note in result.notes if note.startswith("parallel"))


def measured(pool: PGPool | PGAsyncPool, sql: str, ways: dict[str, Way], rounds: int) -> list[tuple[str, ...]]:
    """Return a row of the table for each way."""
    for way in ways.values():
        run(pool, sql, way)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    notes: dict[str, str] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, notes[name] = run(pool, sql, way)
            times[name].append((seconds, 0.0))
            pool_is_whole(pool)
    return [
        (name, f"{statistics.median(s for s, _ in took) * 1000:.0f}", f"{ratio(took, times['one']):.2f}", notes[name])
        for name, took in times.items()
    ]


def pool_is_whole(pool: PGPool | PGAsyncPool) -> None:
    """Wait until every connection is idle again."""
    while pool.occupancy.idle < pool.settings.max_size:
        time.sleep(0.005)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(USUAL))
    parser.add_argument("--connections", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--type", nargs="+", choices=["pool", "async_pool"], default=["pool", "async_pool"])
    parser.add_argument("--always", action="store_true")
    asked = parser.parse_args()
    if asked.always:
        parts.LEAST_BYTES = parts.LEAST_ROW_BYTES = 0
    ways: dict[str, Way] = {"one": AsItIs(), **{f"--parallel {n}": Parallel(n) for n in asked.connections}}
    with Cluster(settings={"shared_buffers": "1GB"}) as cluster:
        settings = conninfo_to_dict(cluster.conninfo)
        pools = {kind: opened(settings, kind, max(asked.connections)) for kind in asked.type}
        print(f"private socket; {machine()}")
        for rows in asked.rows:
            for shape in asked.shapes:
                with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
                    made = f'CREATE TABLE "{shape}" AS SELECT {SHAPES[shape]} FROM generate_series(1, {rows}) i'
                    conn.execute(made)  # type: ignore[arg-type]
                    conn.execute("VACUUM ANALYZE")
                    size = conn.execute("SELECT pg_table_size(%s)", [f'"{shape}"']).fetchone()
                for kind, pool in pools.items():
                    found = measured(pool, f'SELECT * FROM "{shape}"', ways, asked.rounds)
                    title = f"{shape}, {rows:,} rows, {size[0] / 1e6:.0f} MB, {kind}" if size else shape
                    table(title, [("way", "median ms", "× one", "footer"), *found])
                with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
                    conn.execute(f'DROP TABLE "{shape}"')  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
