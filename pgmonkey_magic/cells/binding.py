"""Parameters: from Python values to what the server is sent.

They go out as values, never as a part of the SQL's text that could be read as SQL. A cell without parameters goes out
byte for byte, in one piece. With parameters each statement is sent by itself, because the extended protocol takes one
at a time: `:name` becomes a numbered parameter of the protocol, `:'name'` a quoted literal (for places where the server
takes no parameter, as CREATE ROLE … PASSWORD), `:"name"` a quoted identifier.

COPY takes no parameters at all. So `:name` is a quoted literal in a COPY that is typed, and in a query whose rows are
fetched by COPY, there of the type that the server has determined (results/literals.py): pg_stat_activity and the
server's log can show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql as quoting
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.json import Jsonb

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import Parameters, suits
from pgmonkey_magic.sql import Form, Parameter, find_parameters, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgmonkey_magic.cells.request import Request

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

TEXT_BITS = 2_000
"""An int of no more bits has its text in any setting of Python's own limit, which is 640 digits at least."""
MOST_OFFSET = timedelta(hours=16)
"""The server reads the text of a smaller offset from UTC only (source: MAX_TZDISP_HOUR in PostgreSQL)."""


@dataclass(frozen=True, slots=True)
class Command:
    """One piece of a cell, as it is sent.

    `names` are the parameters in the order of `$1`, `$2`, …, and `values` what they are bound to; both are empty for
    SQL that goes out as it was written. `origins` pairs positions in `text` with positions in the cell, from 0,
    ascending. `opening` (BEGIN, SET …) is sent before it.
    """

    text: str
    names: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    origins: tuple[tuple[int, int], ...] = ((0, 0),)
    opening: str = ""

    def opened(self) -> Command:
        """Return the command once its opening was sent."""
        return replace(self, opening="")

    def after(self, prefix: str) -> Command:
        """Return the command with *prefix* before it, to which positions in the cell's SQL are blind."""
        first = self.origins[0][1]
        origins = ((0, first - len(prefix)), *((sent + len(prefix), written) for sent, written in self.origins))
        return replace(self, text=prefix + self.text, origins=origins)

    def replaced(self, text: str) -> Command:
        """Return a command without parameters in this one's place."""
        return Command(text, origins=self.origins[:1], opening=self.opening)

    def position_in_cell(self, position: int) -> int:
        """Return where in the cell a character of `text` stands; both count from 1, as the server does."""
        sent, written = max(origin for origin in self.origins if origin[0] <= position - 1)
        return written + (position - 1 - sent) + 1


def commands(
    sql: str, values: Mapping[str, Any], conn: Connection | None, *, one_by_one: bool = False
) -> list[Command]:
    """Return what to send for a cell; *conn* knows how to quote.

    Several statements in one piece are one transaction to the server; *one_by_one* each is its own, as in psql. They
    go apart as well where one of them has parameters, or rows that come faster by COPY.
    Raises RequestError for a value that cannot be sent.
    """
    parameters = find_parameters(sql)
    statements = split(sql)
    # Where a backslash means something else, what is read here need not be what the server reads.
    is_read_alike = conn is None or conn.pgconn.parameter_status(b"standard_conforming_strings") != b"off"
    goes_apart = len(statements) > 1 and (
        one_by_one or (is_read_alike and any(suits(statement.text) for statement in statements))
    )
    if not parameters and not goes_apart:
        return [Command(sql)]
    binder = _Binder(sql, values, conn)
    found = []
    for statement in statements:
        end = statement.start + len(statement.text)
        inside = [parameter for parameter in parameters if statement.start <= parameter.start < end]
        if statement.words[:1] == ("copy",):  # the server takes no parameters there
            inside = [replace(p, form=Form.LITERAL) if p.form is Form.VALUE else p for p in inside]
        found.append(binder.command(statement.start, end, inside))
    return found


@dataclass(frozen=True, slots=True)
class _Binder:
    sql: str
    values: Mapping[str, Any]
    conn: Connection | None

    def command(self, start: int, end: int, parameters: Iterable[Parameter]) -> Command:
        text, origins = "", [(0, start)]
        names: list[str] = []
        position = start
        for parameter in parameters:
            text += self.sql[position : parameter.start]
            origins.append((len(text), parameter.start))
            if parameter.form is not Form.VALUE:
                text += self.quoted(parameter)
            else:
                if parameter.name not in names:
                    names.append(parameter.name)
                text += f"${names.index(parameter.name) + 1}"
            position = parameter.end
            origins.append((len(text), position))
        text += self.sql[position:end]
        return Command(text, tuple(names), tuple(adapted(self.values[name]) for name in names), tuple(origins))

    def quoted(self, parameter: Parameter) -> str:
        name, value = parameter.name, self.values[parameter.name]
        if parameter.form is Form.IDENTIFIER:
            parts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
            if not parts or not all(isinstance(part, str) and part for part in parts):
                raise RequestError(f':"{name}" is a name, so it takes text or a list of texts (schema and table)')
            return quoting.Identifier(*parts).as_string(self.conn)
        try:
            return quoting.Literal(adapted(value)).as_string(self.conn)
        except psycopg.Error as error:
            raise _refused(name, value, error) from error


def bound(command: Command, conn: Connection) -> Parameters | None:
    """Return the values of a command as the protocol takes them; None where it has none.

    Raises RequestError, which names the parameter, for a value that psycopg cannot send.
    """
    if not command.names:
        return None
    transformer = Transformer(conn)
    try:
        dumped = transformer.dump_sequence(command.values, [_format(value) for value in command.values])
    except psycopg.Error as error:
        for name, value in zip(command.names, command.values, strict=True):
            try:
                Transformer(conn).dump_sequence([value], [_format(value)])
            except psycopg.Error as reason:
                raise _refused(name, value, reason) from reason
        raise RequestError(f"the parameters cannot be sent: {error}") from error
    return Parameters(tuple(dumped), transformer.types or (), transformer.formats or ())


def _format(value: Any) -> PyFormat:
    """Return TEXT where the text of a value is exact and read alike in every session; else what psycopg prefers.

    Only text becomes a literal, without which a query cannot be fetched by COPY, and psycopg prefers binary for these.
    """
    match value:
        case bool() | float() | UUID():
            is_exact = True
        case int():
            is_exact = value.bit_length() <= TEXT_BITS
        case timedelta():  # what the sign of a negative one is before depends on the IntervalStyle
            is_exact = value >= timedelta()
        case datetime() | time() if value.tzinfo is not None:
            offset = value.utcoffset()
            is_exact = offset is not None and abs(offset) < MOST_OFFSET and not offset.microseconds
        case _:
            is_exact = isinstance(value, date | time)
    is_builtin = type(value) in (bool, float, int, UUID, date, datetime, time, timedelta)  # not a subclass
    return PyFormat.TEXT if is_exact and is_builtin else PyFormat.AUTO


def _refused(name: str, value: Any, reason: Exception) -> RequestError:
    what = f"parameter :{name} ({type(value).__name__}) cannot be sent: "
    if not isinstance(reason, psycopg.ProgrammingError) or isinstance(value, list):
        return RequestError(what + " ".join(str(reason).split()))
    if type(value).__name__ in {"DataFrame", "Table"}:
        return RequestError(what + "%pgmonkey upload makes a table of it on the server; for one column give a list")
    return RequestError(what + f"PostgreSQL has no such type; for an attribute of it give -p {name}=object.attribute")


def adapted(value: Any) -> Any:
    """Return the value that means the same to psycopg.

    numpy's and pandas' scalars become Python's, their missing values None; sequences become lists (SQL arrays), dicts
    jsonb.
    """
    if value is None or isinstance(value, str | bytes | int | float):
        return value if type(value).__module__ == "builtins" or isinstance(value, bytes) else _unwrapped(value)
    if isinstance(value, Mapping):
        return Jsonb(dict(value))
    if isinstance(value, list | tuple | AbstractSet | range):
        return [adapted(item) for item in value]
    return _unwrapped(value)


def _unwrapped(value: Any) -> Any:
    module = type(value).__module__.partition(".")[0]
    if module == "pandas":
        return _from_pandas(value)
    if module == "numpy":
        return _from_numpy(value)
    return value


def _from_pandas(value: Any) -> Any:
    import pandas as pd  # noqa: PLC0415 - loading the extension must not wait for pandas

    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    if isinstance(value, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return [adapted(item) for item in value]
    return value


def _from_numpy(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - as above

    if isinstance(value, np.ndarray):
        return [adapted(item) for item in value]
    if isinstance(value, np.datetime64 | np.timedelta64):
        import pandas as pd  # noqa: PLC0415 - as above; it knows every unit

        return _from_pandas(pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value))
    return value.item() if isinstance(value, np.generic) else value


def described(request: Request, *, is_open: bool) -> Iterator[str]:
    """Say what would be sent for a request, for `--dry-run`: each statement with its values.

    *is_open* tells that a transaction is open already, in which the cell would run.
    """
    in_charge = is_open or request.in_charge
    if request.opening and not is_open and not request.control:
        yield request.opening
    for command in commands(request.sql, request.values, None, one_by_one=in_charge or request.way.one_by_one):
        yield command.text.strip("\n")
        for number, (name, value) in enumerate(zip(command.names, command.values, strict=True), 1):
            yield f"  ${number} = :{name} = {value!r}"
    if not in_charge:
        yield "ROLLBACK" if request.rolls_back else "COMMIT"
