"""What a node is, in the words of the text form of EXPLAIN, made of the keys of its JSON.

The keys and the words are those of PostgreSQL's explain.c (ExplainNode, ExplainTargetRel), versions 12 to 18.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_AGGREGATES = {"Sorted": "GroupAggregate", "Hashed": "HashAggregate", "Mixed": "MixedAggregate"}
_OBJECTS = ("Relation Name", "Function Name", "Table Function Name", "CTE Name", "Tuplestore Name")
KEYS = frozenset(
    {
        *("Node Type", "Strategy", "Partial Mode", "Operation", "Parent Relationship", "Subplan Name", "Join Type"),
        *("Custom Plan Provider", "Parallel Aware", "Async Capable", "Command", "Scan Direction", "Index Name"),
        *(*_OBJECTS, "Schema", "Alias"),
    }
)
"""What the title and the node's place in the tree have said."""


def title(node: Mapping[str, Any]) -> str:
    """Return the title of a node, such as `Parallel Seq Scan on public.orders o`."""
    words = [
        "Parallel" if node.get("Parallel Aware") else "",
        "Async" if node.get("Async Capable") else "",
        _type(node),
        "Backward" if node.get("Scan Direction") == "Backward" else "",
        _target(node),
    ]
    return " ".join(word for word in words if word)


def _type(node: Mapping[str, Any]) -> str:
    name = str(node.get("Node Type", "???"))
    special = _SPECIAL.get(name)
    return special(node) if special else name


def _aggregate(node: Mapping[str, Any]) -> str:
    mode, strategy = node.get("Partial Mode", "Simple"), str(node.get("Strategy"))
    name = _AGGREGATES.get(strategy, "Aggregate")
    return name if mode == "Simple" else f"{mode} {name}"


def _join(node: Mapping[str, Any]) -> str:
    name, kind = str(node["Node Type"]), node.get("Join Type", "Inner")
    return name if kind == "Inner" else f"{name.removesuffix(' Join')} {kind} Join"


def _set_operation(node: Mapping[str, Any]) -> str:
    hashed = "Hash" if node.get("Strategy") == "Hashed" else ""
    return f"{hashed}SetOp {node.get('Command', '')}".rstrip()


def _foreign(node: Mapping[str, Any]) -> str:
    operation = node.get("Operation", "Select")
    return "Foreign Scan" if operation == "Select" else f"Foreign {operation}"


def _custom(node: Mapping[str, Any]) -> str:
    provider = node.get("Custom Plan Provider")
    return f"Custom Scan ({provider})" if provider else "Custom Scan"


_SPECIAL: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Aggregate": _aggregate,
    "Nested Loop": _join,
    "Hash Join": _join,
    "Merge Join": _join,
    "SetOp": _set_operation,
    "ModifyTable": lambda node: str(node.get("Operation", "ModifyTable")),
    "Foreign Scan": _foreign,
    "Custom Scan": _custom,
}


def _target(node: Mapping[str, Any]) -> str:
    index, alias = node.get("Index Name"), node.get("Alias")
    found = next((str(node[key]) for key in _OBJECTS if key in node), None)
    if found is None:
        return f"on {quoted(index or alias)}" if index or alias else ""
    schema = f"{quoted(node['Schema'])}." if node.get("Schema") else ""
    using = f"using {quoted(index)} " if index else ""
    known_as = f" {quoted(alias)}" if alias and alias != found else ""
    return f"{using}on {schema}{quoted(found)}{known_as}"


def quoted(name: object) -> str:
    """Return an identifier in double quotes where it is not plain, keywords aside."""
    text = str(name)
    return text if _PLAIN_NAME.match(text) else '"' + text.replace('"', '""') + '"'
