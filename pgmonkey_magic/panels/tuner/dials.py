"""Where a slider stands for a value: sizes one by one, times in the steps that people think in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgmonkey_magic.panels.drawing import seconds

TIMES_S = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
LEAST_TOP, MOST_TOP = 20, 1000
"""A slider for sizes reaches at least and at most that far; a box takes any number."""


@dataclass(frozen=True, slots=True)
class Dial:
    """One setting's control. `steps` are the values of a slider's positions, empty for a box to tick."""

    setting: str
    label: str
    hint: str
    steps: tuple[float, ...] = ()

    @property
    def is_size(self) -> bool:
        """Whether it counts connections."""
        return self.setting.endswith("_size")

    def position(self, value: float) -> int:
        """Return the position that is nearest to *value*; a size is its own."""
        if self.is_size:
            return int(value)
        return min(range(len(self.steps)), key=lambda at: abs(self.steps[at] - value))

    def value(self, position: int) -> int | float:
        """Return what a position stands for."""
        return position if self.is_size else float(self.steps[position])


DIALS = (
    Dial("min_size", "min_size", "connections kept open"),
    Dial("max_size", "max_size", "the most connections that may exist"),
    Dial("timeout", "timeout, s", "how long a request waits for a connection before an error", TIMES_S[:13]),
    Dial("max_idle", "max_idle, s", "an unused connection above min_size is closed after that", TIMES_S[4:19]),
    Dial("max_lifetime", "max_lifetime, s", "an older connection is replaced", TIMES_S[9:]),
    Dial("check_on_checkout", "check_on_checkout", "prove each connection before handing it out"),
)


def top_of(*sizes: float, so_far: int = LEAST_TOP) -> int:
    """Return where a slider for sizes ends: at *so_far*, or at twice the largest of *sizes* if that one is near it."""
    largest = int(max(sizes))
    return so_far if largest * 1.25 <= so_far else min(MOST_TOP, -(-largest * 2 // 10) * 10)


def shown(setting: str, value: Any) -> str:
    """Return a value as a person reads it, with its unit: `20 connections`, `300 s (5 min)`, `on`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if setting.endswith("_size"):
        return f"{value:,} connection{'' if value == 1 else 's'}"
    return f"{value:g} s ({seconds(value)})" if 120 <= value < 1e9 else f"{value:g} s"


def change(setting: str, now: Any, new: Any) -> str:
    """Return two values as a person reads them: `4 → 10 connections`, `30 s → 300 s (5 min)`."""
    return (
        f"{now:,} → {shown(setting, new)}"
        if setting.endswith("_size")
        else f"{shown(setting, now)} → {shown(setting, new)}"
    )
