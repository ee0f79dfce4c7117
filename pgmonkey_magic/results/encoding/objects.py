"""Texts, JSON, arrays, and Python objects one by one, as they are on the wire.

An array is its number of dimensions, a flag, the OID of its elements, for each dimension its length and its lower
bound, each four bytes; then its elements as the fields of a row (source: array_recv in PostgreSQL's arrayfuncs.c).
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg.adapt import PyFormat

from pgmonkey_magic.results.encoding.arrow import compute as pc
from pgmonkey_magic.results.encoding.fields import (
    Cells,
    Unfit,
    Varying,
    held_bytes,
    joined_fields,
    nulls_of,
    offsets_of,
    packed,
)
from pgmonkey_magic.results.encoding.kinds import BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import Transformer

    Encode = Callable[[Any], Cells]

EMPTY = np.dtype([("dimensions", ">i4"), ("flag", ">i4"), ("element", ">u4")])
HEAD = np.dtype([*EMPTY.descr, ("length", ">i4"), ("lower", ">i4")])


def texts(encoding: str, prefix: bytes = b"") -> Encode:
    """Return the encoder of text, *prefix* before each (the version of jsonb)."""

    def encode(array: pa.Array) -> Cells:
        refuse_nul(array)
        sent = pc.cast(array, BYTES)
        if encoding != "utf-8":
            sent = pa.array(_encoded(array.to_pylist(), encoding), BYTES)
        if prefix:
            sent = pc.binary_join_element_wise(pa.scalar(prefix, BYTES), sent, pa.scalar(b"", BYTES))
        return Varying(sent)

    return encode


def refuse_nul(array: pa.Array) -> None:
    """Raise Unfit for a text with a NUL character, of which PostgreSQL has none."""
    if not (held_bytes(array) == 0).any():
        return
    found = pc.fill_null(pc.match_substring(pc.cast(array, BYTES), "\0"), fill_value=False)
    if pc.any(found).as_py():  # else it stands under a missing value
        raise Unfit(found.index(True).as_py(), "it has a NUL character, which PostgreSQL cannot keep in text")


def _encoded(values: Sequence[str | None], encoding: str) -> list[bytes | None]:
    sent: list[bytes | None] = []
    for row, value in enumerate(values):
        try:
            sent.append(None if value is None else value.encode(encoding))
        except UnicodeEncodeError as error:
            odd = error.object[error.start]
            why = f"the connection's encoding, {encoding}, has no {odd!a}; SET client_encoding = 'UTF8'"
            raise Unfit(row, why) from error
    return sent


def each(dump: Callable[[Any], bytes]) -> Encode:
    """Return the encoder of objects by a function for one."""

    def encode(values: Sequence[Any]) -> Cells:
        sent: list[bytes | None] = []
        for row, value in enumerate(values):
            try:
                sent.append(None if value is None else dump(value))
            except (psycopg.Error, TypeError, ValueError, ArithmeticError) as error:
                raise Unfit(row, " ".join(str(error).split())) from error
        return Varying(pa.array(sent, BYTES))

    return encode


def dumping(transformer: Transformer, oid: int = 0) -> Callable[[Any], bytes]:
    """Return psycopg's binary form of an object; where it is that of another type than *oid*, that is an error."""

    def dump(value: Any) -> bytes:
        dumper = transformer.get_dumper(value, PyFormat.BINARY)
        if oid and dumper.oid != oid:
            raise TypeError(f"a {type(value).__name__} has another type than the column of the table")
        return bytes(dumper.dump(value) or b"")

    return dump


def jsons(*, is_jsonb: bool) -> Encode:
    """Return the encoder of objects, or of an Arrow array of any type, into JSON."""
    write = each((lambda value: b"\x01" + json_text(value).encode()) if is_jsonb else lambda v: json_text(v).encode())
    return lambda piece: write(piece.to_pylist() if isinstance(piece, pa.Array) else piece)


def json_text(value: Any) -> str:
    """Return the JSON of an object; numpy's scalars and arrays are those of their values. Raises as json.dumps does."""
    return json.dumps(value, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON serializable")


def arrays(element: Encode, oid: int) -> Encode:
    """Return the encoder of lists (of an Arrow list array, or of Python's) whose elements *element* encodes."""

    def encode(lists: pa.LargeListArray | Sequence[Any]) -> Cells:
        offsets, items, nulls = _flat(lists)
        fields = pa.array([], BYTES)
        try:
            if offsets[-1]:
                fields = joined_fields([element(items)], int(offsets[-1]), with_number=False)
        except Unfit as unfit:
            raise Unfit(int(np.searchsorted(offsets, unfit.row, side="right")) - 1, unfit.why) from unfit
        starts = offsets_of(fields)
        heads, ends = _heads(np.diff(offsets), oid)
        data = packed(starts[offsets], fields.buffers()[2] or pa.py_buffer(b""), nulls)
        return Varying(pc.binary_join_element_wise(packed(ends, heads, None), data, pa.scalar(b"", BYTES)))

    return encode


def _flat(lists: Any) -> tuple[np.ndarray, Any, np.ndarray | None]:
    """Return where each list begins, all elements, and which lists are NULL."""
    if isinstance(lists, pa.Array):
        nulls = nulls_of(lists)
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        items: Any = lists.flatten()
    else:
        nulls = np.array([each is None for each in lists], bool)
        lengths = np.array([0 if each is None else len(each) for each in lists], np.int64)
        items = list(chain.from_iterable(each for each in lists if each is not None))
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64))), items, nulls


def _heads(lengths: np.ndarray, oid: int) -> tuple[pa.Buffer, np.ndarray]:
    """Return what stands before the elements, and where each begins; an empty array has no dimension."""
    heads = np.zeros(len(lengths), HEAD)
    heads["dimensions"], heads["element"], heads["length"], heads["lower"] = lengths > 0, oid, lengths, 1
    widths = np.where(lengths > 0, HEAD.itemsize, EMPTY.itemsize)
    whole = heads.view(np.uint8).reshape(len(lengths), HEAD.itemsize)
    kept = whole[np.arange(HEAD.itemsize) < widths[:, None]]
    return pa.py_buffer(kept), np.concatenate((np.zeros(1, np.int64), np.cumsum(widths)))
