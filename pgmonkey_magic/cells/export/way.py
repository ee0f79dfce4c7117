"""The way of an export: one query, one file, one line that says what is in it.

The file is complete before the cell commits: rows that `DELETE … RETURNING` takes out of a table are in the file, or
still in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from pgmonkey_magic.cells.export.csv import Csv, Gzipped
from pgmonkey_magic.cells.export.query import Query, Written, described
from pgmonkey_magic.cells.ways import Exchange, Part, Statement, Way
from pgmonkey_magic.cells.whole_file import WholeFile
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.results import Parameters

TAB = "\t"


class Format(Protocol):
    """How rows are written."""

    def write(self, query: Query, target: BufferedIOBase) -> PQGen[Written]:
        """Run the query and write its rows to *target*."""
        ...


def _parquet(decimals: str) -> Format:
    from pgmonkey_magic.cells.export.parquet import Parquet  # noqa: PLC0415 - loading must not wait for Arrow

    return Parquet(Output(kind="arrow", decimals=decimals))


_FORMATS: dict[str, Callable[[str], Format]] = {
    ".csv": lambda _: Csv(),
    ".csv.gz": lambda _: Gzipped(Csv()),
    ".tsv": lambda _: Csv(TAB),
    ".tsv.gz": lambda _: Gzipped(Csv(TAB)),
    ".parquet": _parquet,
}
ENDINGS = tuple(_FORMATS)


@dataclass(frozen=True)
class Export(Way):
    """The rows of one query go into the file at `path`, whose ending says the format.

    In Parquet numeric is `exact`, or the `float` nearest to it.
    """

    path: Path
    decimals: str = "exact"
    option: ClassVar[str] = "export"
    blocks: ClassVar[bool] = True

    @classmethod
    def to(cls, path: str, decimals: str | None) -> Self:
        """Read what was typed. Raises RequestError for a file of no known kind."""
        if _ending(Path(path)) is None:
            raise RequestError(f"export {path}: the ending says how to write it; it is one of {', '.join(ENDINGS)}")
        Output(decimals=decimals or "exact")
        if decimals is not None and _ending(Path(path)) != ".parquet":
            raise RequestError("--decimals is for Parquet; CSV has the server's own digits")
        return cls(Path(path).expanduser().absolute(), decimals or "exact")

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Write the file. Raises RequestError for a statement without rows, or a file that cannot be written."""
        file = WholeFile(self.path)
        try:
            try:
                target = file.open()
                query = yield from described(exchange, command, parameters)
                written = yield from _FORMATS[_ending(self.path) or ""](self.decimals).write(query, target)
                size = file.complete()
            finally:
                file.close()
        except OSError as error:
            raise RequestError(f"export {self.path}: {self._reason(error)}") from error
        rows = f"{written.rows:,} row{'s' if written.rows != 1 else ''}"
        tag = f"export {rows} · {_size(size)} → {self.path.name}"
        return Part((Statement(tag, written.rows, None, written.lines),), written.execute_s, written.fetch_s)

    def _reason(self, error: OSError) -> str:
        if not self.path.parent.is_dir():
            return f"there is no directory {self.path.parent}"
        if isinstance(error, IsADirectoryError):
            return "this is a directory; name a file"
        return error.strerror or str(error)


def _ending(path: Path) -> str | None:
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)


def _size(nbytes: int) -> str:
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= limit:
            return f"{nbytes / limit:,.1f} {unit}"
    return f"{nbytes} bytes"
