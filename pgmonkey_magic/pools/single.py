"""One connection without a pool: the connection types `normal` and `async`.

Unlike a pool, entering the block connects where needed and leaving it closes, as in pgmonkey.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools.committing import CommitLost, commit, settle
from pgmonkey_magic.pools.connecting import NamingTheCure, connect_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

    from pgmonkey_magic.config import Config

NOT_CONNECTED = "this connection is not open; use `with connection as conn:` or call connect() first"


class PGConnection:
    """A single sync connection; `with connection as conn:` commits, or rolls back on an exception, and closes."""

    connection_type = "normal"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connection: psycopg.Connection[Any] | None = None

    def connect(self) -> None:
        """Connect, unless connected. Raises psycopg.OperationalError with the server's reason."""
        if self.connection is None or self.connection.closed:
            with NamingTheCure(self.config):
                self.connection = psycopg.connect(**connect_parameters(self.config, self.connection_type))

    def disconnect(self) -> None:
        """Close the connection; what was not committed is rolled back by the server."""
        conn, self.connection = self.connection, None
        if conn is not None:
            conn.close()

    def __enter__(self) -> psycopg.Connection[Any]:
        self.connect()
        return self._open()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        conn = self._open()
        try:
            if exc_type is None:
                with conn.lock:
                    conn.wait(commit(conn, writes=True))
            else:
                with suppress(psycopg.OperationalError):  # a lost connection is rolled back by the server
                    conn.rollback()
        except CommitLost as lost:
            settle(self.config, self.connection_type, lost)
        finally:
            self.disconnect()

    def cursor(self) -> psycopg.Cursor[Any]:
        """Return a new cursor."""
        return self._open().cursor()

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        self._open().commit()

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        self._open().rollback()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Run a block in a transaction, or in a savepoint inside one."""
        with self._open().transaction():
            yield self._open()

    def test_connection(self) -> None:
        """Ask the server for an answer; raises what goes wrong."""
        self._open().execute("SELECT 1")

    def _open(self) -> psycopg.Connection[Any]:
        if self.connection is None:
            raise RequestError(NOT_CONNECTED)
        return self.connection

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'open' if self.connection else 'closed'}>"


class PGAsyncConnection:
    """A single async connection; the twin of PGConnection. It belongs to the event loop that connected it."""

    connection_type = "async"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connection: psycopg.AsyncConnection[Any] | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Connect, unless connected. Raises psycopg.OperationalError with the server's reason."""
        async with self._connecting:
            if self.connection is None or self.connection.closed:
                with NamingTheCure(self.config):
                    self.connection = await psycopg.AsyncConnection.connect(
                        **connect_parameters(self.config, self.connection_type)
                    )

    async def disconnect(self) -> None:
        """Close the connection; what was not committed is rolled back by the server."""
        conn, self.connection = self.connection, None
        if conn is not None:
            await conn.close()

    async def __aenter__(self) -> psycopg.AsyncConnection[Any]:
        await self.connect()
        return self._open()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        conn = self._open()
        try:
            if exc_type is None:
                async with conn.lock:
                    await conn.wait(commit(conn, writes=True))
            else:
                with suppress(psycopg.OperationalError):  # a lost connection is rolled back by the server
                    await conn.rollback()
        except CommitLost as lost:
            await asyncio.to_thread(settle, self.config, self.connection_type, lost)
        finally:
            await self.disconnect()

    @asynccontextmanager
    async def cursor(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        """Open a new cursor."""
        async with self._open().cursor() as cur:
            yield cur

    async def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        await self._open().commit()

    async def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        await self._open().rollback()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Run a block in a transaction, or in a savepoint inside one."""
        async with self._open().transaction():
            yield self._open()

    async def test_connection(self) -> None:
        """Ask the server for an answer; raises what goes wrong."""
        await self._open().execute("SELECT 1")

    def _open(self) -> psycopg.AsyncConnection[Any]:
        if self.connection is None:
            raise RequestError(NOT_CONNECTED)
        return self.connection

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'open' if self.connection else 'closed'}>"
