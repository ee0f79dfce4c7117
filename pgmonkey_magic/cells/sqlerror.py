"""A psycopg error → an SQLError to act on: the line with a caret, DETAIL, HINT, what became of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import SQLError
from pgmonkey_magic.sql import find_parameters

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.request import Request
    from pgmonkey_magic.pools import Lease

ACTIVE_SQL_TRANSACTION = "25001"
"""What VACUUM, CREATE DATABASE and the like answer inside a transaction block."""
UNDEFINED_PARAMETER = "42P02"
"""What CREATE, ALTER, SET and other commands without a plan answer to a `$1`."""
QUERY_CANCELED = "57014"
NO_SUCH_PREPARED, DUPLICATE_PREPARED = "26000", "42P05"
"""A prepared statement that another server process has, or that a former client has left on this one."""


def explain(
    error: psycopg.Error, request: Request, command: Command | None = None, kept: Lease[Any] | None = None
) -> SQLError:
    """Return the error to raise; the caller chains *error* as its cause.

    *command* is the part of the cell that failed, None where it is not known or the whole; *kept* the connection on
    which a transaction is open now.
    """
    diag = error.diag
    position = diag.statement_position
    if position and command is not None:
        position = str(command.position_in_cell(int(position)))
    message = diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    detail = [*caret_lines(request.sql, position)]
    if diag.message_detail:
        detail.append(f"DETAIL: {diag.message_detail}")
    if hint := _hint(error, request):
        detail.append(f"HINT: {hint}")
    if diag.context:
        detail.append(f"CONTEXT: {diag.context}")
    code = f"SQLSTATE {error.sqlstate}" if error.sqlstate else "the connection was lost"
    detail.append(f"{code} · {_outcome(request, kept)}")
    return SQLError(message, detail=tuple(detail), sqlstate=error.sqlstate, diag=diag, statement=request.sql)


def commit_lost(request: Request, outcome: str | None) -> SQLError:
    """Return the error for a connection that broke between COMMIT and its answer.

    *outcome* is what pg_xact_status said: `committed`, `aborted` or None.
    """
    cut = "the connection was lost while the cell's transaction was being committed; the server says that it was"
    if outcome == "committed":
        return SQLError(f"{cut} committed: do not run the cell again for its changes", statement=request.sql)
    if outcome == "aborted":
        return SQLError(f"{cut} rolled back: nothing has changed, run the cell again", statement=request.sql)
    return SQLError(
        "the connection was lost while the server was committing: whether it did is not known; look at the data before "
        "you run the cell again",
        statement=request.sql,
    )


def _outcome(request: Request, kept: Lease[Any] | None) -> str:
    if kept is not None:
        return f"the transaction of {kept.ticket.holder.who} is aborted; end it with %pgmonkey ROLLBACK"
    if request.in_charge:
        return "what was committed before it stands"
    return "the cell's transaction was rolled back, nothing was committed"


def caret_lines(sql: str, position: str | None) -> tuple[str, ...]:
    """Return the line of *sql* that the server points at and a caret under it.

    *position* counts characters from 1 (PostgreSQL protocol, error field P); None where the server names none.
    """
    if not position or not 0 < int(position) <= len(sql) + 1:
        return ()
    before = sql[: int(position) - 1]
    number = before.count("\n") + 1
    line = sql.split("\n")[number - 1]
    prefix = f"LINE {number}: "
    column = len(before) - (before.rfind("\n") + 1)
    # Tabs stay tabs under the line, so that the caret stands under its word.
    indent = "".join("\t" if char == "\t" else " " for char in line[:column])
    return (prefix + line.rstrip(), " " * len(prefix) + indent + "^")


def _hint(error: psycopg.Error, request: Request) -> str | None:
    if error.sqlstate == ACTIVE_SQL_TRANSACTION and not request.autocommit:
        return "this statement cannot run inside a transaction: use %%pgmonkey --autocommit"
    if error.sqlstate == UNDEFINED_PARAMETER and find_parameters(request.sql):
        return "this statement takes no bound values; write :'name' for a quoted literal"
    if error.sqlstate == QUERY_CANCELED and request.timeout_s is not None:
        return f"--timeout {request.timeout_s:g} ended it"
    if error.sqlstate in {NO_SUCH_PREPARED, DUPLICATE_PREPARED}:
        return (
            "a prepared statement belongs to one server process, and the next cell may have another: PREPARE, EXECUTE "
            "and DEALLOCATE it in one cell; behind PgBouncer, write `pgbouncer: true` into the file"
        )
    return error.diag.message_hint
