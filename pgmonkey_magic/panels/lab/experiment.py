"""One load or lesson at a time, from its begin to its end: started, watched, stopped from any thread. No widgets.

What refuses, fails or is stopped stands in the facts; nothing is raised. Everything ends by itself; `stop` and `close`
return at once and have it ended within a second.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from pgmonkey_magic.errors import PgMonkeyError
from pgmonkey_magic.panels.lab.seen import LessonFacts, LoadFacts
from pgmonkey_magic.panels.watch import Watch
from pgmonkey_magic.pools import PGAsyncPool
from pgmonkey_magic.tuning.lab import LabStopped, LessonRun, LoadRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgmonkey_magic.config import Config
    from pgmonkey_magic.panels.lab.wanted import Wanted
    from pgmonkey_magic.panels.seen import View
    from pgmonkey_magic.pools import PGPool
    from pgmonkey_magic.tuning.lab import Lesson

STOP_S = 5.0


class Experiment:
    """Carries out loads and lessons on the server of *config*. `look` tells how far it is; it never waits."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._run: LoadRun | LessonRun | None = None
        self._watch: Watch | None = None
        self._busy = self._stopping = self._closed = False
        self._began = 0.0
        self.load: LoadFacts | None = None
        """The load that runs or has run last."""
        self.lessons: dict[str, LessonFacts] = {}
        """Name → what came of the lesson, or comes."""
        self.pool: View | None = None
        """The occupancy of the pool of the running load."""

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._busy

    # -- begin ----------------------------------------------------------------------------------------------------

    def begin_load(self, wanted: Wanted, mine: tuple[str, PGPool | PGAsyncPool] | None = None) -> None:
        """Begin a load, on a pool of its own or on *mine*, which has a name; asks the server for a moment."""
        kind = "async" if (isinstance(mine[1], PGAsyncPool) if mine else wanted.connection_type != "pool") else "sync"
        name = f"your {kind} pool {mine[0]}" if mine else f"a {kind} pool of its own"

        def begin() -> LoadRun:
            load = wanted.load()
            if mine is not None:
                return LoadRun.begin_on(load, mine[1])
            return LoadRun.begin(load, self._config, wanted.connection_type, **wanted.settings())

        size = mine[1].settings.max_size if mine else wanted.max_size
        self._begin(lambda: self._note_load(LoadFacts(wanted, name, size)), begin)

    def begin_lesson(self, lesson: Lesson, connection_type: str) -> None:
        """Begin a lesson; asks the server for a moment."""
        facts = LessonFacts(lesson, connection_type, "running")
        self._begin(
            lambda: self._note_lesson(facts), lambda: LessonRun.begin(lesson, self._config, connection_type)
        )

    def _begin(self, note: Callable[[], None], begin: Callable[[], LoadRun | LessonRun]) -> None:
        with self._lock:
            if self._busy or self._closed:
                return
            self._busy, self._stopping, self._began = True, False, time.monotonic()
            self._run = None
            note()
        try:
            run = begin()
        except (PgMonkeyError, psycopg.Error) as error:
            with self._lock:
                self._over("refused", error)
            return
        with self._lock:
            self._run = run
            if self._stopping:  # somebody has asked for that meanwhile
                self._have_it_stopped(run)

    def _note_load(self, facts: LoadFacts) -> None:
        self.load, self.pool = facts, None

    def _note_lesson(self, facts: LessonFacts) -> None:
        self.load_is_on = False
        self.lessons[facts.lesson.name] = facts

    # -- end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Have whatever runs ended."""
        with self._lock:
            if self._busy and not self._stopping:
                self._stopping = True
                if self._run is not None:
                    self._have_it_stopped(self._run)

    def close(self) -> None:
        """Stop, and begin nothing any more."""
        self._closed = True
        self.stop()
        with self._lock:
            self._close_watch()

    @staticmethod
    def _have_it_stopped(run: LoadRun | LessonRun) -> None:
        threading.Thread(target=run.stop, args=(STOP_S,), name="pgmonkey-lab-stop", daemon=True).start()
