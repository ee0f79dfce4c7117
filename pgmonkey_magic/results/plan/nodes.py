"""The JSON of EXPLAIN → `Plan` and its `PlanNode`s: what the server said, what each node took, what to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.plan import details, marks, shares, text, titles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from pgmonkey_magic.results.plan.marks import Mark


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PlanNode:
    """One node of a plan.

    `number` counts from 1 in the order in which EXPLAIN shows the nodes. `properties` is the server's own JSON without
    the children. `elapsed_ms` is the time of all runs, the nodes below included, `own_ms` without them, `rounding_ms`
    how far that may be off; `processes` is how many ran the node side by side (shares.py has the formulas). `own_cost`
    is its part of the plan's estimated cost; `share` its part of the whole, 0 to 1: of the time where the plan was run,
    else of the cost. What the server did not tell is None.
    """

    number: int
    title: str
    properties: Mapping[str, Any]
    children: tuple[PlanNode, ...]
    elapsed_ms: float | None = None
    own_ms: float | None = None
    rounding_ms: float = 0
    processes: float = 1
    own_cost: float | None = None
    share: float | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def type(self) -> str:
        """The server's `Node Type`, such as `Seq Scan`."""
        return str(self.properties.get("Node Type", ""))

    @property
    def relationship(self) -> str:
        """What it is to its parent: `Outer`, `Inner`, `Member`, `InitPlan`, `SubPlan`, `Subquery`, or nothing."""
        return str(self.properties.get("Parent Relationship", ""))

    @property
    def role(self) -> str:
        """Its name as a part of the query, such as `CTE recent` or `InitPlan 1 (returns $0)`; mostly nothing."""
        return str(self.properties.get("Subplan Name", ""))

    @property
    def label(self) -> str:
        """The title, after the role where it has one."""
        return f"{self.role}: {self.title}" if self.role else self.title

    @property
    def is_init_plan(self) -> bool:
        """Whether it runs when another node first needs it: an InitPlan or a CTE."""
        return self.relationship == "InitPlan"

    @property
    def cte_name(self) -> str | None:
        """The name of the CTE that it computes."""
        return self.role.removeprefix("CTE ") if self.is_init_plan and self.role.startswith("CTE ") else None

    @property
    def plan_rows(self) -> float | None:
        """The rows that the planner expected of one run."""
        return self.properties.get("Plan Rows")

    @property
    def actual_rows(self) -> float | None:
        """The rows that came, on the average of its runs."""
        return self.properties.get("Actual Rows")

    @property
    def loops(self) -> float | None:
        """How often it ran, summed over parallel processes."""
        return self.properties.get("Actual Loops")

    @property
    def never_executed(self) -> bool:
        """Whether the plan was run and this node was not."""
        return self.loops == 0

    @property
    def total_ms(self) -> float | None:
        """The time of one run, the nodes below included, on the average of its runs."""
        return self.properties.get("Actual Total Time")

    @property
    def total_cost(self) -> float | None:
        """The estimated cost of one run, the nodes below included."""
        return self.properties.get("Total Cost")

    @property
    def expressions(self) -> str:
        """All that the server says of it, as one text to search."""
        return json.dumps(self.properties, ensure_ascii=False, default=str)

    def walk(self) -> Iterator[PlanNode]:
        """Yield the node and all below it, in the order of their numbers."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __repr__(self) -> str:
        return f"<PlanNode {self.number}: {self.label}>"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Plan:
    """The plan of one query; `repr` draws it as text.

    `properties` is the server's JSON of the query without the tree, `marks` what is to be said of the query as a whole.
    """

    root: PlanNode
    properties: Mapping[str, Any]
    marks: tuple[Mark, ...] = ()

    @property
    def execution_ms(self) -> float | None:
        """The time of the whole query on the server, triggers included; None where it was not run."""
        return self.properties.get("Execution Time")

    @property
    def planning_ms(self) -> float | None:
        """The time it took to make the plan."""
        return self.properties.get("Planning Time")

    @property
    def analyzed(self) -> bool:
        """Whether the query was run."""
        return self.root.loops is not None

    @property
    def timed(self) -> bool:
        """Whether the nodes' times are known; else the shares are of the estimated cost."""
        return self.root.own_ms is not None

    @property
    def details(self) -> tuple[tuple[str, str], ...]:
        """What the server says of the whole: settings, JIT, triggers, planning, as (label, value)."""
        return details.whole(self.properties)

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as plain dicts, in EXPLAIN's order; `properties` holds all that the server said of each."""
        return list(_rows(self.root, None, 0))

    def frame(self) -> pd.DataFrame:
        """Return the nodes as a DataFrame, one row each, indexed by their number."""
        import pandas as pd  # noqa: PLC0415 - loading the extension must not wait for it

        return pd.DataFrame(self.nodes).set_index("number")

    def __repr__(self) -> str:
        return text.draw(self)


def read_plans(document: str | bytes | list[Any]) -> tuple[Plan, ...]:
    """Return the plans of one EXPLAIN (FORMAT JSON) answer: text, its bytes in UTF-8, or what a driver has parsed.

    One statement has one plan, but for rules: DO ALSO gives several, DO INSTEAD NOTHING none. Raises RequestError for
    anything else.
    """
    try:
        queries = json.loads(document, object_pairs_hook=_merged) if isinstance(document, (str, bytes)) else document
    except ValueError:
        queries = None
    if not isinstance(queries, list):
        raise RequestError(f"this is not what EXPLAIN (FORMAT JSON) answers: {str(document)[:60]!r}")
    return tuple(_plan(query if isinstance(query, dict) else {"Plan": {"Node Type": query}}) for query in queries)


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; PostgreSQL 12 gives the workers' sorts and the workers' times as two lists of one name."""
    merged: dict[str, Any] = {}
    for key, value in pairs:
        known = merged.get(key)
        merged[key] = known + value if isinstance(known, list) and isinstance(value, list) else value
    return merged


def _plan(query: dict[str, Any]) -> Plan:
    properties = {key: value for key, value in query.items() if key != "Plan"}
    root = _node(query.get("Plan", {}), count(1))
    times, costs = shares.own_times(root), shares.own_costs(root)
    if times:
        # Not less than the root's own: a document that was cut from a log may lack the summary.
        whole = max(properties.get("Execution Time") or 0.0, times[root.number].elapsed_ms)
    else:
        whole = root.total_cost or 0.0
    root = _with_shares(root, times, costs, whole)
    found = marks.of_nodes(root, whole)
    return Plan(_with_marks(root, found), properties, marks.of_query(properties))


def _node(node: dict[str, Any], numbers: Iterator[int]) -> PlanNode:
    number = next(numbers)
    properties = {key: value for key, value in node.items() if key != "Plans"}
    return PlanNode(
        number, titles.title(properties), properties, tuple(_node(child, numbers) for child in node.get("Plans", ()))
    )


def _with_shares(
    node: PlanNode, times: Mapping[int, shares.Spent], costs: Mapping[int, float], whole: float
) -> PlanNode:
    time, cost = times.get(node.number), costs.get(node.number)
    own = time.own_ms if time else cost
    return replace(
        node,
        elapsed_ms=time and time.elapsed_ms,
        own_ms=time and time.own_ms,
        rounding_ms=time.rounding_ms if time else 0,
        processes=time.processes if time else 1,
        own_cost=cost,
        share=own / whole if own is not None and whole else None,
        children=tuple(_with_shares(child, times, costs, whole) for child in node.children),
    )


def _with_marks(node: PlanNode, found: Mapping[int, tuple[Mark, ...]]) -> PlanNode:
    children = tuple(_with_marks(child, found) for child in node.children)
    return replace(node, marks=found.get(node.number, ()), children=children)


def _rows(node: PlanNode, parent: int | None, depth: int) -> Iterator[dict[str, Any]]:
    yield {
        "number": node.number,
        "parent": parent,
        "depth": depth,
        "node": node.label,
        "own_ms": node.own_ms,
        "elapsed_ms": node.elapsed_ms,
        "own_cost": node.own_cost,
        "share": node.share,
        "estimated_rows": node.plan_rows,
        "actual_rows": node.actual_rows,
        "loops": node.loops,
        "processes": node.processes,
        "marks": [mark.sentence for mark in node.marks],
        "properties": dict(node.properties),
    }
    for child in node.children:
        yield from _rows(child, node.number, depth + 1)
