"""The lab's own pools: apart from everybody's, under a name of their own, and never more than half of what is free."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config import PoolSettings
from pgmonkey_magic.config.redaction import Settings
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import PGAsyncPool, PGPool
from pgmonkey_magic.pools.loop import submit
from pgmonkey_magic.tuning.audit import budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgmonkey_magic.config import Config

APPLICATION_NAME = "pgmonkey-lab"
READY_S, AT_REST_S = 10.0, 1.0

Pool = PGPool | PGAsyncPool


def lab_config(config: Config, connection_type: str, **settings: Any) -> Config:
    """Return *config* for the lab: its application_name, no server settings, pool settings that start from defaults."""
    section = f"{connection_type}_settings"
    settings = asdict(PoolSettings()) | {"min_size": 0, "max_size": 4, "timeout": 10.0} | settings
    connection = Settings({**config.connection_settings, "application_name": APPLICATION_NAME})
    pool_settings = PoolSettings.from_mapping(settings, section)
    return replace(
        config,
        connection_settings=connection,
        autocommit=False,
        sync_settings=Settings({}),
        async_settings=Settings({}),
        source=None,
        **{section: pool_settings},
    )


def allowance(config: Config, connection_type: str) -> int:
    """Return how many connections the lab may open: half of what the server has free.

    Raises psycopg.OperationalError where the server cannot be reached.
    """
    return max(0, budget(config, connection_type).free // 2)


def refuse_beyond(allowed: int, wanted: int, what: str) -> None:
    """Raise RequestError where more connections are wanted than the lab may open."""
    if wanted > allowed:
        raise RequestError(
            f"{what} needs {wanted} connections, and the lab takes at most {allowed} here, half of what the server has "
            "free; see %pgmonkey audit"
        )


def _settle(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def _is_at_rest(pool: Pool) -> bool:
    now = pool.occupancy
    return now.idle + now.in_use >= now.size


@contextmanager
def own_pool(config: Config, connection_type: str, **settings: Any) -> Iterator[Pool]:
    """Open a pool that nobody else can find, wait for its `min_size`, and close it at the end.

    It is not in the cache: another pool of the same content is another one.
    """
    its_config = lab_config(config, connection_type, **settings)
    pool: Pool = PGPool(its_config) if connection_type == "pool" else PGAsyncPool(its_config)
    try:
        if isinstance(pool, PGAsyncPool):
            submit(pool.connect()).result()
        else:
            pool.connect()
        _settle(lambda: pool.occupancy.idle >= pool.settings.min_size, READY_S)
        yield pool
    finally:
        # What is being cleaned after its return when a pool is closed stays open until the garbage is collected.
        _settle(lambda: _is_at_rest(pool), AT_REST_S)
        if isinstance(pool, PGAsyncPool):
            pool.close()
        else:
            pool.disconnect()
