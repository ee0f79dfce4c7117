"""Dates, timestamps, times and intervals as they are on the wire: days and microseconds, counted from 2000-01-01.

Source: PostgreSQL's datatype/timestamp.h, for the epoch and for the ranges.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pgmonkey_magic.results.encoding.fields import Cells, cells
from pgmonkey_magic.results.encoding.numbers import plain, refuse

DAY = 86_400_000_000
"""Microseconds."""
EPOCH_DAYS = 10_957
"""From 1970-01-01, Arrow's epoch, to 2000-01-01, PostgreSQL's."""
FIRST_DAY, LAST_DAY = -2_451_545, 2_145_031_948
"""4714-11-24 BC and 5874897-12-31."""
FIRST, END = -211_813_488_000_000_000, 9_223_371_331_200_000_000
"""4714-11-24 00:00 BC and 294277-01-01 00:00."""
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
INTERVAL = np.dtype([("time", ">i8"), ("days", ">i4"), ("months", ">i4")])


def timestamps(array: pa.Array) -> Cells:
    """Encode Arrow's timestamps and dates into timestamp or timestamptz."""
    values, nulls = _microseconds(array)
    return cells((values - EPOCH_DAYS * DAY).astype(">i8"), nulls)


def dates(array: pa.Array) -> Cells:
    """Encode Arrow's dates, and timestamps at midnight, into date."""
    if pa.types.is_date32(array.type):
        values, nulls = plain(array.view(pa.int32()))
        days = values.astype(np.int64) - EPOCH_DAYS
    else:
        microseconds, nulls = _microseconds(array)
        refuse(microseconds % DAY != 0, nulls, lambda row: f"{array[row]} has a time of day, and it goes into date")
        days = microseconds // DAY - EPOCH_DAYS
    refuse((days < FIRST_DAY) | (days > LAST_DAY), nulls, lambda row: f"{array[row]} is out of range for date")
    return cells(days.astype(">i4"), nulls)


def times(array: pa.Array) -> Cells:
    """Encode Arrow's times into time."""
    values, nulls = plain(array.view(pa.int32() if pa.types.is_time32(array.type) else pa.int64()))
    return cells(_scaled(values.astype(np.int64), array, nulls).astype(">i8"), nulls)


def intervals(array: pa.Array) -> Cells:
    """Encode Arrow's durations into interval: days and what is left of one, never months."""
    values, nulls = plain(array.view(pa.int64()))
    days, rest = _whole_days(values, PER_SECOND[array.type.unit] * 86_400)
    refuse(np.abs(days) >= 2**31, nulls, lambda row: f"{array[row]} is out of range for interval")
    sent = np.zeros(len(values), INTERVAL)
    sent["time"], sent["days"] = _scaled(rest, array, nulls), days
    return cells(sent, nulls)


def _whole_days(values: np.ndarray, day: int) -> tuple[np.ndarray, np.ndarray]:
    """Split towards zero: minus one hour is no minus one day and 23 hours."""
    days = values // day
    days += (days < 0) & (values != days * day)
    return days, values - days * day


def _microseconds(array: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    """Return microseconds since 1970 that PostgreSQL's timestamps reach."""
    kind = array.type
    if pa.types.is_date32(kind):
        days, nulls = plain(array.view(pa.int32()))
        values, unit = days.astype(np.int64), DAY
    else:
        values, nulls = plain(array.view(pa.int64()))
        unit = 1_000_000 // PER_SECOND["ms" if pa.types.is_date64(kind) else kind.unit]
    first, end = FIRST + EPOCH_DAYS * DAY, END + EPOCH_DAYS * DAY
    if unit:
        outside = (values < -(-first // unit)) | (values >= min(end // unit, np.iinfo(np.int64).max))
        refuse(outside, nulls, lambda row: f"{_shown(array, row)} is out of range for a timestamp")
    return _scaled(values, array, nulls), nulls


def _scaled(values: np.ndarray, array: pa.Array, nulls: np.ndarray | None) -> np.ndarray:
    """Return microseconds. What is finer is not cut off but refused."""
    kind = array.type
    if pa.types.is_date32(kind):
        return values * DAY
    per_second = PER_SECOND["ms" if pa.types.is_date64(kind) else kind.unit]
    if per_second <= 1_000_000:
        return values * (1_000_000 // per_second)
    refuse(
        values % 1_000 != 0,
        nulls,
        lambda row: (
            f'{array[row]} is finer than a microsecond, which is all that PostgreSQL keeps; use .dt.floor("us")'
        ),
    )
    return values // 1_000


def _shown(array: pa.Array, row: int) -> str:
    try:
        return str(array[row])
    except (ValueError, OverflowError):
        return f"{array[row].value} {array.type}"
