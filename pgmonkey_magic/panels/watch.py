"""Gathers the facts of a pool and remembers: the eyes of an occupancy panel, without widgets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg.pq import TransactionStatus

from pgmonkey_magic.panels.backends import ServerWatch
from pgmonkey_magic.panels.facts import WINDOW_S, Borrow, Conn, Facts, Memory, remembered
from pgmonkey_magic.panels.picture import Heading, drawn
from pgmonkey_magic.panels.seen import View, view
from pgmonkey_magic.pools import census

if TYPE_CHECKING:
    from pgmonkey_magic.config import Config
    from pgmonkey_magic.panels.backends import Backends
    from pgmonkey_magic.panels.drawing import Drawn
    from pgmonkey_magic.pools import PGAsyncPool, PGPool, Pooled
    from pgmonkey_magic.pools.ledger import Ticket

_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
STILL_S = 2.0
"""How long a picture that stays as it is may wait for what the server says."""
RECOUNT_S = 1.0
"""After how long the percentiles are worked out anew: of a busy pool they are made of thousands of durations."""


class Watch:
    """Looks at a pool as often as it is asked, without ever borrowing from it or waiting for anything.

    It has one connection of its own to the server until it is closed.
    """

    def __init__(self, pool: PGPool | PGAsyncPool, name: str) -> None:
        self.pool = pool
        self._name = name
        self._memory = Memory()
        self._durations: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._counted_at = 0.0
        # Behind PgBouncer a connection has no process that is its own.
        self._server = ServerWatch(pool, lambda: [] if pool.config.pgbouncer else self._pids())

    def look(self) -> View:
        """Return the pool as it is now."""
        return self._seen(self._facts())

    def look_once(self) -> View:
        """Return the pool as it is now, for who will not look again: waits and holds are those of its whole life."""
        waits_s, holds_s = self.pool.ledger.latest(self.pool.ledger.counts().given_back)
        return self._seen(replace(self._facts(), waits_s=tuple(waits_s), holds_s=tuple(holds_s)))

    def _seen(self, facts: Facts) -> View:
        self._memory = remembered(self._memory, facts)
        return view(facts, self._memory)

    def heading(self, mode: str) -> Heading:
        """Return what stands above the picture."""
        pool = self.pool
        kind = "sync pool" if pool.connection_type == "pool" else "async pool"
        return Heading(self._name, whereabouts(pool), f"{kind}, tuned" if pool.tuned else kind, mode)

    def wait_for_server(self, timeout: float) -> None:
        """Wait for the server's first answer, for a picture that will not be drawn again."""
        self._server.wait(timeout)

    def close(self) -> None:
        """End the connection to the server."""
        self._server.close()

    def _pids(self) -> list[int]:
        return [each.pid for each in census(self.pool).connections]

    def _facts(self) -> Facts:
        pool, ledger, settings = self.pool, self.pool.ledger, self.pool.settings
        found, counts, held = census(pool), ledger.counts(), ledger.held()
        held_s, now = counts.held_s + sum(ticket.seconds() for ticket in held), time.monotonic()
        waits_s, holds_s = self._recent(counts.given_back, now)
        error = pool.connect_error
        return Facts(
            at=now,
            min_size=settings.min_size,
            max_size=settings.max_size,
            timeout_s=settings.timeout,
            connected=found.connected,
            connections=tuple(_conn(each) for each in found.connections),
            broken=found.broken,
            opening=found.opening,
            pausing=found.pausing,
            queue=tuple(_borrow(ticket) for ticket in ledger.waiting()),
            ended=counts.given_back,
            errors=counts.refused,
            held_s=held_s,
            waits_s=waits_s,
            holds_s=holds_s,
            connect_error=" ".join(str(error).split()) if error else "",
            server=self._answer(),
        )

    def _answer(self) -> Backends | None:
        return self._server.latest

    def _recent(self, ended: int, now: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the durations of the borrows that have ended in the last WINDOW_S, as far as that was watched."""
        if now - self._counted_at >= RECOUNT_S:
            self._counted_at = now
            before = [sample.ended for sample in self._memory.samples if sample.at > now - WINDOW_S]
            waits, holds = self.pool.ledger.latest(ended - before[0] if before else 0)
            self._durations = tuple(waits), tuple(holds)
        return self._durations


def still(pool: PGAsyncPool | PGPool, name: str) -> Drawn:
    """Return a picture that will not be drawn again, for who cannot see a panel; waits a moment for the server."""
    watch = Watch(pool, name)
    try:
        watch.wait_for_server(STILL_S)
        return drawn(watch.look_once(), watch.heading(f"as of {time.strftime('%H:%M:%S')}"))
    finally:
        watch.close()


def _conn(each: Pooled) -> Conn:
    borrow = _borrow(each.ticket) if each.ticket else None
    in_transaction = borrow is not None and each.transaction in _OPEN
    return Conn(each.pid, each.stage, each.uses, in_transaction, each.outdated, each.hung_up, borrow)


def _borrow(ticket: Ticket) -> Borrow:
    return Borrow(ticket.holder.who, ticket.holder.query, ticket.seconds())


def whereabouts(pool: PGPool | PGAsyncPool) -> str:
    """Return whom and where a pool connects to, such as `app@db1:5433/orders`; no secret is in it."""
    return address(pool.config)


def address(config: Config) -> str:
    """Return whom and where a configuration connects to, as `whereabouts` does."""
    settings = config.connection_settings
    user = f"{settings['user']}@" if settings.get("user") else ""
    host = str(settings.get("host") or settings.get("hostaddr") or "")
    host = "local socket" if host.startswith(("/", "@")) else host
    port = f":{settings['port']}" if settings.get("port") and host != "local socket" else ""
    return f"{user}{host}{port}/{settings.get('dbname', '')}"
