"""From a DataFrame into a table, beside the peers, in one run: `python tests/benchmarks/upload.py`.

The measure is the wire: the time in which psycopg merely hands over bytes of COPY BINARY that were made before, commit
included. Every way has a table of its own, which it created itself, and its turn in each round, so that the noise of
the machine falls on all; the table is emptied before, outside of the time. The ratio is the median of the rounds'
ratios.

`pip install "pgmonkey-magic[bench]"` brings the peers; those that are missing are left out. `--rows 10000 100000
1000000`, `--shapes`, `--ways`, `--rounds`. pandas' to_sql has one turn, and only up to a million cells.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from results import PASSWORD, SHAPES, free_port, machine, ratio, table

import pgmonkey_magic
from pgmonkey_magic.cells import CopyIn, Direct, Request
from pgmonkey_magic.cells.destination import Destination, TableName, questions
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.results.encoding import Session, Stream, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    Way = Callable[[pd.DataFrame, str], Any]

SLOW = ("to_sql", "to_sql_multi")
MOST_SLOW_CELLS = 1_000_000
PARAMETERS = 60_000
"""A little below the most that one statement may have."""


class Ways:
    """Each method opens what a way needs and returns the way: a frame, and the table that it goes to."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        settings = conninfo_to_dict(conninfo)
        self.uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**settings)
        for kind in ("pool", "async_pool"):
            Direct.session.connect_dict({"connection_settings": settings}, name=kind, connection_type=kind)

    def wire(self) -> Way:
        """Ready bytes, in pieces as ours are."""
        conn = psycopg.connect(self.conninfo)
        ready: dict[tuple[str, int], tuple[str, list[bytes]]] = {}

        def run(frame: pd.DataFrame, name: str) -> None:
            if (name, len(frame)) not in ready:
                pgmonkey_magic.upload(frame[:0], name, mode="append", config="pool")
                ready[name, len(frame)] = made(conn, frame, name)
            statement, pieces = ready[name, len(frame)]
            with conn.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[arg-type]
                for piece in pieces:
                    copy.write(piece)
            conn.commit()

        return run

    def pgmonkey(self) -> Way:
        """`upload` over a sync pool."""
        return lambda frame, name: pgmonkey_magic.upload(frame, name, mode="append", config="pool")

    def pgmonkey_async(self) -> Way:
        """The same over an async pool."""
        return lambda frame, name: pgmonkey_magic.upload(frame, name, mode="append", config="async_pool")

    def copy_from(self) -> Way:
        """`--copy-from df` of a cell, which is the same way."""

        def run(frame: pd.DataFrame, name: str) -> None:
            if not exists(self.conninfo, name):
                pgmonkey_magic.upload(frame[:0], name, config="pool")
            request = Request(sql=f"COPY {name} FROM STDIN", way=CopyIn(frame))
            Direct.session.start(request, Direct.session.named("pool")).result()

        return run

    def adbc(self) -> Way:
        """adbc_ingest."""
        import pyarrow as pa
        from adbc_driver_postgresql import dbapi

        conn = dbapi.connect(self.uri)

        def run(frame: pd.DataFrame, name: str) -> None:
            with conn.cursor() as cursor:
                cursor.adbc_ingest(name, pa.Table.from_pandas(frame, preserve_index=False), mode="create_append")
            conn.commit()

        return run

    def write_row(self) -> Way:
        """psycopg's copy.write_row, in text."""
        conn = psycopg.connect(self.conninfo)

        def run(frame: pd.DataFrame, name: str) -> None:
            if not exists(self.conninfo, name):
                pgmonkey_magic.upload(frame[:0], name, config="pool")
            columns = ", ".join(f'"{column}"' for column in frame)
            objects = frame.astype(object)
            rows = objects.where(frame.notna(), None).itertuples(index=False, name=None)
            with conn.cursor() as cursor, cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:  # type: ignore[arg-type]
                for row in rows:
                    copy.write_row(row)
            conn.commit()

        return run

    def to_sql(self) -> Way:
        """pandas, as it is by default."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.uri.replace("postgresql:", "postgresql+psycopg:"))
        return lambda frame, name: frame.to_sql(name, engine, if_exists="append", index=False)

    def to_sql_multi(self) -> Way:
        """pandas, with many rows in a statement."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.uri.replace("postgresql:", "postgresql+psycopg:"))

        def run(frame: pd.DataFrame, name: str) -> None:
            step = max(PARAMETERS // frame.shape[1], 1)
            frame.to_sql(name, engine, if_exists="append", index=False, method="multi", chunksize=step)

        return run


NAMES = [name for name in vars(Ways) if not name.startswith("_")]


def made(conn: psycopg.Connection[Any], frame: pd.DataFrame, name: str) -> tuple[str, list[bytes]]:
    """Return the COPY for a table that exists, and its data."""
    source = source_of(frame)
    asked = TableName.read(name)
    answers = [conn.pgconn.exec_(question.encode()) for question in questions(asked, conn).split(";")]
    conn.rollback()
    types = Destination.of(asked, answers, "utf-8").types(source.names, cure="")
    stream = Stream(source, types, Session(Transformer(conn), "utf-8", lambda value: value))
    columns = ", ".join(f'"{column}"' for column in source.names)
    return f"COPY {name} ({columns}) FROM STDIN {stream.options}", [bytes(piece) for piece, _ in stream.pieces()]


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


def exists(conninfo: str, name: str) -> bool:
    """Tell whether there is such a table."""
    with psycopg.connect(conninfo) as conn:
        return conn.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone() == (True,)


def measured(conninfo: str, ways: dict[str, Way], frame: pd.DataFrame, shape: str, rounds: int) -> dict[str, list]:
    """Return wall and processor times of each way, one of each round."""
    for name, way in ways.items():
        way(frame[:100], f"{shape}_{name}")
    times: dict[str, list] = {name: [] for name in ways}
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for turn in range(rounds + 1):
            for name, way in ways.items():
                if name in SLOW and turn > 1:
                    continue
                conn.execute(f"TRUNCATE {shape}_{name}")  # type: ignore[arg-type]
                started, used = time.perf_counter(), time.process_time()
                way(frame, f"{shape}_{name}")
                took = time.perf_counter() - started, time.process_time() - used
                if turn:  # the first round warms up
                    times[name].append(took)
        for name in ways:
            count = conn.execute(f"SELECT count(*) FROM {shape}_{name}").fetchone()  # type: ignore[arg-type]
            assert count == (len(frame),), f"{name}: {count}"
            conn.execute(f"TRUNCATE {shape}_{name}; CHECKPOINT")  # type: ignore[arg-type]
    return times


def report(title: str, times: dict[str, list]) -> None:
    """Print medians and ratios."""
    rows = [("way", "median ms", *(f"× {base}" for base in ("wire", "pgmonkey") if base in times), "client CPU ms")]
    for name, took in times.items():
        wall, cpu = (statistics.median(part) * 1000 for part in zip(*took, strict=True))
        bases = [times[base][: len(took)] for base in ("wire", "pgmonkey") if base in times]
        cells = [ratio(took, base) for base in bases]
        rows.append((name, f"{wall:.1f}", *(f"{cell:.2f}" for cell in cells), f"{cpu:.1f}"))
    table(title, rows)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--ways", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    port = free_port()
    server = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
    with Cluster(tcp_port=port, password=PASSWORD, settings=server) as cluster:
        settings = conninfo_to_dict(cluster.conninfo)
        conninfo = make_conninfo(
            host="127.0.0.1", port=port, user=settings["user"], password=PASSWORD, dbname="postgres", sslmode="disable"
        )
        ways = opened(conninfo, asked.ways)
        with psycopg.connect(conninfo) as conn:
            print(f"PostgreSQL {conn.info.server_version // 10000}, TCP on the loopback interface; {machine()}")
        for rows in asked.rows:
            for shape in asked.shapes:
                frame = pgmonkey_magic.run(f"SELECT {SHAPES[shape]} FROM generate_series(1, {rows}) i", config="pool")
                is_small = frame.size <= MOST_SLOW_CELLS
                taking_part = {name: way for name, way in ways.items() if is_small or name not in SLOW}
                report(f"{shape}, {rows:,} rows", measured(conninfo, taking_part, frame, shape, asked.rounds))
        for name in ("pool", "async_pool"):
            Direct.session.disconnect(name)


if __name__ == "__main__":
    main()
