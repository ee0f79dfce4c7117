"""The values of one column → a pandas Series of the type that loses nothing.

Integers never pass through float, a boolean with NULLs stays boolean, a time keeps its zone. OIDs are those of
PostgreSQL's pg_type.dat; they are fixed for built-in types.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTEGERS = {21: "int16", 23: "int32", 20: "int64", 26: "uint32"}
"""smallint, integer, bigint, oid."""
FLOATS = {700: "float32", 701: "float64", 1700: "float64"}
"""real, double precision, numeric."""
BOOLEAN, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 16, 1082, 1114, 1184, 1186

_PLAIN_INTERVAL = re.compile(r"(?:(-?\d+) days? ?)?(?:(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?")
"""IntervalStyle postgres without months and years."""


def build(oid: int, values: Sequence[Any], name: str, notes: list[str]) -> pd.Series:
    """Return the column; what could not be given its usual type is an object column, and *notes* says why."""
    builder = _BUILDERS.get(oid, _text_or_objects)
    try:
        return builder(values)
    except (ValueError, TypeError, OverflowError):
        if builder is not _intervals:
            notes.append(f"column {name}: kept as objects, a value does not fit its usual type")
        else:
            notes.append(f"column {name}: kept as the server's text, a month has no fixed length")
        return _objects(values)


def _objects(values: Sequence[Any]) -> pd.Series:
    # Filled one by one: numpy would take a column of lists for a table.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object)


def _text_or_objects(values: Sequence[Any]) -> pd.Series:
    if all(value is None or type(value) is str for value in values):
        return pd.Series(values, dtype="str")
    return _objects(values)


def _integers(dtype: str) -> Callable[[Sequence[Any]], pd.Series]:
    nullable = dtype.replace("u", "U").replace("i", "I", 1)  # int16 → Int16, uint32 → UInt32

    def build_integers(values: Sequence[Any]) -> pd.Series:
        if None not in values:
            return pd.Series(np.array(values, dtype=dtype))
        # A mask beside int values: pandas' own constructor would take a column with None through float.
        mask = np.array([value is None for value in values], dtype=bool)
        filled = np.array([0 if value is None else value for value in values], dtype=dtype)
        array: Any = pd.arrays.IntegerArray(filled, mask)
        return pd.Series(array, dtype=nullable)

    return build_integers


def _floats(dtype: str) -> Callable[[Sequence[Any]], pd.Series]:
    def build_floats(values: Sequence[Any]) -> pd.Series:
        return pd.Series(np.array(values, dtype=dtype))

    return build_floats


def _booleans(values: Sequence[Any]) -> pd.Series:
    return pd.Series(values, dtype="boolean" if None in values else "bool")


def _datetimes(unit: str) -> Callable[[Sequence[Any]], pd.Series]:
    def build_datetimes(values: Sequence[Any]) -> pd.Series:
        _refuse_text(values)
        return pd.Series(np.array(values, dtype=f"datetime64[{unit}]"))

    return build_datetimes


def _zoned(values: Sequence[Any]) -> pd.Series:
    _refuse_text(values)
    zone = next((value.tzinfo for value in values if value is not None), None)
    moments = pd.to_datetime(pd.Series(values, dtype=object), utc=True).dt.as_unit("us")
    return moments.dt.tz_convert(zone) if zone is not None else moments


def _intervals(values: Sequence[Any]) -> pd.Series:
    return pd.Series(np.array([None if v is None else _timedelta(v) for v in values], dtype="timedelta64[us]"))


def _timedelta(text: str) -> timedelta:
    match = _PLAIN_INTERVAL.fullmatch(text)
    if not match or not text:
        raise ValueError(text)
    days, sign, hours, minutes, seconds, fraction = match.groups()
    time = timedelta(
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "").ljust(6, "0") or 0),
    )
    return timedelta(days=int(days or 0)) + (-time if sign else time)


def _refuse_text(values: Sequence[Any]) -> None:
    # numpy and pandas would parse the server's text for a value beyond their range, and get it wrong.
    if any(type(value) is str for value in values):
        raise ValueError


_BUILDERS: dict[int, Callable[[Sequence[Any]], pd.Series]] = {
    **{oid: _integers(dtype) for oid, dtype in INTEGERS.items()},
    **{oid: _floats(dtype) for oid, dtype in FLOATS.items()},
    BOOLEAN: _booleans,
    DATE: _datetimes("s"),
    TIMESTAMP: _datetimes("us"),
    TIMESTAMPTZ: _zoned,
    INTERVAL: _intervals,
}
