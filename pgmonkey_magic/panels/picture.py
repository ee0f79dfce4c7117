"""The occupancy of a pool as HTML and as text, drawn from a view."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.charts import State, dot, gap, legend, room, slot, slots, sparkline
from pgmonkey_magic.panels.drawing import (
    BLUE,
    FIXED,
    GREEN,
    ORANGE,
    PURPLE,
    QUIET,
    SKY,
    VERMILLION,
    Drawn,
    Html,
    alarm,
    figure,
    join,
    note,
    number,
    row,
    seconds,
    sheet,
    table,
    tag,
    ticking,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.panels.alarms import Alarm
    from pgmonkey_magic.panels.seen import Percentiles, Slot, View

STATES = {
    "in use": State("■", "in use", BLUE),
    "idle": State("□", "idle", GREEN),
    "idle in tx": State("▲", "idle in tx", VERMILLION),
    "opening": State("◐", "opening", SKY),
    "retrying": State("◐", "retrying", ORANGE),
    "resetting": State("◐", "resetting", SKY),
    "stale": State("✖", "stale", PURPLE),
}
NOT_OPEN = "not open yet: the first borrow opens it"
LARGE = 48
"""Cells that are drawn large; more are drawn as dots."""
NAMED = 8
"""Requests of the queue that are named."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Which pool, where it connects to, of what kind, and what kind of picture this is (`Panel.mode`)."""

    name: str
    where: str
    kind: str
    mode: str = ""


def drawn(view: View, heading: Heading, *, as_table: bool = False) -> Drawn:
    """Return the picture of a view."""
    body = _table(view) if as_table else _slots(view)
    parts = [_figures(view), body, _queue(view), _curves(view), _words(_facts(view))]
    where = " · ".join(filter(None, (heading.where, heading.kind)))
    top = title(name=heading.name, where=where, remark=heading.mode)
    alarms = [_alarm(each) for each in view.alarms]
    return Drawn(sheet(label(view, heading), top, *parts, alarms=alarms), _text(view, heading))


def label(view: View, heading: Heading) -> str:
    """Return the picture as one sentence."""
    facts = view.facts
    if not facts.connected:
        return f"Pool {heading.name} is not open yet"
    alarms = f"; {len(view.alarms)} alarm{'s' if len(view.alarms) > 1 else ''}" if view.alarms else ""
    return (
        f"Pool {heading.name}: {facts.in_use} of {facts.max_size} connections in use, "
        f"{view.counts.get('idle', 0)} idle, {len(facts.queue)} requests waiting{alarms}"
    )


def _numbers(view: View) -> list[tuple[str, str, str]]:
    """Return the large numbers: name, value, remark."""
    facts, counts = view.facts, view.counts
    found = [("in use", str(facts.in_use), ""), ("idle", str(counts.get("idle", 0)), "")]
    if facts.opening:
        paused = "tried again in a moment" if facts.pausing else ""
        found.append(("opening", str(facts.opening), paused))
    found += [(kind, str(counts[kind]), "") for kind in ("resetting", "stale") if kind in counts]
    if view.over:
        found.append(("over", str(view.over), "closing when returned"))
    else:
        found.append(("room", str(view.room), ""))
    return found


def _figures(view: View) -> Html:
    facts = view.facts
    oldest = f"oldest {seconds(facts.queue[0].seconds)} (limit {facts.timeout_s:g} s)" if facts.queue else ""
    return row(
        *(figure(name, value, remark=remark) for name, value, remark in _numbers(view)),
        figure("queue", len(facts.queue), remark=oldest),
        figure("min", facts.min_size),
        figure("max", facts.max_size),
        style="margin:6px 0",
    )


def _slots(view: View) -> Html:
    small = len(view.slots) > LARGE
    cells = [_cell(each, small=small) for each in view.slots]
    more = note(f"… and {view.hidden:,} more places") if view.hidden else ""
    key = legend(state for kind, state in STATES.items() if kind in view.counts) if small else ""
    closed = "" if view.facts.connected else note(NOT_OPEN)
    return join(slots(cells), key, more, closed)


def _cell(each: Slot, *, small: bool) -> Html:
    if each.kind in ("room", "gap"):
        return (room if each.kind == "room" else gap)(small=small)
    state = STATES[each.kind]
    hint = " · ".join(filter(None, (f"{each.name} {state.word}", remark(each), each.who, each.query, each.backend)))
    if small:
        return dot(state, hint=hint)
    return slot(state, [each.name, remark(each), short(each.who)], hint=hint, loud=each.kind == "idle in tx")


def remark(each: Slot) -> str:
    """Return what stands below a slot's name: for how long it is held, or how often it was used."""
    if not math.isnan(each.seconds):
        return seconds(each.seconds)
    old = ", to be replaced" if each.outdated and each.kind == "idle" else ""
    return f"×{each.uses:,}{old}" if each.kind in ("idle", "resetting", "stale") and each.name.isdecimal() else ""


def short(who: str) -> str:
    """Return a holder's name without the word for what it is, for narrow places."""
    return who.removeprefix("thread ").removeprefix("task ")


def _table(view: View) -> Html:
    shown = [(STATES[each.kind], each) for each in view.slots if each.kind in STATES]
    rows = [
        (f"{state.glyph} {state.word}", each.name, remark(each), each.who, each.query, each.backend)
        for state, each in shown
    ]
    return table(("state", "pid", "for / used", "holder", "query", "server says"), rows, numbers=(1, 2))


def _queue(view: View) -> Html | str:
    if not view.facts.queue:
        return ""
    return _words(["queue ▸", *_waiting(view)])


def _words(parts: Sequence[str]) -> Html:
    """Return a quiet line that breaks between the parts only."""
    style = f"white-space:nowrap;{QUIET};{FIXED}"
    return row(*(tag("span", part, style=style) for part in parts))


def _waiting(view: View) -> list[str]:
    queue = view.facts.queue
    named = [f"{short(each.who)} {seconds(each.seconds)}" for each in queue[:NAMED]]
    return [*named, f"… and {len(queue) - NAMED} more"] if len(queue) > NAMED else named


def _curves(view: View) -> Html | str:
    if not view.window_s:  # one look is no curve
        return ""
    top = float(max(1, view.facts.max_size))
    most_used, most_waiting = _most(view.in_use_curve), _most(view.waiting_curve)
    return row(
        sparkline("in use", view.in_use_curve, top=top, remark=f"most {_mean(most_used)} in 60 s"),
        sparkline("waiting", view.waiting_curve, colour=ORANGE, remark=f"most {number(most_waiting)} in 60 s"),
    )


def _mean(count: float) -> str:
    """Return a mean number of connections: with one decimal below 10, where it is not whole."""
    return number(round(count, 1 if count < 10 else None)) if math.isfinite(count) else number(count)


def _most(values: tuple[float, ...]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _facts(view: View) -> list[str]:
    """Return the figures in words."""
    facts, server = view.facts, view.facts.server
    parts = [
        f"wait {_percentiles(view.waits)}",
        f"hold {_percentiles(view.holds)}",
        f"{number(view.rate)}/s",
        f"errors {facts.errors:,}",
    ]
    if server is not None and server.used is not None:
        parts.append(f"server {server.used}/{server.limit}")
    return parts


def _percentiles(each: Percentiles) -> str:
    return ", ".join(f"{name} {_ms(ms)}" for name, ms in (("p50", each.p50), ("p95", each.p95), ("p99", each.p99)))


def _ms(ms: float) -> str:
    return seconds(ms / 1000) if ms >= 1000 else number(ms, " ms")


def _alarm(each: Alarm) -> Html:
    if math.isnan(each.seconds):
        return alarm(each.what)
    return alarm(each.what, ticking(f" {seconds(each.seconds)}"), each.rest)


def _text(view: View, heading: Heading) -> str:
    lines = ["  ".join(filter(None, (heading.name, heading.where, heading.kind, heading.mode)))]
    facts = view.facts
    numbers = [f"{name} {value}{f' ({remark})' if remark else ''}" for name, value, remark in _numbers(view)]
    lines.append(" · ".join([*numbers, f"queue {len(facts.queue)}", f"min {facts.min_size}, max {facts.max_size}"]))
    if not facts.connected:
        lines.append(NOT_OPEN)
    for each in view.slots:
        if each.kind in STATES:
            state = STATES[each.kind]
            parts = (f"{state.glyph} {each.name:<7} {state.word:<10}", f"{remark(each):>8}", each.who, each.query)
            lines.append("  ".join(filter(None, parts)).rstrip())
    if facts.queue:
        lines.append("queue: " + " · ".join(_waiting(view)))
    lines.append(" · ".join(_facts(view)))
    for each in view.alarms:
        said = f" {seconds(each.seconds)}" if not math.isnan(each.seconds) else ""
        lines.append(f"! {each.what}{said}{each.rest}")
    return "\n".join(lines)
