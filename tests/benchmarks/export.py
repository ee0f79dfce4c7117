"""From a query to a file, beside the peers, in one run: `python tests/benchmarks/export.py`.

CSV is measured against psql's \\copy, which hands the server's text on as it comes, Parquet against our own DataFrame
and its `to_parquet`. Every way has its turn in each round; the ratio is the median of the rounds' ratios. The ways end
in different files: a DataFrame's floats are written as Python writes them, and numeric is float in its Parquet.

`--rows`, `--shapes`, `--rounds`; `--memory` measures peaks instead, each in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from results import PASSWORD, SHAPES, free_port, machine, measured, ratio, table

import pgmonkey_magic
from pgmonkey_magic.cells import Export, Request, Session
from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.demo.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[str], Any]

BASES = {"csv": "psql", "csv.gz": "psql_gzip", "parquet": "to_parquet"}
"""What each format is compared with."""


class Ways:
    """Each method returns a way: SQL in, a file in *directory* out."""

    def __init__(self, conninfo: str, directory: Path) -> None:
        self._conninfo = conninfo
        self._directory = directory
        self._session = Session()

    def of(self, ending: str) -> dict[str, Way]:
        """Return the ways to a format."""
        ours = {"export": self._export(ending, "pool"), "export_async": self._export(ending, "async_pool")}
        match ending:
            case "csv":
                return {"psql": self._psql(""), **ours, "to_csv": self._frame("to_csv", "csv", index=False)}
            case "csv.gz":
                return {"psql_gzip": self._psql(".gz"), **ours}
            case _:
                return {"to_parquet": self._frame("to_parquet", "parquet"), **ours, **self._adbc()}

    def _export(self, ending: str, kind: str) -> Way:
        config = {"connection_settings": conninfo_to_dict(self._conninfo)}
        named, _ = self._session.connect_dict(config, connection_type=kind)
        path = str(self._directory / f"{kind}.{ending}")
        return lambda sql: self._session.start(Request(sql, way=Export.to(path, None)), named).result()

    def _frame(self, method: str, ending: str, **options: Any) -> Way:
        config = {"connection_settings": conninfo_to_dict(self._conninfo)}
        pgmonkey_magic.cells.Direct.session = self._session
        self._session.connect_dict(config, name="frames", connection_type="pool")
        path = self._directory / f"frame.{ending}"
        return lambda sql: getattr(pgmonkey_magic.run(sql, config="frames"), method)(path, **options)

    def _psql(self, packed: str) -> Way:
        psql = find_binaries() / "psql"
        path = self._directory / f"psql.csv{packed}"
        target = rf"PROGRAM 'gzip > {path}'" if packed else f"'{path}'"

        def run(sql: str) -> None:
            copy = rf"\copy ({sql}) TO {target} (FORMAT csv, HEADER)"
            subprocess.run([psql, "-qX", self._conninfo, "-c", copy], check=True)

        return run

    def _adbc(self) -> dict[str, Way]:
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError as missing:
            print(f"adbc: left out, {missing}", file=sys.stderr)
            return {}
        from pyarrow.parquet import ParquetWriter

        uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**conninfo_to_dict(self._conninfo))
        conn = dbapi.connect(uri, autocommit=True)
        path = self._directory / "adbc.parquet"

        def run(sql: str) -> None:
            with conn.cursor() as cur:
                cur.execute(sql)
                batches = cur.fetch_record_batch()
                with ParquetWriter(path, batches.schema) as writer:
                    for batch in batches:
                        writer.write_batch(batch)

        return {"adbc": run}


def speed(conninfo: str, directory: Path, asked: argparse.Namespace) -> None:
    """Print the times."""
    ways = Ways(conninfo, directory)
    for shape in asked.shapes:
        for ending, base in BASES.items():
            times = measured(ways.of(ending), f"SELECT * FROM {shape}", asked.rounds)
            rows = [("way", "median s", f"× {base}")]
            for name, took in times.items():
                wall = sorted(each for each, _ in took)[len(took) // 2]
                rows.append((name, f"{wall:.2f}", f"{ratio(took, times[base]):.2f}"))
            table(f"{shape}, {asked.rows:,} rows, {ending}", rows)


def memory(conninfo: str, directory: Path, asked: argparse.Namespace) -> None:
    """Print the peaks."""
    for shape in asked.shapes:
        rows = [("way", "peak MiB above the start")]
        for ending in ("csv", "parquet"):
            names = ("export", f"to_{ending}")
            rows += [(f"{name}, {ending}", peak(conninfo, directory, ending, name, shape)) for name in names]
        table(f"{shape}, {asked.rows:,} rows", rows)


def peak(conninfo: str, directory: Path, ending: str, name: str, shape: str) -> str:
    """Return by how many MiB a process grows at most for one run, above what it has after ten rows."""
    code = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r}); import export\n"
        f"export.print_peak({conninfo!r}, {str(directory)!r}, {ending!r}, {name!r}, {shape!r})"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def print_peak(conninfo: str, directory: str, ending: str, name: str, shape: str) -> None:
    """Run a way once and print what `peak` reads."""
    way = Ways(conninfo, Path(directory)).of(ending)[name]
    way(f"SELECT * FROM {shape} LIMIT 10")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    way(f"SELECT * FROM {shape}")
    print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f}")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["narrow", "mixed"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    asked = parser.parse_args()
    port = free_port()
    with (
        Cluster(tcp_port=port, password=PASSWORD, settings={"shared_buffers": "1GB"}) as cluster,
        tempfile.TemporaryDirectory() as directory,
    ):
        with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
            for shape in asked.shapes:
                conn.execute(
                    f"CREATE TABLE {shape} AS SELECT {SHAPES[shape]} FROM generate_series(1, {asked.rows}) i"  # type: ignore[arg-type]
                )
            conn.execute("VACUUM ANALYZE")
            print(f"PostgreSQL {conn.info.server_version // 10000}, TCP on the loopback interface; {machine()}")
        conninfo = make_conninfo(
            host="127.0.0.1",
            port=port,
            user=conninfo_to_dict(cluster.conninfo)["user"],
            password=PASSWORD,
            dbname="postgres",
            sslmode="disable",
        )
        (memory if asked.memory else speed)(conninfo, Path(directory), asked)
        pgmonkey_magic.PGConnectionManager().clear_cache()


if __name__ == "__main__":
    main()
