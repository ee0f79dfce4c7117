"""What a person should look at, in one sentence each; most pressing first. Pure functions of facts and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pgmonkey_magic.panels.facts import Facts, Memory
    from pgmonkey_magic.panels.seen import Slot

HELD_S = 30.0
"""A connection that is held for longer is named: as long as the default `timeout`, so others may give up on it."""
IDLE_IN_TRANSACTION_S = 10.0
GROWING = 3
"""Requests from which a queue can be called one that grows."""
SHOWN = 4
"""Alarms of one kind that are shown; more would hide the others."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A sentence in up to three parts: what, for how many seconds (NaN for none), and the rest."""

    what: str
    seconds: float = math.nan
    rest: str = ""


def alarms_of(facts: Facts, memory: Memory, slots: Sequence[Slot]) -> tuple[Alarm, ...]:
    """Return everything that calls for somebody."""
    return (
        *_server(facts),
        *_queue(facts, memory),
        *_long(slots, "idle in tx", IDLE_IN_TRANSACTION_S, "has been idle in a transaction for"),
        *_long(slots, "in use", HELD_S, "has been held for"),
    )


def _server(facts: Facts) -> Iterator[Alarm]:
    server = facts.server
    full = server is not None and server.used is not None and server.used >= server.limit - server.reserved
    if server is not None and full:
        reserved = f", {server.reserved} of them reserved" if server.reserved else ""
        yield Alarm(f"the server is full: {server.used}/{server.limit} connections{reserved}")
    elif server is not None and server.refused_as_full:
        yield Alarm(f"the server is full: {server.error}")
    elif server is not None and server.error and not facts.connect_error:
        yield Alarm(f"the server does not answer this panel: {server.error}")
    if facts.connect_error:
        yield Alarm(f"the pool cannot connect: {facts.connect_error}")


def _queue(facts: Facts, memory: Memory) -> Iterator[Alarm]:
    waiting = len(facts.queue)
    now = [sample.waiting for sample in memory.samples if sample.at > facts.at - 5]
    before = [sample.waiting for sample in memory.samples if facts.at - 10 < sample.at <= facts.at - 5]
    grows = before and waiting >= GROWING and sum(now) / len(now) > 1.2 * sum(before) / len(before)
    if grows:
        yield Alarm(f"the queue grows: {waiting} wait, {before[0]} did 10 s ago; end a holder or raise max_size")
    elif waiting and facts.queue[0].seconds > facts.timeout_s / 2:
        oldest = facts.queue[0]
        yield Alarm(f"{oldest.who} has been waiting for", oldest.seconds, f" of the pool's {facts.timeout_s:g} s")


def _long(slots: Sequence[Slot], kind: str, limit_s: float, words: str) -> Iterator[Alarm]:
    found = sorted((slot for slot in slots if slot.kind == kind and slot.seconds > limit_s), key=lambda s: -s.seconds)
    for slot in found[:SHOWN]:
        query = f" ({slot.query})" if slot.query else ""
        yield Alarm(f"{slot.name} {words}", slot.seconds, f": {slot.who}{query}")
    if len(found) > SHOWN:
        yield Alarm(f"… and {len(found) - SHOWN} more connections the same")
