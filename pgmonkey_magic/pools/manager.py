"""PGConnectionManager: the entry of Python programs, with pgmonkey's names and meaning."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config import CONNECTION_TYPES, Config, parse_config, read_config
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools.cache import cached_entries, clear_cache, get_cached
from pgmonkey_magic.pools.single import PGAsyncConnection, PGConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from os import PathLike

    from pgmonkey_magic.pools.async_pool import PGAsyncPool
    from pgmonkey_magic.pools.sync_pool import PGPool


class PGConnectionManager:
    """Hands out pools and connections by configuration. It has no state: all managers share one process-wide cache.

    For the types `pool` and `normal` the answer is the object, for `async_pool` and `async` an awaitable of it. A pool
    connects in the background, so a program may start before its database; a single connection connects at once.
    """

    def get_database_connection(
        self,
        config_file_path: str | PathLike[str],
        connection_type: str | None = None,
        force_reload: bool = False,
        resolve_env: bool = False,
        allow_sensitive_defaults: bool = False,
    ) -> PGPool | PGConnection | Awaitable[PGAsyncPool | PGAsyncConnection]:
        """Return the connection object for a YAML file; `connection_type` overrides the file's.

        Raises ConfigError for a file that cannot be used, RequestError for an unknown type.
        """
        config = read_config(
            config_file_path, resolve_env=resolve_env, allow_sensitive_defaults=allow_sensitive_defaults
        )
        return self._connection(config, connection_type, force_reload=force_reload)

    def get_database_connection_from_dict(
        self,
        config_data_dictionary: Mapping[str, Any],
        connection_type: str | None = None,
        force_reload: bool = False,
        resolve_env: bool = False,
        allow_sensitive_defaults: bool = False,
    ) -> PGPool | PGConnection | Awaitable[PGAsyncPool | PGAsyncConnection]:
        """Return the connection object for a configuration dict; otherwise as `get_database_connection`."""
        config = parse_config(
            config_data_dictionary, resolve_env=resolve_env, allow_sensitive_defaults=allow_sensitive_defaults
        )
        return self._connection(config, connection_type, force_reload=force_reload)

    def _connection(self, config: Config, connection_type: str | None, *, force_reload: bool) -> Any:
        kind = connection_type or config.connection_type
        if kind not in CONNECTION_TYPES:
            raise RequestError(f"unknown connection type {kind!r}; use one of {', '.join(CONNECTION_TYPES)}")
        connectable = get_cached(config, kind, force_reload=force_reload)
        if kind.startswith("async"):
            return _connected(connectable)
        connectable.connect()
        return connectable

    @property
    def cache_info(self) -> dict[str, Any]:
        """`size`, and `connection_types`: the head of each cache key with its connection type."""
        entries = cached_entries()
        return {
            "size": len(entries),
            "connection_types": {key[:12]: entry.connection_type for key, entry in entries.items()},
        }

    def clear_cache(self) -> None:
        """Close every cached pool and connection of this process; not from inside an event loop that uses them."""
        clear_cache()

    async def clear_cache_async(self) -> None:
        """Do the same from inside an event loop."""
        single = [entry.connectable for entry in cached_entries().values()]
        for connectable in single:
            if isinstance(connectable, PGAsyncConnection):
                await connectable.disconnect()
        await asyncio.to_thread(clear_cache)


async def _connected(connectable: Any) -> Any:
    await connectable.connect()
    return connectable
