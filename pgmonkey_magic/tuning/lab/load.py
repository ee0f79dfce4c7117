"""What the lab asks of a pool, as a value: who asks, how often, how long each holds a connection, for how long."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WORKERS = 32
MAX_SECONDS = 60.0
MAX_RATE = 1000.0
"""More arrivals a second than threads of one Python process can make."""


@dataclass(frozen=True, slots=True)
class Load:
    """An offered load; times in seconds. Exactly one of `rate` and `workers` is given.

    open     `rate` requests arrive per second (Poisson), whether or not earlier ones were answered
    closed   `workers` each think (exponential, `think_s` in the mean), borrow, hold, and begin again

    The same `seed` gives the same arrivals, thoughts and holds. Raises RequestError beyond the lab's bounds.
    """

    rate: float | None = None
    workers: int | None = None
    think_s: float = 0.0
    hold_s: float = 0.02
    hold: Literal["exponential", "constant"] = "exponential"
    seconds: float = 5.0
    seed: int = 1

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.workers is None):
            raise RequestError("a load is either open (rate=, requests per second) or closed (workers=)")
        if self.hold not in ("exponential", "constant"):
            raise RequestError(f"hold is 'exponential' or 'constant', not {self.hold!r}")
        _within("rate", self.rate, MAX_RATE)
        _within("workers", self.workers, MAX_WORKERS)
        _within("seconds", self.seconds, MAX_SECONDS)
        _within("hold_s", self.hold_s, self.seconds)
        if not 0 <= self.think_s <= MAX_SECONDS:
            raise RequestError(f"think_s is from 0 to {MAX_SECONDS:g} in the lab, not {self.think_s!r}")

    @property
    def hold_cv(self) -> float:
        """The coefficient of variation of the holds."""
        return 1.0 if self.hold == "exponential" else 0.0

    @property
    def clients(self) -> int:
        """How many threads or tasks carry it out."""
        return MAX_WORKERS if self.workers is None else self.workers


def _within(name: str, value: float | None, most: float) -> None:
    if value is not None and not 0 < value <= most:
        raise RequestError(f"{name} is more than 0 and at most {most:g} in the lab, not {value!r}")


class Clock:
    """Seconds since the beginning of a run."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.perf_counter() - self._began


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to come. `at_s` counts from the beginning of the run."""

    at_s: float
    hold_s: float


class Script:
    """Deals out the turns of a load to its clients, from any thread.

    An arrival of an open load goes to whichever client is free first, and keeps its time: where no client is free yet,
    it waits already, and that counts.
    """

    def __init__(self, load: Load, clock: Clock) -> None:
        self._load, self.clock = load, clock
        self._lock = threading.Lock()
        self._arrivals = self._arriving(random.Random(load.seed))  # noqa: S311 - a lab, no secret

    def turns(self, client: int) -> Iterator[Turn]:
        """Give the turns of one client until the run is over."""
        if self._load.rate is None:
            yield from self._thinking(random.Random(f"{self._load.seed}:{client}"))  # noqa: S311
        else:
            while (turn := self._next_arrival()) is not None:
                yield turn

    def _next_arrival(self) -> Turn | None:
        with self._lock:
            return next(self._arrivals, None)

    def _arriving(self, rng: random.Random) -> Iterator[Turn]:
        rate, at_s = self._load.rate or 0.0, 0.0
        while (at_s := at_s + rng.expovariate(rate)) < self._load.seconds:
            yield Turn(at_s, self._hold_s(rng))

    def _thinking(self, rng: random.Random) -> Iterator[Turn]:
        think_s = self._load.think_s
        while True:
            at_s = self.clock.seconds() + (rng.expovariate(1 / think_s) if think_s else 0.0)
            if at_s >= self._load.seconds:
                return
            yield Turn(at_s, self._hold_s(rng))

    def _hold_s(self, rng: random.Random) -> float:
        return self._load.hold_s if self._load.hold == "constant" else rng.expovariate(1 / self._load.hold_s)
