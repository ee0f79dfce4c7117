"""The panel of `%pgmonkey lab`: its controls, and what they start and stop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import psycopg

from pgmonkey_magic.errors import PgMonkeyError
from pgmonkey_magic.panels.controls import button, on_change, toggle
from pgmonkey_magic.panels.drawing import FONT, alarm, note, tag
from pgmonkey_magic.panels.lab.experiment import Experiment
from pgmonkey_magic.panels.lab.form import Form
from pgmonkey_magic.panels.lab.lesson_seen import LessonFacts, lesson_view
from pgmonkey_magic.panels.lab.picture import before_load, lesson_drawn, load_drawn
from pgmonkey_magic.panels.lab.seen import load_view, with_clients
from pgmonkey_magic.panels.lab.wanted import PRESETS, forecast
from pgmonkey_magic.panels.panel import Panel
from pgmonkey_magic.panels.picture import Heading
from pgmonkey_magic.panels.watch import address
from pgmonkey_magic.tuning.lab import LESSONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgmonkey_magic.config import Config
    from pgmonkey_magic.panels.drawing import Drawn
    from pgmonkey_magic.panels.lab.seen import LoadFacts
    from pgmonkey_magic.panels.lab.wanted import Wanted
    from pgmonkey_magic.pools import PGAsyncPool, PGPool

LOAD, LESSON = "a load", "a lesson"
NAMES = tuple(LESSONS)


class LabPanel(Panel):
    """A load or a lesson on the server of *config*, over pools of its own of the type *connection_type*.

    *mine* is a pool of the person's with its name, which a load may use instead where that is asked for. With a
    *lesson* the panel begins with it.
    """

    def __init__(
        self,
        config: Config,
        connection_type: str = "pool",
        mine: tuple[str, PGPool | PGAsyncPool] | None = None,
        lesson: str = "",
    ) -> None:
        self.experiment = Experiment(config)
        self._where, self._mine, self._first_lesson = address(config), mine, lesson
        self._as_table = False
        self._viewed: tuple[LoadFacts | None, Any] = (None, None)
        self._server_says = note("asking the server how many connections it has free …")
        self._advice = widgets.HTML()
        self._start = button("start", self._begin, style="success")
        self._stop = button("stop", self._have_it_stopped, style="warning", hint="end it; takes less than a second")
        self._tab = _choice([LOAD, LESSON], LESSON if lesson else LOAD, self._show_tab)
        self._target = widgets.Dropdown(options=_targets(mine), value="")
        self._target.layout.width = "auto"
        on_change(self._target, self._show_target)
        self._chooser = widgets.Dropdown(options=[(f"{i}. {each}", each) for i, each in enumerate(NAMES, 1)])
        self._chooser.value = lesson or NAMES[0]
        on_change(self._chooser, self._show_lesson)
        self._pools = _choice(
            [("sync pools", "pool"), ("async pools", "async_pool")], connection_type, self._show_lesson
        )
        self._form = Form(replace(PRESETS["comfortable"], connection_type=connection_type), self._advise)
        self._table = toggle("table", self._show_table, hint="the figures as a table")
        super().__init__(self._table, self._laid_out())
        self._show_tab(self._tab.value)

    def _laid_out(self) -> widgets.Widget:
        forward = button("next lesson", self._go_on, hint="choose the lesson after this one")
        self._load_box = widgets.VBox([self._form.box, self._advice])
        self._lesson_box = _row(self._chooser, forward, self._pools)
        first = _row(self._tab, self._start, self._stop, self._target)
        whole = widgets.VBox([first, self._load_box, self._lesson_box])
        whole.layout.width = "100%"
        return whole

    # -- what every panel says ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Draw the first picture, ask the server how large a pool may be, and begin the lesson that was asked for."""
        super().start()
        self.act(self._ask_server)
        if self._first_lesson:
            self._begin()

    def draw(self) -> Drawn:
        """Return the load or the lesson as it is now."""
        trial = self.experiment
        trial.look()
        self._start.disabled, self._stop.disabled = trial.busy, not trial.busy
        if self._tab.value == LESSON:
            name = str(self._chooser.value)
            facts = trial.lessons.get(name) or LessonFacts(LESSONS[name], str(self._pools.value), "new")
            return lesson_drawn(lesson_view(facts, NAMES), self._where, self.mode)
        if trial.load is None:
            return before_load(self._where, self.mode)
        heading = Heading("its pool", self._where, "")
        pool = (with_clients(trial.occupancy), heading) if trial.occupancy else None
        if trial.load is not self._viewed[0]:
            self._viewed = trial.load, load_view(trial.load)
        return load_drawn(self._viewed[1], (self._where, self.mode), pool, as_table=self._as_table)

    def ended(self) -> str:
        """Tell that there is always something to try."""
        return ""

    def release(self) -> None:
        """Have whatever runs ended, within a second."""
        self.experiment.close()

    # -- start and stop -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._tab.value == LESSON:
            lesson, kind = LESSONS[str(self._chooser.value)], str(self._pools.value)
            self._carry_out(lambda: self.experiment.begin_lesson(lesson, kind))
        elif self._mine and self._target.value:
            self._ask_whether()
        else:
            wanted = self._form.wanted
            self._carry_out(lambda: self.experiment.begin_load(wanted))

    def _carry_out(self, begin: Callable[[], None]) -> None:
        self.open_drawer()

        def work() -> str:
            begin()
            return ""

        self.act(work)

    def _ask_whether(self) -> None:
        name = self._mine[0] if self._mine else ""
        question = widgets.Label(f"Run this load on your pool {name}? Your cells will share its connections meanwhile.")
        self.open_drawer(question, _row(button("run it there", self._begin_on_mine), button("leave it", self._leave)))

    def _begin_on_mine(self) -> None:
        wanted, mine = self._form.wanted, self._mine
        self._carry_out(lambda: self.experiment.begin_load(wanted, mine))

    def _leave(self) -> None:
        self.open_drawer()

    def _have_it_stopped(self) -> None:
        self.experiment.stop()
        self.wake()

    # -- other controls -------------------------------------------------------------------------------------------

    def _show_table(self, down: bool) -> None:
        self._as_table = down
        self.wake()

    def _show_tab(self, tab: str | None) -> None:
        for box, shown in ((self._load_box, tab == LOAD), (self._lesson_box, tab == LESSON)):
            box.layout.display = "flex" if shown else "none"
        self._table.layout.display = "flex" if tab == LOAD else "none"  # a lesson is a table already
        self._target.layout.display = "flex" if tab == LOAD and self._mine else "none"
        self.wake()

    def _show_target(self, name: str) -> None:
        self._form.lend(own_pool=not name)

    def _show_lesson(self, _chosen: str) -> None:
        self.wake()

    def _go_on(self) -> None:
        self._chooser.value = NAMES[(NAMES.index(str(self._chooser.value)) + 1) % len(NAMES)]

    def _advise(self, wanted: Wanted) -> None:
        """Say under the controls what is to be expected, or why it cannot be."""
        try:
            words = note(forecast(wanted))
        except PgMonkeyError as error:
            words = alarm(str(error))
        self._advice.value = tag("div", words, self._server_says, style=f"{FONT};max-width:1100px")

    def _ask_server(self) -> str:
        try:
            allowed = self.experiment.allowance(str(self._pools.value))
        except psycopg.Error as error:
            self._server_says = alarm("the server does not answer: ", " ".join(str(error).split()))
        else:
            self._server_says = note(
                f"The lab opens at most {allowed} connections here, half of what the server has free."
            )
            self._form.allow(allowed)
        self._advise(self._form.wanted)
        return ""


def _targets(mine: tuple[str, PGPool | PGAsyncPool] | None) -> list[tuple[str, str]]:
    return [("on the lab's own pool", ""), *([(f"on your pool {mine[0]}", mine[0])] if mine else [])]


def _choice(options: Sequence[Any], value: str, changed: Callable[[Any], None]) -> widgets.ToggleButtons:
    made = widgets.ToggleButtons(options=options, value=value)
    made.style.button_width = "auto"
    on_change(made, changed)
    return made


def _row(*controls: widgets.Widget) -> widgets.HBox:
    made = widgets.HBox(controls)
    made.layout.flex_flow, made.layout.align_items = "row wrap", "center"
    return made
