"""The arithmetic of a pool as a queue. Times in seconds, rates per second; pure functions.

Sources: J. D. C. Little, "A Proof for the Queuing Formula L = λW" (1961); A. K. Erlang's delay formula for M/M/c, by
the stable recurrence of his loss formula; the machine-repair model M/M/c//N for a closed load.

An open load comes whether or not earlier requests were answered (a web server's); a closed load is N workers that each
wait for their answer (a script's threads). Erlang C is wrong by multiples for the closed one.
"""

from __future__ import annotations

import math
from bisect import bisect_left

from pgmonkey_magic.errors import RequestError

MOST_CONNECTIONS = 262_143
"""The largest max_connections that PostgreSQL takes."""


def busy_connections(rate: float, hold_s: float) -> float:
    """Return how many connections are busy on average: Little's λ·S."""
    return rate * hold_s


def erlang_c(size: int, busy: float) -> float:
    """Return the probability that an open load's request has to wait at a pool of *size*, with *busy* = λ·S.

    1.0 where the load is as large as the pool or larger: then the queue grows without end.
    """
    if busy >= size:
        return 1.0
    if busy <= 0:
        return 0.0
    blocking = 1.0
    for servers in range(1, size + 1):
        blocking = busy * blocking / (servers + busy * blocking)
    utilisation = busy / size
    return blocking / (1 - utilisation * (1 - blocking))


def mean_wait(size: int, rate: float, hold_s: float, hold_cv: float = 1.0) -> float:
    """Return the mean wait of an open load; infinite where the pool is too small.

    *hold_cv* is the coefficient of variation of the hold times (1 exponential, 0 constant); the factor (1 + CV²)/2 is
    the usual approximation for M/G/c.
    """
    busy = busy_connections(rate, hold_s)
    if busy >= size:
        return math.inf
    return erlang_c(size, busy) * hold_s / (size - busy) * (1 + hold_cv**2) / 2


def wait_quantile(size: int, rate: float, hold_s: float, share: float, hold_cv: float = 1.0) -> float:
    """Return the wait in seconds that all but *share* of an open load's requests stay below: 0.05 for the p95.

    0.0 where no more than that share waits at all, infinite where the pool is too small. Raises RequestError, a
    ValueError, for figures that no pool can have.
    """
    _refuse_unless_positive(size=size, rate=rate, hold_s=hold_s)
    if not 0 < share <= 0.5:
        raise RequestError(
            f"share must be above 0 and at most 0.5, not {share}; share is what may wait longer: 0.05 for the p95"
        )
    busy = busy_connections(rate, hold_s)
    if busy >= size:
        return math.inf
    waiting = erlang_c(size, busy)
    if waiting <= share:
        return 0.0
    return hold_s / (size - busy) * math.log(waiting / share) * (1 + hold_cv**2) / 2


def smallest_size(rate: float, hold_s: float, p95_s: float, hold_cv: float = 1.0) -> int:
    """Return the smallest size at which the p95 wait of an open load is at most *p95_s*, by Erlang's delay formula.

    *rate* is per second, *hold_s* and *p95_s* are in seconds; a *p95_s* of 0 asks that fewer than 5 of 100 wait at
    all. Raises RequestError, a ValueError, for figures that no pool can have, and for a load that no server can.
    """
    _refuse_unless_positive(rate=rate, hold_s=hold_s)
    if not 0 <= p95_s < math.inf:
        raise RequestError(f"p95_s must be a number of seconds from 0 on, not {p95_s}")
    busy = busy_connections(rate, hold_s)
    if busy > MOST_CONNECTIONS:
        raise RequestError(
            f"the load keeps {busy:,.0f} connections busy, and a PostgreSQL server has {MOST_CONNECTIONS:,} at most: "
            "give rate per second and hold_s in seconds"
        )
    # The wait falls with the size, and at half of these hardly anybody waits.
    sizes = range(1, 2 * math.ceil(busy) + 10)
    return sizes[bisect_left(sizes, True, key=lambda size: wait_quantile(size, rate, hold_s, 0.05, hold_cv) <= p95_s)]


def closed_load_wait(size: int, workers: int, think_s: float, hold_s: float) -> float:
    """Return the mean wait where *workers* each think, borrow, hold, and begin again (M/M/c//N)."""
    if workers <= size:
        return 0.0
    # Weights of the states "n workers at the pool", each from the one before; scaled so that none overflows.
    weights = [1.0]
    for n in range(workers):
        rate_in = (workers - n) * hold_s / think_s if think_s > 0 else math.inf
        if rate_in > 1e100:  # nobody ever thinks: all are at the pool always
            return hold_s * workers / size - hold_s
        weights.append(weights[-1] * rate_in / min(n + 1, size))
        if weights[-1] > 1e200:
            weights = [weight / 1e200 for weight in weights]
    total = sum(weights)
    queue = sum(max(0, n - size) * weight for n, weight in enumerate(weights)) / total
    served = sum(min(n, size) * weight for n, weight in enumerate(weights)) / total / hold_s
    return queue / served


def self_deadlock_minimum(threads: int, held_at_once: int) -> int:
    """Return the smallest max_size with which *threads* that nest borrows can never all wait for each other."""
    return threads * (held_at_once - 1) + 1


def _refuse_unless_positive(**figures: float) -> None:
    for name, value in figures.items():
        if not value > 0:
            raise RequestError(f"{name} must be greater than 0, not {value}")
