"""The controls of a load: whatever they say is a `Wanted`, and whatever the engine bounds they bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from pgmonkey_magic.panels.controls import on_change
from pgmonkey_magic.panels.lab.wanted import PRESETS, Wanted, preset
from pgmonkey_magic.tuning.lab import MAX_RATE, MAX_SECONDS, MAX_WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LABEL_PX, COLUMN_PX = 84, 366
"""Of the names before the controls, and of a column of them: two fit beside each other in a notebook."""
WHOLE = widgets.BoundedIntText
MODEST_SIZE = 16
"""The largest pool that the slider offers before the server has said how many connections it has free."""


class Form:
    """Controls in a `box`. *changed* gets what they say after each change, in the control's thread."""

    def __init__(self, wanted: Wanted, changed: Callable[[Wanted], None]) -> None:
        self._changed = changed
        self._setting = self._sizes_equal = False
        self._presets = _choice("preset", [(name, name) for name in PRESETS])
        self._arrivals = _choice("arrivals", [("open: per second", "open"), ("closed: workers", "closed")])
        self._rate = _logarithmic("requests/s", MAX_RATE, "how many requests arrive in a second, at random")
        self._workers = _slider("workers", widgets.IntSlider(min=1, max=MAX_WORKERS))
        self._think_ms = _number("think ms", (0, MAX_SECONDS * 1e3, 10), "how long a worker rests before it asks again")
        self._hold_ms = _logarithmic("hold ms", MAX_SECONDS * 1e3, "how long a request keeps its connection")
        self._hold = _choice("holds are", [("random", "exponential"), ("constant", "constant")])
        self._clients = _choice("clients", [("threads (sync)", "pool"), ("tasks (async)", "async_pool")])
        self._max_size = _slider("max_size", widgets.IntSlider(min=1, max=MODEST_SIZE))
        self._min_size = _number("min_size", (0, MODEST_SIZE, 1), "how many connections are opened in advance", WHOLE)
        self._timeout_s = _number("timeout s", (0.01, MAX_SECONDS, 0.1), "how long a request waits before it gives up")
        self._seconds = _number("duration s", (0.5, MAX_SECONDS, 1), "how long the load lasts")
        self._seed = _number("seed", (0, 2**31 - 1, 1), "the same seed asks at the same moments", WHOLE)
        on_change(self._presets, self._preset_chosen)
        on_change(self._max_size, self._max_size_changed)
        for control in self._all():
            on_change(control, self._control_changed)
        self.box = self._laid_out()
        self.set(wanted)

    @property
    def wanted(self) -> Wanted:
        """What the controls say."""
        return Wanted(
            arrivals=self._arrivals.value,
            rate=_three_digits(self._rate.value),
            workers=self._workers.value,
            think_s=self._think_ms.value / 1e3,
            hold_s=_three_digits(self._hold_ms.value) / 1e3,
            hold=self._hold.value,
            seconds=self._seconds.value,
            seed=self._seed.value,
            connection_type=self._clients.value,
            min_size=self._min_size.value,
            max_size=self._max_size.value,
            timeout_s=self._timeout_s.value,
        )

    def set(self, wanted: Wanted) -> None:
        """Have the controls say that."""
        self._setting = True
        try:
            for control, value in (
                (self._arrivals, wanted.arrivals),
                (self._rate, wanted.rate),
                (self._workers, wanted.workers),
                (self._think_ms, wanted.think_s * 1e3),
                (self._hold_ms, wanted.hold_s * 1e3),
                (self._hold, wanted.hold),
                (self._clients, wanted.connection_type),
                (self._max_size, wanted.max_size),
                (self._min_size, wanted.min_size),
                (self._timeout_s, wanted.timeout_s),
                (self._seconds, wanted.seconds),
                (self._seed, wanted.seed),
            ):
                control.value = value
        finally:
            self._setting = False
        self._control_changed()

    def allow(self, connections: int) -> None:
        """Offer sizes up to so many connections."""
        self._max_size.max = self._min_size.max = max(1, connections)

    def lend(self, *, own_pool: bool) -> None:
        """Show the settings of the pool only where it is the lab's own."""
        for control in (self._clients, self._max_size, self._min_size, self._timeout_s):
            control.disabled = not own_pool

    def _all(self) -> tuple[Any, ...]:
        return (
            *(self._arrivals, self._rate, self._workers, self._think_ms, self._hold_ms, self._hold),
            *(self._clients, self._max_size, self._min_size, self._timeout_s, self._seconds, self._seed),
        )

    def _laid_out(self) -> Any:
        left = [
            _named("arrivals", self._arrivals),
            *(self._rate, self._workers, self._think_ms, self._hold_ms),
            _named("holds are", self._hold),
        ]
        right = [
            _named("clients", self._clients),
            self._max_size,
            widgets.HBox([self._min_size, self._timeout_s]),
            widgets.HBox([self._seconds, self._seed]),
        ]
        columns = widgets.HBox([widgets.VBox(left), widgets.VBox(right)])
        columns.layout.flex_flow = "row wrap"
        return widgets.VBox([_named("preset", self._presets), columns])

    def _max_size_changed(self, size: int) -> None:
        """Have min_size follow where the two were equal, or it could not stay."""
        if not self._setting and (self._sizes_equal or self._min_size.value > size):
            self._min_size.value = size

    def _control_changed(self, _value: object = None) -> None:
        if self._setting:
            return
        wanted = self.wanted
        self._sizes_equal = wanted.min_size == wanted.max_size
        is_open = wanted.arrivals == "open"
        for control, shown in ((self._rate, is_open), (self._workers, not is_open), (self._think_ms, not is_open)):
            control.layout.display = "flex" if shown else "none"
        fitting = [name for name in PRESETS if preset(name, wanted) == wanted]
        self._presets.value = fitting[0] if fitting else None
        self._changed(wanted)

    def _preset_chosen(self, name: str | None) -> None:
        if name is not None and (chosen := preset(name, self.wanted)) != self.wanted:
            self.set(chosen)


def _choice(name: str, options: Sequence[tuple[str, str]]) -> Any:
    made = widgets.ToggleButtons(options=options, tooltips=[f"{name}: {words}" for words, _ in options])
    made.style.button_width = made.layout.width = "auto"
    return made


def _named(name: str, control: Any) -> Any:
    """Return a control with its name where the names of sliders and numbers are."""
    label = widgets.Label(name)
    label.layout.width, label.layout.justify_content = f"{LABEL_PX}px", "flex-end"
    return widgets.HBox([label, control], layout=widgets.Layout(align_items="center"))


def _slider(name: str, made: Any, hint: str = "") -> Any:
    made.description, made.tooltip, made.continuous_update = name, hint or name, False
    made.style.description_width = f"{LABEL_PX}px"
    made.layout.width = f"{COLUMN_PX}px"
    return made


def _logarithmic(name: str, most: float, hint: str) -> Any:
    """Return a slider from 1 to *most*; the readout can be typed into."""
    return _slider(name, widgets.FloatLogSlider(min=0, max=math.log10(most), step=0.01, readout_format=".0f"), hint)


def _number(name: str, bounds: tuple[float, float, float], hint: str, kind: Any = widgets.BoundedFloatText) -> Any:
    """Return a field for a number; *bounds* are the least, the most, and the step of its arrows."""
    least, most, step = bounds
    made = kind(min=least, max=most, step=step, description=name, tooltip=hint)
    made.style.description_width = f"{LABEL_PX}px"
    made.layout.width = f"{COLUMN_PX // 2 - 4}px"
    return made


def _three_digits(value: float) -> float:
    """Return what a slider of many decimals means."""
    return float(f"{value:.3g}")
