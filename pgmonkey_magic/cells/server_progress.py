"""What the server itself tells of a long command's progress, read over one short-lived connection of its own.

Source: PostgreSQL's documentation, "Progress Reporting". Who may not see the view, or whose server has none, sees
nothing: it is an addition to the live line, and no reason to fail.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgmonkey_magic.pools import connect_parameters
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from pgmonkey_magic.cells.job import Job

logger = logging.getLogger("pgmonkey_magic")

STEP_S = 1.0
_BLOCKS = (("heap_blks_scanned", "heap_blks_total", "blocks"),)
_VIEWS = {
    "vacuum": ("vacuum", _BLOCKS),
    "analyze": ("analyze", (("sample_blks_scanned", "sample_blks_total", "blocks"),)),
    "create": ("create_index", (("blocks_done", "blocks_total", "blocks"), ("tuples_done", "tuples_total", "tuples"))),
    "reindex": ("create_index", (("blocks_done", "blocks_total", "blocks"), ("tuples_done", "tuples_total", "tuples"))),
    "cluster": ("cluster", _BLOCKS),
    "copy": ("copy", (("bytes_processed", "bytes_total", "bytes"),)),
}
"""First word of a command → its view pg_stat_progress_…, and which of its columns are done of which."""


class ServerProgress:
    """Watches a job until it ends; `text` is the latest, empty where there is nothing to tell."""

    def __init__(self, job: Job) -> None:
        self.text = ""
        self._job = job
        words = [statement.words[0] for statement in split(job.request.sql) if statement.words]
        self._views = {_VIEWS[word] for word in words if word in _VIEWS}
        if self._views:
            threading.Thread(target=self._watch, name=f"pgmonkey-progress-{job.id}", daemon=True).start()

    def _watch(self) -> None:
        pool = self._job.pool
        parameters = connect_parameters(pool.config, pool.connection_type)
        try:
            with psycopg.connect(**parameters) as conn:
                conn.autocommit = True
                while not self._job.wait(STEP_S):
                    self.text = self._asked(conn)
        except psycopg.Error as error:
            logger.debug("the progress of job %s cannot be read: %s", self._job.id, error)
        finally:
            self.text = ""

    def _asked(self, conn: psycopg.Connection[Any]) -> str:
        cursor = conn.cursor(row_factory=dict_row)
        for view, counts in self._views:
            query = sql.SQL("SELECT * FROM pg_catalog.{} WHERE pid = %s").format(
                sql.Identifier(f"pg_stat_progress_{view}")
            )
            if row := cursor.execute(query, [self._job.backend_pid]).fetchone():
                return described(view, row, counts)
        return ""


def described(view: str, row: dict[str, Any], counts: tuple[tuple[str, str, str], ...]) -> str:
    """Say one row of a progress view: the phase, and how much of the whole is done."""
    phase = row.get("phase") or row.get("command") or view.replace("_", " ")
    for done, total, unit in counts:
        if row.get(total):
            return f"{phase}: {row[done]:,} of {row[total]:,} {unit} ({row[done] / row[total]:.0%})"
    return str(phase)
