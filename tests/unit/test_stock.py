"""The private names of psycopg_pool that pools/stock.py uses are still there, with the meaning that it relies on."""

import asyncio
import inspect
import threading
from collections import deque

import psycopg_pool
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool, pool, pool_async


async def opened() -> AsyncConnectionPool:
    async with AsyncConnectionPool(open=False, min_size=0, max_size=1) as stock:
        return stock


def test_private_state_of_the_stock_pools() -> None:
    assert psycopg_pool.__version__.startswith("3.3.")
    for stock in (ConnectionPool(open=False, min_size=0, max_size=3), asyncio.run(opened())):
        assert isinstance(stock._waiting, deque)
        assert isinstance(stock._pool, deque)
        assert (stock._nconns, stock._nconns_min, stock._min_size) == (0, 0, 0)
        assert stock._max_size in {1, 3}
        assert stock._growing is False
        assert stock._closed is True
        assert stock._drained_at == 0.0
        assert stock._stats[stock._REQUESTS_NUM] == 0
    assert isinstance(ConnectionPool(open=False, min_size=0, max_size=1)._lock, type(threading.RLock()))
    assert isinstance(asyncio.run(opened())._lock, asyncio.Lock)
    for stock in (ConnectionPool(open=False, min_size=0, max_size=3), asyncio.run(opened())):
        assert not inspect.iscoroutinefunction(stock._check_open_getconn)
        assert stock._jitter(100.0, -0.05, 0.0) == pytest.approx(97.5, abs=2.6)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_connect", ["self", "timeout"]),
        ("_getconn_unchecked", ["self", "timeout"]),
        ("_add_connection", ["self", "attempt", "growing"]),
        ("_add_to_pool", ["self", "conn"]),
        ("_close_connection", ["self", "conn"]),
        ("_shrink_pool", ["self"]),
        ("_maybe_grow_pool", ["self"]),
        ("_check_size", ["self", "min_size", "max_size"]),
        ("schedule_task", ["self", "task", "delay"]),
    ],
)
def test_private_methods_of_the_stock_pools(name: str, parameters: list[str]) -> None:
    for kind in (ConnectionPool, AsyncConnectionPool):
        assert list(inspect.signature(getattr(kind, name)).parameters) == parameters
    waits = inspect.iscoroutinefunction(getattr(AsyncConnectionPool, name))
    assert waits is (name not in {"_check_size", "_maybe_grow_pool"})


def test_tasks_and_waiting_clients() -> None:
    assert not inspect.iscoroutinefunction(pool.WaitingClient.fail)
    assert inspect.iscoroutinefunction(pool_async.WaitingClient.fail)
    for module in (pool, pool_async):
        assert callable(module.WaitingClient.set)
        for task in (module.AddConnection, module.ShrinkPool):
            assert callable(task.tick)
