"""What a cell returns: a DataFrame, a CommandResult, or ResultSets of both; and the account of how it went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgmonkey_magic.pools import Occupancy


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a cell went, in milliseconds.

    `wait` for a connection, `execute` until the server's first byte (BEGIN and COMMIT included), `fetch` until the
    last, `convert` into DataFrames.
    """

    wait_ms: float
    execute_ms: float
    fetch_ms: float
    convert_ms: float

    @property
    def total_ms(self) -> float:
        """The sum of the four."""
        return self.wait_ms + self.execute_ms + self.fetch_ms + self.convert_ms


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A statement that returned no rows.

    `rowcount` is None where the command has none, such as CREATE TABLE; `elapsed_ms` where it was one of several, whose
    times the server does not tell apart.
    """

    tag: str
    rowcount: int | None
    elapsed_ms: float | None

    def __repr__(self) -> str:
        return self.tag if self.elapsed_ms is None else f"{self.tag} · {self.elapsed_ms:.1f} ms"


class ResultSets(list[Any]):
    """The results of several statements, in order. `tags` holds the server's command tag of each."""

    def __init__(self, results: list[Any], tags: list[str]) -> None:
        super().__init__(results)
        self.tags = tags

    def __repr__(self) -> str:
        return "\n\n".join(
            repr(result) if isinstance(result, CommandResult) else f"{tag}\n{result!r}"
            for tag, result in zip(self.tags, self, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known about a finished cell; the notebook shows it.

    `value` is what the person gets: a CommandResult, the rows as what was asked for, or ResultSets of several.
    """

    value: Any
    sets: ResultSets
    rows: tuple[int, ...]
    """How many rows each of the queries among the statements has returned."""
    timings: Timings
    pool_name: str
    occupancy: Occupancy
    notes: tuple[str, ...]
    notices: tuple[str, ...]
    lines: tuple[str, ...] = ()
    """What stands below the rows, such as the indexes that `\\d` shows."""

    def attributes(self, rows: int, *, truncated: bool) -> dict[str, Any]:
        """Return the plain dict for `DataFrame.attrs["pgmonkey"]`."""
        return {
            "pool": self.pool_name,
            "rows": rows,
            "truncated": truncated,
            "timings": {**asdict(self.timings), "total_ms": self.timings.total_ms},
            "notices": list(self.notices),
            "notes": list(self.notes),
            "lines": list(self.lines),
        }
