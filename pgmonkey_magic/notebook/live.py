"""What stands under a cell while its job runs: the server's messages as they come, and after a second the live line.

A notebook shows both in place, by their display id; a terminal prints messages as they come and has no live line.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from IPython.display import display

from pgmonkey_magic.cells.server_progress import ServerProgress
from pgmonkey_magic.notebook import display as show

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from pgmonkey_magic.cells import Job

FIRST_S, STEP_S = 1.0, 0.25
"""After how long the live line appears, and how often it changes."""


class Live:
    """The messages and the live line of one job; `step` brings them up to date, `end` takes the line away."""

    def __init__(self, job: Job, *, in_place: bool) -> None:
        self._job = job
        self._in_place = in_place
        self._told = 0
        self._messages: Any = None
        self._line: Any = None
        self._server: ServerProgress | None = None
        self._next_line_at = time.monotonic() + FIRST_S

    def step(self) -> None:
        """Show what is new."""
        self._show_messages()
        if self._in_place and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + STEP_S
            self.show_line()

    def end(self) -> None:
        """Show the last messages and clear the line."""
        self._show_messages()
        if self._line is not None:
            self._line.update(show.shown_lines([]))

    def show_line(self) -> None:
        """Show how far the job is, or how it has ended."""
        self._server = self._server or ServerProgress(self._job)
        shown = show.shown_lines([show.live_line(self._job, self._server.text)])
        self._line = _put(self._line, shown)

    def _show_messages(self) -> None:
        count = len(self._job.notices) + self._job.notices_dropped
        if count == self._told:
            return
        messages = self._job.all_notices()
        if self._in_place:
            self._messages = _put(self._messages, show.shown_notices(messages))
        else:
            display(show.shown_notices(messages[self._told :] or messages[-1:]))
        self._told = count


class LiveJobs:
    """Keeps the lines of background jobs up to date, in one thread that ends with the last of them.

    Where nothing can be changed in place, a job is shown once, as it is.
    """

    def __init__(self, *, in_place: bool) -> None:
        self._in_place = in_place
        self._lives: list[tuple[Job, Live]] = []
        self._lock = threading.Lock()

    def show(self, job: Job) -> None:
        """Display a job: its line, which changes until it has ended."""
        live = Live(job, in_place=True)
        live.show_line()
        if not self._in_place:
            return
        with self._lock:
            self._lives.append((job, live))
            if len(self._lives) == 1:
                threading.Thread(target=self._keep_up, name="pgmonkey-live", daemon=True).start()

    def _keep_up(self) -> None:
        while True:
            with self._lock:
                lives = [*self._lives]
            for job, live in lives:
                ended = job.done()
                live.step()
                if ended:
                    live.show_line()
            with self._lock:
                self._lives = [pair for pair in self._lives if pair not in lives or not pair[0].done()]
                if not self._lives:
                    return
            time.sleep(STEP_S)


def follow(job: Job, *, in_place: bool) -> None:
    """Show a job from the thread that waits for it, until it has ended."""
    live = Live(job, in_place=in_place)
    try:
        while not job.wait(0.1):
            live.step()
    finally:
        live.end()


def is_kernel(shell: InteractiveShell) -> bool:
    """Tell whether what is displayed can be changed in place."""
    return getattr(shell, "kernel", None) is not None


def _put(handle: Any, shown: show.Shown) -> Any:
    if handle is None:
        return display(shown, display_id=True)
    handle.update(shown)
    return handle
