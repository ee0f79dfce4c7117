"""One load or lesson at a time, from its begin to its end: started, watched, stopped from any thread. No widgets.

What refuses, fails or is stopped stands in the facts; nothing is raised. Everything ends by itself; `stop` and `close`
return at once and have it ended within a second.
"""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.errors import PgMonkeyError
from pgmonkey_magic.panels.lab.lesson_seen import LessonFacts
from pgmonkey_magic.panels.lab.seen import LoadFacts
from pgmonkey_magic.panels.watch import Watch
from pgmonkey_magic.pools import PGAsyncPool
from pgmonkey_magic.tuning.lab import LabStopped, LessonRun, LoadRun, allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgmonkey_magic.config import Config
    from pgmonkey_magic.panels.lab.wanted import Wanted
    from pgmonkey_magic.panels.seen import View
    from pgmonkey_magic.pools import PGPool
    from pgmonkey_magic.tuning.lab import Lesson

STOP_S = 5.0


class Experiment:
    """Carries out loads and lessons on the server of *config*. `look` brings the facts up to date and never waits."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.RLock()
        self._run: LoadRun | LessonRun | None = None
        self._watch: Watch | None = None
        self._end_watch: Callable[[], object] = bool
        self._busy = self._stopping = self._closed = False
        self._began = 0.0
        self.load: LoadFacts | None = None
        """The load that runs or has run last."""
        self.lessons: dict[str, LessonFacts] = {}
        """Name → how far the lesson is, or what came of it."""
        self.occupancy: View | None = None
        """The pool of the load that runs, None while none does."""

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._busy

    def allowance(self, connection_type: str) -> int:
        """Return how many connections the lab may open. Asks the server; raises psycopg.OperationalError."""
        return allowance(self._config, connection_type)

    # -- begin ----------------------------------------------------------------------------------------------------

    def begin_load(self, wanted: Wanted, mine: tuple[str, PGPool | PGAsyncPool] | None = None) -> None:
        """Begin a load on a pool of its own, or on *mine*, which comes with its name; asks the server for a moment."""
        if not self._reserve():
            return
        is_async = isinstance(mine[1], PGAsyncPool) if mine else wanted.connection_type != "pool"
        kind = "async" if is_async else "sync"
        whose = f"your {kind} pool {mine[0]}" if mine else f"{'an' if is_async else 'a'} {kind} pool of the lab's own"
        self.load = LoadFacts(wanted, whose, mine[1].settings.max_size if mine else wanted.max_size)
        if mine is not None:
            pool = mine[1]
            self._begin(lambda: LoadRun.begin_on(wanted.load(), pool))
        else:
            self._begin(lambda: LoadRun.begin(wanted.load(), self._config, wanted.connection_type, **wanted.settings()))

    def begin_lesson(self, lesson: Lesson, connection_type: str) -> None:
        """Begin a lesson; asks the server for a moment."""
        if self._reserve():
            self.lessons[lesson.name] = LessonFacts(lesson, connection_type)
            self._begin(lambda: LessonRun.begin(lesson, self._config, connection_type), lesson.name)

    def _reserve(self) -> bool:
        with self._lock:
            if self._busy or self._closed:
                return False
            self._busy, self._stopping, self._began = True, False, time.monotonic()
            return True

    def _begin(self, begin: Callable[[], LoadRun | LessonRun], lesson: str = "") -> None:
        try:
            run = begin()
        except (PgMonkeyError, psycopg.Error) as error:
            with self._lock:
                self._ended(lesson, "failed", error)
            return
        with self._lock:
            self._run = run
            if self._stopping:  # somebody has asked for that meanwhile
                _have_it_stopped(run)

    # -- look -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Bring the facts up to date."""
        with self._lock:
            run = None if self._closed else self._run
            if isinstance(run, LessonRun):
                self._look_at_lesson(run)
            elif run is not None:
                self._look_at_load(run)

    def _look_at_load(self, run: LoadRun) -> None:
        done = run.done()  # before the measurement is taken, so that nothing of a finished one is missed
        self._set("", measurement=run.measurement(), stopping=self._stopping)
        if done:
            try:
                self._ended("", "stopped" if self._stopping else "done", report=run.outcome())
            except Exception as error:  # noqa: BLE001 - a thread's end, in which it was raised: shown in the panel
                self._ended("", "failed", error)
        elif run.pool is not None:
            if self._watch is None:
                self._watch = Watch(run.pool, "the pool")
                # Its connection to the server must not outlive an experiment that nobody holds any more.
                self._end_watch = weakref.finalize(self, self._watch.close)
                self._end_watch.atexit = False
            self.occupancy = self._watch.look()

    def _look_at_lesson(self, run: LessonRun) -> None:
        name = run.lesson.name
        self._set(name, seconds=time.monotonic() - self._began, stopping=self._stopping)
        if run.done():
            try:
                self._ended(name, "done", answer=run.outcome())
            except LabStopped:
                self._ended(name, "stopped")
            except Exception as error:  # noqa: BLE001 - as above
                self._ended(name, "failed", error)

    def _set(self, lesson: str, **changes: Any) -> None:
        if lesson:
            self.lessons[lesson] = replace(self.lessons[lesson], **changes)
        elif self.load is not None:
            self.load = replace(self.load, **changes)

    def _ended(self, lesson: str, state: str, error: Exception | None = None, **result: Any) -> None:
        words = " ".join(str(error).split()) if error is not None else ""
        self._set(lesson, state=state, error=words, stopping=False, **result)
        self._run, self._busy = None, False
        self._close_watch()

    # -- end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Have whatever runs ended."""
        with self._lock:
            if self._busy and not self._stopping:
                self._stopping = True
                if self._run is not None:
                    _have_it_stopped(self._run)

    def close(self) -> None:
        """Stop, and begin nothing any more."""
        with self._lock:
            self._closed = True
            self.stop()
            self._close_watch()

    def _close_watch(self) -> None:
        self._end_watch()
        self._watch = self.occupancy = None


def _have_it_stopped(run: LoadRun | LessonRun) -> None:
    threading.Thread(target=run.stop, args=(STOP_S,), name="pgmonkey-lab-stop", daemon=True).start()
