"""The columns of a result → what `--as` names: a pandas or polars DataFrame, an Arrow table, dicts, one value.

Arrow and polars get Arrow's own types, and JSON as the server's text. What Arrow has no type for is there the text that
Python makes of the value, and a note says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from pgmonkey_magic.results.columns import Column
    from pgmonkey_magic.results.frame import Header
    from pgmonkey_magic.results.output import Output


def contain(header: Header, columns: Sequence[Column], notes: list[str], rows: int, output: Output) -> Any:
    """Return the columns in the container that is wanted; *notes* gets what must be said about them.

    Raises RequestError where a single value is wanted and there is not exactly one.
    """
    if output.kind == "df":
        arrays = {name: column.array(output) for name, column in zip(header.names, columns, strict=True)}
        return pd.DataFrame(arrays, index=pd.RangeIndex(rows), copy=False)
    return _OTHERS[output.kind](header, columns, notes, rows)


def arrow_table(header: Header, columns: Sequence[Column], notes: list[str], rows: int) -> pa.Table:
    """Return an Arrow table."""
    if not columns:
        # Only a batch knows how many rows it has without a column.
        return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))])
    arrays = [_arrow_array(column, name, notes) for name, column in zip(header.names, columns, strict=True)]
    return pa.table(arrays, names=list(header.names))


def _polars(header: Header, columns: Sequence[Column], notes: list[str], rows: int) -> Any:
    import polars as pl  # noqa: PLC0415 - optional # pyright: ignore[reportMissingImports]

    table = arrow_table(header, columns, notes, rows)
    for i, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):  # uuid, of which polars would keep the bytes
            values = [None if value is None else str(value) for value in table.column(i).to_pylist()]
            table = table.set_column(i, field.name, pa.array(values, pa.large_string()))
    return pl.DataFrame(table)


def _dicts(header: Header, columns: Sequence[Column], _notes: list[str], rows: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(rows)]
    values = [python_values(column) for column in columns]
    return [dict(zip(header.names, row, strict=True)) for row in zip(*values, strict=True)]


def _scalar(header: Header, columns: Sequence[Column], _notes: list[str], rows: int) -> Any:
    if rows != 1 or len(columns) != 1:
        raise RequestError(
            f"--as scalar is for one value; the query has returned {rows:,} row{'s' if rows != 1 else ''} of "
            f"{len(header.names)} column{'s' if len(columns) != 1 else ''}"
        )
    return python_values(columns[0])[0]


_OTHERS: dict[str, Callable[[Header, Sequence[Column], list[str], int], Any]] = {
    "arrow": arrow_table,
    "polars": _polars,
    "dicts": _dicts,
    "scalar": _scalar,
}


def _arrow_array(column: Column, name: str, notes: list[str]) -> pa.Array | pa.ChunkedArray:
    if not isinstance(column.values, list):
        return column.arrow()
    try:
        array = column.arrow()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = None
    if array is None or pa.types.is_struct(array.type):
        notes.append(f"column {name}: text, because Arrow has no type for it")
        return pa.array([None if value is None else str(value) for value in column.values], pa.large_string())
    is_text = pa.types.is_null(array.type) or pa.types.is_string(array.type)
    return array.cast(pa.large_string()) if is_text else array


def python_values(column: Column) -> list[Any]:
    """Return the values as psycopg's loaders would give them, NULL as None.

    A date or timestamp beyond the years of Python, 1 to 9999, is text.
    """
    values = column.values
    if isinstance(values, list):
        return values
    if not isinstance(values, np.ndarray):
        return values.to_pylist()
    if values.dtype.kind in "mM":
        return _moments(values, column.zone)
    objects = values.tolist()
    if column.nulls is not None:
        for row in np.flatnonzero(column.nulls):
            objects[row] = None
    return objects


def _moments(values: np.ndarray, zone: tzinfo | None) -> list[Any]:
    if values.dtype == "datetime64[s]":
        values = values.astype("datetime64[D]")
    objects = values.astype(object).tolist()
    return [
        str(values[row]) if type(value) is int else _zoned(value, zone) if zone is not None and value else value
        for row, value in enumerate(objects)
    ]


def _zoned(value: datetime, zone: tzinfo) -> datetime:
    aware = value.replace(tzinfo=UTC)
    try:
        return aware.astimezone(zone)
    except OverflowError:  # its local time is beyond the year 9999
        return aware
