"""Columns of cells → the rows of COPY BINARY.

A row is the number of its fields, then for each field its length and its bytes; a NULL has the length -1 and no bytes
(source: PostgreSQL's documentation of COPY, "Binary Format"). Whatever has one width in all rows, lengths included,
becomes one record of numpy; between the records stand the columns whose width varies, as Arrow arrays; and Arrow joins
them row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pgmonkey_magic.results.encoding.arrow import compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = (1 << 30) - 1
"""Bytes of a value; the server's limit for one allocation."""
_NOTHING = pa.scalar(b"", pa.large_binary())


class Unfit(Exception):  # noqa: N818 - a finding; worded for people where the column is known
    """A value cannot be sent: which row of the piece, from 0, and why."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row
        self.why = why


@dataclass(frozen=True, slots=True)
class Fixed:
    """Cells of one width, none of them NULL: an array of the type on the wire, big-endian."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Varying:
    """Cells of any width; null is NULL."""

    values: pa.LargeBinaryArray


Cells = Fixed | Varying


def cells(values: np.ndarray, nulls: np.ndarray | None) -> Cells:
    """Return the cells of an array of the type on the wire; where *nulls* is true they are NULL."""
    if nulls is None:
        return Fixed(values)
    ends = np.cumsum(~nulls, dtype=np.int64) * values.dtype.itemsize
    offsets = np.concatenate((np.zeros(1, np.int64), ends))
    valid = pa.array(~nulls).buffers()[1]
    return Varying(_binary(offsets, np.ascontiguousarray(values[~nulls]), valid))


def bits(buffer: pa.Buffer, array: pa.Array) -> np.ndarray:
    """Return the bits of a buffer of *array* as bytes, 0 or 1."""
    first, end = array.offset, array.offset + len(array)
    packed_bits = np.frombuffer(buffer, np.uint8)[first // 8 : -(-end // 8)]
    return np.unpackbits(packed_bits, bitorder="little")[first % 8 : first % 8 + len(array)]


def nulls_of(array: pa.Array) -> np.ndarray | None:
    """Return where values are missing; None where none is."""
    return bits(array.buffers()[0], array) == 0 if array.null_count else None


def rows(columns: Sequence[Cells], count: int) -> memoryview:
    """Return *count* rows, as they follow the header of COPY BINARY. Raises Unfit for a value that is too large."""
    return held_bytes(joined_fields(columns, count, with_number=True)).data


def offsets_of(array: pa.LargeBinaryArray | pa.LargeStringArray) -> np.ndarray:
    """Return where each value begins in the array's data, and where the last ends."""
    if not len(array):
        return np.zeros(1, np.int64)  # its buffer may be empty
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]


def held_bytes(array: pa.LargeBinaryArray | pa.LargeStringArray) -> np.ndarray:
    """Return the bytes of all values, one behind the other, without copying them."""
    offsets = offsets_of(array)
    data = array.buffers()[2]
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data else np.zeros(0, np.uint8)


def joined_fields(columns: Sequence[Cells], count: int, *, with_number: bool) -> pa.LargeBinaryArray:
    """Return the fields of each row as one binary value, with the number of the fields before them or without."""
    parts: list[pa.LargeBinaryArray] = []
    record: list[tuple[np.dtype, np.ndarray | int]] = [(np.dtype(">i2"), len(columns))] if with_number else []
    for column in columns:
        if isinstance(column, Fixed):
            record += [(np.dtype(">i4"), column.values.dtype.itemsize), (column.values.dtype, column.values)]
        else:
            parts += [_records([*record, (np.dtype(">i4"), _lengths(column.values))], count), column.values]
            record = []
    if record or not parts:
        parts.append(_records(record, count))
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, _NOTHING, null_handling="replace", null_replacement="")


def _lengths(values: pa.LargeBinaryArray) -> np.ndarray:
    lengths = np.diff(offsets_of(values))
    if (nulls := nulls_of(values)) is not None:
        lengths[nulls] = -1
    if len(lengths) and lengths.max() > LARGEST:
        row = int(lengths.argmax())
        raise Unfit(row, f"its value has {lengths[row]:,} bytes, and PostgreSQL takes at most 1 GB")
    return lengths


def _records(fields: Sequence[tuple[np.dtype, np.ndarray | int]], count: int) -> pa.LargeBinaryArray:
    dtype = np.dtype([(f"f{i}", kind) for i, (kind, _) in enumerate(fields)])
    records = np.empty(count, dtype)
    for i, (_, values) in enumerate(fields):
        records[f"f{i}"] = values
    return _binary(np.arange(count + 1, dtype=np.int64) * dtype.itemsize, records)


def _binary(offsets: np.ndarray, data: np.ndarray, valid: pa.Buffer | None = None) -> pa.LargeBinaryArray:
    flat = data.view(np.uint8).reshape(-1) if data.size else np.zeros(0, np.uint8)
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(flat)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def packed(offsets: np.ndarray, data: pa.Buffer, nulls: np.ndarray | None) -> pa.LargeBinaryArray:
    """Return the slices of *data* that *offsets* (int64) mark as binary values."""
    valid = None if nulls is None else pa.array(~nulls).buffers()[1]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [valid, pa.py_buffer(np.ascontiguousarray(offsets)), data]
    )
