"""The panel of `%pgmonkey panel`: who holds which connection, who waits, since when; and what one can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as widgets
from psycopg.pq import TransactionStatus

from pgmonkey_magic.panels.controls import beside_the_cell, button, toggle
from pgmonkey_magic.panels.panel import Panel
from pgmonkey_magic.panels.picture import drawn, short
from pgmonkey_magic.panels.watch import Watch
from pgmonkey_magic.pools import cached_entries, census

if TYPE_CHECKING:
    from pgmonkey_magic.panels.drawing import Drawn
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.pools.ledger import Ticket

CANCEL_S = 2.0
"""How long the server may take to accept a request to cancel."""


class OccupancyPanel(Panel):
    """The live occupancy of one pool, which it never borrows from. *name* is the pool's name in the notebook."""

    def __init__(self, pool: PGPool | PGAsyncPool, name: str) -> None:
        self._pool = pool
        self._watch = Watch(pool, name)
        self._view = self._watch.look()
        self._as_table = False
        self._running: list[Ticket] = []
        self._choice: widgets.Dropdown | None = None
        super().__init__(
            toggle("table", self._show_table, hint="the connections as a table"),
            button("check", self._check, hint="replace the idle connections whose server end has gone"),
            button("recycle", self._recycle, hint="replace every connection: idle ones now, others when returned"),
            button("cancel…", self._ask_which, hint="choose a running query and cancel it on the server"),
        )

    # -- what every panel says ------------------------------------------------------------------------------------

    def draw(self) -> Drawn:
        """Return the occupancy of this moment; of a pool that has been closed, the last one that was seen."""
        if not self.ended():
            self._view = self._watch.look()
        return drawn(self._view, self._watch.heading(self.mode), as_table=self._as_table)

    def ended(self) -> str:
        """Tell that the pool has been closed: it has left the cache, though who still knows it may open it anew."""
        return "" if any(each.connectable is self._pool for each in cached_entries().values()) else "pool closed"

    def release(self) -> None:
        """Close the panel's own connection."""
        self._watch.close()

    # -- buttons --------------------------------------------------------------------------------------------------

    def _show_table(self, down: bool) -> None:
        self._as_table = down
        self.wake()

    def _check(self) -> None:
        self.act(self._checked)

    def _checked(self) -> str:
        dead = self._pool.sweep()
        return f"checked: {dead} dead connection{'' if dead == 1 else 's'} replaced"

    def _recycle(self) -> None:
        self.act(self._recycled)

    def _recycled(self) -> str:
        self._pool.recycle()
        return "recycling: idle connections are replaced now, borrowed ones when they come back"

    def _ask_which(self) -> None:
        running = [
            each
            for each in census(self._pool).connections
            if each.ticket is not None and each.transaction == TransactionStatus.ACTIVE
        ]
        if not running:
            self._leave()
            self.say("no query of this pool is running")
            return
        queries = {slot.name: slot.query for slot in self._view.slots}
        self._running = [each.ticket for each in running if each.ticket]
        options = [
            (f"{each.pid} · {short(ticket.holder.who)} · {queries.get(str(each.pid), ticket.holder.query)}"[:90], at)
            for at, (each, ticket) in enumerate(zip(running, self._running, strict=True))
        ]
        question = widgets.Label("Cancel which query? The server stops it; its borrower gets an error.")
        self._choice = widgets.Dropdown(options=options, layout=widgets.Layout(width="auto", max_width="720px"))
        beside_the_cell(self._choice)
        answers = widgets.HBox(
            [
                self._choice,
                button("cancel this query", self._cancel_chosen, style="danger"),
                button("leave it", self._leave),
            ]
        )
        answers.layout.flex_flow = "row wrap"
        self.open_drawer(question, answers)

    def _cancel_chosen(self) -> None:
        if self._choice is not None and isinstance(chosen := self._choice.value, int):
            ticket = self._running[chosen]
            self.act(lambda: self._cancelled(ticket))
        self._leave()

    def _cancelled(self, ticket: Ticket) -> str:
        who = ticket.holder.who
        if self._pool.cancel_held(ticket, timeout=CANCEL_S):
            return f"the server was asked to cancel the query of {who}"
        return f"{who} has given its connection back meanwhile; nothing was cancelled"

    def _leave(self) -> None:
        self.open_drawer()
