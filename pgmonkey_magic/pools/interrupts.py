"""Ctrl-C and the main thread, in which Python raises KeyboardInterrupt between any two steps of a program.

Whatever must not be torn there, such as taking a connection out of a pool, is done by a helper thread, which no
interrupt reaches. Helpers are kept for the next time, because starting a thread costs more than a borrow.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_resting: deque[SimpleQueue[Callable[[], object]]] = deque()


def may_be_interrupted() -> bool:
    """Tell whether KeyboardInterrupt can be raised here: in the main thread, under Python's own handler.

    An `asyncio.run` and web servers put handlers in its place that end tasks in an orderly way.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def in_helper(work: Callable[[], object]) -> None:
    """Have a helper thread run *work*, which must see to its own errors; returns at once."""
    try:
        errands = _resting.pop()
    except IndexError:
        errands = SimpleQueue()
        threading.Thread(target=_help, args=(errands,), name="pgmonkey-helper", daemon=True).start()
    errands.put(work)


def _help(errands: SimpleQueue[Callable[[], object]]) -> None:
    while True:
        work = errands.get()
        work()
        del work  # what it has seen is not kept alive until the next errand
        _resting.append(errands)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resting.clear)
