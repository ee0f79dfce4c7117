"""What the tuner shows, made of facts: each setting now and new, what will change when, and what is refused. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pgmonkey_magic import tuning
from pgmonkey_magic.errors import ConfigError
from pgmonkey_magic.panels.tuner.dials import DIALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgmonkey_magic.config import PoolSettings
    from pgmonkey_magic.pools import Occupancy
    from pgmonkey_magic.tuning import WhatIf

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections the server has for this pool, and the account of it; None where it has not said, and why."""

    free: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """A pool, what is wanted of it, and what is known around it.

    `wanted` has the proposed values by setting; `former` are the settings before each change, oldest first; `source`
    is the file's name, empty where there is none; `asked` tells that a second yes is being waited for; `reasons` are
    those of what is proposed, or why nothing is; `diff` is None while it is not asked for.
    """

    settings: PoolSettings
    occupancy: Occupancy
    section: str
    wanted: Mapping[str, Any] = field(default_factory=dict)
    recycle: bool = False
    asked: bool = False
    former: tuple[PoolSettings, ...] = ()
    source: str = ""
    tuned: bool = False
    room: Room = field(default_factory=Room)
    what_if: WhatIf | None = None
    reasons: tuple[str, ...] = ()
    sequel: str = ""
    diff: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One setting. `effect` says what a change will do and when, empty without one; or it is REFUSED."""

    setting: str
    label: str
    now: Any
    new: Any
    effect: str = ""

    @property
    def changed(self) -> bool:
        """Whether another value is wanted."""
        return self.now != self.new


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown. `refusals` are the reasons why nothing can be applied; `warning` why that takes a second yes.

    `recycles` says what recycling would do beside the changes, empty where it is not wanted; `undo` what would come
    back.
    """

    facts: Facts
    lines: tuple[Line, ...]
    refusals: tuple[str, ...]
    warning: str
    recycles: str
    undo: str

    @property
    def changes(self) -> tuple[Line, ...]:
        """The settings for which another value is wanted."""
        return tuple(line for line in self.lines if line.changed)


def view(facts: Facts) -> View:
    """Return what to show."""
    refusals, effects = _judged(facts)
    lines = tuple(
        Line(dial.setting, dial.label, now, facts.wanted.get(dial.setting, now), effects.get(dial.setting, ""))
        for dial in DIALS
        for now in [getattr(facts.settings, dial.setting)]
    )
    wanted_size = facts.wanted.get("max_size", facts.settings.max_size)
    warning = "" if refusals or facts.asked else beyond(facts.room, wanted_size, facts.settings.max_size)
    now = facts.occupancy
    recycles = f"recycling replaces {now.idle} idle now, {now.in_use} in use when they come back"
    return View(facts, lines, refusals, warning, recycles if facts.recycle else "", _undo(facts))


def beyond(room: Room, max_size: Any, present: int) -> str:
    """Return why growing to *max_size* takes a second yes, or nothing where it does not."""
    if max_size <= present:
        return ""
    if room.free is None:
        return f"it is not known whether the server has room for max_size {max_size:,}: {room.account}"
    if max_size <= room.free:
        return ""
    few = f"the {room.free:,} connections that the server has room for"
    return f"max_size {max_size:,} is more than {few} ({room.account})"


def what_changes(before: PoolSettings, after: PoolSettings) -> str:
    """Return the difference in a few words: `max_size 3 → 6, timeout 30 → 10`."""
    old, new = asdict(before), asdict(after)
    return ", ".join(f"{name} {_plain(old[name])} → {_plain(new[name])}" for name in old if old[name] != new[name])


def _judged(facts: Facts) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the refusals, and by setting what its change will do, by the YAML file's own rules."""
    wanted = {name: value for name, value in facts.wanted.items() if value != getattr(facts.settings, name)}
    refusal = refused(facts, wanted)
    if not refusal:
        planned = tuning.plan(facts.settings, wanted, facts.section, facts.occupancy)
        return (), {change.setting: change.effect for change in planned.changes}
    # The rules stop at the first that is broken. Whoever breaks one alone is named, too; if it takes two, both are.
    alone = {name: why for name, value in wanted.items() if (why := refused(facts, {name: value}))}
    reasons = _distinct([refusal, *alone.values()]) if refusal in alone.values() else (refusal,)
    return reasons, dict.fromkeys(alone or wanted, REFUSED)


def refused(facts: Facts, wanted: Mapping[str, Any]) -> str:
    """Return why the settings cannot become these, or nothing."""
    try:
        tuning.plan(facts.settings, wanted, facts.section, facts.occupancy)
    except ConfigError as error:
        return str(error)
    return ""


def _undo(facts: Facts) -> str:
    return what_changes(facts.settings, facts.former[-1]) if facts.former else ""


def _distinct(reasons: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reasons))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
