"""The type that a column gets in a table that is made for it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pyarrow as pa
from psycopg.adapt import PyFormat

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.encoding.kinds import BYTES, TEXT, Kind, ListOf, Mixture

if TYPE_CHECKING:
    from psycopg.abc import Transformer

    from pgmonkey_magic.results.encoding.sources import Column, Source

DIGITS = 1000
"""Most that numeric(p, s) may declare."""
_OF_ARROW: dict[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "integer",
    pa.uint32(): "bigint",
    pa.uint64(): "numeric(20)",
    pa.float32(): "real",
    pa.float64(): "double precision",
    TEXT: "text",
    BYTES: "bytea",
    pa.date32(): "date",
    pa.date64(): "date",
    pa.null(): "text",
}
_OF_CLASS: dict[type, str] = {Decimal: "numeric", int: "numeric", UUID: "uuid", dict: "jsonb"}


def sql_types(source: Source, transformer: Transformer) -> list[str]:
    """Return a type of SQL for each column. Raises RequestError, which names the column and the cure."""
    return [_sql_type(column, column.kind, transformer) for column in source.columns]


def _sql_type(column: Column, kind: Kind, transformer: Transformer) -> str:
    if isinstance(kind, Mixture):
        raise RequestError(
            f"column {column.name!r} holds values of several types ({', '.join(kind.classes)}), for which there is no "
            f"one type in PostgreSQL; cast it first, as with df[{column.name!r}].astype(str)"
        )
    if isinstance(kind, ListOf):
        inner = _sql_type(column, kind.element, transformer)
        return inner if inner.endswith("[]") else f"{inner}[]"
    if isinstance(kind, pa.DataType):
        return _of_arrow(column, kind)
    return _OF_CLASS.get(kind) or _of_class(column, kind, transformer)


def _of_arrow(column: Column, kind: pa.DataType) -> str:
    types = pa.types
    if types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if types.is_time(kind):
        return "time"
    if types.is_duration(kind):
        return "interval"
    if types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if kind in _OF_ARROW:
        return _OF_ARROW[kind]
    raise RequestError(f"column {column.name!r} is {kind}, for which PostgreSQL has no type; cast it first")


def _of_class(column: Column, kind: type, transformer: Transformer) -> str:
    """Return the type for which psycopg has a binary form of such objects."""
    sample = column.sample[0] if isinstance(column.sample, list | tuple) else column.sample
    try:
        oid = transformer.get_dumper(sample, PyFormat.BINARY).oid
    except psycopg.Error:
        oid = 0
    if (info := transformer.adapters.types.get(oid)) is None:
        raise RequestError(
            f"column {column.name!r} holds values of class {kind.__name__}, for which PostgreSQL has no type; cast it "
            f"first, as with df[{column.name!r}].astype(str)"
        )
    return info.regtype
