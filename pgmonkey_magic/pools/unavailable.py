"""The error of a borrow that got nothing, and the sentences that say why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from psycopg_pool import PoolTimeout

from pgmonkey_magic.errors import PgMonkeyError

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.config import PoolSettings
    from pgmonkey_magic.pools.ledger import Ledger, Occupancy

SHOWN = 8
"""Holders listed in a message; more would hide the sentence."""
TOO_MANY_CONNECTIONS = ("too many clients", "remaining connection slots", "too many connections for")
"""SQLSTATE 53300 in the server's words: libpq keeps no SQLSTATE of an attempt to connect."""


class Describable(Protocol):
    """What a message needs to know of a pool; `section` is its part of the YAML file."""

    name: str
    section: str
    settings: PoolSettings
    ledger: Ledger

    @property
    def occupancy(self) -> Occupancy:
        """The pool at this moment."""
        ...


class PoolUnavailable(PgMonkeyError, PoolTimeout):  # noqa: N818 - the condition is the name, as with PoolTimeout
    """No connection could be borrowed. Where the server could not be reached, its error is the `__cause__`.

    Code that catches psycopg_pool's PoolTimeout catches this too.
    """


def one_line(error: BaseException) -> str:
    """Return the text of *error* without its line breaks."""
    return " ".join(str(error).split())


def without_frames(error: psycopg.Error) -> psycopg.Error:
    """Return the error without psycopg's frames, whose variables hold the password for whoever records them."""
    return error.with_traceback(None)


def is_server_full(error: BaseException) -> bool:
    """Tell whether the server, or its limit for this role or database, has no connection left."""
    return any(words in str(error) for words in TOO_MANY_CONNECTIONS)


def cure_of_full_server() -> str:
    """Return what to do about it; a program that has no magics is told the command."""
    audit = "%pgmonkey audit" if "pgmonkey_magic.notebook" in sys.modules else "pgmonkey-magic audit FILE"
    return (
        f"the server grants no more: take fewer or smaller pools ({audit} counts them as soon as one connection is "
        "free), or put PgBouncer in between"
    )


def exhausted(pool: Describable, timeout_s: float, cause: BaseException | None) -> PoolUnavailable:
    """Say who holds the connections, who waits, which setting would help, and why the pool could not grow."""
    now, held = pool.occupancy, pool.ledger.held()
    lines = [f"  held by {ticket}" for ticket in held[:SHOWN]]
    if len(held) > SHOWN:
        lines.append(f"  … and {len(held) - SHOWN} more")
    cure = f"end a holder, or raise {pool.section}.max_size or .timeout"
    if cause is not None:
        lines.append(f"  the last attempt to open one more failed: {one_line(cause)}")
        if is_server_full(cause):
            cure = cure_of_full_server()
    # One that has come back since went to somebody who had waited for longer, or is on its way.
    since = "" if now.in_use >= now.max_size else "by now "
    return PoolUnavailable(
        f"no connection of pool {pool.name} came free within {timeout_s:g} s: "
        f"{since}{now.in_use} of {now.max_size} are in use and {now.waiting} more wait; {cure}",
        detail=tuple(lines),
    )


def queue_full(pool: Describable) -> PoolUnavailable:
    """Say that `max_waiting` requests wait already."""
    return PoolUnavailable(
        f"the queue of pool {pool.name} is full, {pool.occupancy.waiting} of {pool.settings.max_waiting}; "
        f"raise {pool.section}.max_waiting or .max_size"
    )


def cannot_connect(pool: Describable, cause: BaseException, cure: str | None) -> PoolUnavailable:
    """Say the server's or the network's own reason, and what to do about it where that is known."""
    return PoolUnavailable(f"pool {pool.name} cannot connect: {one_line(cause)}{f'; {cure}' if cure else ''}")


def closed(pool: Describable) -> PoolUnavailable:
    """Say that the pool was closed while the request waited."""
    return PoolUnavailable(f"pool {pool.name} was closed while this request waited; connect again")


def self_deadlock(pool: Describable) -> PoolUnavailable:
    """Say that the borrower waits for itself."""
    return PoolUnavailable(
        f"this borrower already holds all {pool.occupancy.max_size} connections of pool {pool.name} and would wait "
        f"for itself; give one back first, or raise {pool.section}.max_size"
    )
