"""The private event loop on which every async pool of this process lives.

An asyncio pool belongs to the loop that opened it, but a notebook, `asyncio.run` and a web server each bring their own.
So the pools live on one daemon thread with a loop that never closes, and any loop or thread borrows through it.
A selector loop, because psycopg cannot use Windows' proactor loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = globals().get("_loop")  # kept where autoreload runs this file again


def pool_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, starting its thread on first use."""
    global _loop  # noqa: PLW0603 - one loop per process is the point of this module
    with _lock:
        if _loop is None:
            _loop = asyncio.SelectorEventLoop()
            threading.Thread(target=_loop.run_forever, name="pgmonkey-loop", daemon=True).start()
        return _loop


def submit(coro: Coroutine[Any, Any, T]) -> Future[T]:
    """Run *coro* on the pools' loop from any thread."""
    return asyncio.run_coroutine_threadsafe(coro, pool_loop())


def on_pool_loop() -> bool:
    """Tell whether the caller is already running on the pools' loop."""
    try:
        return asyncio.get_running_loop() is _loop
    except RuntimeError:
        return False


def _forget_parent_loop() -> None:
    # Only the forking thread exists in a child: the loop object is there, but nothing runs it.
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent_loop)
