"""PostgreSQL's own regression tests, as SQL to compare cells with psql on.

They are no part of this project: they are read where `PGMONKEY_TEST_CORPUS` names a source tree of PostgreSQL, or else
from Debian's source package of the server's version, which apt fetches into a temporary directory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from fix_corpus import as_if_not_copied, content, counted, in_bytes, ordinary_way, own
from fix_psql import LOOKS, psql
from fix_recorder import Exchange, Outcome, Recorder
from psycopg import generators, waiting
from psycopg.pq import ExecStatus, TransactionStatus

from pgmonkey_magic import SQLError
from pgmonkey_magic.cells import Job, Request
from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.sql import find_parameters, split

PSQL_ONLY = ("psql", "psql_crosstab", "psql_pipeline")
"""They test psql's own files, pipelines and layouts, of which no SQL that is sent tells anything."""


@contextmanager
def postgresql_source() -> Iterator[tuple[Path, Path]]:
    """Give a source tree of PostgreSQL with its SQL files, which a server's user may read, and a directory to write in.

    A skip where there is none to be had.
    """
    major = re.search(r"\d+", subprocess.check_output([find_binaries() / "postgres", "--version"], text=True))
    assert major
    with tempfile.TemporaryDirectory(prefix="pgmonkey-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "results").mkdir()
        (directory / "results").chmod(0o777)
        yield Path(os.environ.get("PGMONKEY_TEST_CORPUS") or _unpacked(_fetched(major[0], directory))), directory


def _unpacked(package: Path) -> Path:
    with tarfile.open(package) as archive:
        wanted = [
            member
            for member in archive.getmembers()
            if re.search(r"/sql/[^/]+\.sql$|/src/test/regress/(data/|parallel_schedule)", member.name)
        ]
        archive.extractall(package.parent, wanted, filter="data")
    return next(package.parent.glob("postgresql-*/"))


def _fetched(major: str, directory: Path) -> Path:
    if shutil.which("apt-get") is None:
        pytest.skip("needs Debian's apt-get, or a source tree of PostgreSQL in PGMONKEY_TEST_CORPUS")
    try:
        _fetch(major, directory)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        pytest.skip(
            f"apt has no source package postgresql-{major}: name a source tree in PGMONKEY_TEST_CORPUS ({reason})"
        )
    return next(directory.glob("*.orig.tar.*"))


def _fetch(major: str, directory: Path) -> None:
    """Have apt download the source package from where this machine gets its packages, with lists of its own."""
    (directory / "lists/partial").mkdir(parents=True)
    (directory / "cache/archives/partial").mkdir(parents=True)
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"],
        capture_output=True,
        check=True,
    )
    repository = shown.stdout.decode().split()[0]
    (directory / "sources.list").write_text(
        f"deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {repository} sid main\n"
    )
    options = {
        "Dir::Etc::SourceList": directory / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": directory / "lists",
        "Dir::Cache": directory / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    for words in (["update"], ["source", "--download-only", f"postgresql-{major}"]):
        subprocess.run([*apt, *words], cwd=directory, capture_output=True, check=True, timeout=300)


def schedule(regress: Path) -> list[str]:
    """Return the names of the test files, in an order in which each finds what it needs."""
    lines = (regress / "parallel_schedule").read_text().splitlines()
    names = [name for line in lines if line.startswith("test:") for name in line.removeprefix("test:").split()]
    return [name for name in names if name not in PSQL_ONLY]


def like_pg_regress(recorder: Recorder) -> None:
    """Make the database `regression` with the settings that the tests expect, but for how moments look.

    They have the form that clients expect, because a DataFrame is made of their text on the ordinary way.
    """
    settings = {
        **dict.fromkeys(("lc_messages", "lc_monetary", "lc_numeric", "lc_time"), "C"),
        "bytea_output": "hex",
        "timezone_abbreviations": "Default",
        "timezone": "America/Los_Angeles",
        "datestyle": "ISO, MDY",
    }
    with psycopg.connect(**recorder.settings(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE regression TEMPLATE template0")
        for name, value in settings.items():
            conn.execute(f"ALTER DATABASE regression SET {name} TO '{value}'")


@contextmanager
def numbers_used_up(recorder: Recorder) -> Iterator[None]:
    """Have a server give other OIDs, and other numbers to its processes, than a fresh one does.

    So an answer with such a number in it is not the same on two servers.
    """
    with psycopg.connect(**recorder.settings(), autocommit=True) as conn:
        for _ in range(100):
            conn.execute("CREATE TABLE used_up (a text); DROP TABLE used_up")
        yield


def run_by_psql(recorder: Recorder, source: Path, results: Path, name: str) -> list[Exchange]:
    """Run a test file by psql, as pg_regress does but for what LOOKS; return all that was said."""
    regress = source / "src/test/regress"
    environment = {
        "PG_ABS_SRCDIR": str(regress),
        "PG_ABS_BUILDDIR": str(results),
        "PG_LIBDIR": "/nowhere",
        "PG_DLSUFFIX": ".so",
    }
    script = LOOKS.sub(b"", (regress / "sql" / f"{name}.sql").read_bytes())
    said = psql(
        recorder,
        *("-a", "-f-"),
        script=script,
        environment=environment,
        dbname="regression",
        application_name=f"pg_regress/{name}",
    )
    wait_until_up(recorder, after=said)
    return said


def wait_until_up(recorder: Recorder, *, after: list[Exchange]) -> None:
    """Wait for a server that has crashed: some tests are newer than the server, and one that it has no answer to is."""
    if not after or after[-1].outcomes:
        return
    time.sleep(1)  # until the server has noticed
    deadline = time.monotonic() + 300
    while True:
        try:
            psycopg.connect(**recorder.settings()).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(0.1)
        else:
            break
    recorder.take()


@dataclass(frozen=True)
class Ran:
    """What was said of a cell, and its value or error."""

    said: list[Exchange]
    value: Any


class Held:
    """In the place of a pool: lends one connection again and again and never cleans it, as psql has one session.

    Cells run in the given *way*.
    """

    occupancy = None

    def __init__(
        self, recorder: Recorder, way: Callable[[], AbstractContextManager[None]], login: dict[str, str]
    ) -> None:
        wanted = {"user": login["user"], "dbname": login["database"], "application_name": login["application_name"]}
        self.conn: psycopg.Connection[Any] = psycopg.connect(
            **recorder.settings(**wanted), autocommit=True, prepare_threshold=None
        )
        self._recorder, self._way = recorder, way

    def run(self, talk: Any, _terms: Any, granted: Any) -> Any:
        """Lend it for one conversation, as pools do."""
        granted(SimpleNamespace(conn=self.conn, spoiled=False))
        return self.conn.wait(talk(self.conn))

    def run_cell(self, sql: str) -> Ran:
        """Run *sql* as a cell, each statement its own transaction where none is open."""
        is_open = self.conn.pgconn.transaction_status != TransactionStatus.IDLE
        self._recorder.take()
        try:
            with self._way():
                value = Job.start(Request(sql=sql, autocommit=not is_open), self, "held").result()
        except SQLError as error:
            value = error
        except Exception as error:  # noqa: BLE001 - it is what the comparison is about, and is shown at its end
            value = f"not an SQLError: {error!r}"
        said, _ = own(as_if_not_copied(self._recorder.take()), sql)
        return Ran(said, value)

    def has_own_style(self) -> bool:
        """Tell whether the session has floats or moments written in another way than usual."""
        if self.conn.pgconn.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.INTRANS):
            return False  # the cell has failed; it has no values
        style = self.conn.execute(
            "SELECT current_setting('datestyle') ~ '^ISO', current_setting('intervalstyle') = 'postgres', "
            "current_setting('extra_float_digits')::int > 0"
        ).fetchone()
        return style != (True, True, True)

    def replay(self, exchange: Exchange) -> None:
        """Send what psql sent, with its data for COPY, so that what comes after finds the same state."""
        self.conn.wait(_replayed(self.conn.pgconn, exchange))


def _replayed(pgconn: Any, exchange: Exchange) -> Iterator[Any]:
    pgconn.send_query(exchange.text)
    yield from generators.send(pgconn)
    data = iter(exchange.sent)
    while (result := (yield from generators.fetch(pgconn))) is not None:
        if result.status == ExecStatus.COPY_IN:
            for row in next(data):
                yield from generators.copy_to(pgconn, row, flush=True)
            pgconn.put_copy_end()
            yield from generators.send(pgconn)
        while result.status == ExecStatus.COPY_OUT and (size := pgconn.get_copy_data(1)[0]) >= 0:
            if size == 0:
                yield waiting.WAIT_R
                pgconn.consume_input()


OUT_OF_PLACE = b"pg_input_error_info('incorrect type name syntax', 'regtype')"
"""A query that fails while it runs, with a position in that string in the place of one in the query."""


COUNTED_BY_THE_SERVER = b"pg_stat_"


class Comparison:
    """Counts what was equal, and keeps what was not.

    A statement is compared where psql's two runs had the same text and the same answer. Where a session has set how the
    server writes floats and moments, values that are not those of the ordinary way are only counted: COPY BINARY has
    the values themselves.
    """

    def __init__(self, ordinary: Recorder, as_it_is: Recorder) -> None:
        self.figures: Counter[str] = Counter()
        self.different: list[tuple[str, bytes, object, object]] = []
        self._ways = ((ordinary, ordinary_way), (as_it_is, nullcontext))
        self._held: list[Held] = []
        self._line = -1

    def file(self, name: str, first: list[Exchange], second: list[Exchange], logins: dict[int, dict[str, str]]) -> None:
        """Run what psql sent in its first run of a file as cells, in the same sessions."""
        self.figures["files"] += 1
        self._line = -1
        for exchange, again in zip(first, [*second, *[None] * len(first)], strict=False):
            if exchange.line != self._line:
                self._begin(exchange.line, logins[exchange.line])
            if reason := why_not_a_cell(exchange):
                self.figures[reason] += 1
                for held in self._held:
                    held.replay(exchange)
                continue
            ordinary, as_it_is = (held.run_cell(exchange.text.decode()) for held in self._held)
            if again is None or (exchange.text, answers(exchange)) != (again.text, answers(again)):
                self.figures["not the same twice in psql"] += 1
            else:
                self._compare(name, exchange, ordinary, as_it_is)
        for recorder, _ in self._ways:
            wait_until_up(recorder, after=first)

    def close(self) -> None:
        """End the last sessions."""
        for held in self._held:
            held.conn.close()

    def _begin(self, line: int, login: dict[str, str]) -> None:
        self.close()
        self._held, self._line = [Held(*way, login) for way in self._ways], line

    def _compare(self, name: str, exchange: Exchange, ordinary: Ran, as_it_is: Ran) -> None:
        pairs = (
            ([answers(e) for e in ordinary.said if e.text == exchange.text], [answers(exchange)]),
            (shape_of(ordinary.value), shape_of(exchange)),
            ([answers(e, counted) for e in as_it_is.said], [answers(exchange, counted)]),
            (content(as_it_is.value), content(ordinary.value)),
        )
        different = [pair for pair in pairs if pair[0] != pair[1]]
        if different == [pairs[-1]] and self._held[-1].has_own_style():
            self.figures["in a style of the session"] += 1
        elif different and COUNTED_BY_THE_SERVER in exchange.text:
            self.figures["what each server counts of itself"] += 1
        elif different and OUT_OF_PLACE not in exchange.text:
            self.different.append((name, exchange.text, *different[0]))
        else:
            shape = shape_of(exchange)
            kind = "errors" if shape == "error" else "rows" if shape else "tags"
            self.figures.update({"statements": 1, kind: 1, "by COPY": any(e.parsed for e in as_it_is.said)})


def answers(exchange: Exchange, rows: Callable[[Outcome], Any] = in_bytes) -> tuple[Any, ...]:
    """Return all that the server said, in a form to compare, and of rows what *rows* does."""
    return ([(rows(outcome), outcome.tag, outcome.error) for outcome in exchange.outcomes], exchange.notices)


def shape_of(found: Any) -> Any:
    """Return rows and columns of an exchange's answer or of a cell's value, None where it has none, or `error`."""
    if isinstance(found, Exchange):
        last = found.outcomes[-1] if found.outcomes else Outcome(error=("", "", ""))
        return "error" if last.error else None if last.columns is None else (len(last.rows), len(last.columns))
    return "error" if isinstance(found, SQLError) else getattr(found, "shape", None)


def why_not_a_cell(exchange: Exchange) -> str | None:
    """Return why what psql sent is no cell, or None."""
    if exchange.parsed:
        return "by the extended protocol"
    try:
        text = exchange.text.decode()
    except UnicodeDecodeError:
        return "in another encoding"
    if exchange.copies:
        return "COPY through the client"
    if find_parameters(text):
        return "with parameters"
    statements = split(text)
    return None if len(statements) == 1 else "several at once" if statements else "empty"
