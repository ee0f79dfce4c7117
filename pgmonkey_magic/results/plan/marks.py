"""Where to look: the slowest node, estimates far from the truth, work on disk, rows read for nothing.

A mark says what the server measured and what that may mean; a cure only where the documentation knows just one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.results.plan import details
from pgmonkey_magic.results.plan.details import ms, number
from pgmonkey_magic.results.plan.shares import GATHERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pgmonkey_magic.results.plan.nodes import PlanNode

FAR = 10
"""An estimate this many times off is marked."""
MANY_ROWS = 10_000
MOSTLY_REMOVED = 0.9
MUCH_OF_THE_TIME = 0.25
UNSURE = 0.1

_PASS_ON = GATHERS | {
    *("Hash", "Sort", "Incremental Sort", "Materialize", "Memoize", "Subquery Scan", "Limit", "LockRows", "Result"),
    *("WindowAgg", "ModifyTable"),
}
"""Nodes whose estimate is their child's: the mark stands where it begins to be wrong."""
_NOT_COUNTED = frozenset({"BitmapAnd", "BitmapOr", "Bitmap Index Scan"})
"""BitmapAnd and BitmapOr always report 0 rows ("Using EXPLAIN", 14.1.3); the heap scan above tells the same better."""
_JOIN_REASON = "Look below first; where the inputs were estimated well, it is how many rows match that was not known."
_GROUP_REASON = "How many groups there are was not known: a matter of the statistics of the columns it groups by."
_RECURSION_REASON = "How often a recursion repeats cannot be known beforehand."
_FUNCTION_REASON = "The planner takes the number that the function was declared with (ROWS), or a guess."
_REASONS = {
    "Nested Loop": _JOIN_REASON,
    "Hash Join": _JOIN_REASON,
    "Merge Join": _JOIN_REASON,
    "Aggregate": _GROUP_REASON,
    "Group": _GROUP_REASON,
    "Unique": _GROUP_REASON,
    "SetOp": _GROUP_REASON,
    "Recursive Union": _RECURSION_REASON,
    "Function Scan": _FUNCTION_REASON,
    "ProjectSet": _FUNCTION_REASON,
}
_READ_TO_THE_END = frozenset({"Sort", "Hash", "ModifyTable", "Bitmap Heap Scan"})


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to look at: `kind` for programs, `short` for beside the node, `sentence` for below."""

    kind: str
    short: str
    sentence: str


def of_nodes(root: PlanNode, whole: float) -> dict[int, tuple[Mark, ...]]:
    """Return the marks by the node's number; *whole* is the time in ms that shares are of."""
    slowest = max(root.walk(), key=lambda node: node.own_ms or 0.0)
    stopped = frozenset(_stopped(root, stopped=False))
    # A merge goes back to the first of equal keys and counts the rows of its inner side again (14.1.3).
    merges = (node for node in root.walk() if node.type == "Merge Join")
    repeated = {child.number for merge in merges for child in merge.children if child.relationship == "Inner"}
    return {
        node.number: tuple(
            mark
            for marks in (
                _slow(node, whole) if node is slowest else (),
                _estimate(node, stopped=node.number in stopped, repeated=node.number in repeated),
                _disk(node),
                _removed(node),
                _bitmap(node),
                _heap(node),
                _workers(node),
            )
            for mark in marks
        )
        for node in root.walk()
    }


def of_query(query: Mapping[str, Any]) -> tuple[Mark, ...]:
    """Return what is to be said of the query as a whole: time in the compiler and in triggers."""
    whole = query.get("Execution Time")
    return (*_jit(query, whole), *_triggers(query, whole)) if whole else ()


def _slow(node: PlanNode, whole: float) -> Iterator[Mark]:
    if not node.own_ms or node.share is None:
        return
    parts = [f"takes {ms(node.own_ms)} of {ms(whole)} by itself, more than any other node."]
    if node.type in GATHERS:
        parts.append("That is starting the workers, waiting for the slowest and taking over their rows.")
    if node.loops and node.loops > node.processes:
        parts.append(f"It ran {number(node.loops)} times; how often is decided by the nodes above.")
    if node.rounding_ms > UNSURE * node.own_ms:
        parts.append(f"Known to ± {ms(node.rounding_ms)} only: the server rounds each run to 0.001 ms.")
    yield Mark("slow", f"slowest, {node.share:.0%}", " ".join(parts))


def _estimate(node: PlanNode, *, stopped: bool, repeated: bool) -> Iterator[Mark]:
    off = _off(node)
    if off is None or (stopped and off < 1) or (repeated and off > 1) or _hands_on(node, off):
        return
    times = f"{number(round(max(off, 1 / off)))}× too {'few' if off > 1 else 'many'}"
    came = number(node.actual_rows or 0)
    if (node.loops or 0) > 1:
        came = f"{came} on the average of {number(node.loops or 0)} runs"
    sentence = f"{number(node.plan_rows or 0)} rows were expected, {came} came: {times} were expected. {_reason(node)}"
    yield Mark("estimate", f"expected {times}", sentence)


def _off(node: PlanNode) -> float | None:
    """Return actual rows by expected, where that is far; a fraction of a row counts as one."""
    if not node.loops or node.plan_rows is None or node.actual_rows is None or node.type in _NOT_COUNTED:
        return None
    off = max(1.0, node.actual_rows) / max(1.0, node.plan_rows)
    return None if 1 / FAR < off < FAR else off


def _hands_on(node: PlanNode, off: float) -> bool:
    """Whether its estimate is as wrong as that of its child, and is its child's."""
    below = [_off(child) for child in node.children if child.relationship in {"Outer", "Subquery"}]
    return node.type in _PASS_ON and any(other is not None and (other > 1) == (off > 1) for other in below)


def _reason(node: PlanNode) -> str:
    if relation := node.properties.get("Relation Name"):
        return (
            f"Are the statistics of {relation} up to date (ANALYZE), and do its conditions depend on each other "
            "(CREATE STATISTICS)?"
        )
    if cte := node.properties.get("CTE Name"):
        return f"Look at the CTE {cte} first."
    return _REASONS.get(node.type, "Look at the nodes below for where it begins.")


def _stopped(node: PlanNode, *, stopped: bool) -> Iterator[int]:
    """Yield the nodes that may have been stopped before their last row: too few rows from them are no mistake.

    ("Using EXPLAIN", 14.1.3: the estimates are of a run to the end.)
    """
    if stopped:
        yield node.number
    for child in node.children:
        yield from _stopped(child, stopped=_may_stop(node, child, stopped))


def _may_stop(node: PlanNode, child: PlanNode, stopped: bool) -> bool:
    if child.relationship in {"InitPlan", "SubPlan"} or node.type == "Merge Join":
        return True  # EXISTS and a CTE are read as far as they are needed, a merge until one side ends
    hashed = node.type in {"Aggregate", "SetOp"} and node.properties.get("Strategy") != "Sorted"
    if hashed or node.type in _READ_TO_THE_END:
        return False
    if node.type == "Limit" and (node.actual_rows or 0) >= (node.plan_rows or 0):
        return True  # with fewer rows than it wanted, the child had no more
    if node.type == "Nested Loop" and child.relationship == "Inner":
        first = node.properties.get("Inner Unique") or node.properties.get("Join Type") in {"Semi", "Anti"}
        return stopped or bool(first)
    if node.type == "Hash Join" and child.relationship == "Outer":
        return stopped or any(other.type == "Hash" and not other.actual_rows for other in node.children)
    return stopped


def _disk(node: PlanNode) -> Iterator[Mark]:
    kb = sum(_disk_kb(place) for place in (node.properties, *node.properties.get("Workers", ())))
    batches = node.properties.get("Hash Batches", 1)
    if kb:
        what = f"wrote {number(kb)} kB to temporary files"
    elif batches > 1:
        what = f"was split into {number(batches)} batches, all but one of them kept in temporary files"
    else:
        return
    bound = "work_mem × hash_mem_multiplier" if node.type in {"Hash", "Aggregate"} else "work_mem"
    yield Mark("disk", "on disk", f"did not fit into memory and {what}. {bound} is what one such node may use.")


def _disk_kb(place: Mapping[str, Any]) -> float:
    kb = place.get("Disk Usage", 0)
    if place.get("Sort Space Type") == "Disk":
        kb += place.get("Sort Space Used", 0)
    if place.get("Storage") == "Disk":
        kb += place.get("Maximum Storage", 0)
    for groups in ("Full-sort Groups", "Pre-sorted Groups"):
        kb += place.get(groups, {}).get("Sort Space Disk", {}).get("Peak Sort Space Used", 0)
    return kb


def _removed(node: PlanNode) -> Iterator[Mark]:
    loops = node.loops or 0
    kept = (node.actual_rows or 0) * loops
    for key, words in (
        ("Rows Removed by Filter", "read {all} rows to keep {kept}: its filter removed {share}."),
        (
            "Rows Removed by Join Filter",
            "compared {all} pairs of rows to keep {kept}: its join filter removed {share}.",
        ),
        (
            "Rows Removed by Index Recheck",
            "read {all} rows to keep {kept}: its second look at the condition removed {share}.",
        ),
    ):
        removed = node.properties.get(key, 0) * loops
        if removed < MANY_ROWS or removed < MOSTLY_REMOVED * (removed + kept):
            continue
        share = _percent(removed / (removed + kept))
        sentence = words.format(all=number(round(removed + kept)), kept=number(round(kept)), share=share)
        yield Mark("removed", f"{share} removed", f"{sentence} {_way_out(node, key)}")


def _percent(share: float) -> str:
    """Return a percentage that says 100 only where it is all."""
    return "100%" if share == 1 else f"{min(share, 0.9999):.2%}" if share > 0.995 else f"{share:.0%}"


def _way_out(node: PlanNode, key: str) -> str:
    if key == "Rows Removed by Join Filter":
        return "Each pair was tried: could an equality or an index narrow them down first?"
    if node.type in {"Seq Scan", "Bitmap Heap Scan"} or "Index" in node.type:
        return "Could an index find the kept rows more directly?"
    return "Could the condition be applied further down?"


def _bitmap(node: PlanNode) -> Iterator[Mark]:
    if lossy := node.properties.get("Lossy Heap Blocks", 0):
        pages = lossy + node.properties.get("Exact Heap Blocks", 0)
        yield Mark(
            "lossy",
            "bitmap too large",
            f"could not remember single rows on {number(lossy)} of {number(pages)} pages and checked all rows on those "
            "again. work_mem bounds the bitmap.",
        )


def _heap(node: PlanNode) -> Iterator[Mark]:
    fetches = node.properties.get("Heap Fetches", 0)
    if fetches >= MANY_ROWS:
        yield Mark(
            "heap",
            "table visited",
            f"went to the table for {number(fetches)} rows, which the index alone could have answered were their pages "
            "marked as visible to all. VACUUM sets these marks.",
        )


def _workers(node: PlanNode) -> Iterator[Mark]:
    planned, launched = node.properties.get("Workers Planned"), node.properties.get("Workers Launched")
    if planned and launched is not None and launched < planned:
        yield Mark(
            "workers",
            f"{launched} of {planned} workers",
            f"was planned for {planned} parallel workers and got {launched}: the server had no more to give at that "
            "moment (max_parallel_workers, max_worker_processes).",
        )


def _jit(query: Mapping[str, Any], whole: float) -> Iterator[Mark]:
    spent = query.get("JIT", {}).get("Timing", {}).get("Total", 0.0)
    if spent >= MUCH_OF_THE_TIME * whole:
        yield Mark(
            "jit",
            "JIT",
            f"Compiling expressions (JIT) took {ms(spent)} of {ms(whole)}; SET jit = off shows the query without.",
        )


def _triggers(query: Mapping[str, Any], whole: float) -> Iterable[Mark]:
    for trigger in query.get("Triggers", ()):
        spent = trigger.get("Time", 0.0)
        if spent < MUCH_OF_THE_TIME * whole:
            continue
        look = ""
        if str(trigger.get("Trigger Name")).startswith("RI_ConstraintTrigger_a_"):
            look = " For each row it looks for rows that refer to it: have the referring columns an index?"
        yield Mark(
            "trigger",
            "trigger",
            f"{details.trigger_name(trigger)} took {ms(spent)} of {ms(whole)} in {number(trigger.get('Calls', 0))} "
            f"calls.{look}",
        )
