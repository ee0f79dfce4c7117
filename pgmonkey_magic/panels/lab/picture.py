"""The views of the lab as HTML and as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pgmonkey_magic.panels import picture as occupancy_picture
from pgmonkey_magic.panels.charts import sparkline
from pgmonkey_magic.panels.drawing import (
    BLUE,
    LOUD,
    ORANGE,
    Drawn,
    Html,
    alarm,
    figure,
    join,
    note,
    number,
    row,
    sheet,
    table,
    tag,
    title,
)
from pgmonkey_magic.panels.lab.waits import histogram_of, legend_of, progress_bar, range_legend, range_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.panels.lab.lesson_seen import LessonView
    from pgmonkey_magic.panels.lab.seen import Compared, LoadView
    from pgmonkey_magic.panels.picture import Heading
    from pgmonkey_magic.panels.seen import View

HEADINGS = ("figure", "measured", "predicted", "range", "", "")
NOTHING_YET = "Choose a preset or set up a load of your own, then press start."
BESIDE = "display:flex;flex-wrap:wrap;align-items:flex-start;column-gap:10px"


# -- a load -----------------------------------------------------------------------------------------------------------


def before_load(where: str, mode: str) -> Drawn:
    """Return the picture before any load has run."""
    top = title(name="lab: a load", where=where, remark=mode)
    return Drawn(sheet("No load has run yet", top, note(NOTHING_YET)), f"lab: a load  {where}  {mode}\n{NOTHING_YET}")


def load_drawn(view: LoadView, heading: tuple[str, str], pool: tuple[View, Heading] | None, *, as_table: bool) -> Drawn:
    """Return the picture of a load; *heading* is where it runs, and `Panel.mode`.

    *pool* is the occupancy to draw beside it, while it runs.
    """
    where, mode = heading
    top = title(name="lab: a load", where=where, remark=mode)
    picture = [
        top,
        tag("div", view.heading, style=f"color:{LOUD}"),
        row(tag("span", view.status), *(figure(name, value) for name, value in view.numbers)),
        progress_bar(view.progress),
    ]
    words = [
        *(tag("div", sentence, style=f"color:{LOUD};margin:3px 0") for sentence in view.sentences),
        _compared(view, as_table=as_table),
        _waits(view, as_table=as_table),
        _curves(view),
        *map(note, view.cautions),
    ]
    alarms = [alarm(view.error)] if view.error else []
    drawn = sheet(load_label(view), *picture, alarms=alarms, below=join(*words))
    if pool is None:
        return Drawn(drawn, load_text(view, where, mode))
    beside = occupancy_picture.drawn(*pool, as_table=as_table)
    both = tag("div", _column(drawn), _column(beside.html), style=BESIDE)
    return Drawn(both, f"{load_text(view, where, mode)}\n{beside.text}")


def _column(sheet_: Html) -> Html:
    return tag("div", sheet_, style="flex:1 1 440px;min-width:0")


def load_label(view: LoadView) -> str:
    """Return the picture as one sentence."""
    p95 = view.compared[-1]
    wait = "" if math.isnan(p95.measured) else f"; 95 % waited at most {number(p95.measured)} ms"
    predicted = f", predicted {number(p95.expected)} ms" if wait and not math.isnan(p95.expected) else ""
    numbers = ", ".join(f"{name} {value}" for name, value in view.numbers)
    return f"A load of {view.heading}: {view.status}; {numbers}{wait}{predicted}"


def _compared(view: LoadView, *, as_table: bool) -> Html | str:
    known = [each for each in view.compared if not math.isnan(each.measured)]
    if not known:
        return ""
    if all(math.isnan(each.low) for each in known):
        return row(*(figure(each.name, _value(each, each.measured)) for each in known))
    drawn = [(*_cells(each), "" if as_table else range_of(each), each.verdict) for each in known]
    body = table(HEADINGS, drawn, numbers=(1, 2, 3))
    return join(
        body,
        "" if as_table else range_legend(),
        note("predicted by ", view.source, ", for the arrivals and holds as they were measured"),
    )


def _cells(each: Compared) -> tuple[str, str, str, str]:
    spread = "–" if math.isnan(each.low) else f"{number(each.low)} – {number(each.high)}{each.unit}"
    return each.name, _value(each, each.measured), _value(each, each.expected), spread


def _value(each: Compared, value: float) -> str:
    return "–" if math.isnan(value) else number(value, each.unit)


def _waits(view: LoadView, *, as_table: bool) -> Html | str:
    waits = view.waits
    if not waits.queued and not waits.at_once:
        return ""
    words = tag("div", waits_in_words(view), style="margin-top:6px")
    if as_table:
        rows = [
            (f"{number(each.from_s * 1e3)} – {number(each.to_s * 1e3)} ms", f"{each.requests:,}") for each in waits.bins
        ]
        return join(words, table(("wait", "requests"), rows, numbers=(0, 1))) if rows else words
    return join(words, histogram_of(waits), legend_of(waits)) if waits.bins else words


def waits_in_words(view: LoadView) -> str:
    """Return what the histogram is of."""
    waits = view.waits
    if not waits.queued:
        return f"Nobody waited: all {waits.at_once:,} requests had a connection at once."
    return f"Waits of the {waits.queued:,} that had to wait; {waits.at_once:,} had a connection at once."


def _curves(view: LoadView) -> Html | str:
    if view.state == "running" or not view.in_use_curve:
        return ""
    most_used, most_waiting = max(view.in_use_curve), max(view.waiting_curve)
    return row(
        sparkline("in use", view.in_use_curve, colour=BLUE, top=float(view.size), remark=f"most {most_used:.0f}"),
        sparkline("waiting", view.waiting_curve, colour=ORANGE, remark=f"most {most_waiting:.0f}"),
    )


def load_text(view: LoadView, where: str, mode: str) -> str:
    """Return the picture as plain text."""
    numbers = " · ".join(f"{name} {value}" for name, value in view.numbers)
    lines = [f"lab: a load  {where}  {mode}", view.heading, f"{view.status} · {numbers}" if numbers else view.status]
    lines += view.sentences
    for each in view.compared:
        if not math.isnan(each.measured):
            name, measured, predicted, spread = _cells(each)
            beside = f"  predicted {predicted} ({spread}), {each.verdict}" if each.verdict else ""
            lines.append(f"  {name:<12} {measured:>9}{beside}")
    if view.waits.queued or view.waits.at_once:
        lines.append(waits_in_words(view))
    lines += view.cautions
    return "\n".join([*lines, f"! {view.error}"] if view.error else lines)


# -- a lesson ---------------------------------------------------------------------------------------------------------


def lesson_drawn(view: LessonView, where: str, mode: str) -> Drawn:
    """Return the picture of a lesson."""
    top = title(name=f"{view.number}: {view.name}", where=where, remark=mode)
    steps = tag("ol", *(tag("li", step) for step in view.steps), style="margin:2px 0 6px;padding-left:22px")
    strong = f"font-weight:600;color:{LOUD};margin:4px 0"
    words = [
        tag("div", view.question, style=f"font-size:16px;{strong}"),
        tag("div", view.explanation, style="margin:4px 0;max-width:80ch"),
        steps,
        note(view.status),
        table(view.columns, view.rows, numbers=view.numeric) if view.rows else "",
        tag("div", view.answer, style=f"color:{LOUD};margin:6px 0;max-width:80ch") if view.answer else "",
        tag("div", tag("b", "Next: "), view.next, style="margin:4px 0;max-width:80ch") if view.next else "",
    ]
    alarms = [alarm(view.error)] if view.error else []
    label = f"{view.number}, {view.name}: {view.question} {view.answer or view.status}"
    return Drawn(sheet(label, top, alarms=alarms, below=join(*words)), lesson_text(view, where, mode))


def lesson_text(view: LessonView, where: str, mode: str) -> str:
    """Return the picture as plain text."""
    lines = [f"{view.number}: {view.name}  {where}  {mode}", view.question, view.explanation]
    lines += [f"  {i}. {step}" for i, step in enumerate(view.steps, 1)]
    lines.append(view.status)
    if view.rows:
        lines += _columns([view.columns, *view.rows], view.numeric)
    lines += filter(
        None, (view.answer, f"Next: {view.next}" if view.next else "", f"! {view.error}" if view.error else "")
    )
    return "\n".join(lines)


def _columns(rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> list[str]:
    widths = [max(len(row_[i]) for row_ in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(text.rjust(widths[i]) if i in numeric else text.ljust(widths[i]) for i, text in enumerate(row_))
        for row_ in rows
    ]
