"""`%pgmonkey lab` where widgets are shown: the panel for this notebook's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmonkey_magic.cells.session import pooled_type
from pgmonkey_magic.notebook.lessons import lesson_named, server_of
from pgmonkey_magic.panels.lab.panel import LabPanel

if TYPE_CHECKING:
    from pgmonkey_magic.cells import Session


def lab_panel(session: Session, lesson: str, connection_type: str | None) -> LabPanel:
    """Return the panel for the server of the current pool, or else of the demo; it begins with *lesson*.

    Raises RequestError for a lesson or a type that is none. A server that does not answer is said in the panel.
    """
    if lesson:
        lesson_named(lesson)
    kind = pooled_type(connection_type) if connection_type else ""
    config, its_type = server_of(session)
    current = session.current
    return LabPanel(config, kind or its_type, (current.name, current.pool) if current else None, lesson)
