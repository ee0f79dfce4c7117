"""Rows as COPY BINARY has them, made by hand, and changed as no server would."""

from __future__ import annotations

import random
import struct
from datetime import UTC

import numpy as np
from psycopg.adapt import Transformer

from pgmonkey_magic.results.copy_format import PADDING
from pgmonkey_magic.results.decoding import Decoder, Session
from pgmonkey_magic.results.output import DEFAULT, Output

VALUES: dict[int, list[bytes]] = {
    16: [b"\0", b"\1"],
    20: [struct.pack(">q", n) for n in (0, -1, 2**62)],
    21: [struct.pack(">h", n) for n in (0, -1)],
    23: [struct.pack(">i", n) for n in (0, 7)],
    26: [struct.pack(">I", n) for n in (0, 2**32 - 1)],
    700: [struct.pack(">f", n) for n in (0.5, float("nan"))],
    701: [struct.pack(">d", n) for n in (0.5, float("inf"))],
    1700: [
        struct.pack(">hhHh", 0, 0, 0, 0),
        struct.pack(">hhHh2h", 2, 0, 0x4000, 2, 1234, 5600),
        struct.pack(">hhHh6h", 6, 0, 0, 20, 3, 3333, 3333, 3333, 3333, 3333),
        struct.pack(">hhHh", 0, 0, 0xC000, 0),
    ],
    1082: [struct.pack(">i", n) for n in (0, 2**31 - 1, -800_000)],
    1114: [struct.pack(">q", n) for n in (0, 2**63 - 1, 10**15)],
    1184: [struct.pack(">q", n) for n in (0, -(2**63), 10**15)],
    1186: [struct.pack(">qii", *parts) for parts in ((0, 0, 0), (1, 2, 3), (2**63 - 1, 2**31 - 1, 2**31 - 1))],
    1083: [struct.pack(">q", n) for n in (0, 86_400_000_000)],
    1266: [struct.pack(">qi", *parts) for parts in ((0, -7200), (86_400_000_000, 3600))],
    25: [b"", b"abc", "é€🐒".encode()],
    17: [b"", b"\0\xff"],
    114: [b'{"a": [1, null]}', b'"x"'],
    3802: [b'\1{"a": 1}', b"\1null"],
    2950: [bytes(16), bytes(range(16))],
    869: [b"\2\x20\0\4\x0a\0\0\1", b"\3\x80\0\x10" + bytes(15) + b"\1"],
    650: [b"\2\x08\1\4\x0a\0\0\0"],
    1007: [b"{1,2}", b"{NULL}"],
    3904: [b"[1,5)", b"empty"],
    600: [b"(1,2)"],
}
"""By type: some values as they are sent. What has no builder of its own comes as text."""


def row(cells: list[bytes | None]) -> bytes:
    return struct.pack(">h", len(cells)) + b"".join(
        struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell for cell in cells
    )


def decoder(oids: list[int], output: Output = DEFAULT) -> Decoder:
    return Decoder([f"c{i}" for i in range(len(oids))], oids, Session(Transformer(), "utf-8", UTC, output))


def decode(oids: list[int], rows: list[bytes], output: Output = DEFAULT) -> object:
    made = decoder(oids, output)
    made.take(b"".join(rows) + PADDING, np.array([len(one) for one in rows], np.int64))
    return made.frame().data


def some_rows(chance: random.Random) -> tuple[list[int], list[bytes]]:
    """Return columns of some types, and well-formed rows of them."""
    oids = [chance.choice(list(VALUES)) for _ in range(chance.randint(1, 5))]
    null = chance.choice((0, 0, 0.3))
    return oids, [
        row([None if chance.random() < null else chance.choice(VALUES[oid]) for oid in oids])
        for _ in range(chance.randint(0, 6))
    ]


def mutated(chance: random.Random, rows: list[bytes]) -> list[bytes]:
    """Return the rows with some bytes changed, and sometimes cut elsewhere."""
    whole = bytearray(b"".join(rows))
    sizes = [len(one) for one in rows]
    for _ in range(chance.randint(1, 4)):
        if not whole:
            break
        at = chance.randrange(len(whole))
        match chance.randrange(4):
            case 0:
                whole[at] = chance.randrange(256)
            case 1:
                whole[at] ^= 1 << chance.randrange(8)
            case 2:
                whole[at : at + 4] = struct.pack(">i", chance.choice((-1, -2, 0, 1, 2**31 - 1, -(2**31), 1 << 20)))[
                    : len(whole[at : at + 4])
                ]
            case 3:
                sizes[chance.randrange(len(sizes))] += chance.choice((-2, -1, 1, 4))
    found, position = [], 0
    for size in sizes:
        found.append(bytes(whole[position : position + max(size, 0)]))
        position += max(size, 0)
    return found
