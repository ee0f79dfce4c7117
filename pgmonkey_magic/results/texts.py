"""Columns of bytes: text as Arrow strings, and values that psycopg's loaders read one by one.

Arrow can take the cells out of a batch without a look at each from Python: every second item of an array whose offsets
are start, end, start, end, … over the batch is a cell, what lies between are the gaps.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgmonkey_magic.results.batch import Shape
from pgmonkey_magic.results.builders import Growing, Marks
from pgmonkey_magic.results.columns import Column, texts_or_objects
from pgmonkey_magic.results.copy_format import DecodeError
from pgmonkey_magic.results.frame import REFUSALS, load_one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgmonkey_magic.results.batch import Cells

ANY = Shape(np.dtype("u1"), fixed=False)


def packed(cells: Cells) -> np.ndarray:
    """Return the bytes of all values, one after the other."""
    count = len(cells)
    if not count:
        return np.empty(0, np.uint8)
    offsets = np.empty(2 * count + 1, np.int64)
    offsets[0:-1:2] = cells.starts
    np.add(cells.starts, cells.lengths, out=offsets[1::2])
    offsets[-1] = offsets[-2]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(cells.data)]
    spread = pa.Array.from_buffers(pa.large_binary(), 2 * count, buffers)
    # The indices cannot be out of bounds, and the cells were checked to lie in their rows.
    taken = pc.take(spread, pa.array(np.arange(0, 2 * count, 2)), boundscheck=False)
    return np.frombuffer(taken.buffers()[2] or b"", np.uint8)


class Bytes:
    """Byte strings that are kept one after the other, with their ends and NULLs: Arrow's layout."""

    def __init__(self) -> None:
        self.content = Growing(np.uint8)
        self.ends = Growing(np.int64)
        self.nulls = Marks()

    def append(self, cells: Cells) -> np.ndarray:
        """Take the cells of a batch; return their content."""
        content = packed(cells)
        start = self.content.used
        self.content.room(len(content))[:] = content
        ends = self.ends.room(len(cells))
        np.cumsum(cells.lengths, out=ends)
        ends += start
        self.nulls.append(cells.nulls, len(cells))
        return content

    def extend(self, others: Sequence[Bytes]) -> None:
        """Take what others hold."""
        start = self.content.used
        for other in others:
            self.ends.room(other.ends.used)[:] = other.ends.whole() + start
            start += other.content.used
        self.content.extend([other.content for other in others])
        self.nulls.extend([other.nulls for other in others])

    def array(self, kind: pa.DataType) -> pa.Array:
        """Return the whole as Arrow's large_string or large_binary."""
        count = self.ends.used
        offsets = np.concatenate((np.zeros(1, np.int64), self.ends.whole()))
        nulls = self.nulls.whole()
        valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
        return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(offsets), pa.py_buffer(self.content.whole())])


class Texts:
    """Text in UTF-8."""

    shape = ANY

    def __init__(self) -> None:
        self.raw = Bytes()
        self.others: list[Bytes] = []

    def append(self, cells: Cells) -> None:
        """Take a batch. Raises DecodeError for what is not UTF-8."""
        content = self.raw.append(cells)
        if len(content) and content.max() >= 0x80:
            _check_utf8(content, cells.lengths)

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold; it stays where it is, as chunks of Arrow's. Nothing is appended afterwards."""
        for other in others:
            self.others += [other.raw, *other.others]

    def column(self, name: str, notes: list[str]) -> Column:  # noqa: ARG002 - all text fits
        """Return the strings."""
        return Column(pa.chunked_array([each.array(pa.large_string()) for each in (self.raw, *self.others)]))


def _check_utf8(content: np.ndarray, lengths: np.ndarray) -> None:
    """Check the content as a whole, and that no string begins in the midst of a character."""
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    whole = pa.py_buffer(np.array((0, len(content)), np.int64))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, whole, pa.py_buffer(content)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DecodeError("a text of the server's answer is not UTF-8") from error
    if ((content[starts] & 0xC0) == 0x80).any():
        raise DecodeError("a text of the server's answer is not UTF-8")


class Loaded:
    """Values of the type *oid* that *load* makes one by one; where it refuses, *text* of the bytes stands instead.

    *size* is how many bytes each has, None where they differ.
    """

    shape = ANY

    def __init__(
        self, oid: int, load: Callable[[bytes], Any], text: Callable[[bytes], str], size: int | None = None
    ) -> None:
        self._oid = oid
        self._load = load
        self._text = text
        self._size = size
        self.raw = Bytes()

    def append(self, cells: Cells) -> None:
        """Take a batch; the values are made later, when the connection has gone back. Raises DecodeError."""
        if self._size is not None:
            right = cells.lengths == self._size
            if not (right if cells.nulls is None else right | cells.nulls).all():
                raise DecodeError(f"a cell of the server's answer has not the {self._size} bytes of its type")
        self.raw.append(cells)

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        self.raw.extend([other.raw for other in others])

    def column(self, name: str, notes: list[str]) -> Column:
        """Return the values as objects, or as text where all are."""
        return texts_or_objects(self._oid, self.values(name, notes))

    def values(self, name: str, notes: list[str]) -> list[Any]:
        """Return the values, None for NULL. Raises DecodeError."""
        raws = self.raw.array(pa.large_binary()).to_pylist()
        load = self._load
        try:
            with contextlib.suppress(*REFUSALS):
                return [None if raw is None else load(raw) for raw in raws]
            return load_one_by_one(raws, load, self._text, name, notes)
        except Exception as error:
            # psycopg's loaders take the bytes as well formed; an IndexError is one way to say that they are not.
            raise DecodeError(f"column {name}: the server's answer is no value of its type") from error
