"""Columns → the data of COPY: the bytes themselves, what kind a column has, and that pieces stay small."""

import datetime as dt
import struct
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_interface
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.types.range import Range

from pgmonkey_magic.cells.binding import adapted
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.copy_format import SIGNATURE, TRAILER
from pgmonkey_magic.results.encoding import Session, Stream, TargetType, source_of, sql_types, streams
from pgmonkey_magic.results.encoding.kinds import TEXT, ListOf, Mixture, kind_of_objects
from pgmonkey_magic.results.encoding.numbers import decimals, whole_numerics
from pgmonkey_magic.results.numerics import as_decimal

SESSION = Session(Transformer(), "utf-8", adapted)
INT4, INT8 = TargetType(23, "integer", "int4recv"), TargetType(20, "bigint", "int8recv")
TEXTS, BOOL = TargetType(25, "text", "textrecv"), TargetType(16, "boolean", "boolrecv")
INTS = TargetType(1016, "bigint[]", "array_recv", INT8)
NUMERIC = TargetType(1700, "numeric", "numeric_recv")


def data(frame: Any, *targets: TargetType) -> bytes:
    return b"".join(bytes(piece) for piece, _ in Stream(source_of(frame), targets, SESSION).pieces())


def fields(raw: bytes) -> Iterator[list[bytes | None]]:
    """Read the rows of COPY BINARY."""
    assert raw.startswith(SIGNATURE + bytes(8))
    assert raw.endswith(TRAILER)
    at = len(SIGNATURE) + 8
    while (count := struct.unpack_from(">h", raw, at)[0]) >= 0:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", raw, at)
            at += 4
            row.append(None if size < 0 else raw[at : at + size])
            at += max(size, 0)
        yield row
    assert at + 2 == len(raw)


def test_rows_of_fixed_and_of_varying_width() -> None:
    frame = pd.DataFrame({"a": [1, -2], "s": ["é", None], "i": pd.array([None, 7], dtype="Int64"), "b": [True, False]})
    assert list(fields(data(frame, INT4, TEXTS, INT8, BOOL))) == [
        [b"\0\0\0\1", "é".encode(), None, b"\1"],
        [b"\xff\xff\xff\xfe", None, b"\0\0\0\0\0\0\0\7", b"\0"],
    ]
    assert list(fields(data(frame[["a"]], INT8))) == [[b"\0\0\0\0\0\0\0\1"], [b"\xff" * 7 + b"\xfe"]]
    assert list(fields(data(frame[["s"]], TEXTS))) == [["é".encode()], [None]]
    assert list(fields(data(frame[:0], INT4, TEXTS, INT8, BOOL))) == []


def test_arrays() -> None:
    frame = pd.DataFrame({"a": [[1, None], [], None]})
    head = struct.pack(">iiIii", 1, 0, 20, 2, 1)
    assert list(fields(data(frame, INTS))) == [
        [head + struct.pack(">iqi", 8, 1, -1)],
        [struct.pack(">iiI", 0, 0, 20)],
        [None],
    ]
    empty = pd.DataFrame({"a": [np.array([], bool), None]})
    booleans = TargetType(1000, "boolean[]", "array_recv", BOOL)
    assert list(fields(data(empty, booleans))) == [[struct.pack(">iiI", 0, 0, 16)], [None]]


def test_pieces_are_independent_of_the_index_and_of_slices() -> None:
    frame = pd.DataFrame({"a": range(1000), "s": pd.Series([f"x{i}" if i % 3 else None for i in range(1000)])})
    part = frame[::-1].iloc[100:900:3]
    assert [int.from_bytes(row[0] or b"") for row in fields(data(part, INT8, TEXTS))] == part["a"].to_list()
    table = pa.concat_tables([pa.Table.from_pandas(frame[:10])] * 3).slice(5, 20)
    assert [row[1] and row[1].decode() for row in fields(data(table, INT8, TEXTS))] == table["s"].to_pylist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_integers_as_numeric(values: list[int | None]) -> None:
    found = _cells(whole_numerics(pa.array(values, pa.int64())))
    assert [None if raw is None else as_decimal(raw) for raw in found] == values


@given(
    st.integers(0, 38).flatmap(
        lambda scale: st.tuples(
            st.just(scale),
            st.lists(st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal) | st.none(), min_size=1),
        )
    )
)
def test_decimals_as_numeric(case: tuple[int, list[Decimal | None]]) -> None:
    scale, whole = case
    values = [None if v is None else _shifted(v, scale) for v in whole]
    found = _cells(decimals(pa.array(values, pa.decimal128(38, scale))))
    assert [None if raw is None else as_decimal(raw) for raw in found] == values


def _shifted(value: Decimal, scale: int) -> Decimal:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return Decimal((sign, digits, exponent - scale))


def _cells(cells: Any) -> list[bytes | None]:
    return cells.values.to_pylist() if isinstance(cells.values, pa.Array) else [row.tobytes() for row in cells.values]


KINDS = [
    ([], pa.null()),
    ([1, np.int8(2)], pa.int64()),
    ([2**63], int),
    ([1, 2.5], pa.float64()),
    ([2**53 + 1, 2.5], Mixture(("float", "int"))),
    ([True, np.bool_(False)], pa.bool_()),
    ([True, 1], Mixture(("bool", "int"))),
    (["a", np.str_("b")], TEXT),
    ([Decimal(1), 2], Decimal),
    ([dt.date(2024, 1, 1)], pa.date32()),
    ([dt.date(2024, 1, 1), pd.Timestamp("2024-01-01")], Mixture(("Timestamp", "date"))),
    ([pd.Timestamp("2024-01-01")], pa.timestamp("us")),
    ([pd.Timestamp("2024-01-01", tz="UTC")], pa.timestamp("us", tz="UTC")),
    ([dt.time(1, tzinfo=dt.UTC)], dt.time),
    ([UUID(int=1)], UUID),
    ([{"a": 1}, [1]], dict),
    ([[{"a": 1}]], dict),
    ([[1], (2,)], ListOf(pa.int64())),
    ([[]], ListOf(TEXT)),
    ([[[1]]], ListOf(ListOf(pa.int64()))),
    ([np.array([1.5], "float32")], ListOf(pa.float32())),
    ([[1, "a"]], Mixture(("int", "str"))),
    ([Fraction(1, 2)], Fraction),
]


@pytest.mark.parametrize(("values", "kind"), KINDS, ids=[str(values)[:40] for values, _ in KINDS])
def test_the_kind_of_objects(values: list[Any], kind: Any) -> None:
    assert kind_of_objects(values) == kind


def test_types_for_a_table_that_is_made() -> None:
    table = pa.table(
        {
            "d": pa.array([Decimal("1.5")], pa.decimal128(10, 2)),
            "neg": pa.array([Decimal(100)], pa.decimal128(5, -2)),
            "ns": pa.array([0], pa.timestamp("ns")),
            "tz": pa.array([0], pa.timestamp("s", tz="Asia/Tokyo")),
            "dict": pa.array(["a"]).dictionary_encode(),
            "fixed": pa.array([b"ab"], pa.binary(2)),
            "lists": pa.array([[[1]]]),
            "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "half": pa.array([np.float16(1)]),
        }
    )
    assert sql_types(source_of(table), Transformer()) == [
        *("numeric(10,2)", "numeric", "timestamp", "timestamptz", "text", "bytea", "bigint[]", "jsonb", "real")
    ]
    others = pd.DataFrame({"r": [None, Range(dt.date(2024, 1, 1), None)], "i": [ip_interface("10.0.0.1/8"), None]})
    assert sql_types(source_of(others), Transformer()) == ["daterange", "inet"]
    with pytest.raises(RequestError, match="column 'f' holds values of class Fraction"):
        sql_types(source_of(pd.DataFrame({"f": [Fraction(1, 2)]})), Transformer())


def test_text_is_taken_as_a_whole_where_one_column_has_no_binary_form() -> None:
    frame = pd.DataFrame(
        {
            "a": ["1", None],
            "s": ["t\t\\n\n\\N\r", None],
            "f": [2.0, np.nan],
            "i": pd.array([None, 7], "Int64"),
            "l": [[1, 2], None],
        }
    )
    targets = (INT4, TEXTS, INT8, INT8, TargetType(1007, "integer[]", "array_recv", INT4))
    stream = Stream(source_of(frame), targets, SESSION)
    assert stream.options == "(FORMAT text)"
    assert data(frame, *targets) == b"1\tt\\t\\\\n\\n\\\\N\\r\t2\t\\N\t{1,2}\n\\N\t\\N\t\\N\t7\t\\N\n"
    with pytest.raises(RequestError, match=r"column 'f', df.iloc\[1\] \(index 'y'\): 0.5 is no whole number"):
        data(frame.assign(f=[1, 0.5]).set_axis(["x", "y"]), *targets)


def test_pieces_are_small_whatever_the_rows_are() -> None:
    sizes = [10] * 20_000 + [1_000_000] * 20
    frame = pd.DataFrame({"a": range(len(sizes)), "s": ["x" * size for size in sizes]})
    pieces = [len(piece) for piece, _ in Stream(source_of(frame), (INT8, TEXTS), SESSION).pieces()]
    assert sum(pieces) > 20_000_000
    assert max(pieces) < 6 * streams.PIECE_BYTES
    rows = [rows for _, rows in Stream(source_of(frame), (INT8, TEXTS), SESSION).pieces()]
    assert sum(rows) == len(frame)


def test_the_frame_is_never_copied_as_a_whole() -> None:
    frame = pd.DataFrame({f"c{i}": np.arange(500_000) for i in range(8)} | {"s": "x" * 30})
    stream = Stream(source_of(frame), (*[INT8] * 8, TEXTS), SESSION)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    peak = arrow = 0
    for _ in stream.pieces():
        arrow = max(arrow, pa.total_allocated_bytes() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frame.memory_usage(index=False).sum() > 45_000_000
    assert peak + arrow < 8_000_000
