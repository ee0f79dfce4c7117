"""Parquet: rows by COPY BINARY, decoded and written while the server sends; its schema depends on the types alone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from pgmonkey_magic.cells.export.query import Query, Taker, Written
from pgmonkey_magic.cells.ways import StatementFailed, ask, fetched_by_copy
from pgmonkey_magic.results import Frame, Output, Reader, Wanted
from pgmonkey_magic.results.arrow_schema import FixedSchema

if TYPE_CHECKING:
    from concurrent.futures import Future
    from io import BufferedIOBase

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

GROUP_ROWS, GROUP_BYTES = 1 << 19, 32 << 20
"""A row group has about so many rows, or bytes in memory, at most; two of them are there at once."""


@dataclass(frozen=True)
class Parquet:
    """Columns of Arrow's types. `output` is of Arrow's kind, and says what numeric becomes."""

    output: Output

    def write(self, query: Query, target: BufferedIOBase) -> PQGen[Written]:
        """Run the query and write its rows.

        Raises what `ask` raises, RequestError for a value without a place in its column, OSError.
        """
        conn = query.exchange.conn
        schema = FixedSchema.of(query.description, conn.info.timezone, self.output)
        with ParquetWriter(target, schema.arrow) as writer, _Groups(writer, schema) as groups:
            if (command := query.with_columns(schema.as_text)) is not None:
                take = Taker(query, groups.take)
                wanted = Wanted(self.output, on_chunk=take, advance=query.exchange.progress.advance)
                try:
                    fetched = yield from fetched_by_copy(query.exchange, command, query.parameters, wanted)
                except StatementFailed as stopped:
                    raise take.failure or stopped from stopped.error
                if fetched is not None:
                    groups.end()
                    return Written(fetched.rows, fetched.execute_s, _since(fetched.first_byte_at), schema.notes)
            answer = yield from ask(query.exchange, query.command, query.parameters)
            result = answer.results[-1]
            frame = Reader(conn, result, self.output).frame()
            groups.take(Frame(_with_texts(frame.data, result, schema, conn.info.encoding), frame.notes))
            groups.end()
            return Written(result.ntuples, answer.execute_s, _since(answer.first_byte_at), schema.notes)


class _Groups:
    """Collects the parts of a result until they are a row group, which a thread writes while the next is collected."""

    def __init__(self, writer: ParquetWriter, schema: FixedSchema) -> None:
        self._writer = writer
        self._schema = schema
        self._parts: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._thread = ThreadPoolExecutor(1, "pgmonkey-parquet")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def take(self, frame: Frame) -> None:
        """Take a part. Raises RequestError for a value that does not fit, and what the last row group has raised."""
        part = self._schema.fitted(frame.data, frame.notes)
        self._parts.append(part)
        self._rows += part.num_rows
        self._bytes += part.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._hand_over()

    def end(self) -> None:
        """Write the rest."""
        self._hand_over()
        self._wait()

    def _hand_over(self) -> None:
        self._wait()
        if self._rows:
            group = pa.concat_tables(self._parts)
            self._writing = self._thread.submit(self._writer.write_table, group, GROUP_ROWS)
        self._parts = []
        self._rows = self._bytes = 0

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()


def _since(moment: float) -> float:
    return time.monotonic() - moment


def _with_texts(table: pa.Table, result: PGresult, schema: FixedSchema, encoding: str) -> pa.Table:
    """Return the table with the server's own text in each column that the schema has as text."""
    for i, is_text in enumerate(schema.as_text):
        if is_text:
            raws = [result.get_value(row, i) for row in range(result.ntuples)]
            texts = [None if raw is None else raw.decode(encoding) for raw in raws]
            table = table.set_column(i, table.column_names[i], pa.array(texts, pa.large_string()))
    return table
