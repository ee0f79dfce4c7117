"""The way of an upload: a DataFrame into a table by COPY, in the cell's own transaction.

    look      what the catalogue knows of the table, in one message with BEGIN
    prepare   CREATE TABLE where there is none
    send      TRUNCATE or CREATE TEMP TABLE, COPY, INSERT … ON CONFLICT: one message
    compare   its columns as they are now, in that message: from COPY's lock on nobody can change them

The bytes are made for the types that the table has (results/encoding/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField

from pgmonkey_magic.cells.binding import Command, adapted
from pgmonkey_magic.cells.destination import (
    QUESTIONS,
    Destination,
    TableName,
    identifier,
    identifiers,
    questions,
    shape_question,
)
from pgmonkey_magic.cells.ways import Exchange, Part, Statement, StatementFailed, Way, ask
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import CopyRefused, with_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from psycopg.abc import PQGen

    from pgmonkey_magic.results import Answer, Parameters
    from pgmonkey_magic.results.encoding import Source, Stream

MODES = ("fail", "append", "replace", "upsert")
STAGE = "pgmonkey_upload"
"""The temporary table of an upsert."""


@dataclass(frozen=True)
class Upload(Way):
    """The rows of `source` go into `table` in one of MODES; `key` are the columns by which an upsert finds its row."""

    source: Source
    table: TableName
    mode: str = "fail"
    key: tuple[str, ...] = ()
    option: ClassVar[str] = "upload"
    blocks: ClassVar[bool] = True

    @classmethod
    def of(cls, frame: Any, table: str, mode: str = "fail", key: Sequence[str] = ()) -> Self:
        """Read what is asked for. Raises RequestError for what cannot be uploaded, or not so."""
        from pgmonkey_magic.results.encoding import source_of  # noqa: PLC0415 - loading must not wait for Arrow

        if mode not in MODES:
            raise RequestError(f"--mode takes one of {', '.join(MODES)}, not {mode!r}")
        if key and mode != "upsert":
            raise RequestError(f"a key is for --mode upsert, and the mode is {mode}")
        if mode == "upsert" and not key:
            raise RequestError("--mode upsert needs --key COL[,COL…]: the columns by which a row is found")
        name, source = TableName.read(table), source_of(frame)
        for column in key:
            if column not in source.names:
                raise RequestError(f"the DataFrame has no column {column!r}, which the key names")
        if key:
            source.check_unique(key)
        return cls(source, name, mode, tuple(key))

    @property
    def statement(self) -> str:
        """The COPY that stands for the upload where cells are named."""
        return f"COPY {self.table.quoted(None)} FROM STDIN"

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:  # noqa: ARG002
        """Upload. Raises RequestError for a table or a value that does not fit; what was begun is rolled back."""
        talk = _Talk(exchange, self, command.opening)
        found = yield from talk.look()
        created = ""
        if not found.exists:
            created = talk.definition(found)
            found = yield from talk.look(f"{created};")
        elif self.mode == "fail":
            raise RequestError(
                f"table {found.name} exists already; choose --mode append, replace (its rows, not its definition) or "
                "upsert"
            )
        statement = yield from talk.send(found, is_new=bool(created))
        lines = (created,) if created else ()
        return Part((Statement(statement.tag, statement.rowcount, None, lines),), talk.seconds, 0.0)


def copied(exchange: Exchange, upload: Upload, command: Command) -> PQGen[Part]:
    """Do a person's own COPY … FROM STDIN with the rows of an upload; the table must exist."""
    talk = _Talk(exchange, upload, command.opening)
    found = yield from talk.look()
    if not found.exists:
        yield from ask(exchange, command.opened(), None)  # the server says so, and where
        raise RequestError(f"table {found.name} was made by another session meanwhile; run the cell again")
    statement = yield from talk.send(found, is_new=False)
    return Part((statement,), talk.seconds, 0.0)


@dataclass
class _Talk:
    """One upload over one connection; `seconds` that the server took so far."""

    exchange: Exchange
    asked: Upload
    opening: str
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.conn = self.exchange.conn
        self.columns = identifiers(self.asked.source.names, self.conn)

    def look(self, before: str = "") -> PQGen[Destination]:
        """Ask what the table is, after the statements *before*."""
        text = f"{before} {questions(self.asked.table, self.conn)}"
        answer = yield from self._ask(text)
        return Destination.of(self.asked.table, answer.results[-len(QUESTIONS) :], self.conn.info.encoding)

    def definition(self, found: Destination) -> str:
        """Return the CREATE TABLE for a table that is missing; the key of an upsert becomes its primary key."""
        from pgmonkey_magic.results.encoding import sql_types  # noqa: PLC0415

        types = sql_types(self.asked.source, Transformer(self.conn))
        parts = [
            f"{identifier([name], self.conn)} {kind}" for name, kind in zip(self.asked.source.names, types, strict=True)
        ]
        if self.asked.key:
            parts.append(f"PRIMARY KEY ({identifiers(self.asked.key, self.conn)})")
        return f"CREATE TABLE {found.name.quoted(self.conn)} ({', '.join(parts)})"

    def send(self, found: Destination, *, is_new: bool) -> PQGen[Statement]:
        """Send the rows, and what belongs to them."""
        stream = self._stream(found)
        table, mode = found.name.quoted(self.conn), "append" if is_new else self.asked.mode
        before, into, after = "", table, ""
        if mode == "replace":
            before = f"TRUNCATE {table};"
        elif mode == "upsert":
            into = identifier(["pg_temp", STAGE], self.conn)
            rows = f"SELECT {self.columns} FROM {table}"  # noqa: S608 - names, all of them quoted
            before = f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS {rows} WITH NO DATA;"
            after = f"{self._merge(found, into)}; DROP TABLE {into};"
        text = f"{before} COPY {into} ({self.columns}) FROM STDIN {stream.options}; {after}"
        feed = _Feed(self.exchange, stream)
        try:
            answer = yield from self._ask(f"{text} {shape_question(found.name, self.conn)}", feed)
        except StatementFailed as failed:
            raise StatementFailed(failed.command, self._placed(failed.error)) from failed.error
        if (answer.results[-1].get_value(0, 0) or b"").decode(self.conn.info.encoding) != found.shape:
            raise RequestError(f"table {found.name} was changed by another session meanwhile; upload again")
        wanted = b"INSERT " if mode == "upsert" else b"COPY "
        done = next(each for each in answer.results if (each.command_status or b"").startswith(wanted))
        return Statement((done.command_status or b"").decode(), done.command_tuples, None)

    def _stream(self, found: Destination) -> Stream:
        from pgmonkey_magic.results.encoding import Session, Stream  # noqa: PLC0415

        cure = "leave it out with df.drop(columns=…), or ALTER TABLE … ADD COLUMN first"
        if self.asked.mode == "replace":
            cure = "--mode replace keeps the table's definition: DROP TABLE first to have it made anew"
        types = found.types(self.asked.source.names, cure=cure)
        if self.asked.key and frozenset(self.asked.key) not in found.unique:
            keys = ", ".join(f"({', '.join(sorted(key))})" for key in found.unique) or "none"
            asked = f"({', '.join(self.asked.key)})"
            raise RequestError(
                f"table {found.name} has no unique index on {asked}, by which an upsert finds its rows; it has {keys}. "
                f"CREATE UNIQUE INDEX ON {found.name} {asked} makes one"
            )
        session = Session(Transformer(self.conn), self.conn.info.encoding, adapted)
        return Stream(self.asked.source, types, session)

    def _merge(self, found: Destination, stage: str) -> str:
        key = self.asked.key
        others = [name for name in self.asked.source.names if name not in key]
        quoted = [identifier([name], self.conn) for name in others]
        action = "UPDATE SET " + ", ".join(f"{name} = EXCLUDED.{name}" for name in quoted) if others else "NOTHING"
        into = f"{found.name.quoted(self.conn)} ({self.columns})"
        rows = f"SELECT {self.columns} FROM {stage}"  # noqa: S608 - as above
        return f"INSERT INTO {into} {rows} ON CONFLICT ({identifiers(key, self.conn)}) DO {action}"

    def _ask(self, text: str, feed: _Feed | None = None) -> PQGen[Answer]:
        if self.opening:
            text, self.opening = f"{self.opening}; {text}", ""
        # None of it was typed, so no position of an error in it means anything to the person.
        command = Command(text, origins=((0, -len(text) - 1),))
        answer = yield from ask(self.exchange, command, None, feed)
        self.seconds += answer.complete_at - answer.sent_at
        return answer

    def _placed(self, error: psycopg.Error) -> psycopg.Error:
        """Return the error with the frame's own word for the row, where the server has named a line of the COPY.

        The words around the number are translated by the server, their order is the same.
        """
        context = error.diag.context or ""
        match = re.search(rf"^COPY (?:{re.escape(self.asked.table.table)}|{STAGE}), \D*(\d+)", context, re.MULTILINE)
        if match is None:
            return error
        row = int(match[1]) - 1
        if not 0 <= row < self.asked.source.rows:
            return error
        return with_field(error, DiagnosticField.CONTEXT, f"{context}\nROW: {self.asked.source.called(row)}")


@dataclass
class _Feed:
    """Gives the data of the stream, and tells how far it is."""

    exchange: Exchange
    stream: Stream

    def data(self) -> Iterator[bytes]:
        for piece, rows in self.stream.pieces():
            self.exchange.progress.advance(len(piece), rows)
            yield piece  # type: ignore[misc] # psycopg takes any buffer

    def take(self, _data: bytes) -> None:
        raise CopyRefused
