"""What a cell asks for, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells.backslash import is_backslash
from pgmonkey_magic.cells.ways import AsItIs, Way
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import Holder
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Request:
    """One cell: its SQL, verbatim, and how to run it.

    `values` are what its parameters mean, by name. `cell` is the notebook's execution count, `wait_s` how long to wait
    for a connection (None: the pool's timeout), `timeout_s` how long a statement may take. The cell is one transaction
    with the given `isolation` (SQL's words), `read_only`, and rolled back at its end where `rollback` says so; or none,
    with `autocommit`. `way` says how its statements are run; `who` asks, where no cell does; `remarks` stand in the
    account of the cell. Raises RequestError where these contradict each other or the SQL.
    """

    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)
    cell: int | None = None
    autocommit: bool = False
    wait_s: float | None = None
    timeout_s: float | None = None
    isolation: str | None = None
    read_only: bool = False
    rollback: bool = False
    way: Way = field(default_factory=AsItIs)
    who: str = "pgmonkey_magic.run"
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "\0" in self.sql:
            # libpq would take it for the end, and what follows would not run.
            raise RequestError(
                f"the SQL holds a NUL character (number {self.sql.index(chr(0)) + 1:,}), which PostgreSQL cannot take; "
                "remove it"
            )
        if is_backslash(self.sql):
            given = [self.way.option, self.way.output.asked, self.own_terms, "--autocommit" if self.autocommit else ""]
            if options := " and ".join(filter(None, given)):
                raise RequestError(f"{options} is for SQL, not for backslash commands, which only read the catalogue")
        if self.autocommit and self.own_terms:
            raise RequestError(f"{self.own_terms} belong to a transaction, and --autocommit asks for none")
        if self.own_terms and (control := self.control):
            raise RequestError(
                f"{self.own_terms} hold for the cell's own transaction, which {control} would end; leave out one of "
                "the two"
            )

    @property
    def own_terms(self) -> str:
        """The options that only a transaction of the cell's own can keep, as they are written; empty without any."""
        given = {
            "--isolation": self.isolation,
            "--read-only": self.read_only,
            "--rollback": self.rollback,
            self.way.option: self.way.rolls_back,
            "--timeout": self.timeout_s is not None and not self.autocommit,
        }
        return " and ".join(name for name, value in given.items() if value)

    @property
    def rolls_back(self) -> bool:
        """Whether the cell's transaction is rolled back at its end."""
        return self.rollback or self.way.rolls_back

    @property
    def control(self) -> str | None:
        """The first command of the SQL that begins or ends a transaction: then the person is in charge of it."""
        return next((s.words[0].upper() for s in split(self.sql) if s.controls_transaction), None)

    @property
    def in_charge(self) -> bool:
        """Whether the person decides where transactions begin and end, statement by statement."""
        return self.autocommit or self.control is not None

    @property
    def opening(self) -> str:
        """What is sent before the SQL."""
        limit = f"statement_timeout = {round(self.timeout_s * 1000)}" if self.timeout_s is not None else ""
        if self.in_charge:
            return f"SET {limit}" if limit else ""
        words = [f"ISOLATION LEVEL {self.isolation}" if self.isolation else "", "READ ONLY" if self.read_only else ""]
        parts = [" ".join(filter(None, ["BEGIN", *words])), f"SET LOCAL {limit}" if limit else ""]
        # After a first snapshot the server refuses SET TRANSACTION READ WRITE.
        parts.append("SELECT 1" if self.read_only else "")
        return "; ".join(filter(None, parts))

    @property
    def holder(self) -> Holder:
        """How the ledger names this cell."""
        head = " ".join(self.sql.split())
        if len(head) > HEAD_LENGTH:
            head = head[: HEAD_LENGTH - 1] + "…"
        return Holder(f"cell [{self.cell}]" if self.cell is not None else self.who, head)
