"""What the server says beside a node's title, as (label, value) lines in the words of the text form of EXPLAIN.

Keys that this module has never heard of, of another version or an extension, become lines of their own: nothing is
lost. Only what says nothing is left out: false, zero, an empty list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgmonkey_magic.results.plan import titles

Line = tuple[str, str]
Words = Mapping[str, str]

_KB = frozenset(
    {
        *("Peak Memory Usage", "Disk Usage", "Maximum Storage", "Sort Space Used", "Average Sort Space Used"),
        *("Peak Sort Space Used", "Memory Used", "Memory Allocated", "Output Volume"),
    }
)
_MS = frozenset({"Generation", "Inlining", "Optimization", "Emission", "Deform", "Total"})
_NAMES = frozenset({"Query Identifier", "Worker Number"})
"""Numbers that count nothing."""
_FANCY = 1e15

_QUIET = ("Inner Unique", "Cache Mode", "Single Copy", "Index Searches")
"""What EXPLAIN's text form shows only when asked for more, or what is seldom looked at."""
_SORT = ("Sort Method", "Sort Space Type", "Sort Space Used")
_HASH = ("Hash Buckets", "Original Hash Buckets", "Hash Batches", "Original Hash Batches")
_STORAGE = ("Storage", "Maximum Storage")
_WORK: Mapping[str, Words] = {
    "Memory": {
        "Peak Memory Usage": "peak",
        "Disk Usage": "on disk",
        "HashAgg Batches": "batches",
        "Planned Partitions": "partitions planned",
    },
    "Cache": {
        "Cache Hits": "hits",
        "Cache Misses": "misses",
        "Cache Evictions": "evictions",
        "Cache Overflows": "overflows",
    },
    "Heap Blocks": {"Exact Heap Blocks": "exact", "Lossy Heap Blocks": "lossy"},
    "Workers": {"Workers Planned": "planned", "Workers Launched": "launched"},
}
"""Keys of the JSON that share one line, and the word for each."""
_BUFFERS = {
    f"{where} {what} Blocks": f"{where} {what}".lower()
    for where in ("Shared", "Local", "Temp")
    for what in ("Hit", "Read", "Dirtied", "Written")
}
_USED: Mapping[str, Words] = {
    "Buffers": _BUFFERS,
    "I/O": {
        f"{where}I/O {what} Time": f"{where}{what}".lower()
        for where in ("", "Shared ", "Local ", "Temp ")
        for what in ("Read", "Write")
    },
    "WAL": {
        "WAL Records": "records",
        "WAL FPI": "full pages",
        "WAL Bytes": "bytes",
        "WAL Buffers Full": "buffers full",
    },
}
_ESTIMATED: Mapping[str, Words] = {
    "Estimated": {
        "Startup Cost": "startup cost",
        "Total Cost": "total cost",
        "Plan Rows": "rows",
        "Plan Width": "row bytes",
    }
}
_MEASURED: Mapping[str, Words] = {
    "Measured": {
        "Actual Startup Time": "first row after",
        "Actual Total Time": "all after",
        "Actual Rows": "rows",
        "Actual Loops": "loops",
    }
}
_ZERO_COUNTS = frozenset({"Workers", "Estimated", "Measured"})
_GROUPED = frozenset(
    key for group in (_WORK, _USED, _ESTIMATED, _MEASURED) for words in group.values() for key in words
)
_ELSEWHERE = titles.KEYS | _GROUPED | {*_SORT, *_HASH, *_STORAGE, *_QUIET, "Workers", "Output", "Worker Number"}


def work(node: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return what a node does and how that went: conditions, keys, rows removed, memory; and all unknown keys."""
    plain = [(key, value_text(key, value)) for key, value in node.items() if key not in _ELSEWHERE and _says(value)]
    return (*plain, *_sort(node), *_hash(node), *_storage(node), *_grouped(node, _WORK))


def measures(node: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return what it took: buffers, WAL, estimates and times as the server gave them, each worker, the columns."""
    rest = [(key, value_text(key, node[key])) for key in (*_QUIET, "Output") if _says(node.get(key))]
    return (*_numbers(node), *(_worker(worker) for worker in node.get("Workers", ())), *rest)


def _numbers(node: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(line for words in (_ESTIMATED, _MEASURED, _USED) for line in _grouped(node, words))


def _worker(worker: Mapping[str, Any]) -> Line:
    lines = "; ".join(f"{label}: {value}" for label, value in (*_numbers(worker), *work(worker)))
    return f"Worker {worker.get('Worker Number', '?')}", lines


def buffers(node: Mapping[str, Any]) -> str:
    """Return the blocks that a node and all below it touched, such as `shared hit 5, shared read 3`; or nothing."""
    return "".join(value for _, value in _grouped(node, {"Buffers": _BUFFERS}))


def whole(query: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return what the server says of the query as a whole: settings, JIT, triggers, planning, serialization."""
    said = {"Plan", "Planning Time", "Execution Time", "Triggers"}
    lines = [(key, value_text(key, value)) for key, value in query.items() if key not in said and _says(value)]
    return (*lines, *(_trigger(trigger) for trigger in query.get("Triggers", ())))


def _trigger(trigger: Mapping[str, Any]) -> Line:
    calls = f"{number(trigger.get('Calls', 0))} calls"
    return trigger_name(trigger), f"{number(trigger['Time'])} ms, {calls}" if "Time" in trigger else calls


def trigger_name(trigger: Mapping[str, Any]) -> str:
    """Return a trigger's name, its constraint and its table."""
    constraint = f" for constraint {trigger['Constraint Name']}" if "Constraint Name" in trigger else ""
    return f"Trigger {trigger.get('Trigger Name', '?')}{constraint} on {trigger.get('Relation', '?')}"


def _sort(node: Mapping[str, Any]) -> Iterator[Line]:
    if "Sort Method" in node:
        where = (
            f", {node['Sort Space Type']}: {number(node['Sort Space Used'])} kB" if "Sort Space Used" in node else ""
        )
        yield "Sort Method", f"{node['Sort Method']}{where}"


def _hash(node: Mapping[str, Any]) -> Iterator[Line]:
    parts = []
    for what in ("Buckets", "Batches"):
        if (now := node.get(f"Hash {what}")) is not None:
            at_first = node.get(f"Original Hash {what}", now)
            parts.append(
                f"{what.lower()} {number(now)}" + (f" (at first {number(at_first)})" if at_first != now else "")
            )
    if parts:
        yield "Hash", ", ".join(parts)


def _storage(node: Mapping[str, Any]) -> Iterator[Line]:
    if "Storage" in node:
        yield "Storage", f"{node['Storage']}, {number(node.get('Maximum Storage', 0))} kB"


def _grouped(node: Mapping[str, Any], groups: Mapping[str, Words]) -> Iterator[Line]:
    for label, words in groups.items():
        parts = [
            f"{word} {value_text(key, node[key])}"
            for key, word in words.items()
            if key in node and (_says(node[key]) or label in _ZERO_COUNTS)
        ]
        if parts:
            yield label, ", ".join(parts)


def _says(value: object) -> bool:
    """Whether a value is more than the absence of something."""
    if isinstance(value, Mapping):
        return any(map(_says, value.values()))
    return value not in (None, False, 0, "", [])


def value_text(key: str, value: object) -> str:
    """Return a value of the JSON as a person reads it, with the server's unit: kB or ms."""
    if isinstance(value, Mapping):
        joint = " = " if key == "Settings" else ": "
        return ", ".join(
            f"{_BUFFERS.get(name, name)}{joint}{value_text(name, part)}" for name, part in value.items() if _says(part)
        )
    if isinstance(value, list):
        texts = [value_text(key, part) for part in value]
        return ", ".join(
            f"({text})" if isinstance(part, (list, Mapping)) else text for part, text in zip(value, texts, strict=True)
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and key not in _NAMES:
        return number(value) + (" kB" if key in _KB else " ms" if key in _MS or key.endswith("Time") else "")
    return str(value)


def number(value: float) -> str:
    """Return a number as the server gave it, thousands set apart; the planner's fancies are short."""
    if abs(value) >= _FANCY:
        return f"{value:.3g}"
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def ms(value: float) -> str:
    """Return a time in three figures with its unit, as a sentence wants it."""
    return f"{value:,.0f} ms" if value >= 1000 else f"{float(f'{value:.3g}'):g} ms"
