"""What the sync and the async pool share: everything that does not wait.

Each pool adds only the waiting (psycopg_pool's own layout). A stock pool is made when it is first needed and again
after `disconnect()` or in a forked child, so the object that the cache hands out stays valid.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import unavailable
from pgmonkey_magic.pools.committing import commit
from pgmonkey_magic.pools.connecting import connect_parameters, cure
from pgmonkey_magic.pools.factory_state import Trace
from pgmonkey_magic.pools.interrupts import in_helper
from pgmonkey_magic.pools.lease import FOREIGN_PLAN, STALE_PLAN, Keep, Lease, has_foreign_plan, has_stale_plan
from pgmonkey_magic.pools.ledger import Borrower, Holder, Ledger, Occupancy, Ticket, Usage
from pgmonkey_magic.pools.liveness import is_dead, is_warm, needs_proof
from pgmonkey_magic.pools.stock import ConnectFailed, ConnectWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

    from pgmonkey_magic.config import Config, PoolSettings
    from pgmonkey_magic.pools.stock import AsyncStockPool, SyncStockPool

S = TypeVar("S", bound="SyncStockPool | AsyncStockPool")

# To look up a member of an enumeration costs as much as a call, and every block asks for these.
_IDLE, _INERROR, _NO_TRACE = TransactionStatus.IDLE, TransactionStatus.INERROR, Trace.NONE

NOTICED_S = 0.02
"""A wait of so many seconds is one."""

# Kept where autoreload runs this file again.
_pools: weakref.WeakSet[BasePool[Any]] = globals().get("_pools", weakref.WeakSet())
_parents_pools: list[Any] = []
"""In a forked child: the parent's stock pools, kept alive and untouched, because closing them, or letting them be
collected, would speak on sockets that the parent uses."""


class BasePool(Generic[S]):
    """State and judgement of one pool; no I/O.

    `name` is what messages call it: the `default_name` (the database, or the file) until somebody calls it otherwise;
    `settings` are its validated settings.
    """

    connection_type: str

    def __init__(self, config: Config) -> None:
        self.config = config
        given = config.connection_settings.get("dbname") or (config.source and config.source.stem) or "pool"
        self.name = self.default_name = str(given)
        self.settings: PoolSettings = config.pool_settings_for(self.connection_type)
        self.section = f"{self.connection_type}_settings"
        self._history: list[PoolSettings] = []
        self.ledger = Ledger()
        self.resized: Usage | None = None
        """The ledger's totals, without the durations, at the last change of max_size; None before the first."""
        self._watch = ConnectWatch(self.name)
        self.pool: S | None = None
        """The stock psycopg_pool pool, or None while disconnected."""
        self._tuning = threading.Lock()
        self._close_unused: Callable[[], None] | None = None
        _pools.add(self)

    def call(self, name: str) -> None:
        """Give it the name that messages, the log and panels use, such as the one that a notebook knows it by."""
        self.name = self._watch.name = name

    def forget_parent(self) -> None:
        """Begin anew in a forked child."""
        _parents_pools.append(self.pool)
        self.pool, self.ledger, self.resized = None, Ledger(), None

    @property
    def occupancy(self) -> Occupancy:
        """The pool at this moment; all zero but the limits while it is disconnected."""
        stats = self.pool.get_stats() if self.pool else {}
        return Occupancy(
            in_use=self.ledger.in_use,
            idle=stats.get("pool_available", 0),
            size=stats.get("pool_size", 0),
            waiting=len(self.ledger.waiting()),
            min_size=self.settings.min_size,
            max_size=self.settings.max_size,
        )

    def __repr__(self) -> str:
        now = self.occupancy
        return (
            f"<{type(self).__name__} {self.name!r}: {now.in_use} in use, {now.idle} idle, {now.waiting} waiting, "
            f"min_size {now.min_size}, max_size {now.max_size}{', tuned' if self.tuned else ''}"
            f"{'' if self.pool else ', disconnected'}>"
        )

    def _parameters(self) -> dict[str, Any]:
        """Return parameters for an attempt in the background, which a borrower may come to wait for."""
        parameters = connect_parameters(self.config, self.connection_type)
        return {**parameters, "connect_timeout": self._hurry(time.monotonic() + self.settings.timeout)}

    def _hurry(self, deadline: float) -> int:
        """Return the seconds that an attempt to connect may take: the file's, but no more than until *deadline*."""
        given = int(connect_parameters(self.config, self.connection_type)["connect_timeout"])
        left = max(1, round(deadline - time.monotonic()))
        return min(given, left) if given > 0 else left

    @property
    def encrypted(self) -> bool | None:
        """Whether its connections speak TLS; None before the first."""
        return self._watch.encrypted

    @property
    def connect_error(self) -> psycopg.Error | None:
        """What the last attempt to connect ran into; None where it succeeded."""
        return self._watch.error

    def retire(self, close: Callable[[], None]) -> None:
        """Have *close* called, in a thread of its own, as soon as nobody holds a connection or waits for one."""
        self._close_unused = close
        self._close_if_retired()

    @property
    def retired(self) -> bool:
        """Whether another pool has taken the place of this one, which closes when it is no longer used."""
        return self._close_unused is not None

    def _close_if_retired(self) -> None:
        # The queue first: who leaves it meanwhile is found among the holders.
        if self._close_unused is not None and not self.ledger.waiting() and not self.ledger.in_use:
            in_helper(self._close_unused)

    @property
    def tuned(self) -> bool:
        """Whether the settings are no longer those of the configuration."""
        return self.settings != self.config.pool_settings_for(self.connection_type)

    @property
    def former_settings(self) -> tuple[PoolSettings, ...]:
        """The settings before each change that `undo` can take back, oldest first."""
        return tuple(self._history)

    def apply(self, settings: PoolSettings) -> None:
        """Give the running pool other settings."""
        raise NotImplementedError

    def cancel(self, lease: Any, *, timeout: float) -> None:
        """Ask the server to cancel the statement that runs on the `conn` of a lease or ticket."""
        raise NotImplementedError

    def cancel_held(self, ticket: Ticket, *, timeout: float) -> bool:
        """Cancel what a borrower has running; False where it has given its connection back meanwhile.

        Raises psycopg.Error where the server does not take the request.
        """
        if not self.ledger.holds(ticket):
            return False
        self.cancel(ticket, timeout=timeout)
        return True

    def undo(self) -> PoolSettings:
        """Go back to the settings before the last change; return them. Raises RequestError where there was none."""
        if not self._history:
            raise RequestError(f"the settings of pool {self.name} have not been changed; there is nothing to undo")
        settings = self._history.pop()
        self.apply(settings)
        self._history.pop()  # going back is not a change to come back to
        return settings

    def adopt_settings(self) -> Config:
        """Make the present settings those of the configuration, as when they have been saved; return it."""
        self.config = replace(self.config, **{self.section: self.settings})
        return self.config

    def borrow_idle(self, holder: Holder, most: int) -> list[Lease[Any]]:
        """Borrow at most so many connections that are idle now; never waits, and takes none while somebody else does.

        Pair each with `lend_on` or `give_back`.
        """
        thread_id = threading.get_ident()
        leases: list[Lease[Any]] = []
        while len(leases) < most and (stock := self.pool) is not None and not self.ledger.waiting():
            if (conn := stock.take_idle(self._is_fit)) is None:
                break
            leases.append(self._leased(conn, self.ledger.request(holder, thread_id), stock))
        return leases

    @property
    def keeps_waiting(self) -> bool:
        """Whether somebody has to wait for a connection, for longer than it takes to hand over one that is idle."""
        return any(ticket.waited_s > NOTICED_S for ticket in self.ledger.waiting())

    def _retuned(self, settings: PoolSettings) -> PoolSettings:
        """Take the settings that need no waiting; return the former ones."""
        before = self.settings
        if settings.num_workers != before.num_workers:
            raise RequestError(
                f"{self.section}.num_workers cannot change while pool {self.name} is open; change it in the file and "
                "connect again"
            )
        if settings.max_size != before.max_size:
            self.resized = replace(self.ledger.usage(), waits_s=(), holds_s=())
        self.settings = settings
        self._history.append(before)
        if (stock := self.pool) is not None:
            stock.timeout = settings.timeout
            stock.max_waiting = settings.max_waiting
            stock.reconnect_timeout = settings.reconnect_timeout
            if settings.max_lifetime != before.max_lifetime:
                stock.set_max_lifetime(settings.max_lifetime)
        return before

    def _address(self) -> str:
        settings = self.config.connection_settings
        host = settings.get("hostaddr") or settings.get("host") or "the default host"
        return f"{host} port {settings['port']}" if "port" in settings else host

    def _nobody_can_serve(self) -> bool:
        now = self.occupancy
        return now.in_use == 0 and now.idle == 0

    def _refuse_self_deadlock(self, borrower: Borrower, thread_id: int) -> None:
        if self.ledger.in_use < self.settings.max_size:
            return  # the common case, at no cost
        held = self.ledger.held()
        # Of the others one more must come back than there are too many; then a connection is free.
        needed = len(held) - self.settings.max_size + 1
        others = (ticket for ticket in held if not ticket.is_of(borrower, thread_id))
        if len(list(islice(others, max(0, needed)))) < needed:
            raise unavailable.self_deadlock(self)

    def _leased(self, conn: Any, ticket: Ticket, stock: Any) -> Lease[Any]:
        self.ledger.grant(ticket, conn)
        return Lease(conn, ticket, stock)

    def _ending(self, conn: Any) -> PQGen[None] | None:
        """Return the conversation that commits a block, in psycopg's wait protocol; None where nothing is open."""
        status = conn.pgconn.transaction_status
        if status == _IDLE:
            return None
        if status == _INERROR or conn.trace is not _NO_TRACE:
            return commit(conn, writes=True)
        return conn._commit_gen()  # noqa: SLF001 - nothing was written whose COMMIT could be lost

    def _kept(self, lease: Lease[Any], keep: Keep | None) -> bool:
        """Keep a lease whose transaction is open, where there is a place for it; tell whether it was kept."""
        if keep is None or keep.lease not in (None, lease):
            return False
        keep.lease = lease if lease.in_transaction else None
        return keep.lease is not None

    def _noted_stale_plan(self, error: BaseException | None) -> bool:
        """Add to a block's error what is known of its cause; tell whether the connections must be replaced."""
        if error is not None and has_foreign_plan(error) and not self.config.pgbouncer:
            error.add_note(FOREIGN_PLAN)
        if error is not None and has_stale_plan(error):
            error.add_note(STALE_PLAN)
            return True
        return False

    def _is_fit(self, conn: Any) -> bool:
        """Tell whether an idle connection can be handed out without waiting for anything."""
        return is_warm(conn) or not (is_dead(conn) or (self.settings.check_on_checkout and needs_proof(conn)))

    def _must_connect_now(self, stock: S) -> bool:
        """Tell whether to connect for oneself: the others pause after a failure, or hang, and nobody can serve."""
        return not self.ledger.in_use and (self._watch.error is not None or stock.hangs) and self._nobody_can_serve()

    def _explain(self, error: Exception, timeout_s: float) -> unavailable.PoolUnavailable:
        """Turn what a stock pool raised into the reason, with the true cause attached."""
        if isinstance(error, TooManyRequests):
            return unavailable.queue_full(self)
        if isinstance(error, PoolClosed):
            return unavailable.closed(self)
        if isinstance(error, ConnectFailed):
            cause = error.__cause__
        else:
            cause = self._watch.error if isinstance(error, PoolTimeout) else error
        if isinstance(cause, psycopg.errors.ConnectionTimeout) or (cause is None and self._nobody_can_serve()):
            # libpq's own words name neither.
            cause = psycopg.errors.ConnectionTimeout(f"{self._address()} has not answered in time")
        if cause is not None and self._nobody_can_serve():
            reason = unavailable.cannot_connect(self, cause, cure(self.config, cause))
        else:
            reason = unavailable.exhausted(self, timeout_s, cause)
        reason.__cause__ = cause
        return reason


def _forget_parents() -> None:
    for pool in list(_pools):
        pool.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
