"""What a change of settings will do, said before it is made: what is wanted → validated settings → sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config import PoolSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgmonkey_magic.pools import Occupancy


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that will change, and when that is felt."""

    setting: str
    before: Any
    after: Any
    effect: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings to apply and what that means."""

    settings: PoolSettings
    changes: tuple[Change, ...]


def plan(before: PoolSettings, wanted: Mapping[str, object], section: str, now: Occupancy) -> Plan:
    """Validate what is wanted by the YAML file's own rules. Raises ConfigError with the path and the near miss."""
    known = asdict(before)
    after = PoolSettings.from_mapping({**known, **wanted}, section)
    changes = [
        Change(name, known[name], value, _effect(name, before, after, now))
        for name, value in asdict(after).items()
        if value != known[name]
    ]
    return Plan(after, tuple(changes))


def _effect(name: str, before: PoolSettings, after: PoolSettings, now: Occupancy) -> str:
    if name == "max_size":
        return _max_size(before, after, now)
    if name == "min_size":
        missing = max(0, min(after.min_size, after.max_size) - now.size)
        if after.min_size > before.min_size:
            return f"now: opens {missing}" if missing else "now: that many are open already"
        return f"idle ones above it close after max_idle ({after.max_idle:g} s) without need"
    return {
        "timeout": "for borrows that begin from now on",
        "max_idle": "counted from now",
        "max_lifetime": "now, also for the connections that exist",
        "check_on_checkout": "from the next borrow on",
        "max_waiting": "for requests from now on",
        "reconnect_timeout": "when the server next cannot be reached",
        "num_workers": "only when the pool is opened anew",
    }[name]


def _max_size(before: PoolSettings, after: PoolSettings, now: Occupancy) -> str:
    surplus = max(0, now.size - after.max_size)
    if surplus:
        idle = min(surplus, now.idle)
        parts = [f"{idle} idle now"] if idle else []
        parts += [f"{surplus - idle} when returned"] if surplus > idle else []
        return f"closes {', '.join(parts)}"
    if now.waiting:
        return f"now: opens up to {min(now.waiting, after.max_size - now.size)} for the {now.waiting} that wait"
    if after.max_size < before.max_size:
        return "now; no connection has to close"
    return "now; connections are opened when they are needed"
