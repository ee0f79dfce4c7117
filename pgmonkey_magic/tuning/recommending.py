"""Settings for a measured load and a target wait, each with its reason; or the sentence why there are none.

What no size cures comes first: a leak, failing connections. Then the smallest size whose predicted p95 wait meets the
target in the busiest stretch, within what the server has for us.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.pools import quantile
from pgmonkey_magic.tuning.comparing import Row, measured, refused
from pgmonkey_magic.tuning.prediction import predict

if TYPE_CHECKING:
    from pgmonkey_magic.config import PoolSettings
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning.presets import Lifecycle
    from pgmonkey_magic.tuning.workload import Workload

LARGEST = 500
LEAKED_AFTER_S, LEAKED_FACTOR = 60.0, 20
"""A connection held for longer than this and than so many times the p99 hold was probably forgotten."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted: the p95 wait in seconds, and the most connections that this pool may have, if known."""

    p95_s: float
    most: int | None = None
    lifecycle: Lifecycle | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Settings with the reasons, one sentence each; where there is a `refusal`, the settings are the present ones."""

    settings: PoolSettings
    reasons: tuple[str, ...] = ()
    refusal: str | None = None
    row: Row | None = None
    """The recommended size, predicted."""


def goal_for(p95_s: float, free: int, processes: int = 1, lifecycle: Lifecycle | None = None) -> Goal:
    """Return the goal of one of *processes* that share the *free* connections of a server (`budget(…).free`)."""
    return Goal(p95_s, free // processes, lifecycle)


def troubles(pool: PGPool | PGAsyncPool) -> tuple[str, ...]:
    """Return what must be cured before the pool's size is looked at: leaks by their holders, failed connections."""
    usual_s = quantile(pool.ledger.usage().holds_s, 0.99)
    long_s = max(LEAKED_AFTER_S, 0 if math.isnan(usual_s) else LEAKED_FACTOR * usual_s)
    found = [
        f"{ticket} looks like a leak, which no size cures: end that holder, or find its missing `with`"
        for ticket in pool.ledger.held()
        if ticket.seconds() > long_s
    ]
    if (error := pool.connect_error) is not None:
        found.append(f"the last attempt to connect failed, as the log says: {' '.join(str(error).split())}")
    return tuple(found)


def recommend(load: Workload, settings: PoolSettings, goal: Goal, troubles: tuple[str, ...] = ()) -> Recommendation:
    """Return the settings for *load*; *troubles* of the pool are named first and refuse it."""
    if refusal := "; ".join(troubles) or refused(load, settings.max_size):
        return Recommendation(settings, refusal=refusal)
    row = _smallest(load, goal.p95_s, settings.max_size)
    if row is None:
        return Recommendation(
            settings, refusal=f"no pool of up to {LARGEST} connections brings the p95 wait below {_ms(goal.p95_s)}"
        )
    if goal.most is not None and row.size > goal.most:
        return Recommendation(
            settings,
            refusal=(
                f"a p95 wait below {_ms(goal.p95_s)} needs {row.size} connections, and the server has {goal.most} for "
                "this pool: shorten the holds, raise the target, or put PgBouncer in between"
            ),
            row=row,
        )
    wanted, reasons = _sizes(load, row, goal)
    if goal.lifecycle is not None:
        wanted |= goal.lifecycle.settings()
        reasons.append(
            f"max_idle {goal.lifecycle.max_idle:g} s and max_lifetime {goal.lifecycle.max_lifetime:g} s, for "
            f"{goal.lifecycle.workload}: {goal.lifecycle.reason}"
        )
    return Recommendation(replace(settings, **wanted), tuple(reasons), None, row)


def _smallest(load: Workload, p95_s: float, present: int) -> Row | None:
    size = max(1, math.floor(load.busy) if load.workers is None else 1)
    while size <= LARGEST:
        # The range takes a simulation, so it is made for the one that fits.
        prediction = predict(size, load, requests=1)
        if prediction.expected.p95_s <= p95_s:
            prediction = predict(size, load, requests=load.requests)
        if prediction.expected.p95_s <= p95_s:  # what has no formula is known only now
            return Row(prediction, size == present, measured(load, size) if size == present else None)
        size += 1
    return None


def _sizes(load: Workload, row: Row, goal: Goal) -> tuple[dict[str, Any], list[str]]:
    expected, low, high = row.prediction.expected, row.prediction.low, row.prediction.high
    asked = f"{load.rate:.1f} requests/s" if load.workers is None else f"{load.workers} workers"
    why_most = (
        f"max_size {row.size}: the smallest whose predicted p95 wait ({_ms(expected.p95_s)}, from {_ms(low.p95_s)} to "
        f"{_ms(high.p95_s)} in a stretch like the one seen) is at most {_ms(goal.p95_s)}, for {asked} that hold a "
        f"connection for {_ms(load.hold_s)} each ({row.prediction.source})"
    )
    rest = math.ceil(load.busy if load.rest_busy is None else load.rest_busy)
    least = max(1, min(rest, row.size))
    when = "in the mean" if load.rest_busy is None else "in the quietest stretch"
    why_least = f"min_size {least}: so many are in use {when}, rounded up, and need not be opened again"
    return {"min_size": least, "max_size": row.size}, [why_most, why_least]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 10 else f"{seconds:.3g} s"
