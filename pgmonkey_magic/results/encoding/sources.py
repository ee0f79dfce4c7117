"""What is uploaded → its columns, which give their values piece by piece, so that the whole is never copied.

A pandas DataFrame, a polars DataFrame, an Arrow table, and whatever else hands out its columns by Arrow's PyCapsule
interface (`__arrow_c_stream__`). The index of a DataFrame is no column of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.encoding.arrow import compute as pc
from pgmonkey_magic.results.encoding.fields import Unfit
from pgmonkey_magic.results.encoding.kinds import Kind, ListOf, kind_of_objects, kind_of_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Piece = pa.Array | list[Any]
"""Values: an Arrow array where their kind is an Arrow type, else a list of objects in which None is missing."""
NAME_BYTES = 63
"""The longest name; the server would cut a longer one (NAMEDATALEN, source: PostgreSQL's documentation of names)."""

REFUSALS = (pa.ArrowException, UnicodeError, ValueError, TypeError, OverflowError)
"""What Arrow raises for a value that it does not take."""


class Column(Protocol):
    """One column: its name, the kind of its values, about how many bytes a value has; `sample` is one of its objects.

    `sample` is None where the values are no objects, or all missing.
    """

    name: str
    kind: Kind
    width: float
    sample: Any

    def piece(self, start: int, stop: int) -> Piece:
        """Return some of the values. Raises Unfit."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """All columns, the number of rows, and how a person calls a row (from 0)."""

    columns: tuple[Column, ...]
    rows: int
    called: Callable[[int], str]
    selected: Callable[[list[int]], pd.DataFrame]
    """Makes a DataFrame of some columns, by their positions."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def only(self, names: Sequence[str]) -> Source:
        """Return the columns of these names, in this order. Raises RequestError."""
        if missing := [name for name in names if name not in self.names]:
            known = ", ".join(map(repr, self.names))
            raise RequestError(f"the DataFrame has no column {missing[0]!r}, which COPY lists; it has {known}")
        return replace(self, columns=tuple(self.columns[self.names.index(name)] for name in names))

    def check_unique(self, key: Sequence[str]) -> None:
        """Check that each row has a key, and no two rows the same. Raises RequestError."""
        frame = self.selected([self.names.index(name) for name in key])
        if (missing := frame.isna().to_numpy()).any():
            row, column = (int(place[0]) for place in missing.nonzero())
            raise RequestError(
                f"the key column {key[column]!r} is missing in {self.called(row)}; no row is found by NULL"
            )
        try:
            again = frame.duplicated(keep=False)
        except TypeError as error:
            raise RequestError(f"the key ({', '.join(key)}) cannot be compared: {error}") from error
        if not again.any():
            return
        first = int(again.to_numpy().argmax())
        same = (frame == frame.iloc[first]).all(axis=1).to_numpy().nonzero()[0]
        raise RequestError(
            f"the key ({', '.join(key)}) is not unique in the DataFrame: {self.called(first)} and "
            f"{self.called(int(same[1]))} have the same; keep one, as with df.drop_duplicates({[*key]}, keep='last')"
        )


def source_of(frame: Any) -> Source:
    """Return the columns of a frame or table. Raises RequestError for what is none, and for names that cannot be."""
    if isinstance(frame, pd.DataFrame):
        names = _names(list(frame.columns))
        bare = frame.copy(deep=False)
        bare.attrs = {}  # each column would get a deep copy of them
        columns = [_pandas_column(name, bare.iloc[:, i].array) for i, name in enumerate(names)]
        return Source(tuple(columns), len(frame), lambda row: _called(frame.index, row), lambda i: frame.iloc[:, i])
    if isinstance(frame, pd.Series):
        raise RequestError("a Series is one column without a table; upload s.to_frame()")
    table = _table(frame)
    names = _names(table.column_names)
    found = [ArrowColumn(name, table.column(i)) for i, name in enumerate(names)]
    return Source(
        tuple(found), table.num_rows, lambda row: f"row {row} (from 0)", lambda i: table.select(i).to_pandas()
    )


def _table(frame: Any) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if hasattr(frame, "to_arrow") and hasattr(frame, "columns"):
        return frame.to_arrow()
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise RequestError(
        f"a {type(frame).__name__} is no table; upload a pandas or polars DataFrame or an Arrow table"
        + ("; collect() it first" if hasattr(frame, "collect") else "")
    )


def _names(given: Sequence[Any]) -> list[str]:
    names: list[str] = []
    for label in given:
        name = str(label)
        if isinstance(label, tuple):
            raise RequestError(f"the column {label!r} has a name of several levels; flatten the names first")
        if not name or "\0" in name:
            raise RequestError(f"{name!r} cannot be the name of a column; rename it")
        if len(encoded := name.encode("utf-8", "surrogatepass")) > NAME_BYTES:
            raise RequestError(f"the name of column {name!r} has {len(encoded)} bytes, and PostgreSQL takes at most 63")
        if name in names:
            raise RequestError(f"there are two columns {name!r}; rename one of them")
        names.append(name)
    if not names:
        raise RequestError("there is no column to upload; the index is none, df.reset_index() makes columns of it")
    return names


def _called(index: pd.Index, row: int) -> str:
    plain = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    return f"df.iloc[{row}]" if plain else f"df.iloc[{row}] (index {index[row]!r})"


def _pandas_column(name: str, values: Any) -> Column:
    if isinstance(values, pd.arrays.NumpyExtensionArray):
        values = values.to_numpy()
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories.dtype.kind == "O":
            return ObjectColumn(name, np.asarray(values, dtype=object))
    elif dtype.kind == "O" and isinstance(dtype, np.dtype):
        return ObjectColumn(name, values)
    elif isinstance(dtype, pd.PeriodDtype):
        raise RequestError(f"column {name!r} holds periods, for which PostgreSQL has no type; use .dt.to_timestamp()")
    elif isinstance(dtype, pd.IntervalDtype) or dtype.kind in "cV":
        raise RequestError(
            f"column {name!r} is {dtype}, for which PostgreSQL has no type; cast it, as with .astype(str)"
        )
    return PandasColumn(name, values)


class ArrowColumn:
    """A column of Arrow."""

    def __init__(self, name: str, values: pa.ChunkedArray) -> None:
        self.name = name
        self.kind = kind_of_type(values.type)
        self.sample = None
        self.width = values.nbytes / max(len(values), 1)
        self._values = values

    def piece(self, start: int, stop: int) -> Piece:
        """Return some of the values. Raises Unfit."""
        return given_as(self.kind, self._values.slice(start, stop - start))


class PandasColumn:
    """A column of numpy's, pandas' or Arrow's types."""

    def __init__(self, name: str, values: Any) -> None:
        self.name = name
        self.kind = kind_of_type(_arrow(values[:0]).type)
        self.sample = None
        self.width = values.nbytes / max(len(values), 1)
        self._values = values

    def piece(self, start: int, stop: int) -> Piece:
        """Return some of the values. Raises Unfit."""
        return given_as(self.kind, _arrow(self._values[start:stop]))


def _arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    """Return an Arrow array of pandas' values; NaN of numpy's floats is missing, as everywhere in pandas."""
    if isinstance(values.dtype, pd.SparseDtype):
        values = np.asarray(values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    return pa.array(values, from_pandas=True)


class ObjectColumn:
    """A column of Python objects."""

    width = 16.0

    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name = name
        self._values = values
        self._missing = pd.isna(values)
        for row in self._missing.nonzero()[0]:  # pandas takes Decimal("NaN") for missing; numeric has it as a value
            self._missing[row] = not isinstance(values[row], Decimal)
        given = values[~self._missing]
        self.kind = kind_of_objects(given)
        self.sample = next(iter(given), None)

    def piece(self, start: int, stop: int) -> Piece:
        """Return some of the values. Raises Unfit."""
        values = self._values[start:stop].copy()
        values[self._missing[start:stop]] = None
        return objects_as(self.kind, values.tolist())


def given_as(kind: Kind, values: pa.Array | pa.ChunkedArray) -> Piece:
    """Return Arrow's values as the kind of their column says."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # more than one array can hold
        array = pa.concat_arrays(array.chunks)
    if (kept := kept_as(kind)) is None:
        return array.to_pylist(maps_as_pydicts="strict")
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array if array.type == kept else pc.cast(array, kept)


def objects_as(kind: Kind, values: list[Any]) -> Piece:
    """Return objects as their kind says. Raises Unfit for one that Arrow does not take."""
    if (kept := kept_as(kind)) is None:
        return values
    try:
        return pa.array(values, kept)
    except REFUSALS:
        for row, value in enumerate(values):
            try:
                pa.array([value], kept)
            except REFUSALS as refused:
                raise Unfit(row, " ".join(str(refused).split())) from refused
        raise


def kept_as(kind: Kind) -> pa.DataType | None:
    """Return the Arrow type in which values of a kind are given; None for lists of objects."""
    if isinstance(kind, ListOf):
        element = kept_as(kind.element)
        return None if element is None else pa.large_list(element)
    return kind if isinstance(kind, pa.DataType) else None
