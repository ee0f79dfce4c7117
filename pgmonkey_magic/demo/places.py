"""Where the demo lives: one private directory per user, short enough for a socket."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgmonkey_magic.demo.account import Account

LOCK = "lock"
SERVER = "server"
LOG = "server.log"
COPIES = "binaries"
# the name of an address in a sockaddr_un holds 104 bytes on macOS, 108 on Linux, with a closing zero
SOCKET_PATH_MAX_BYTES = 103
RUNTIME_DIR_MIN_BYTES = 1 << 30
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def base_directory(account: Account | None) -> Path:
    """Return the demo's directory for this user; `private_directory` makes it."""
    return next(path for path in _candidates() if _usable(path, account))


def private_directory(path: Path, account: Account | None) -> None:
    """Make `path`, or check that it is a real directory of ours that nobody else can write to.

    The server of root runs as `account`, who may pass through but not look. Raises DemoError when another user was
    there first: whoever owns the directory could put his own server there.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass  # most often by ourselves; what it is the next lines find out
    except PermissionError as error:
        raise DemoError(f"{path} cannot be made: set TMPDIR to a directory of your own") from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DemoError(f"{path} is in the way of the demo: remove it, or set TMPDIR to a directory of your own")
    if found.st_uid != os.geteuid() or found.st_mode & WRITABLE_BY_OTHERS:
        raise DemoError(f"{path} is not private to you: remove it, or set TMPDIR to a directory of your own")
    mode = 0o711 if account else 0o700
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)


def _candidates() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if _has_room(runtime):
        yield Path(runtime) / "pgmonkey"
    name = f"pgmonkey-{os.geteuid()}"
    yield Path(tempfile.gettempdir()) / name
    yield Path("/tmp") / name  # noqa: S108 - private_directory checks whose it is


def _usable(path: Path, account: Account | None) -> bool:
    if path.parent == Path("/tmp"):  # noqa: S108 - the last resort
        return True
    socket = os.fsencode(path / SERVER / ".s.PGSQL.5432")
    # libpq takes a comma for the start of the next host
    fits = len(socket) <= SOCKET_PATH_MAX_BYTES and b"," not in socket
    return fits and (account is None or account.reaches(path.parent))


def _has_room(runtime: str) -> bool:
    """Return whether this is our directory on a file system of some size.

    Its size and not its free space: that would change between two kernels, and each would have its own server.
    """
    if not runtime.startswith("/"):
        return False
    try:
        found, room = Path(runtime).lstat(), os.statvfs(runtime)
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & WRITABLE_BY_OTHERS
    return private and room.f_blocks * room.f_frsize >= RUNTIME_DIR_MIN_BYTES
