"""The arithmetic of a pool as a queue. Times in seconds, rates per second; pure functions.

Sources: J. D. C. Little, "A Proof for the Queuing Formula L = λW" (1961); A. K. Erlang's delay formula for M/M/c, by
the stable recurrence of his loss formula; the machine-repair model M/M/c//N for a closed load.

An open load comes whether or not earlier requests were answered (a web server's); a closed load is N workers that each
wait for their answer (a script's threads). Erlang C is wrong by multiples for the closed one.
"""

from __future__ import annotations

import math


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
    """Return the wait that all but *share* of an open load's requests stay below, such as 0.05 for the p95."""
    busy = busy_connections(rate, hold_s)
    if busy >= size:
        return math.inf
    waiting = erlang_c(size, busy)
    if waiting <= share:
        return 0.0
    return hold_s / (size - busy) * math.log(waiting / share) * (1 + hold_cv**2) / 2


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
