"""How far a job has come, for whoever watches it from another thread."""

from __future__ import annotations

from dataclasses import dataclass


class Stopped(Exception):  # noqa: N818 - a finding; the job words it for people
    """The job was cancelled while its data travelled."""


@dataclass(slots=True)
class Progress:
    """Rows (0 where they are not counted) and bytes so far; `stopped` ends the transfer at its next step."""

    rows: int = 0
    nbytes: int = 0
    stopped: bool = False

    def advance(self, nbytes: int, rows: int = 0) -> None:
        """Count a piece that has come or gone. Raises Stopped."""
        self.rows += rows
        self.nbytes += nbytes
        if self.stopped:
            raise Stopped
