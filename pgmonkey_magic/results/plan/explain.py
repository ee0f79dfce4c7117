"""A statement → the EXPLAIN that asks for its plan as JSON."""

from __future__ import annotations

_SETTINGS_SINCE = 120000
_WAL_SINCE = 130000


def explain_prefix(*, analyze: bool, server_version: int) -> str:
    """Return what goes before the statement, a blank at the end; all of it ASCII.

    Where the server points into the whole command, its position less `len` of this is the one in the statement.
    VERBOSE is for what people ask first of a plan: the schema of a table, the SQL sent to a foreign server, the share
    of each parallel worker. `server_version` is libpq's, such as 160004.
    """
    options = ["FORMAT JSON", "VERBOSE"]
    # BUFFERS and WAL before 13 are errors without ANALYZE; WAL is one in every version.
    options += ["ANALYZE", "BUFFERS"] if analyze else ["SUMMARY"]
    if server_version >= _SETTINGS_SINCE:
        options.append("SETTINGS")
    if analyze and server_version >= _WAL_SINCE:
        options.append("WAL")
    return f"EXPLAIN ({', '.join(options)}) "


def explain_command(statement: str, *, analyze: bool, server_version: int) -> str:
    """Return the EXPLAIN of one statement, whose text follows unchanged, its comments and blank lines too.

    With `analyze` the server runs the statement and its writes are made: roll them back unless they are wanted.
    """
    return explain_prefix(analyze=analyze, server_version=server_version) + statement
