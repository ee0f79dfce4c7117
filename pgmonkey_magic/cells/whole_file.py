"""A file that is complete or not there.

What is written goes into a file beside it, which takes its name when all is written. So whoever looks at the file sees
what was there before or the whole, and what fails leaves no trace.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

BUFFER = 1 << 20
"""Bytes that are collected before they are written."""


class WholeFile:
    """The file at *path*, from `open` to `complete` and then `close`. Each raises OSError.

    A link is followed. A file that is replaced hands its mode on. What is no file (a pipe, a terminal, /dev/null) is
    written to as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser().resolve()
        self._part: Path | None = None
        self._file: io.BufferedWriter | None = None

    def open(self) -> io.BufferedWriter:
        """Begin to write."""
        if self._path.exists() and not self._path.is_file():
            raw = io.FileIO(self._path, "w")
        else:
            part = self._path.with_name(f".{self._path.name}.{os.getpid()}-{id(self)}.part")
            raw = io.FileIO(part, "x")
            self._part = part
        self._file = io.BufferedWriter(raw, BUFFER)
        return self._file

    def complete(self) -> int:
        """Let the file take its name; return how many bytes it has, 0 where it is no file."""
        if self._file is not None:
            self._file.close()
        if self._part is None:
            return 0
        if self._path.exists():
            shutil.copymode(self._path, self._part)
        size = self._part.stat().st_size
        self._part.replace(self._path)
        self._part = None
        return size

    def close(self) -> None:
        """Take away what is not complete."""
        try:
            if self._file is not None:
                self._file.close()
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)
