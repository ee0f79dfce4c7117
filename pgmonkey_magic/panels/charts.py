"""Slots, curves and bars, of the parts in `drawing`. Each says in words, or has beside it in words, what it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.drawing import BLUE, FIXED, LINE, LOUD, QUIET, Html, row, tag, tint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SPARKLINE_PX = (180, 26)


@dataclass(frozen=True, slots=True)
class State:
    """How a kind of slot looks: its glyph, its word, its colour of the palette."""

    glyph: str
    word: str
    colour: str


SLOT = f"box-sizing:border-box;width:84px;height:74px;padding:2px 5px;border-radius:3px;{FIXED}"
DOT = "box-sizing:border-box;width:18px;height:18px"
CUT = "display:block;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"


def slot(state: State, lines: Sequence[str], *, hint: str = "", loud: bool = False) -> Html:
    """Return one slot: glyph and word, then up to three lines, first its name; *hint* is for a mouse."""
    opacity, width = (0.26, 2) if loud else (0.12, 1)
    style = (
        f"{SLOT};border:{width}px solid {state.colour};border-top-width:4px;background:{tint(state.colour, opacity)}"
    )
    name, *others = lines
    return tag(
        "div",
        tag("span", f"{state.glyph} {state.word}", style=f"color:{LOUD};{CUT}"),
        tag("b", f" {name}", style=f"color:{LOUD};font-size:13px;font-weight:600;{CUT}"),
        *(tag("span", f" {line}", style=CUT) for line in others),
        style=f"{style};font-size:11px;line-height:16px",
        title=hint or None,
    )


def dot(state: State, *, hint: str = "") -> Html:
    """Return a slot so small that hundreds fit: its glyph only."""
    style = f"{DOT};line-height:15px;font-size:11px;text-align:center;color:{LOUD};border:1px solid {state.colour}"
    return tag("div", state.glyph, style=f"{style};background:{tint(state.colour)}", title=hint or None)


def room(*, small: bool = False) -> Html:
    """Return an empty place."""
    return tag("div", style=f"{DOT if small else SLOT};border:1px dashed {LINE};opacity:.7")


def gap(*, small: bool = False) -> Html:
    """Return the width of a slot."""
    return tag("div", style=f"{DOT if small else SLOT};border:1px solid transparent")


def slots(cells: Iterable[Html]) -> Html:
    """Return slots in rows."""
    return tag("div", *cells, style="display:flex;flex-wrap:wrap;gap:4px;margin:6px 0")


def legend(states: Iterable[State]) -> Html:
    """Return what the glyphs mean."""
    return row(
        *(
            tag("span", f"{state.glyph} {state.word}", style=f"border-bottom:2px solid {state.colour}")
            for state in states
        ),
        gap_px=12,
        style="font-size:11px",
    )


def sparkline(name: str, values: Sequence[float], *, colour: str = BLUE, remark: str = "", top: float = 1.0) -> Html:
    """Return a small curve of *values*, oldest first, with its name before it and a remark behind.

    It reaches from 0 to the largest of *values* and *top*; NaN is a gap.
    """
    width, height = SPARKLINE_PX
    highest = max([top, *(value for value in values if not math.isnan(value))])
    step = width / max(1, len(values) - 1)
    points = [
        (f"{i * step:.1f}", f"{height - 1 - (height - 3) * value / highest:.1f}")
        for i, value in enumerate(values)
        if not math.isnan(value)
    ]
    shapes: list[Html] = []
    if points:
        path = " ".join(f"{x},{y}" for x, y in points)
        area = f"{points[0][0]},{height} {path} {points[-1][0]},{height}"
        shapes.append(tag("polygon", points=area, fill=colour, fill_opacity="0.2", stroke="none"))
        shapes.append(tag("polyline", points=path, fill="none", stroke=colour, stroke_width="1.5"))
    base = tag("line", x1=0, x2=width, y1=height - 0.5, y2=height - 0.5, stroke="currentColor", stroke_opacity="0.3")
    svg = tag(
        "svg",
        base,
        *shapes,
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        style="vertical-align:bottom;margin:0 6px 0 2px",
        aria_hidden="true",
    )
    return tag("span", tag("span", name, style=QUIET), " ", svg, tag("span", remark, style=QUIET))


def meter(share: float, *, colour: str = BLUE, width_px: int = 120) -> Html:
    """Return a bar that is filled to *share* (0 to 1)."""
    filled = 100 * min(1.0, max(0.0, share))
    bar = tag("span", style=f"display:block;height:100%;width:{filled:.1f}%;background:{colour}")
    style = f"display:inline-block;width:{width_px}px;height:9px;border:1px solid {LINE};vertical-align:baseline"
    return tag("span", bar, style=style, aria_hidden="true")


def histogram(counts: Sequence[float], edges: tuple[str, str], *, colour: str = BLUE, width_px: int = 360) -> Html:
    """Return bars for *counts*; *edges* are the words under the first and the last."""
    height_px, highest, step = 80, max([1.0, *counts]), width_px / max(1, len(counts))
    bars = [
        tag(
            "rect",
            x=f"{i * step:.1f}",
            y=f"{height_px * (1 - count / highest):.1f}",
            width=f"{max(1.0, step - 1):.1f}",
            height=f"{height_px * count / highest:.1f}",
            fill=colour,
        )
        for i, count in enumerate(counts)
    ]
    base = tag("line", x1=0, x2=width_px, y1=height_px, y2=height_px, stroke="currentColor", stroke_opacity="0.4")
    box = f"0 0 {width_px} {height_px + 1}"
    svg = tag("svg", *bars, base, width=width_px, height=height_px + 1, viewBox=box, aria_hidden="true")
    between = f"display:flex;justify-content:space-between;{QUIET}"
    ends = tag("div", *(tag("span", edge) for edge in edges), style=between)
    return tag("div", svg, ends, style=f"width:{width_px}px;margin:4px 0")
