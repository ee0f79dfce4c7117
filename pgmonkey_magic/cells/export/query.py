"""The query of an export: what its columns are, and whether the server can copy its rows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.cells.binding import Command
from pgmonkey_magic.cells.ways import StatementFailed
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.describe import as_subquery, describe
from pgmonkey_magic.results.fast import WRITES, only_statement
from pgmonkey_magic.results.literals import with_literals
from pgmonkey_magic.sql import Kind, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.ways import Exchange
    from pgmonkey_magic.results import Parameters
    from pgmonkey_magic.results.describe import Description

COPYABLE = WRITES | {"(", "select", "table", "values", "with"}
"""What a statement begins with that may stand in COPY (…); with RETURNING, where it is no query."""
CANCEL_TIMEOUT_S = 5.0
"""How long the server's answer to a cancel request is waited for."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement that returns rows, whose opening was sent."""

    exchange: Exchange
    command: Command
    parameters: Parameters | None
    description: Description

    @property
    def can_be_copied(self) -> bool:
        """Whether the statement is one that COPY takes."""
        return self._first in COPYABLE

    def with_columns(self, as_text: Sequence[bool]) -> Command | None:
        """Return the command with some of its columns *as text*, for COPY; the parameters stay.

        None where COPY does not take it so: WITH that changes data must stand at the top.
        """
        words = {token.text.lower() for token in tokens(self.command.text) if token.kind is Kind.WORD}
        if not self.can_be_copied:
            return None
        if WRITES.isdisjoint(words) or self._first in WRITES:
            return self._inside(*as_subquery(as_text, writes=self._first in WRITES))
        return None if any(as_text) else self.command

    def inside(self, before: str, after: str) -> Command | None:
        """Return the statement between two texts, with literals for the parameters; None where a value has none."""
        if self.parameters is None:
            return self._inside(before, after)
        statement = only_statement(self.command.text)
        statement = with_literals(self.exchange.conn, statement, self.parameters, self.description.parameters)
        if statement is None:
            return None
        text = before + statement + after
        # No position in it is one in the cell.
        return Command(text, origins=((0, -len(text)),))

    @property
    def _first(self) -> str:
        return next(token.text.lower() for token in tokens(self.command.text) if not token.is_blank)

    def _inside(self, before: str, after: str) -> Command:
        text = before + only_statement(self.command.text) + after
        return replace(self.command.after(before), text=text)


class Taker:
    """Hands what comes to *take*; where that fails, the server is told to send no more, and `failure` is why.

    Otherwise the error would have to wait until the last row of a long query has come and was dropped.
    """

    def __init__(self, query: Query, take: Callable[[Any], object]) -> None:
        self._conn: Any = query.exchange.conn  # a sync one: an export has a thread of its own
        self._take = take
        self.failure: Exception | None = None

    def __call__(self, piece: Any) -> None:
        """Take a piece. Raises what *take* raises."""
        try:
            self._take(piece)
        except Exception as failure:
            self.failure = failure
            with suppress(psycopg.Error):  # out of reach, or the query has just ended
                self._conn.cancel_safe(timeout=CANCEL_TIMEOUT_S)
            raise


@dataclass(frozen=True, slots=True)
class Written:
    """What has become of a query: rows, seconds until the first came and until the last was written, what to say."""

    rows: int
    execute_s: float
    fetch_s: float
    lines: tuple[str, ...] = ()


def described(exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Query]:
    """Send a command's opening and ask what its columns are.

    Raises StatementFailed for what is wrong with it, RequestError where it returns no columns.
    """
    conn = exchange.conn
    statement = only_statement(command.text).encode(conn.info.encoding)
    types = parameters.types if parameters is not None else ()
    try:
        description = yield from describe(conn.pgconn, statement, command.opening, types)
    except psycopg.Error as error:
        raise StatementFailed(command, error) from error
    if description is None:
        raise RequestError(
            "export takes a query that returns columns, and this statement returns none; run it as a cell of its own"
        )
    return Query(exchange, command.opened(), parameters, description)
