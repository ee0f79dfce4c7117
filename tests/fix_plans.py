"""EXPLAIN's JSON made by hand and at random: trees whose true times are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from pgmonkey_magic.results.plan import Plan, read_plans

TYPES = (
    *(
        "Seq Scan",
        "Index Scan",
        "Nested Loop",
        "Hash Join",
        "Merge Join",
        "Hash",
        "Sort",
        "Aggregate",
        "Append",
        "Limit",
    ),
    *(
        "Bitmap Heap Scan",
        "ModifyTable",
        "Memoize",
        "Materialize",
        "Recursive Union",
        "Custom Scan",
        "New in Version 30",
    ),
)
RELATIONSHIPS = ("Outer", "Inner", "Member", "SubPlan", "Subquery", "children")


def node(kind: str, *plans: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """One node's JSON: `ms` of one run, `rows` and `loops` that came, `cost` and `expected` rows; `_` for blanks."""
    named = {
        "ms": "Actual Total Time",
        "rows": "Actual Rows",
        "loops": "Actual Loops",
        "cost": "Total Cost",
        "expected": "Plan Rows",
    }
    made = {"Node Type": kind, **{named.get(key, key.replace("_", " ")): value for key, value in keys.items()}}
    if "ms" in keys:
        made = {"Actual Rows": 1, "Actual Loops": 1, **made}
    return made | ({"Plans": list(plans)} if plans else {})


def plan(root: dict[str, Any], **query: Any) -> Plan:
    """The plan of a tree; `query` are keys of the whole, `_` for blanks."""
    (made,) = read_plans([{"Plan": root, **{key.replace("_", " "): value for key, value in query.items()}}])
    return made


@dataclass(eq=False)
class Grown:
    """A node of a random tree: what it truly took by itself, and what it runs below it."""

    kind: str
    own_ms: float
    loops: int
    json: dict[str, Any]
    children: list[Grown] = field(default_factory=list)
    init_plan: Grown | None = None
    """What hangs below it and runs in another node."""
    asks_for: Grown | None = None
    """What runs inside of it and hangs below another node."""

    @property
    def elapsed_ms(self) -> float:
        """What a clock beside it would show."""
        inside = [*self.children, *([self.asks_for] if self.asks_for else [])]
        return self.own_ms + sum(plan.elapsed_ms for plan in inside)

    def walk(self) -> list[Grown]:
        """The node and all that hangs below it, in EXPLAIN's order."""
        below = [*([self.init_plan] if self.init_plan else []), *self.children]
        return [self, *(node for plan in below for node in plan.walk())]

    def document(self, processes: int = 1) -> dict[str, Any]:
        """The server's JSON: averages of one run, rounded, summed over the processes."""
        below = processes
        if self.kind == "Gather":
            below = self.json["Workers Launched"] + 1
            self.children[0].loops = self.loops * below
        plans = [self.init_plan.document(processes)] if self.init_plan else []
        plans += [child.document(below) for child in self.children]
        return {
            **self.json,
            "Node Type": self.kind,
            "Actual Total Time": round(self.elapsed_ms * processes / self.loops, 3),
            "Actual Loops": self.loops,
            **({"Plans": plans} if plans else {}),
        }


TEXTS = st.one_of(st.text(max_size=30), st.sampled_from(["<b>&", "</div><script>alert(1)</script>", "\x1b[2J", "a\nb"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
COUNTS = st.one_of(st.integers(0, 10**9), st.floats(0, 1e100))


@st.composite
def keys(draw: st.DrawFn) -> dict[str, Any]:
    """What a node may say beside its times: names, estimates, unknown keys of all sorts."""
    unknown = draw(st.dictionaries(TEXTS.map("New {}".format), VALUES, max_size=2))
    names = draw(
        st.fixed_dictionaries({}, optional=dict.fromkeys(("Relation Name", "Schema", "Alias", "Filter"), TEXTS))
    )
    return {
        **unknown,
        **names,
        "Parent Relationship": draw(st.sampled_from(RELATIONSHIPS)),
        "Startup Cost": 0.0,
        "Total Cost": draw(st.integers(0, 10**12)) / 100,
        "Plan Rows": draw(COUNTS),
        "Plan Width": draw(st.integers(0, 1000)),
        "Actual Rows": draw(COUNTS),
        "Rows Removed by Filter": draw(st.integers(0, 10**9)),
    }


@st.composite
def trees(draw: st.DrawFn, depth: int = 3, *, parallel: bool = False) -> Grown:
    """A tree that could have run: parents take as long as their children, workers share, InitPlans run in a reader."""
    kind = draw(st.sampled_from((*TYPES, *([] if parallel or not depth else ["Gather"] * 4))))
    grown = Grown(kind, draw(st.floats(0, 1000)), draw(st.integers(1, 2000)), draw(keys()))
    if kind == "Gather":
        grown.json |= {"Workers Planned": 3, "Workers Launched": draw(st.integers(0, 3))}
        child = draw(trees(depth - 1, parallel=True))
        child.json["Parent Relationship"] = "Outer"
        grown.children = [child]
    elif depth:
        grown.children = draw(st.lists(trees(depth - 1, parallel=parallel), max_size=2))
    return grown


@st.composite
def trees_with_init_plan(draw: st.DrawFn) -> Grown:
    """A tree of which one node, or the Gather above it, first asks for what hangs at the root: an InitPlan or a CTE."""
    root, plan = draw(trees()), draw(trees(2))
    plan.json["Parent Relationship"] = "InitPlan"
    gathers = [node for node in root.walk() if node.kind == "Gather"]
    parallel = [node for gather in gathers for node in gather.walk()[1:]]
    if draw(st.booleans()):
        reader = draw(st.sampled_from([node for node in root.walk() if node not in [*gathers, *parallel]] or [root]))
        name = draw(st.sampled_from(["c", "CTE", "ü <x>"]))
        reader.kind, reader.children = "CTE Scan", []
        reader.json["CTE Name"], plan.json["Subplan Name"] = name, f"CTE {name}"
    else:
        reader = draw(st.sampled_from(root.walk()))
        name, says = draw(st.sampled_from([("InitPlan 7 (returns $12)", "$12"), ("InitPlan 7", "(InitPlan 7).col1")]))
        reader.json["Index Cond"], plan.json["Subplan Name"] = f"(x > {says})", name
        reader = next((gather for gather in gathers if reader in gather.walk()), reader)
    root.init_plan = reader.asks_for = plan
    return root
