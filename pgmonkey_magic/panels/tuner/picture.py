"""The tuner as HTML and as text, drawn from a view."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.charts import meter
from pgmonkey_magic.panels.drawing import (
    BLUE,
    FAINT,
    FIXED,
    LOUD,
    ORANGE,
    QUIET,
    VERMILLION,
    Drawn,
    Html,
    alarm,
    join,
    note,
    number,
    sheet,
    table,
    tag,
    tint,
    title,
)
from pgmonkey_magic.panels.tuner.dials import change, shown
from pgmonkey_magic.panels.tuner.proposal import REFUSED

if TYPE_CHECKING:
    from pgmonkey_magic.panels.picture import Heading
    from pgmonkey_magic.panels.tuner.proposal import Line, View
    from pgmonkey_magic.tuning import Figures, Row, WhatIf

HEADINGS = ("max_size", "", "busy", "P(wait)", "", "measured", "p95 wait", "range", "measured")
NUMBERS = (0, 1, 2, 3, 5, 6, 7, 8)


def drawn(view: View, heading: Heading, *, with_settings: bool) -> Drawn:
    """Return the picture; *with_settings* where no controls stand beside it that show them."""
    facts = view.facts
    kind = f"{heading.kind}, tuned" if facts.tuned else heading.kind
    top = title(name=heading.name, where=f"{heading.where} · {kind}", remark=heading.mode)
    settings = _settings(view) if with_settings else ""
    alarms = [alarm(reason) for reason in view.refusals]
    if view.warning:
        alarms.append(alarm(f"{view.warning}; Apply asks once more", colour=ORANGE))
    below = join(*map(note, _notes(view)), _what_if(view), _diff(view))
    return Drawn(sheet(label(view, heading), top, settings, alarms=alarms, below=below), _text(view, heading, kind))


def label(view: View, heading: Heading) -> str:
    """Return the picture as one sentence."""
    proposed = ", ".join(f"{line.setting} {shown(line.setting, line.new)}" for line in view.changes)
    state = "not possible" if view.refusals else "proposed"
    return (
        f"Settings of pool {heading.name}: min_size {view.facts.settings.min_size}, max_size "
        f"{view.facts.settings.max_size}; {f'{state}: {proposed}' if proposed else 'no change proposed'}"
    )


def cell(line: Line) -> Html:
    """Return a setting's value now and new with what that will do, to stand beside its control."""
    if not line.changed:
        return tag("div", shown(line.setting, line.now), style=f"{QUIET};{FIXED};padding-left:8px")
    colour = VERMILLION if line.effect == REFUSED else BLUE
    style = f"border-left:4px solid {colour};background:{tint(colour)};padding:1px 8px;{FIXED};color:{LOUD}"
    words = tag("b", change(line.setting, line.now, line.new))
    effect = f" · {_effect(line)}" if line.effect else ""
    return tag("div", words, effect, style=f"{style};line-height:1.35;overflow-wrap:anywhere")


def _effect(line: Line) -> str:
    return "✖ refused, see below" if line.effect == REFUSED else line.effect


def _settings(view: View) -> Html:
    rows = [
        (
            line.setting,
            shown(line.setting, line.now),
            tag("b", shown(line.setting, line.new)) if line.changed else "",
            _effect(line),
        )
        for line in view.lines
    ]
    return table(("setting", "now", "new", "what changes, and when"), rows)


def _notes(view: View) -> list[str]:
    facts = view.facts
    found = [view.recycles] if view.recycles else []
    if facts.room.free is None:
        found.append(f"server: {facts.room.account}")
    else:
        found.append(f"server: room for {facts.room.free:,} connections of this pool ({facts.room.account})")
    if view.undo:
        found.append(f"undo ({len(facts.former)}): {view.undo}")
    found += facts.reasons
    return [*found, facts.sequel] if facts.sequel else found


# -- what if -----------------------------------------------------------------------------------------------------------


def _what_if(view: View) -> Html:
    answer = view.facts.what_if
    head = tag(
        "div",
        "What if max_size were … (predicted; measured at the present size)",
        style=f"margin:8px 0 0;font-weight:600;color:{LOUD}",
    )
    if answer is None:
        return join(head, note("being worked out"))
    if answer.refusal is not None:
        return join(head, note(f"not yet: {answer.refusal}"))
    rows = [_row(row, view) for row in answer.rows]
    return join(
        head,
        table(HEADINGS, rows, numbers=NUMBERS),
        *map(note, answer.cautions),
        note(f"predicted by {_sources(answer)}"),
    )


def _row(row: Row, view: View) -> list[object]:
    expected, low, high = row.prediction.expected, row.prediction.low, row.prediction.high
    cells: list[object] = [
        f"{row.size:,}",
        _mark(row, view),
        percent(expected.utilisation),
        percent(expected.p_wait),
        meter(expected.p_wait, width_px=60),
        percent(row.measured.p_wait) if row.measured else "",
        milliseconds(expected.p95_s),
        _range(low.p95_s, high.p95_s) if math.isfinite(expected.p95_s) else "–",
        milliseconds(row.measured.p95_s) if row.measured else "",
    ]
    return [tag("b", each) if row.is_present and not isinstance(each, Html) else each for each in cells]


def _mark(row: Row, view: View) -> str:
    if row.is_present:
        return "▶ now"
    return "◇ new" if row.size == view.facts.wanted.get("max_size") else ""


def percent(share: float) -> str:
    """Return a share in percent; above one it says that the queue grows without end."""
    return f"{number(min(share, 9.99) * 100)} %"


def milliseconds(wait_s: float) -> str:
    """Return a wait in ms or s; an infinite one in words."""
    if math.isinf(wait_s):
        return "grows"
    return number(wait_s * 1000, " ms") if wait_s < 10 else number(wait_s, " s")


def _range(low_s: float, high_s: float) -> str:
    low, high = milliseconds(low_s), milliseconds(high_s)
    return low if low == high else f"{low} to {high}"


def _sources(answer: WhatIf) -> str:
    return " and ".join(dict.fromkeys(row.prediction.source for row in answer.rows))


# -- YAML --------------------------------------------------------------------------------------------------------------


def _diff(view: View) -> Html | str:
    diff = view.facts.diff
    if diff is None:
        return ""
    if not diff:
        return note(f"{view.facts.source or 'the configuration'} says the same: there is nothing to save")
    lines = [tag("div", line or " ", style=_diff_style(line)) for line in diff.splitlines()]
    style = f"margin:6px 0 0;padding:4px 8px;border:1px solid {FAINT};overflow-x:auto;color:{LOUD};white-space:pre"
    return tag("div", *lines, style=f"{style};font:12px/1.5 var(--jp-code-font-family,monospace)")


def _diff_style(line: str) -> str:
    if line.startswith(("---", "+++", "@@")):
        return QUIET
    colour = {"+": BLUE, "-": ORANGE}.get(line[:1])
    return f"background:{tint(colour, 0.2)}" if colour else ""


# -- text --------------------------------------------------------------------------------------------------------------


def _text(view: View, heading: Heading, kind: str) -> str:
    lines = ["  ".join(filter(None, (heading.name, heading.where, kind, heading.mode)))]
    lines += [_text_line(line) for line in view.lines]
    lines += [f"! {reason}" for reason in view.refusals]
    lines += [f"! {view.warning}"] if view.warning else []
    lines += [*_notes(view), *_text_of(view.facts.what_if, view)]
    lines += view.facts.diff.splitlines() if view.facts.diff else []
    return "\n".join(lines)


def _text_line(line: Line) -> str:
    if not line.changed:
        return f"  {line.setting:<18} {shown(line.setting, line.now)}"
    return f"  {line.setting:<18} {change(line.setting, line.now, line.new)} · {_effect(line)}".rstrip(" ·")


def _text_of(answer: WhatIf | None, view: View) -> list[str]:
    if answer is None:
        return []
    if answer.refusal is not None:
        return [f"what if: {answer.refusal}"]
    return ["what if max_size were …", *(_text_row(row, view) for row in answer.rows), *answer.cautions]


def _text_row(row: Row, view: View) -> str:
    expected = row.prediction.expected
    measured = f"  measured {_figures(row.measured)}" if row.measured else ""
    return f"  {row.size:>6} {_mark(row, view):<6} {_figures(expected)}{measured}"


def _figures(figures: Figures) -> str:
    return f"P(wait) {percent(figures.p_wait)}, p95 {milliseconds(figures.p95_s)}"
