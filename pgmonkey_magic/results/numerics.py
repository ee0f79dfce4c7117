"""numeric → the float nearest to it.

On the wire a numeric is four 16-bit numbers (count of digits, weight of the first, sign, digits after the point to
show) and its digits in base 10000 (source: numeric_send in PostgreSQL's numeric.c):
value = ± Σ digit[i] × 10000^(weight - i).

An integer below 2^53 and a power of ten up to 10^22 are exact as float, so their quotient or product is rounded once
and is the nearest float (W. D. Clinger, "How to Read Floating Point Numbers Accurately"). What has more digits goes as
text through Arrow's parser, which rounds correctly too, and the few beyond any table through Python's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pgmonkey_magic.results.batch import Cells, Shape
from pgmonkey_magic.results.builders import Growing, Marks
from pgmonkey_magic.results.columns import NUMERIC, Column, from_values
from pgmonkey_magic.results.copy_format import DecodeError
from pgmonkey_magic.results.frame import odd_values

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = 10_000
HEAD = np.dtype([("count", ">i2"), ("weight", ">i2"), ("sign", ">u2"), ("scale", ">u2"), ("digits", ">i2", 4)])
BEFORE_DIGITS = 8
NEGATIVE, NAN, INFINITY, MINUS_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000
SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
POWERS = 10.0 ** np.arange(23)
"""All that are exact as float64."""
EXACT = 2**53
"""Every integer up to it is exact as float64."""
MOST_DIGITS = 24
"""As many base-10000 digits go through Arrow's parser; more go one by one."""
EXPONENTS = 400
"""Powers of ten beyond this are nothing or infinity as float64."""
_FOUR_CHARACTERS = np.frombuffer(b"".join(b"%04d" % i for i in range(BASE)), np.uint32)
_EDGE = 4 * (EXPONENTS + MOST_DIGITS)
_EXPONENT_TEXTS = np.array([b"e%+05d" % i for i in range(-_EDGE, _EDGE + 1)], "S6")
MOST_PADDING = 1000
"""As many zeros are written out; 1e131071 is ten bytes on the wire and shall not become 128 KiB."""


class Floats:
    """numeric as float64; where a value is too large for one, the column is of objects, and that value text."""

    shape = Shape(HEAD, fixed=False)

    def __init__(self) -> None:
        self.values = Growing(np.float64)
        self.nulls = Marks()
        self.beyond: dict[int, str] = {}

    def append(self, cells: Cells) -> None:
        """Take a batch. Raises DecodeError."""
        start = self.values.used
        room = self.values.room(len(cells))
        room[:] = floats(cells)
        self.nulls.append(cells.nulls, len(cells))
        if np.isinf(room).any():
            beyond = np.isinf(room) & (cells.head["sign"] <= NEGATIVE)
            texts = map(_text, _raws(only(cells, beyond)))
            self.beyond.update(zip((np.flatnonzero(beyond) + start).tolist(), texts, strict=True))

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        start = self.values.used
        for other in others:
            self.beyond |= {row + start: text for row, text in other.beyond.items()}
            start += other.values.used
        self.values.extend([other.values for other in others])
        self.nulls.extend([other.nulls for other in others])

    def column(self, name: str, notes: list[str]) -> Column:
        """Return the floats."""
        values, nulls = self.values.whole(), self.nulls.whole()
        if not self.beyond:
            return Column(values, nulls)
        notes += odd_values(name, 0, len(self.beyond))
        objects: list[Any] = values.tolist()
        for row in np.flatnonzero(nulls).tolist() if nulls is not None else ():
            objects[row] = None
        for row, text in self.beyond.items():
            objects[row] = text
        return from_values(NUMERIC, objects, name, notes)


def only(cells: Cells, rows: np.ndarray) -> Cells:
    """Return the cells of some rows, none of which is NULL."""
    rows = np.flatnonzero(rows)
    plain = cells.head.view(np.dtype((np.void, HEAD.itemsize)))  # numpy copies bytes without a meaning fastest
    return Cells(plain[rows].view(HEAD), None, cells.data, cells.starts[rows], cells.lengths[rows])


def floats(cells: Cells) -> np.ndarray:
    """Return the float nearest to each value, NaN for NULL. Raises DecodeError."""
    head, nulls = cells.head, cells.nulls
    count, weight, sign = head["count"].astype(np.int64), head["weight"].astype(np.int64), head["sign"].astype(np.int64)
    if nulls is not None:  # as if it were zero, which has no digits
        for part in (count, weight, sign):
            part[nulls] = 0
    check(cells, count, sign)
    if count.max(initial=0) > 4:
        long = count > 4
        values = np.empty(len(cells))
        values[long] = _parsed(only(cells, long))
        if not long.all():
            short = ~long
            values[short] = _short(only(cells, short), count[short], weight[short])
    else:
        values = _short(cells, count, weight)
    if sign.any():
        np.negative(values, where=(sign == NEGATIVE) & (values > 0), out=values)
        values[sign == NAN] = np.nan
        values[sign == INFINITY] = np.inf
        values[sign == MINUS_INFINITY] = -np.inf
    if nulls is not None:
        values[nulls] = np.nan
    return values


def check(cells: Cells, count: np.ndarray, sign: np.ndarray) -> None:
    """Check that each value is as long as its count of digits says and has a known sign. Raises DecodeError."""
    right = cells.lengths == BEFORE_DIGITS + 2 * count
    if cells.nulls is not None:
        right |= cells.nulls
    if not right.all() or count.min(initial=0) < 0:
        raise DecodeError("a numeric of the server's answer has another length than its digits")
    if sign.any():
        special = (sign != 0) & (sign != NEGATIVE)
        if special.any() and (count[special].any() or not np.isin(sign[special], list(SPECIAL)).all()):
            raise DecodeError("a numeric of the server's answer has an unknown sign")


def _short(cells: Cells, count: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the absolute values of numerics of at most four digits."""
    least, most = count.min(initial=4), count.max(initial=0)
    whole = np.zeros(len(cells), np.int64)
    for i in range(4):
        whole *= BASE
        if i >= most:
            continue
        digit = cells.head["digits"][:, i].astype(np.int64)
        if i >= least:
            digit *= count > i  # what follows a short value in the buffer is no digit of it
        if digit.min(initial=0) < 0 or digit.max(initial=0) >= BASE:
            raise DecodeError("a numeric of the server's answer has a digit beyond 9999")
        whole += digit
    values = whole.astype(np.float64)
    hard = values.astype(np.int64) != whole if whole.max(initial=0) > EXACT else None
    if weight.min(initial=0) >= -2 and weight.max(initial=0) <= 3:
        values /= POWERS[12 - 4 * weight]
    else:
        shift = 4 * (weight - 3)
        power = POWERS[np.minimum(np.abs(shift), 22)]
        values = np.where(shift < 0, values / power, values * power)
        far = (np.abs(shift) > 22) & (whole != 0)
        hard = far if hard is None else hard | far
    if hard is not None and hard.any():
        values[hard] = np.abs(_parsed(only(cells, hard)))
    return values


def _parsed(cells: Cells) -> np.ndarray:
    """Return the floats of longer values by way of text."""
    weight = cells.head["weight"].astype(np.int64)
    far = (np.abs(weight) > EXPONENTS) | (cells.head["count"] > MOST_DIGITS)
    if far.any():
        values = np.empty(len(cells))
        values[far] = [float(as_decimal(raw)) for raw in _raws(only(cells, far))]
        values[~far] = _parsed(only(cells, ~far)) if not far.all() else []
        return values
    return pc.cast(texts(cells), pa.float64()).to_numpy()


def texts(cells: Cells) -> pa.Array:
    """Return each value as text, such as `-000100235000e-0008`; no cell is NULL, special or beyond the tables."""
    count = cells.head["count"].astype(np.int64)
    width = int(count.max(initial=1))
    size = 2 * width
    everywhere = np.ndarray((len(cells.data) - size + 1,), np.dtype((np.void, size)), cells.data.data, 0, (1,))
    digits = everywhere[cells.starts + BEFORE_DIGITS].view(">i2").reshape(len(cells), width).astype(np.int64)
    digits *= np.arange(width) < count[:, None]  # what follows a shorter value in the buffer is no digit of it
    if digits.size and not (digits.min() >= 0 and digits.max() < BASE):
        raise DecodeError("a numeric of the server's answer has a digit beyond 9999")
    record = np.zeros(len(cells), np.dtype([("sign", "S1"), ("digits", np.uint32, (width,)), ("exponent", "S6")]))
    record["sign"] = np.where(cells.head["sign"] == NEGATIVE, b"-", b"0")
    record["digits"] = _FOUR_CHARACTERS[digits]
    weight = np.where(count > 0, cells.head["weight"], 0).astype(np.int64)
    exponent = (weight - (width - 1)) * 4
    record["exponent"] = _EXPONENT_TEXTS[exponent + _EDGE]
    offsets = np.arange(len(cells) + 1, dtype=np.int64) * record.dtype.itemsize
    return pa.LargeStringArray.from_buffers(len(cells), pa.py_buffer(offsets), pa.py_buffer(record.view(np.uint8)))


def _raws(cells: Cells) -> list[bytes]:
    return [
        cells.data[start : start + length].tobytes()
        for start, length in zip(cells.starts.tolist(), cells.lengths.tolist(), strict=True)
    ]


def _text(raw: bytes) -> str:
    value = as_decimal(raw)
    return f"{value:f}" if value.adjusted() <= MOST_PADDING else str(value)


def as_decimal(raw: bytes) -> Decimal:
    """Return the exact value, with its digits after the point. Raises DecodeError."""
    count, weight, sign, scale = np.frombuffer(raw[:BEFORE_DIGITS], ">u2").astype(np.uint16).view(np.int16).tolist()
    if (kind := sign & 0xFFFF) in SPECIAL:
        return Decimal(SPECIAL[kind])
    digits = np.frombuffer(raw[BEFORE_DIGITS:], ">i2")
    if len(digits) != count or (count and not (digits.min() >= 0 and digits.max() < BASE)):
        raise DecodeError("a numeric of the server's answer has a digit beyond 9999")
    text = "".join(f"{digit:04d}" for digit in digits.tolist()) or "0"
    exponent = 4 * (weight - count + 1) if count else -scale
    padding = exponent + scale  # trailing zeros are not on the wire, or more of them than are to be shown
    if padding < 0 or padding <= MOST_PADDING:
        text, exponent = (text + "0" * padding if padding >= 0 else text[:padding] or "0"), -scale
    return Decimal(f"{'-' if kind == NEGATIVE else ''}{text}e{exponent}")
