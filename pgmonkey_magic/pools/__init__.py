"""Pools: from a validated configuration to a borrowed psycopg connection.

    manager ─ cache ─┬─ sync_pool ──┐
                     ├─ async_pool ─┼─ stock (psycopg_pool's private names) ─ connecting (libpq parameters)
                     └─ single ─────┘
    lease, ledger, unavailable: who holds what, and what to say when nothing is left
    crew: further connections for one conversation
    connections: each of them at one moment, for those who look on
    committing: COMMIT, and what became of it where its answer was cut off
    loop, interrupts: the private event-loop thread on which every async pool lives; helpers for the main thread

This is the only room that imports psycopg_pool.
"""

from pgmonkey_magic.pools.async_pool import PGAsyncPool
from pgmonkey_magic.pools.cache import (
    CacheEntry,
    cached_entries,
    clear_cache,
    close_cached,
    find_cached,
    get_cached,
    reclaim,
    rekey,
)
from pgmonkey_magic.pools.committing import CommitLost, commit, transaction_outcome, whose
from pgmonkey_magic.pools.connecting import ServerIdentity, connect_parameters, probe
from pgmonkey_magic.pools.connections import Census, Pooled, Stage, census
from pgmonkey_magic.pools.crew import Crew
from pgmonkey_magic.pools.factory_state import Trace, trace_of
from pgmonkey_magic.pools.lease import Keep, Lease, Talk, Terms
from pgmonkey_magic.pools.ledger import Counts, Holder, Occupancy, Usage, quantile
from pgmonkey_magic.pools.manager import PGConnectionManager
from pgmonkey_magic.pools.single import PGAsyncConnection, PGConnection
from pgmonkey_magic.pools.sync_pool import PGPool
from pgmonkey_magic.pools.unavailable import PoolUnavailable

__all__ = [
    "CacheEntry",
    "Census",
    "CommitLost",
    "Counts",
    "Crew",
    "Holder",
    "Keep",
    "Lease",
    "Occupancy",
    "PGAsyncConnection",
    "PGAsyncPool",
    "PGConnection",
    "PGConnectionManager",
    "PGPool",
    "PoolUnavailable",
    "Pooled",
    "ServerIdentity",
    "Stage",
    "Talk",
    "Terms",
    "Trace",
    "Usage",
    "cached_entries",
    "census",
    "clear_cache",
    "close_cached",
    "commit",
    "connect_parameters",
    "find_cached",
    "get_cached",
    "probe",
    "quantile",
    "reclaim",
    "rekey",
    "trace_of",
    "transaction_outcome",
    "whose",
]
