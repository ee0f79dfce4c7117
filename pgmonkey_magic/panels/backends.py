"""What the server itself says of a pool's connections, over one connection of the panel's own.

It is asked in a thread of its own, with deadlines, so that nobody waits for a server that is slow, full or gone; and
it is open only while the panel is. Its application_name is `pgmonkey-magic panel`. The watched pool is never borrowed
from.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.pools import connect_parameters
from pgmonkey_magic.pools.liveness import ask
from pgmonkey_magic.pools.unavailable import is_server_full
from pgmonkey_magic.tuning.audit import CLIENT_BACKEND

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from psycopg.pq.abc import PGresult

    from pgmonkey_magic.pools import PGAsyncPool, PGPool

APPLICATION_NAME = "pgmonkey-magic panel"
STEP_S, ANSWER_S, CONNECT_S = 1.0, 2.0, 5
"""Between two questions; the most that an answer and that connecting may take."""
LONGEST_PAUSE_S = 30.0
"""Between attempts to connect to a server that refuses: each may be a line in its log."""

_QUESTION = f"""
SELECT pid, coalesce(state, ''), coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - state_change), 0),
       coalesce(wait_event_type || ': ' || wait_event, ''), pg_catalog.left(coalesce(query, ''), 200)
FROM pg_catalog.pg_stat_activity WHERE pid = ANY ('{{%s}}'::int[]);
SELECT pg_catalog.count(*), pg_catalog.current_setting('max_connections'),
       pg_catalog.current_setting('superuser_reserved_connections')::int
       + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int
FROM pg_catalog.pg_stat_activity WHERE {CLIENT_BACKEND}
"""  # noqa: S608 - only constants


@dataclass(frozen=True, slots=True)
class Backend:
    """A server process: its `state` of pg_stat_activity, since when, what it waits for, the head of its query."""

    state: str
    since_s: float
    waits_for: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Backends:
    """The server at `at` (`time.monotonic()`): the processes asked for and those found of them, by process id.

    `used` of `limit` connections, of which `reserved` are not for everybody; None where it did not answer, which
    `error` then says.
    """

    at: float
    asked: frozenset[int] = frozenset()
    found: Mapping[int, Backend] = field(default_factory=dict)
    used: int | None = None
    limit: int = 0
    reserved: int = 0
    error: str = ""
    refused_as_full: bool = False


class ServerWatch:
    """Asks the server about a pool's processes until it is closed; `latest` is the last answer, None before the first.

    *pids* returns the numbers to ask for; it is called in the watch's own thread.
    """

    def __init__(self, pool: PGPool | PGAsyncPool, pids: Callable[[], Collection[int]]) -> None:
        self.latest: Backends | None = None
        self._pids = pids
        self._parameters = connect_parameters(pool.config, pool.connection_type) | {
            "autocommit": True,
            "application_name": APPLICATION_NAME,
            "connect_timeout": CONNECT_S,
        }
        self._closed = threading.Event()
        self._answered = threading.Event()
        threading.Thread(target=self._watch, name="pgmonkey-panel-server", daemon=True).start()

    def close(self) -> None:
        """Ask no more. The thread closes its connection at once, or after ANSWER_S where it waits for an answer."""
        self._closed.set()

    def wait(self, timeout: float) -> None:
        """Wait for the first answer."""
        self._answered.wait(timeout)

    def _watch(self) -> None:
        pause = STEP_S
        while not self._closed.is_set():
            try:
                # Not `with conn`, which would speak to a server that has just failed to answer.
                with closing(psycopg.connect(**self._parameters)) as conn:
                    while not self._closed.is_set():
                        self._note(answer(conn, self._pids()))
                        pause = STEP_S
                        self._closed.wait(STEP_S)
            except psycopg.Error as error:
                words = " ".join(str(error).split())
                self._note(Backends(time.monotonic(), error=words, refused_as_full=is_server_full(error)))
            self._closed.wait(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _note(self, backends: Backends) -> None:
        self.latest = backends
        self._answered.set()


def answer(conn: psycopg.Connection[Any], pids: Collection[int]) -> Backends:
    """Ask once. Raises psycopg.OperationalError, also where there is no answer in time."""
    question = _QUESTION % ",".join(str(int(pid)) for pid in pids)
    processes, server = conn.wait(ask(conn, time.monotonic() + ANSWER_S, question.encode("ascii")))
    ((used, limit, reserved),) = _rows(server, conn.info.encoding)
    found = {
        int(pid): Backend(state, max(0.0, float(since_s)), waits_for, query)
        for pid, state, since_s, waits_for, query in _rows(processes, conn.info.encoding)
    }
    return Backends(time.monotonic(), frozenset(pids), found, int(used), int(limit), int(reserved))


def _rows(result: PGresult, encoding: str) -> list[list[str]]:
    return [
        [(result.get_value(row, column) or b"").decode(encoding, "replace") for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
