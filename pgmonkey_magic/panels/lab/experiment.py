"""One load or lesson at a time, from its begin to its end: started, watched, stopped from any thread. No widgets.

What refuses, fails or is stopped stands in the facts; nothing is raised. Everything ends by itself; `stop` and `close`
return at once and have it ended within a second.
"""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass, field, replace
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


@dataclass(eq=False)
class _Trial:
    """What runs now: a load, or the lesson of that name. `run` is None while the server is still being asked."""

    lesson: str = ""
    run: LoadRun | LessonRun | None = None
    stopping: bool = False
    began: float = field(default_factory=time.monotonic)


class Experiment:
    """Carries out loads and lessons on the server of *config*. `look` brings the facts up to date and never waits."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.RLock()
        self._trial: _Trial | None = None
        self._closed = False
        self._watch: Watch | None = None
        self._end_watch: Callable[[], object] = bool
        self.load: LoadFacts | None = None
        """The load that runs or has run last."""
        self.lessons: dict[str, LessonFacts] = {}
        """Name → how far the lesson is, or what came of it."""
        self.occupancy: View | None = None
        """The pool of the load that runs, None while none does."""

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._trial is not None

    def allowance(self, connection_type: str) -> int:
        """Return how many connections the lab may open. Asks the server; raises psycopg.OperationalError."""
        return allowance(self._config, connection_type)

    # -- begin ----------------------------------------------------------------------------------------------------

    def begin_load(self, wanted: Wanted, mine: tuple[str, PGPool | PGAsyncPool] | None = None) -> None:
        """Begin a load on a pool of its own, or on *mine*, which comes with its name; asks the server for a moment."""
        is_async = isinstance(mine[1], PGAsyncPool) if mine else wanted.connection_type != "pool"
        kind = "async" if is_async else "sync"
        whose = f"your {kind} pool {mine[0]}" if mine else f"{'an' if is_async else 'a'} {kind} pool of the lab's own"

        def begin() -> LoadRun:
            load = wanted.load()
            if mine is not None:
                return LoadRun.begin_on(load, mine[1])
            return LoadRun.begin(load, self._config, wanted.connection_type, **wanted.settings())

        if (trial := self._reserved("")) is not None:
            self.load = LoadFacts(wanted, whose, mine[1].settings.max_size if mine else wanted.max_size)
            self._begin(trial, begin)

    def begin_lesson(self, lesson: Lesson, connection_type: str) -> None:
        """Begin a lesson; asks the server for a moment."""
        if (trial := self._reserved(lesson.name)) is not None:
            self.lessons[lesson.name] = LessonFacts(lesson, connection_type)
            self._begin(trial, lambda: LessonRun.begin(lesson, self._config, connection_type))

    def _reserved(self, lesson: str) -> _Trial | None:
        """Return a trial to begin, None where one runs already or nothing may begin any more."""
        with self._lock:
            if self._trial is not None or self._closed:
                return None
            self._trial = _Trial(lesson)
            return self._trial

    def _begin(self, trial: _Trial, begin: Callable[[], LoadRun | LessonRun]) -> None:
        try:
            run = begin()
        except (PgMonkeyError, psycopg.Error) as error:
            with self._lock:
                if trial is self._trial:
                    self._ended("failed", error)
            return
        with self._lock:
            if trial is self._trial:
                trial.run = run
            else:  # given up meanwhile
                _have_it_stopped(run)

    # -- look -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Bring the facts up to date."""
        with self._lock:
            if self._trial is None:
                return
            if isinstance(run := self._trial.run, LessonRun):
                self._look_at_lesson(run, self._trial)
            elif run is not None:
                self._look_at_load(run, self._trial)

    def _look_at_load(self, run: LoadRun, trial: _Trial) -> None:
        done = run.done()  # before the measurement is taken, so that nothing of a finished one is missed
        self._set(measurement=run.measurement())
        if done:
            try:
                self._ended("stopped" if trial.stopping else "done", report=run.outcome())
            except Exception as error:  # noqa: BLE001 - a thread's end, in which it was raised: shown in the panel
                self._ended("failed", error)
        elif run.pool is not None:
            if self._watch is None:
                self._watch = Watch(run.pool, "the pool")
                # Its connection to the server must not outlive an experiment that nobody holds any more.
                self._end_watch = weakref.finalize(self, self._watch.close)
                self._end_watch.atexit = False
            self.occupancy = self._watch.look()

    def _look_at_lesson(self, run: LessonRun, trial: _Trial) -> None:
        self._set(seconds=time.monotonic() - trial.began)
        if run.done():
            try:
                self._ended("done", answer=run.outcome())
            except LabStopped:
                self._ended("stopped")
            except Exception as error:  # noqa: BLE001 - as above
                self._ended("failed", error)

    def _set(self, **changes: Any) -> None:
        name = self._trial.lesson if self._trial else ""
        if name:
            self.lessons[name] = replace(self.lessons[name], **changes)
        elif self.load is not None:
            self.load = replace(self.load, **changes)

    def _ended(self, state: str, error: Exception | None = None, **result: Any) -> None:
        words = " ".join(str(error).split()) if error is not None else ""
        self._set(state=state, error=words, stopping=False, **result)
        self._trial = None
        self._close_watch()

    # -- end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Have whatever runs ended; what has not begun yet, because the server does not answer, is given up."""
        with self._lock:
            trial = self._trial
            if trial is not None and trial.run is None:
                self._ended("stopped")
            elif trial is not None and trial.run is not None and not trial.stopping:
                trial.stopping = True
                self._set(stopping=True)
                _have_it_stopped(trial.run)

    def close(self) -> None:
        """Stop, and begin nothing any more."""
        with self._lock:
            self._closed = True
            self.stop()
            self._close_watch()
            self._trial = None

    def _close_watch(self) -> None:
        self._end_watch()
        self._watch = self.occupancy = None


def _have_it_stopped(run: LoadRun | LessonRun) -> None:
    threading.Thread(target=run.stop, args=(STOP_S,), name="pgmonkey-lab-stop", daemon=True).start()
