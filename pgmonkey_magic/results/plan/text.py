"""A plan as text: numbers on the left, the tree on the right, below it what to look at; WIDTH columns wide at most."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pgmonkey_magic.results.plan import details
from pgmonkey_magic.results.plan.details import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pgmonkey_magic.results.plan.nodes import Plan, PlanNode

WIDTH = 100
_TREE = 44
"""Columns that are left for the tree, however long the numbers are."""
_GUIDES = 24
"""Columns of branches: of deeper nodes only the last ones are drawn."""
_LINES = 3
"""Lines that one condition may take; the whole is in `nodes` and in the HTML."""


_TIE = "\N{NO-BREAK SPACE}"


def draw(plan: Plan) -> str:
    """Return the plan as text."""
    table = [headings(plan), *(cells(plan, node) for node in plan.root.walk())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "  " for row in table]
    indent = len(rows[0])
    room = max(_TREE, WIDTH - indent)
    head = summary(plan)
    lines = [*([head, ""] if head else []), rows[0]]
    for (node, first, further), row in zip(_branches(plan.root, "", ""), rows[1:], strict=True):
        title, *under = _tree_lines(node, first, further, room)
        lines += [row + title, *(" " * indent + line for line in under)]
    below = list(_below(plan))
    return "\n".join(line.rstrip() for line in [*lines, *([""] if below else []), *below])


def summary(plan: Plan) -> str:
    """Return the one line above the tree: times of the whole, blocks touched."""
    parts = [] if plan.analyzed else ["not executed"]
    if plan.execution_ms is not None:
        parts.append(f"execution {number(plan.execution_ms)} ms")
    if plan.planning_ms is not None:
        parts.append(f"planning {number(plan.planning_ms)} ms")
    if not plan.timed and plan.root.total_cost is not None:
        parts.append(f"estimated cost {number(plan.root.total_cost)}")
    if plan.analyzed and (blocks := details.buffers(plan.root.properties)):
        parts.append(f"blocks: {blocks}")
    line = " · ".join(parts)
    return line[:1].upper() + line[1:]


def headings(plan: Plan) -> tuple[str, ...]:
    """Return the names of the columns before the tree."""
    rows = ("expected → came", "loops") if plan.analyzed else ("rows",)
    return ("#", "own ms" if plan.timed else "own cost", "%", *rows)


def cells(plan: Plan, node: PlanNode) -> tuple[str, ...]:
    """Return a node's numbers, one for each of the headings; rows are those of one loop."""
    own = node.own_ms if plan.timed else node.own_cost
    share = "" if node.share is None else f"{node.share:.0%}".removesuffix("%")
    expected = "" if node.plan_rows is None else number(node.plan_rows)
    if not plan.analyzed:
        return (str(node.number), _amount(plan, own), share, expected)
    if node.never_executed:
        return (str(node.number), "–", "", f"{expected} → –", "0")
    came = "" if node.actual_rows is None else number(node.actual_rows)
    return (str(node.number), _amount(plan, own), share, f"{expected} → {came}", number(node.loops or 0))


def _amount(plan: Plan, own: float | None) -> str:
    """Return a time or a cost with as many decimals as the whole is worth, the same in all rows."""
    if own is None:
        return ""
    whole = (plan.root.elapsed_ms if plan.timed else plan.root.total_cost) or 0.0
    decimals = 3 if whole < 10 else 2 if whole < 1000 else 1
    return f"{own:,.{decimals}f}"


def badges(node: PlanNode) -> tuple[str, ...]:
    """Return the few words beside a title."""
    return (*(mark.short for mark in node.marks), *(("never executed",) if node.never_executed else ()))


def _branches(node: PlanNode, first: str, further: str) -> Iterator[tuple[PlanNode, str, str]]:
    yield node, first, further
    for child in node.children:
        last = child is node.children[-1]
        yield from _branches(child, further + ("└─ " if last else "├─ "), further + ("   " if last else "│  "))


def _tree_lines(node: PlanNode, first: str, further: str, room: int) -> Iterator[str]:
    # A line under a title has the branch to the children on its left.
    under = further + ("│  " if node.children else "   ")
    marked = "".join(f" ◄{_TIE}{words.replace(' ', _TIE)}" for words in badges(node))
    yield from _wrapped(printable(node.label) + marked, first, under, room)
    for label, value in details.work(node.properties):
        yield from _wrapped(printable(f"{label}: {value}"), under, under + "  ", room)


def _wrapped(text: str, first: str, further: str, room: int) -> list[str]:
    lines = textwrap.wrap(
        text,
        room,
        initial_indent=_clipped(first),
        subsequent_indent=_clipped(further),
        max_lines=_LINES,
        placeholder=" …",
        break_on_hyphens=False,
    )
    return [line.replace(_TIE, " ") for line in lines] or [_clipped(first)]


def _clipped(guides: str) -> str:
    return guides if len(guides) <= _GUIDES else "⋯" + guides[1 - _GUIDES :]


def printable(text: str) -> str:
    """Return text that is one line and moves no cursor: what cannot be printed stands as its escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _below(plan: Plan) -> Iterator[str]:
    for node in plan.root.walk():
        for mark in node.marks:
            yield from _paragraph(f"◄ {node.number} {_head(node)}: {mark.sentence}")
    for mark in plan.marks:
        yield from _paragraph(f"◄ {mark.sentence}")
    for label, value in plan.details:
        yield from _paragraph(f"{label}: {value}")
    yield from _paragraph(legend(plan))


def legend(plan: Plan) -> str:
    """Return what must be known to read the numbers of a parallel plan; nothing for others."""
    if all(node.processes == 1 for node in plan.root.walk()):
        return ""
    return "Below a Gather, loops counts the runs of all processes; own ms is their mean, rows are those of one run."


def _head(node: PlanNode) -> str:
    """Return a title short enough to begin a sentence with."""
    return textwrap.shorten(printable(node.title), 60, placeholder="…") or "…"


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(printable(text), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
