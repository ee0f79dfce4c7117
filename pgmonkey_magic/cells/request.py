"""What a cell asks for, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass

from pgmonkey_magic.pools import Holder

HEAD_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Request:
    """One cell: its SQL, verbatim, and how to run it.

    `cell` is the notebook's execution count, `wait_s` how long to wait for a connection (None: the pool's timeout).
    """

    sql: str
    cell: int | None = None
    autocommit: bool = False
    wait_s: float | None = None

    @property
    def holder(self) -> Holder:
        """How the ledger names this cell."""
        head = " ".join(self.sql.split())
        if len(head) > HEAD_LENGTH:
            head = head[: HEAD_LENGTH - 1] + "…"
        return Holder(f"cell [{self.cell}]" if self.cell is not None else "pgmonkey_magic.run", head)
