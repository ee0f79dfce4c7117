"""The one thread behind a panel: it draws, freezes and closes it, so that callbacks have next to nothing to do."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from typing import Protocol

logger = logging.getLogger("pgmonkey_magic")
LIVELY_S, QUIET_S = 0.5, 2.0
"""How long the ticker rests between two steps while something changes, and while nothing does."""


class Steps(Protocol):
    """What a ticker drives."""

    def step(self) -> bool:
        """Bring the picture up to date; tell whether something has changed. Raises nothing."""
        ...


class Ticker:
    """Calls `step` of a panel until it is told to stop, or until nobody holds the panel any more."""

    def __init__(self, panel: Steps) -> None:
        self._panel = weakref.ref(panel)
        self._wanted = threading.Event()
        self._stopped = False
        _tickers.add(self)
        self._thread = threading.Thread(target=self._run, name="pgmonkey-panel", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the next step made now."""
        self._wanted.set()

    def stop(self) -> None:
        """Make no further step. Does not wait for the one that may be under way."""
        self._stopped = True
        self._wanted.set()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.clear()
            if (panel := self._panel()) is None:
                return
            try:
                lively = panel.step()
            except Exception:  # the thread's end: a kernel that ends has nobody left to send a picture to
                logger.debug("a panel has ended", exc_info=True)
                return
            del panel  # nobody shall be kept alive by a thread that rests
            self._wanted.wait(LIVELY_S if lively else QUIET_S)


_tickers: weakref.WeakSet[Ticker] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    # Before the pools close, which ends their panels: whoever restarts a kernel has forgotten its widgets, and
    # JupyterLab complains of each message about one of them.
    for ticker in [*_tickers]:
        ticker.stop()
