"""The supervisor: a detached process that owns the server and ends it when its last user is gone.

It is run by its path under `python -I -S`, so it imports nothing but the standard library. It starts PostgreSQL as
its own child, hence never signals a process id that may belong to somebody else by now. Its life:

1. take SERVER, say "locked", read the plan. A starter that died meanwhile sends none: end, nothing has happened;
2. end an orphan, clear what a crash left, initdb, start `postgres`;
3. sleep until no process holds USERS (see locks.py) any more, however those processes ended;
4. stop the server, remove everything, the lock file last, end.

A server that dies first frees SERVER, which tells the joiners to start another. The supervisor then still waits for
the users to go: somebody has to clean up.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

JOIN, USERS, SERVER = 0, 1, 2
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # a PGDATA or PGPORT of the person's must not reach the server
STOP_TIMEOUT_S = 10
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Plan:
    """How to make and run one server. Paths are strings, because the plan travels as JSON."""

    directory: str
    """What the server's user owns: `data` and the socket are in it."""
    log: str
    """Outside of `directory`: root must not write to a file that another user can replace by a link."""
    initdb: list[str]
    postgres: list[str]
    uid: int | None = None
    """The server's user, where it is not ours; with its group in `gid`."""
    gid: int | None = None

    def make(self, before_exec: Callable[[], Any] | None = None) -> None:
        """Make the directory and the data in it; raises CalledProcessError, the cause is in the log."""
        Path(self.directory).mkdir(mode=0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(self.directory, self.uid, self.gid)
        child = self._run(self.initdb, before_exec)
        if child.wait():
            raise subprocess.CalledProcessError(child.returncode, "initdb")

    def run(self, before_exec: Callable[[], Any] | None = None) -> subprocess.Popen[bytes]:
        """Start `postgres`."""
        return self._run(self.postgres, before_exec)

    def _run(self, command: list[str], before_exec: Callable[[], Any] | None) -> subprocess.Popen[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self.log, flags, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                preexec_fn=before_exec,  # noqa: PLW1509 - None but in the supervisor, which has one thread then
            )
        finally:
            os.close(log)


def main() -> None:
    """Take the lock file's descriptor from the command line, the plan from stdin, and see it through."""
    fd = int(sys.argv[1])
    if os.fork():
        os._exit(0)  # the starter waits for this one: the other belongs to nobody, so it leaves no zombie behind
    tries = 100
    while not try_lock(fd, SERVER):  # a supervisor that got no plan may hold it for an instant
        tries -= 1
        if not tries:
            return
        time.sleep(0.02)
    os.write(1, b"locked\n")
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        return
    plan = Plan(**json.loads(line))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    supervise(fd, plan)


def supervise(fd: int, plan: Plan) -> None:
    """Run the server until its last user is gone, then remove every trace of both."""
    server = start(plan)
    if server is None:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, SERVER)
    else:
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGQUIT))
        threading.Thread(target=free_when_dead, args=(fd, server), daemon=True).start()
    wait_for_the_last_user(fd)
    if server is not None:
        stop(server)
    # Not ours to remove when the path leads to a newer lock file, or when another supervisor took over a dead server.
    if is_current(fd, plan) and try_lock(fd, SERVER):
        remove(Path(plan.log).parent)


def start(plan: Plan) -> subprocess.Popen[bytes] | None:
    """Make a fresh server and start it, or return None: the log says why."""
    end_orphan(Path(plan.directory))
    shutil.rmtree(plan.directory, ignore_errors=True)
    Path(plan.log).unlink(missing_ok=True)
    try:
        plan.make(die_with_parent(signal.SIGKILL))
        return plan.run(die_with_parent(signal.SIGQUIT))
    except (OSError, subprocess.SubprocessError) as error:
        with Path(plan.log).open("a") as log:
            log.write(f"ERROR:  {error}\n")
        return None


def die_with_parent(how: signal.Signals) -> Any:
    """Return what a child must call to get the signal `how` when this process is killed (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, int(how))


def end_orphan(directory: Path) -> None:
    """Stop a server whose supervisor was killed, if one still answers on the private socket.

    The process id is the system's word about the other end of that socket; one from a pid file may long be another's.
    """
    for path in directory.glob(".s.PGSQL.*[0-9]"):
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
                os.kill(peer_pid(client), signal.SIGQUIT)
                client.settimeout(STOP_TIMEOUT_S)
                client.recv(1)  # the end of the connection is the end of the server
            except OSError:
                continue


def peer_pid(client: socket.socket) -> int:
    """Return the process that listens at the other end."""
    if sys.platform == "darwin":
        return client.getsockopt(0, 2)  # SOL_LOCAL, LOCAL_PEERPID
    return struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def free_when_dead(fd: int, server: subprocess.Popen[bytes]) -> None:
    """Tell the joiners, in a thread of its own, that there is no server any more."""
    server.wait()
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, SERVER)


def wait_for_the_last_user(fd: int) -> None:
    """Return when nobody uses the server and nobody is about to."""
    while True:
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, USERS)
        if try_lock(fd, JOIN):
            return
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, USERS)  # somebody joins and needs it
        time.sleep(0.05)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server at once: what it would save is thrown away anyhow."""
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def remove(base: Path) -> None:
    """Remove the directory with everything in it; the lock file last, which lets the next starter in."""
    for name in ("server", "binaries"):
        shutil.rmtree(base / name, ignore_errors=True)
    for name in ("server.log", "lock"):
        (base / name).unlink(missing_ok=True)
    try:
        base.rmdir()
    except OSError:
        return  # somebody starts anew already, or left a file here


def is_current(fd: int, plan: Plan) -> bool:
    """Return whether the lock file is still the one in the directory."""
    try:
        found = (Path(plan.log).parent / "lock").lstat()
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (os.fstat(fd).st_dev, os.fstat(fd).st_ino)


def try_lock(fd: int, byte: int) -> bool:
    """Take a lock exclusively if it is free."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
