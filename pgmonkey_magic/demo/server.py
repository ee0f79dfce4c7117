"""This process's embedded server: started, or joined where another process of this user has started it.

There is one server per user, for all of his kernels. A process joins like this, holding JOIN all the while:

    take USERS          from here on the supervisor cannot stop the server under us
    nobody has SERVER   there is no server, or it died: start a supervisor, which makes a new one
    wait for an answer  then make the data, unless they are there

Whoever is killed at any of these points leaves a state that the next one carries on from.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import make_conninfo

from pgmonkey_magic.demo import places
from pgmonkey_magic.demo.course import HOST_VARIABLE
from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from pgmonkey_magic.demo.locks import LockFile

DEADLINE_S = 60.0
APPLICATION_NAME = "pgmonkey-demo"
POOL_SETTINGS = {"min_size": 2, "max_size": 10}

_mutex = threading.RLock()
_current: DemoServer | None = None


class DemoServer:
    """The embedded server, which runs at least as long as this process holds it: until `release` or its end."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock: LockFile | None = None
        self.socket_dir: Path = base / places.SERVER
        """The directory of its socket: the `host` of a connection."""
        self.version: str = ""
        """PostgreSQL's version, such as "18.4"."""

    def __repr__(self) -> str:
        state = "held" if self._lock else "released"
        return f"<DemoServer {self.version} at {self.socket_dir}, {state}>"

    def config(self, dbname: str = "tutorial_db") -> dict[str, Any]:
        """Return a pgmonkey configuration for it; each call a new dict."""
        return {
            "connection_type": "pool",
            "connection_settings": {**self._address(), "dbname": dbname, "application_name": APPLICATION_NAME},
            "pool_settings": dict(POOL_SETTINGS),
            "async_pool_settings": dict(POOL_SETTINGS),
        }

    def release(self) -> None:
        """Let go. The last holder's going, this way or by its end, stops the server and removes everything."""
        global _current  # noqa: PLW0603 - one server per process is what this module is about
        with _mutex:
            if self._lock is not None:
                self._lock.close()
                self._lock = None
            if _current is self:
                _current = None

    def _address(self) -> dict[str, Any]:
        # The port is said aloud, because libpq would otherwise take it from a PGPORT meant for another server.
        from pgmonkey_magic.demo.cluster import PORT, SUPERUSER  # noqa: PLC0415 - not on Windows

        return {"host": str(self.socket_dir), "port": PORT, "user": SUPERUSER}

    def _join(self, deadline: float) -> None:
        """Hold the server, running and with its data."""
        from pgmonkey_magic.demo.locks import JOIN, USERS  # noqa: PLC0415 - not on Windows

        held = self._lock
        lock = self._lock_for_joining(deadline)
        try:
            lock.wait(USERS, shared=True, deadline=deadline)
            if not lock.server_runs():
                _start_supervisor(self._base, lock, deadline)
            self._make_ready(lock, deadline)
        except BaseException:
            if lock is held:
                lock.unlock(JOIN)  # pools of this process may be using the server
            else:
                self._abandon(lock)
            raise
        lock.unlock(JOIN)
        self._lock = lock

    def _lock_for_joining(self, deadline: float) -> LockFile:
        """Return the lock file, JOIN taken: the one we hold, or a new one where a supervisor removed it."""
        from pgmonkey_magic.demo.account import server_account  # noqa: PLC0415 - not on Windows
        from pgmonkey_magic.demo.locks import JOIN, LockFile  # noqa: PLC0415

        lock = self._lock
        account = server_account()
        while True:
            try:
                if lock is None:
                    places.private_directory(self._base, account)
                    lock = LockFile(self._base)
                lock.wait(JOIN, deadline=deadline)
                if lock.is_current():
                    return lock
            except FileNotFoundError as error:
                # most often a supervisor removed it between two of our steps
                if not self._base.parent.is_dir():
                    raise DemoError(f"{self._base.parent} is gone: set TMPDIR to a directory that exists") from error
            except BaseException:
                if lock is not None and lock is not self._lock:
                    lock.close()
                raise
            if lock is not None:
                lock.close()
            lock = self._lock = None

    def _abandon(self, lock: LockFile) -> None:
        """Let go of a server that we could not get, and remove what was made for it unless a supervisor will."""
        from pgmonkey_magic.demo.locks import JOIN, SERVER, USERS  # noqa: PLC0415 - not on Windows
        from pgmonkey_magic.demo.supervisor import remove  # noqa: PLC0415

        if all(lock.try_lock(byte) for byte in (JOIN, USERS, SERVER)) and lock.is_current():
            remove(self._base)
        lock.close()

    def _make_ready(self, lock: LockFile, deadline: float) -> None:
        from pgmonkey_magic.demo.cluster import connect_when_ready  # noqa: PLC0415 - not on Windows
        from pgmonkey_magic.demo.sample import ensure_shop  # noqa: PLC0415

        conninfo = make_conninfo(**self._address(), dbname="postgres", application_name=APPLICATION_NAME)
        with connect_when_ready(conninfo, alive=lock.server_runs, base=self._base, deadline=deadline) as connection:
            # "15.18 (Debian 15.18-0+deb12u1)": a packager's addition follows the number
            self.version = (connection.info.parameter_status("server_version") or "").partition(" ")[0]
            ensure_shop(connection, conninfo)

    def _forget(self) -> None:
        """Close our copy of the parent's descriptor, in a forked child: the locks are the parent's and stay."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def start_demo() -> DemoServer:
    """Return this process's embedded server, running and with `tutorial_db` ready.

    Starts it or joins the one of another process of this user: about 3 s and 50 ms. Called again it returns the same
    object, after starting the server anew if it died. Threads may call it together. Raises DemoError.

    `$PGMONKEY_DEMO_HOST` then names the directory of its socket, for a YAML file (`host: ${PGMONKEY_DEMO_HOST}`) and
    for the programs that this process starts.
    """
    if sys.platform == "win32":
        raise DemoError("the demo needs Linux or macOS: on Windows connect to a server of your own")
    from pgmonkey_magic.demo.account import server_account  # noqa: PLC0415 - not on Windows

    global _current  # noqa: PLW0603 - one server per process is what this module is about
    with _mutex:
        server = _current or DemoServer(places.base_directory(server_account()))
        server._join(time.monotonic() + DEADLINE_S)  # noqa: SLF001 - the same module
        _current = server
        os.environ[HOST_VARIABLE] = str(server.socket_dir)
        return server


def _start_supervisor(base: Path, lock: LockFile, deadline: float) -> None:
    """Start the supervisor, detached, and return once it has taken SERVER and has its plan.

    It gets the plan only after it took the lock: had we died in between, the next joiner would see SERVER free and
    start a second one in the same directory.
    """
    from pgmonkey_magic.demo import supervisor  # noqa: PLC0415 - not on Windows
    from pgmonkey_magic.demo.account import server_account  # noqa: PLC0415
    from pgmonkey_magic.demo.binaries import find_binaries, runnable  # noqa: PLC0415
    from pgmonkey_magic.demo.cluster import server_plan  # noqa: PLC0415

    account = server_account()
    binaries = runnable(find_binaries(), account, base / places.COPIES)
    plan = server_plan(base, binaries, account, {"cluster_name": APPLICATION_NAME})
    command = [sys.executable, "-I", "-S", supervisor.__file__, str(lock.fd)]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, pass_fds=[lock.fd]
    ) as child:
        assert child.stdin  # noqa: S101 - for the type checker: they are pipes
        assert child.stdout  # noqa: S101
        heard, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not heard or child.stdout.readline() != b"locked\n":
            raise DemoError(f"the supervisor of the embedded PostgreSQL did not start: try {' '.join(command[:3])}")
        child.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")


def _forget_after_fork() -> None:
    global _mutex, _current  # noqa: PLW0603
    _mutex = threading.RLock()  # another thread of the parent may have held it
    if _current is not None:
        _current._forget()  # noqa: SLF001 - the same module
        _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
