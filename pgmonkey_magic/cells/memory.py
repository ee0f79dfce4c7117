"""The guard on memory: a job whose rows would fill it is stopped, before the system ends the whole kernel.

Looked at from outside, in one thread for all jobs, so that every way to fetch is under it: what a job has taken is what
the process has grown by since it began. `free_bytes` knows of the limit of a container (Linux control groups, v1 and
v2), which the system's own figure does not: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import PgMonkeyError

if TYPE_CHECKING:
    from pgmonkey_magic.cells.job import Job

LOOK_S, REST_S = 0.05, 5.0
"""How often running jobs are looked at, and after how long without any the thread ends."""
GROUPS = (
    ("memory.max", "memory.current", "inactive_file "),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file "),
)
"""Files of limit and use in the two versions, and what `memory.stat` beside them counts as use but can be dropped."""


class ResultTooLarge(PgMonkeyError):  # noqa: N818 - a finding about the result
    """A job was stopped because its result took too much of the memory that was free."""


@dataclass(slots=True)
class Watched:
    """A job, and what the process had taken and the system had free when it was first seen, in bytes."""

    job: Job
    taken: int
    free: int
    warned: bool = False


class MemoryGuard:
    """Watches jobs while they run. `warn` and `stop` are shares of the memory that was free when a job began."""

    def __init__(self, warn: float = 0.5, stop: float = 0.8) -> None:
        self.warn = warn
        self.stop = stop
        self._jobs: list[Watched] = []
        self._new: list[Job] = []
        self._bell = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, job: Job) -> None:
        """Look after a job until it has ended."""
        with self._lock:
            self._new.append(job)
            self._bell.set()
            if self._thread is not None and self._thread.is_alive():  # a forked child has none
                return
            self._thread = threading.Thread(target=self._keep_watch, name="pgmonkey-memory", daemon=True)
            self._thread.start()

    def _keep_watch(self) -> None:
        while True:
            if not self._bell.wait(REST_S):
                with self._lock:
                    if not self._new:
                        self._thread = None
                        return
            time.sleep(LOOK_S)
            self._bell.clear()
            self.look()
            if self._jobs:
                self._bell.set()

    def look(self) -> None:
        """Look at every job once."""
        with self._lock:
            new, self._new = self._new, []
        import psutil  # noqa: PLC0415 - who loads the extension need not wait for it

        taken = psutil.Process().memory_info().rss
        self._jobs += [Watched(job, taken, free_bytes()) for job in new]
        self._jobs = [watched for watched in self._jobs if not watched.job.done()]
        for watched in self._jobs:
            self._judge(watched, taken - watched.taken)

    def _judge(self, watched: Watched, grown: int) -> None:
        share = grown / max(watched.free, 1)
        said = f"{_size(grown)} of the {_size(watched.free)} of memory that were free"
        if share > self.stop:
            watched.job.stop(
                ResultTooLarge(
                    f"the result had taken {said} when it was stopped; take it in parts with --as chunks, less of it "
                    "with --max-rows, or write it to a file with %pgmonkey export (%config PgMonkey.memory_stop is "
                    f"{self.stop:g})"
                )
            )
        elif share > self.warn and not watched.warned:
            watched.warned = True
            watched.job.remarks.append(f"the result has taken {said}")


def free_bytes() -> int:
    """Return how much memory this process may still take."""
    import psutil  # noqa: PLC0415 - as above

    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups(root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    left = []
    for limit, current, droppable in GROUPS:
        with suppress(OSError, ValueError):  # no such group, or no limit ("max")
            used = int((root / current).read_text())
            stat = (root / limit).with_name("memory.stat").read_text().splitlines()
            used -= sum(int(line.split()[1]) for line in stat if line.startswith(droppable))
            left.append(max(int((root / limit).read_text()) - used, 0))
    return left


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:,.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:,.0f} MB"
