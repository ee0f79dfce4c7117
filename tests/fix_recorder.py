"""What a client really sends to PostgreSQL and what it is answered, heard on the wire.

A Recorder stands between a client and the server on a Unix socket and writes down each statement string with its
results as the server's bytes. psql and a cell are compared by what was written down, so no output format and no
conversion is between them.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import struct
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

PORT = 5432
CANCEL = 80877102
"""The protocol's code for a cancel request, in the place of a version."""


@dataclass(slots=True)
class Outcome:
    """One result: the columns' names and the rows as they stand in the protocol's messages, the command tag, an error.

    `error` is SQLSTATE, message and position. What COPY TO STDOUT sends are rows without columns.
    """

    columns: tuple[str, ...] | None = None
    rows: list[bytes] = field(default_factory=list)
    tag: str = ""
    error: tuple[str, str, str] | None = None

    def __repr__(self) -> str:
        if self.error:
            return f"ERROR {self.error}"
        rows = [values_of(row) for row in self.rows[:5]] if self.columns is not None else self.rows[:5]
        return f"{self.tag}: {len(self.rows)} rows of {self.columns}: {rows}"


@dataclass(slots=True)
class Exchange:
    """One statement string and all that came back for it; `line` counts the connections from 0.

    Where `parsed` is not None it holds statements of the extended protocol up to a Sync, in the place of `text`; one
    that was only described has an outcome with columns and no tag. `sent` holds the data for each COPY FROM STDIN.
    """

    line: int
    text: bytes
    parsed: list[bytes] | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    notices: list[tuple[str, str]] = field(default_factory=list)
    sent: list[list[bytes]] = field(default_factory=list)
    copies: bool = False


def values_of(row: bytes) -> tuple[bytes | None, ...]:
    """Read the body of a DataRow message."""
    values: list[bytes | None] = []
    position = 2
    for _ in range(struct.unpack("!h", row[:2])[0]):
        (size,) = struct.unpack_from("!i", row, position)
        position += 4
        values.append(None if size < 0 else row[position : position + size])
        position += max(size, 0)
    return tuple(values)


class Recorder:
    """Listens in `directory` for clients of the server at the socket *upstream*.

    While `is_deaf` it lets clients log in but answers each statement itself, with a tag only: what a client sends is
    then seen without anything happening.
    """

    def __init__(self, upstream: str) -> None:
        self.exchanges: list[Exchange] = []
        self.logins: dict[int, dict[str, str]] = {}
        self.is_deaf = False
        self.directory = Path(tempfile.mkdtemp(prefix="pgmonkey-"))
        self._upstream = upstream
        self.numbers = itertools.count()
        self._lines: list[_Line] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / f".s.PGSQL.{PORT}"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self) -> list[Exchange]:
        """Return what was written down since the last time."""
        taken, self.exchanges = self.exchanges, []
        return taken

    def settings(self, **further: Any) -> dict[str, Any]:
        """How to connect through it."""
        return {"host": str(self.directory), "port": PORT, "user": "postgres", "dbname": "postgres", **further}

    def close(self) -> None:
        """End every line and remove the socket."""
        for end in (self._listener, *(line.client for line in self._lines)):
            with contextlib.suppress(OSError):  # ended by itself
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        self._listener.close()
        for line in self._lines:
            line.ended.wait(10)
        shutil.rmtree(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in threads -------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._upstream)
                line = _Line(self, client, server)
                self._lines.append(line)
                threading.Thread(target=line.carry, daemon=True).start()


class _Line:
    """One client's connection: two threads, one for each direction."""

    def __init__(self, recorder: Recorder, client: socket.socket, server: socket.socket) -> None:
        self.recorder, self.client, self.server = recorder, client, server
        self.number = -1
        self.exchange: Exchange | None = None
        self.outcome = Outcome()
        self.is_ready = True
        self.ended = threading.Event()

    def carry(self) -> None:
        """Pass everything in both directions until both have ended."""
        answers = threading.Thread(target=self.pass_answers, daemon=True)
        answers.start()
        self.pass_requests()
        answers.join()
        self.client.close()
        self.server.close()
        self.ended.set()

    def pass_requests(self) -> None:
        with contextlib.suppress(OSError), self.client.makefile("rb") as reader:
            head = reader.read(8)
            size, version = struct.unpack("!ii", head)
            body = reader.read(size - 8)
            if version != CANCEL:
                self.number = next(self.recorder.numbers)
                words = [word.decode() for word in body.split(b"\0")]
                self.recorder.logins[self.number] = dict(zip(words[::2], words[1::2], strict=False))
            self.server.sendall(head + body)
            while kind := reader.read(1):
                length = reader.read(4)
                body = reader.read(struct.unpack("!i", length)[0] - 4)
                if self._request(kind, body):
                    self.server.sendall(kind + length + body)
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_WR)

    def _request(self, kind: bytes, body: bytes) -> bool:
        """Write a client's message down; tell whether it goes on to the server."""
        if kind == b"Q" or (kind in b"PB" and self.is_ready):
            text, parsed = (body[:-1], None) if kind == b"Q" else (b"", [])
            self.exchange, self.outcome, self.is_ready = Exchange(self.number, text, parsed), Outcome(), False
            self.recorder.exchanges.append(self.exchange)
            if self.recorder.is_deaf:
                self.is_ready = True
                self.client.sendall(b"C\0\0\0\7OK\0Z\0\0\0\5I")
                return False
        if kind == b"P" and self.exchange and self.exchange.parsed is not None:
            self.exchange.parsed.append(body.split(b"\0", 2)[1])
        elif kind == b"d" and self.exchange:
            self.exchange.sent[-1].append(body)
        return True

    def pass_answers(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := self.server.recv(1 << 18):
                pending = self._answers(pending + data)
                self.client.sendall(data)  # after it was written down, so that whoever has the answer finds it there
            self.client.shutdown(socket.SHUT_WR)

    def _answers(self, data: bytes) -> bytes:
        position = 0
        while position + 5 <= len(data):
            (size,) = struct.unpack_from("!i", data, position + 1)
            end = position + 1 + size
            if end > len(data):
                break
            if self.exchange is not None:
                self._answer(self.exchange, data[position : position + 1], data[position + 5 : end])
            position = end
        return data[position:]

    def _answer(self, exchange: Exchange, kind: bytes, body: bytes) -> None:
        outcome = self.outcome
        match kind:
            case b"T":
                outcome.columns = _columns(body)
            case b"D" | b"d":
                outcome.rows.append(body)
            case b"G":
                exchange.copies = True
                exchange.sent.append([])
            case b"H":
                exchange.copies = True
            case b"N":
                fields = _fields(body)
                exchange.notices.append((fields["V"], fields["M"]))
            case b"C" | b"E" | b"I":
                if kind == b"E":
                    fields = _fields(body)
                    outcome.error = (fields["C"], fields["M"], fields.get("P", ""))
                outcome.tag = body[:-1].decode() if kind == b"C" else ""
                exchange.outcomes.append(outcome)
                self.outcome = Outcome()
            case b"Z":
                if outcome.columns is not None:  # described, not run
                    exchange.outcomes.append(outcome)
                    self.outcome = Outcome()
                self.is_ready = True


def _columns(body: bytes) -> tuple[str, ...]:
    names: list[str] = []
    position = 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        end = body.index(b"\0", position)
        names.append(body[position:end].decode(errors="replace"))
        position = end + 1 + 18  # table, column, type, its size and modifier, format
    return tuple(names)


def _fields(body: bytes) -> dict[str, str]:
    return {chr(part[0]): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
