"""Figures that a test has found, for whoever reads its output."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

Tell = Callable[..., None]


@pytest.fixture
def tell(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Tell:
    """Print figures, and how long it took to get them, and put them into the report."""
    started = time.monotonic()

    def print_and_record(**figures: object) -> None:
        figures["took_s"] = round(time.monotonic() - started, 1)
        for name, value in figures.items():
            record_property(name, value)
        print(f"\n{request.node.name}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))

    return print_and_record
