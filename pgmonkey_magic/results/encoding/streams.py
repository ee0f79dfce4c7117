"""A source → the data of COPY FROM STDIN, in pieces of about a MiB, so that memory stays bounded.

Binary where every column has an encoder into its target; otherwise all of it is text, which the server reads as it
reads literals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.copy_format import SIGNATURE, TRAILER
from pgmonkey_magic.results.encoding import fields, plain
from pgmonkey_magic.results.encoding.fields import Unfit
from pgmonkey_magic.results.encoding.targets import Session, TargetType, encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pgmonkey_magic.results.encoding.sources import Column, Source

PIECE_BYTES = 1 << 20
FIRST_BYTES = PIECE_BYTES // 4
"""Pieces grow, so that the server has something to do soon."""
MOST_ROWS = 1 << 16
FIELD_BYTES = 4
"""The length before each field."""


class Stream:
    """The rows of a source, for a COPY into columns of these types in the source's order.

    `options` are those of the COPY. Raises RequestError where a column cannot go into its target.
    """

    def __init__(self, source: Source, targets: Sequence[TargetType], session: Session) -> None:
        self._source = source
        pairs = list(zip(source.columns, targets, strict=True))
        found = [encoder(column, target, session) for column, target in pairs]
        encoders = [encode for encode in found if encode is not None]
        self.is_binary = len(encoders) == len(found)
        self._join: Callable[[list[Any], int], memoryview] = fields.rows if self.is_binary else plain.rows
        if not self.is_binary:
            encoders = [plain.writer(column.kind, target, session) for column, target in pairs]
        self._encoders = encoders

    @property
    def options(self) -> str:
        """What stands behind FROM STDIN."""
        return "(FORMAT binary)" if self.is_binary else "(FORMAT text)"

    def pieces(self) -> Iterator[tuple[bytes | memoryview, int]]:
        """Yield the data with the number of rows in them.

        Raises RequestError, which names column and row, for a value that cannot be sent.
        """
        width = sum(column.width + FIELD_BYTES for column in self._source.columns)
        if self.is_binary:
            yield SIGNATURE + bytes(8), 0
        start, size = 0, FIRST_BYTES
        while start < self._source.rows:
            stop = min(start + int(min(max(size / width, 1), MOST_ROWS)), self._source.rows)
            yield from self._between(start, stop)
            start, size = stop, min(2 * size, PIECE_BYTES)
        if self.is_binary:
            yield TRAILER, 0

    def _between(self, start: int, stop: int) -> Iterator[tuple[bytes | memoryview, int]]:
        given = [self._guarded(column, start, column.piece, start, stop) for column in self._source.columns]
        size = sum(piece.nbytes for piece in given if isinstance(piece, pa.Array))
        if size > 4 * PIECE_BYTES and stop - start > 1:  # larger values than elsewhere
            middle = (start + stop) // 2
            del given
            yield from self._between(start, middle)
            yield from self._between(middle, stop)
            return
        columns = zip(self._source.columns, self._encoders, given, strict=True)
        sent = [self._guarded(column, start, encode, piece) for column, encode, piece in columns]
        try:
            yield self._join(sent, stop - start), stop - start
        except Unfit as unfit:
            raise RequestError(f"{self._source.called(start + unfit.row)}: {unfit.why}") from unfit

    def _guarded(self, column: Column, start: int, work: Callable[..., Any], *args: Any) -> Any:
        try:
            return work(*args)
        except Unfit as unfit:
            called = self._source.called(start + unfit.row)
            raise RequestError(f"column {column.name!r}, {called}: {unfit.why}") from unfit
