"""A psycopg error → an SQLError to act on: the line with a caret, DETAIL, HINT, what became of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgmonkey_magic.cells.hints import UNDEFINED_TABLE, Failed, cure
from pgmonkey_magic.cells.session_state import name_of
from pgmonkey_magic.errors import SQLError

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.request import Request
    from pgmonkey_magic.pools import Keep


def explain(
    error: psycopg.Error, request: Request, command: Command | None = None, keep: Keep | None = None
) -> SQLError:
    """Return the error to raise; the caller chains *error* as its cause.

    *command* is the part of the cell that failed, None where it is not known or the whole; *keep* has
    the connection on which a transaction is open now, and knows which temporary tables have ended.
    """
    diag = error.diag
    position = diag.statement_position
    if position and command is not None:
        position = str(command.position_in_cell(int(position)))
    message = diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    detail = [*caret_lines(request.sql, position)]
    if diag.message_detail:
        detail.append(f"DETAIL: {diag.message_detail}")
    failed = Failed(error, request, command, int(position) - 1 if position else None)
    detail += [f"HINT: {hint}" for hint in (diag.message_hint, cure(failed) or _ended(failed, keep)) if hint]
    if diag.context:
        detail.append(f"CONTEXT: {diag.context}")
    code = f"SQLSTATE {error.sqlstate}" if error.sqlstate else "the connection was lost"
    detail.append(f"{code} · {_outcome(request, keep)}")
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


def _outcome(request: Request, keep: Keep | None) -> str:
    if keep is not None and keep.lease is not None:
        return f"the transaction of {keep.lease.ticket.holder.who} is aborted; end it with %pgmonkey ROLLBACK"
    if request.in_charge:
        return "what was committed before it stands"
    return "the cell's transaction was rolled back, nothing was committed"


def _ended(failed: Failed, keep: Keep | None) -> str | None:
    """Return the hint on a table that is missing because it was a temporary one of an earlier cell."""
    if failed.error.sqlstate != UNDEFINED_TABLE or keep is None:
        return None
    # By its place, because the message may be translated.
    name = next((name_of(token.text) for token in failed.code()[1]), "")
    if name not in keep.ended:
        return None
    return f"the temporary table {name} ended with {keep.ended[name]}; BEGIN keeps it over cells"


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
