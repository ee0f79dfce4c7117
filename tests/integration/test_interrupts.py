"""An interrupt at every single step of a block: none loses the connection.

The steps are those after which CPython looks for signals (the end of a call, a backward jump, the entry of a function).
A trace function stands in for the signal, so that each of them is met, one a round.
"""

from __future__ import annotations

import contextlib
import dis
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

import pytest
from fix_server import Server

from pgmonkey_magic import PGConnectionManager, PoolUnavailable
from pgmonkey_magic.pools import reclaim

LOOKS_FOR_SIGNALS = {"CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME"}


@cache
def steps_of(code: CodeType) -> frozenset[int]:
    """Return the offsets of the instructions before which CPython may raise KeyboardInterrupt."""
    instructions = [instruction for instruction in dis.get_instructions(code) if instruction.opname != "CACHE"]
    return frozenset(after.offset for before, after in pairwise(instructions) if before.opname in LOOKS_FOR_SIGNALS)


class InterruptAt:
    """A trace function that raises KeyboardInterrupt at the step of that number, counted from 1."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = 0

    def __call__(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "opcode" and frame.f_lasti in steps_of(frame.f_code):
            self.seen += 1
            if self.seen == self.number:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._step


@contextlib.contextmanager
def traced(trace: Any) -> Iterator[None]:
    """Run a block under a trace function, and have the former one back."""
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def can_borrow(pool: Any) -> bool:
    """Tell whether the only connection can be had, asked in a thread that no interrupt reaches."""
    had: list[bool] = []

    def body() -> None:
        with contextlib.suppress(PoolUnavailable):
            pool.give_back(pool.borrow(timeout=1))
            had.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return bool(had)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the steps are those of CPython")
def test_an_interrupt_at_any_step_of_a_block_loses_nothing(server: Server) -> None:
    manager = PGConnectionManager()
    pool: Any = manager.get_database_connection_from_dict(
        server.config() | {"pool_settings": {"min_size": 1, "max_size": 1}}, "pool"
    )

    def block() -> None:
        with pool as conn:
            conn.execute("SELECT 1")

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        block()  # a first time, so that every step of it is one of a warm pool
        for number in range(1, 2000):
            since = time.monotonic()
            try:
                with traced(InterruptAt(number)):
                    block()
            except KeyboardInterrupt:
                reclaim(since)  # as a notebook does at the end of an interrupted cell
                assert can_borrow(pool), f"step {number} loses the connection"
            else:
                break
        else:
            pytest.fail("the block does not end")
        assert number > 100, "the steps of a block were met"
    finally:
        signal.signal(signal.SIGINT, handler)
        manager.clear_cache()
