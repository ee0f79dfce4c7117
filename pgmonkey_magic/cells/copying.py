"""The other end of COPY: a file, a file object or a DataFrame that the rows come from or go to."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import sql as quoting

from pgmonkey_magic.cells.binding import adapted
from pgmonkey_magic.cells.ways import Exchange, Part, Way, ask, part, statement
from pgmonkey_magic.cells.whole_file import WholeFile
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import CopyRefused, copy_text
from pgmonkey_magic.sql import copy_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.results import Parameters

PIECE = 256 * 1024
"""Bytes (or characters) read at once."""


@dataclass(frozen=True)
class CopyIn(Way):
    """The rows of COPY … FROM STDIN. `source` is a path, an object with `read`, or a DataFrame."""

    source: Any
    option: ClassVar[str] = "--copy-from"

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Send the rows. A DataFrame's columns go to the table's columns of the same names."""
        if hasattr(self.source, "columns") and (copy := copy_from(command.text)) is not None:
            if copy.options:
                raise RequestError(f"a DataFrame is sent in COPY's text format; leave out {copy.options!r}")
            frame, text = self.source, command.text
            if copy.columns is None:
                names = _quoted(frame.columns).as_string(exchange.conn)
                command = command.replaced(f"{text[: copy.names_end]} ({names}) {text[copy.names_end :]}")
            else:
                frame = _chosen(frame, copy.columns)
            pieces = copy_text(frame, exchange.conn, adapted)
        else:
            pieces = _read(self.source, exchange.conn.info.encoding)
        answer = yield from ask(exchange, command, parameters, _Feed(exchange, pieces))
        return part(answer, tuple(statement(exchange.conn, result) for result in answer.results))


@dataclass(frozen=True)
class CopyOut(Way):
    """The rows of COPY … TO STDOUT. `target` is a path or an object with `write`."""

    target: Any
    option: ClassVar[str] = "--copy-to"

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Take the rows. Raises RequestError where the file cannot be written."""
        try:
            sink = _Sink(exchange, self.target)
            try:
                answer = yield from ask(exchange, command, parameters, sink)
                sink.complete()
            finally:
                sink.close()
        except OSError as error:
            raise RequestError(f"--copy-to {self.target}: {error.strerror or error}") from error
        return part(answer, tuple(statement(exchange.conn, result) for result in answer.results))


class _Feed:
    """Gives the rows once: a second COPY of the cell finds none."""

    def __init__(self, exchange: Exchange, pieces: Iterator[bytes]) -> None:
        self._exchange = exchange
        self._pieces = pieces

    def data(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._exchange.progress.advance(len(piece))
            yield piece

    def take(self, _data: bytes) -> None:
        raise CopyRefused


class _Sink:
    """Takes rows; opens its file with the first, so that a statement that fails at once leaves no trace."""

    def __init__(self, exchange: Exchange, target: Any) -> None:
        self._exchange = exchange
        self._target = target
        self._encoding = exchange.conn.info.encoding
        self._write: Callable[[bytes], object] | None = None
        self._file: WholeFile | None = None

    def data(self) -> Iterator[bytes]:
        raise CopyRefused

    def take(self, data: bytes) -> None:
        if self._write is None:
            self._write = self._opened()
        self._exchange.progress.advance(len(data), 1)
        self._write(data)

    def complete(self) -> None:
        """Let the file take its name. COPY of no row makes an empty file."""
        if self._write is None:
            self._write = self._opened()
        if self._file is not None:
            self._file.complete()

    def close(self) -> None:
        """Take away what is not complete."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> Callable[[bytes], object]:
        if hasattr(self._target, "write"):
            target = self._target
            if isinstance(target, io.TextIOBase):
                return lambda data: target.write(data.decode(self._encoding))
            return target.write
        self._file = WholeFile(self._target)
        return self._file.open().write


def _read(source: Any, encoding: str) -> Iterator[bytes]:
    try:
        if hasattr(source, "read"):
            yield from _read_object(source, encoding)
        else:
            with Path(source).expanduser().open("rb") as file:
                yield from _read_object(file, encoding)
    except OSError as error:
        raise RequestError(f"--copy-from {source}: {error.strerror or error}") from error


def _read_object(file: Any, encoding: str) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece.encode(encoding) if isinstance(piece, str) else bytes(piece)


def _chosen(frame: Any, columns: tuple[str, ...]) -> Any:
    if missing := [name for name in columns if name not in frame.columns]:
        raise RequestError(
            f"the DataFrame has no column {missing[0]!r}, which COPY lists; it has "
            f"{', '.join(map(repr, frame.columns))}"
        )
    return frame[list(columns)]


def _quoted(names: Any) -> quoting.Composed:
    return quoting.SQL(", ").join([quoting.Identifier(str(name)) for name in names])
