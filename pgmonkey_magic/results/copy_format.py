"""What frames the rows of COPY BINARY: its header, its end, and the error for an answer that is malformed.

Source: PostgreSQL's documentation, COPY, "Binary Format". Without numpy, which is not loaded before there are rows.
"""

from __future__ import annotations

import struct

from pgmonkey_magic.errors import PgMonkeyError


class DecodeError(PgMonkeyError):
    """The server's binary answer is malformed; no value of it is to be trusted."""


SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = len(SIGNATURE) + 8
"""Signature, flags, length of the extension."""
TRAILER = b"\xff\xff"
"""What stands after the last row."""
PADDING = bytes(1024)
"""What must follow the rows in a buffer that is decoded."""


def header_size(data: bytes | memoryview) -> int:
    """Return how many bytes stand before the first row. Raises DecodeError."""
    if len(data) < HEADER or bytes(data[: len(SIGNATURE)]) != SIGNATURE:
        raise DecodeError("the server's answer is not in COPY's binary format")
    flags, extension = struct.unpack_from(">II", data, len(SIGNATURE))
    if flags or extension > len(data) - HEADER:
        raise DecodeError(f"the server's answer has the COPY flags {flags:#x} or a cut header")
    return HEADER + extension
