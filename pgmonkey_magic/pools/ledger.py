"""Who holds a connection, who waits for one, since when: kept at the two gates of a pool.

psycopg_pool's own figures cannot say this: they count connections, not the people behind them, and its
`pool_size - pool_available` includes connections that are still being opened. The ledger is written when a request
enters, when it is granted and when it ends, so a snapshot is true at the moment it is taken. Every borrow pays for
that, so what can be told from the entries is worked out by those who ask: names, sums, percentiles.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

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


Borrower = Holder | threading.Thread | asyncio.Task[Any]
"""Who borrows; a thread and a task are not named before somebody asks."""


def current_borrower() -> Borrower:
    """Return the running asyncio task, or else the running thread."""
    # Asked first, because outside of a loop `current_task` answers with an exception, at the cost of a borrow.
    loop = asyncio._get_running_loop()  # noqa: SLF001 - in asyncio's __all__
    return (loop and asyncio.current_task(loop)) or threading.current_thread()


@dataclass(slots=True, eq=False)
class Ticket:
    """One request from its entry to its end. Times are `time.monotonic()` seconds."""

    borrower: Borrower
    thread_id: int
    requested_at: float
    granted_at: float | None = None
    conn: Any = None
    """The connection that it was granted."""

    @property
    def holder(self) -> Holder:
        """The borrower as a person would name it."""
        if isinstance(self.borrower, Holder):
            return self.borrower
        if isinstance(self.borrower, threading.Thread):
            return Holder(f"thread {self.borrower.name}")
        return Holder(f"task {self.borrower.get_name()}")

    def is_of(self, borrower: Borrower, thread_id: int) -> bool:
        """Tell whether it is a request of that borrower. Two jobs of one cell are two, though they are named alike."""
        return self.borrower is borrower and self.thread_id == thread_id

    @property
    def waited_s(self) -> float:
        """How long it has waited, or had waited when it was granted."""
        return (time.monotonic() if self.granted_at is None else self.granted_at) - self.requested_at

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


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests that have ended: borrows given back, requests that got nothing, and the seconds of all those borrows."""

    given_back: int
    refused: int
    held_s: float


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that *share* of all do not exceed (nearest rank); NaN where there is none."""
    if not ascending:
        return math.nan
    return ascending[min(len(ascending) - 1, max(0, math.ceil(share * len(ascending)) - 1))]


@dataclass(slots=True)
class Ledger:
    """The book of one pool. Every method may be called from any thread.

    A request's way through the two sets takes no lock: adding, discarding and copying are single steps of the
    interpreter, and only the one who made a request carries it on.
    """

    _waiting: set[Ticket] = field(default_factory=set)
    _held: set[Ticket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while what has ended is counted."""
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _holds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _begun_at: float = field(default_factory=time.monotonic)
    _given_back: int = 0
    _refused: int = 0
    _held_s: float = 0.0

    def request(self, borrower: Borrower, thread_id: int) -> Ticket:
        """Enter a request of the thread in the queue."""
        ticket = Ticket(borrower, thread_id, time.monotonic())
        self._waiting.add(ticket)
        return ticket

    def grant(self, ticket: Ticket, conn: Any) -> None:
        """Note that the request has got this connection."""
        ticket.conn = conn
        conn.uses += 1
        ticket.granted_at = time.monotonic()
        self._held.add(ticket)  # before it leaves the queue: nobody shall see it nowhere
        self._waiting.discard(ticket)

    def end(self, ticket: Ticket) -> None:
        """Strike the request out, granted or not; striking it out twice is harmless."""
        with self._lock:
            if ticket in self._held:
                self._held.discard(ticket)
                held_s = ticket.seconds()
                self._given_back += 1
                self._held_s += held_s
                self._holds.append(held_s)
                self._waits.append(ticket.waited_s)
            elif ticket in self._waiting:
                self._waiting.discard(ticket)
                self._refused += 1

    @property
    def in_use(self) -> int:
        """How many requests hold a connection now."""
        return len(self._held)

    def held(self) -> list[Ticket]:
        """Return the requests that hold a connection now, longest first."""
        return sorted(self._held.copy(), key=attrgetter("granted_at"))

    def holds(self, ticket: Ticket) -> bool:
        """Tell whether the request holds its connection now."""
        return ticket in self._held

    def waiting(self) -> list[Ticket]:
        """Return the requests in the queue, longest wait first."""
        return sorted(self._waiting.copy(), key=attrgetter("requested_at"))

    def usage(self) -> Usage:
        """Return the account so far; what is held now counts as granted and as busy."""
        with self._lock:
            held, seconds = self.held(), time.monotonic() - self._begun_at
            held_s = self._held_s + sum(ticket.seconds() for ticket in held)
            waits, holds = [*self._waits, *(ticket.waited_s for ticket in held)], list(self._holds)
            given_back, refused = self._given_back, self._refused
        return Usage(
            seconds=seconds,
            granted=given_back + len(held),
            refused=refused,
            busy=held_s / max(seconds, 1e-9),
            waits_s=tuple(sorted(waits[-REMEMBERED:])),
            holds_s=tuple(sorted(holds)),
        )

    def counts(self) -> Counts:
        """Return what is counted of ended requests: the cheap part of `usage`, for who asks twice a second."""
        with self._lock:
            return Counts(self._given_back, self._refused, self._held_s)

    def latest(self, count: int) -> tuple[list[float], list[float]]:
        """Return how long the last *count* borrows (at most 10,000) had waited and were held, in seconds, ascending."""
        with self._lock:
            begin = max(0, len(self._holds) - count)
            waits, holds = (list(islice(each, begin, None)) for each in (self._waits, self._holds))
        return sorted(waits), sorted(holds)
