"""A plan as HTML: the numbers and the tree of `results/plan/text.py`, with a bar for each node's share.

No script and no style sheet, only inline styles: it looks the same in an export, and stays readable, a table, where a
viewer takes the styles away. Colours are the JupyterLab theme's; tints let the theme's own background through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmonkey_magic.notebook.display import esc
from pgmonkey_magic.results.plan import details
from pgmonkey_magic.results.plan.text import badges, cells, headings, legend, printable, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pgmonkey_magic.results.plan import Mark, Plan, PlanNode
    from pgmonkey_magic.results.plan.details import Line

PLAIN = "color:var(--jp-ui-font-color1,inherit)"
LOUD = "color:var(--jp-ui-font-color0,inherit)"
QUIET = "opacity:.75"
"""Not the theme's own quiet colour, which is too faint on a tint."""
BORDER = "1px solid var(--jp-border-color2,rgba(128,128,128,.35))"
GUIDE = "var(--jp-border-color1,rgba(128,128,128,.6))"
CELL = "vertical-align:top;padding:3px 8px;background:none;line-height:1.45"
NUMBER = f"{CELL};text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
CODE = "font-family:var(--jp-code-font-family,monospace);font-size:12px;overflow-wrap:anywhere"
TRACK = "height:3px;margin-top:1px;background:var(--jp-border-color3,rgba(128,128,128,.2))"
STEP_PX = 18
CLOSED = 110
"""Characters of a node's conditions that show while its details are closed."""
CALM = "var(--jp-brand-color1,#1976d2)"
WARNING, WARNING_TINT = "var(--jp-warn-color1,#f57c00)", "rgba(255,152,0,.13)"
ALARM, ALARM_TINT = "var(--jp-error-color1,#d32f2f)", "rgba(244,67,54,.13)"


def plan_html(plan: Plan) -> str:
    """Return the HTML of a plan; every text in it is escaped."""
    rows = "".join(_row(plan, node, depth) for node, depth in _with_depth(plan.root, 0))
    table = "border-collapse:collapse;table-layout:auto;margin:4px 0;font-size:13px;color:inherit"
    return (
        f'<div style="margin:2px 0;font-size:13px;{PLAIN}"><div style="{QUIET}">{_safe(summary(plan))}</div>'
        f'<div style="overflow-x:auto"><table style="{table}"><thead>{_head(headings(plan))}</thead>'
        f'<tbody>{rows}</tbody></table></div><div style="{QUIET}">{_safe(legend(plan))}</div>'
        f"{_sentences(plan.marks)}{_folded(plan.details, 'the whole query')}</div>"
    )


def _safe(text: str) -> str:
    return esc(printable(text))


def _head(names: Sequence[str]) -> str:
    style = f"{QUIET};font-weight:normal;border-bottom:{BORDER}"
    numbers = "".join(f'<th style="{NUMBER};{style}">{_safe(name)}</th>' for name in names)
    return f'<tr>{numbers}<th style="{CELL};{style};text-align:left">node</th></tr>'


def _row(plan: Plan, node: PlanNode, depth: int) -> str:
    colour, tint = _colours(node)
    number, own, *others = (_safe(cell) for cell in cells(plan, node))
    width = min(100.0, 100 * (node.share or 0.0))
    bar = f'<div style="{TRACK}"><div style="height:3px;width:{width:.1f}%;background:{colour}"></div></div>'
    columns = [
        f'<td style="{NUMBER};{QUIET}">{number}</td>',
        f'<td style="{NUMBER};min-width:84px">{own}{bar if node.share is not None else ""}</td>',
        *(f'<td style="{NUMBER}">{cell}</td>' for cell in others),
        f'<td style="{CELL};padding:0 8px;text-align:left">{_tree_cell(node, depth)}</td>',
    ]
    return f'<tr style="background:{tint};border-bottom:{BORDER}">{"".join(columns)}</tr>'


def _colours(node: PlanNode) -> tuple[str, str]:
    """Return the colour of a node's bar and the tint of its row."""
    kinds = {mark.kind for mark in node.marks}
    if "slow" in kinds:
        return ALARM, ALARM_TINT
    return (WARNING, WARNING_TINT) if kinds else (CALM, "transparent")


def _tree_cell(node: PlanNode, depth: int) -> str:
    # One line down the left for each node above, drawn as a background: so it runs on beside open details.
    width = depth * STEP_PX
    lines = f"transparent 0 6px,{GUIDE} 6px 7px,transparent 7px {STEP_PX}px"
    background = f"repeating-linear-gradient(to right,{lines}) 0 0/{width}px 100% no-repeat"
    role = f'<span style="{QUIET}">{_safe(node.role)}: </span>' if node.role else ""
    colour, _ = _colours(node)
    marks = "".join(
        f' <span style="{LOUD};border:1px solid {colour};border-radius:9px;padding:0 7px;font-size:11px;'
        f'white-space:nowrap">{_safe(words)}</span>'
        for words in badges(node)
    )
    title = f'<div style="{QUIET if node.never_executed else LOUD}">{role}{_safe(node.title)}{marks}</div>'
    work = details.work(node.properties)
    closed = " · ".join(f"{label}: {value}" for label, value in work) or "details"
    folded = _folded((*work, *details.measures(node.properties)), closed)
    style = f"padding:3px 0 3px {width}px;background:{background}"
    return f'<div style="{style}">{title}{_sentences(node.marks)}{folded}</div>'


def _sentences(marks: Iterable[Mark]) -> str:
    style = f"margin:1px 0;max-width:90ch;{PLAIN}"
    return "".join(
        f'<div style="{style}">{_safe(mark.sentence[:1].upper() + mark.sentence[1:])}</div>' for mark in marks
    )


def _folded(lines: Sequence[Line], closed: str) -> str:
    if not lines:
        return ""
    shown = printable(closed)
    shown = shown if len(shown) <= CLOSED else f"{shown[: CLOSED - 2]} …"
    body = "".join(
        f'<div style="{CODE};margin-left:14px"><span style="{QUIET}">{_safe(label)}:</span> {_safe(value)}</div>'
        for label, value in lines
    )
    return (
        f'<details style="max-width:110ch"><summary style="{QUIET};cursor:pointer;{CODE}">{esc(shown)}</summary>'
        f"{body}</details>"
    )


def _with_depth(node: PlanNode, depth: int) -> Iterator[tuple[PlanNode, int]]:
    yield node, depth
    for child in node.children:
        yield from _with_depth(child, depth + 1)
