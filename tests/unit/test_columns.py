"""Values → pandas columns: the type that loses nothing, whatever NULLs and odd values there are."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pgmonkey_magic.results import columns
from pgmonkey_magic.results.frame import unique_names


def build(oid: int, values: list) -> tuple[pd.Series, list[str]]:
    notes: list[str] = []
    column = columns.from_values(oid, values, "c", notes)
    return column.series(), notes


@pytest.mark.parametrize(
    ("oid", "values", "dtype"),
    [
        (21, [1, -32768], "int16"),
        (21, [1, None], "Int16"),
        (20, [2**63 - 1, -(2**63)], "int64"),
        (20, [2**63 - 1, None], "Int64"),
        (26, [2**32 - 1], "uint32"),
        (26, [2**32 - 1, None], "UInt32"),
        (700, [1.5, None], "float32"),
        (1700, [0.1, None], "float64"),
        (16, [True, False], "bool"),
        (16, [True, None], "boolean"),
        (25, ["a", None, ""], "str"),
        (99999, ["enum", None], "str"),
        (1082, [date(1, 1, 1), date(9999, 12, 31), None], "datetime64[s]"),
        (1114, [datetime(2024, 1, 1, 0, 0, 0, 1), None], "datetime64[us]"),  # noqa: DTZ001
        (1186, ["3 days -01:02:03.5", None, "00:00:00"], "timedelta64[us]"),
        (3802, [{"a": 1}, [1, 2], None], "object"),
        (1007, [[1, 2], [3, 4]], "object"),
    ],
)
def test_dtypes(oid: int, values: list, dtype: str) -> None:
    series, notes = build(oid, values)
    assert str(series.dtype) == dtype
    assert notes == []
    back = [None if series.isna()[i] else series[i] for i in range(len(series))]
    if oid != 1186:
        assert [None if v is None else pd.Timestamp(v) if isinstance(v, date) else v for v in values] == back


def test_no_rows_keep_the_type() -> None:
    assert str(build(20, [])[0].dtype) == "int64"
    assert str(build(1114, [])[0].dtype) == "datetime64[us]"
    assert str(build(1184, [])[0].dtype) == "datetime64[us, UTC]"


def test_big_integers_beside_null_stay_exact() -> None:
    series, _ = build(20, [2**53 + 1, None])
    assert series[0] == 2**53 + 1


def test_timestamptz_keeps_its_zone_across_a_clock_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    values = [
        datetime(2024, 1, 1, tzinfo=UTC).astimezone(zone),
        datetime(2024, 7, 1, tzinfo=UTC).astimezone(zone),
        None,
    ]
    series, _ = build(1184, values)
    assert str(series.dtype) == "datetime64[us, Europe/Berlin]"
    assert series[0].isoformat() == "2024-01-01T01:00:00+01:00"
    assert series[1].isoformat() == "2024-07-01T02:00:00+02:00"
    assert series[2] is pd.NaT


def test_intervals() -> None:
    series, _ = build(1186, ["1 day 02:03:04.000005", "-00:00:01", "-2 days"])
    assert list(series) == [
        timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=5),
        timedelta(seconds=-1),
        timedelta(days=-2),
    ]


@pytest.mark.parametrize("text", ["1 mon", "1 year 2 mons 3 days", "infinity", "P1D", ""])
def test_an_interval_with_months_is_never_thirty_days(text: str) -> None:
    series, notes = build(1186, ["1 day", text])
    assert list(series) == ["1 day", text]
    assert "server's text" in notes[0]


def test_a_value_beyond_the_type_keeps_the_column_as_objects() -> None:
    series, notes = build(1082, [date(2024, 1, 1), "10000-01-01"])
    assert list(series) == [date(2024, 1, 1), "10000-01-01"]
    assert notes


def test_lists_of_equal_length_do_not_become_a_table() -> None:
    series, _ = build(1007, [[1, 2], [3, 4], [5, 6]])
    assert series.shape == (3,)
    assert not isinstance(series[0], np.ndarray)


def test_repeated_column_names_get_a_number_and_a_note() -> None:
    names, notes = unique_names(["a", "b", "a", "a", "a_1"])
    assert names == ["a", "b", "a_2", "a_3", "a_1"]
    assert len(set(names)) == 5
    assert notes == ["second column a renamed to a_2", "second column a renamed to a_3"]


def test_a_real_is_rounded_once() -> None:
    """The server's digits, read as a double, lie halfway between two reals, and mean the odd one."""
    series, _ = build(700, [float("7.038531e-26"), None, 1.5])
    assert str(series[0]) == "7.038531e-26"
    assert series[2] == 1.5


def test_an_interval_with_a_plus_sign_is_a_timedelta() -> None:
    series, notes = build(1186, ["-1 days +02:03:00"])
    assert (series[0], notes) == (pd.Timedelta(days=-1, hours=2, minutes=3), [])


@pytest.mark.parametrize(
    ("precision", "scale", "arrow"),
    [
        (10, 2, pa.decimal128(10, 2)),
        (5, 0, pa.decimal128(5, 0)),
        (3, -2, pa.decimal128(5, 0)),
        (3, 5, pa.decimal128(5, 5)),
        (39, 1, pa.decimal256(39, 1)),
        (76, 76, pa.decimal256(76, 76)),
        (77, 0, None),
        (2, -75, None),
        (1000, 1000, None),
    ],
)
def test_a_declared_numeric_is_a_decimal_of_its_digits(precision: int, scale: int, arrow: pa.DataType | None) -> None:
    modifier = ((precision << 16) | (scale & 0x7FF)) + 4  # make_numeric_typmod in PostgreSQL's numeric.c
    assert columns.declared_decimal(modifier) == arrow
    assert columns.declared_decimal(-1) is None
