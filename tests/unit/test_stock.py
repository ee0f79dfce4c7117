"""The private names of psycopg_pool that pools/stock.py uses are still there, with the meaning that it relies on."""

import asyncio
import inspect
from collections import deque

import psycopg_pool
from psycopg_pool import AsyncConnectionPool, ConnectionPool, pool, pool_async


async def opened() -> AsyncConnectionPool:
    async with AsyncConnectionPool(open=False, min_size=0, max_size=1) as stock:
        return stock


def test_private_names_of_the_stock_pools() -> None:
    assert psycopg_pool.__version__.startswith("3.3.")
    for stock in (ConnectionPool(open=False, min_size=0, max_size=1), asyncio.run(opened())):
        assert isinstance(stock._waiting, deque)
        assert hasattr(stock, "_lock")
    assert not inspect.iscoroutinefunction(pool.WaitingClient.fail)
    assert inspect.iscoroutinefunction(pool_async.WaitingClient.fail)
