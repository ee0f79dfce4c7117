"""`--as chunks`: a result of any size, as an iterator of DataFrames of bounded memory.

The job's own thread fetches, one chunk ahead of whoever reads, and the server waits meanwhile: what is not read stays
there. The connection is borrowed until the last chunk was read, or `close`.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pgmonkey_magic.cells.progress import Stopped
from pgmonkey_magic.cells.ways import AsItIs, Exchange, Part, Statement, Way, check_whole, fetched_by_copy
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import DEFAULT, Output, Wanted, suits
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from types import TracebackType

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.job import Job
    from pgmonkey_magic.results import Frame, Parameters

CHUNK_ROWS = 100_000
LOOK_S = 0.1
"""How often either side looks whether the other has gone."""


class Channel:
    """Hands one chunk at a time from the job's thread to the reader's."""

    def __init__(self) -> None:
        self._frames: queue.Queue[Frame] = queue.Queue(maxsize=1)
        self._closed = threading.Event()

    def put(self, frame: Frame) -> None:
        """Wait until there is room, and hand it over. Raises Stopped where nobody reads any more."""
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._frames.put(frame, timeout=LOOK_S)
                return
        raise Stopped

    def get(self) -> Frame | None:
        """Wait a little for the next chunk; None where there is none yet."""
        with suppress(queue.Empty):
            return self._frames.get(timeout=LOOK_S)
        return None

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """Take no more."""
        self._closed.set()
        with suppress(queue.Empty):
            self._frames.get_nowait()


@dataclass(frozen=True)
class InChunks(Way):
    """The rows of one query go into `channel` in chunks of `rows`, at least 1. Raises RequestError for others."""

    rows: int = CHUNK_ROWS
    output: Output = DEFAULT
    channel: Channel = field(default_factory=Channel)
    option: ClassVar[str] = "--as chunks"
    blocks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("--chunk-rows", self.rows)
        if self.rows == 0:
            raise RequestError("--chunk-rows takes at least 1")

    @classmethod
    def of(cls, sql: str, output: Output, rows: int | None) -> Self:
        """Return the way for *sql*, in chunks of the usual size where *rows* is None.

        Raises RequestError where it is not one query, too.
        """
        if len(split(sql)) != 1:
            raise RequestError("--as chunks is for one query; run the other statements in a cell of their own")
        return cls(CHUNK_ROWS if rows is None else rows, output)

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Fetch; what cannot be copied arrives as a whole and is handed over in pieces."""
        wanted = Wanted(self.output, None, self.channel.put, self.rows, exchange.progress.advance)
        if suits(command.text):
            fetched = yield from fetched_by_copy(exchange, command, parameters, wanted)
            if fetched is not None:
                return Part((Statement(fetched.tag, fetched.rows, None),), fetched.execute_s, fetched.fetch_s)
            command = command.opened()
        whole = yield from AsItIs(self.output).run(exchange, command, parameters)
        for statement in whole.statements:
            if statement.content is not None:
                frame = statement.content()
                for start in range(0, max(statement.rowcount or 0, 1), self.rows):
                    self.channel.put(frame.piece(start, self.rows))
        return Part(
            tuple(Statement(statement.tag, statement.rowcount, None) for statement in whole.statements),
            whole.execute_s,
            whole.fetch_s,
        )


class Chunks:
    """An iterator of DataFrames. Close it, or use it in a `with` block, to give the connection back before its end.

    Raises from `next` what the query raises. `rows` counts what was read. An interrupt while it waits closes it.
    """

    def __init__(self, job: Job, channel: Channel) -> None:
        self.rows = 0
        self._job = job
        self._channel = channel
        self._first: Frame | None = None

    @classmethod
    def begin(cls, job: Job, channel: Channel) -> Self:
        """Wait for the first chunk of a job in the way InChunks. Raises what is wrong with its query."""
        chunks = cls(job, channel)
        chunks._first = chunks._next()
        return chunks

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        first, self._first = self._first, None
        frame = first if first is not None else self._next()
        if frame is None:
            raise StopIteration
        self.rows += len(frame.data)
        return frame.data

    def _next(self) -> Frame | None:
        try:
            while not self._channel.closed:
                ended = self._job.done()  # before the look: what it has put is there
                if (frame := self._channel.get()) is not None:
                    return frame
                if ended:
                    self._job.outcome()
                    break
        except KeyboardInterrupt:
            self.close()
            raise
        return None

    def close(self) -> None:
        """Cancel what is left of the query and give its connection back. Twice does no harm."""
        self._first = None
        self._channel.close()
        if not self._job.done():
            self._job.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._channel.close()
        if not self._job.done():
            # Garbage is collected in any thread, which must not wait for a server.
            with suppress(RuntimeError):  # the interpreter ends, and with it the connection
                threading.Thread(target=self._job.cancel, daemon=True).start()

    def __repr__(self) -> str:
        state = "read to the end" if self._job.done() else f"connection of pool {self._job.pool_name} is in use"
        return f"<Chunks of {self._job.request.holder.query} · {self.rows:,} rows read · {state}>"
