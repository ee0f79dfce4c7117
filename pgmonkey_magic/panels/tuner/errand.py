"""A question that takes its time, such as one to a server, asked in a thread of its own; its answer is there later."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was answered, or the error in words; `asked_at` is `time.monotonic()`."""

    value: T | None
    error: str
    asked_at: float


class Errand(Generic[T]):
    """One question at a time. `latest` is the last answer; the thread ends with it, or with the process."""

    def __init__(self, name: str) -> None:
        self.latest: Answer[T] | None = None
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[], T]) -> None:
        """Begin to ask, unless the question before has no answer yet; returns at once."""
        with self._lock:
            if self.under_way:
                return
            self._thread = threading.Thread(target=self._go, args=(question,), name=self._name, daemon=True)
            self._thread.start()

    @property
    def under_way(self) -> bool:
        """Whether an answer is still to come."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is under way; tell whether that has come true in time."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return not self.under_way

    def _go(self, question: Callable[[], T]) -> None:
        asked_at = time.monotonic()
        try:
            self.latest = Answer(question(), "", asked_at)
        except Exception as error:  # noqa: BLE001 - a thread's end: the words stand where the answer would
            self.latest = Answer(None, " ".join(str(error).split()), asked_at)
