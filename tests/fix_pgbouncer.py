"""PgBouncer in transaction mode, as Debian packages it, in front of the test server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fix_server import Server

from pgmonkey_magic.demo.account import server_account

PORT = 6432
"""Only names the socket: it lies in a directory of its own, so that it meets no other PgBouncer."""
START_TIMEOUT_S = 10
SERVER_CONNECTIONS = 2
"""Fewer than the clients of any test, so that a client's next transaction is often on another server process."""


class Bouncer(Server):
    """A running PgBouncer; `config` and `query` go through it, `server` is what stands behind it."""

    def __init__(self, program: str, server: Server) -> None:
        self.server = server
        self._program = program
        # It refuses root as PostgreSQL does, and must get into the directory of the server's socket.
        self._account = server_account()
        self.directory = Path(tempfile.mkdtemp(prefix="pgmonkey-pgbouncer-"))
        if self._account:
            os.chown(self.directory, self._account.uid, self._account.gid)
        self._process: subprocess.Popen[Any] | None = None
        super().__init__({**server.settings, "host": str(self.directory), "port": str(PORT)})
        self.settings.pop("hostaddr", None)

    def config(self, *, switch: bool = True, **settings: Any) -> dict[str, Any]:
        """Return a configuration for it, with `pgbouncer: true` unless *switch* is off."""
        return super().config(**settings) | ({"pgbouncer": True} if switch else {})

    def start(self, **settings: str | int) -> None:
        """Run it, with further *settings*, and return when it answers."""
        ini = self.directory / "pgbouncer.ini"
        ini.write_text(self._ini(settings))
        ini.chmod(0o644)
        run_as = self._account.popen() if self._account else {}
        process = self._process = subprocess.Popen([self._program, "-q", str(ini)], cwd="/", **run_as)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.query("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"PgBouncer did not start: {error}\n{self.log}") from error
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: what SIGTERM means to it, and whether it waits for clients, depends on its version."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self, **settings: str | int) -> None:
        """Stop and start it: every connection of its clients is cut."""
        self.stop()
        self.start(**settings)

    def freeze(self) -> None:
        """Let it live on and answer nobody, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def clients(self) -> int:
        """Count the connections that its clients have to the server's database."""
        admin = {**self.settings, "dbname": "pgbouncer", "application_name": "outside"}
        with psycopg.connect(**admin, autocommit=True) as conn:
            cur = conn.execute("SHOW CLIENTS")
            columns = [column.name for column in cur.description or ()]
            shown = [dict(zip(columns, row, strict=True)) for row in cur]
        return sum(client["database"] == self.settings["dbname"] for client in shown)

    @property
    def log(self) -> str:
        """What it wrote so far."""
        log = self.directory / "log"
        return log.read_text(errors="replace") if log.exists() else "it left no log"

    def close(self) -> None:
        """Stop it and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory)

    def _ini(self, further: dict[str, str | int]) -> str:
        behind = {name: value for name, value in self.server.settings.items() if name in BEHIND}
        database = " ".join(f"{name}={_quoted(value)}" for name, value in behind.items())
        settings: dict[str, Any] = {
            "pool_mode": "transaction",
            "listen_addr": "",
            "listen_port": PORT,
            "unix_socket_dir": self.directory,
            "auth_type": "any",  # the directory is private, and the line above says as whom to log in
            "admin_users": self.settings["user"],
            "logfile": self.directory / "log",
            "default_pool_size": SERVER_CONNECTIONS,
            **further,
        }
        if self._version >= (1, 21):
            settings["max_prepared_statements"] = 0  # newer ones can follow prepared statements; older ones never do
        lines = [f"{name} = {value}" for name, value in settings.items()]
        return "\n".join(["[databases]", f"* = {database}", "[pgbouncer]", *lines, ""])

    @property
    def _version(self) -> tuple[int, int]:
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"(\d+)\.(\d+)", said)
        assert found, said
        return int(found[1]), int(found[2])


BEHIND = ("host", "port", "user", "password")
"""The settings of the server that PgBouncer logs in with."""


def _quoted(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"


@pytest.fixture
def pgbouncer(server: Server) -> Iterator[Bouncer]:
    """A PgBouncer of this test alone; ask for it before `kind`, so that the pools are closed before it is."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        missing = "no PgBouncer: apt-get install pgbouncer"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    bouncer = Bouncer(program, server)
    try:
        bouncer.start()
        yield bouncer
    finally:
        bouncer.close()
