"""What a pool of some size makes of a load: the share of requests that wait, their mean and p95 wait, with a range.

The middle comes from a formula, and the formula has a name. The range is what luck does to as many requests as were
measured: 95 of 100 simulated stretches of that length lie in it (simulation.py).

open, exponential holds    Erlang C, the M/M/c queue (A. K. Erlang 1917)
open, other holds          Erlang C × (Ca² + Cs²)/2, with Ca = 1 for Poisson arrivals (A. O. Allen 1978, from Cunneen)
closed, exponential holds  M/M/c//N, finite source: whoever arrives sees the queue of the other N − 1 (arrival theorem,
                           Sevcik and Mitrani 1981; Lavenberg and Reiser 1980)
otherwise                  the median of the simulated stretches

A formula tells of the steady state, which a nearly full pool takes long to reach. Beside what was measured, both must
be of one horizon: `in_its_range`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pgmonkey_magic.tuning.simulation import simulated
from pgmonkey_magic.tuning.sizing import erlang_c, mean_wait, wait_quantile

if TYPE_CHECKING:
    from pgmonkey_magic.tuning.workload import Workload

P95 = 0.05
NEARLY_EXPONENTIAL = 0.15
"""How far from 1 the variation of exponential holds may lie in a sample."""


class Figures(NamedTuple):
    """A load at a pool, predicted or measured: probabilities and utilisation from 0 to 1, waits in seconds."""

    utilisation: float
    p_wait: float
    mean_s: float
    p95_s: float


class Prediction(NamedTuple):
    """What is expected of a size, within which range, by which formula. An unstable queue waits for ever."""

    size: int
    expected: Figures
    low: Figures
    middle: Figures
    high: Figures
    source: str

    def in_its_range(self) -> Prediction:
        """Return it with the median of the simulated stretches expected, where the steady state is not in their range.

        A queue that grows for ever stays as it is.
        """
        if math.isinf(self.expected.p95_s) or self.low.p95_s <= self.expected.p95_s <= self.high.p95_s:
            return self
        return self._replace(
            expected=self.middle, source="simulated (the steady state is outside the range of such a stretch)"
        )


def predict(size: int, load: Workload, *, requests: int, warm: bool = True) -> Prediction:
    """Predict a pool of *size*; the range is for stretches of that many *requests*.

    With *warm* the pool was at work before, without it the stretch begins with an empty queue.
    """
    low, middle, high = (Figures(*each) for each in simulated(size, load, requests=requests, warm=warm))
    if load.workers is None:
        expected, source = _open(size, load)
        if math.isinf(expected.mean_s) and not warm:
            expected, source = middle, "simulated from an empty queue (there is no steady state)"
    elif abs(load.hold_cv - 1) <= NEARLY_EXPONENTIAL:
        expected, source = Figures(*closed_load(size, load.workers, load.think_s, load.hold_s)), "M/M/c//N"
    else:
        expected, source = middle, "simulated (no formula for a closed load with such holds)"
    return Prediction(size, expected, low, middle, high, source)


def _open(size: int, load: Workload) -> tuple[Figures, str]:
    exponential = abs(load.hold_cv - 1) <= NEARLY_EXPONENTIAL
    queue = size, load.rate, load.hold_s
    cv = 1.0 if exponential else load.hold_cv
    figures = Figures(
        load.busy / size, erlang_c(size, load.busy), mean_wait(*queue, cv), wait_quantile(*queue, P95, cv)
    )
    return figures, "Erlang C" if exponential else "Erlang C, Allen-Cunneen"


def closed_load(size: int, workers: int, think_s: float, hold_s: float) -> tuple[float, float, float, float]:
    """Return utilisation, P(wait), mean wait and p95 wait of *workers* who think, borrow, hold and begin again.

    With n at the pool on arrival, n ≥ size, the wait is the sum of n − size + 1 exponential times of mean hold/size.
    """
    seen = _arrivals_see(size, workers, think_s, hold_s)
    ahead = {n - size + 1: p for n, p in enumerate(seen) if n >= size}
    step_s = hold_s / size
    mean_s = sum(p * k * step_s for k, p in ahead.items())
    throughput = workers / (think_s + hold_s + mean_s)
    return throughput * hold_s / size, sum(ahead.values()), mean_s, _quantile(ahead, step_s)


def _arrivals_see(size: int, workers: int, think_s: float, hold_s: float) -> list[float]:
    """Return the probability of each number at the pool, 0 to workers − 1, when one more arrives."""
    others = workers - 1
    if think_s <= 0:  # nobody ever thinks: all the others are there always
        return [0.0] * others + [1.0]
    logs = [0.0]
    for n in range(others):
        logs.append(logs[-1] + math.log((others - n) * hold_s / think_s / min(n + 1, size)))
    top = max(logs)
    weights = [math.exp(each - top) for each in logs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _quantile(ahead: dict[int, float], step_s: float) -> float:
    """Return the wait that is exceeded with probability 0.05, by bisection."""
    if sum(ahead.values()) <= P95:
        return 0.0
    low, high = 0.0, step_s
    while _exceeds(ahead, high / step_s) > P95:
        low, high = high, high * 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _exceeds(ahead, middle / step_s) > P95 else (low, middle)
    return high


def _exceeds(ahead: dict[int, float], steps: float) -> float:
    """Return P(wait > steps): that fewer than k of the Poisson process of departures have come."""
    total, cumulated = 0.0, 0.0
    for k in range(max(ahead)):
        cumulated += math.exp(k * math.log(steps) - steps - math.lgamma(k + 1))
        total += ahead.get(k + 1, 0.0) * cumulated
    return total
