"""What happens while a load runs, noted by its clients and read by others: every request, and the queue over time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pgmonkey_magic.pools import PoolUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgmonkey_magic.tuning.lab.load import Clock, Turn

SHOWN_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Served:
    """One request that got its connection. `queued`: it found every connection taken. Times in seconds."""

    at_s: float
    wait_s: float
    hold_s: float
    queued: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """The pool at one moment of the run."""

    at_s: float
    in_use: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """A load so far; a copy that nobody changes. `seconds` have passed.

    `cut` requests were ended by the end of the run: their waits and holds are not in the figures. `timeouts` got no
    connection in time, `errors` failed otherwise, and `causes` are the first sentences of these.
    """

    seconds: float
    served: tuple[Served, ...]
    timeouts: int
    errors: int
    cut: int
    causes: tuple[str, ...]
    moments: tuple[Moment, ...]

    @property
    def throughput(self) -> float:
        """Requests served per second."""
        return len(self.served) / max(self.seconds, 1e-9)


class Request:
    """One request on its way; a client enters `with notes.request(turn) as request`."""

    def __init__(self, asked_s: float, *, queued: bool) -> None:
        self.asked_s, self.queued = asked_s, queued
        self.granted_s: float | None = None


class Notes:
    """The book of one run. Clients write, anybody reads, from any thread."""

    def __init__(self, clock: Clock, size: Callable[[], int]) -> None:
        self._clock, self._size = clock, size
        self._lock = threading.Lock()
        self._present = 0
        self._served: list[Served] = []
        self._moments: list[Moment] = []
        self._causes: list[str] = []
        self._timeouts = self._errors = self._cut = 0
        self._seconds: float | None = None
        self.cutting = False
        """Set when the run is being ended: what fails from now on was cut off and is no error."""

    @contextmanager
    def request(self, turn: Turn) -> Iterator[Request]:
        """Note one request from its time on; its failure is counted and goes no further."""
        with self._lock:
            queued = self._present >= self._size()
            self._present += 1
        request = Request(turn.at_s, queued=queued)
        try:
            yield request
        except (psycopg.Error, PoolUnavailable) as error:
            self._failed(error)
        except BaseException:  # a task that is cancelled
            with self._lock:
                self._cut += 1
            raise
        else:
            self._ended(request)
        finally:
            with self._lock:
                self._present -= 1

    def granted(self, request: Request) -> None:
        """Note that the request has its connection."""
        request.granted_s = self._clock.seconds()

    def look(self, in_use: int, waiting: int) -> None:
        """Note the pool at this moment."""
        with self._lock:
            self._moments.append(Moment(self._clock.seconds(), in_use, waiting))

    def close(self) -> None:
        """Note that the run is over: time stands still."""
        self._seconds = self._clock.seconds()

    def measurement(self) -> Measurement:
        """Return what was noted so far."""
        with self._lock:
            return Measurement(
                self._clock.seconds() if self._seconds is None else self._seconds,
                tuple(self._served),
                self._timeouts,
                self._errors,
                self._cut,
                tuple(self._causes),
                tuple(self._moments),
            )

    def _ended(self, request: Request) -> None:
        now = self._clock.seconds()
        granted_s = now if request.granted_s is None else request.granted_s
        served = Served(request.asked_s, max(0.0, granted_s - request.asked_s), now - granted_s, request.queued)
        with self._lock:
            self._served.append(served)

    def _failed(self, error: Exception) -> None:
        with self._lock:
            if self.cutting:
                self._cut += 1
                return
            # Where the pool could not connect, the error has that cause.
            if isinstance(error, PoolUnavailable) and error.__cause__ is None:
                self._timeouts += 1
            else:
                self._errors += 1
            if len(self._causes) < SHOWN_ERRORS:
                self._causes.append(" ".join(str(error).split()))
