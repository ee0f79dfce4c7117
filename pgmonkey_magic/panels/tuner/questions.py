"""What the tuner asks for before it acts: a second yes, a goal, a number, a path. Each opens under the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from pgmonkey_magic.panels.controls import beside_the_cell, button, on_change
from pgmonkey_magic.panels.drawing import FONT, alarm, tag
from pgmonkey_magic.panels.tuner.presets import PRESETS, for_fastapi
from pgmonkey_magic.tuning import LIFECYCLES, Goal, goal_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgmonkey_magic.panels.tuner.panel import TunerPanel

CHOOSE = "preset…"
FASTAPI = "fastapi"
"""The preset that needs a number."""


class Questions:
    """Opens the drawer of a tuner panel and carries the answers to it."""

    def __init__(self, panel: TunerPanel) -> None:
        self._panel = panel
        self._work: Callable[[], str] = str
        self._fields: dict[str, Any] = {}
        self.waits_for_yes = False
        options = [(CHOOSE, ""), *((preset.words, name) for name, preset in PRESETS.items())]
        options.append(("FastAPI: one async pool for all requests", FASTAPI))
        self.presets = widgets.Dropdown(options=options, layout=widgets.Layout(width="120px"))
        on_change(self.presets, self._chosen)

    def leave(self) -> None:
        """Close what is open."""
        self._open()

    def ask_for_yes(self, question: str, work: Callable[[], str]) -> None:
        """Do *work* only after a second click."""
        words = widgets.HTML(tag("div", alarm(question), style=FONT))
        self._open(words, button("apply anyway", self._yes, style="warning"))
        self._work, self.waits_for_yes = work, True
        self._panel.wake()

    def ask_for_goal(self) -> None:
        """Recommend for a target wait, a number of processes, a kind of traffic."""
        lifecycles = [
            ("as they are", ""),
            *((each.words, name) for name, each in PRESETS.items() if name in LIFECYCLES),
        ]
        self._fields = {
            "p95_ms": widgets.FloatText(10, **_labelled("p95 wait at most, ms", 230)),
            "processes": widgets.IntText(1, **_labelled("processes with such a pool", 250)),
            "lifecycle": widgets.Dropdown(options=lifecycles, **_labelled("max_idle, max_lifetime", 420)),
        }
        self._open(*self._fields.values(), button("propose", self._recommend, style="primary"))

    def ask_for_path(self) -> None:
        """Save into a file, for a pool that came from none."""
        self._fields = {
            "path": widgets.Text(placeholder="pgmonkey_config.yaml", **_labelled("an existing YAML file", 420))
        }
        self._open(self._fields["path"], button("save", self._save_there, style="primary"))

    # -- answers --------------------------------------------------------------------------------------------------

    def _yes(self) -> None:
        work = self._work
        self.leave()
        self._panel.act(work)

    def _recommend(self) -> None:
        p95_s, processes = self._fields["p95_ms"].value / 1000, self._fields["processes"].value
        lifecycle = LIFECYCLES.get(self._fields["lifecycle"].value)
        if p95_s <= 0 or processes < 1:
            self._panel.say("a target wait is more than 0 ms, and there is at least 1 process")
            return
        self.leave()

        def goal_of(free: int | None) -> Goal:
            known = free is not None
            return goal_for(p95_s, free, processes, lifecycle) if known else Goal(p95_s, None, lifecycle)

        self._panel.act(lambda: self._panel.recommend(goal_of))

    def _save_there(self) -> None:
        path = self._fields["path"].value.strip()
        if not path:
            self._panel.say("type the path of a YAML file")
            return
        self.leave()
        self._panel.act(lambda: self._panel.save(path))

    def _chosen(self, name: str) -> None:
        if name == FASTAPI:
            self._fields = {"requests": widgets.IntText(10, **_labelled("requests at once", 200))}
            self._open(self._fields["requests"], button("propose", self._fastapi, style="primary"))
        elif name:
            self._propose(name)
        if name:
            self.presets.value = ""  # it is a menu, not a state

    def _fastapi(self) -> None:
        requests = self._fields["requests"].value
        if requests < 1:
            self._panel.say("type how many requests use the pool at once, at least 1")
            return
        self.leave()
        preset = for_fastapi(requests)
        self._panel.propose(preset.proposed(self._panel.pool.settings), (preset.reason,))

    def _propose(self, name: str) -> None:
        preset = PRESETS[name]
        self._panel.propose(preset.proposed(self._panel.pool.settings), (preset.reason,))

    def _open(self, *contents: widgets.Widget) -> None:
        self._work, self.waits_for_yes = str, False
        for each in contents:
            if not isinstance(each, (widgets.HTML, widgets.Button)):
                beside_the_cell(each)
        if not contents:
            with self._panel.lock:
                self._panel.open_drawer()
            return
        *fields, yes = contents
        answers = widgets.HBox([*fields, yes, button("leave it", self.leave)])
        answers.layout.flex_flow = "row wrap"
        answers.layout.align_items = "center"
        with self._panel.lock:
            self._panel.open_drawer(answers)


def _labelled(words: str, width_px: int) -> dict[str, Any]:
    layout = widgets.Layout(width=f"{width_px}px")
    return {"description": words, "style": {"description_width": "initial"}, "layout": layout}
