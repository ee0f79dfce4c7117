"""Settings that a kind of work suggests, before anything was measured: the presets of pgmonkey's pooling tutorial."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How long connections live, for one kind of traffic; times in seconds."""

    name: str
    workload: str
    max_idle: float
    max_lifetime: float
    reason: str

    def settings(self) -> dict[str, float]:
        """Return them as they stand in the YAML file."""
        return {"max_idle": self.max_idle, "max_lifetime": self.max_lifetime}


LIFECYCLES = {
    preset.name: preset
    for preset in (
        Lifecycle(
            "steady",
            "web application with steady traffic",
            300,
            3600,
            "a connection is soon needed again, so it may idle for 5 minutes; once an hour a new one picks up the "
            "server's changed settings and gives its memory back",
        ),
        Lifecycle(
            "bursty",
            "bursts of traffic with idle periods between",
            60,
            1800,
            "what a burst has opened is not needed after it, so it goes after a minute; half an hour of life keeps the "
            "few that stay fresh",
        ),
        Lifecycle(
            "background",
            "long-running background workers",
            600,
            7200,
            "work comes rarely and lasts long, so a connection may wait 10 minutes for it and live for 2 hours: "
            "opening it again and again would cost more than keeping it",
        ),
    )
}
"""Three, by name; two settings each."""


@dataclass(frozen=True, slots=True)
class StartingSize:
    """A range of max_size to begin with, and the rule that it comes from."""

    low: int
    high: int
    rule: str


PER_FLASK_WORKER = StartingSize(5, 10, "each Gunicorn worker of a Flask application has a pool of its own, of 5 to 10")


def fastapi_size(concurrent_requests: int) -> StartingSize:
    """Return where to begin with one async pool for all coroutines: 2 to 3 times the concurrent requests."""
    return StartingSize(
        2 * concurrent_requests,
        3 * concurrent_requests,
        f"one async pool serves all coroutines: 2 to 3 times the {concurrent_requests} requests at once",
    )
