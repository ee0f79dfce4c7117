"""The end of a run: what was measured beside what is predicted for it, and how the waits were distributed."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pgmonkey_magic.pools import quantile
from pgmonkey_magic.tuning.prediction import Figures, Prediction, predict
from pgmonkey_magic.tuning.workload import Workload, variation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.tuning.lab.load import Load
    from pgmonkey_magic.tuning.lab.notes import Measurement

ENOUGH = 20
"""Percentiles of fewer requests are not told."""
BINS = 20


class Bin(NamedTuple):
    """So many requests waited from (inclusive) to (exclusive, but of the last one), in seconds."""

    from_s: float
    to_s: float
    requests: int


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run of `load` at a pool of `size`. `prediction` is None where too little was seen."""

    load: Load
    size: int
    measurement: Measurement
    measured: Figures
    waits_s: tuple[float, ...]
    """Ascending."""
    prediction: Prediction | None
    cautions: tuple[str, ...]

    @property
    def histogram(self) -> tuple[Bin, ...]:
        """The waits in bins of equal width."""
        return histogram(self.waits_s)

    def wait_s(self, share: float) -> float:
        """Return the wait that *share* of the requests do not exceed; NaN where there are fewer than 20."""
        return quantile(self.waits_s, share) if len(self.waits_s) >= ENOUGH else math.nan

    def rows(self) -> list[dict[str, Any]]:
        """Return a table: a row for each figure, measured beside predicted and its range."""
        prediction = self.prediction
        nothing = (None, None, None)
        found = []
        for name, field, scale in (
            ("busy %", "utilisation", 100),
            ("P(wait) %", "p_wait", 100),
            ("mean wait ms", "mean_s", 1e3),
            ("p95 wait ms", "p95_s", 1e3),
        ):
            sources = (prediction.expected, prediction.low, prediction.high) if prediction else nothing
            predicted, low, high = (each and round(getattr(each, field) * scale, 2) for each in sources)
            measured = round(getattr(self.measured, field) * scale, 2)
            found.append({"figure": name, "measured": measured, "predicted": predicted, "from": low, "to": high})
        for percent in (50, 99):
            measured = round(self.wait_s(percent / 100) * 1e3, 2)
            found.append({"figure": f"p{percent} wait ms", "measured": measured} | _UNPREDICTED)
        return found


_UNPREDICTED = {"predicted": None, "from": None, "to": None}


def report(load: Load, size: int, measurement: Measurement) -> Report:
    """Compare a measurement with the prediction for the rate and the holds that it had itself."""
    served = measurement.served
    waits = tuple(sorted(each.wait_s for each in served))
    workload = seen_load(load, measurement)
    measured = Figures(
        sum(each.hold_s for each in served) / size / max(measurement.seconds, 1e-9),
        statistics.fmean(each.queued for each in served) if served else math.nan,
        statistics.fmean(waits) if served else math.nan,
        quantile(waits, 0.95) if len(served) >= ENOUGH else math.nan,
    )
    enough = len(served) >= ENOUGH
    prediction = predict(size, workload, requests=len(served), warm=False).in_its_range() if enough else None
    cautions = tuple(_cautions(measurement, workload, size))
    return Report(load, size, measurement, measured, waits, prediction, cautions)


def seen_load(load: Load, measurement: Measurement) -> Workload:
    """Return the load as it was: holds last a little longer than asked for, and arrivals are random."""
    served, seconds = measurement.served, min(measurement.seconds, load.seconds)
    holds = tuple(sorted(each.hold_s for each in served))
    hold_s = statistics.fmean(holds) if holds else load.hold_s
    asked = len(served) + measurement.timeouts + measurement.errors + measurement.cut
    return Workload(
        rate=asked / max(seconds, 1e-9) if load.workers is None else len(served) / max(seconds, 1e-9),
        hold_s=hold_s,
        hold_cv=variation(holds) if len(holds) >= ENOUGH else load.hold_cv,
        requests=len(served),
        seconds=seconds,
        refused=measurement.timeouts,
        holds_s=holds,
        waits_s=tuple(sorted(each.wait_s for each in served)),
        workers=load.workers,
        think_s=load.think_s,
    )


def histogram(ascending: Sequence[float], bins: int = BINS) -> tuple[Bin, ...]:
    """Count values from 0 on in *bins* of equal width; empty where there is no value."""
    if not ascending:
        return ()
    width = max(ascending[-1], 1e-6) / bins
    counts = [0] * bins
    for value in ascending:
        counts[min(bins - 1, int(value / width))] += 1
    return tuple(Bin(i * width, (i + 1) * width, count) for i, count in enumerate(counts))


def _cautions(measurement: Measurement, workload: Workload, size: int) -> list[str]:
    said = []
    if workload.requests < ENOUGH:
        said.append(f"{workload.requests} requests were served; a prediction takes {ENOUGH}")
    if workload.workers is None and workload.busy >= size:
        said.append("more is asked than the pool can serve: the queue grows for as long as the load lasts")
    if measurement.cut:
        said.append(f"{measurement.cut} requests were cut off by the end of the run and are not in the figures")
    if measurement.timeouts:
        said.append(f"{measurement.timeouts} requests got no connection in time; no prediction knows of that")
    if measurement.errors:
        said.append(f"{measurement.errors} requests failed: {measurement.causes[0]}")
    return said
