"""What a borrower may leave on a connection, and how the next one gets it as it left the factory.

Cleaning at the server costs ten times a borrow, so it is done only after something that may have left a trace. That
is judged from what was sent: everything but a few statements that are known to be harmless counts as a trace. The
judgement sits in `Connection.wait`, through which all of psycopg's conversations pass, whatever cursor began them.

A function of the user's own may set anything, so a call of a function that is not on the list below is a trace too.
What stays unseen is such a function behind a view, an operator or a cast.

Private names of psycopg used: `Cursor._execute_gen`, `Connection._commit_gen`, `_rollback_gen` and
`BaseTransaction._enter_gen`, `_exit_gen` to recognise a conversation (where they are gone, every use counts as a
trace); and the attributes in `_KEPT`, `_HANDLERS`, `restore` and `_are_global`. `tests/unit/test_factory_state.py`
fails when one of them is gone.
"""

from __future__ import annotations

import re
import time
from collections import deque
from enum import IntEnum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import transaction
from psycopg.pq import TransactionStatus

from pgmonkey_magic.pools import liveness

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")

RESET = (
    b"CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; "
    b"SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
)
"""DISCARD ALL without DEALLOCATE ALL, which would break psycopg's own prepared statements."""
RESET_TIMEOUT_S = 2.0
CACHED_LENGTH = 4096


class Trace(IntEnum):
    """What has been left on a connection since it was handed out."""

    NONE = 0
    SESSION = 1
    """Something that RESET takes away, or may have been."""
    PREPARED = 2
    """A statement of SQL's PREPARE: only a new connection is surely without it."""


_NONE = Trace.NONE  # to look up a member of an enumeration takes time


_FIRST_WORD = re.compile(r"\s*(?:SELECT|VALUES|TABLE|SHOW|WITH)\b", re.IGNORECASE)
_PREPARES = re.compile(r"\bPREPARE\b(?!\s+TRANSACTION)", re.IGNORECASE)
_TELLTALE = re.compile(r"\b(?:INTO|INSERT|UPDATE|DELETE|MERGE|pg_temp\w*)\b|--|/\*|;\s*\S", re.IGNORECASE)
"""A write may draw from a sequence, whose last value the session remembers, or fire a trigger. A comment could hide a
word."""
_CALL = re.compile(r"(?<![\w$.\"])([\w$.\"]++)\s*+\(")
_HARMLESS_CALLS = frozenset(
    """
    abs all and any array array_agg array_length as avg bool_and bool_or by case cast ceil coalesce concat count
    current_database current_schema current_setting date_part date_trunc dense_rank distinct else except exists extract
    filter floor format from generate_series greatest group having in inet_server_addr intersect interval join
    json_agg json_build_object jsonb_agg jsonb_build_object lag lateral lead least left length limit lower ltrim max md5
    min mod not now ntile nullif on or order over partition percentile_cont pg_backend_pid pg_is_in_recovery
    pg_postmaster_start_time pg_sleep pg_size_pretty pg_total_relation_size position power random rank regexp_replace
    repeat replace right round row row_number rtrim select set sqrt starts_with string_agg substring sum then to_char
    to_date to_timestamp trim trunc txid_current union unnest upper using values version when where with
    """.split()  # noqa: SIM905 - a list of a hundred quoted words is not read by anybody
)


def trace_of(statement: str | bytes) -> Trace:
    """Return what running *statement* may leave behind; NONE only where it is certain."""
    # A long text would sit in the cache for the life of the process.
    return (_judged if len(statement) <= CACHED_LENGTH else _judged.__wrapped__)(statement)


@lru_cache(maxsize=2048)
def _judged(statement: str | bytes) -> Trace:
    text = statement.decode("utf-8", "replace") if isinstance(statement, bytes) else statement
    if _PREPARES.search(text):
        return Trace.PREPARED
    if not _FIRST_WORD.match(text) or _TELLTALE.search(text):
        return Trace.SESSION
    called = (name.lower().removeprefix("pg_catalog.") for name in _CALL.findall(text))
    return Trace.NONE if all(name in _HARMLESS_CALLS for name in called) else Trace.SESSION


def _code(owner: Any, name: str) -> Any:
    return getattr(getattr(owner, name, None), "__code__", None)


_EXECUTE = _code(psycopg.Cursor, "_execute_gen")
# By identity, because the hash of a code object is computed from all of its code, each time.
_TRACELESS = frozenset(
    id(_code(owner, name))
    for owner, name in (
        (psycopg.Connection, "_commit_gen"),
        (psycopg.Connection, "_rollback_gen"),
        (transaction.BaseTransaction, "_enter_gen"),
        (transaction.BaseTransaction, "_exit_gen"),
        (liveness, "ask"),
        (liveness, "bounded"),
    )
)


def _trace_of_conversation(gen: Any) -> Trace:
    try:
        code = gen.gi_code
        if code is _EXECUTE:
            statement = gen.gi_frame.f_locals["query"]
            return trace_of(statement) if isinstance(statement, (str, bytes)) else Trace.SESSION
    except AttributeError:
        return Trace.SESSION  # no generator of Python's
    return _NONE if id(code) in _TRACELESS else Trace.SESSION


_WAIT, _AWAIT = psycopg.Connection.wait, psycopg.AsyncConnection.wait


class TracedConnection(psycopg.Connection[Any]):
    """A connection that knows whether its borrower may have left something on it, and when its server last answered.

    `heard_at` is in `time.monotonic()` seconds; of a new connection nothing has been heard until it is asked something.
    `uses` counts its borrowers.
    """

    trace = _NONE
    heard_at = 0.0
    uses = 0

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Note what a conversation of the borrower's may leave behind, then hold it."""
        if (trace := _trace_of_conversation(gen)) is not _NONE:
            self.trace = max(self.trace, trace)
        return _WAIT(self, gen, *args, **kwargs)

    def hold(self, gen: PQGen[T]) -> T:
        """Hold a conversation of the pool's, which asks the server something and whose trace the pool knows."""
        answer = _WAIT(self, gen)
        self.heard_at = time.monotonic()
        return answer


class TracedAsyncConnection(psycopg.AsyncConnection[Any]):
    """The twin of TracedConnection."""

    trace = _NONE
    heard_at = 0.0
    uses = 0

    def wait(self, gen: PQGen[Any], *args: Any, **kwargs: Any) -> Any:
        """Note what a conversation of the borrower's may leave behind, then hold it."""
        if (trace := _trace_of_conversation(gen)) is not _NONE:
            self.trace = max(self.trace, trace)
        return _AWAIT(self, gen, *args, **kwargs)

    async def hold(self, gen: PQGen[T]) -> T:
        """Hold a conversation of the pool's, which asks the server something and whose trace the pool knows."""
        answer = await _AWAIT(self, gen)
        self.heard_at = time.monotonic()
        return answer


_SETTINGS = (
    *("row_factory", "cursor_factory", "server_cursor_factory", "prepare_threshold", "prepared_max"),
    *("_autocommit", "_isolation_level", "_read_only", "_deferrable"),
)
_HANDLERS = ("_notice_handlers", "_notify_handlers", "_notifies_backlog")
# The two that are properties are read where they are kept, because every return reads them.
_KEPT = tuple(f"_prepared.{name}" if name.startswith("prepare") else name for name in _SETTINGS)
_client_side = attrgetter(*_KEPT, *_HANDLERS)


def remember(conn: Any) -> None:
    """Keep what a fresh connection looks like on the client's side, for `restore`."""
    conn.trace = _NONE
    conn.factory = (*attrgetter(*_KEPT)(conn), [], [], deque())


def restore(conn: Any) -> None:
    """Give a connection, which is IDLE, its client side back: factories, adapters, transaction settings, handlers."""
    conn.trace = _NONE
    if conn._adapters and not _are_global(conn._adapters):  # noqa: SLF001
        conn._adapters = None  # noqa: SLF001 - psycopg makes new ones when they are needed
    if _client_side(conn) == conn.factory:
        return  # what nearly every borrower leaves, so that this costs no more than a look
    conn._notice_handlers.clear()  # noqa: SLF001
    conn._notify_handlers.clear()  # noqa: SLF001
    settings = dict(zip(_SETTINGS, conn.factory, strict=False))
    conn.prepare_threshold, conn.prepared_max = settings.pop("prepare_threshold"), settings.pop("prepared_max")
    # Not by their properties, whose setters are coroutines on an async connection.
    vars(conn).update(settings, _begin_statement=b"", _notifies_backlog=deque())


def _are_global(adapters: Any) -> bool:
    """Tell whether a connection's adapters are psycopg's global ones as they are now.

    Until one is registered a connection shares the tables of the global map, so this compares by identity.
    """
    every = psycopg.adapters
    return (
        adapters._loaders == every._loaders  # noqa: SLF001
        and adapters._dumpers == every._dumpers  # noqa: SLF001
        and adapters._dumpers_by_oid == every._dumpers_by_oid  # noqa: SLF001
        and adapters.types._registry is every.types._registry  # noqa: SLF001
    )


def rollback(conn: Any) -> PQGen[None]:
    """Roll back as psycopg does, but not for longer than a pool can wait for a network that swallows everything."""
    return liveness.bounded(conn._rollback_gen(), time.monotonic() + RESET_TIMEOUT_S)  # noqa: SLF001


def must_reset(conn: Any) -> bool:
    """Tell whether a returned connection, rolled back already, needs RESET."""
    return conn.trace is Trace.SESSION and conn.pgconn.transaction_status == TransactionStatus.IDLE
