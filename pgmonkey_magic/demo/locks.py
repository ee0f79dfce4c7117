"""Who uses the server: record locks on three bytes of one file, which the system takes back from every dead process.

JOIN    exclusive: held while a process joins or while the supervisor clears everything away; never two at a time.
USERS   shared: held by every process that uses the server. The supervisor waits until it can have it exclusively.
SERVER  exclusive: held by the supervisor for as long as its server runs. Free means that there is no server.

They are POSIX locks, not flock: a forked child does not inherit them, so it cannot keep the server alive. The price is
that closing *any* descriptor of the file drops all locks of the process: nothing but this module may open it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import time
from typing import TYPE_CHECKING

from pgmonkey_magic.demo.supervisor import JOIN, SERVER, USERS
from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JOIN", "SERVER", "USERS", "LockFile"]


class LockFile:
    """The lock file of the directory `base`, opened by this process."""

    def __init__(self, base: Path) -> None:
        self._path = base / "lock"
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def wait(self, byte: int, *, shared: bool = False, deadline: float) -> None:
        """Take a lock; raises DemoError at `deadline` (of time.monotonic).

        It asks again and again instead of sleeping in the system, so that Ctrl-C and the deadline are heard.
        """
        while not self.try_lock(byte, shared=shared):
            if time.monotonic() > deadline:
                raise DemoError(
                    f"another process has been starting the demo for too long: end it, or remove {self._path}"
                )
            time.sleep(random.uniform(0.01, 0.03))  # noqa: S311 - only so that waiters do not march in step

    def try_lock(self, byte: int, *, shared: bool = False) -> bool:
        """Take a lock if it is free; returns whether it is ours now."""
        try:
            fcntl.lockf(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
            return False
        return True

    def unlock(self, byte: int) -> None:
        """Give a lock back."""
        fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, byte)

    def server_runs(self) -> bool:
        """Return whether there is a supervisor with a server. Only for the holder of JOIN: it tries the lock."""
        if self.try_lock(SERVER):
            self.unlock(SERVER)
            return False
        return True

    def is_current(self) -> bool:
        """Return whether the path still leads to this file, which a supervisor removes at its end."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self.fd)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        """Give everything back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
