"""A pool without any cost, simulated many times over at once: how wide luck spreads the figures of a stretch.

Requests are served in the order of their arrival by whichever connection is free first. Holds are drawn from the
measured ones where there are enough, so that their true distribution counts and not only its mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from pgmonkey_magic.tuning.workload import Workload

RUNS = 100
MOST_REQUESTS = 2_000
"""In one simulated stretch. A longer one would have a narrower range; this costs about 50 ms."""
ENOUGH_HOLDS = 50
SEED = 20
Row = tuple[float, float, float, float]


def simulated(size: int, load: Workload, *, requests: int, warm: bool) -> tuple[Row, Row, Row]:
    """Return the 2.5 % point, the median and the 97.5 % point of (utilisation, P(wait), mean wait, p95 wait).

    Always the same for the same arguments.
    """
    import numpy as np  # noqa: PLC0415 - loading the extension must not wait for it

    rng = np.random.default_rng(SEED)
    count = max(1, min(requests, MOST_REQUESTS))
    before = count // 2 if warm else 0
    holds = _holds(rng, load, count + before)
    if load.workers is None:
        waits, busy = _open(rng, size, load.rate, holds)
    else:
        waits, busy = _closed(rng, size, load, holds)
    waits = np.sort(waits[:, before:], axis=1)
    figures = np.stack(
        [
            busy,
            (waits > 1e-9).mean(axis=1),
            waits.mean(axis=1),
            waits[:, math.ceil(0.95 * count) - 1],
        ]
    )
    low, middle, high = np.quantile(figures, [0.025, 0.5, 0.975], axis=1)
    return _row(low), _row(middle), _row(high)


def _row(values: np.ndarray) -> Row:
    a, b, c, d = (float(value) for value in values)
    return a, b, c, d


def _holds(rng: np.random.Generator, load: Workload, count: int) -> np.ndarray:
    """Draw (runs, count) holds with the mean of the load."""
    import numpy as np  # noqa: PLC0415

    if len(load.holds_s) >= ENOUGH_HOLDS:
        known = np.asarray(load.holds_s)
        return rng.choice(known, (RUNS, count)) * (load.hold_s / known.mean())
    if load.hold_cv < 0.05:
        return np.full((RUNS, count), load.hold_s)
    shape = 1 / load.hold_cv**2
    return rng.gamma(shape, load.hold_s / shape, (RUNS, count))


def _open(rng: np.random.Generator, size: int, rate: float, holds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Serve Poisson arrivals; return the waits (runs, count) and each run's utilisation."""
    import numpy as np  # noqa: PLC0415

    runs, count = holds.shape
    asked = rng.exponential(1 / rate, (runs, count)).cumsum(axis=1)
    free, every, waits = np.zeros((runs, size)), np.arange(runs), np.empty_like(holds)
    for i in range(count):
        first = free.argmin(axis=1)
        begins = np.maximum(asked[:, i], free[every, first])
        free[every, first] = begins + holds[:, i]
        waits[:, i] = begins - asked[:, i]
    return waits, holds.sum(axis=1) / size / free.max(axis=1)


def _closed(rng: np.random.Generator, size: int, load: Workload, holds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Serve workers who think before each request; return the same."""
    import numpy as np  # noqa: PLC0415

    runs, count = holds.shape
    workers = load.workers or 1
    thoughts = rng.exponential(load.think_s, holds.shape) if load.think_s > 0 else np.zeros_like(holds)
    asks = rng.exponential(load.think_s, (runs, workers)) if load.think_s > 0 else np.zeros((runs, workers))
    free, every, waits = np.zeros((runs, size)), np.arange(runs), np.empty_like(holds)
    for i in range(count):
        who = asks.argmin(axis=1)
        asked = asks[every, who]
        first = free.argmin(axis=1)
        begins = np.maximum(asked, free[every, first])
        free[every, first] = ends = begins + holds[:, i]
        asks[every, who] = ends + thoughts[:, i]
        waits[:, i] = begins - asked
    return waits, holds.sum(axis=1) / size / free.max(axis=1)
