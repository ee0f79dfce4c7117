"""What if the pool were larger or smaller? Predicted waits for a row of sizes, beside what was measured at the present.

It refuses, with the sentence why, where a prediction would be a guess: too few requests, a queue that the present size
cannot serve (then nobody knows how many more would have come), a server that is itself the bottleneck.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.pools import quantile
from pgmonkey_magic.tuning.prediction import Figures, Prediction, predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.tuning.workload import Workload

ENOUGH_REQUESTS = 200
ENOUGH_S = 30.0
SATURATED = 0.95
"""From this utilisation on, what is measured is the pool's capacity and not what is asked of it."""
CENSORED = 0.01
"""Where a larger share of the requests timed out, the longest waits are missing in the measured ones."""
NOTICEABLE_S = 0.001
"""A wait in the ledger below this is the cost of a borrow, not a queue."""


@dataclass(frozen=True, slots=True)
class Row:
    """One size, and what was measured where it is the present one and that is known."""

    prediction: Prediction
    is_present: bool = False
    measured: Figures | None = None

    @property
    def size(self) -> int:
        """The max_size that the row is about."""
        return self.prediction.size

    def as_dict(self) -> dict[str, Any]:
        """Return it for a table, with the units in the names; None where nothing was measured."""
        size, expected, low, _, high, source = self.prediction
        seen = self.measured
        return {
            "max_size": size,
            "now": self.is_present,
            "busy %": round(expected.utilisation * 100, 1),
            "P(wait) %": round(expected.p_wait * 100, 1),
            "mean wait ms": round(expected.mean_s * 1e3, 2),
            "p95 wait ms": round(expected.p95_s * 1e3, 2),
            "p95 from ms": round(low.p95_s * 1e3, 2),
            "p95 to ms": round(high.p95_s * 1e3, 2) if math.isfinite(expected.mean_s) else math.inf,
            "measured P(wait) %": seen and round(seen.p_wait * 100, 1),
            "measured mean ms": seen and round(seen.mean_s * 1e3, 2),
            "measured p95 ms": seen and round(seen.p95_s * 1e3, 2),
            "by": source,
        }


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The rows, ascending by size; or none and the sentence why. `cautions` are what to keep in mind with them."""

    rows: tuple[Row, ...]
    refusal: str | None = None
    cautions: tuple[str, ...] = ()


def what_if(load: Workload, size: int, sizes: Sequence[int] | None = None) -> WhatIf:
    """Predict a row of sizes around the present *size* for an observed load; or refuse."""
    if (refusal := refused(load, size)) is not None:
        return WhatIf((), refusal)
    seen = measured(load, size)
    rows = []
    for each in sorted({*(sizes or around(size)), size}):
        prediction = predict(each, load, requests=load.requests).in_its_range()
        rows.append(Row(prediction, each == size, seen if each == size else None))
    (present,) = (row.prediction for row in rows if row.is_present)
    return WhatIf(tuple(rows), None, tuple(_cautions(load, present, seen)))


def around(size: int) -> list[int]:
    """Return the sizes to compare with: half, one and two less and more, twice."""
    return sorted({max(1, each) for each in (size // 2, size - 2, size - 1, size, size + 1, size + 2, size * 2)})


def refused(load: Workload, size: int) -> str | None:
    """Return why nothing can be said of the load at a pool of *size*, or None."""
    if (missing := too_little(load)) is not None:
        return missing
    if load.bottleneck is not None:
        return load.bottleneck
    # A closed load brings no more requests than it gets answers, so that a full pool tells all about it.
    if load.workers is None and load.busy >= SATURATED * size:
        return (
            f"the queue is not stable: {load.busy:.1f} of {size} connections are busy in the mean, so that the "
            f"measured {load.rate:.1f} requests/s are what the pool can serve and not what is asked of it; raise "
            "max_size and measure again"
        )
    asked = load.requests + load.refused
    if load.refused > CENSORED * asked:
        return (
            f"{load.refused} of {asked} requests got no connection, so that the longest waits are missing in the "
            "measured ones; see who holds the connections, or raise max_size, and measure again"
        )
    return None


def too_little(load: Workload) -> str | None:
    """Return how much was seen of a load and when to ask again, or None where it is enough to predict from."""
    missing = [f"{load.requests} of {ENOUGH_REQUESTS} requests"] if load.requests < ENOUGH_REQUESTS else []
    missing += [f"{load.seconds:.0f} of {ENOUGH_S:.0f} s"] if load.seconds < ENOUGH_S else []
    if not missing:
        return None
    again = "once it is at work"
    if load.requests:
        needed_s = max(ENOUGH_S, load.seconds * ENOUGH_REQUESTS / load.requests)
        again = f"in {math.ceil(needed_s - load.seconds)} s"
    return f"too little was seen to predict from: {' and '.join(missing)} so far; ask again {again}"


def measured(load: Workload, size: int) -> Figures | None:
    """Return what the ledger says of the waits at the present *size*; None where the load does not know its own."""
    waits = load.waits_s
    if not waits:
        return None
    queued = sum(wait > NOTICEABLE_S for wait in waits) / len(waits)
    return Figures(load.busy / size, queued, statistics.fmean(waits), quantile(waits, 0.95))


def _cautions(load: Workload, present: Prediction, seen: Figures | None) -> list[str]:
    said = []
    if seen and not present.low.mean_s - NOTICEABLE_S <= seen.mean_s <= present.high.mean_s + NOTICEABLE_S:
        direction = "shorter" if seen.mean_s < present.expected.mean_s else "longer"
        reason = (
            "requests that wait for their answer before the next one (a closed load) queue less"
            if direction == "shorter"
            else "requests come in bursts, or the pool had to open connections first"
        )
        said.append(
            f"the measured mean wait ({seen.mean_s * 1e3:.1f} ms) is {direction} than the predicted range "
            f"({present.low.mean_s * 1e3:.1f} to {present.high.mean_s * 1e3:.1f} ms): {reason}; read the other rows "
            "with that in mind"
        )
    if load.rest_busy is None:
        said.append(f"no stretch of {ENOUGH_S:.0f} s was looked at on its own: the rate is the mean of a whole life")
    return said
