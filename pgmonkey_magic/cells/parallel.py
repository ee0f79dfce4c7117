"""`--parallel`: one big result over several connections of the pool, in one snapshot, as if it came over one.

The first connection asks whether the query can be split (results/splitting.py). Then the parts lie in a queue from
which each connection takes the next one, the first of them too: none is idle while another has much to do, one that is
wanted elsewhere goes after its part, and one that cannot join leaves its share to the others. The rows are put together
in the order of the parts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.pq import TransactionStatus

from pgmonkey_magic.cells.progress import Stopped
from pgmonkey_magic.cells.ways import AsItIs, Part, Statement, StatementFailed, Way, check_whole
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import DEFAULT, Output, Pieces, Unsplit, put_together, query, split_query, suits
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.ways import Connection, Exchange
    from pgmonkey_magic.results import Parameters, Piece, Split

LOOK_S = 0.1
"""How often the first connection, when it waits for the others, looks whether the job was cancelled."""


@dataclass(frozen=True)
class Parallel(Way):
    """A query's rows over up to so many `connections`; what cannot be split comes over one, and a note says why.

    `is_alone` tells that the cell holds no other statement. Raises RequestError for less than two connections.
    """

    connections: int
    output: Output = DEFAULT
    is_alone: bool = True
    option: ClassVar[str] = "--parallel"
    blocks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole(self.option, self.connections)
        if self.connections < 2:
            raise RequestError(f"{self.option} takes at least 2 connections, not {self.connections}")

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Run it. Where it is not split, nothing is left of the attempt."""
        began_at = time.monotonic()
        try:
            self._check(exchange, command)
            work = yield from self._split(exchange, command, parameters)
        except Unsplit as reason:
            if command.opening and exchange.conn.pgconn.transaction_status != TransactionStatus.IDLE:
                yield from query(exchange.conn.pgconn, b"ROLLBACK")
            asked_s = time.monotonic() - began_at
            whole = yield from AsItIs(self.output).run(exchange, command, parameters)
            note = f"parallel 1 of {self.connections}: {reason}"
            statements = tuple(_noted(each, note) for each in whole.statements)
            return Part(statements, asked_s + whole.execute_s, whole.fetch_s)
        try:
            yield from work.run()
        except psycopg.Error as error:
            raise StatementFailed(command, error) from error
        return work.part(self.connections, began_at)

    def _check(self, exchange: Exchange, command: Command) -> None:
        """Raise Unsplit where the pool, the cell or its first words do not allow it."""
        opening = split(command.opening)
        if exchange.crew.refusal:
            raise Unsplit(exchange.crew.refusal)
        if not self.is_alone:
            raise Unsplit("the cell holds several statements")
        if not opening or opening[0].words[:1] != ("begin",):
            raise Unsplit("the cell has no transaction of its own")
        if "serializable" in opening[0].words:
            raise Unsplit("the snapshot is REPEATABLE READ")
        if not suits(command.text):
            raise Unsplit("only SELECT … FROM one table [WHERE …] can be split")

    def _split(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[_Work]:
        try:
            found = yield from split_query(exchange.conn, command.text, parameters, command.opening)
        except psycopg.Error as error:
            raise StatementFailed(command, error) from error
        work = _Work(exchange, found, self.output)
        if not work.hire(self.connections):
            raise Unsplit("no other connection is idle")
        return work


class _Work:
    """A split query and those who fetch it."""

    def __init__(self, exchange: Exchange, found: Split, output: Output) -> None:
        self._exchange = exchange
        self._split = found
        self._output = output
        self._left = deque(range(len(found.copies)))
        self._pieces: dict[int, Piece] = {}
        self._workers: set[Pieces] = set()
        self._counting = threading.Lock()

    def hire(self, connections: int) -> bool:
        """Have others begin; tell whether there are any."""
        return self._exchange.crew.hire(min(connections, len(self._left)) - 1, self._help) > 0

    def run(self) -> PQGen[None]:
        """Fetch over the first connection, and wait for the others. Raises the first failure of any of them."""
        crew, session = self._exchange.crew, self._session(self._exchange.conn)
        while crew.failure is None and self._left:  # once more for what others have left behind
            try:
                yield from self._fetch(session)
            except BaseException as failure:  # noqa: BLE001 - raised below, when the others have ended too
                crew.fail(failure)
            while not crew.join(LOOK_S):
                if self._exchange.progress.stopped:
                    crew.fail(Stopped())
        if crew.failure is not None:
            raise crew.failure

    def _help(self, conn: Connection) -> PQGen[None]:
        session = self._session(conn)
        if (yield from session.join()):
            with suppress(LockNotAvailable):  # its part is in the queue again, for one who has the lock
                yield from self._fetch(session, stays=lambda: not self._exchange.crew.is_wanted_elsewhere())
        yield from session.leave()

    def _fetch(self, session: Pieces, stays: Callable[[], bool] = lambda: True) -> PQGen[None]:
        """Fetch part after part, as long as there are any and it stays."""
        while self._exchange.crew.failure is None and stays():
            try:
                number = self._left.popleft()
            except IndexError:
                return
            try:
                self._pieces[number] = yield from session.fetch(number)
            except BaseException:
                self._left.appendleft(number)
                raise
            self._workers.add(session)

    def _session(self, conn: Connection) -> Pieces:
        return Pieces(conn, self._split, self._output, self._advance)

    def _advance(self, nbytes: int, rows: int) -> None:
        with self._counting:
            self._exchange.progress.advance(nbytes, rows)

    def part(self, connections: int, began_at: float) -> Part:
        """Return what has come since a time, in `time.monotonic()` seconds."""
        pieces = [self._pieces[number] for number in sorted(self._pieces)]
        rows = sum(piece.drained.rows for piece in pieces)
        first_at = min(piece.drained.first_byte_at for piece in pieces)
        last_at = max(piece.drained.complete_at for piece in pieces)
        statement = Statement(f"SELECT {rows}", rows, lambda: put_together(pieces))
        why = "" if len(self._workers) > 1 else ": the others came too late to help"
        note = f"parallel {len(self._workers)} of {connections}{why}"
        return Part((_noted(statement, note),), first_at - began_at, last_at - first_at)


def _noted(statement: Statement, note: str) -> Statement:
    read = statement.content
    return statement if read is None else replace(statement, content=lambda: read().noted(note))
