"""As whom the server runs: as ourselves, or, because PostgreSQL refuses root, as a user with fewer rights."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from pathlib import Path

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A system user that root starts the server as."""

    name: str
    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess` run a child as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, directory: Path) -> bool:
        """Return whether this user may go through `directory` and all its parents."""
        command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(directory)]
        return subprocess.run(command, check=False, cwd="/", **self.popen()).returncode == 0  # noqa: S603 - our own command


def server_account() -> Account | None:
    """Return the user that must run the server, or None where we can run it ourselves."""
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - does not exist on Windows

    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
            subprocess.run(["/bin/sh", "-c", ":"], check=True, cwd="/", user=entry.pw_uid, group=entry.pw_gid)
        except (KeyError, OSError, subprocess.SubprocessError):
            continue  # not there, or a container that may not become it
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise DemoError(f"PostgreSQL refuses to run as root and there is no user {' or '.join(CANDIDATES)}: log in as one")
