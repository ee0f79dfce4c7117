"""What an occupancy panel shows, made of facts: the view, a frozen value. `picture` draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.alarms import Alarm, alarms_of
from pgmonkey_magic.panels.facts import WINDOW_S, Conn, Facts, Memory
from pgmonkey_magic.pools import Stage, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENOUGH = 20
"""Samples below which a percentile says nothing."""
OPEN_S = 1.0
"""A transaction in which nothing has run for so long is shown as idle; shorter, it is between two statements."""
MOST_CELLS, MOST_ROOM = 400, 24
"""Of all cells, and of the empty ones, those that are drawn; the rest is said in words."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One cell. `kind` is a key of `picture.STATES`, or `room` or `gap`, which have nothing but it.

    `seconds` counts for how long it has been held, or idle in its transaction; NaN where nobody holds it.
    """

    kind: str
    name: str = ""
    seconds: float = math.nan
    uses: int = 0
    who: str = ""
    query: str = ""
    backend: str = ""
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Percentiles:
    """p50, p95 and p99 in ms; NaN where there were too few."""

    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown. Connections by state; `room` for more, `over` max_size; `hidden` cells that are not drawn.

    The curves have a value for each of the last WINDOW_S seconds; `window_s` is how much of that has been seen; `rate`
    counts borrows per second in it.
    """

    facts: Facts
    slots: tuple[Slot, ...]
    hidden: int
    counts: Mapping[str, int]
    room: int
    over: int
    window_s: float
    in_use_curve: tuple[float, ...]
    waiting_curve: tuple[float, ...]
    waits: Percentiles
    holds: Percentiles
    rate: float
    alarms: tuple[Alarm, ...]


def view(facts: Facts, memory: Memory) -> View:
    """Return what to show; *memory* is the one that *facts* have been added to."""
    since = dict(memory.open_since)
    occupied = {conn.pid: _slot(conn, facts, since.get(conn.pid)) for conn in facts.connections}
    size = len(occupied) + facts.broken + facts.opening
    room = max(0, facts.max_size - size)
    cells = _laid_out(memory.cells, occupied, _newcomers(facts), room)
    first, last = memory.samples[0], memory.samples[-1]
    window_s = last.at - first.at
    kinds = [slot.kind for slot in cells]
    return View(
        facts=facts,
        slots=tuple(cells[:MOST_CELLS]),
        hidden=max(0, len(cells) - MOST_CELLS) + max(0, room - MOST_ROOM),
        counts={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        room=room,
        over=max(0, size - facts.max_size),
        window_s=min(float(WINDOW_S), window_s),
        in_use_curve=curve([(sample.at, sample.in_use) for sample in memory.samples], facts.at),
        waiting_curve=curve([(sample.at, float(sample.waiting)) for sample in memory.samples], facts.at),
        waits=percentiles(facts.waits_s),
        holds=percentiles(facts.holds_s),
        rate=(last.ended - first.ended) / window_s if window_s > 0 else math.nan,
        alarms=alarms_of(facts, memory, tuple(occupied.values())),
    )


def _slot(conn: Conn, facts: Facts, open_since: float | None) -> Slot:
    server = facts.server
    backend = server.found.get(conn.pid) if server else None
    slot = Slot("idle", str(conn.pid), uses=conn.uses, outdated=conn.outdated)
    if backend is not None:
        slot = replace(slot, backend=backend.waits_for or backend.state)
    if conn.borrow is not None:
        query = conn.borrow.query or (backend.query if backend else "")
        slot = replace(slot, who=conn.borrow.who, query=query, seconds=conn.borrow.seconds)
    if conn.hung_up or (server and conn.pid in server.asked and backend is None):
        return replace(slot, kind="stale")
    if conn.stage is Stage.RESETTING:
        return replace(slot, kind="resetting")
    if conn.stage is Stage.IN_USE:
        idle_s = _idle_in_transaction_s(conn, facts, open_since)
        return replace(slot, kind="in use") if idle_s < OPEN_S else replace(slot, kind="idle in tx", seconds=idle_s)
    return slot


def _idle_in_transaction_s(conn: Conn, facts: Facts, open_since: float | None) -> float:
    """Return for how long nothing has run in the connection's open transaction; the server knows best."""
    if not conn.in_transaction or open_since is None or conn.borrow is None:
        return 0.0
    backend = facts.server.found.get(conn.pid) if facts.server else None
    if facts.server and backend and backend.state.startswith("idle in transaction"):
        idle_s = backend.since_s + facts.at - facts.server.at
    else:
        idle_s = facts.at - open_since
    return min(idle_s, conn.borrow.seconds)  # what the server said may be of the borrower before


def _newcomers(facts: Facts) -> list[Slot]:
    """Return the slots of connections without a process id: those being opened, and borrowed ones that have broken."""
    opening = [Slot("opening", "new")] * (facts.opening - facts.pausing)
    return [*opening, *[Slot("retrying", "new")] * facts.pausing, *[Slot("stale", "broken")] * facts.broken]


def _laid_out(
    cells: Sequence[int | None], occupied: Mapping[int, Slot], newcomers: Sequence[Slot], room: int
) -> list[Slot]:
    """Put everything into cells: who has one stays there, the others fill the free ones, then comes the room."""
    others = iter([*newcomers, *[Slot("room")] * min(room, MOST_ROOM)])
    seated = [occupied[pid] if pid is not None else next(others, Slot("gap")) for pid in cells]
    return [*seated, *others]


def curve(samples: Sequence[tuple[float, float]], now: float) -> tuple[float, ...]:
    """Return one value for each of the last WINDOW_S seconds, the largest in it; NaN before the first sample.

    A second without a look has the value of the one before: looks are rare only while nothing changes.
    """
    values = [math.nan] * WINDOW_S
    for at, value in samples:
        place = WINDOW_S - 1 - int(now - at)
        if 0 <= place < WINDOW_S:
            values[place] = value if math.isnan(values[place]) else max(values[place], value)
    for i in range(1, WINDOW_S):
        if math.isnan(values[i]):
            values[i] = values[i - 1]
    return tuple(values)


def percentiles(ascending: Sequence[float]) -> Percentiles:
    """Return the percentiles of durations in seconds, as ms."""
    if len(ascending) < ENOUGH:
        return Percentiles()
    return Percentiles(*(quantile(ascending, share) * 1000 for share in (0.50, 0.95, 0.99)))
