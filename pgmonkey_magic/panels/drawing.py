"""HTML as text: everything that a panel shows is put together by these functions, and escaped here.

`tag` makes markup of type `Html`. A child or attribute that is no `Html` is text from outside (SQL, names, errors) and
passes `safe`, the one choke point: so nothing can be forgotten, and no panel ever escapes anything itself.

Colours are of the palette by Okabe and Ito (2008), which people with any colour vision tell apart, and never alone: a
glyph and a word say the same. They mark borders, bars and tints; text has the theme's own colour (`--jp-*` variables,
or the surrounding page's). Only inline styles, so that an export looks the same and a viewer that removes them leaves
readable text. Nothing moves: a picture is replaced up to twice a second, and an animation would begin anew each time;
so there is nothing to switch off under `prefers-reduced-motion`.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
TEXT = "var(--jp-ui-font-color1,inherit)"
LOUD = "var(--jp-ui-font-color0,inherit)"
LINE = "var(--jp-border-color1,rgba(128,128,128,.6))"
FAINT = "var(--jp-border-color2,rgba(128,128,128,.35))"
QUIET = "opacity:.75"
"""A style for what is read second. Not the theme's quiet colour, which is too faint on a tint."""
FONT = f"font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);color:{TEXT}"
FIXED = "font-variant-numeric:tabular-nums"
"""A style for numbers that change: each digit has the same width, so that nothing jumps."""


class Html(str):
    """Markup that may go into a page as it is. Made by the functions of this module only."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture: for those who see HTML, and for those who see text."""

    html: Html
    text: str


def safe(text: object) -> Html:
    """Return *text* as markup: the one place where anything is escaped.

    Characters that cannot be seen, or that turn the text behind them around, become `�`; line breaks become blanks.
    """
    if isinstance(text, Html):
        return text
    words = str(text)
    return Html(html.escape(words if words.isprintable() else "".join(map(_visible, words))))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def tag(name: str, *children: object, style: str = "", **attributes: object) -> Html:
    """Return an element: `tag("b", "5 < 6", title=who)`. `aria_label` is written aria-label; None leaves one out."""
    given = {"style": style or None, **attributes}
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{safe(value)}"' for key, value in given.items() if value is not None
    )
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: object) -> Html:
    """Return the parts side by side, escaped where they are no markup."""
    return Html("".join(map(safe, parts)))


def tint(colour: str, opacity: float = 0.14) -> str:
    """Return a palette colour that lets the theme's background through."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


# -- words for numbers ------------------------------------------------------------------------------------------------


def seconds(s: float) -> str:
    """Return a duration in the unit that a person would choose: `0 ms`, `1.2 s`, `42 s`, `3 min`, `2 h 5 min`."""
    if s < 0.9995:
        return f"{max(0.0, s) * 1000:.0f} ms"
    if s < 9.95:
        return f"{s:.1f} s"
    if s < 119.5:
        return f"{s:.0f} s"
    minutes = round(s / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def number(x: float | None, unit: str = "") -> str:
    """Return a figure with at most three digits that matter; `–` for one that is not known (None, NaN)."""
    if x is None or math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞"
    digits = 0 if abs(x) >= 100 else 1 if abs(x) >= 10 else 2
    text = f"{x:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text or '0'}{unit}"


# -- parts of a picture -----------------------------------------------------------------------------------------------


def sheet(label: str, *picture: object, alarms: Sequence[Html] = (), below: object = "") -> Html:
    """Return a whole picture: *label* says it in one sentence for who cannot see it.

    *alarms* stand under it and are read out as they come; *below* is text that is not part of the picture.
    """
    drawn = tag("div", *picture, role="img", aria_label=label)
    style = f"{FONT};border:1px solid {FAINT};border-radius:3px;padding:8px 10px;margin:2px 0;max-width:1100px"
    said = tag("div", *alarms, role="status", aria_live="polite") if alarms else ""
    return tag("div", drawn, said, below, style=style)


def row(*parts: object, gap_px: int = 18, style: str = "") -> Html:
    """Return the parts beside each other; they go on in the next line where there is no room."""
    base = f"display:flex;flex-wrap:wrap;align-items:baseline;column-gap:{gap_px}px;row-gap:2px;margin:2px 0"
    apart = [each for part in parts if part != "" for each in (part, " ")]
    return tag("div", *apart, style=f"{base};{style}" if style else base)


def title(*, name: str, where: str, remark: str) -> Html:
    """Return the first line of a panel: its name, where it looks at, and on the right what kind of picture it is."""
    strong = tag("span", name, style=f"font-weight:600;color:{LOUD}")
    return row(strong, tag("span", where, style=QUIET), tag("span", remark, style=f"{QUIET};margin-left:auto"))


def figure(label: str, value: object, *, remark: str = "") -> Html:
    """Return one number with its name before it and a remark behind."""
    return tag(
        "span",
        tag("span", label.upper(), style=f"font-size:11px;letter-spacing:.04em;{QUIET}"),
        " ",
        tag("span", value, style=f"font-size:15px;font-weight:600;color:{LOUD};{FIXED}"),
        tag("span", f" {remark}", style=f"{QUIET};{FIXED}") if remark else "",
        style="white-space:nowrap",
    )


def note(*parts: object) -> Html:
    """Return a quiet line."""
    return tag("div", *parts, style=f"margin:2px 0;{QUIET};{FIXED}")


def alarm(*parts: object, colour: str = VERMILLION) -> Html:
    """Return a line that somebody should read: a mark, a border and a tint beside the theme's text."""
    style = f"margin:4px 0 0;padding:2px 8px;border-left:4px solid {colour};background:{tint(colour)};{FIXED}"
    return tag("div", tag("b", "! ", aria_hidden="true"), *parts, style=f"{style};overflow-wrap:anywhere;color:{LOUD}")


def ticking(text: str) -> Html:
    """Return a number inside an alarm that grows: it is seen, but not read out at each step."""
    return tag("span", text, aria_hidden="true")


def failure(error: BaseException) -> Html:
    """Return the picture of a panel that could not draw itself."""
    words = f"{type(error).__name__}: {error}"
    return sheet(f"This panel has an error: {words}", alarms=[alarm("this panel could not be drawn: ", words)])


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> Html:
    """Return a table; the columns *numbers* (counted from 0) stand to the right. Cells may be markup."""
    right = set(numbers)
    cell = f"padding:2px 10px 2px 0;vertical-align:top;background:none;border-bottom:1px solid {FAINT};{FIXED}"

    def style(at: int) -> str:
        return f"{cell};text-align:right;white-space:nowrap" if at in right else f"{cell};text-align:left"

    head = tag("tr", *(tag("th", text, style=f"{style(at)};font-weight:600") for at, text in enumerate(headings)))
    body = [
        tag("tr", *(tag("td", each, style=f"{style(at)};overflow-wrap:anywhere") for at, each in enumerate(line)))
        for line in rows
    ]
    drawn = tag("table", tag("thead", head), tag("tbody", *body), style="border-collapse:collapse;font-size:12px")
    return tag("div", drawn, style="overflow-x:auto;margin:6px 0")
