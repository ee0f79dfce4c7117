"""What the tutorial suggests before anything was measured, as changes to propose, each with its reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.tuning import LIFECYCLES, PER_FLASK_WORKER, StartingSize, fastapi_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgmonkey_magic.config import PoolSettings


@dataclass(frozen=True, slots=True)
class Preset:
    """Values by setting, and why."""

    words: str
    values: Mapping[str, Any]
    reason: str

    def proposed(self, settings: PoolSettings) -> dict[str, Any]:
        """Return the values, and a smaller min_size where the present one would no longer fit."""
        most = self.values.get("max_size")
        too_many = most is not None and settings.min_size > most
        return {**self.values, **({"min_size": most} if too_many else {})}


def _of_size(words: str, size: StartingSize) -> Preset:
    return Preset(words, {"max_size": size.high}, f"max_size {size.low} to {size.high} to begin with: {size.rule}")


def for_fastapi(concurrent_requests: int) -> Preset:
    """Return the preset for an async pool that so many requests use at once."""
    return _of_size("FastAPI", fastapi_size(concurrent_requests))


PRESETS = {
    **{
        each.name: Preset(f"{each.name}: {each.workload}", each.settings(), f"{each.workload}: {each.reason}")
        for each in LIFECYCLES.values()
    },
    "flask": _of_size("Flask: each worker process has its own pool", PER_FLASK_WORKER),
}
"""By name; that for FastAPI needs a number."""
