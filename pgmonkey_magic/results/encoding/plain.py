r"""Columns of values → the rows of COPY's text format, for what has no binary encoder.

A line for each row, tabs between values, `\N` for NULL, a backslash before what would be read as a part of the format
(source: PostgreSQL's documentation of COPY, "Text Format").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
from psycopg.adapt import PyFormat

from pgmonkey_magic.results.encoding import moments, numbers
from pgmonkey_magic.results.encoding.arrow import compute as pc
from pgmonkey_magic.results.encoding.fields import Unfit, held_bytes
from pgmonkey_magic.results.encoding.kinds import BYTES, TEXT, Kind
from pgmonkey_magic.results.encoding.objects import json_text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgmonkey_magic.results.encoding.targets import Session, TargetType

    Write = Callable[[Any], pa.LargeBinaryArray]

ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_TAB, _END = pa.scalar(b"\t", BYTES), pa.scalar(b"\n", BYTES)
INTEGERS = ("int2recv", "int4recv", "int8recv", "oidrecv")
JSONS = ("json_recv", "jsonb_recv")


def rows(columns: Sequence[pa.LargeBinaryArray], _count: int) -> memoryview:
    """Return the lines."""
    parts: list[Any] = []
    for column in columns:
        parts += [column, _TAB]
    parts[-1] = _END
    joined = pc.binary_join_element_wise(
        *parts, pa.scalar(b"", BYTES), null_handling="replace", null_replacement=rb"\N"
    )
    return held_bytes(joined).data


def writer(kind: Kind, target: TargetType, session: Session) -> Write:
    """Return what makes the escaped text of a column's pieces, in the connection's encoding; null is NULL."""
    encoded = texts(session.encoding)

    def write(piece: Any) -> pa.LargeBinaryArray:
        array = _texts(kind, piece, target, session)
        for character, escape in ESCAPES.items():
            array = pc.replace_substring(array, character, escape)
        return encoded(array).values  # type: ignore[union-attr] # of texts they vary

    return write


def _texts(kind: Kind, piece: Any, target: TargetType, session: Session) -> pa.LargeStringArray:
    if isinstance(kind, pa.DataType) and (array := _quick(kind, piece, target)) is not None:
        return array
    values = piece.to_pylist() if isinstance(piece, pa.Array) else piece
    is_json = target.receive in JSONS
    found: list[str | None] = []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else json_text(value) if is_json else _dumped(value, session))
        except (psycopg.Error, TypeError, ValueError, ArithmeticError) as error:
            raise Unfit(row, " ".join(str(error).split())) from error
    return pa.array(found, TEXT)


def _quick(kind: pa.DataType, piece: pa.Array, target: TargetType) -> pa.LargeStringArray | None:
    """Return the texts that Arrow makes as PostgreSQL reads them; None where it does not."""
    types = pa.types
    if target.receive in INTEGERS and types.is_floating(kind):
        numbers.integers(">i8", target.name)(piece)  # whole, or refused
        return pc.cast(pc.cast(piece, pa.int64(), safe=False), TEXT)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if kind in (TEXT, pa.null()) or is_number or (types.is_boolean(kind) and target.receive not in JSONS):
        return pc.cast(piece, TEXT)
    if types.is_date32(kind) or types.is_timestamp(kind):
        return _moments(piece)
    return None


def _moments(piece: pa.Array) -> pa.LargeStringArray:
    years = pc.year(piece)
    outside = pc.fill_null(pc.or_(pc.less(years, 1), pc.greater(years, 9999)), fill_value=False)
    if pc.any(outside).as_py():
        row = outside.index(True).as_py()
        raise Unfit(row, f"{piece[row].value} {piece.type} has no year between 1 and 9999")
    if pa.types.is_timestamp(piece.type) and piece.type.unit == "ns":
        moments.timestamps(piece)  # no finer than a microsecond, or refused
    return pc.cast(piece, TEXT)


def _dumped(value: Any, session: Session) -> str | None:
    adapted = session.adapted(value)
    if isinstance(adapted, float) and adapted.is_integer() and abs(adapted) < 2**53:
        adapted = int(adapted)  # "1.0" is no integer to the server
    text = session.transformer.get_dumper(adapted, PyFormat.TEXT).dump(adapted)
    return None if text is None else bytes(text).decode(session.encoding)
