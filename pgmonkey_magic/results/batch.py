"""Rows of COPY BINARY → the cells of one column, over all rows at once.

A row is a 16-bit count of its fields, then for each field a 32-bit length and so many bytes; a length of -1 is NULL,
and all numbers are big-endian (PostgreSQL's documentation, COPY, "Binary Format"). The next cell of every row is found
by the lengths of those before it, so a batch is read from left to right.

numpy's fancy indexing costs nearly the same for 4 bytes of each row as for 100. So one look takes the next cells of
every row as if none of them were NULL; the first column with a NULL in it ends what that look has shown. Where all
columns have a fixed size and nothing is NULL, every row looks the same but for its values: one comparison shows it, and
nothing has to be taken.

No length is trusted: numpy checks each position, and every cell is checked to end where its row allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pgmonkey_magic.results.copy_format import PADDING, DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK = len(PADDING)
"""The most bytes of a row that one look takes, because it may reach past the last of them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the values of a column lie on the wire.

    `head` is the big-endian dtype of the first bytes of a value that a look is to take; `fixed` tells that a value has
    exactly these bytes.
    """

    head: np.dtype
    fixed: bool


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of a batch.

    `head` has one item for each row, of the shape's dtype; at a NULL it holds bytes that mean nothing. `nulls` marks
    the NULLs and is None where there are none. `starts` and `lengths` (0 for NULL) lead to the whole values in `data`;
    they are empty for a fixed shape.
    """

    head: np.ndarray
    nulls: np.ndarray | None
    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.head)


NOWHERE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Even:
    """A row without a NULL: its dtype, its bytes, and which of them are the same in every such row (255, else 0)."""

    dtype: np.dtype
    row: np.ndarray
    marks: np.ndarray


class Layout:
    """The shapes of the columns, and in which of them a NULL was seen, so that the next batch is looked at better."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)
        self._nullable = [False] * len(shapes)
        self._looks: dict[int, np.dtype] = {}

    @cached_property
    def even(self) -> Even | None:
        """Return how a row without a NULL looks, None where that differs from row to row."""
        if not all(shape.fixed for shape in self.shapes):
            return None
        dtype = self._dtype(0, len(self.shapes))
        row = np.zeros((), dtype)
        marks = np.zeros((), dtype)
        row["count"], marks["count"] = len(self.shapes), -1
        for column, shape in enumerate(self.shapes):
            row[f"n{column}"], marks[f"n{column}"] = shape.head.itemsize, -1
        return Even(dtype, np.frombuffer(row.tobytes(), np.uint8), np.frombuffer(marks.tobytes(), np.uint8))

    def look(self, first: int) -> np.dtype:
        """Return what one look from column *first* on takes: a dtype with fields `n5` (length) and `v5` (head) each.

        The first look of all has the row's `count` before them.
        It ends with the first column of no fixed size, or of which NULLs are known: what follows lies elsewhere in each
        row.
        """
        if first not in self._looks:
            self._looks[first] = self._dtype(first, self._end(first))
        return self._looks[first]

    def saw_null(self, column: int) -> None:
        """Remember it."""
        if not self._nullable[column]:
            self._nullable[column] = True
            self._looks.clear()

    def _end(self, first: int) -> int:
        """Return the column after the last that one look from *first* on takes."""
        size = 2
        for column in range(first, len(self.shapes)):
            shape = self.shapes[column]
            size += 4 + shape.head.itemsize
            if size > LOOK:
                return column
            if not shape.fixed or self._nullable[column]:
                return column + 1
        return len(self.shapes)

    def _dtype(self, first: int, end: int) -> np.dtype:
        return _look_dtype(first, tuple(shape.head for shape in self.shapes[first:end]))


@lru_cache(maxsize=256)
def _look_dtype(first: int, heads: tuple[np.dtype, ...]) -> np.dtype:
    names: list[str] = [] if first else ["count"]
    formats: list[Any] = [] if first else [">i2"]
    for column, head in enumerate(heads, first):
        names += (f"n{column}", f"v{column}")
        formats += (">i4", head)
    return np.dtype({"names": names, "formats": formats})


class Batch:
    """Whole rows, read column by column.

    *buffer* holds the rows and at least PADDING behind them, *sizes* the bytes of each row. Raises DecodeError here or
    in `columns` for whatever is not the layout's cells in each row, well formed.
    """

    def __init__(self, buffer: bytes | memoryview, sizes: Sequence[int] | np.ndarray) -> None:
        self._data = np.frombuffer(buffer, np.uint8)
        lengths = np.asarray(sizes, dtype=np.int64)
        self.rows = len(lengths)
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        smallest = lengths.min() if self.rows else 2
        if smallest < 2 or (self.rows and self._ends[-1] > len(self._data) - LOOK):
            raise DecodeError("a row of the server's answer is cut off")
        self._step = int(smallest) if self.rows and smallest == lengths.max() else 0

    def columns(self, layout: Layout) -> list[Cells]:
        """Return the cells of all columns."""
        if not self.rows:
            return [Cells(np.empty(0, shape.head), None, self._data, NOWHERE, NOWHERE) for shape in layout.shapes]
        if layout.even is not None and (cells := self._even(layout.even)) is not None:
            return cells
        found: list[Cells] = []
        at = self._starts
        while len(found) < len(layout.shapes):
            at = self._look(at, layout, found)
        if not (at == self._ends).all():
            raise DecodeError("a row of the server's answer does not end with its last cell")
        return found

    def _even(self, even: Even) -> list[Cells] | None:
        """Return the cells where every row is such a row."""
        if self._step != even.dtype.itemsize:
            return None
        rows = self._data[: self.rows * self._step].reshape(self.rows, self._step)
        if not ((rows & even.marks) == even.row).all():
            return None
        seen = self._data[: self.rows * self._step].view(even.dtype)
        heads = (seen[name] for name in even.dtype.names or () if name.startswith("v"))
        return [Cells(head, None, self._data, NOWHERE, NOWHERE) for head in heads]

    def _look(self, at: np.ndarray, layout: Layout, found: list[Cells]) -> np.ndarray:
        """Add the columns that one look shows to *found*; return where the next cell of each row begins."""
        first = len(found)
        dtype = layout.look(first)
        seen = self._take(at, dtype)
        if not first and not (seen["count"] == len(layout.shapes)).all():
            raise DecodeError(f"a row of the server's answer has not the {len(layout.shapes)} columns announced")
        for column in range(first, first + len(dtype.names or ()) // 2):
            shape = layout.shapes[column]
            lengths, head = seen[f"n{column}"], seen[f"v{column}"]
            offset = dtype.fields[f"v{column}"][1]  # type: ignore[index] - it has fields
            if not shape.fixed:
                found.append(self._variable(head, at + offset, lengths))
                at = found[-1].starts + found[-1].lengths
                if found[-1].nulls is not None:
                    layout.saw_null(column)
                return at
            nulls = _nulls(lengths, shape.head.itemsize)
            found.append(Cells(head, nulls, self._data, NOWHERE, NOWHERE))
            if nulls is not None:
                layout.saw_null(column)
                self._step = 0
                return at + (offset + shape.head.itemsize) - nulls * np.int64(shape.head.itemsize)
        return at + dtype.itemsize

    def _variable(self, head: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> Cells:
        self._step = 0
        lengths = lengths.astype(np.int64)
        nulls = None
        if lengths.min() < 0:
            nulls = lengths == -1
            lengths[nulls] = 0
        if lengths.min() < 0 or (starts + lengths > self._ends).any():
            raise DecodeError("a cell of the server's answer does not end inside its row")
        return Cells(head, nulls, self._data, starts, lengths)

    def _take(self, at: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the item of *dtype* at each position; positions need no alignment."""
        if self._step:  # all rows have one size, and what stands before *at* too: no copy is needed
            last = int(at[-1]) + dtype.itemsize
            if last <= len(self._data):
                return np.ndarray((self.rows,), dtype, self._data.data, int(at[0]), (self._step,))
        # numpy copies bytes without a meaning fastest
        plain = np.dtype((np.void, dtype.itemsize)) if dtype.fields else dtype
        everywhere = np.ndarray((len(self._data) - dtype.itemsize + 1,), plain, self._data.data, 0, (1,))
        try:
            return everywhere[at].view(dtype)
        except IndexError:
            raise DecodeError("a cell of the server's answer begins beyond its row") from None


def _nulls(lengths: np.ndarray, size: int) -> np.ndarray | None:
    """Return which cells of a column of *size* bytes are NULL, None where none is."""
    full = lengths == size
    if full.all():
        return None
    nulls = lengths == -1
    if not (full | nulls).all():
        raise DecodeError(f"a cell of the server's answer has not the {size} bytes of its type")
    return nulls
