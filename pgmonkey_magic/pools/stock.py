"""The stock pools of psycopg_pool with the one thing that they do not tell: that, and why, nobody can connect.

A stock pool lets its queue wait out the whole timeout while every attempt to connect fails, then raises PoolTimeout
without the reason. Here the connection class watches its own `connect` (public), and where no connection is alive, the
waiting requests are failed with the reason at once.

Private names used, all of psycopg_pool 3.3: `_waiting`, `_lock` and `WaitingClient.fail`. `tests/unit/test_stock.py`
fails when one of them is gone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgmonkey_magic.pools.unavailable import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgmonkey_magic.config import PoolSettings

logger = logging.getLogger("pgmonkey_magic.pools")

# Without any logging set up, Python prints psycopg_pool's warnings, one per attempt, into the notebook. What matters of
# them is said once per change of state below, and in the errors.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class ConnectFailed(Exception):  # noqa: N818 - carries the error to the waiting request; never seen by a user
    """Ends the wait of a queued request; `__cause__` is why nobody can connect."""


class ConnectWatch:
    """Remembers whether the last attempt to connect failed, and says each change of that once in the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.error: psycopg.Error | None = None

    def failed(self, error: psycopg.Error) -> None:
        """Note a failed attempt."""
        if self.error is None:
            logger.warning("pool %s cannot connect: %s", self._name, one_line(error))
        self.error = error

    def succeeded(self) -> None:
        """Note that the server can be reached."""
        if self.error is not None:
            logger.warning("pool %s can connect again", self._name)
        self.error = None


def _refusal(error: psycopg.Error) -> ConnectFailed:
    # One per waiter: an exception raised in several threads would mix their tracebacks.
    refusal = ConnectFailed()
    refusal.__cause__ = error
    return refusal


def _shared_arguments(settings: PoolSettings) -> dict[str, Any]:
    return {
        "open": False,
        "min_size": settings.min_size,
        "max_size": settings.max_size,
        "timeout": settings.timeout,
        "max_idle": settings.max_idle,
        "max_lifetime": settings.max_lifetime,
        "max_waiting": settings.max_waiting,
        "reconnect_timeout": settings.reconnect_timeout,
        "num_workers": settings.num_workers,
    }


def sync_stock_pool(
    settings: PoolSettings,
    parameters: Callable[[], dict[str, Any]],
    watch: ConnectWatch,
    nobody_can_serve: Callable[[], bool],
) -> ConnectionPool[psycopg.Connection[Any]]:
    """Return an unopened ConnectionPool. *parameters* is called per connection, so the pool itself holds no secret."""

    class WatchedConnection(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            try:
                conn = super().connect(conninfo, **kwargs)
            except psycopg.Error as error:
                watch.failed(error)
                if nobody_can_serve():
                    with pool._lock:  # noqa: SLF001
                        waiting, pool._waiting = pool._waiting, type(pool._waiting)()  # noqa: SLF001
                    for client in waiting:
                        client.fail(_refusal(error))
                raise
            watch.succeeded()
            return conn

    check = ConnectionPool.check_connection if settings.check_on_checkout else None
    pool: ConnectionPool[Any] = ConnectionPool(
        connection_class=WatchedConnection, kwargs=parameters, check=check, **_shared_arguments(settings)
    )
    return pool


def async_stock_pool(
    settings: PoolSettings,
    parameters: Callable[[], dict[str, Any]],
    watch: ConnectWatch,
    nobody_can_serve: Callable[[], bool],
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Return an unopened AsyncConnectionPool; the twin of `sync_stock_pool`."""

    class WatchedAsyncConnection(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            try:
                conn = await super().connect(conninfo, **kwargs)
            except psycopg.Error as error:
                watch.failed(error)
                if nobody_can_serve():
                    async with pool._lock:  # noqa: SLF001
                        waiting, pool._waiting = pool._waiting, type(pool._waiting)()  # noqa: SLF001
                    for client in waiting:
                        await client.fail(_refusal(error))
                raise
            watch.succeeded()
            return conn

    check = AsyncConnectionPool.check_connection if settings.check_on_checkout else None
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        connection_class=WatchedAsyncConnection, kwargs=parameters, check=check, **_shared_arguments(settings)
    )
    return pool
