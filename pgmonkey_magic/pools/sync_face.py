"""A sync psycopg connection over an async one, for libraries that know no other kind.

Both are thin clients of one libpq handle, and only one of them may use it at a time. While the sync one is in use the
async one rests; what belongs to it stays its own: adapters, prepared statements, notification handlers.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import PQGen

T = TypeVar("T")


class SyncFace(psycopg.Connection[Any]):
    """Does not own its handle, which stays open when this is gone."""

    def hold(self, gen: PQGen[T]) -> T:
        """Hold a conversation whose trace the pool knows, as the connections of the sync pool do."""
        return self.wait(gen)

    def __del__(self) -> None:  # type: ignore[override] - psycopg's own warns of an open handle that nobody will close
        pass


@contextmanager
def sync_face(conn: psycopg.AsyncConnection[Any]) -> Iterator[SyncFace]:
    """Use *conn*, which nobody else may use meanwhile, as a sync connection, in the thread that asks for it."""
    pgconn = conn.pgconn
    on_notice, on_notify = pgconn.notice_handler, pgconn.notify_handler
    face = SyncFace(pgconn)
    # LISTEN was the async connection's, so it also hears what arrives now.
    pgconn.notify_handler = on_notify
    # Its statements would get the names of those that the async connection has prepared.
    face.prepare_threshold = None
    try:
        yield face
    finally:
        pgconn.notice_handler, pgconn.notify_handler = on_notice, on_notify
