"""Integers, floats, booleans and numerics as they are on the wire, big-endian.

numeric is a count of digits in base 10000, the weight of the first, the sign and the scale that is shown, each two
bytes, then the digits (source: numeric_recv in PostgreSQL's numeric.c, which strips leading and trailing zeros; so all
values of a piece may have the same number of digits, and are one array).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pgmonkey_magic.results.encoding.arrow import compute as pc
from pgmonkey_magic.results.encoding.fields import Cells, Unfit, bits, cells, nulls_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[[Any], Cells]

BASE = 10_000
NEGATIVE = 0x4000


def plain(array: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values, 0 for the missing ones, and where those are; None where there are none."""
    nulls = nulls_of(array)
    if pa.types.is_boolean(array.type):
        return bits(array.buffers()[1], array), nulls
    values = np.ndarray(
        len(array), array.type.to_pandas_dtype(), array.buffers()[1], array.offset * array.type.byte_width
    )
    if nulls is not None:
        values = values.copy()
        values[nulls] = 0
    return values, nulls


def refuse(bad: np.ndarray, nulls: np.ndarray | None, why: Callable[[int], str]) -> None:
    """Raise Unfit for the first row where *bad* is true and nothing is missing."""
    if nulls is not None:
        bad &= ~nulls
    if bad.any():
        row = int(bad.argmax())
        raise Unfit(row, why(row))


def integers(wire: str, name: str) -> Encode:
    """Return the encoder into an integer type, for integers and for floats that are whole."""
    dtype = np.dtype(wire)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max

    def encode(array: pa.Array) -> Cells:
        values, nulls = plain(array)
        if values.dtype.kind == "f":
            refuse(
                values != np.floor(values),
                nulls,
                lambda row: f"{values[row]} is no whole number, and it goes into {name}",
            )
            # Beyond 2**53 the limit itself is no float; below it, "<" is exact.
            refuse(
                (values < low) | (values >= float(high) + 1),
                nulls,
                lambda row: f"{values[row]} is out of range for {name}",
            )
        elif not np.can_cast(values.dtype, dtype):
            refuse((values < low) | (values > high), nulls, lambda row: f"{values[row]} is out of range for {name}")
        return cells(values.astype(dtype), nulls)

    return encode


def floats(wire: str, name: str) -> Encode:
    """Return the encoder into a float type; a value is rounded to its nearest, as in an assignment in SQL."""
    dtype = np.dtype(wire)

    def encode(array: pa.Array) -> Cells:
        values, nulls = plain(array)
        with np.errstate(over="ignore"):
            sent = values.astype(dtype)
        if values.dtype.itemsize > dtype.itemsize:
            lost = np.isinf(sent) & np.isfinite(values)
            refuse(lost, nulls, lambda row: f"{values[row]} is out of range for {name}")
        return cells(sent, nulls)

    return encode


def booleans(array: pa.Array) -> Cells:
    """Encode booleans."""
    values, nulls = plain(array)
    return cells(values, nulls)


def whole_numerics(array: pa.Array) -> Cells:
    """Encode integers into numeric."""
    values, nulls = plain(array)
    negative = values < 0
    # -v is ~v + 1, also for the smallest, whose negative no integer of 64 bits holds.
    limbs = [np.where(negative, ~values, values).astype(np.uint64) + negative]
    return cells(_numerics(limbs, negative, 0), nulls)


def decimals(array: pa.Array) -> Cells:
    """Encode Arrow's decimals, whose values are integers of 128 or 256 bits times a power of ten."""
    kind = array.type
    if kind.scale < 0:
        array = pc.cast(array, pa.decimal256(76, 0))
        kind = array.type
    words = kind.bit_width // 64
    raw = np.frombuffer(array.buffers()[1], np.int64)[array.offset * words : (array.offset + len(array)) * words]
    raw = raw.reshape(len(array), words).copy()
    nulls = nulls_of(array)
    if nulls is not None:
        raw[nulls] = 0
    negative = raw[:, -1] < 0
    halves = raw.view(np.uint32).reshape(len(array), 2 * words)
    limbs = [halves[:, i].astype(np.uint64) for i in range(2 * words)]
    _negate(limbs, negative)
    small = all(not limb.any() for limb in limbs[2:])
    if small:
        limbs = [limbs[0] | (limbs[1] << np.uint64(32))]
    return cells(_numerics(limbs, negative, kind.scale), nulls)


def _negate(limbs: list[np.ndarray], where: np.ndarray) -> None:
    """Make the absolute value of a two's complement number in limbs of 32 bits, lowest first."""
    if not where.any():
        return
    carry = where.astype(np.uint64)
    mask = np.where(where, np.uint64(0xFFFFFFFF), np.uint64(0))
    for i, limb in enumerate(limbs):
        total = (limb ^ mask) + carry
        limbs[i], carry = total & np.uint64(0xFFFFFFFF), total >> np.uint64(32)


def _numerics(limbs: list[np.ndarray], negative: np.ndarray, scale: int) -> np.ndarray:
    """Return numerics of absolute values in limbs (lowest first; of 32 bits, or one of 64), times 10**-scale."""
    groups: list[np.ndarray] = []  # digits of base 10000, the lowest first
    if odd := scale % 4:
        groups.append(_divide(limbs, 10**odd) * np.uint64(10 ** (4 - odd)))
    after = -(-scale // 4)
    while len(groups) < after or any(limb.any() for limb in limbs):
        groups.append(_divide(limbs, BASE))
    count = len(groups)
    values = np.empty(
        len(negative),
        [("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">u2"), ("digits", ">i2", (count,))],
    )
    values["count"], values["weight"], values["scale"] = count, count - after - 1, scale
    values["sign"] = np.where(negative, NEGATIVE, 0)
    for i, group in enumerate(reversed(groups)):
        values["digits"][:, i] = group
    return values


def _divide(limbs: list[np.ndarray], by: int) -> np.ndarray:
    """Divide in place and return the remainder."""
    divisor = np.uint64(by)
    rest = np.zeros(len(limbs[0]), np.uint64)
    for i in reversed(range(len(limbs))):
        whole = (rest << np.uint64(32)) | limbs[i]
        limbs[i] = whole // divisor
        rest = whole - limbs[i] * divisor
    return rest
