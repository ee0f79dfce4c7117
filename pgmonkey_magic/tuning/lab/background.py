"""Something of the lab that runs in a thread of its own, can be stopped, and leaves a result or an error."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from pgmonkey_magic.errors import PgMonkeyError

T = TypeVar("T")


class LabStopped(PgMonkeyError):  # noqa: N818 - what happened is the name
    """Somebody stopped the lab before it had its answer."""


class Background(Generic[T]):
    """Calls `_work` in a thread as soon as `start` is called."""

    def __init__(self, name: str) -> None:
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def done(self) -> bool:
        """Tell whether it has ended, and left nothing that runs."""
        return not self._thread.is_alive()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Ask it to end, wait for that at most so long, tell whether it has. Any thread may ask, more than once."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return self.done()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end at most so long; tell whether it has ended."""
        self._thread.join(timeout_s)
        return self.done()

    def outcome(self) -> T:
        """Wait for the end and return what came of it; raises what it failed with.

        An interrupt of the wait stops it.
        """
        try:
            while not self.wait(0.2):  # in slices, so that Ctrl-C is seen
                pass
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._error is not None:
            raise self._error
        return self._outcome[0]

    def _work(self) -> T:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:  # noqa: BLE001 - a thread's end: the error goes to whoever asks for the outcome
            self._error = error
