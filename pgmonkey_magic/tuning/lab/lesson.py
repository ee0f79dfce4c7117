"""A lesson: one question, the steps that answer it on a real server, and the answer with its figures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import BrokenBarrierError
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import PoolUnavailable
from pgmonkey_magic.tuning.lab.background import Background
from pgmonkey_magic.tuning.lab.bench import Bench
from pgmonkey_magic.tuning.lab.own_pool import allowance, refuse_beyond

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgmonkey_magic.config import Config

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is asked and how it is answered. `connections` is the most that it has open at once."""

    name: str
    question: str
    steps: tuple[str, ...]
    connections: int
    teach: Callable[[Bench], tuple[Rows, str]]
    """Returns the table and the answer, one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a lesson has measured; the caller may make a DataFrame of the rows."""

    lesson: Lesson
    connection_type: str
    rows: Rows
    sentence: str
    seconds: float


class LessonRun(Background[Answer]):
    """Runs a lesson in a thread of its own; `begin` it, then take its `outcome()`."""

    def __init__(self, lesson: Lesson, config: Config, connection_type: str, allowed: int) -> None:
        super().__init__(f"pgmonkey-lab {lesson.name}")
        self.lesson = lesson
        self._bench = Bench(config, connection_type, allowed, self._stopping)

    @classmethod
    def begin(cls, lesson: Lesson, config: Config, connection_type: str) -> LessonRun:
        """Start it. Raises RequestError where it takes more than half of what the server has free."""
        if config.pgbouncer:
            raise RequestError(
                "a lesson looks at the server's own processes, which PgBouncer hides; give the lab a configuration "
                "with the server's own address"
            )
        allowed = allowance(config, connection_type)
        refuse_beyond(allowed, lesson.connections, f"the lesson {lesson.name}")
        run = cls(lesson, config, connection_type, allowed)
        run.start()
        return run

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask it to end: its statements are cancelled on the server; tell whether it has ended in time."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        while not self.done() and time.monotonic() < deadline:
            self._bench.cut()  # again and again: whoever waited may have got a connection meanwhile
            self.wait(0.05)
        return self.done()

    def _work(self) -> Answer:
        began = time.perf_counter()
        try:
            rows, sentence = self.lesson.teach(self._bench)
        except (psycopg.Error, PoolUnavailable, BrokenBarrierError):
            self._bench.check()  # what fails after a stop fails because of it
            raise
        return Answer(self.lesson, self._bench.connection_type, rows, sentence, time.perf_counter() - began)
