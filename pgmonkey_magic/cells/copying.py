"""The other end of COPY: a file, a file object or a DataFrame that the rows come from or go to."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pgmonkey_magic.cells.destination import TableName
from pgmonkey_magic.cells.uploading import Upload, copied
from pgmonkey_magic.cells.ways import Exchange, Part, Way, ask, part, statement
from pgmonkey_magic.cells.whole_file import WholeFile
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import CopyRefused
from pgmonkey_magic.sql import copy_from, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.results import Parameters
    from pgmonkey_magic.sql import CopyFrom

PIECE = 256 * 1024
"""Bytes (or characters) read at once."""


@dataclass(frozen=True)
class CopyIn(Way):
    """The rows of COPY … FROM STDIN. `source` is a path, an object with `read`, or a DataFrame."""

    source: Any
    option: ClassVar[str] = "--copy-from"
    blocks: ClassVar[bool] = True

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Send the rows. A DataFrame's columns go to the table's columns of the same names, as in an upload."""
        if hasattr(self.source, "columns") and (copy := copy_from(command.text)) is not None:
            return (yield from copied(exchange, self._upload(command.text, copy), command))
        pieces = _read(self.source, exchange.conn.info.encoding)
        answer = yield from ask(exchange, command, parameters, _Feed(exchange, pieces))
        return part(answer, tuple(statement(exchange.conn, result) for result in answer.results))

    def _upload(self, text: str, copy: CopyFrom) -> Upload:
        from pgmonkey_magic.results.encoding import source_of  # noqa: PLC0415 - loading must not wait for Arrow

        if copy.options:
            raise RequestError(f"how a DataFrame is sent depends on its table's types; leave out {copy.options!r}")
        word = next(token for token in tokens(text) if not token.is_blank)
        source = source_of(self.source)
        if copy.columns is not None:
            source = source.only(copy.columns)
        return Upload(source, TableName.read(text[word.end : copy.names_end]), "append")


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
