"""What each node took by itself: its own time, or, where nothing was run, its own part of the estimated cost.

**Time.** The server's `Actual Total Time` is the average of one run and holds the time of the nodes below; `Actual
Loops` is the number of runs (PostgreSQL documentation, "Using EXPLAIN", 14.1.2: multiply by the loops value to get the
total time spent in the node). So

    elapsed(node) = Actual Total Time × Actual Loops ÷ processes
    own(node)     = elapsed(node) − Σ elapsed(children), and never less than 0

Below a Gather, workers and leader each count their runs, so `loops` sums over the processes, and so does the time.
`processes` is how many ran: the loops of the Gather's child by those of the Gather, 1 elsewhere. What comes out is the
mean of processes that run side by side; where one of them takes longer, the Gather waits, and has that time itself.

The server rounds the average run to 0.001 ms, so a node of 100,000 runs is known to ± 50 ms. Where children seem to
take longer than their parent, they are shortened by no more than that, each by its part of it.

An InitPlan and a CTE hang below the node of their query level but run inside of the node that first asks for their
rows, often a deeper one. Their time is taken from the nodes that mention them, the lowest first, so that it is counted
once. A CTE that nobody reads (a DELETE in WITH) runs after all the rest: its time is in no other node.

**Cost.** The planner's unit is arbitrary (same chapter). The cost of the inner side of a Nested Loop and of a SubPlan
is for one run, that of a Limit's child for a run to the end; so each node's cost is shared out from the top: what the
children are charged adds up to no more than the node's own total, and all own costs add up to the root's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pgmonkey_magic.results.plan.nodes import PlanNode

GATHERS = frozenset({"Gather", "Gather Merge"})
_HALF_A_STEP_MS = 0.0005
_ASSUMED_RECURSIONS = 10
"""What the planner reckons with for a Recursive Union (cost_recursive_union in PostgreSQL's costsize.c)."""


class Spent(NamedTuple):
    """The time of a node over all its runs, in ms; the processes it was divided by; what rounding may have added."""

    elapsed_ms: float
    own_ms: float
    processes: float
    rounding_ms: float


def own_times(root: PlanNode) -> dict[int, Spent]:
    """Return the times by the node's number; empty where the plan was not run or not timed."""
    spent: dict[int, Spent] = {}
    if root.total_ms is None:
        return spent
    _measure(root, 1, spent)
    _take_children(root, spent)
    # The last first: an InitPlan may read a CTE before it, and has that time only where the CTE is not yet taken off.
    for holder in reversed(list(root.walk())):
        for plan in reversed(holder.children):
            if plan.is_init_plan:
                _take_from_readers(holder, plan, spent)
    return spent


def _measure(node: PlanNode, processes: float, spent: dict[int, Spent]) -> None:
    loops = node.loops or 0.0
    elapsed = (node.total_ms or 0.0) * loops / processes
    spent[node.number] = Spent(elapsed, elapsed, processes, _HALF_A_STEP_MS * loops / processes)
    for child in node.children:
        below = processes
        if node.type in GATHERS and not child.is_init_plan and loops and child.loops:
            below = max(1.0, child.loops / loops)
        _measure(child, below, spent)


def _take_children(node: PlanNode, spent: dict[int, Spent]) -> None:
    mine = spent[node.number]
    inside = [child.number for child in node.children if not child.is_init_plan]
    too_much = max(0.0, sum(spent[number].elapsed_ms for number in inside) - mine.elapsed_ms)
    rounding = sum(spent[number].rounding_ms for number in inside)
    if too_much and rounding:
        part = min(1.0, too_much / rounding)
        for number in inside:
            child = spent[number]
            spent[number] = child._replace(elapsed_ms=max(0.0, child.elapsed_ms - part * child.rounding_ms))
    children = sum(spent[number].elapsed_ms for number in inside)
    own = max(0.0, mine.elapsed_ms - children)
    spent[node.number] = mine._replace(own_ms=own, rounding_ms=mine.rounding_ms + rounding)
    for child in node.children:
        _take_children(child, spent)


def _take_from_readers(holder: PlanNode, plan: PlanNode, spent: dict[int, Spent]) -> None:
    readers = _readers(holder, plan)
    if not readers and not plan.cte_name:
        readers = [holder]  # in an expression that EXPLAIN does not show, such as the count of a LIMIT
    left = spent[plan.number].elapsed_ms
    lowest = {reader.number for reader in readers if not any(other in readers for other in _below(reader, plan))}
    # Who asked first is not told. A node that mentions it above another one only hands the value on; of several that
    # may have run it, the one with the most time did.
    for reader in sorted(readers, key=lambda node: (node.number not in lowest, -spent[node.number].own_ms)):
        mine = spent[reader.number]
        taken = min(left, mine.own_ms)
        spent[reader.number] = mine._replace(own_ms=mine.own_ms - taken)
        left -= taken


def _below(reader: PlanNode, plan: PlanNode) -> list[PlanNode]:
    return [node for child in reader.children if child is not plan for node in child.walk()]


def _readers(node: PlanNode, plan: PlanNode) -> list[PlanNode]:
    """Return the nodes from *node* down inside of which *plan* may have run."""
    inside = [reader for child in node.children if child is not plan for reader in _readers(child, plan)]
    if inside and node.type in GATHERS and not plan.cte_name:
        return [node]  # the leader runs an InitPlan before it hands its value to the workers
    return [node, *inside] if _mentions(node, plan) and node.loops else inside


def _mentions(node: PlanNode, plan: PlanNode) -> bool:
    if plan.cte_name:
        return node.type == "CTE Scan" and node.properties.get("CTE Name") == plan.cte_name
    # "InitPlan 1 (returns $0,$1)" is written $0 in expressions, and "InitPlan 1", of version 17 on, (InitPlan 1).col1
    outputs = re.findall(r"\$\d+", plan.role)
    wanted = "|".join(rf"{re.escape(output)}(?!\d)" for output in outputs) or re.escape(f"({plan.role})")
    return re.search(wanted, node.expressions) is not None


def own_costs(root: PlanNode) -> dict[int, float]:
    """Return the part of the root's total cost that each node is charged, by its number; empty without COSTS."""
    charged: dict[int, float] = {}
    if root.total_cost is not None:
        _charge(root, root.total_cost, charged)
    return charged


def _charge(node: PlanNode, amount: float, charged: dict[int, float]) -> None:
    total = node.total_cost or 0.0
    once = {child.number: child.total_cost or 0.0 for child in node.children if not _runs_often(node, child)}
    often = {child.number: _repeated_cost(node, child) for child in node.children if child.number not in once}
    bills = _at_most(once, total)
    bills |= _at_most(often, total - sum(bills.values()))
    share = amount / total if total else 0.0
    charged[node.number] = max(0.0, amount - sum(bills.values()) * share)
    for child in node.children:
        _charge(child, bills[child.number] * share, charged)


def _runs_often(node: PlanNode, child: PlanNode) -> bool:
    inner = child.relationship == "Inner" and node.type in {"Nested Loop", "Recursive Union"}
    return inner or child.relationship == "SubPlan"


def _repeated_cost(node: PlanNode, child: PlanNode) -> float:
    if node.type == "Recursive Union":
        runs = _ASSUMED_RECURSIONS
    elif child.relationship == "SubPlan":
        runs = 1 if f"hashed {child.role}" in node.expressions else node.plan_rows
    else:
        runs = next((other.plan_rows for other in node.children if other.relationship == "Outer"), 1)
    return (child.total_cost or 0.0) * max(1, runs or 1)


def _at_most(bills: dict[int, float], limit: float) -> dict[int, float]:
    """Scale the bills down where they come to more than *limit*."""
    asked, limit = sum(bills.values()), max(0.0, limit)
    scale = limit / asked if asked > limit else 1.0
    return {number: bill * scale for number, bill in bills.items()}
