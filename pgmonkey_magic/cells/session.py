"""The pools a notebook has open, by name, and which one is current."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells.job import Job
from pgmonkey_magic.cells.memory import MemoryGuard
from pgmonkey_magic.config import CONNECTION_TYPES, Config, parse_config, read_config
from pgmonkey_magic.errors import ConfigError, RequestError, SQLError
from pgmonkey_magic.pools import (
    Keep,
    PGAsyncPool,
    PGPool,
    ServerIdentity,
    cached_entries,
    close_cached,
    find_cached,
    get_cached,
    probe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgmonkey_magic.cells.request import Request

DEFAULT_FILE = "pgmonkey_config.yaml"
POOLED = {"normal": "pool", "pool": "pool", "async": "async_pool", "async_pool": "async_pool"}
"""A notebook always borrows from a pool; the file's single-connection types stand for the pool of their kind."""


@dataclass(frozen=True, slots=True)
class NamedPool:
    """A pool under the name that this notebook gave it."""

    name: str
    pool: PGPool | PGAsyncPool


class Session:
    """Names → pools. The pools themselves are the process-wide cached ones.

    `default_config` is looked at before the environment and the working directory; empty means none. With
    `resolve_env` the references of every file (`${VAR}`, `from_env`, `from_file`) are resolved, without it only where
    it is asked for.
    """

    def __init__(self) -> None:
        self._pools: dict[str, NamedPool] = {}
        self._keeps: dict[PGPool | PGAsyncPool, Keep] = {}
        self._current: str | None = None
        # A running job's thread keeps it; a finished one, with its rows, is kept by whoever holds it.
        self._jobs: weakref.WeakValueDictionary[int, Job] = weakref.WeakValueDictionary()
        self.default_config = ""
        self.resolve_env = False
        self.memory = MemoryGuard()

    def connect_file(
        self,
        path: str,
        *,
        name: str | None = None,
        connection_type: str | None = None,
        resolve_env: bool = False,
    ) -> tuple[NamedPool, ServerIdentity]:
        """Read the file, prove the connection in the foreground, open its pool and make it the current one.

        Raises ConfigError for the file, SQLError with the server's own reason.
        """
        config = read_config(path, resolve_env=resolve_env or self.resolve_env)
        return self._connect(config, name, connection_type)

    def connect_dict(
        self, data: Mapping[str, Any], *, name: str | None = None, connection_type: str | None = None
    ) -> tuple[NamedPool, ServerIdentity]:
        """Do the same from a configuration dict."""
        return self._connect(parse_config(data), name, connection_type)

    def use(self, name: str) -> NamedPool:
        """Make an open pool the current one."""
        named = self.named(name)
        self._current = named.name
        return named

    def named(self, name: str) -> NamedPool:
        """Return the open pool of that name; RequestError with the near miss if there is none."""
        if name in self._pools:
            return self._pools[name]
        near = get_close_matches(name, self._pools, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"open are: {', '.join(self._pools) or 'none'}"
        raise RequestError(f"no pool is open under the name {name!r}; {known}")

    def resolve(self, name_or_path: str | None, connection_type: str | None, *, resolve_env: bool = False) -> NamedPool:
        """Return the pool for one cell: the named one, the file's, the current one, or the default file's.

        Only the last makes a pool current, because there was none. With *resolve_env* a file's references are resolved.
        """
        resolve_env = resolve_env or self.resolve_env
        kind = pooled_type(connection_type) if connection_type else None
        if name_or_path is None:
            named = self._pools[self._current] if self._current else self._from_default_places(kind, resolve_env)
        elif name_or_path in self._pools:
            named = self._pools[name_or_path]
        elif Path(name_or_path).expanduser().is_file():
            return self._of_file(name_or_path, kind, resolve_env)
        else:
            return self.named(name_or_path)
        if kind and named.pool.connection_type != kind:
            return self._open(named.pool.config, kind)
        return named

    def start(self, request: Request, named: NamedPool) -> Job:
        """Begin to run a request on a pool, in this notebook's open transaction if it has one there."""
        job = Job.start(request, named.pool, named.name, self.keep_of(named.pool))
        self._jobs[job.id] = job
        self.memory.watch(job)
        return job

    def jobs(self) -> list[Job]:
        """Return the running jobs and the finished ones that the notebook still holds, oldest first."""
        return [job for _, job in sorted(self._jobs.items())]

    def job(self, number: str) -> Job:
        """Return the job of that number. Raises RequestError."""
        if number.isdecimal() and (job := self._jobs.get(int(number))) is not None:
            return job
        running = ", ".join(str(job.id) for job in self.jobs() if not job.done()) or "none"
        raise RequestError(f"there is no job {number!r}; running are: {running}")

    def keep_of(self, pool: PGPool | PGAsyncPool) -> Keep:
        """Return the place for the transaction that this notebook has left open on a pool."""
        return self._keeps.setdefault(pool, Keep())

    def pools(self) -> list[NamedPool]:
        """Return the open pools, those that Python code made through the cache included."""
        known = {id(named.pool) for named in self._pools.values()}
        others = [
            NamedPool(f"({entry.connectable.name})", entry.connectable)
            for entry in cached_entries().values()
            if isinstance(entry.connectable, (PGPool, PGAsyncPool)) and id(entry.connectable) not in known
        ]
        return [*self._pools.values(), *others]

    def names(self) -> list[str]:
        """Return the names that this notebook gave, oldest first."""
        return list(self._pools)

    @property
    def current(self) -> NamedPool | None:
        """The pool that a cell without `-c` uses."""
        return self._pools[self._current] if self._current else None

    def disconnect(self, name: str) -> NamedPool:
        """Close the pool of that name; if it was the current one, there is none until the next `connect` or `use`."""
        named = self.named(name)
        named.pool.release(self._keeps.pop(named.pool, Keep()))
        close_cached(named.pool)
        # The same pool may have been opened under a second name.
        for other in [key for key, value in self._pools.items() if value.pool is named.pool]:
            del self._pools[other]
            if self._current == other:
                self._current = None
        return named

    # -- opening ----------------------------------------------------------------------------------------------

    def _of_file(self, path: str, kind: str | None, resolve_env: bool) -> NamedPool:
        if (known := self._open_already(path, kind)) is not None:
            return known
        config = read_config(path, resolve_env=resolve_env)
        return self._open(config, kind or pooled_type(config.connection_type))

    def _open_already(self, path: str, kind: str | None) -> NamedPool | None:
        """Return the pool that was opened from this file with what it holds now; the one of its own type first.

        References are resolved without being asked, only to compare: what they stand for is sent nowhere else.
        """
        source = Path(path).expanduser().absolute()
        of_file = [named for named in self._pools.values() if named.pool.config.source == source]
        if not of_file:
            return None
        with suppress(ConfigError):  # told when it is read as it was asked
            config = read_config(path, resolve_env=True)
            own = kind or pooled_type(config.connection_type)
            of_file.sort(key=lambda named: named.pool.connection_type != own)
            for named in of_file:
                type_ = named.pool.connection_type
                if kind in (None, type_) and find_cached(config, type_) is named.pool:
                    return named
        return None

    def _connect(
        self, config: Config, name: str | None, connection_type: str | None
    ) -> tuple[NamedPool, ServerIdentity]:
        named, identity = self._opened(config, name, pooled_type(connection_type or config.connection_type))
        self._current = named.name
        return named, identity

    def _open(self, config: Config, kind: str) -> NamedPool:
        """Return the pool of this content and kind; its connection is proved where this notebook has none yet."""
        pool = find_cached(config, kind)
        known = next((known for known in self._pools.values() if known.pool is pool), None)
        return known or self._opened(config, None, kind)[0]

    def _opened(self, config: Config, name: str | None, kind: str | None) -> tuple[NamedPool, ServerIdentity]:
        kind = kind or pooled_type(config.connection_type)
        identity = prove(config, kind)
        pool = get_cached(config, kind)
        assert isinstance(pool, (PGPool, PGAsyncPool))  # noqa: S101 - `kind` is a pooled type
        self._follow(pool)
        for known in self._pools.values():
            if known.pool is pool and name in (None, known.name):
                return known, identity
        if name in self._pools and self.keep_of(self._pools[name].pool).lease is not None:
            raise RequestError(
                f"a transaction is open on pool {name}; end it with %pgmonkey COMMIT or ROLLBACK before the name means "
                "another pool"
            )
        named = NamedPool(name or self._free_name(pool), pool)
        self._pools[named.name] = named
        pool.call(named.name)
        return named, identity

    def _follow(self, pool: PGPool | PGAsyncPool) -> None:
        """Let the names of a pool whose file has changed mean the pool of its new content.

        Not while this notebook has a transaction open on it, which nobody could end any more.
        """
        for name, known in self._pools.items():
            former = known.pool
            if self.keep_of(former).lease is not None:
                continue
            if former.retired and former.config.source == pool.config.source and type(former) is type(pool):
                self._pools[name] = NamedPool(name, pool)
                pool.call(name)

    def _free_name(self, pool: PGPool | PGAsyncPool) -> str:
        base = pool.default_name if pool.connection_type == "pool" else f"{pool.default_name}-async"
        name, n = base, 1
        while name in self._pools:
            n += 1
            name = f"{base}-{n}"
        return name

    def _from_default_places(self, kind: str | None, resolve_env: bool) -> NamedPool:
        places = {
            "%config PgMonkey.default_config": self.default_config,
            "$PGMONKEY_CONFIG": os.environ.get("PGMONKEY_CONFIG", ""),
            DEFAULT_FILE + " in the working directory": DEFAULT_FILE if Path(DEFAULT_FILE).is_file() else "",
        }
        path = next(filter(None, places.values()), None)
        if path is None:
            raise RequestError(
                f"no pool is connected; looked at --config, {', '.join(places)}. Type `%pgmonkey connect FILE`, or "
                "`%pgmonkey demo` for an embedded PostgreSQL with sample data"
            )
        return self._connect(read_config(path, resolve_env=resolve_env), None, kind)[0]


def pooled_type(connection_type: str) -> str:
    """Return `pool` or `async_pool`; RequestError for a word that is no connection type."""
    if connection_type not in POOLED:
        raise RequestError(f"unknown connection type {connection_type!r}; use one of {', '.join(CONNECTION_TYPES)}")
    return POOLED[connection_type]


def prove(config: Config, connection_type: str) -> ServerIdentity:
    """Connect once in the foreground. Raises SQLError with the server's or the network's own reason."""
    import psycopg  # noqa: PLC0415

    try:
        return probe(config, connection_type)
    except psycopg.OperationalError as error:
        raise SQLError(" ".join(str(error).split()), detail=("no pool was opened",), sqlstate=error.sqlstate) from error
