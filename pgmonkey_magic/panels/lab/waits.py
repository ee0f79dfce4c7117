"""Drawings of waits: their histogram with the p95, and a figure's measured value on its predicted range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pgmonkey_magic.panels.drawing import (
    BLUE,
    FIXED,
    LINE,
    ORANGE,
    QUIET,
    VERMILLION,
    Html,
    join,
    note,
    number,
    row,
    tag,
)

if TYPE_CHECKING:
    from pgmonkey_magic.panels.lab.seen import Compared, Waits

WIDTH, HEIGHT = 360, 90
ROOM = 1.5
"""How much wider than the bars the picture may be, for a prediction."""
RANGE_WIDTH, RANGE_HEIGHT = 200, 18


def histogram_of(waits: Waits) -> Html | str:
    """Return the waits of those who waited, with marks for the p95 of all."""
    if not waits.bins:
        return note("nobody had to wait" if waits.at_once else "")
    longest_s = waits.bins[-1].to_s
    low_s, high_s = waits.range_s
    # A prediction far beyond what was seen would press the bars into a corner.
    top_s = max(longest_s, min(high_s, ROOM * longest_s)) if math.isfinite(high_s) else longest_s

    def x(s: float) -> str:
        return f"{WIDTH * min(1.0, s / top_s):.1f}"

    highest = max(each.requests for each in waits.bins)
    shapes: list[Html] = []
    if not math.isnan(low_s) and high_s > 0 and low_s <= top_s:
        width = max(1.0, float(x(high_s)) - float(x(low_s)))
        shapes.append(
            tag("rect", x=x(low_s), y=0, width=f"{width:.1f}", height=HEIGHT, fill=ORANGE, fill_opacity="0.3")
        )
    for each in waits.bins:
        height = HEIGHT * each.requests / highest
        width = max(1.0, float(x(each.to_s)) - float(x(each.from_s)) - 1)
        shapes.append(
            tag(
                "rect",
                x=x(each.from_s),
                y=f"{HEIGHT - height:.1f}",
                width=f"{width:.1f}",
                height=f"{height:.1f}",
                fill=BLUE,
            )
        )
    if not math.isnan(waits.p95_s):
        shapes.append(_mark(x(waits.p95_s), HEIGHT))
    base = tag("line", x1=0, x2=WIDTH, y1=HEIGHT, y2=HEIGHT, stroke="currentColor", stroke_opacity="0.4")
    ends = [tag("span", f"{number(top_s * share * 1e3)} ms") for share in (0.0, 0.5, 1.0)]
    scale = tag("div", *ends, style=f"display:flex;justify-content:space-between;font-size:11px;{QUIET};{FIXED}")
    return tag(
        "div", _svg(WIDTH, HEIGHT + 1, *shapes, base), scale, style=f"width:{WIDTH}px;max-width:100%;margin:4px 0"
    )


def legend_of(waits: Waits) -> Html | str:
    """Return what the marks in the histogram mean, with their values in words."""
    if not waits.bins:
        return ""
    parts: list[Html] = []
    if not math.isnan(waits.p95_s):
        parts.append(
            _key("p95 of all requests", f"{number(waits.p95_s * 1e3)} ms", f"border-left:2px solid {VERMILLION}")
        )
    low_s, high_s = waits.range_s
    if not math.isnan(low_s):
        beyond = ", right of this picture" if low_s > waits.bins[-1].to_s * ROOM else ""
        words = f"{number(low_s * 1e3)} to {number(high_s * 1e3)} ms{beyond}"
        parts.append(_key("predicted for it", words, f"border-left:12px solid {ORANGE}"))
    return row(*parts, gap_px=14, style="font-size:11px")


def _key(name: str, value: str, border: str) -> Html:
    return tag("span", f"{name} {value}", style=f"{border};padding-left:5px;white-space:nowrap;{FIXED}")


def range_of(each: Compared) -> Html | str:
    """Return the predicted range as a bar, the expected value as a line in it, and what was measured as a dot."""
    if math.isnan(each.low) or not math.isfinite(each.high):
        return ""
    top = max(each.high, each.measured, each.expected if math.isfinite(each.expected) else 0.0) * 1.15 or 1.0

    def x(value: float) -> float:
        return 3 + (RANGE_WIDTH - 6) * min(1.0, max(0.0, value / top))

    middle = RANGE_HEIGHT / 2
    base = tag("line", x1=0, x2=RANGE_WIDTH, y1=middle, y2=middle, stroke="currentColor", stroke_opacity="0.3")
    band = tag(
        "rect",
        x=f"{x(each.low):.1f}",
        y=middle - 5,
        width=f"{max(2.0, x(each.high) - x(each.low)):.1f}",
        height=10,
        fill=ORANGE,
        fill_opacity="0.45",
    )
    expected = tag("rect", x=f"{x(each.expected) - 1:.1f}", y=middle - 7, width=2, height=14, fill=ORANGE)
    measured = tag("circle", cx=f"{x(each.measured):.1f}", cy=middle, r=4, fill=BLUE, stroke="currentColor")
    shapes = [base, band, expected] if math.isnan(each.measured) else [base, band, expected, measured]
    return _svg(RANGE_WIDTH, RANGE_HEIGHT, *shapes)


def range_legend() -> Html:
    """Return what the marks on a range mean."""
    return row(
        tag("span", "● measured", style=f"border-bottom:2px solid {BLUE}"),
        tag("span", "▬ predicted range", style=f"border-bottom:2px solid {ORANGE}"),
        tag("span", "| expected", style=f"border-bottom:2px solid {ORANGE}"),
        gap_px=12,
        style="font-size:11px",
    )


def progress_bar(share: float) -> Html:
    """Return how far a run is."""
    bar = tag("div", style=f"height:100%;width:{100 * share:.1f}%;background:{BLUE}")
    return tag("div", bar, style=f"height:7px;border:1px solid {LINE};margin:4px 0", aria_hidden="true")


def _mark(x: str, height: int) -> Html:
    return tag("line", x1=x, x2=x, y1=0, y2=height, stroke=VERMILLION, stroke_width=2, stroke_dasharray="4 2")


def _svg(width: int, height: int, *shapes: Html) -> Html:
    style = "display:block;max-width:100%"
    box = f"0 0 {width} {height}"
    return tag("svg", join(*shapes), width=width, height=height, viewBox=box, style=style, aria_hidden="true")
