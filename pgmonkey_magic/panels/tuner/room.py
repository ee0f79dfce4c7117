"""How many connections the server has for a pool, asked over a short connection of its own, beside everything else."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pgmonkey_magic.config.redaction import Settings
from pgmonkey_magic.panels.tuner.errand import Answer, Errand
from pgmonkey_magic.panels.tuner.proposal import Room
from pgmonkey_magic.tuning import budget

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool
    from pgmonkey_magic.tuning import Budget

DEADLINE_S = 5.0
"""The server may take that long, to connect and to answer."""
EVERY_S = 30.0


class ServerRoom:
    """Asks every 30 s, as long as somebody looks."""

    def __init__(self, pool: PGPool | PGAsyncPool) -> None:
        self._pool = pool
        self._errand: Errand[Room] = Errand("pgmonkey-tuner-budget")
        self._asked_at = -EVERY_S

    def look(self) -> Room:
        """Return what the server has said last; never waits."""
        if time.monotonic() - self._asked_at >= EVERY_S:
            self._ask()
        return self._room(self._errand.latest)

    def fresh(self) -> Room:
        """Ask now and wait for the answer, but no longer than the deadline."""
        begun_at = time.monotonic()
        self._ask()
        self.wait(DEADLINE_S)
        answer = self._errand.latest
        return self._room(answer if answer is not None and answer.asked_at >= begun_at - DEADLINE_S else None)

    def wait(self, timeout: float) -> None:
        """Wait for the answer that is under way."""
        self._errand.wait(timeout)

    def _ask(self) -> None:
        if not self._errand.under_way:
            self._asked_at = time.monotonic()
            self._errand.ask(lambda: _asked(self._pool))

    def _room(self, answer: Answer[Room] | None) -> Room:
        if answer is not None:
            return answer.value or Room(None, f"it does not answer: {answer.error}")
        late = time.monotonic() - self._asked_at >= DEADLINE_S
        return Room(
            None, f"it has not answered within {DEADLINE_S:g} s" if late else "it is being asked for its limits"
        )


def _asked(pool: PGPool | PGAsyncPool) -> Room:
    settings = {**pool.config.connection_settings, "connect_timeout": f"{DEADLINE_S:.0f}"}
    config = replace(pool.config, connection_settings=Settings(settings))
    return room_of(budget(config, pool.connection_type))


def room_of(server: Budget) -> Room:
    """Return the server's room with its account: the limit that binds, and what others have of it."""
    return Room(server.free, server.bound.account)
