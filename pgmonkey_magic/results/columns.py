"""The values of one column → an array for pandas, of the type that loses nothing.

Both ways from the server end here: the ordinary one with Python values (`from_values`), the fast one with arrays.
Either makes a Column, and a Column makes the pandas array, so that both give the same dtype for the same type.

Integers never pass through float, a boolean with NULLs stays boolean, a time keeps its zone. OIDs are those of
PostgreSQL's pg_type.dat; they are fixed for built-in types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pgmonkey_magic.results.output import DEFAULT, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

INTEGERS = {21: "int16", 23: "int32", 20: "int64", 26: "uint32"}
"""smallint, integer, bigint, oid."""
NUMERIC = 1700
FLOATS = {700: "float32", 701: "float64", NUMERIC: "float64"}
"""real, double precision, numeric."""
BOOLEAN, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 16, 1082, 1114, 1184, 1186

_PLAIN_INTERVAL = re.compile(r"(?:(-?\d+) days? ?)?(?:([-+]?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?")
"""IntervalStyle postgres without months and years."""
TEXT = pd.StringDtype(storage="pyarrow", na_value=np.nan)
"""pandas' `str`."""
DIGITS = 76
"""The most that an Arrow decimal has."""
NAT = np.iinfo(np.int64).min
"""NaT, in the integers of datetime64 and timedelta64."""


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one column, not yet of any dtype of pandas.

    An array of numbers or booleans, with `nulls` where there are NULLs among them; an array of datetime64 or
    timedelta64, whose NULLs are NaT; an Arrow array of text or decimals; or a list of objects, in which NULL is None.
    `zone` is that of a timestamptz, whose array holds UTC.
    """

    values: np.ndarray | pa.ChunkedArray | list[Any]
    nulls: np.ndarray | None = None
    zone: tzinfo | None = None

    def array(self, output: Output = DEFAULT) -> Any:  # noqa: PLR0911 - one for each kind
        """Return what a DataFrame takes as a column as it is: numpy's or pandas' array of the dtype that is wanted."""
        match self.values:
            case list():
                return _objects(self.values, output)
            case pa.ChunkedArray():
                return _arrow(self.values, output)
            case _ if output.dtypes == "pyarrow":
                return pd.arrays.ArrowExtensionArray(self.arrow())
            case _ if self.zone is not None:
                zoned = pd.DatetimeTZDtype("us", self.zone)
                return pd.array(self.values.view(np.int64), dtype=zoned, copy=False)
            case _ if self.nulls is None:
                return self.values
            case _ if output.dtypes == "numpy":
                return _numpy_with_nulls(self.values, self.nulls)
        return _masked(self.values, self.nulls)

    def series(self, output: Output = DEFAULT) -> pd.Series:
        """Return the same as a Series."""
        return pd.Series(self.array(output), copy=False)

    def arrow(self) -> pa.Array | pa.ChunkedArray:
        """Return the Arrow array of the values. Raises what Arrow raises for objects that it has no type for."""
        if not isinstance(self.values, np.ndarray):
            return pa.array(self.values) if isinstance(self.values, list) else self.values
        if self.zone is not None:
            return pa.array(self.values).cast(pa.timestamp("us", tz=str(self.zone)))
        is_date = self.values.dtype == "datetime64[s]"
        return pa.array(self.values.astype("datetime64[D]") if is_date else self.values, mask=self.nulls)


def _masked(values: np.ndarray, nulls: np.ndarray) -> Any:
    match values.dtype.kind:
        case "b":
            return pd.arrays.BooleanArray(values, nulls)
        case "f":
            values[nulls] = np.nan
            return values
        case _:
            return pd.arrays.IntegerArray(values, nulls)


def _numpy_with_nulls(values: np.ndarray, nulls: np.ndarray) -> Any:
    if values.dtype.kind == "b":
        objects = values.astype(object)
        objects[nulls] = None
        return objects
    floats = values.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    floats[nulls] = np.nan
    return floats


def _arrow(values: pa.ChunkedArray, output: Output) -> Any:
    if output.dtypes == "numpy":
        return _plain_objects(values.to_pylist())
    if output.dtypes == "pyarrow" or pa.types.is_decimal(values.type):
        return pd.arrays.ArrowExtensionArray(values)
    return TEXT.__from_arrow__(values)


def _objects(values: list[Any], output: Output) -> Any:
    if output.dtypes == "pyarrow":
        try:
            array = pa.array(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return _plain_objects(values)  # mixed types, UUID, ranges: Arrow has no type for them
        if not pa.types.is_null(array.type) and not pa.types.is_struct(array.type):
            return pd.arrays.ArrowExtensionArray(array)
    return _plain_objects(values)


def _plain_objects(values: Sequence[Any]) -> pd.Series:
    # Filled as a whole: numpy would take a column of lists for a table. A Series, because of an array with nothing but
    # text in it a DataFrame makes `str`.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array, dtype=object, copy=False)


def from_values(oid: int, values: Sequence[Any], name: str, notes: list[str], zone: tzinfo | None = None) -> Column:
    """Return the column of the Python values that psycopg's loaders gave, in which NULL is None.

    What could not be given its usual type is a column of objects, and *notes* says why.
    """
    builder = _BUILDERS.get(oid)
    if builder is None:
        return texts_or_objects(oid, values)
    try:
        return _zoned(values, zone) if builder is _zoned else builder(values)
    except (ValueError, TypeError, OverflowError):
        if oid == INTERVAL:
            notes.append(f"column {name}: kept as the server's text, a month has no fixed length")
        else:
            notes.append(f"column {name}: kept as objects, a value does not fit its usual type")
        return Column(list(values))


def decimal_type(scale: int, before: int, declared: pa.DataType | None = None) -> pa.DataType | None:
    """Return the Arrow decimal for so many digits after the point and before it; None for too many.

    It is the one that the column was *declared* to be, where they fit into that, else the narrowest.
    """
    if declared is not None and scale <= declared.scale and before <= declared.precision - declared.scale:
        return declared
    precision = max(scale + before, 1)
    if precision > DIGITS:
        return None
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def declared_decimal(modifier: int) -> pa.DataType | None:
    """Return the Arrow decimal of a numeric(p, s) by its type's modifier; None for a bare numeric, or too many digits.

    The modifier is 4 more than p and the 11 bits of s, which may be negative or beyond p (source: make_numeric_typmod
    in PostgreSQL's numeric.c).
    """
    if modifier < 4:
        return None
    precision, scale = (modifier - 4) >> 16, (((modifier - 4) & 0x7FF) ^ 0x400) - 0x400
    return decimal_type(max(scale, 0), max(precision - scale, 0))


def decimals(
    values: Sequence[Decimal | None], name: str, notes: list[str], declared: pa.DataType | None = None
) -> Column:
    """Return numeric values exactly: an Arrow decimal that holds all of them (see decimal_type), else objects."""
    scale = before = 0
    for value in values:
        if value is None:
            continue
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):  # NaN, Infinity
            scale = DIGITS + 1
            break
        scale = max(scale, -exponent)
        before = max(before, len(digits) + exponent if value else 0)
    kind = decimal_type(scale, before, declared)
    if kind is not None:
        return Column(pa.chunked_array([pa.array(values, kind)]))
    notes.append(UNFIT_DECIMAL.format(name))
    return Column(list(values))


UNFIT_DECIMAL = "column {}: kept as objects, a numeric of it does not fit an Arrow decimal"
NEVER_TEXT = frozenset({17, 114, 3802, 650, 869, 1083, 1266, 2950})
"""bytea, json, jsonb, cidr, inet, time, timetz, uuid: objects also where all values are NULL, or JSON strings."""


def texts_or_objects(oid: int, values: Sequence[Any]) -> Column:
    """Return text where every value is text, but for the types whose values are only text by chance."""
    if oid not in NEVER_TEXT and all(value is None or type(value) is str for value in values):
        return Column(pa.chunked_array([pa.array(values, pa.large_string())]))
    return Column(list(values))


def _numbers(dtype: str, filler: float) -> Callable[[Sequence[Any]], Column]:
    def build_numbers(values: Sequence[Any]) -> Column:
        _refuse_text(values)
        if None not in values:
            return Column(np.array(values, dtype=dtype))
        # A mask beside the values: pandas' own constructor would take integers with None through float.
        nulls = np.array([value is None for value in values], dtype=bool)
        return Column(np.array([filler if value is None else value for value in values], dtype=dtype), nulls)

    return build_numbers


def _reals(values: Sequence[Any]) -> Column:
    """Return the column of real.

    The server's digits, read as a double, may lie halfway between two reals, where rounding takes the even one.
    """
    column = _numbers("float32", float("nan"))(values)
    doubles = np.array([0.0 if value is None else value for value in values])
    for row in np.flatnonzero(doubles.view(np.int64) & 0x1FFF_FFFF == 0x1000_0000).tolist():
        column.values[row] = pa.scalar(repr(values[row])).cast(pa.float32()).as_py()  # type: ignore[index]
    return column


def _datetimes(unit: str) -> Callable[[Sequence[Any]], Column]:
    def build_datetimes(values: Sequence[Any]) -> Column:
        _refuse_text(values)
        return Column(np.array(values, dtype=f"datetime64[{unit}]"))

    return build_datetimes


def _zoned(values: Sequence[Any], zone: tzinfo | None = None) -> Column:
    _refuse_text(values)
    zone = zone or next((value.tzinfo for value in values if value is not None), UTC)
    # Subtracted by numpy, whose years do not end at 9999 as Python's do.
    local = np.array([None if value is None else value.replace(tzinfo=None) for value in values], "datetime64[us]")
    offsets = np.array([None if value is None else value.utcoffset() for value in values], "timedelta64[us]")
    return Column(local - offsets, zone=zone)


def _intervals(values: Sequence[Any]) -> Column:
    return Column(np.array([None if v is None else _timedelta(v) for v in values], dtype="timedelta64[us]"))


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
    return timedelta(days=int(days or 0)) + (-time if sign == "-" else time)


def _refuse_text(values: Sequence[Any]) -> None:
    # numpy would parse the server's text for a value beyond its range, and get it wrong.
    if any(type(value) is str for value in values):
        raise ValueError


_BUILDERS: dict[int, Callable[..., Column]] = {
    **{oid: _numbers(dtype, 0) for oid, dtype in INTEGERS.items()},
    **{oid: _numbers(dtype, float("nan")) for oid, dtype in FLOATS.items()},
    700: _reals,
    BOOLEAN: _numbers("bool", False),
    DATE: _datetimes("s"),
    TIMESTAMP: _datetimes("us"),
    TIMESTAMPTZ: _zoned,
    INTERVAL: _intervals,
}
