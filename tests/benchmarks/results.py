"""From a query to a DataFrame, beside the peers, in one run: `python tests/benchmarks/results.py`.

The measure is the drain: the time in which libpq merely hands over the bytes of the same COPY. Every way has its turn
in each round, so that the noise of the machine falls on all; the ratio is the median of the rounds' ratios. Peers give
other dtypes (most have objects where a column of the mixed shape has NULLs; connectorx drops time zones).

`pip install "pgmonkey-magic[bench]"` brings the peers; those that are missing are left out. `--rows 1000 100000
1000000`, `--shapes`, `--ways`, `--rounds`; `--memory` measures peaks instead, each in a process of its own; `--plot
FILE` draws.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import io
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import time
from itertools import repeat
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import generators, waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.results.fast import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Way = Callable[[str], Any]

SHAPES = {
    "narrow": "i::int4 AS a, i::int8 * 1000003 AS b, i * 0.5::float8 AS c, (i % 7)::int2 AS d",
    "mixed": (
        "i AS id, CASE WHEN i % 10 > 0 THEN (i * 7.25)::numeric(12,2) END AS amount,"
        " CASE WHEN i % 5 > 0 THEN 'customer ' || i % 1000 END AS name,"
        " CASE WHEN i % 3 > 0 THEN timestamptz '2020-01-01' + i * interval '1 minute' END AS at,"
        " CASE WHEN i % 4 > 0 THEN i % 2 = 0 END AS ok, date '2020-01-01' + i % 3000 AS day,"
        " CASE WHEN i % 6 > 0 THEN i * 0.25::float8 END AS ratio, md5(i::text) AS code"
    ),
    "wide": ", ".join(
        f"(i * {k})::int4 AS a{k}, i * 0.1::float8 * {k} AS b{k}, (i * {k})::int8 AS c{k},"
        f" i % {k + 1} = 0 AS d{k}, (i % {k + 100})::int2 AS e{k}"
        for k in range(1, 11)
    ),
    "text": (
        "i AS id, 'The quick brown fox ' || i || ' jumps' AS a, md5(i::text) || md5((i + 1)::text) AS b,"
        " repeat('é', i % 20) AS c, CASE WHEN i % 3 > 0 THEN 'x' || i % 10 END AS d"
    ),
}
PASSWORD = "benchmark"
PEERS = (
    *("psycopg", "pandas", "numpy", "pyarrow", "SQLAlchemy", "adbc-driver-postgresql", "connectorx", "polars"),
    *("asyncpg", "jupysql"),
)


class Ways:
    """Each method opens what a way needs and returns the way: SQL in, result out."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.settings = conninfo_to_dict(conninfo)
        self.uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**self.settings)

    def drain(self) -> Way:
        """Libpq alone."""
        conn = psycopg.connect(self.conninfo, autocommit=True)

        def drained(sql: str) -> Iterator[Any]:
            pgconn = conn.pgconn
            pgconn.send_query(f"COPY ({sql}) TO STDOUT (FORMAT BINARY)".encode())
            yield from generators.send(pgconn)
            yield from generators.fetch(pgconn)
            size = 0
            while size >= 0:
                for size, _ in map(pgconn.get_copy_data, repeat(1)):
                    if size <= 0:
                        break
                if size == 0:
                    yield waiting.WAIT_R
                    pgconn.consume_input()
            while (yield from generators.fetch(pgconn)) is not None:
                pass

        return lambda sql: conn.wait(drained(sql))

    def pgmonkey(self) -> Way:
        """Our fast way over a sync pool."""
        pool: Any = PGConnectionManager().get_database_connection_from_dict(
            {"connection_settings": self.settings}, "pool"
        )

        def run(sql: str) -> Any:
            with pool as conn:
                fetched = conn.wait(fetch(conn, sql))
            return fetched.frame().data

        return run

    def pgmonkey_async(self) -> Way:
        """The same over an async pool."""
        loop = asyncio.new_event_loop()
        manager = PGConnectionManager()

        async def open_pool() -> Any:
            config = {"connection_settings": self.settings}
            return await manager.get_database_connection_from_dict(config, "async_pool")  # type: ignore[misc]

        pool = loop.run_until_complete(open_pool())

        async def run(sql: str) -> Any:
            async with pool as conn:
                fetched = await conn.wait(fetch(conn, sql))
            return fetched.frame().data

        return lambda sql: loop.run_until_complete(run(sql))

    def magic(self) -> Way:
        """What a person types: `%pgmonkey`, over a sync pool."""
        return self._magic("pool")

    def magic_async(self) -> Way:
        """The same over an async pool."""
        return self._magic("async_pool")

    def _magic(self, kind: str) -> Way:
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "pgmonkey_magic")
        session = shell.magics_manager.registry["PgMonkey"].session  # type: ignore[union-attr]
        session.connect_dict({"connection_settings": self.settings}, name=kind, connection_type=kind)
        return lambda sql: shell.run_line_magic("pgmonkey", f"-q -c {kind} {sql}")

    def bare_pool(self) -> Way:
        """psycopg_pool, a cursor's rows, DataFrame."""
        import pandas as pd
        from psycopg_pool import ConnectionPool

        pool = ConnectionPool(self.conninfo, min_size=1, open=True)

        def run(sql: str) -> Any:
            with pool.connection() as conn:
                cur = conn.execute(sql)  # type: ignore[arg-type]
                return pd.DataFrame(cur.fetchall(), columns=[column.name for column in cur.description or ()])

        return run

    def psycopg_binary(self) -> Way:
        """psycopg's binary cursor, rows, DataFrame."""
        import pandas as pd

        conn = psycopg.connect(self.conninfo, autocommit=True)

        def run(sql: str) -> Any:
            cur = conn.cursor(binary=True).execute(sql)  # type: ignore[arg-type]
            return pd.DataFrame(cur.fetchall(), columns=[column.name for column in cur.description or ()])

        return run

    def read_sql(self) -> Way:
        """pandas.read_sql over SQLAlchemy and psycopg."""
        import pandas as pd
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.uri.replace("postgresql:", "postgresql+psycopg:"))
        conn = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return lambda sql: pd.read_sql(sqlalchemy.text(sql), conn)

    def adbc(self) -> Way:
        """ADBC, Arrow, pandas."""
        from adbc_driver_postgresql import dbapi

        conn = dbapi.connect(self.uri, autocommit=True)

        def run(sql: str) -> Any:
            with conn.cursor() as cur:
                cur.execute(sql)
                return cur.fetch_arrow_table().to_pandas()

        return run

    def connectorx(self) -> Way:
        """connectorx, which opens a connection for each query."""
        import connectorx

        return lambda sql: connectorx.read_sql(self.uri, sql, return_type="pandas")

    def polars_adbc(self) -> Way:
        """polars over ADBC: a polars DataFrame."""
        import polars as pl
        from adbc_driver_postgresql import dbapi

        conn = dbapi.connect(self.uri, autocommit=True)
        return lambda sql: pl.read_database(sql, conn)

    def asyncpg(self) -> Way:
        """asyncpg's records, DataFrame."""
        import asyncpg
        import pandas as pd

        loop = asyncio.new_event_loop()
        conn = loop.run_until_complete(asyncpg.connect(self.uri))

        def run(sql: str) -> Any:
            records = loop.run_until_complete(conn.fetch(sql))
            return pd.DataFrame(records, columns=list(records[0].keys()) if records else [])

        return run

    def jupysql(self) -> Way:
        """JupySQL's %sql with autopandas, in a shell of IPython."""
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()

        def line(name: str, text: str) -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                return shell.run_line_magic(name, text)

        line("load_ext", "sql")
        for setting in ("autopandas = True", "displaycon = False", "displaylimit = 1", "feedback = 0"):
            line("config", f"SqlMagic.{setting}")
        line("sql", self.uri.replace("postgresql:", "postgresql+psycopg:"))
        return lambda sql: line("sql", sql)


SLOW = {"bare_pool", "psycopg_binary", "read_sql", "asyncpg", "jupysql"}
"""A million rows take them so long that one round must do."""
ONE = ("bare_pool", "magic", "magic_async", "read_sql", "jupysql")
NAMES = [name for name in vars(Ways) if not name.startswith("_")]


def opened(conninfo: str, names: list[str]) -> dict[str, Way]:
    """Return the ways that are installed."""
    ways = Ways(conninfo)
    found: dict[str, Way] = {}
    for name in names:
        try:
            found[name] = getattr(ways, name)()
        except ImportError as missing:
            print(f"{name}: left out, {missing}", file=sys.stderr)
    return found


def seconds(way: Way, sql: str) -> tuple[float, float]:
    """Return how long one run takes, and how much of the processor this process takes for it."""
    started, used = time.perf_counter(), time.process_time()
    way(sql)
    return time.perf_counter() - started, time.process_time() - used


def measured(
    ways: dict[str, Way], sql: str, rounds: int, rounds_of_slow: int | None = None
) -> dict[str, list[tuple[float, float]]]:
    """Return the times of each way, one of each round; the slow ones take part in the first rounds only."""
    for name, way in ways.items():
        if name not in SLOW or rounds_of_slow is None:
            way(sql)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for done in range(rounds):
        for name, way in ways.items():
            if name not in SLOW or rounds_of_slow is None or done < rounds_of_slow:
                times[name].append(seconds(way, sql))
    return times


def peak_mib(conninfo: str, name: str, sql: str) -> float:
    """Return the MiB by which a process grows at most for one run, above what it has after a run over ten rows."""
    code = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r}); import results\n"
        f"results.print_peak({conninfo!r}, {name!r}, {sql!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_peak(conninfo: str, name: str, sql: str) -> None:
    """Run a way once and print what `peak_mib` reads."""
    way = opened(conninfo, [name])[name]
    way(f"{sql} LIMIT 10")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = way(sql)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    del kept


def table(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print rows as a Markdown table."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows[1:]:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def report(title: str, times: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Print medians and ratios; return the ratios to the drain."""
    rows = [("way", "median ms", "× drain", "× pgmonkey", "client CPU ms")]
    ratios: dict[str, float] = {}
    for name, took in times.items():
        wall, cpu = (statistics.median(part) * 1000 for part in zip(*took, strict=True))
        cells = [ratio(took, times[base]) if base in times else 0.0 for base in ("drain", "pgmonkey")]
        ratios[name] = cells[0]
        rows.append((name, f"{wall:.1f}", *(f"{cell:.2f}" for cell in cells), f"{cpu:.1f}"))
    table(title, rows)
    return ratios


def ratio(took: list[tuple[float, float]], base: list[tuple[float, float]]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one[0] / other[0] for one, other in zip(took, base, strict=False))


def plot(path: str, ratios: dict[str, dict[str, float]]) -> None:
    """Draw the ratios of the largest results."""
    from matplotlib.figure import Figure

    rows = (len(ratios) + 1) // 2
    figure = Figure(figsize=(11, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flat
    for axis, (title, found) in zip(axes, ratios.items(), strict=False):
        ordered = sorted(found.items(), key=lambda item: -item[1])
        colours = ["#0072b2" if name.startswith(("pgmonkey", "magic")) else "#c7c7c7" for name, _ in ordered]
        bars = axis.barh([name for name, _ in ordered], [ratio for _, ratio in ordered], color=colours)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xlim(right=1.1 * ordered[0][1])
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(title, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
    figure.supxlabel(
        "time from the query to the DataFrame, as a multiple of libpq's drain of the same bytes", fontsize=9
    )
    figure.savefig(path, dpi=110)


def machine() -> str:
    """Return what the figures depend on."""
    versions = []
    for peer in PEERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{peer} {importlib.metadata.version(peer)}")
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return ", ".join((system, *versions))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--plot")
    asked = parser.parse_args()
    port = free_port()
    with Cluster(tcp_port=port, password=PASSWORD, settings={"shared_buffers": "1GB"}) as cluster:
        with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
            for shape in asked.shapes:
                conn.execute(
                    f"CREATE TABLE {shape} AS SELECT {SHAPES[shape]} FROM generate_series(1, {max(asked.rows)}) i"  # type: ignore[arg-type]
                )
            conn.execute("VACUUM ANALYZE")
            print(f"PostgreSQL {conn.info.server_version // 10000}, TCP on the loopback interface; {machine()}")
        user = conninfo_to_dict(cluster.conninfo)["user"]
        conninfo = make_conninfo(
            host="127.0.0.1", port=port, user=user, password=PASSWORD, dbname="postgres", sslmode="disable"
        )
        if asked.memory:
            memory(conninfo, asked)
        else:
            speed(conninfo, asked)


def speed(conninfo: str, asked: argparse.Namespace) -> None:
    """Print the times, and draw those of the largest results."""
    ways = opened(conninfo, asked.ways)
    drawn: dict[str, dict[str, float]] = {}
    for rows in asked.rows:
        for shape in asked.shapes:
            title = f"{shape}, {rows:,} rows"
            sql = f"SELECT * FROM {shape}" + (f" LIMIT {rows}" if rows < max(asked.rows) else "")
            ratios = report(title, measured(ways, sql, *((asked.rounds,) if rows < 1_000_000 else (5, 1))))
            if rows == max(asked.rows):
                drawn[title] = ratios
    one(ways)
    if asked.plot:
        plot(asked.plot, drawn)


def one(ways: dict[str, Way]) -> None:
    """Print what the smallest query takes, beside a bare pool."""
    names = [name for name in ONE if name in ways]
    times = {name: [] for name in names}
    for _ in range(300):
        for name in names:
            times[name].append(seconds(ways[name], "SELECT 1 AS x"))
    rows = [("way", "median ms", "× bare pool")]
    rows += [
        (name, f"{statistics.median(wall for wall, _ in took) * 1000:.2f}", f"{ratio(took, times[names[0]]):.2f}")
        for name, took in times.items()
    ]
    table("SELECT 1", rows)


def memory(conninfo: str, asked: argparse.Namespace) -> None:
    """Print the peaks of the largest results."""
    for shape in asked.shapes:
        sql = f"SELECT * FROM {shape}"
        peaks = [(name, f"{peak_mib(conninfo, name, sql):.0f}") for name in asked.ways if name != "drain"]
        table(f"{shape}, {max(asked.rows):,} rows", [("way", "peak MiB above the start"), *peaks])


if __name__ == "__main__":
    main()
