"""What is shown of a load, made of facts: frozen values and pure functions on them. `picture` draws them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pgmonkey_magic.panels.drawing import number, seconds
from pgmonkey_magic.panels.lab.wanted import asked, percent
from pgmonkey_magic.pools import quantile
from pgmonkey_magic.tuning.lab import Bin, histogram
from pgmonkey_magic.tuning.lab.report import ENOUGH
from pgmonkey_magic.tuning.prediction import Figures

if TYPE_CHECKING:
    from pgmonkey_magic.panels.lab.wanted import Wanted
    from pgmonkey_magic.panels.seen import View
    from pgmonkey_magic.tuning.lab import Measurement, Report

State = Literal["running", "stopped", "done", "failed"]
POINTS = 90
"""Of a curve over the whole run."""
LATEST = 3_000
"""Requests whose waits are counted while a load runs: to count all again and again would itself make them wait."""
WORKER = "pgmonkey-lab-"
"""What the names of a load's threads and tasks begin with."""


# -- facts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """A load, how far it is and what came of it. `whose` pool in words, `size` its connections at most."""

    wanted: Wanted
    whose: str
    size: int
    state: State = "running"
    stopping: bool = False
    measurement: Measurement | None = None
    report: Report | None = None
    error: str = ""


# -- views ------------------------------------------------------------------------------------------------------------


ABOVE = "above the range"


class Compared(NamedTuple):
    """One figure, measured beside predicted, as what a person reads; `unit` is behind each. NaN where unknown."""

    name: str
    unit: str
    measured: float
    expected: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @property
    def verdict(self) -> str:
        """Whether what was measured lies in the predicted range, in words; empty where there is none."""
        if math.isnan(self.low) or math.isnan(self.measured):
            return ""
        if self.measured < self.low:
            return "below the range"
        return ABOVE if self.measured > self.high else "in the range"


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of those `queued` requests that waited, in bins; `at_once` had their connection without.

    `p95_s` is of all requests, `range_s` what was predicted for it; NaN where that is not known.
    """

    bins: tuple[Bin, ...] = ()
    queued: int = 0
    at_once: int = 0
    p95_s: float = math.nan
    range_s: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class LoadView:
    """All that is shown of a load. `progress` is from 0 to 1; the curves reach over the run, oldest first."""

    state: State
    heading: str
    status: str
    progress: float
    numbers: tuple[tuple[str, str], ...]
    compared: tuple[Compared, ...]
    waits: Waits
    in_use_curve: tuple[float, ...]
    waiting_curve: tuple[float, ...]
    size: int
    sentences: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    source: str = ""
    error: str = ""


# -- a load -----------------------------------------------------------------------------------------------------------


def load_view(facts: LoadFacts) -> LoadView:
    """Return what to show of a load."""
    measurement, report, wanted = facts.measurement, facts.report, facts.wanted
    figures = report.measured if report else figures_so_far(measurement, facts.size)
    compared = _compared(figures, report)
    return LoadView(
        state=facts.state,
        heading=f"{asked(wanted)}, on {facts.whose}",
        status=_status(facts),
        progress=1.0 if facts.state == "done" else _share(measurement, wanted.seconds),
        numbers=_numbers(measurement),
        compared=compared,
        waits=_waits(measurement, figures, report),
        in_use_curve=_curve(measurement, "in_use"),
        waiting_curve=_curve(measurement, "waiting"),
        size=facts.size,
        sentences=tuple(_sentences(report, figures, compared[-1])) if report else (),
        cautions=report.cautions if report else (),
        source=report.prediction.source if report and report.prediction else "",
        error=facts.error,
    )


def figures_so_far(measurement: Measurement | None, size: int) -> Figures:
    """Return what was measured until now, waits by the latest requests; percentiles of fewer than ENOUGH are NaN."""
    if measurement is None or not measurement.served:
        return Figures(math.nan, math.nan, math.nan, math.nan)
    served = measurement.served[-LATEST:]
    waits = sorted(each.wait_s for each in served)
    return Figures(
        measurement.throughput * statistics.fmean(each.hold_s for each in served) / size,
        statistics.fmean(each.queued for each in served),
        statistics.fmean(waits),
        quantile(waits, 0.95) if len(waits) >= ENOUGH else math.nan,
    )


def _status(facts: LoadFacts) -> str:
    passed = facts.measurement.seconds if facts.measurement else 0.0
    if facts.state == "running":
        if facts.stopping:
            return "stopping …"
        if facts.measurement is None:
            return "opening its pool …"
        return f"running: {min(passed, facts.wanted.seconds):.0f} of {facts.wanted.seconds:g} s"
    if facts.state == "failed":
        return "failed"
    if facts.measurement is None:
        return "stopped before it had begun"
    return f"{'stopped' if facts.state == 'stopped' else 'done'} after {seconds(passed)}"


def _share(measurement: Measurement | None, whole_s: float) -> float:
    return min(1.0, measurement.seconds / whole_s) if measurement else 0.0


def _numbers(measurement: Measurement | None) -> tuple[tuple[str, str], ...]:
    if measurement is None:
        return ()
    found = [
        ("served", f"{len(measurement.served):,}"),
        ("throughput", f"{number(measurement.throughput)}/s"),
        ("timeouts", f"{measurement.timeouts:,}"),
    ]
    return (*found, ("errors", f"{measurement.errors:,}")) if measurement.errors else tuple(found)


def _compared(figures: Figures, report: Report | None) -> tuple[Compared, ...]:
    prediction = report.prediction if report else None
    found = []
    for name, unit, key, scale in (
        ("busy", " %", "utilisation", 100),
        ("had to wait", " %", "p_wait", 100),
        ("mean wait", " ms", "mean_s", 1e3),
        ("p95 wait", " ms", "p95_s", 1e3),
    ):
        sources = (prediction.expected, prediction.low, prediction.high) if prediction else ()
        expected = [getattr(each, key) * scale for each in sources]
        found.append(Compared(name, unit, getattr(figures, key) * scale, *expected))
    return tuple(found)


def _waits(measurement: Measurement | None, figures: Figures, report: Report | None) -> Waits:
    if measurement is None:
        return Waits()
    served = measurement.served if report else measurement.served[-LATEST:]
    queued = sorted(each.wait_s for each in served if each.queued)
    prediction = report.prediction if report else None
    predicted = (prediction.low.p95_s, prediction.high.p95_s) if prediction else (math.nan, math.nan)
    return Waits(histogram(queued), len(queued), len(served) - len(queued), figures.p95_s, predicted)


def _curve(measurement: Measurement | None, what: str) -> tuple[float, ...]:
    """Return at most POINTS values over the run, each the largest of its part."""
    values = [float(getattr(moment, what)) for moment in measurement.moments] if measurement else []
    part = max(1, math.ceil(len(values) / POINTS))
    return tuple(max(values[i : i + part]) for i in range(0, len(values), part))


def _sentences(report: Report, figures: Figures, p95: Compared) -> list[str]:
    seen = report.measurement
    count = len(seen.served)
    if not count:
        return ["No request was served."]
    they = f"The {report.size} connections were" if report.size > 1 else "The connection was"
    busy, waited = percent(figures.utilisation), percent(figures.p_wait)
    late = f"; {seen.timeouts:,} got none in time" if seen.timeouts else ""
    said = [
        f"{count:,} request{'' if count == 1 else 's'} got a connection, {number(seen.throughput)} a second{late}.",
        f"{they} busy for {busy} of the time, and {waited} of the requests had to wait.",
    ]
    if p95.verdict:
        said.append(
            f"95 % of the requests waited at most {number(p95.measured)} ms. Theory expects {number(p95.expected)} ms, "
            f"and by chance {number(p95.low)} to {number(p95.high)} ms in a run like this: measured is {p95.verdict}."
        )
    if p95.verdict == ABOVE:
        said.append("Something besides the queue made requests wait, such as a machine that has other work to do.")
    return said


# -- the pool of a load -----------------------------------------------------------------------------------------------


def with_clients(view: View) -> View:
    """Call the lab's own threads and tasks what they are, `client 7`, where names of threads would be cut short."""

    def plain(who: str) -> str:
        _, found, number_ = who.partition(WORKER)
        return f"client {number_}" if found else who

    queue = tuple(replace(each, who=plain(each.who)) for each in view.facts.queue)
    slots = tuple(replace(slot, who=plain(slot.who)) for slot in view.slots)
    # That there is a queue is what the load is for: no alarm, and the lab's own figures say it.
    alarms = tuple(each for each in view.alarms if WORKER not in each.what and not each.what.startswith("the queue"))
    return replace(view, facts=replace(view.facts, queue=queue), slots=slots, alarms=alarms)
