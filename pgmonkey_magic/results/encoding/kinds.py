"""What kind of values a column holds: an Arrow type, a class of Python objects, lists of a kind, or a mixture.

A column of objects is judged by its values. Whatever Arrow has a type for that loses nothing is given to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXACT = 2**53
"""Up to here a float holds every integer."""
TEXT, BYTES = pa.large_string(), pa.large_binary()


@dataclass(frozen=True, slots=True)
class ListOf:
    """Lists, arrays or tuples whose elements are of one kind."""

    element: Kind


@dataclass(frozen=True, slots=True)
class Mixture:
    """Objects that no one type of PostgreSQL holds; the names of their classes."""

    classes: tuple[str, ...]


Kind = pa.DataType | type | ListOf | Mixture


def kind_of_type(kind: pa.DataType) -> Kind:
    """Return the kind of an Arrow array of this type, as its pieces are given: `normal` makes them so."""
    if isinstance(kind, pa.BaseExtensionType):
        return UUID if kind.extension_name == "arrow.uuid" else kind_of_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return kind_of_type(kind.value_type)
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return dict
    if is_list(kind):
        return _lists_of(kind_of_type(kind.value_type))
    return normal(kind)


def is_list(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is one of lists, whatever their layout."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests) or str(kind).startswith(("list_view", "large_list_view"))


def normal(kind: pa.DataType) -> pa.DataType:
    """Return the one Arrow type by which a family of them goes, such as `large_string` for every layout of text."""
    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return TEXT
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return BYTES
    if types.is_fixed_size_binary(kind) and not types.is_decimal(kind):
        return BYTES
    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal32(kind) or types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def kind_of_objects(values: Iterable[Any]) -> Kind:
    """Return the kind of the objects, none of which is missing; Arrow's null type where there is none."""
    values = list(values)
    families = {_family(each) for each in set(map(type, values))}
    if not families:
        return pa.null()
    if len(families) == 1:
        (family,) = families
        return _within(family, values) if isinstance(family, str) else family
    if families == {"int", pa.float64()} and all(abs(v) <= EXACT for v in values if not isinstance(v, float)):
        return pa.float64()
    if families == {"int", Decimal}:
        return Decimal
    if families == {"list", dict}:
        return dict
    return Mixture(tuple(sorted({each.__name__ for each in set(map(type, values))})))


_FAMILIES: dict[tuple[type, ...], str | Kind] = {
    (bool, np.bool_): pa.bool_(),
    (int, np.integer): "int",
    (float, np.floating): pa.float64(),
    (str,): TEXT,
    (bytes, bytearray, memoryview): BYTES,
    (dt.datetime, np.datetime64): "datetime",
    (dt.date,): pa.date32(),
    (dt.time,): "time",
    (dt.timedelta, np.timedelta64): pa.duration("us"),
    (Decimal,): Decimal,
    (UUID,): UUID,
    (IPv4Address, IPv6Address): IPv4Address,
    (IPv4Network, IPv6Network): IPv4Network,
    (Mapping,): dict,
    (list, tuple, np.ndarray): "list",
}


def _family(of_class: type) -> str | Kind:
    return next((family for bases, family in _FAMILIES.items() if issubclass(of_class, bases)), of_class)


def _within(family: str, values: Sequence[Any]) -> Kind:
    match family:
        case "int":
            fits = all(-(2**63) <= value < 2**63 for value in values)
            return pa.int64() if fits else int
        case "datetime":
            aware = {getattr(value, "tzinfo", None) is not None for value in values}
            if len(aware) > 1:
                return Mixture(("datetime with a time zone", "datetime without"))
            return pa.timestamp("us", tz="UTC") if aware == {True} else pa.timestamp("us")
        case "time":
            aware = {value.tzinfo is not None for value in values}
            return pa.time64("us") if aware == {False} else dt.time
    return _kind_of_lists(values)


def _kind_of_lists(values: Sequence[Any]) -> Kind:
    """Return the kind of lists; that of numpy's arrays is their dtype, unless they hold objects."""
    dtypes = {value.dtype if isinstance(value, np.ndarray) and value.ndim == 1 else None for value in values}
    if len(dtypes) == 1 and (dtype := dtypes.pop()) is not None and dtype.kind in "biuf":
        return ListOf(normal(pa.from_numpy_dtype(dtype)))
    return _lists_of(kind_of_objects(item for value in values for item in value if item is not None))


def _lists_of(element: Kind) -> Kind:
    if element is dict:
        return dict
    return element if isinstance(element, Mixture) else ListOf(TEXT if element == pa.null() else element)
