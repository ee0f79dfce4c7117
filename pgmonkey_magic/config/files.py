"""Reading and replacing small files: bounded, regular files only, never waiting on a FIFO or a device."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class NotReadableError(Exception):
    """The file cannot be read; the text is the end of a sentence that begins with its name."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a file and its permission bits at that moment."""

    data: bytes
    mode: int


def read_regular(path: str | os.PathLike[str], limit: int) -> FileContent:
    """Read a regular file of at most *limit* bytes; `~` is expanded.

    Raises NotReadableError.
    """
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for a writer before its kind can be looked at.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        fd = os.open(Path(path).expanduser(), flags)
        with open(fd, "rb") as file:  # noqa: PTH123 - it opens a descriptor, not a path
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise NotReadableError("is a directory, not a file")
            if not stat.S_ISREG(status.st_mode):
                raise NotReadableError("is not a regular file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise NotReadableError("does not exist") from None
    except IsADirectoryError:  # where a directory cannot even be opened
        raise NotReadableError("is a directory, not a file") from None
    except OSError as error:
        raise NotReadableError(f"cannot be read ({error.strerror})") from None
    except (ValueError, RuntimeError):  # a NUL in the path; a home directory that cannot be found
        raise NotReadableError("is not a usable path") from None
    if len(data) > limit:
        raise NotReadableError(f"is larger than {limit // 1024} KiB")
    return FileContent(data, stat.S_IMODE(status.st_mode))


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the content of an existing file in one step; its mode and, where allowed, its owner stay.

    A symbolic link stays one. A reader sees the old or the new content, never a part. Raises OSError.
    """
    target = Path(path).expanduser().resolve(strict=True)
    status = target.stat()
    fd, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - it opens a descriptor, not a path
            file.write(data)
            file.flush()
            os.fsync(fd)
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(temporary, status.st_uid, status.st_gid)
        Path(temporary).chmod(stat.S_IMODE(status.st_mode))
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
