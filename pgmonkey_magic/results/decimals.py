"""numeric → Arrow decimals of one width, exactly; `--decimals exact`.

The width is the column's where it was declared, as numeric(p, s), so that all parts of a result have the same. The
values are kept as they came until the widest is known, because NaN has no place in any decimal.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgmonkey_magic.results.batch import Cells, Shape
from pgmonkey_magic.results.columns import UNFIT_DECIMAL, Column, decimal_type
from pgmonkey_magic.results.copy_format import PADDING
from pgmonkey_magic.results.numerics import EXPONENTS, HEAD, MOST_DIGITS, NEGATIVE, as_decimal, check, texts
from pgmonkey_magic.results.texts import Bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE = 1 << 16
"""So many values are made decimals at once."""


class Decimals:
    """numeric as an Arrow decimal that holds every value exactly, else as objects of Decimal."""

    shape = Shape(np.dtype("u1"), fixed=False)

    def __init__(self, declared: pa.DataType | None = None) -> None:
        self.raw = Bytes()
        self._declared = declared

    def append(self, cells: Cells) -> None:
        """Take a batch."""
        self.raw.append(cells)

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        self.raw.extend([other.raw for other in others])

    def column(self, name: str, notes: list[str]) -> Column:
        """Return the decimals. Raises DecodeError."""
        raws = self.raw.array(pa.large_binary())
        pieces = [raws.slice(start, PIECE) for start in range(0, len(raws), PIECE)]
        if (kind := _type(pieces, self._declared)) is not None:
            with contextlib.suppress(pa.ArrowInvalid):
                return Column(pa.chunked_array([_cast(piece, kind) for piece in pieces], kind))
        notes.append(UNFIT_DECIMAL.format(name))
        return Column([None if raw is None else as_decimal(raw) for raw in raws.to_pylist()])


def _type(pieces: list[pa.Array], declared: pa.DataType | None) -> pa.DataType | None:
    """Return the decimal for all values (see columns.decimal_type), None where there is none. Raises DecodeError."""
    scale = before = 0
    for cells in map(_unpicked, pieces):
        head = cells.head
        count = head["count"].astype(np.int64)
        check(cells, count, head["sign"])
        if (head["sign"] > NEGATIVE).any() or count.max(initial=0) > MOST_DIGITS:
            return None
        scale = max(scale, int(head["scale"].max(initial=0)))
        first = np.where(count > 0, head["digits"][:, 0], 0)
        digits = (head["weight"].astype(np.int64) * 4 + np.searchsorted((1, 10, 100, 1000), first, "right"))[count > 0]
        before = max(before, int(digits.max(initial=0)))
        if digits.min(initial=0) < -4 * EXPONENTS:
            return None
    return decimal_type(scale, before, declared)


def _unpicked(piece: pa.Array) -> Cells:
    """Return the cells of a piece that are not NULL, with their heads."""
    packed = pa.concat_arrays([piece.drop_null()])  # without the rest of the buffer
    offsets = np.frombuffer(packed.buffers()[1], np.int64)[packed.offset : packed.offset + len(packed) + 1]
    data = np.frombuffer(b"".join((packed.buffers()[2] or b"", PADDING)), np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    everywhere = np.ndarray((len(data) - HEAD.itemsize + 1,), np.dtype((np.void, HEAD.itemsize)), data.data, 0, (1,))
    return Cells(everywhere[starts].view(HEAD), None, data, starts, lengths)


def _cast(piece: pa.Array, kind: pa.DataType) -> pa.Array:
    present = pc.cast(texts(_unpicked(piece)), kind)
    if not piece.null_count:
        return present
    valid = np.asarray(piece.is_valid())
    places = np.cumsum(valid) - 1
    return present.take(pa.array(places, mask=~valid))
