"""Rows of COPY BINARY → columns: what is well formed, and what no server should send."""

import contextlib
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fix_wire import VALUES, decode, decoder, mutated, row, some_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmonkey_magic.results.batch import LOOK
from pgmonkey_magic.results.copy_format import PADDING, SIGNATURE, DecodeError, header_size
from pgmonkey_magic.results.output import Output

ONE = struct.pack(">i", 1)
CHILD = """
import random, resource, sys
from fix_wire import decode, mutated, some_rows
from pgmonkey_magic.results.copy_format import DecodeError
from pgmonkey_magic.results.output import Output
seed, count = map(int, sys.argv[1:])
chance = random.Random(seed)
decode([23], [])
grown = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + (512 << 20)
resource.setrlimit(resource.RLIMIT_AS, (grown, grown))
values = errors = 0
for _ in range(count):
    oids, rows = some_rows(chance)
    output = Output(chance.choice(("nullable", "numpy", "pyarrow")), chance.choice(("float", "exact")))
    try:
        decode(oids, mutated(chance, rows), output)
        values += 1
    except DecodeError:
        errors += 1
print(values, errors)
"""


def test_batches_follow_each_other() -> None:
    made = decoder([23, 25, 701, 16])
    rows = [row([struct.pack(">i", n), b"x" * n, None if n % 3 else struct.pack(">d", n), b"\1"]) for n in range(10)]
    for part in (rows[:4], rows[4:9], rows[9:]):
        made.take(b"".join(part) + PADDING, np.array([len(one) for one in part]))
    data = made.frame().data
    assert data["c0"].to_list() == list(range(10))
    assert data["c1"].to_list() == ["x" * n for n in range(10)]
    assert data["c2"].isna().to_list() == [bool(n % 3) for n in range(10)]
    assert data["c3"].dtype == bool
    assert made.frame().data.shape == (0, 4)


@pytest.mark.parametrize("count", [1, 90, 300, 1600])
def test_rows_wider_than_one_look(count: int) -> None:
    assert LOOK < 8 * 1600
    rows = [row([None if (r + c) % 7 == 5 else struct.pack(">i", r * c) for c in range(count)]) for r in range(4)]
    data = decode([23] * count, rows)
    expected = [[None if (r + c) % 7 == 5 else r * c for r in range(4)] for c in range(count)]
    found = [column.astype(object).where(column.notna(), None).to_list() for _, column in data.items()]
    assert found == expected


@pytest.mark.parametrize(
    ("oids", "rows", "message"),
    [
        ([23], [row([ONE, ONE])], "has not the 1 columns"),
        ([23, 23], [row([ONE])], "has not the 2 columns"),
        ([23], [b"\0\1"], "beyond its row|the 4 bytes"),
        ([23], [row([b"\0"])], "the 4 bytes"),
        ([23], [row([ONE]), row([ONE + b"\0"])], "the 4 bytes"),
        ([23], [row([ONE]) + b"\0"], "end with its last cell"),
        ([23], [b"\0"], "cut off"),
        ([23], [b"\0\1" + struct.pack(">i", -2)], "the 4 bytes"),
        ([25], [b"\0\1" + struct.pack(">i", -2)], "inside its row"),
        ([25], [b"\0\1" + struct.pack(">i", 2**31 - 1) + b"abc"], "inside its row"),
        ([25], [b"\0\1" + struct.pack(">i", 4) + b"abc", row([b"abc"])], "inside its row"),
        ([25], [row([b"\xff"])], "not UTF-8"),
        ([25], [row([b"\xc3"]), row([b"\xa9"])], "not UTF-8"),
        ([1700], [row([struct.pack(">hhHh", 1, 0, 0, 0)])], "length than its digits"),
        ([1700], [row([struct.pack(">hhHhh", 1, 0, 0, 0, 10_000)])], "digit beyond 9999"),
        ([1700], [row([struct.pack(">hhHh6h", 6, 0, 0, 0, 1, 1, 1, 1, 1, -1)])], "digit beyond 9999"),
        ([1700], [row([struct.pack(">hhHh", 0, 0, 0x1234, 0)])], "unknown sign"),
        ([1700], [row([b"\0"])], "length than its digits"),
        ([2950], [row([bytes(15)])], "the 16 bytes"),
        ([869], [row([b"\1"])], "no value of its type"),
    ],
)
def test_what_is_malformed_is_an_error(oids: list[int], rows: list[bytes], message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(oids, rows)


@pytest.mark.parametrize(
    "data",
    [b"", SIGNATURE, b"x" * 30, SIGNATURE + b"\0\1\0\0\0\0\0\0", SIGNATURE + b"\0\0\0\0\0\0\0\1"],
)
def test_what_is_no_header_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        header_size(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0))
def test_a_changed_buffer_is_a_value_or_an_error(seed: int) -> None:
    chance = random.Random(seed)
    oids, rows = some_rows(chance)
    output = Output(chance.choice(("nullable", "numpy", "pyarrow")), chance.choice(("float", "exact")))
    with contextlib.suppress(DecodeError):
        decode(oids, mutated(chance, rows), output)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4), st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_a_value_or_an_error(oids: list[int], rows: list[bytes]) -> None:
    with contextlib.suppress(DecodeError):
        decode(oids, rows)


def child(seed: int, count: int, timeout: float) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(seed), str(count)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    values, errors = map(int, done.stdout.split())
    return values, errors


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is taken from /proc")
def test_a_thousand_changed_buffers_in_little_memory() -> None:
    values, errors = child(1, 1000, 120)
    assert values > 100
    assert errors > 100


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_a_million_changed_buffers_in_little_memory() -> None:
    for seed in range(100):
        values, errors = child(seed, 10_000, 600)
        assert values + errors == 10_000
