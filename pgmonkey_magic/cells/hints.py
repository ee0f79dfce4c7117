"""Cures that a server cannot tell, because it never saw the cell: there `:name` is `$1`, a name, or a literal.

An error gets one at most, beside the server's own HINT, and only where what the server points at leaves no doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells.binding import adapted
from pgmonkey_magic.sql import Form, Kind, Parameter, Token, find_parameters, tokens

if TYPE_CHECKING:
    import psycopg

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.request import Request

SYNTAX_ERROR = "42601"
ACTIVE_SQL_TRANSACTION = "25001"
"""What VACUUM, CREATE DATABASE and the like answer inside a transaction block."""
UNDEFINED_PARAMETER = "42P02"
"""What CREATE, ALTER and other commands without a plan answer to a `$1`."""
UNDEFINED_FUNCTION = "42883"
"""Of operators too."""
UNDEFINED_TABLE, UNDEFINED_COLUMN = "42P01", "42703"
INDETERMINATE_DATATYPE, AMBIGUOUS_PARAMETER = "42P18", "42P08"
QUERY_CANCELED = "57014"
NO_SUCH_PREPARED, DUPLICATE_PREPARED = "26000", "42P05"
"""A prepared statement that another server process has, or that a former client has left on this one."""

NUMBERED = re.compile(r"\$(\d+)\b")
OF_A_PORTAL = re.compile(r"unnamed portal parameter \$(\d+)\b")
"""How CONTEXT names a parameter whose value could not be read."""
TEMPLATE = re.compile(r"\{%|\{\{?\s*([^\W\d]\w*)\s*\}\}?")
BEFORE_A_NAME = frozenset(
    ["from", "join", "into", "table", "view", "truncate", "if exists", "column", "schema", "database"]
)
"""Words after which a parameter is a syntax error, because a name stands there."""
TYPES_OF_LITERALS = frozenset(
    ["interval", "date", "time", "timetz", "timestamp", "timestamptz", "numeric", "uuid", "json", "jsonb", "bytea"]
)
"""Types that are written before a literal, and before nothing else."""

WITH_AN_ARRAY = re.compile(r"(?<!\[\]) (?:=|<>) .+\[\]\Z")
"""How the server names an operator between a value that is no array, and one."""
COMPARISONS = (["in", "("], ["not", "in", "("], ["="], ["<", ">"], ["!", "="])
"""What may stand before a list; the lexer cuts operators into their characters."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What is known of a statement that failed.

    `position` is where in the cell the server points, in characters from 0; None where it does not.
    """

    error: psycopg.Error
    request: Request
    command: Command | None
    position: int | None

    @property
    def message(self) -> str:
        """The server's sentence."""
        return self.error.diag.message_primary or ""

    @property
    def pointed_at(self) -> Parameter | None:
        """The parameter at which the server points."""
        if self.position is None:
            return None
        return next((found for found in find_parameters(self.request.sql) if found.start == self.position), None)

    def code(self) -> tuple[list[Token], list[Token]]:
        """Return the tokens, without blanks, before the place at which the server points, and from there on."""
        code = [token for token in tokens(self.request.sql) if not token.is_blank]
        here = next((i for i, token in enumerate(code) if token.start == self.position), len(code))
        return code[:here], code[here:]

    def value(self, name: str) -> Any:
        """Return what the parameter is bound to."""
        return adapted(self.request.values[name])

    def named(self) -> str | None:
        """Return the name of the parameter that the server calls `$1`."""
        if self.command is None or self.error.diag.internal_query:  # the `$1` of a function's body is another
            return None
        diag = self.error.diag
        in_context = OF_A_PORTAL.match(diag.context or "")
        if self.error.sqlstate in {INDETERMINATE_DATATYPE, AMBIGUOUS_PARAMETER}:
            number = NUMBERED.search(self.message) if diag.context is None else None
        elif self.error.sqlstate == SYNTAX_ERROR:
            number = NUMBERED.search(self.message) if self.pointed_at is not None else None
        else:
            number = in_context
        if number is None or not 0 < int(number[1]) <= len(self.command.names):
            return None
        return self.command.names[int(number[1]) - 1]


def cure(failed: Failed) -> str | None:
    """Return what to do, None where that is not certain."""
    return next(filter(None, (rule(failed) for rule in RULES)), None)


def _of_the_cell(failed: Failed) -> str | None:
    """Look at how the cell was run."""
    request, sqlstate = failed.request, failed.error.sqlstate
    if sqlstate == ACTIVE_SQL_TRANSACTION and not request.autocommit:
        return "this statement cannot run inside a transaction: use %%pgmonkey --autocommit"
    if sqlstate == UNDEFINED_PARAMETER and find_parameters(request.sql):
        return "this statement takes no bound values; write :'name' for a quoted literal"
    if sqlstate == QUERY_CANCELED and request.timeout_s is not None:
        return f"--timeout {request.timeout_s:g} ended it"
    if sqlstate in {NO_SUCH_PREPARED, DUPLICATE_PREPARED}:
        return (
            "a prepared statement belongs to one server process, and the next cell may have another: PREPARE, EXECUTE "
            "and DEALLOCATE it in one cell; behind PgBouncer, write `pgbouncer: true` into the file"
        )
    return None


def _template(failed: Failed) -> str | None:
    """Look for `{{name}}` outside of quotes, where no brace is SQL."""
    if failed.error.sqlstate != SYNTAX_ERROR or failed.position is None:
        return None
    match = TEMPLATE.match(failed.request.sql, failed.position)
    if match is None or not failed.code()[1]:  # the place is inside of a token, such as a function's body
        return None
    name = match[1] or "name"
    return f'there is no Jinja and no f-string here: a value is :{name}, the name of a table or column :"{name}"'


def _misplaced(failed: Failed) -> str | None:
    """Look at what stands before a `:name` that the server's grammar did not expect there."""
    name = failed.named() if failed.error.sqlstate == SYNTAX_ERROR else None
    if name is None:
        return None
    code, value = failed.code()[0], failed.value(name)
    words = [token.text.lower() for token in code[-2:]]
    last = words[-1] if words else ""
    is_name = isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))
    if last == "in":
        return _as_array(name, negated=words[0] == "not") if isinstance(value, list) else f"write IN (:{name})"
    start = next((i + 1 for i in range(len(code) - 1, -1, -1) if code[i].kind is Kind.SEMICOLON), 0)
    # After FOR or ON it is another UPDATE.
    if is_name and ({last, " ".join(words)} & BEFORE_A_NAME or (last == "update" and len(code) == start + 1)):
        return f':{name} is a value; for a name write :"{name}"'
    if last in TYPES_OF_LITERALS:
        return f"a type before a value is for literals only; write :{name}::{last}"
    if last in {"=", "to"} and code[start].text.lower() == "set":
        return f"SET takes no bound values; write :'{name}' for a quoted literal"
    return None


def _array(failed: Failed) -> str | None:
    """Look for a list that a single value is compared with."""
    if failed.error.sqlstate != UNDEFINED_FUNCTION or not WITH_AN_ARRAY.search(failed.message):
        return None
    here = failed.code()[1]
    texts = [token.text.lower() for token in here[:4]]
    negated = texts[:1] in (["not"], ["<"], ["!"])
    skipped = next((len(words) for words in COMPARISONS if texts[: len(words)] == words), None)
    if skipped is None or len(here) <= skipped:
        return None
    list_ = next((found for found in find_parameters(failed.request.sql) if found.start == here[skipped].start), None)
    if list_ is None or list_.form is Form.IDENTIFIER or not isinstance(failed.value(list_.name), list):
        return None
    return _as_array(list_.name, negated=negated)


def _as_array(name: str, *, negated: bool) -> str:
    return f"a list is an array: write {'<> ALL' if negated else '= ANY'}(:{name})"


def _untyped(failed: Failed) -> str | None:
    """Look for a value whose type nothing tells, such as None."""
    if failed.error.sqlstate not in {INDETERMINATE_DATATYPE, AMBIGUOUS_PARAMETER} or failed.error.diag.message_detail:
        return None  # DETAIL tells two types that were said
    name = failed.named()
    return None if name is None else f"say the type of :{name}, as in :{name}::text or :{name}::int"


def _one_name(failed: Failed) -> str | None:
    """Look at the name that `:"name"` has become."""
    pointed_at = failed.pointed_at
    if failed.error.sqlstate not in {UNDEFINED_TABLE, UNDEFINED_COLUMN} or failed.error.diag.message_hint:
        return None
    if pointed_at is None or pointed_at.form is not Form.IDENTIFIER:
        return None
    name, value = pointed_at.name, failed.request.values[pointed_at.name]
    if isinstance(value, str):
        if "." not in value or f'"{value}"' not in failed.message:
            return None
        return (
            f':"{name}" is one name, dot and all; with its schema or table it is a list: {name} = {value.split(".")!r}'
        )
    # Of a table that is not there the server says the whole name; of a column only the table.
    if len(value) < 2 or f'"{value[-2]}"' not in failed.message:
        return None
    return f'the list of :"{name}" is one name, {".".join(value)}, not several columns; each of them takes its own :"…"'


def _number(failed: Failed) -> str | None:
    """Say which parameter the server's `$1` was."""
    name = failed.named()
    return None if name is None or failed.command is None else f"${failed.command.names.index(name) + 1} is :{name}"


RULES = (_of_the_cell, _template, _misplaced, _array, _untyped, _one_name, _number)
"""The first that knows a cure tells it."""
