"""What other sizes would make of the pool's load, worked out beside the panel; and how the last change of size went."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.tuner.errand import Errand
from pgmonkey_magic.panels.tuner.picture import milliseconds
from pgmonkey_magic.pools import quantile
from pgmonkey_magic.tuning import Reading, Workload, lately, observed, what_if
from pgmonkey_magic.tuning.comparing import around

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning import WhatIf

EVERY_S = 10.0
"""Between two readings, each with its predictions."""
KEPT = 720
"""Readings, those of an hour."""
TRIAL_S = 30.0
"""After a change of size, when it is said how it turned out."""
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """A change of max_size that was made at `at` (`time.monotonic()`), when so many borrows had been given back.

    `p95_s` is the wait measured before it, NaN where too few were seen; `predicted_s` the one predicted for it.
    """

    at: float
    before: int
    after: int
    given_back: int
    p95_s: float
    predicted_s: float | None


class Outlook:
    """Keeps readings of a pool's ledger and answers from them. Never waits."""

    def __init__(self, pool: PGPool | PGAsyncPool) -> None:
        self.sequel = ""
        self._pool = pool
        # The pool's whole life, until there are readings of this panel's own that are old enough.
        self._history = [Reading(0.0, 0, 0, 0.0)]
        self._answer: Errand[WhatIf] = Errand("pgmonkey-tuner-what-if")
        self._asked: tuple[int, ...] = ()
        self._asked_at = 0.0
        self._trial: Trial | None = None
        self._changed_after = 0
        """How many borrows had been given back at the last change of size."""

    def look(self, wanted_size: int) -> WhatIf | None:
        """Return the newest answer, for sizes around the present one and for *wanted_size*; None before the first."""
        sizes, now = (self._pool.settings.max_size, wanted_size), time.monotonic()
        due = now - self._asked_at >= EVERY_S
        if (due or sizes != self._asked) and not self._answer.under_way:
            self._asked, self._asked_at = sizes, now
            self._answer.ask(lambda: self._worked_out(*sizes, read=due))
        return self._answer.latest.value if self._answer.latest else None

    def wait(self, timeout: float) -> None:
        """Wait for the answer that is being worked out."""
        self._answer.wait(timeout)

    def busiest(self) -> Workload:
        """Return the load of the busiest stretch that was seen."""
        return observed(self._pool.ledger.usage(), list(self._history))

    def changed(self, before: int, after: int) -> None:
        """Note that max_size has been changed, to tell 30 s later how that turned out."""
        given_back = self._pool.ledger.counts().given_back
        # No more than since the change before this one: what waited at a third size belongs to neither.
        recent = min(given_back - self._changed_after, len(lately(self._pool.ledger, list(self._history)).waits_s))
        waits_s, _ = self._pool.ledger.latest(recent)
        p95_s = quantile(waits_s if len(waits_s) >= ENOUGH else (), 0.95)
        rows = (latest.value.rows if latest.value else ()) if (latest := self._answer.latest) else ()
        predicted_s = next((row.prediction.expected.p95_s for row in rows if row.size == after), None)
        self._changed_after = given_back
        self._trial = Trial(time.monotonic(), before, after, given_back, p95_s, predicted_s)
        self.sequel = ""

    def _worked_out(self, size: int, wanted_size: int, *, read: bool) -> WhatIf:
        if read:
            self._history = [*self._history[-KEPT:], Reading.of(self._pool.ledger.usage())]
        trial = self._trial
        if trial is not None and time.monotonic() - trial.at >= TRIAL_S:
            self._trial = None
            waits_s, _ = self._pool.ledger.latest(self._pool.ledger.counts().given_back - trial.given_back)
            self.sequel = turned_out(trial, waits_s)
        # What was asked of another size, and how long it waited there, tells nothing of this one.
        resized = self._pool.resized
        begin = Reading.of(resized) if resized else Reading(0.0, 0, 0, 0.0)
        history = [begin, *(reading for reading in self._history if reading.seconds > begin.seconds)]
        answer = what_if(lately(self._pool.ledger, history), size, [*around(size), wanted_size])
        if answer.refusal is not None and resized:
            return replace(answer, refusal=f"since max_size is {size}, {answer.refusal}")
        return answer


def turned_out(trial: Trial, waits_s: list[float]) -> str:
    """Return how a change of size turned out; *waits_s* are those since, ascending."""
    head = f"since max_size {trial.before} → {trial.after}"
    if len(waits_s) < ENOUGH:
        return f"{head}: {len(waits_s)} requests in {TRIAL_S:.0f} s, too few to tell how it turned out"
    before = "too few to tell" if math.isnan(trial.p95_s) else milliseconds(trial.p95_s)
    predicted = f", predicted {milliseconds(trial.predicted_s)}" if trial.predicted_s is not None else ""
    after = milliseconds(quantile(waits_s, 0.95))
    return f"{head}: p95 wait {after} over {len(waits_s):,} requests{predicted}; before it {before}"
