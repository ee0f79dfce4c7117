"""The transcript of a conversation → the Result that a person gets; runs after the connection has gone back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells.result import CommandResult, Result, ResultSets, Timings
from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from pgmonkey_magic.cells.conversation import Transcript
    from pgmonkey_magic.pools import Occupancy
    from pgmonkey_magic.results import Frame


@dataclass(frozen=True, slots=True)
class Borrow:
    """From which pool the connection came, how full it was then, and how long the wait was."""

    pool_name: str
    occupancy: Occupancy
    wait_s: float


def convert(transcript: Transcript, borrow: Borrow, notices: tuple[str, ...], remarks: list[str]) -> Result:
    """Make DataFrames and the account of the cell. Raises RequestError where nothing was sent that could run.

    *remarks* stand before the notes on the values.
    """
    # PostgreSQL answers an empty statement with a result that has no tag.
    if not any(statement.tag for statement in transcript.statements):
        raise RequestError("the cell holds no SQL statement, only blanks or comments")
    import pandas as pd  # noqa: PLC0415 - before the clock: its first import takes a second

    started_at = time.monotonic()
    elapsed_ms = transcript.execute_s * 1000 if len(transcript.statements) == 1 else None
    notes = [*remarks]
    values: list[Any] = []
    frames: list[Frame] = []
    rows: list[int] = []
    lines: list[str] = []
    for statement in transcript.statements:
        if statement.content is None:
            values.append(CommandResult(statement.tag, statement.rowcount, elapsed_ms))
        else:
            frame = statement.content()
            frames.append(frame)
            values.append(frame.data)
            if statement.rowcount is not None:
                rows.append(statement.rowcount)
            notes.extend(frame.notes)
        if statement.lines and len(transcript.statements) > 1:
            lines.append(statement.tag)
        lines.extend(statement.lines)
    sets = ResultSets(values, [statement.tag for statement in transcript.statements])
    result = Result(
        value=frames[0].data if len(frames) == 1 else sets[0] if len(sets) == 1 else sets,
        sets=sets,
        rows=tuple(rows),
        timings=Timings(
            wait_ms=borrow.wait_s * 1000,
            execute_ms=transcript.execute_s * 1000,
            fetch_ms=transcript.fetch_s * 1000,
            convert_ms=(time.monotonic() - started_at) * 1000,
        ),
        pool_name=borrow.pool_name,
        occupancy=borrow.occupancy,
        notes=tuple(notes),
        notices=notices,
        lines=tuple(lines),
    )
    for frame in frames:
        if isinstance(frame.data, pd.DataFrame):  # a plan is none
            frame.data.attrs["pgmonkey"] = result.attributes(len(frame.data), truncated=frame.truncated)
    return result
