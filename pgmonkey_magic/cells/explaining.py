"""`--explain`: the plan of each statement in place of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pgmonkey_magic.cells.ways import AsItIs, Exchange, Part, Statement, Way, ask, part
from pgmonkey_magic.results import Frame
from pgmonkey_magic.results.plan import explain_prefix, read_plans
from pgmonkey_magic.sql import only_reads, split

if TYPE_CHECKING:
    from psycopg.abc import PQGen

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.results import Parameters


@dataclass(frozen=True)
class Explained(Way):
    """The plan; with `analyze` the statement is run for it, and what it wrote is rolled back unless `commits`."""

    analyze: bool = False
    commits: bool = False
    option: ClassVar[str] = "--explain"

    @property
    def rolls_back(self) -> bool:
        """Whether the statement runs and shall leave nothing behind."""
        return self.analyze and not self.commits

    def run(self, exchange: Exchange, command: Command, parameters: Parameters | None) -> PQGen[Part]:
        """Ask for the plan. A rule of PostgreSQL's may give a statement several plans, or none."""
        if not split(command.text):
            return (yield from AsItIs().run(exchange, command, parameters))
        prefix = explain_prefix(analyze=self.analyze, server_version=exchange.conn.info.server_version)
        answer = yield from ask(exchange, command.after(prefix), parameters)
        document = answer.results[0].get_value(0, 0) or b"[]"
        plans = read_plans(document.decode(exchange.conn.info.encoding))
        note = "what it wrote is rolled back; --commit keeps it"
        notes = (note,) if self.rolls_back and not only_reads(command.text) else ()
        return part(answer, tuple(Statement("EXPLAIN", None, partial(Frame, plan, notes)) for plan in plans))
