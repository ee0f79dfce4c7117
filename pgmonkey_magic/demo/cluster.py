"""One PostgreSQL server: the commands that make and run it, and `Cluster`, which runs it as a child of this process.

The demo hands the same plan to its supervisor. Settings go on the command line: no file to write into a directory of
another user, no quoting, and a restart may change them.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgmonkey_magic.demo import places
from pgmonkey_magic.demo.account import Account, server_account
from pgmonkey_magic.demo.binaries import find_binaries, runnable
from pgmonkey_magic.demo.supervisor import Plan
from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Setting = str | int | bool
SUPERUSER = "postgres"
PORT = 5432
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
CAUSE = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s+(.*)")

SETTINGS: Mapping[str, Setting] = {
    "cluster_name": "pgmonkey",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": 100,
    "shared_buffers": "64MB",
    "timezone": "UTC",
    # files of the data directory: /dev/shm has 64 MB in a container, and keeps what a killed server left
    "dynamic_shared_memory_type": "mmap",
    # nothing here outlives the machine, so nothing waits for the disk and little is logged
    "fsync": False,
    "full_page_writes": False,
    "wal_level": "minimal",
    "max_wal_senders": 0,
}


def server_plan(base: Path, binaries: Path, account: Account | None, settings: Mapping[str, Setting]) -> Plan:
    """Return how to make and run a server below `base`: data and socket in `server`, beside it the log."""
    directory = base / places.SERVER
    data = str(directory / "data")
    quoted = '"' + str(directory).replace('"', '""') + '"'  # this setting is a list
    options = [f"-c{name}={_text(value)}" for name, value in {**SETTINGS, **settings}.items()]
    return Plan(
        directory=str(directory),
        log=str(base / places.LOG),
        initdb=[
            *(str(binaries / "initdb"), "-D", data, "-U", SUPERUSER, "--encoding=UTF8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-instructions"),
        ],
        postgres=[str(binaries / "postgres"), "-D", data, f"-cunix_socket_directories={quoted}", *options],
        uid=account and account.uid,
        gid=account and account.gid,
    )


def connect_when_ready(
    conninfo: str, *, alive: Callable[[], bool], base: Path, deadline: float
) -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection in autocommit as soon as the server answers.

    Raises DemoError with the last error in its log when it died, or at `deadline` (of time.monotonic).
    """
    while True:
        running = alive()  # asked first: a server that dies after an answer is not one that never came up
        try:
            return psycopg.connect(conninfo, autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            if not running:
                cause = _cause(base)
                raise DemoError(f"the embedded PostgreSQL did not start: {cause}") from error
            if time.monotonic() > deadline:
                raise DemoError(f"the embedded PostgreSQL in {base} does not answer: {error}") from error
        time.sleep(0.02)


class Cluster:
    """A PostgreSQL server of this process alone, with data that is gone after `close`.

    `base` is a directory to make it in, which a server of root must be able to pass through (pytest's `tmp_path` is
    not such a one); None makes a temporary one. `settings` add to SETTINGS and may be changed before a `restart`.
    `tcp_port` lets it listen on 127.0.0.1 too, where it asks for `password` by scram-sha-256; on the socket it asks for
    none. Use it in a `with` block: a process that is killed leaves its server running.
    """

    def __init__(
        self,
        base: Path | None = None,
        *,
        settings: Mapping[str, Setting] | None = None,
        tcp_port: int | None = None,
        password: str | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.settings: dict[str, Setting] = dict(settings or {})
        self.port = tcp_port or PORT
        if tcp_port:
            self.settings = {"listen_addresses": "127.0.0.1", "port": tcp_port, **self.settings}
        self._password = password
        self._process = os.getpid()
        self._account = server_account()
        self.base = Path(tempfile.mkdtemp(prefix="pgmonkey-")) if base is None else base
        places.private_directory(self.base, self._account)
        self._binaries = runnable(binaries or find_binaries(), self._account, self.base / places.COPIES)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        """The directory of its socket: the `host` of a connection."""
        return self.base / places.SERVER

    @property
    def conninfo(self) -> str:
        """How to connect over its socket, as the superuser, without a password."""
        return make_conninfo(host=str(self.socket_dir), port=self.port, user=SUPERUSER, dbname="postgres")

    @property
    def tcp_conninfo(self) -> str:
        """How to connect over TCP, with the password."""
        return make_conninfo(self.conninfo, host="127.0.0.1", password=self._password)

    @property
    def pid(self) -> int:
        """The process id of `postgres`; DemoError while it does not run."""
        if self._server is None or self._server.poll() is not None:
            raise DemoError(f"the PostgreSQL server in {self.base} is not running: start() it")
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._server is not None and self._server.poll() is None

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        return (self.base / places.LOG).read_text(errors="replace")

    def start(self) -> None:
        """Run it, making it first if need be; returns when it answers."""
        if self.running:
            return
        plan = server_plan(self.base, self._binaries, self._account, self.settings)
        fresh = not self.socket_dir.exists()
        if fresh:
            try:
                plan.make()
            except subprocess.CalledProcessError as error:
                raise DemoError(f"initdb failed: {_cause(self.base)}") from error
        self._server = plan.run()
        atexit.register(self.close)
        deadline = time.monotonic() + START_TIMEOUT_S
        with connect_when_ready(
            self.conninfo, alive=lambda: self.running, base=self.base, deadline=deadline
        ) as connection:
            if fresh and self._password is not None:
                role, password = sql.Identifier(SUPERUSER), sql.Literal(self._password)
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it as `pg_ctl stop -m` does, and return when it is gone; kills it after 30 s."""
        if self._server is None or self._process != os.getpid():
            return  # nothing to stop, or a forked child's copy of its parent's
        self._server.send_signal(STOP_SIGNALS[mode])
        try:
            self._server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop and start it, with the settings as they are now."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop it and remove its directory."""
        if self._process != os.getpid():
            return
        self.stop("immediate")
        atexit.unregister(self.close)
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _text(value: Setting) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _cause(base: Path) -> str:
    """Return the last error in the log, or its last line, without the name of a directory that will be gone."""
    try:
        lines = (base / places.LOG).read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    errors = [found[1] for found in map(CAUSE.search, lines) if found]
    last = (errors or [line for line in lines if line.strip()] or ["its log is empty"])[-1]
    return last.replace(str(base), "…")
