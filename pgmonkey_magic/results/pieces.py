"""The parts of a split query as they come over several sessions, and how they are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.results.copy_out import drain
from pgmonkey_magic.results.describe import notices_of
from pgmonkey_magic.results.wire import query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import PQGen

    from pgmonkey_magic.results.copy_out import Drained
    from pgmonkey_magic.results.decoding import Decoder, Session
    from pgmonkey_magic.results.frame import Connection, Frame
    from pgmonkey_magic.results.output import Output
    from pgmonkey_magic.results.splitting import Split


@dataclass(frozen=True, slots=True)
class Piece:
    """A part that has arrived."""

    decoder: Decoder
    drained: Drained


class _Sink:
    def __init__(self, decoder: Decoder, advance: Callable[[int, int], None]) -> None:
        self.batch_bytes = decoder.batch_bytes
        self.take = decoder.take
        self._advance = advance

    def advance(self, nbytes: int, rows: int) -> None:
        self._advance(nbytes, rows)


class Pieces:
    """Fetches parts over one session, which sees what the others see."""

    def __init__(self, conn: Connection, split: Split, output: Output, advance: Callable[[int, int], None]) -> None:
        # Here, not above: loading the extension must not wait for pandas and Arrow.
        from pgmonkey_magic.results.decoding import Session  # noqa: PLC0415

        self._conn = conn
        self._split = split
        self._session: Session = Session.of(conn, output)
        self._advance = advance

    def join(self) -> PQGen[bool]:
        """Begin a transaction that sees what the first session sees; tell whether values look the same here as there.

        Raises psycopg.Error, also where the first session has ended its transaction already.
        """
        answer = yield from query(self._conn.pgconn, self._split.joining)
        (settings,) = (result.get_value(0, 0) for result in answer.results if result.nfields)
        return settings == self._split.settings

    def leave(self) -> PQGen[None]:
        """End the transaction."""
        yield from query(self._conn.pgconn, b"ROLLBACK")

    def fetch(self, number: int) -> PQGen[Piece]:
        """Fetch a part. Raises the psycopg error of the server, DecodeError, and what *advance* raises.

        Where this session has joined, LockNotAvailable means that it cannot have a lock on a table soon enough.
        """
        from pgmonkey_magic.results.decoding import Decoder  # noqa: PLC0415 - as above

        described = self._split.description
        decoder = Decoder(described.names, described.oids, self._session, described.modifiers)
        # What the server has to say of the text itself is heard once, with the first part.
        with notices_of(self._conn.pgconn, described.notices if number else ()):
            drained = yield from drain(self._conn.pgconn, self._split.copies[number], _Sink(decoder, self._advance))
        return Piece(decoder, drained)


def put_together(pieces: Sequence[Piece]) -> Frame:
    """Return all rows, in the order of the pieces, which hold nothing afterwards."""
    first, *others = (piece.decoder for piece in pieces)
    first.extend(others)
    return first.frame()
