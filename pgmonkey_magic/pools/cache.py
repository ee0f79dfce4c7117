"""The process-wide cache: the same configuration content and type give the same pool object.

From any thread, any event loop and any manager. The key is `Config.key`, free of secrets. One lock per key: of twenty
threads that ask at once, one makes the pool and nineteen wait for it.
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgmonkey_magic.pools.async_pool import PGAsyncPool
from pgmonkey_magic.pools.loop import submit
from pgmonkey_magic.pools.single import PGAsyncConnection, PGConnection
from pgmonkey_magic.pools.sync_pool import PGPool

if TYPE_CHECKING:
    from pgmonkey_magic.config import Config

Connectable = PGPool | PGAsyncPool | PGConnection | PGAsyncConnection

_CLASSES: dict[str, type[Connectable]] = {
    cls.connection_type: cls for cls in (PGPool, PGAsyncPool, PGConnection, PGAsyncConnection)
}


@dataclass(slots=True, eq=False)
class CacheEntry:
    """One cached object; `lock` is held while it is made."""

    connection_type: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    connectable: Connectable | None = None


# Kept where autoreload runs this file again: a second cache would mean second pools.
_entries: dict[str, CacheEntry] = globals().get("_entries", {})
_lock = threading.Lock()


def get_cached(config: Config, connection_type: str, *, force_reload: bool = False) -> Connectable:
    """Return the object for this content and type, made on first use and not yet connected.

    `force_reload` replaces it; the old one is closed, and what is borrowed from it stays usable until it comes back.
    """
    key = config.key(connection_type)
    with _lock:
        entry = _entries.setdefault(key, CacheEntry(connection_type))
    old: Connectable | None = None
    with entry.lock:
        if force_reload:
            old, entry.connectable = entry.connectable, None
        if entry.connectable is None:
            entry.connectable = _CLASSES[connection_type](config)
            _retire_former(entry.connectable)
        connectable = entry.connectable
    if old is not None:
        _close(old)
    return connectable


def find_cached(config: Config, connection_type: str) -> Connectable | None:
    """Return the object for this content and type, None where there is none yet."""
    with _lock:
        entry = _entries.get(config.key(connection_type))
    return None if entry is None else entry.connectable


def _retire_former(connectable: Connectable) -> None:
    """Have the pools of the same file with another content close when they are no longer used."""
    source = connectable.config.source
    for entry in cached_entries().values():
        former = entry.connectable
        if (
            isinstance(former, (PGPool, PGAsyncPool))
            and former is not connectable
            and former.connection_type == connectable.connection_type
            and source is not None
            and former.config.source == source
        ):
            former.retire(functools.partial(close_cached, former))


def cached_entries() -> dict[str, CacheEntry]:
    """Return a copy of the cache, by key."""
    with _lock:
        return {key: entry for key, entry in _entries.items() if entry.connectable is not None}


def close_cached(connectable: Connectable) -> None:
    """Close one object and take it out of the cache."""
    with _lock:
        for key in [key for key, entry in _entries.items() if entry.connectable is connectable]:
            del _entries[key]
    _close(connectable)


def rekey(pool: PGPool | PGAsyncPool) -> None:
    """Give a tuned pool the key of its present settings, so that a configuration which says the same finds it.

    Another pool that already has that key keeps it, and this one its old key, by which it is closed at the end.
    """
    new = pool.adopt_settings().key(pool.connection_type)
    with _lock:
        old = next((key for key, entry in _entries.items() if entry.connectable is pool), None)
        if old is not None and new not in _entries:
            _entries[new] = _entries.pop(old)


def reclaim(since: float) -> None:
    """Give back what an interrupt has kept the `with` blocks of this thread from giving back (see PGPool.reclaim)."""
    for entry in cached_entries().values():
        if isinstance(entry.connectable, PGPool):
            entry.connectable.reclaim(since)


def clear_cache() -> None:
    """Close everything and empty the cache."""
    with _lock:
        entries = list(_entries.values())
        _entries.clear()
    for entry in entries:
        if entry.connectable is not None:
            _close(entry.connectable)


def _close(connectable: Connectable) -> None:
    if isinstance(connectable, PGAsyncPool):
        connectable.close()
    elif isinstance(connectable, PGAsyncConnection):
        # Its loop may be closed or busy; closing needs no loop, only a thread that may run a coroutine.
        submit(connectable.disconnect()).result(timeout=5)
    else:
        connectable.disconnect()


def _forget_parents() -> None:
    # A child shares its parent's sockets: it keeps the objects alive (see base._parents_pools) and starts anew.
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it at the fork
    _lock = threading.Lock()
    _inherited.append(dict(_entries))
    _entries.clear()


_inherited: list[dict[str, CacheEntry]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
atexit.register(clear_cache)
