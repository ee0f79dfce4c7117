"""Threads for jobs, used again: to start one costs a tenth of what a small cell takes, more on a busy machine."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_IDLE = 4

_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # their threads stay with the parent


def in_thread(work: Callable[[], None], name: str) -> None:
    """Run *work*, which raises nothing, in a daemon thread that has this name meanwhile."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.give(work, name)


class _Worker:
    def __init__(self) -> None:
        self._given: queue.SimpleQueue[tuple[Callable[[], None], str]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def give(self, work: Callable[[], None], name: str) -> None:
        self._given.put((work, name))

    def _serve(self) -> None:
        thread = threading.current_thread()
        while True:
            work, thread.name = self._given.get()
            work()
            del work  # a job, and with it the rows that it has fetched
            if len(_idle) >= MOST_IDLE:
                return
            thread.name = "pgmonkey-idle"
            _idle.append(self)
