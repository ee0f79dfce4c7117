"""The parts of a query: what its plan must be, what the plan of a part must be, and which blocks each part has.

Pure functions of texts and of what the server has answered; splitting.py asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.sql import Kind, quoted, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgmonkey_magic.results.plan import PlanNode
    from pgmonkey_magic.sql import OneTable

LEAST_BYTES = 48 << 20
"""A smaller table, TOAST included, is not split. tests/benchmarks/parallel.py, on 2 cores, the time of two connections
in that of one: 1.03 to 0.97 for 31 to 47 MB, 0.89 for 114 MB (mixed), 0.73 for 157 MB (text), 0.72 for 283 (wide)."""
LEAST_ROW_BYTES = 60
"""Rows that are narrower, as they travel, keep the client busy with each of them already while one connection sends:
1.15 for 38 bytes, 1.18 for 48, 0.90 for 72, 0.89 for 96, measured as above with 1,000,000 rows."""
PART_BYTES = 8 << 20
"""A part is at least as large, so that what it takes to begin one (about a millisecond) does not show; and not much
larger, so that a connection that somebody else waits for is soon free."""
MOST_PARTS = 100

_TIMES = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_MOMENT = re.compile(r"(?i)(?:u&|e|n)?(?:'|\$\w*\$)\s*(?:now|today|tomorrow|yesterday)\b")
"""Strings that are a time when they are read as one."""


class Unsplit(Exception):  # noqa: N818 - a finding, not a failure
    """The query is not to be read in parts; says why."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan in a plan: of which table, what it puts out and which rows it lets through.

    `row_bytes` is how long the planner expects a row to be as it travels, in which each column has four bytes more.
    """

    schema: str
    table: str
    alias: str
    output: tuple[str, ...]
    filter: str
    row_bytes: int = 0

    @property
    def expressions(self) -> tuple[str, ...]:
        """All that is worked out for a row, as the server writes it."""
        return (*self.output, self.filter)


def scans_of(root: PlanNode) -> list[Scan]:
    """Return the scans of a plan that was forced into another process. Raises Unsplit where there is anything else."""
    if root.type != "Gather" or not root.properties.get("Single Copy"):
        raise Unsplit("not all of it may run in another process (a function, a temporary table, a lock on rows)")
    node, *more = root.children
    nodes = node.children if node.type == "Append" else (node,)
    for each in (*more, *nodes):
        if each.type != "Seq Scan" or each.children:
            raise Unsplit(f"its plan has {each.type}, not only the sequential scan of one table")
    if len(nodes) > MOST_PARTS:
        raise Unsplit(f"it reads {len(nodes):,} partitions")
    return [scan_of(each) for each in nodes]


def scan_of(node: PlanNode) -> Scan:
    """Return what EXPLAIN (VERBOSE) says of the scan of a table."""
    said = node.properties
    output = tuple(said.get("Output", ()))
    row_bytes = said.get("Plan Width", 0) + 4 * len(output)
    return Scan(said["Schema"], said["Relation Name"], said["Alias"], output, said.get("Filter", ""), row_bytes)


def check_size(scans: Sequence[Scan], nbytes: int) -> None:
    """Raise Unsplit where it does not pay to read tables of so many bytes in parts."""
    if nbytes < LEAST_BYTES:
        raise Unsplit(f"{nbytes / 1e6:,.1f} MB of a table; it pays from {LEAST_BYTES / 1e6:,.0f} MB on")
    row_bytes = max(scan.row_bytes for scan in scans)
    if row_bytes < LEAST_ROW_BYTES:
        raise Unsplit(f"rows of about {row_bytes} bytes; it pays from {LEAST_ROW_BYTES} bytes on")


def check_part(root: PlanNode, whole: Scan, shape: OneTable, *, is_range: bool) -> None:
    """Raise Unsplit unless a part's plan scans its blocks and does with the rows what the whole does with them."""
    expected = "Tid Range Scan" if is_range else "Seq Scan"
    if root.type != expected:
        raise Unsplit(f"the plan of a part is {root.type}, not {expected}")
    part = scan_of(root)
    if [_bare(text, part.alias) for text in part.expressions] != [
        _bare(text, whole.alias) for text in whole.expressions
    ]:
        raise Unsplit("a part would mean something else than the whole")
    if shape.alias not in (whole.alias, quoted(whole.alias)) and any(".*" in text for text in whole.expressions):
        raise Unsplit("a row as a value is of another type in each partition")


def _bare(expression: str, alias: str) -> list[str]:
    """Return the tokens of an expression of the server's, without the table's alias before columns."""
    found: list[str] = []
    for token in tokens(expression):
        if token.text == "." and found and found[-1] in (alias, quoted(alias)):
            found.pop()
        else:
            found.append(token.text)
    return found


def refuse_moments(sql: str) -> None:
    """Raise Unsplit where a string may stand for the time at which it is read."""
    if any(_MOMENT.match(token.text) for token in tokens(sql) if token.kind is Kind.STRING):
        raise Unsplit("'now' and the like are another moment in each session")


def functions(scans: Sequence[Scan]) -> list[str]:
    """Return the names of the functions that are called. Raises Unsplit for CURRENT_TIMESTAMP and its kind."""
    expressions = [text for scan in scans for text in scan.expressions]
    words = (token for text in expressions for token in tokens(text) if token.kind is Kind.WORD)
    if time := next((word.text for word in words if word.text.lower() in _TIMES), None):
        raise Unsplit(f"{time} is another in each session")
    return sorted({name for text in expressions for name in _called(text)})


def _called(expression: str) -> Iterator[str]:
    """Yield the names before opening brackets."""
    before = None
    for token in tokens(expression):
        if token.text == "(" and before is not None and before.kind in (Kind.WORD, Kind.NAME):
            yield before.text[1:-1].replace('""', '"') if before.kind is Kind.NAME else before.text
        before = token


def parts_of(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int, int | None]]:
    """Return the parts of tables, whose (blocks, bytes) are given: which table, from which block, before which one.

    Together they have every block once, in order, and whatever is behind the last one. Raises Unsplit where that is
    one part.
    """
    step = max(PART_BYTES, sum(nbytes for _, nbytes in sizes) // MOST_PARTS)
    parts: list[tuple[int, int, int | None]] = []
    for table, (blocks, nbytes) in enumerate(sizes):
        count = max(1, min(blocks, nbytes // step))
        edges = [blocks * i // count for i in range(count)]
        parts += zip([table] * count, edges, [*edges[1:], None], strict=True)
    if len(parts) < 2:
        raise Unsplit("all of it is one part")
    return parts
