"""Who holds a connection, who waits for one, since when: kept at the two gates of a pool.

psycopg_pool's own figures cannot say this: they count connections, not the people behind them, and its
`pool_size - pool_available` includes connections that are still being opened. The ledger is written when a request
enters, when it is granted and when it ends, so a snapshot is true at the moment it is taken.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Holder:
    """A borrower as a person would name it: `cell [3]`, `thread worker-1`, `task Task-4`."""

    who: str
    query: str = ""
    """The head of the statement, for messages; empty when the borrower is plain Python code."""

    @classmethod
    def current(cls) -> Holder:
        """Return the running asyncio task, or else the running thread."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        return cls(f"task {task.get_name()}" if task else f"thread {threading.current_thread().name}")


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


@dataclass(slots=True)
class Ledger:
    """The book of one pool. Every method may be called from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: dict[int, Ticket] = field(default_factory=dict)
    _held: dict[int, Ticket] = field(default_factory=dict)

    def request(self, holder: Holder) -> Ticket:
        """Enter a request in the queue."""
        ticket = Ticket(holder, threading.get_ident(), time.monotonic())
        with self._lock:
            self._waiting[id(ticket)] = ticket
        return ticket

    def grant(self, ticket: Ticket, backend_pid: int) -> None:
        """Note that the request has got its connection."""
        with self._lock:
            self._waiting.pop(id(ticket), None)
            ticket.granted_at = time.monotonic()
            ticket.backend_pid = backend_pid
            self._held[id(ticket)] = ticket

    def end(self, ticket: Ticket) -> None:
        """Strike the request out, granted or not; striking it out twice is harmless."""
        with self._lock:
            self._waiting.pop(id(ticket), None)
            self._held.pop(id(ticket), None)

    def held(self) -> list[Ticket]:
        """Return the requests that hold a connection now, longest first."""
        with self._lock:
            return sorted(self._held.values(), key=lambda ticket: ticket.granted_at or 0.0)

    def waiting(self) -> list[Ticket]:
        """Return the requests in the queue, longest wait first."""
        with self._lock:
            return list(self._waiting.values())
