"""The panel of `%pgmonkey tune`: proposes, applies, takes back and saves the settings of a running pool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from pgmonkey_magic import tuning
from pgmonkey_magic.errors import ConfigError
from pgmonkey_magic.panels.controls import button, on_change, toggle
from pgmonkey_magic.panels.panel import Panel
from pgmonkey_magic.panels.picture import Heading
from pgmonkey_magic.panels.tuner.errand import Errand
from pgmonkey_magic.panels.tuner.form import Form
from pgmonkey_magic.panels.tuner.outlook import Outlook
from pgmonkey_magic.panels.tuner.picture import drawn
from pgmonkey_magic.panels.tuner.proposal import Facts, beyond, refused, view, what_changes
from pgmonkey_magic.panels.tuner.questions import Questions
from pgmonkey_magic.panels.tuner.room import ServerRoom
from pgmonkey_magic.panels.watch import whereabouts
from pgmonkey_magic.tuning import saving
from pgmonkey_magic.tuning.comparing import too_little

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgmonkey_magic.config import PoolSettings
    from pgmonkey_magic.panels.drawing import Drawn
    from pgmonkey_magic.panels.panel import Bundle
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning import Goal

SEE_BELOW = "too little was seen; how much, and when to ask again, stands under What if"


class TunerPanel(Panel):
    """The settings of one pool, which it never borrows from. *name* is the pool's name in the notebook."""

    def __init__(self, pool: PGPool | PGAsyncPool, name: str) -> None:
        self._pool, self._name = pool, name
        self._wanted: dict[str, Any] = {}
        self._hand = threading.Lock()
        """Held while what is wanted changes."""
        self._applying = threading.Lock()
        self._reasons: tuple[str, ...] = ()
        self._was_open = pool.pool is not None
        self._room, self._outlook = ServerRoom(pool), Outlook(pool)
        self._diff: Errand[str] = Errand("pgmonkey-tuner-diff")
        self._diff_of: tuple[Any, ...] | None = None
        self._form = Form(self._moved)
        self._questions = Questions(self)
        self._undo_button = button("undo", self._undo, hint="go back to the settings before the last change")
        self._yaml = toggle("YAML", self._show_diff, hint="what saving would change in the file")
        self._live = _tick("live (apply at once)", "apply each change at once")
        self._recycle = _tick(
            "recycle the old connections", "also replace the connections: idle ones now, others when they come back"
        )
        on_change(self._live, self._went_live)
        on_change(self._recycle, self._marked)
        self._view = view(self._facts())
        super().__init__(
            self._questions.presets,
            button("recommend…", self._questions.ask_for_goal, hint="settings for the load that was measured"),
            self._yaml,
            button("save…", self._save, hint="write the pool's settings into its YAML file; comments stay"),
            self._form.widget,
            widgets.HBox(
                [
                    button("Apply", self._apply, hint="give the running pool the new settings", style="primary"),
                    self._live,
                    self._recycle,
                    self._undo_button,
                    button("reset", self._reset, hint="drop what is proposed"),
                ],
                layout=widgets.Layout(width="100%", flex_flow="row wrap", align_items="center"),
            ),
        )

    # -- what every panel says ------------------------------------------------------------------------------------

    def draw(self) -> Drawn:
        """Return the settings of this moment, and bring the controls to them."""
        if not self.ended():
            self._was_open = self._was_open or self._pool.pool is not None
            self._view = view(self._facts())
            self._form.show(self._view.lines)
            depth = len(self._view.facts.former)
            self._undo_button.description = f"undo ({depth})" if depth else "undo"
        return self._drawn_for_page() if self._ending else drawn(self._view, self._heading(), with_settings=False)

    def ended(self) -> str:
        """Tell that the pool has been closed."""
        return "pool closed" if self._was_open and self._pool.pool is None else ""

    def settle(self, timeout: float) -> None:
        """Wait for what the server says, and for the first prediction."""
        self._room.look()
        self._room.wait(timeout)
        self._outlook.wait(timeout)

    def bundle(self) -> Bundle:
        """Return what a notebook displays; the page without controls says the settings itself."""
        return super().bundle() | ({"text/html": str(self._drawn_for_page().html)} if self.still is None else {})

    def _drawn_for_page(self) -> Drawn:
        return drawn(self._view, self._heading(), with_settings=True)

    def _heading(self) -> Heading:
        kind = "sync pool" if self._pool.connection_type == "pool" else "async pool"
        return Heading(self._name, whereabouts(self._pool), kind, self.mode)

    def _facts(self) -> Facts:
        pool = self._pool
        settings = pool.settings
        with self._hand:
            wanted = {name: value for name, value in self._wanted.items() if value != getattr(settings, name)}
        return Facts(
            settings=settings,
            occupancy=pool.occupancy,
            section=pool.section,
            wanted=wanted,
            recycle=self._recycle.value is True,
            asked=self._questions.waits_for_yes,
            former=pool.former_settings,
            source=pool.config.source.name if pool.config.source else "",
            tuned=pool.tuned,
            room=self._room.look(),
            what_if=self._outlook.look(max(1, wanted.get("max_size", settings.max_size))),
            reasons=self._reasons,
            sequel=self._outlook.sequel,
            diff=self._latest_diff(settings, wanted),
        )

    # -- what a person proposes -----------------------------------------------------------------------------------

    def propose(self, values: Mapping[str, Any], reasons: tuple[str, ...]) -> None:
        """Put values into the controls, with the reasons for them."""
        with self._hand:
            self._wanted |= values
        self._reasons = reasons
        self._changed()

    def recommend(self, goal_of: Callable[[int | None], Goal]) -> str:
        """Propose what the measured load asks for; *goal_of* makes a goal of the room that the server has, if known.

        Waits for the server.
        """
        pool = self._pool
        goal = goal_of(self._room.fresh().free)
        load = self._outlook.busiest()
        found = tuning.recommend(load, pool.settings, goal, tuning.troubles(pool))
        if found.refusal is not None:
            # What if counts from the last change of size on; two counts on one screen would contradict each other.
            why = SEE_BELOW if found.refusal == too_little(load) else found.refusal
            self._reasons = (f"no recommendation: {why}",)
            return ""
        names = self._form.knobs
        self.propose(
            {name: getattr(found.settings, name) for name in names},
            tuple(f"recommended: {reason}" for reason in found.reasons),
        )
        return "the recommended settings are proposed" if self._facts().wanted else "the settings are already so"

    @property
    def pool(self) -> PGPool | PGAsyncPool:
        """The pool that is tuned."""
        return self._pool

    def _moved(self, setting: str, value: Any) -> None:
        with self._hand:
            if value == getattr(self._pool.settings, setting):
                self._wanted.pop(setting, None)
            else:
                self._wanted[setting] = value
        self._changed()

    def _changed(self) -> None:
        if self._live.value:
            self.act(self._applied)
        self.wake()

    def _went_live(self, _live: bool) -> None:
        self._changed()

    def _marked(self, _ticked: bool) -> None:
        self.wake()

    def _reset(self) -> None:
        with self._hand:
            self._wanted.clear()
        self._reasons = ()
        self._questions.leave()
        self.say("")

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def _apply(self) -> None:
        self.act(self._applied)

    def _applied(self) -> str:
        facts = self._facts()
        if not facts.wanted and not facts.recycle:
            return "there is nothing to apply"
        if refused(facts, facts.wanted):
            return "nothing was applied"
        max_size = facts.wanted.get("max_size", facts.settings.max_size)
        return self._unless_beyond(max_size, lambda: self._carry_out(facts.wanted, recycle=facts.recycle))

    def _unless_beyond(self, max_size: int, work: Callable[[], str]) -> str:
        """Do *work*, but ask first where the pool would grow beyond what the server has."""
        present = self._pool.settings.max_size
        if max_size > present and (why := beyond(self._room.fresh(), max_size, present)):
            self._questions.ask_for_yes(f"{why}. Really?", work)
            return ""
        self._questions.leave()
        return work()

    def _carry_out(self, wanted: Mapping[str, Any], *, recycle: bool) -> str:
        pool = self._pool
        with self._applying:
            before = pool.settings
            planned = tuning.plan(before, wanted, pool.section, pool.occupancy)
            if planned.changes:
                pool.apply(planned.settings)
        self._follow(before, planned.settings)
        with self._hand:
            self._wanted = {name: value for name, value in self._wanted.items() if wanted.get(name) != value}
        said = [f"applied: {what_changes(before, planned.settings)}"] if planned.changes else []
        if recycle:
            pool.recycle()
            self._recycle.value = False
            said.append("recycling: idle connections are replaced now, borrowed ones when they come back")
        return "; ".join(said)

    def _undo(self) -> None:
        self.act(self._undone)

    def _undone(self) -> str:
        if not (former := self._pool.former_settings):
            return "there is nothing to undo"
        return self._unless_beyond(former[-1].max_size, self._take_back)

    def _take_back(self) -> str:
        with self._applying:
            before = self._pool.settings
            after = self._pool.undo()
        self._follow(before, after)
        with self._hand:
            self._wanted.clear()
        self._reasons = ()
        return f"undone: {what_changes(before, after)}"

    def _follow(self, before: PoolSettings, after: PoolSettings) -> None:
        if before.max_size != after.max_size:
            self._outlook.changed(before.max_size, after.max_size)

    # -- the file -------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        source = self._pool.config.source
        if source is None:
            self._questions.ask_for_path()
        else:
            self.act(lambda: self.save(str(source)))

    def save(self, path: str) -> str:
        """Write the settings that the pool has into a file; return the sentence about it."""
        if self._facts().wanted:
            return "not saved: apply or reset what is proposed; only settings that the pool has are saved"
        changed = saving.save(self._pool, path)
        self._diff_of = None
        if not changed:
            return "nothing was saved: the file has these settings"
        return f"saved into {path}: {', '.join(f'{name} {value}' for name, value in changed.items())}"

    def _show_diff(self, _down: bool) -> None:
        self._diff_of = None
        self.wake()

    def _latest_diff(self, settings: PoolSettings, wanted: Mapping[str, Any]) -> str | None:
        if not self._yaml.value:
            return None
        pool = self._pool
        try:
            target = tuning.plan(settings, wanted, pool.section, pool.occupancy).settings
        except ConfigError:
            target = settings
        if self._diff_of != (target, pool.config) and not self._diff.under_way:
            self._diff_of = target, pool.config
            self._diff.ask(lambda: self._made_diff(target))
        latest = self._diff.latest
        return "reading the file" if latest is None else latest.error or latest.value

    def _made_diff(self, target: PoolSettings) -> str:
        try:
            return saving.diff(self._pool, target)
        finally:
            self.wake()


def _tick(words: str, hint: str) -> widgets.Checkbox:
    return widgets.Checkbox(
        description=words, tooltip=hint, indent=False, layout=widgets.Layout(width="auto", margin="2px 10px")
    )
