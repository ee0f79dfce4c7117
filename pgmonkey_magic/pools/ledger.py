"""Who holds a connection, who waits for one, since when: kept at the two gates of a pool.

psycopg_pool's own figures cannot say this: they count connections, not the people behind them, and its
`pool_size - pool_available` includes connections that are still being opened. The ledger is written when a request
enters, when it is granted and when it ends, so a snapshot is true at the moment it is taken.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REMEMBERED = 10_000
"""Durations kept for percentiles."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A borrower as a person would name it: `cell [3]`, `thread worker-1`, `task Task-4`."""

    who: str
    query: str = ""
    """The head of the statement, for messages; empty when the borrower is plain Python code."""

    @classmethod
    def current(cls) -> Holder:
        """Return the running asyncio task, or else the running thread."""
        # Asked first, because outside of a loop `current_task` answers with an exception, at the cost of a borrow.
        task = asyncio.current_task() if asyncio._get_running_loop() else None  # noqa: SLF001 - in asyncio's __all__
        return _holder(f"task {task.get_name()}" if task else f"thread {threading.current_thread().name}")


@lru_cache(maxsize=1024)
def _holder(who: str) -> Holder:
    return Holder(who)


@dataclass(slots=True, eq=False)
class Ticket:
    """One request from its entry to its end. Times are `time.monotonic()` seconds."""

    holder: Holder
    thread_id: int
    requested_at: float
    granted_at: float | None = None
    backend_pid: int | None = None

    def seconds(self) -> float:
        """Return how long it has been waiting, or holding once granted."""
        since = self.requested_at if self.granted_at is None else self.granted_at
        return time.monotonic() - since

    def __str__(self) -> str:
        query = f" ({self.holder.query})" if self.holder.query else ""
        return f"{self.holder.who} {self.seconds():.1f} s{query}"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A pool at one moment; every field but the names counts connections or requests."""

    in_use: int
    idle: int
    size: int
    waiting: int
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a pool has done since it was made.

    `refused` counts requests that ended without a connection; `busy` is the mean number of connections in use;
    `waits_s` and `holds_s` are the last 10,000 durations, ascending.
    """

    seconds: float
    granted: int
    refused: int
    busy: float
    waits_s: tuple[float, ...]
    holds_s: tuple[float, ...]


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that *share* of all do not exceed (nearest rank); NaN where there is none."""
    if not ascending:
        return math.nan
    return ascending[min(len(ascending) - 1, max(0, math.ceil(share * len(ascending)) - 1))]


@dataclass(slots=True)
class Ledger:
    """The book of one pool. Every method may be called from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: dict[int, Ticket] = field(default_factory=dict)
    _held: dict[int, Ticket] = field(default_factory=dict)
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _holds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _begun_at: float = field(default_factory=time.monotonic)
    _granted: int = 0
    _refused: int = 0
    _held_s: float = 0.0

    def request(self, holder: Holder, thread_id: int) -> Ticket:
        """Enter a request of the thread in the queue."""
        ticket = Ticket(holder, thread_id, time.monotonic())
        self._waiting[id(ticket)] = ticket  # one step of the interpreter: needs no lock
        return ticket

    def grant(self, ticket: Ticket, backend_pid: int | None) -> None:
        """Note that the request has got its connection."""
        with self._lock:
            self._waiting.pop(id(ticket), None)
            ticket.granted_at = time.monotonic()
            ticket.backend_pid = backend_pid
            self._held[id(ticket)] = ticket
            self._granted += 1
            self._waits.append(ticket.granted_at - ticket.requested_at)

    def end(self, ticket: Ticket) -> None:
        """Strike the request out, granted or not; striking it out twice is harmless."""
        with self._lock:
            if self._waiting.pop(id(ticket), None):
                self._refused += 1
            if self._held.pop(id(ticket), None):
                self._holds.append(ticket.seconds())
                self._held_s += self._holds[-1]

    @property
    def in_use(self) -> int:
        """How many requests hold a connection now."""
        return len(self._held)

    def held(self) -> list[Ticket]:
        """Return the requests that hold a connection now, longest first."""
        with self._lock:
            return sorted(self._held.values(), key=lambda ticket: ticket.granted_at or 0.0)

    def waiting(self) -> list[Ticket]:
        """Return the requests in the queue, longest wait first."""
        with self._lock:
            return list(self._waiting.copy().values())

    def usage(self) -> Usage:
        """Return the account so far; what is held now counts as busy."""
        with self._lock:
            seconds = time.monotonic() - self._begun_at
            held_s = self._held_s + sum(ticket.seconds() for ticket in self._held.values())
            waits, holds = tuple(sorted(self._waits)), tuple(sorted(self._holds))
            return Usage(seconds, self._granted, self._refused, held_s / max(seconds, 1e-9), waits, holds)
