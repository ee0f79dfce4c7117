"""The peers of `features.py`: for each what a person would write to do the thing, by its own documentation.

A method that a class has not is a thing that the peer has no way to do. `NOTES` says what a cell needs besides. Peers
are imported when they are opened: pgmonkey's class runs in an environment in which the others are not installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pandas as pd
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

SIZES = {"min_size": 1, "max_size": 4}
ONE = {"min_size": 1, "max_size": 1, "timeout": 1}
Ways = dict[str, Callable[[str], Any]]
"""Ways to do one thing with a text of SQL, by what must be said for it; the ordinary one is ""."""

os.environ.setdefault("MPLBACKEND", "agg")


class Peer:
    """What the peers share. `run` is the ordinary way from SQL to a DataFrame."""

    NAME = PACKAGE = ""
    NOTES: ClassVar[dict[str, str]] = {}
    DATABASES = "PostgreSQL only"

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.settings = conninfo_to_dict(conninfo)
        address = "postgresql://{user}:{password}@{host}:{port}/{dbname}?application_name={application_name}"
        self.url = address.format(**self.settings)
        self.sqlalchemy_url = self.url.replace("postgresql:", "postgresql+psycopg:")
        self.open()

    def open(self) -> None:
        """Connect."""

    def run(self, sql: str) -> Any:
        raise NotImplementedError

    def texts(self) -> Ways:
        """Return the ways to send a text unchanged."""
        return {"": self.run}

    def frames(self) -> Ways:
        """Return the ways to a DataFrame."""
        return {"": self.run}

    def results(self, sql: str) -> list[Any]:
        """Return the DataFrames of several statements, as many as one gets."""
        return [self.run(sql)]

    def threaded(self, sql: str) -> Any:
        """Do as `run` does, from several threads at once."""
        return self.run(sql)


class InShell(Peer):
    """A magic, in a shell of IPython; `setup` returns the cells that load and connect it."""

    MAGIC = ""

    def open(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=config)
        self.shell.InteractiveTB.set_mode("Minimal")  # a long traceback takes IPython a second, which is not the peer's
        for cell in self.setup():
            self.cell(cell)

    def setup(self) -> list[str]:
        raise NotImplementedError

    def shown(self, text: str) -> tuple[Any, list[Any]]:
        """Run a cell and return its value and what it has displayed; its error is raised here."""
        from IPython.utils.capture import capture_output

        with capture_output() as captured:
            outcome = self.shell.run_cell(text)
        outcome.raise_error()
        return outcome.result, captured.outputs

    def cell(self, text: str) -> Any:
        return self.shown(text)[0]

    def run(self, sql: str, options: str = "") -> Any:
        return self.cell(f"%%{self.MAGIC} {options}\n{sql}")

    script = run

    def held(self, statements: list[str]) -> None:
        for sql in statements:
            self.run(sql)


class Ours(InShell):
    NAME = PACKAGE = "pgmonkey-magic"
    MAGIC = "pgmonkey"
    DATABASES = "PostgreSQL 14 or newer only"
    NOTES: ClassVar = {"in_background": "`-b`", "picture": "`%pgmonkey panel`, live", "parallel": "`--parallel 2`"}

    def setup(self) -> list[str]:
        import yaml

        self.file = tempfile.NamedTemporaryFile("w", suffix=".yaml")  # noqa: SIM115 - it lives as long as the peer
        config = {"connection_settings": self.settings, "pool_settings": SIZES, "async_pool_settings": SIZES}
        yaml.safe_dump(config, self.file)
        self.file.flush()
        return ["%load_ext pgmonkey_magic", f"%pgmonkey connect {self.file.name} -t pool"]

    def frames(self) -> Ways:
        return {"": self.run, "--decimals exact": lambda sql: self.run(sql, "--decimals exact")}

    def results(self, sql: str) -> list[Any]:
        return list(self.run(sql))

    def bound(self, value: str) -> Any:
        self.shell.user_ns["value"] = value
        return self.run("SELECT :value::text AS x")

    def chunks(self, sql: str) -> Iterator[Any]:
        self.run(sql, "--as chunks -o chunks")
        return self.shell.user_ns["chunks"]

    def parallel(self, sql: str) -> Any:
        return self.run(sql, "--parallel 2 -o df")

    def upload(self, df: Any, table: str) -> None:
        self.shell.user_ns["df"] = df
        self.cell(f"%pgmonkey upload df {table}")

    def threaded(self, sql: str) -> Any:
        import pgmonkey_magic

        return pgmonkey_magic.run(sql)

    def manager(self) -> Any:
        from pgmonkey_magic import PGConnectionManager

        return PGConnectionManager()

    async def tasks(self, sql: str, count: int) -> list[int]:
        return await gathered(await self.manager().get_database_connection(self.file.name, "async_pool"), sql, count)

    def open_again(self) -> None:
        with self.manager().get_database_connection(self.file.name, "pool") as conn:
            conn.execute("SELECT 1")

    def pool_of_one(self) -> Callable[[], Any]:
        config = {"connection_settings": self.settings, "pool_settings": ONE}
        pool = self.manager().get_database_connection_from_dict(config, "pool")
        return lambda: pool

    def block(self) -> Any:
        return self.shell.magics_manager.registry["PgMonkey"].session.current.pool

    def picture(self) -> str:
        return self.shown("%pgmonkey panel")[1][-1].data["text/plain"]

    def shrink(self) -> None:
        self.cell("%pgmonkey tune min_size=1 max_size=1")

    def backslash(self, command: str) -> Any:
        return self.cell(f"%pgmonkey {command}")

    def in_background(self, sql: str) -> Any:
        return self.run(sql, "-b")

    def cancellable(self, sql: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        job = self.run(sql, "-b")
        return job.result, job.cancel


class JupySQL(InShell):
    NAME, PACKAGE = "JupySQL", "jupysql"
    MAGIC = "sql"
    DATABASES = "any of SQLAlchemy, DuckDB, Spark, …"
    NOTES: ClassVar = {
        "bound": "with `named_parameters='enabled'`; its `{{name}}` pastes",
        "snippet": "`--save`, `--with`",
        "backslash": "with autopandas off",
        "profile": "`%sqlcmd profile`",
        "plot": "`%sqlplot`",
    }

    def setup(self) -> list[str]:
        settings = ("autopandas = True", "displaycon = False", "feedback = 0")
        return ["%load_ext sql", *(f"%config SqlMagic.{one}" for one in settings), f"%sql {self.sqlalchemy_url}"]

    def with_parameters(self, setting: str, sql: str) -> Any:
        """Run with `named_parameters` set to that."""
        self.cell(f"%config SqlMagic.named_parameters = {setting!r}")
        return self.run(sql)

    def texts(self) -> Ways:
        labels = {"warn": "", "disabled": "`disabled`", "enabled": "`enabled`"}
        return {label: lambda sql, name=name: self.with_parameters(name, sql) for name, label in labels.items()}

    def bound(self, value: str) -> Any:
        self.shell.user_ns["value"] = value
        return self.with_parameters("enabled", "SELECT :value AS x")

    def by_hand(self, statements: list[str]) -> None:
        """Run each with autocommit off, and ROLLBACK at an error."""
        self.cell("%config SqlMagic.autocommit = False")
        self.cell(f"{self.setup()[-1]} --alias manual")
        try:
            self.held(statements)
        except Exception:
            self.run("ROLLBACK")
            raise

    def upload(self, df: Any, table: str) -> None:
        self.shell.user_ns[table] = df
        self.cell(f"%sql --persist --no-index {table}")

    def threaded(self, sql: str) -> Any:
        return self.shell.run_line_magic("sql", sql)

    def open_again(self) -> None:
        self.cell(self.setup()[-1])
        self.run("SELECT 1")

    def snippet(self) -> Any:
        self.cell("%%sql --save part --no-execute\nSELECT n FROM generate_series(1, 9) n WHERE n > 3")
        return self.cell("%%sql --with part\nSELECT count(*) FROM part")

    def backslash(self, command: str) -> Any:
        self.cell("%config SqlMagic.autopandas = False")
        return self.cell(f"%sql {command}")

    def profile(self) -> str:
        return str(self.cell("%sqlcmd profile --table few"))

    def plot(self) -> str:
        self.cell("%sql CREATE TABLE plotted AS SELECT n FROM generate_series(1, 99) n")
        return type(self.cell("%sqlplot histogram --table plotted --column n")).__name__


class ReadSql(Peer):
    NAME, PACKAGE = "pandas.read_sql", "pandas"
    DATABASES = "any of SQLAlchemy"
    NOTES: ClassVar = {
        "pool_of_one": "the engine's pool",
        "threaded": "the engine's pool",
        "tasks": "`create_async_engine`, `run_sync`",
        "upload": "`method=` takes a function of one's own that may use COPY",
        "cancellable": "the driver's `cancel_safe()`",
        "picture": "`engine.pool.status()`",
        "restart": "with `pool_pre_ping`",
        "chunks": "`stream_results`, `chunksize`",
        "script": "`engine.begin()`",
    }

    def open(self) -> None:
        import sqlalchemy

        self.sa = sqlalchemy
        self.engine = sqlalchemy.create_engine(self.sqlalchemy_url, pool_size=4, max_overflow=0, pool_pre_ping=True)

    def run(self, sql: Any, execution: dict[str, Any] | None = None, **options: Any) -> Any:
        with self.engine.begin() as conn:
            return pd.read_sql(sql, conn.execution_options(**(execution or {})), **options)

    def texts(self) -> Ways:
        return {
            "": self.run,
            "`text()`": lambda sql: self.run(self.sa.text(sql)),
            "`no_parameters=True`": lambda sql: self.run(sql, {"no_parameters": True}),
        }

    def frames(self) -> Ways:
        return {
            "": self.run,
            "dtype_backend": lambda sql: self.run(sql, dtype_backend="numpy_nullable"),
            "coerce_float=False": lambda sql: self.run(sql, coerce_float=False),
        }

    def held(self, statements: list[str]) -> None:
        with self.engine.begin() as conn:
            for sql in statements:
                conn.execution_options(no_parameters=True).exec_driver_sql(sql)

    def script(self, sql: str) -> None:
        self.held([sql])

    def bound(self, value: str) -> Any:
        return self.run(self.sa.text("SELECT :value AS x"), params={"value": value})

    def chunks(self, sql: str) -> Iterator[Any]:
        with self.engine.connect().execution_options(stream_results=True) as conn:
            yield from pd.read_sql(sql, conn, chunksize=100_000)

    def upload(self, df: Any, table: str) -> None:
        df.to_sql(table, self.engine, index=False)

    async def tasks(self, sql: str, count: int) -> list[int]:
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(self.sqlalchemy_url)

        async def one() -> int:
            async with engine.connect() as conn:
                return (await conn.run_sync(lambda sync: pd.read_sql(sql, sync))).iloc[0, 0]

        pids = await asyncio.gather(*[one() for _ in range(count)])
        await engine.dispose()
        return pids

    def open_again(self) -> None:
        with self.sa.create_engine(self.sqlalchemy_url).connect() as conn:
            conn.exec_driver_sql("SELECT 1")

    def pool_of_one(self) -> Callable[[], Any]:
        return self.sa.create_engine(self.sqlalchemy_url, pool_size=1, max_overflow=0, pool_timeout=1).connect

    def block(self) -> Any:
        return self.engine.connect()

    def picture(self) -> str:
        return self.engine.pool.status()

    def cancellable(self, sql: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        conn = self.engine.connect()
        return lambda: pd.read_sql(sql, conn), conn.connection.driver_connection.cancel_safe


class ADBC(Peer):
    NAME, PACKAGE = "ADBC", "adbc-driver-postgresql"
    DATABASES = "a driver each: SQLite, Snowflake, BigQuery, …"
    NOTES: ClassVar = {
        "threaded": "SQLAlchemy's QueuePool of `adbc_clone`",
        "pool_of_one": "SQLAlchemy's QueuePool",
        "picture": "SQLAlchemy's `pool.status()`",
        "upload": "`adbc_ingest`",
        "cancellable": "`adbc_cancel()`",
        "chunks": "`fetch_record_batch`",
        "script": "`executescript`",
    }

    def open(self) -> None:
        from adbc_driver_postgresql import dbapi

        self.dbapi = dbapi
        self.source = dbapi.connect(self.url, autocommit=True)
        self.pool = self.queue(4)

    def queue(self, size: int, timeout: float = 30) -> Any:
        """Return the pool that ADBC's recipes have."""
        from sqlalchemy.pool import QueuePool

        return QueuePool(self.source.adbc_clone, pool_size=size, max_overflow=0, timeout=timeout)

    def executed(self, sql: str, parameters: Any = None, options: dict[str, str] | None = None) -> Any:
        cur = self.source.cursor(adbc_stmt_kwargs=options)
        cur.execute(sql, parameters)
        return cur

    def run(self, sql: str) -> Any:
        with self.executed(sql) as cur:
            return cur.fetch_df()

    def texts(self) -> Ways:
        no_copy = {"adbc.postgresql.use_copy": "false"}
        return {"": self.run, "`use_copy=false`": lambda sql: self.executed(sql, options=no_copy).fetch_df()}

    def frames(self) -> Ways:
        return {"": self.run, "ArrowDtype": lambda sql: arrow_typed(self.executed(sql).fetch_arrow_table())}

    def held(self, statements: list[str]) -> None:
        for sql in statements:
            self.executed(sql).close()

    def script(self, sql: str) -> None:
        with self.dbapi.connect(self.url) as conn, conn.cursor() as cur:
            cur.executescript(sql)
            conn.commit()

    def bound(self, value: str) -> Any:
        return self.executed("SELECT $1 AS x", (value,)).fetch_df()

    def chunks(self, sql: str) -> Iterator[Any]:
        with self.executed(sql) as cur:
            yield from (batch.to_pandas() for batch in cur.fetch_record_batch())

    def upload(self, df: Any, table: str) -> None:
        import pyarrow as pa

        with self.source.cursor() as cur:
            cur.adbc_ingest(table, pa.Table.from_pandas(df))

    def threaded(self, sql: str) -> Any:
        with self.block() as conn, conn.cursor() as cur:
            cur.execute(sql)
            return cur.fetch_df()

    def open_again(self) -> None:
        self.again = self.dbapi.connect(self.url)

    def pool_of_one(self) -> Callable[[], Any]:
        queue = self.queue(1, timeout=1)
        return lambda: contextlib.closing(queue.connect())

    def block(self) -> Any:
        return contextlib.closing(self.pool.connect())

    def picture(self) -> str:
        return self.pool.status()

    def cancellable(self, sql: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        cur = self.source.cursor()
        return lambda: cur.execute(sql).fetch_df(), cur.adbc_cancel


class ConnectorX(Peer):
    NAME = PACKAGE = "connectorx"
    DATABASES = "MySQL, SQLite, SQL Server, Oracle, …"
    NOTES: ClassVar = {"chunks": "`arrow_stream`", "parallel": "`partition_on`"}

    def run(self, sql: str, **options: Any) -> Any:
        import connectorx

        return connectorx.read_sql(self.url, sql, **options)

    def texts(self) -> Ways:
        return {"": self.run, "`protocol='cursor'`": lambda sql: self.run(sql, protocol="cursor")}

    def frames(self) -> Ways:
        return {"": self.run, "return_type='arrow'": lambda sql: arrow_typed(self.run(sql, return_type="arrow"))}

    def chunks(self, sql: str) -> Iterator[Any]:
        return (batch.to_pandas() for batch in self.run(sql, return_type="arrow_stream", batch_size=100_000))

    def parallel(self, sql: str) -> Any:
        return self.run(sql, partition_on="id", partition_num=2)


class Bare(Peer):
    NAME, PACKAGE = "psycopg_pool", "psycopg-pool"
    NOTES: ClassVar = {
        "upload": "`cursor.copy()`, `write_row` by hand",
        "cancellable": "`conn.cancel_safe()`",
        "picture": "`pool.get_stats()`",
        "restart": "with `check=check_connection`",
        "chunks": "a named cursor, `fetchmany`",
        "shrink": "`pool.resize`",
    }

    def open(self) -> None:
        self.pool = ConnectionPool(self.conninfo, **SIZES, check=ConnectionPool.check_connection, open=True)

    def block(self) -> Any:
        return self.pool.connection()

    def run(self, sql: str, params: Any = None) -> Any:
        with self.block() as conn:
            return framed(conn.cursor().execute(sql, params))

    def held(self, statements: list[str]) -> None:
        with self.block() as conn:
            for sql in statements:
                conn.cursor().execute(sql)

    def script(self, sql: str) -> None:
        self.held([sql])

    def results(self, sql: str) -> list[Any]:
        with self.block() as conn:
            return [framed(cur) for cur in conn.cursor().execute(sql).results()]

    def bound(self, value: str) -> Any:
        return self.run("SELECT %(value)s AS x", {"value": value})

    def chunks(self, sql: str) -> Iterator[Any]:
        with self.pool.connection() as conn, conn.cursor("rows") as cur:
            cur.execute(sql)
            while rows := cur.fetchmany(100_000):
                yield pd.DataFrame(rows)

    def upload(self, df: Any, table: str) -> None:
        with self.block() as conn, conn.cursor() as cur:
            cur.execute(f"CREATE TABLE {table} (n int8, word text)")
            with cur.copy(f"COPY {table} FROM STDIN") as copy:
                for row in df.itertuples(index=False):
                    copy.write_row(row)

    async def tasks(self, sql: str, count: int) -> list[int]:
        async with AsyncConnectionPool(self.conninfo, **SIZES, open=False) as pool:
            return await gathered(pool.connection, sql, count)

    def open_again(self) -> None:
        self.again = ConnectionPool(self.conninfo, min_size=1, open=True)
        self.again.wait()

    def pool_of_one(self) -> Callable[[], Any]:
        return ConnectionPool(self.conninfo, **ONE, open=True).connection

    def picture(self) -> str:
        return str(self.pool.get_stats())

    def shrink(self) -> None:
        self.pool.resize(1, 1)

    def cancellable(self, sql: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        conn = self.pool.getconn()
        return lambda: conn.execute(sql), conn.cancel_safe


class PgMonkey(Bare):
    NAME = PACKAGE = "pgmonkey"
    NOTES: ClassVar = {
        **Bare.NOTES,
        "open_again": "one manager gives one",
        "shrink": "`.pool.resize` of psycopg_pool",
        "picture": "`.pool.get_stats()` of psycopg_pool",
        "restart": "with `check_on_checkout`",
    }

    def opened(self, kind: str = "pool", **sizes: Any) -> Any:
        """Return a pool by a manager of its own."""
        from pgmonkey.managers.pgconnection_manager import PGConnectionManager

        config = {"connection_settings": self.settings, "pool_settings": sizes, "async_pool_settings": sizes}
        self.managers = [*getattr(self, "managers", ()), PGConnectionManager()]
        return self.managers[-1].get_database_connection_from_dict(config, kind)

    def open(self) -> None:
        self.own = self.opened(**SIZES, check_on_checkout=True)
        self.pool = self.own.pool

    def block(self) -> Any:
        return self.own

    async def tasks(self, sql: str, count: int) -> list[int]:
        return await gathered(await self.opened("async_pool", **SIZES), sql, count)

    def open_again(self) -> None:
        self.opened(**SIZES, check_on_checkout=True).pool.wait()

    def pool_of_one(self) -> Callable[[], Any]:
        pool = self.opened(**ONE)
        return lambda: pool


def framed(cur: Any) -> Any:
    """Return a DataFrame of a cursor's rows, None where it has none."""
    return pd.DataFrame(cur.fetchall(), columns=[one.name for one in cur.description]) if cur.description else None


def arrow_typed(table: Any) -> Any:
    return table.to_pandas(types_mapper=pd.ArrowDtype)


async def gathered(block: Any, sql: str, count: int) -> list[int]:
    """Return the first values of a query that so many tasks run at once, each in a block of its own."""

    async def one() -> int:
        async with block() if callable(block) else block as conn, conn.cursor() as cur:
            await cur.execute(sql)
            return (await cur.fetchone())[0]

    return await asyncio.gather(*[one() for _ in range(count)])


@contextlib.contextmanager
def holding(block: Callable[[], Any]) -> Iterator[None]:
    """Have a thread named `loader` in a block meanwhile."""
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with block():
            inside.set()
            over.wait(10)

    holder = threading.Thread(target=hold, name="loader")
    holder.start()
    try:
        inside.wait(10)
        yield
    finally:
        over.set()
        holder.join()


PEERS: dict[str, type[Peer]] = {peer.NAME: peer for peer in (Ours, JupySQL, ReadSql, ADBC, ConnectorX, Bare, PgMonkey)}
