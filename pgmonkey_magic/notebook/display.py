"""What a person sees under a cell: result sets, the footer, notices. All HTML is escaped here, by `esc`."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells import JobState, Result
from pgmonkey_magic.errors import PgMonkeyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.cells import Job

MAX_FOOTERS = 5
"""Shown for one cell; a loop of a thousand line magics needs no thousand lines."""
QUIET_STYLE = "color:var(--jp-ui-font-color2,#767676);font-size:85%;margin:2px 0"
PLAN_STYLE = "font-family:var(--jp-code-font-family,monospace);white-space:pre-wrap;margin:2px 0"
NOTICE_STYLE = "color:var(--jp-ui-font-color1,#616161);font-size:90%;white-space:pre-wrap;margin:2px 0"


def esc(text: object) -> str:
    """Escape for HTML; the one place where it is done."""
    return html.escape(str(text))


class Shown:
    """Something to `display`: HTML for notebooks, plain text for consoles and exports."""

    def __init__(self, text: str, markup: str) -> None:
        self._bundle = {"text/plain": text, "text/html": markup}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._bundle

    def __repr__(self) -> str:
        return self._bundle["text/plain"]


def footer(result: Result) -> str:
    """Return the one quiet line: what came, where the time went, how full the pool was."""
    times = result.timings
    steps = " · ".join(
        f"{name} {ms:.1f}"
        for name, ms in (
            ("wait", times.wait_ms),
            ("execute", times.execute_ms),
            ("fetch", times.fetch_ms),
            ("convert", times.convert_ms),
        )
    )
    now = result.occupancy
    return " · ".join(
        [
            *_outcomes(result),
            f"{times.total_ms:.1f} ms ({steps})",
            f"pool {result.pool_name} {now.in_use}/{now.max_size}",
            *result.notes,
        ]
    )


def live_line(job: Job, server: str) -> str:
    """Return how far a job is, *server* being what the server tells of it; or how it has ended."""
    parts = [f"job {job.id}", str(job.state), f"{job.seconds:.1f} s"]
    if job.state is JobState.WAITING:
        now = job.pool.occupancy
        parts.append(f"for a connection of pool {job.pool_name}: {now.in_use} of {now.max_size} in use")
    if job.progress.rows:
        parts.append(f"{job.progress.rows:,} rows")
    if job.progress.nbytes:
        parts.append(f"{job.progress.nbytes / 1e6:,.1f} MB")
    if server:
        parts.append(server)
    parts += job.remarks
    if job.done():
        parts += _end(job)
    return " · ".join(parts)


def _end(job: Job) -> list[str]:
    try:
        return _outcomes(job.outcome(0))
    except PgMonkeyError as error:
        return [str(error)]


def _outcomes(result: Result) -> list[str]:
    if len(result.sets) == 1 and result.rows:
        rows = result.rows[0]
        return [f"{rows:,} row{'s' if rows != 1 else ''}"]
    return list(result.sets.tags)


def shown_lines(lines: Sequence[str], style: str = QUIET_STYLE) -> Shown:
    """Return plain lines, each escaped, in the given style."""
    return Shown("\n".join(lines), "".join(f'<div style="{style}">{esc(line)}</div>' for line in lines))


def shown_footers(footers: Sequence[str]) -> Shown:
    """Return the footers of one cell, the last few of many."""
    hidden = len(footers) - MAX_FOOTERS
    more = [f"… {hidden:,} earlier"] if hidden > 0 else []
    return shown_lines([*more, *footers[-MAX_FOOTERS:]])


def shown_notices(notices: Sequence[str]) -> Shown:
    """Return the server's messages."""
    return shown_lines(notices, NOTICE_STYLE)
