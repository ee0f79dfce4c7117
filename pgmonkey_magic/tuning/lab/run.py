"""One run of a load against a pool: it may be watched from any thread, stopped at any moment, and ends by itself."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.pools import PGAsyncPool
from pgmonkey_magic.tuning.lab.background import Background
from pgmonkey_magic.tuning.lab.clients import Clients, Tasks, Threads
from pgmonkey_magic.tuning.lab.load import Clock, Load, Script
from pgmonkey_magic.tuning.lab.notes import Measurement, Notes
from pgmonkey_magic.tuning.lab.own_pool import Pool, allowance, own_pool, refuse_beyond
from pgmonkey_magic.tuning.lab.report import Report, report

if TYPE_CHECKING:
    from pgmonkey_magic.config import Config

LOOKS_EVERY_S = 0.1
CUT_EVERY_S = 0.05
GRACE_S = 1.0
"""What is being held when the time is over may end within this; what still waits then is cut off."""


class LoadRun(Background[Report]):
    """Runs *load* from a thread of its own; make one with `begin`, or `begin_on` for a pool that is there.

    `pool` is the pool it runs against, None before it is open; whoever draws it looks at `pool.occupancy`.
    """

    def __init__(self, load: Load, source: Pool | tuple[Config, str, dict[str, Any]]) -> None:
        super().__init__("pgmonkey-lab")
        self.load = load
        self.pool: Pool | None = None
        self._source = source
        self._notes = Notes(Clock(), lambda: 0)

    @classmethod
    def begin(cls, load: Load, config: Config, connection_type: str, **settings: Any) -> LoadRun:
        """Run it against a pool of its own, of the given type and pool settings (max_size is 4 otherwise).

        Raises RequestError where that takes more than half of what the server has free, ConfigError for settings
        that cannot be, psycopg.OperationalError where the server cannot be reached.
        """
        settings = {"max_size": 4} | settings
        settings.setdefault("min_size", settings["max_size"])  # a pool that is still opening tells nothing of its queue
        refuse_beyond(allowance(config, connection_type), int(settings["max_size"]), "this load")
        run = cls(load, (config, connection_type, settings))
        run.start()
        return run

    @classmethod
    def begin_on(cls, load: Load, pool: Pool) -> LoadRun:
        """Run it against a pool that is in use by others too; it is not closed at the end.

        A request that waits behind holds of others cannot be cut off before the pool's own timeout.
        """
        run = cls(load, pool)
        run.start()
        return run

    def measurement(self) -> Measurement:
        """Return what was seen so far; from any thread, also while it runs."""
        return self._notes.measurement()

    def _work(self) -> Report:
        with ExitStack() as stack:
            if isinstance(self._source, tuple):
                config, connection_type, settings = self._source
                self.pool = stack.enter_context(own_pool(config, connection_type, **settings))
            else:
                self.pool = self._source
            self._serve(self.pool)
        return report(self.load, self.pool.settings.max_size, self.measurement())

    def _serve(self, pool: Pool) -> None:
        clock = Clock()
        notes = self._notes = Notes(clock, lambda: pool.settings.max_size)
        clients = _clients(pool, Script(self.load, clock), notes, self.load.clients)
        clients.start()
        try:
            while clock.seconds() < self.load.seconds and not self._stopping.is_set():
                if clients.ended(0):
                    break
                _look(notes, pool)
                self._stopping.wait(LOOKS_EVERY_S)
            if not self._stopping.is_set():
                clients.ended(GRACE_S)
        finally:
            notes.close()
            notes.cutting = True
            _cut(clients)


def _clients(pool: Pool, script: Script, notes: Notes, count: int) -> Clients:
    if isinstance(pool, PGAsyncPool):
        return Tasks(pool, script, notes, count)
    return Threads(pool, script, notes, count)


def _cut(clients: Clients) -> None:
    deadline = time.monotonic() + GRACE_S
    while not clients.ended(0) and time.monotonic() < deadline:
        clients.cut()
        clients.ended(CUT_EVERY_S)


def _look(notes: Notes, pool: Pool) -> None:
    now = pool.occupancy
    notes.look(now.in_use, now.waiting)
