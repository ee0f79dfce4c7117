"""A load as a person sets it up, with presets, and what theory expects of it before anything has run. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from pgmonkey_magic.config import PoolSettings
from pgmonkey_magic.panels.drawing import number, seconds
from pgmonkey_magic.tuning.lab import Load
from pgmonkey_magic.tuning.prediction import P95, closed_load
from pgmonkey_magic.tuning.sizing import busy_connections, erlang_c, wait_quantile

KNEE = (0.7, 0.9)
"""About how busy a pool is where its waits begin to grow much faster than its load."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the controls say. Times in seconds; `rate` is of an open load, `workers` and `think_s` of a closed one."""

    arrivals: Literal["open", "closed"] = "open"
    rate: float = 100.0
    workers: int = 8
    think_s: float = 0.02
    hold_s: float = 0.02
    hold: Literal["exponential", "constant"] = "exponential"
    seconds: float = 5.0
    seed: int = 1
    connection_type: str = "pool"
    min_size: int = 4
    max_size: int = 4
    timeout_s: float = 10.0

    def load(self) -> Load:
        """Return it for the lab. Raises RequestError beyond the lab's bounds."""
        is_open = self.arrivals == "open"
        return Load(
            rate=self.rate if is_open else None,
            workers=None if is_open else self.workers,
            think_s=0.0 if is_open else self.think_s,
            hold_s=self.hold_s,
            hold=self.hold,
            seconds=self.seconds,
            seed=self.seed,
        )

    def settings(self) -> dict[str, int | float]:
        """Return the settings of the lab's own pool. Raises ConfigError for what no pool can have."""
        given = {"min_size": self.min_size, "max_size": self.max_size, "timeout": self.timeout_s}
        return {key: asdict(PoolSettings.from_mapping(given, "pool"))[key] for key in given}


PRESETS = {
    "idle": Wanted(rate=20.0),
    "comfortable": Wanted(rate=100.0),
    "at the knee": Wanted(rate=160.0),
    "overloaded": Wanted(rate=260.0, timeout_s=0.1),
}
"""Loads of the same pool that show something; its connections can serve 200 requests of 20 ms a second."""


def preset(name: str, present: Wanted) -> Wanted:
    """Return the preset, with the clients, the duration and the seed that are set at present."""
    kept = {"connection_type": present.connection_type, "seconds": present.seconds, "seed": present.seed}
    return replace(PRESETS[name], **kept)


def asked(wanted: Wanted) -> str:
    """Return the load in words."""
    hold = f"{seconds(wanted.hold_s)}{' each' if wanted.hold == 'constant' else ' in the mean'}"
    if wanted.arrivals == "open":
        return f"{number(wanted.rate)} requests a second, holding for {hold}"
    return f"{wanted.workers} workers, thinking for {seconds(wanted.think_s)} in the mean, holding for {hold}"


def forecast(wanted: Wanted) -> str:
    """Return what is to be expected, in a sentence or two. Raises RequestError or ConfigError for what cannot be."""
    wanted.load()
    wanted.settings()
    if wanted.arrivals == "closed":
        return _of_closed(wanted)
    busy, size = busy_connections(wanted.rate, wanted.hold_s), wanted.max_size
    use = f"{number(wanted.rate)}/s × {seconds(wanted.hold_s)} keeps {number(busy)} of {size} connections busy"
    if busy >= size:
        return f"{use}: more than there are, so the queue will grow for as long as the load lasts."
    share = f"{use} ({percent(busy / size)}{_knee(busy / size)})"
    cv = 1.0 if wanted.hold == "exponential" else 0.0
    p95_s = wait_quantile(size, wanted.rate, wanted.hold_s, P95, cv)
    waits = f"{percent(erlang_c(size, busy))} of the requests will wait, and 95 % of all wait at most {seconds(p95_s)}"
    return f"{share}. Expected: {waits}."


def percent(share: float) -> str:
    """Return a share of 1 as a person reads it."""
    return f"{100 * share:.0f} %"


def _knee(utilisation: float) -> str:
    if utilisation < KNEE[0]:
        return ""
    return ", about the knee" if utilisation <= KNEE[1] else ", past the knee"


def _of_closed(wanted: Wanted) -> str:
    size, workers = wanted.max_size, wanted.workers
    if workers <= size:
        return f"{workers} workers and {size} connections: nobody will ever wait."
    if wanted.hold == "constant":
        return f"{workers} workers share {size} connections; at most {workers - size} will wait at a time."
    busy, p_wait, _, p95_s = closed_load(size, workers, wanted.think_s, wanted.hold_s)
    return (
        f"{workers} workers share {size} connections. Expected: {percent(busy)} busy, {percent(p_wait)} of requests "
        f"will wait, and 95 % of all wait at most {seconds(p95_s)}."
    )
