"""What is asked of a pool: how many requests a second, how long each holds a connection. From a ledger, or assumed.

A pool's life is mostly quiet, and a size is chosen for the busy hours. So a tuner keeps a `Reading` every few seconds,
which is small; `observed` takes the rate and the holds of the busiest stretch among them, `lately` those of the newest.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.pools import Usage
    from pgmonkey_magic.pools.ledger import Ledger

STRETCH_S = 30.0
"""A shorter stretch than this tells of its luck more than of the load."""
ENOUGH_IN_HALF = 200
GROWS, BUSIER = 1.5, 1.5
"""The server is the bottleneck where holds are this many times as long while this many times as many are busy."""


@dataclass(frozen=True, slots=True)
class Workload:
    """An offered load and the sample that tells of it. Rates per second, times in seconds.

    `requests` are the samples, `seconds` how long they took; `holds_s` and `waits_s` are ascending. Where `workers` is
    given, the load is closed: so many each wait for their answer, think for `think_s` in the mean, and ask again.
    `bottleneck` says, where it was seen, that holds grow with the connections in use.
    """

    rate: float
    hold_s: float
    hold_cv: float = 1.0
    requests: int = 0
    seconds: float = 0.0
    refused: int = 0
    holds_s: tuple[float, ...] = ()
    waits_s: tuple[float, ...] = ()
    workers: int | None = None
    think_s: float = 0.0
    rest_busy: float | None = None
    """The connections in use in the quietest stretch."""
    bottleneck: str | None = None

    @property
    def busy(self) -> float:
        """How many connections are in use in the mean, by Little's law; of a closed load that never has to wait."""
        if self.workers is not None:
            return self.workers * self.hold_s / max(self.think_s + self.hold_s, 1e-9)
        return self.rate * self.hold_s


@dataclass(frozen=True, slots=True)
class Reading:
    """The running totals of a pool at one moment; small enough to keep hundreds."""

    seconds: float
    granted: int
    refused: int
    held_s: float

    @classmethod
    def of(cls, usage: Usage) -> Reading:
        """Keep what is needed of an account."""
        return cls(usage.seconds, usage.granted, usage.refused, usage.busy * usage.seconds)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What happened between two readings."""

    seconds: float
    granted: int
    refused: int
    held_s: float

    @property
    def busy(self) -> float:
        return self.held_s / self.seconds

    @property
    def hold_s(self) -> float:
        return self.held_s / max(self.granted, 1)


def observed(usage: Usage, history: Sequence[Reading] = ()) -> Workload:
    """Return the load of a pool over its whole life, or in the busiest 30 s of its *history*, which is ascending.

    A stretch has no `waits_s`: an account does not tell which of them were its own.
    """
    now = Reading.of(usage)
    stretches = _stretches([*history, now])
    whole = _Stretch(max(now.seconds, 1e-9), now.granted, now.refused, now.held_s)
    peak = max([*stretches, whole], key=lambda stretch: stretch.busy)
    waits_s = usage.waits_s if peak is whole else ()
    return replace(_workload(peak, stretches), waits_s=waits_s, holds_s=usage.holds_s, hold_cv=variation(usage.holds_s))


def lately(ledger: Ledger, history: Sequence[Reading]) -> Workload:
    """Return the load of the newest stretch of at least 30 s, with its own waits and holds.

    Where the *history* does not reach back that far, it is the load since its beginning.
    """
    now = Reading.of(ledger.usage())
    before = [reading for reading in history if now.seconds - reading.seconds >= STRETCH_S]
    first = before[-1] if before else (history[0] if history else Reading(0.0, 0, 0, 0.0))
    newest = _between(first, now)
    waits, holds = ledger.latest(newest.granted)
    workload = _workload(newest, _stretches([*history, now]))
    return replace(workload, waits_s=tuple(waits), holds_s=tuple(holds), hold_cv=variation(holds))


def _workload(stretch: _Stretch, all_stretches: Sequence[_Stretch]) -> Workload:
    return Workload(
        rate=(stretch.granted + stretch.refused) / stretch.seconds,
        hold_s=stretch.hold_s,
        requests=stretch.granted,
        seconds=stretch.seconds,
        refused=stretch.refused,
        rest_busy=min((each.busy for each in all_stretches), default=None),
        bottleneck=_bottleneck(all_stretches),
    )


def variation(values: Sequence[float]) -> float:
    """Return the coefficient of variation: 0 constant, 1 exponential; 1 where there are too few to tell."""
    if len(values) < 2 or not (mean := statistics.fmean(values)):
        return 1.0
    return statistics.stdev(values) / mean


def _stretches(readings: Sequence[Reading]) -> list[_Stretch]:
    """Return the stretches of at least 30 s, one from each reading on."""
    found, end = [], 0
    for begin, first in enumerate(readings):
        end = max(end, begin)
        while end < len(readings) and readings[end].seconds - first.seconds < STRETCH_S:
            end += 1
        if end == len(readings):
            break
        found.append(_between(first, readings[end]))
    return found


def _between(first: Reading, last: Reading) -> _Stretch:
    return _Stretch(
        max(last.seconds - first.seconds, 1e-9),
        last.granted - first.granted,
        last.refused - first.refused,
        last.held_s - first.held_s,
    )


def _bottleneck(stretches: Sequence[_Stretch]) -> str | None:
    """Compare the quieter half of the stretches with the busier one.

    Halves and not the extremes: the busiest of many stretches is also the one that happened to have long holds.
    """
    ascending = sorted(stretches, key=lambda stretch: stretch.busy)
    middle = len(ascending) // 2
    calm, busy = _together(ascending[:middle]), _together(ascending[middle:])
    if min(calm.granted, busy.granted) < ENOUGH_IN_HALF:
        return None
    if busy.busy < BUSIER * calm.busy or busy.hold_s < GROWS * calm.hold_s:
        return None
    return (
        f"holds last {busy.hold_s * 1e3:.1f} ms with {busy.busy:.1f} connections busy and {calm.hold_s * 1e3:.1f} ms "
        f"with {calm.busy:.1f}: the server looks like the bottleneck, and more connections would make each slower"
    )


def _together(stretches: Sequence[_Stretch]) -> _Stretch:
    return _Stretch(
        max(sum(each.seconds for each in stretches), 1e-9),
        sum(each.granted for each in stretches),
        sum(each.refused for each in stretches),
        sum(each.held_s for each in stretches),
    )
