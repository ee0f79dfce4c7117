"""Columns that grow while the rows arrive: numbers, booleans, and values that are kept as bytes.

A builder takes one column's cells of batch after batch and writes them, in the machine's byte order, where they stay:
nothing is put together at the end. `column` gives the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from pgmonkey_magic.results.batch import Shape
from pgmonkey_magic.results.columns import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from pgmonkey_magic.results.batch import Cells


class Builder(Protocol):
    """One column in the making."""

    shape: Shape

    def append(self, cells: Cells) -> None:
        """Take the cells of one more batch. Raises DecodeError."""
        ...

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others of its kind have taken, one after the other."""
        ...

    def column(self, name: str, notes: list[str]) -> Column:
        """Return the whole column; *notes* gets what must be said about it. Nothing is appended afterwards."""
        ...


GENEROUS = 64 << 20
"""Bytes up to which an array grows fourfold, so that little is copied; above it doubles."""

LARGE_PAGES = 4 << 20
"""Bytes from which on numpy asks for large pages."""


class Growing:
    """An array that becomes longer at its end.

    It moves into fresh memory with room to spare, which costs nothing before it is written to, and gives the rest back
    at the end. numpy asks for large pages there, which the kernel hands out several times faster than the small ones
    behind a realloc.
    """

    def __init__(self, dtype: DTypeLike) -> None:
        self._array = np.empty(0, dtype)
        self.used = 0

    def room(self, rows: int) -> np.ndarray:
        """Return the next *rows* items, to be written; they are valid until the next call."""
        start, self.used = self.used, self.used + rows
        if self.used > len(self._array):
            larger = np.empty(max(self.used, self._generous()), self._array.dtype)
            larger[:start] = self._array[:start]
            self._array = larger
        return self._array[start : self.used]

    def extend(self, others: Sequence[Growing]) -> None:
        """Take what others hold, in one step."""
        self._array = np.concatenate([self.whole(), *(other.whole() for other in others)])
        self.used = len(self._array)

    def _generous(self) -> int:
        size = self._array.nbytes * (4 if self._array.nbytes < GENEROUS else 2)
        return (max(size, LARGE_PAGES) if size > LARGE_PAGES // 4 else size) // self._array.itemsize

    def whole(self) -> np.ndarray:
        """Return what was written."""
        if self.used < len(self._array):
            self._array.resize(self.used, refcheck=False)
        return self._array


class Marks:
    """Which rows are NULL: nothing as long as none is."""

    def __init__(self) -> None:
        self._marks: Growing | None = None
        self.rows = 0

    def append(self, nulls: np.ndarray | None, rows: int) -> None:
        """Take the marks of *rows* more rows; None where none is NULL."""
        if nulls is not None and self._marks is None:
            self._marks = Growing(np.bool_)
            self._marks.room(self.rows)[:] = False
        self.rows += rows
        if self._marks is not None:
            self._marks.room(rows)[:] = False if nulls is None else nulls

    def extend(self, others: Sequence[Marks]) -> None:
        """Take what others hold."""
        for other in others:
            self.append(other.whole(), other.rows)

    def whole(self) -> np.ndarray | None:
        """Return the marks, None where no row is NULL."""
        return None if self._marks is None else self._marks.whole()


class Numbers:
    """smallint, integer, bigint, oid, real, double precision: `wire` is its dtype there, big-endian."""

    def __init__(self, wire: str) -> None:
        self.shape = Shape(np.dtype(wire), fixed=True)
        self.values = Growing(self.shape.head.newbyteorder("="))
        self.nulls = Marks()
        self._filler = np.nan if self.shape.head.kind == "f" else 0

    def append(self, cells: Cells) -> None:
        """Take a batch."""
        room = self.values.room(len(cells))
        room[:] = cells.head
        if cells.nulls is not None:
            room[cells.nulls] = self._filler
        self.nulls.append(cells.nulls, len(cells))

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        self.values.extend([other.values for other in others])
        self.nulls.extend([other.nulls for other in others])

    def column(self, name: str, notes: list[str]) -> Column:  # noqa: ARG002 - every number fits
        """Return the numbers."""
        return Column(self.values.whole(), self.nulls.whole())


class Booleans:
    """boolean: one byte, 0 or 1."""

    def __init__(self) -> None:
        self.shape = Shape(np.dtype("u1"), fixed=True)
        self.values = Growing(np.bool_)
        self.nulls = Marks()

    def append(self, cells: Cells) -> None:
        """Take a batch."""
        room = self.values.room(len(cells))
        np.not_equal(cells.head, 0, out=room)
        if cells.nulls is not None:
            room[cells.nulls] = False
        self.nulls.append(cells.nulls, len(cells))

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        self.values.extend([other.values for other in others])
        self.nulls.extend([other.nulls for other in others])

    def column(self, name: str, notes: list[str]) -> Column:  # noqa: ARG002 - every boolean fits
        """Return the booleans."""
        return Column(self.values.whole(), self.nulls.whole())
