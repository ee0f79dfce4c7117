"""The tuner's controls: for each setting a box for its exact value, a slider, and what a change would do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from pgmonkey_magic.panels.controls import on_change
from pgmonkey_magic.panels.drawing import FONT, tag
from pgmonkey_magic.panels.tuner.dials import DIALS, LEAST_TOP, Dial, top_of
from pgmonkey_magic.panels.tuner.picture import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgmonkey_magic.panels.tuner.proposal import Line

LABELLED = {"description_width": "130px"}
COLUMNS = "225px 210px minmax(220px, 1fr)"


class Knob:
    """The controls of one setting. What a person sets is told to *moved*; what `show` sets is not."""

    def __init__(self, dial: Dial, moved: Callable[[str, Any], None]) -> None:
        self.dial = dial
        self._moved = moved
        self._shown_by = 0
        self.box = _box(dial)
        on_change(self.box, self._typed)
        self.slider: widgets.IntSlider | None = None
        if dial.is_size or dial.steps:
            # A box says the value, and its label is the slider's.
            self.slider = widgets.IntSlider(
                min=0 if dial.setting != "max_size" else 1,
                max=LEAST_TOP if dial.is_size else len(dial.steps) - 1,
                continuous_update=False,
                readout=False,
                tooltip=dial.hint,
                layout=widgets.Layout(width="200px"),
            )
            on_change(self.slider, self._slid)
        self.effect = widgets.HTML(layout=widgets.Layout(width="auto", margin="2px 0"))

    @property
    def controls(self) -> list[widgets.Widget]:
        """Those of one row of the grid."""
        return [self.box, self.slider or widgets.HTML(), self.effect]

    def show(self, line: Line, top: int) -> None:
        """Bring the controls to a setting's value; *top* is where sliders for sizes end."""
        self._shown_by = threading.get_ident()
        try:
            self._set(line, top)
        finally:
            self._shown_by = 0

    def _set(self, line: Line, top: int) -> None:
        self.box.value = line.new
        if self.slider is not None:
            if self.dial.is_size:
                self.slider.max = top
            at = self.dial.position(line.new)
            self.slider.value = min(max(at, self.slider.min), self.slider.max)
        self.effect.value = tag("div", cell(line), style=FONT)

    def _typed(self, value: Any) -> None:
        self._told(value)

    def _slid(self, position: int) -> None:
        self._told(self.dial.value(position))

    def _told(self, value: Any) -> None:
        # What is shown comes back as a change, in the thread that shows it; a person's hand comes in another.
        if self._shown_by != threading.get_ident():
            self._moved(self.dial.setting, value)


class Form:
    """The controls of all settings in one grid."""

    def __init__(self, moved: Callable[[str, Any], None]) -> None:
        self.knobs: Mapping[str, Knob] = {dial.setting: Knob(dial, moved) for dial in DIALS}
        self._top = LEAST_TOP
        cells = [control for knob in self.knobs.values() for control in knob.controls]
        layout = widgets.Layout(width="99%", grid_template_columns=COLUMNS, align_items="center", margin="4px 0")
        self.widget = widgets.GridBox(cells, layout=layout)

    def show(self, lines: tuple[Line, ...]) -> None:
        """Bring every control to its setting's value."""
        sizes = [size for line in lines if line.setting.endswith("_size") for size in (line.now, line.new)]
        # It does not shrink under the hand of who moves a slider.
        moving = any(line.changed for line in lines)
        self._top = top_of(*sizes, so_far=self._top if moving else LEAST_TOP)
        for line in lines:
            self.knobs[line.setting].show(line, self._top)


def _box(dial: Dial) -> Any:
    common: dict[str, Any] = {"description": dial.label, "tooltip": dial.hint, "style": LABELLED}
    common["layout"] = widgets.Layout(width="215px")
    if dial.is_size:
        return widgets.IntText(**common)
    if dial.steps:
        return widgets.FloatText(**common)
    # Not a box to tick: its label would stand on the other side than those of the others.
    return widgets.Dropdown(options=[("off", False), ("on", True)], **common)
