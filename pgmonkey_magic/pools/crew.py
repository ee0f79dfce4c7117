"""Further connections of a pool for one conversation, each with a thread of its own: idle ones only.

Nobody waits for them and they keep nobody waiting: none is taken while somebody queues, and who has one asks between
two pieces of work whether it is wanted elsewhere. All of them are back when `join` has returned, whatever happened.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.pools.interrupts import Errand, in_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.errors import Diagnostic

    from pgmonkey_magic.pools.async_pool import PGAsyncPool
    from pgmonkey_magic.pools.lease import Lease, Talk, Terms
    from pgmonkey_magic.pools.sync_pool import PGPool

CANCEL_TIMEOUT_S = 1.0
"""How long the server's answer to a cancel request is waited for."""


class Crew:
    """Who works on one conversation: the connection that it has (*lease*), and those that are hired.

    The first failure of any of them ends the work of all; `failure` is what it was.
    """

    def __init__(
        self, pool: PGPool | PGAsyncPool, lease: Lease[Any], terms: Terms, on_notice: Callable[[Diagnostic], None]
    ) -> None:
        self.failure: BaseException | None = None
        self._pool = pool
        self._terms = replace(terms, keep=None)
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._at_work = [lease]
        self._errands: list[Errand[None]] = []

    @property
    def refusal(self) -> str:
        """Why nobody can be hired, whatever is idle; nothing where somebody can."""
        # A connection to PgBouncer may have to wait for a server process that the one who waits for it has.
        return "an idle connection to PgBouncer is none to the server" if self._pool.config.pgbouncer else ""

    def hire(self, most: int, talk: Talk[None]) -> int:
        """Have up to so many connections that are idle now hold this conversation; return how many there are.

        What it raises is a failure.
        """
        leases = self._pool.borrow_idle(self._terms.holder, most)
        self._at_work += leases
        self._errands += [in_helper(lambda lease=lease: self._hold(lease, talk)) for lease in leases]
        return len(leases)

    def is_wanted_elsewhere(self) -> bool:
        """Tell whether somebody else is kept waiting for a connection."""
        return self._pool.keeps_waiting

    def join(self, within_s: float) -> bool:
        """Wait for the end of all that were hired; tell whether they have ended."""
        while self._errands:
            try:
                self._errands[-1].result(within_s)
            except TimeoutError:
                return False
            self._errands.pop()
        return True

    def fail(self, failure: BaseException) -> None:
        """End the work of all, on the server too; the first failure counts."""
        with self._lock:
            if self.failure is not None:
                return
            self.failure = failure
            leases = [*self._at_work]
            for lease in leases:
                # A statement may end by itself just now: a cancel still on its way must not meet the next borrower.
                lease.spoiled = True
        for errand in [in_helper(lambda lease=lease: self._cancel(lease)) for lease in leases]:
            errand.result()

    def _hold(self, lease: Lease[Any], talk: Talk[None]) -> None:
        def work(conn: Any) -> None:
            conn.add_notice_handler(self._on_notice)
            try:
                conn.hold(talk(conn))
            except BaseException as failure:  # noqa: BLE001 - a thread's end: it travels to the one who has hired
                self._leave(lease)
                self.fail(failure)
            else:
                self._leave(lease)
            finally:
                conn.remove_notice_handler(self._on_notice)

        try:
            self._pool.lend_on(lease, work, self._terms)
        except BaseException as failure:  # noqa: BLE001 - as above, on the way back into the pool
            self.fail(failure)

    def _leave(self, lease: Lease[Any]) -> None:
        """Cancel nothing from here on: the connection goes back."""
        with self._lock:
            self._at_work.remove(lease)

    def _cancel(self, lease: Lease[Any]) -> None:
        with suppress(psycopg.Error):  # out of reach, or closed already because the statement has ended
            self._pool.cancel(lease, timeout=CANCEL_TIMEOUT_S)
