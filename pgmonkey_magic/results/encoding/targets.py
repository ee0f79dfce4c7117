"""Into what a column goes: the column of a table, and which encoder makes its bytes.

The form of a value in binary is that of its type's receive function (pg_type.typreceive), so that is what an encoder is
chosen by: domains, enums and the types of extensions need no knowledge of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.encoding import moments, numbers, objects
from pgmonkey_magic.results.encoding.arrow import compute as pc
from pgmonkey_magic.results.encoding.fields import Varying
from pgmonkey_magic.results.encoding.kinds import BYTES, TEXT, Kind, ListOf

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import Transformer

    from pgmonkey_magic.results.encoding.fields import Cells
    from pgmonkey_magic.results.encoding.sources import Column

    Encode = Callable[[Any], Cells]

INTEGERS = {"int2recv": (">i2", "smallint"), "int4recv": (">i4", "integer"), "int8recv": (">i8", "bigint")}
INTEGERS["oidrecv"] = (">u4", "oid")
FLOATS = {"float4recv": (">f4", "real"), "float8recv": (">f8", "double precision")}
TEXTS = frozenset(
    ("textrecv", "varcharrecv", "bpcharrecv", "namerecv", "citextrecv", "enum_recv", "xml_recv", "json_recv")
)
"""Their binary form is the text."""
JSONS = frozenset(("json_recv", "jsonb_recv"))


@dataclass(frozen=True, slots=True)
class TargetType:
    """A type of the server: its OID, its name as SQL has it, its receive function, and its elements' type.

    Of a domain it is the type below; `name` is still the domain's.
    """

    oid: int
    name: str
    receive: str
    element: TargetType | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What of a session the bytes depend on, and what gives the value that means the same to psycopg."""

    transformer: Transformer
    encoding: str
    adapted: Callable[[Any], Any]


def encoder(column: Column, target: TargetType, session: Session) -> Encode | None:
    """Return what makes the binary form of a column's pieces; None where only the text of its values can be sent.

    Raises RequestError where even that would change their meaning.
    """
    kind = column.kind
    if isinstance(kind, pa.DataType) and _is_aware(kind) and target.receive == "timestamp_recv":
        raise RequestError(
            f"column {column.name!r} has a time zone, and the table's is timestamp without one; say in which, as with "
            ".dt.tz_convert('UTC').dt.tz_localize(None)"
        )
    return _encoder(kind, target, session)


def _encoder(kind: Kind, target: TargetType, session: Session) -> Encode | None:
    if kind == pa.null():
        return lambda piece: Varying(pc.cast(piece, BYTES))
    if target.receive in JSONS and kind != TEXT:
        return objects.jsons(is_jsonb=target.receive == "jsonb_recv")
    if isinstance(kind, ListOf):
        element = None if target.element is None else _encoder(kind.element, target.element, session)
        return None if element is None or target.element is None else objects.arrays(element, target.element.oid)
    if isinstance(kind, pa.DataType):
        return _of_arrow(kind, target, session)
    return _of_objects(kind, target, session) if isinstance(kind, type) else None


def _of_arrow(kind: pa.DataType, target: TargetType, session: Session) -> Encode | None:
    types, receive = pa.types, target.receive
    is_number = types.is_integer(kind) or types.is_floating(kind)
    if receive in TEXTS or receive == "jsonb_recv":
        return _text_of(kind, session.encoding, b"\x01" if receive == "jsonb_recv" else b"")
    if is_number and receive in INTEGERS:
        return numbers.integers(*INTEGERS[receive])
    if is_number and receive in FLOATS:
        return numbers.floats(*FLOATS[receive])
    if types.is_floating(kind) and receive == "numeric_recv":
        each = objects.each(objects.dumping(session.transformer))
        return lambda piece: each([None if value is None else Decimal(repr(value)) for value in piece.to_pylist()])
    return next((make for wanted, test, make in _BY_TYPE if receive == wanted and test(kind)), None)


def _text_of(kind: pa.DataType, encoding: str, prefix: bytes) -> Encode | None:
    encode = objects.texts(encoding, prefix)
    if kind == TEXT:
        return encode
    is_plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind)
    return (lambda piece: encode(pc.cast(piece, TEXT))) if is_plain else None


def _is_naive(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)


def _is_aware(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


_BY_TYPE: tuple[tuple[str, Callable[[pa.DataType], bool], Encode], ...] = (
    ("boolrecv", pa.types.is_boolean, numbers.booleans),
    ("bytearecv", lambda kind: kind == BYTES, Varying),
    ("numeric_recv", pa.types.is_integer, numbers.whole_numerics),
    ("numeric_recv", pa.types.is_decimal, numbers.decimals),
    ("date_recv", _is_naive, moments.dates),
    ("timestamp_recv", _is_naive, moments.timestamps),
    ("timestamptz_recv", _is_aware, moments.timestamps),
    ("time_recv", pa.types.is_time, moments.times),
    ("interval_recv", pa.types.is_duration, moments.intervals),
)


def _of_objects(kind: type, target: TargetType, session: Session) -> Encode | None:
    if kind is UUID:
        return objects.each(lambda value: value.bytes) if target.receive == "uuid_recv" else None
    dump = objects.dumping(session.transformer, target.oid)
    if kind in (Decimal, int):
        if target.receive != "numeric_recv":
            return None
        dump = objects.dumping(session.transformer)
        return objects.each(lambda value: dump(value if isinstance(value, Decimal) else Decimal(int(value))))
    return objects.each(dump)
