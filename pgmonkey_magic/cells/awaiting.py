"""Waiting for a job in an event loop, so that the notebook's stop button is heard and says what goes on.

A kernel's handler of the interrupt puts its work into the loop without waking it (source: ipykernel's
`_cancel_on_sigint`, and `call_soon` in the loop's own thread), so a loop in which nothing happens hears of it when the
job ends. The handler cancels the cell's task, and a cell's error is then a bare CancelledError.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEAT_S = 0.2


@contextmanager
def loop_awake() -> Iterator[None]:
    """Wake the running loop now and then, while the block awaits something."""
    loop = asyncio.get_running_loop()

    def beat() -> None:
        nonlocal timer
        timer = loop.call_later(HEARTBEAT_S, beat)

    timer = loop.call_later(HEARTBEAT_S, beat)
    try:
        yield
    finally:
        timer.cancel()


def say(cancelled: asyncio.CancelledError, sentence: str) -> None:
    """Have a cancellation say *sentence*, in IPython in place of a traceback.

    It stays the same object of the same class, by which asyncio knows its own cancellations.
    """
    shown: Any = cancelled
    shown.args = (sentence,)
    shown._render_traceback_ = lambda: [f"\x1b[31mCancelledError\x1b[39m: {sentence}"]
