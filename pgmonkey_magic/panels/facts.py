"""A pool at one moment, and what is remembered of the moments before: values, and pure functions on them.

`occupancy.Watch` gathers the facts; `seen.view` makes of both what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.pools import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgmonkey_magic.panels.backends import Backends

WINDOW_S = 60
"""What curves, percentiles and the rate look back on."""


@dataclass(frozen=True, slots=True)
class Borrow:
    """One request: who, the head of its query where that is known, and for how long it has waited or held."""

    who: str
    query: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Conn:
    """One connection: see `pools.Pooled`. `in_transaction` means that one is open and nothing runs in it."""

    pid: int
    stage: Stage
    uses: int
    in_transaction: bool = False
    outdated: bool = False
    hung_up: bool = False
    borrow: Borrow | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pool and its server say at `at` (seconds on any clock that only goes forward).

    `ended` and `errors` count the requests that gave back, and that got nothing, since the pool was made; `held_s` are
    the seconds of all borrows so far; `waits_s` and `holds_s` those of the last WINDOW_S, each borrow's, ascending.
    """

    at: float
    min_size: int
    max_size: int
    timeout_s: float
    connected: bool = True
    connections: tuple[Conn, ...] = ()
    broken: int = 0
    opening: int = 0
    pausing: int = 0
    queue: tuple[Borrow, ...] = ()
    ended: int = 0
    errors: int = 0
    held_s: float = 0.0
    waits_s: tuple[float, ...] = ()
    holds_s: tuple[float, ...] = ()
    connect_error: str = ""
    server: Backends | None = None

    @property
    def in_use(self) -> int:
        """How many connections are borrowed, those included that have broken meanwhile."""
        return sum(conn.stage is Stage.IN_USE for conn in self.connections) + self.broken


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment of the past. `in_use` is the mean since the sample before, `size` the number of connections.

    The others are as in Facts.
    """

    at: float
    in_use: float
    waiting: int
    ended: int
    held_s: float
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of moments before, the last one included.

    `cells` holds the process id that sits in each cell, None where none does; `open_since` when each connection whose
    transaction is open was first seen so.
    """

    cells: tuple[int | None, ...] = ()
    samples: tuple[Sample, ...] = ()
    open_since: tuple[tuple[int, float], ...] = ()


def remembered(memory: Memory, facts: Facts) -> Memory:
    """Return the memory with *facts* added, and without what is too old to be shown."""
    before = dict(memory.open_since)
    open_since = tuple((conn.pid, before.get(conn.pid, facts.at)) for conn in facts.connections if conn.in_transaction)
    cells = seated(memory.cells, sorted(conn.pid for conn in facts.connections))
    kept = tuple(sample for sample in memory.samples if sample.at > facts.at - WINDOW_S - 2)
    return Memory(cells, (*kept, _sample(kept, facts)), open_since)


def seated(cells: Sequence[int | None], pids: Iterable[int]) -> tuple[int | None, ...]:
    """Give each process the cell that it had, and a new one the first that is free."""
    present = list(pids)
    seats = [pid if pid in present else None for pid in cells]
    for pid in present:
        if pid in seats:
            continue
        if None in seats:
            seats[seats.index(None)] = pid
        else:
            seats.append(pid)
    while seats and seats[-1] is None:
        seats.pop()
    return tuple(seats)


def _sample(kept: Sequence[Sample], facts: Facts) -> Sample:
    in_use, size = float(facts.in_use), len(facts.connections) + facts.broken
    if kept and facts.at > kept[-1].at:
        # Borrows shorter than the time between two looks would be missed by looking; their seconds are not.
        mean = (facts.held_s - kept[-1].held_s) / (facts.at - kept[-1].at)
        # A borrow that ends while the facts are gathered is counted one look late, on top of that look's own.
        in_use = min(max(0.0, mean), float(max(size, kept[-1].size)))
    return Sample(facts.at, in_use, len(facts.queue), facts.ended, facts.held_s, size)
