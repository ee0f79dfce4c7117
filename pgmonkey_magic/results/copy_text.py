r"""A DataFrame → the text format of COPY FROM STDIN.

Source: PostgreSQL's documentation of COPY, "Text Format": a line for each row, tabs between values, `\N` for NULL, a
backslash before what would be read as a part of the format.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import PyFormat, Transformer

from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from psycopg import abc

ROWS_AT_ONCE = 5_000
_SPECIAL = re.compile(rb"[\\\b\t\n\v\f\r]")
_ESCAPES = {b"\\": rb"\\", b"\b": rb"\b", b"\t": rb"\t", b"\n": rb"\n", b"\v": rb"\v", b"\f": rb"\f", b"\r": rb"\r"}


def copy_text(
    frame: pd.DataFrame,
    conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    adapted: Callable[[Any], Any],
) -> Iterator[bytes]:
    """Yield the rows of *frame*, without its index, as they follow COPY table (columns) FROM STDIN.

    Missing values become NULL. *adapted* gives the value that means the same to psycopg, whose text it is sent as.
    Raises RequestError, which names the column, for a value that psycopg cannot send.
    """
    transformer = Transformer(conn)
    for start in range(0, len(frame), ROWS_AT_ONCE):
        block = frame.iloc[start : start + ROWS_AT_ONCE]
        columns = [_texts(block.iloc[:, i], transformer, adapted) for i in range(block.shape[1])]
        yield b"".join(b"\t".join(row) + b"\n" for row in zip(*columns, strict=True))


def _texts(column: Any, transformer: abc.Transformer, adapted: Callable[[Any], Any]) -> list[bytes]:
    missing = column.isna().tolist()
    try:
        return [
            rb"\N" if is_missing else _SPECIAL.sub(_escape, _dumped(adapted(value), transformer))
            for value, is_missing in zip(column.tolist(), missing, strict=True)
        ]
    except psycopg.Error as error:
        raise RequestError(f"column {column.name} cannot be sent: {' '.join(str(error).split())}") from error


def _dumped(value: Any, transformer: abc.Transformer) -> bytes:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        # numpy holds whole numbers beside missing ones as floats, and "1.0" is no integer to the server.
        value = int(value)
    if (text := transformer.get_dumper(value, PyFormat.TEXT).dump(value)) is None:
        return rb"\N"
    return bytes(text)


def _escape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES[match[0]]
