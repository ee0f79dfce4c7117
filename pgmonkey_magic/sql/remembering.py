"""What was read from a text of SQL is remembered for a while: on its way a cell is asked the same several times."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LONGEST = 10_000
"""Characters of a text up to which it is kept."""


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make a pure function of a text remember what it has said of the latest 64."""
    cached = lru_cache(maxsize=64)(read)

    @wraps(read)
    def ask(sql: str) -> T:
        return cached(sql) if len(sql) <= LONGEST else read(sql)

    return ask
