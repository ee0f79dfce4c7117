"""COMMIT, and what became of it where its answer never came.

A connection that breaks between COMMIT and its answer leaves the client with the same error whether the server
committed or not. The server knows: so the number of the transaction is asked for before COMMIT, where it has written
anything, and on another connection its fate afterwards (pg_xact_status).
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus, TransactionStatus

from pgmonkey_magic.pools.connecting import connect_parameters
from pgmonkey_magic.pools.liveness import ask

if TYPE_CHECKING:
    from psycopg.abc import PQGen

    from pgmonkey_magic.config import Config

logger = logging.getLogger("pgmonkey_magic.pools")

OUTCOME_TIMEOUT_S = 5.0
_LIFE = (
    "pg_catalog.concat(pg_catalog.pg_postmaster_start_time(), ' ', "
    "(SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter))"
)
"""Changes when the server is started, and also when it recovers from a crash of one of its processes: that resets the
statistics, and nothing else that everybody may read tells of it."""
_WHO = f"SELECT pg_catalog.pg_current_xact_id_if_assigned(), {_LIFE}"


class CommitLost(Exception):  # noqa: N818 - what happened; worded for people where it is caught
    """The connection was lost after COMMIT was sent and before its answer came; `__cause__` is how.

    `xid` is the transaction's number, by which the server can be asked; None where it had written nothing. `life` says
    since when the server's memory reaches back.
    """

    def __init__(self, xid: str | None, life: str) -> None:
        super().__init__(xid)
        self.xid = xid
        self.life = life


def commit(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], *, writes: bool) -> PQGen[None]:
    """Commit the open transaction, if there is one, in psycopg's wait protocol.

    *writes* tells whether it may have written. Raises InFailedSqlTransaction where it is aborted (COMMIT would be
    answered with ROLLBACK and no error: rows lost without a word), the server's error where a deferred constraint
    fails, and CommitLost.
    """
    pgconn = conn.pgconn
    if pgconn.transaction_status == TransactionStatus.IDLE:
        return
    if pgconn.transaction_status == TransactionStatus.INERROR:
        raise errors.InFailedSqlTransaction(
            "the block ended normally, but an error inside it had aborted the transaction: nothing was committed; "
            "let the error out of the block, or put conn.transaction() around the part that may fail"
        )
    xid, life = (yield from whose(conn)) if writes else (None, "")
    try:
        yield from ask(conn, math.inf, b"COMMIT")
    except psycopg.OperationalError as error:
        if pgconn.status == ConnStatus.BAD:
            raise CommitLost(xid, life) from error
        raise


def whose(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> PQGen[tuple[str | None, str]]:
    """Ask, before COMMIT, for the two by which its outcome can be asked for after it: see CommitLost."""
    results = yield from ask(conn, math.inf, _WHO.encode())
    xid, life = (_text(results[0].get_value(0, column)) for column in range(2))
    return xid or None, life


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def transaction_outcome(config: Config, connection_type: str, lost: CommitLost) -> str | None:
    """Ask on a new connection what became of a transaction: `committed`, `aborted`, or None where nobody knows.

    One that had written nothing has nothing to lose and counts as committed. The server may still be at it, or not have
    noticed that its client is gone, so it is asked for some seconds. A server that has been started anew since may have
    given the number to another transaction, so what it then calls committed is not believed.
    Source: pg_xact_status in PostgreSQL's documentation of transaction information functions.
    """
    if lost.xid is None:
        return "committed"
    deadline = time.monotonic() + OUTCOME_TIMEOUT_S
    while True:
        try:
            with psycopg.connect(**connect_parameters(config, connection_type)) as conn:
                row = conn.execute(f"SELECT pg_catalog.pg_xact_status(%s::xid8), {_LIFE}", [lost.xid]).fetchone()
                if row and row[0] != "in progress":
                    return None if row[0] == "committed" and row[1] != lost.life else row[0]
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                return None  # the caller says that it is not known
        except psycopg.DatabaseError:
            return None  # a server that has come back without that transaction, or that is no PostgreSQL 13
        if time.monotonic() > deadline:
            return None
        time.sleep(0.1)


def settle(config: Config, connection_type: str, lost: CommitLost) -> None:
    """Return where a block's lost commit turns out to be done; else raise the error that says how it stands."""
    outcome = transaction_outcome(config, connection_type, lost)
    if outcome == "committed":
        logger.warning("a connection was lost while it committed; the server says that the transaction was committed")
    elif outcome == "aborted":
        raise errors.ConnectionFailure(
            "the connection was lost at COMMIT and the server says that the transaction was rolled back: nothing has "
            "changed, run the block again"
        ) from lost.__cause__
    else:
        raise errors.TransactionResolutionUnknown(
            "the connection was lost at COMMIT: whether the server committed is not known; look at the data before you "
            "run the block again"
        ) from lost.__cause__
