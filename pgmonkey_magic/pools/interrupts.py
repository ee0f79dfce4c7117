"""Ctrl-C and the main thread, in which Python raises KeyboardInterrupt between any two steps of a program.

Whatever must not be torn there, such as taking a connection out of a pool, is done by a helper thread, which no
interrupt reaches. Helpers are kept for the next time, because starting a thread costs more than a borrow.

Waiting for a helper is waiting for a lock of the interpreter: `threading.Condition`, on which a Future waits and the
start of a `threading.Thread`, turns an interrupt that comes at the wrong step into a RuntimeError.
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - C's side of signal, which has no types of its own
import _thread
import os
import signal
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_main = threading.main_thread().ident
_resting: deque[SimpleQueue[Callable[[], object]]] = deque()


def may_be_interrupted() -> bool:
    """Tell whether KeyboardInterrupt can be raised here: in the main thread, under Python's own handler.

    An `asyncio.run` and web servers put handlers in its place that end tasks in an orderly way.
    """
    # Not signal.getsignal, which looks for every handler in an enumeration: the error that says that it is not in there
    # spells out asyncio's handler with the whole running task, for 30 microseconds.
    return threading.get_ident() == _main and _signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Errand(Generic[T]):
    """What a helper is asked to do; `result` waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = _thread.allocate_lock()
        self._done.acquire()
        self._outcome: list[T] = []
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Do it; in the helper's thread."""
        try:
            self._outcome.append(self._work())
        except BaseException as error:  # noqa: BLE001 - a helper's end: the error travels to the one who waits
            self._error = error
        finally:
            self._done.release()

    def result(self, timeout: float = -1) -> T:
        """Return what the work returned, or raise its error; TimeoutError after *timeout* seconds, if not negative."""
        if not self._done.acquire(timeout=timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._outcome[0]


def in_helper(work: Callable[[], T]) -> Errand[T]:
    """Have a helper thread run *work*; return at once."""
    errand = Errand(work)
    try:
        errands = _resting.pop()
    except IndexError:
        errands = SimpleQueue()
        _thread.start_new_thread(_help, (errands,))
    errands.put(errand)
    return errand


def _help(errands: SimpleQueue[Callable[[], object]]) -> None:
    while True:
        errand = errands.get()
        errand()
        del errand  # what it has seen is not kept alive until the next one
        _resting.append(errands)


def _forget_parent() -> None:
    global _main  # noqa: PLW0603 - the thread that forked is the main one of the child
    _main = threading.get_ident()
    _resting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
