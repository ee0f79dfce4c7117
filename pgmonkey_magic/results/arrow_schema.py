"""The Arrow schema of a result, from the types of its columns alone.

So every part of a result has the same, and an empty one too. A type has a column of its own kind where Arrow's holds
every value but the odd ones (an infinite date, NaN in a numeric(p, s)), at which the conversion fails. Where it would
fail too often, or change a value, the column is text, as the server writes it: interval with its months, numeric of any
number of digits, json, uuid, ranges. Arrays are lists; where one has several dimensions, the conversion fails, and that
its subscripts may begin elsewhere than at 1 a list cannot say.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from psycopg import adapters

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.columns import (
    BOOLEAN,
    DATE,
    FLOATS,
    INTEGERS,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    declared_decimal,
)
from pgmonkey_magic.results.frame import Header
from pgmonkey_magic.results.oids import TEXTS, TIME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from pgmonkey_magic.results.describe import Description
    from pgmonkey_magic.results.output import Output

BYTEA = 17
TEXT = pa.large_string()
_PLAIN = {
    BOOLEAN: pa.bool_(),
    **{oid: pa.type_for_alias(name) for oid, name in INTEGERS.items()},
    **{oid: pa.type_for_alias(name) for oid, name in FLOATS.items() if oid != NUMERIC},
    BYTEA: pa.binary(),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    TIMESTAMP: pa.timestamp("us"),
    **dict.fromkeys(TEXTS, TEXT),
}
_ODD = {
    **dict.fromkeys((DATE, TIMESTAMP, TIMESTAMPTZ), "infinity, or a year beyond 1 to 9999"),
    NUMERIC: "NaN, or one beyond a float",
    TIME: "24:00:00",
}
"""The values that an Arrow column of the type has not."""


@dataclass(frozen=True, slots=True)
class FixedSchema:
    """What a result's columns are in Arrow, whatever its rows hold."""

    arrow: pa.Schema
    oids: tuple[int, ...]
    notes: tuple[str, ...]
    """What must be said about the names and the types."""

    @classmethod
    def of(cls, description: Description, zone: tzinfo, output: Output) -> Self:
        """Choose the types; `output.decimals` says whether numeric is exact, or the float nearest to it."""
        header = Header.of(description.names, description.oids)
        types = [
            _type(oid, modifier, zone, output)
            for oid, modifier in zip(description.oids, description.modifiers, strict=True)
        ]
        found = cls(pa.schema(list(zip(header.names, types, strict=True))), description.oids, header.notes)
        return cls(found.arrow, found.oids, (*header.notes, *found._notes_on_types()))

    @property
    def as_text(self) -> tuple[bool, ...]:
        """Which columns are text without being of a type of text."""
        return tuple(field.type == TEXT and oid not in TEXTS for field, oid in zip(self.arrow, self.oids, strict=True))

    def fitted(self, table: pa.Table, notes: Sequence[str]) -> pa.Table:
        """Return the rows of a part with the schema's types. *notes* are what was said of its columns, by their names.

        Raises RequestError for a value that its column's type has not.
        """
        odd = [any(note.startswith(f"column {name}: ") for note in notes) for name in table.column_names]
        columns = [self._fitted(i, column, is_odd=odd[i]) for i, column in enumerate(table.columns)]
        return pa.table(columns, schema=self.arrow)

    def _fitted(self, i: int, column: pa.ChunkedArray, *, is_odd: bool) -> pa.ChunkedArray | pa.Array:
        type_ = self.arrow.field(i).type
        if type_ == TEXT:
            return column
        # A note on a numeric says that its usual type was too narrow, and nothing of its value.
        if not is_odd or self.oids[i] == NUMERIC:
            if column.null_count == len(column):
                return pa.nulls(len(column), type_)
            if not pa.types.is_large_string(column.type):
                with contextlib.suppress(pa.ArrowException):
                    return column.cast(type_)
        raise RequestError(self._unfit(i))

    def _unfit(self, i: int) -> str:
        field, oid = self.arrow.field(i), self.oids[i]
        element = _element(oid)
        odd = _ODD.get(oid) or ", ".join(
            filter(None, (_ODD.get(element or 0, ""), "more than one dimension" if element else ""))
        )
        examples = f" ({odd})" if odd else ""
        return (
            f"column {field.name} holds a value that {field.type} has not{examples}; cast the column to text in the "
            "query, or leave such values out"
        )

    def _notes_on_types(self) -> list[str]:
        texts = [
            (name, oid) for name, oid, is_text in zip(self.arrow.names, self.oids, self.as_text, strict=True) if is_text
        ]
        numbers = [name for name, oid in texts if NUMERIC in (oid, _element(oid))]
        others = [name for name, _ in texts if name not in numbers]
        notes = []
        if numbers:
            notes.append(
                f"text, because numeric without a scale has any number of digits: {', '.join(numbers)}; cast to "
                "numeric(p, s), or --decimals float"
            )
        if others:
            notes.append(f"text, as the server writes it: {', '.join(others)}")
        return notes


def _type(oid: int, modifier: int, zone: tzinfo, output: Output) -> pa.DataType:
    if oid == NUMERIC:
        decimal = pa.float64() if output.decimals == "float" else declared_decimal(modifier)
        return TEXT if decimal is None else decimal
    if oid == TIMESTAMPTZ:
        return pa.timestamp("us", tz=str(zone))
    if (element := _element(oid)) is not None:
        inner = _type(element, modifier, zone, output)
        is_text = inner == TEXT and element not in TEXTS
        return TEXT if is_text else pa.list_(inner)
    return _PLAIN.get(oid, TEXT)


def _element(oid: int) -> int | None:
    """Return the type of an array's elements, None where it is none of the arrays that psycopg knows."""
    info = adapters.types.get(oid)
    return info.oid if info is not None and info.array_oid == oid else None
