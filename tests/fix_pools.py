"""The same pool tests over both kinds: a Block borrows from a sync or an async pool with one synchronous face."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from pgmonkey_magic import PGConnectionManager


class SyncBlock:
    """`with SyncBlock(pool) as block: block.execute(...)` is `with pool as conn: conn.execute(...)`."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def __enter__(self) -> Self:
        self.conn = self.pool.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.pool.__exit__(*exc)

    def execute(self, sql: str) -> list[tuple]:
        cur = self.conn.execute(sql)
        return cur.fetchall() if cur.description else []


class AsyncBlock:
    """The same over an async pool, on an event loop of its own, all in one task context."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.loop = asyncio.new_event_loop()
        self.context = contextvars.copy_context()

    def run(self, coro: Any) -> Any:
        return self.loop.run_until_complete(self.loop.create_task(coro, context=self.context))

    def __enter__(self) -> Self:
        try:
            self.conn = self.run(self.pool.__aenter__())
        except BaseException:
            self.loop.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.run(self.pool.__aexit__(*exc))
        finally:
            self.loop.close()

    def execute(self, sql: str) -> list[tuple]:
        async def fetch() -> list[tuple]:
            cur = await self.conn.execute(sql)
            return await cur.fetchall() if cur.description else []

        return self.run(fetch())


class Kind:
    """One connection type: how to open a pool of it and how to borrow."""

    def __init__(self, connection_type: str) -> None:
        self.connection_type = connection_type
        self.section = f"{connection_type}_settings"
        self.block = SyncBlock if connection_type == "pool" else AsyncBlock

    def open(self, config: dict[str, Any], **settings: Any) -> Any:
        pool = PGConnectionManager().get_database_connection_from_dict(
            {**config, self.section: settings}, self.connection_type
        )
        return pool if self.connection_type == "pool" else asyncio.run(_awaited(pool))

    def open_file(self, path: Path) -> Any:
        pool = PGConnectionManager().get_database_connection(path, self.connection_type)
        return pool if self.connection_type == "pool" else asyncio.run(_awaited(pool))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


@pytest.fixture(params=["pool", "async_pool"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Both kinds of pool, one after the other; whatever the test opened is closed at its end."""
    yield Kind(request.param)
    PGConnectionManager().clear_cache()


def in_threads(count: int, work: Any) -> list[Any]:
    """Run `work(i)` in *count* threads at once; return their results in order, raise their first error."""
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def body(i: int) -> None:
        try:
            results[i] = work(i)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


def until(condition: Any, seconds: float = 10) -> None:
    """Wait for *condition*; fail where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def run_borrow(kind: Kind, pool: Any, timeout: float) -> None:
    """Borrow and give back."""
    if kind.connection_type == "pool":
        pool.give_back(pool.borrow(timeout=timeout))
    else:

        async def errand() -> None:
            await pool.give_back(await pool.borrow(timeout=timeout))

        asyncio.run(errand())
