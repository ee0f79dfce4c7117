"""What a statement's columns are, asked before it runs; and the COPY that fetches them.

The question costs no round trip where a transaction is begun for the statement: BEGIN and it go out together, in a
pipeline of the extended protocol. The server parses the statement as it was written, so what is wrong with it is told
with positions in that text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import errors, generators
from psycopg.pq import ExecStatus

from pgmonkey_magic.results.oids import BINARY
from pgmonkey_magic.results.wire import py_codec
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

BEFORE = b"COPY ("
AFTER = b"\n) TO STDOUT (FORMAT BINARY)"
"""On a line of its own, because the statement may end in a comment."""


@dataclass(frozen=True, slots=True)
class Description:
    """The columns of a statement's result, and the types of its parameters."""

    names: tuple[str, ...]
    oids: tuple[int, ...]
    parameters: tuple[int, ...]

    @property
    def is_binary(self) -> bool:
        """Whether all columns are taken as they are."""
        return BINARY.issuperset(self.oids)


def describe(
    pgconn: PGconn, statement: bytes, opening: str = "", types: Sequence[int] = ()
) -> PQGen[Description | None]:
    """Run *opening* and ask what the columns of *statement* are, in one round trip; None where it returns no rows.

    *types* are the OIDs of its parameters, 0 where the server shall infer one.
    Raises the psycopg error of the server, after which the connection is usable.
    """
    pgconn.enter_pipeline_mode()
    for command in split(opening):
        pgconn.send_query_params(command.text.encode(), None)
    pgconn.send_prepare(b"", statement, types)
    pgconn.send_describe_prepared(b"")
    pgconn.pipeline_sync()
    yield from generators.send(pgconn)
    results: list[PGresult] = []
    while not results or results[-1].status != ExecStatus.PIPELINE_SYNC:
        if (result := (yield from generators.fetch(pgconn))) is not None:
            results.append(result)
    pgconn.exit_pipeline_mode()
    encoding = py_codec(pgconn.parameter_status(b"client_encoding") or b"utf-8")
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result, encoding=encoding)
    found = results[-2]
    if not found.nfields:
        return None
    return Description(
        tuple((found.fname(i) or b"").decode(encoding) for i in range(found.nfields)),
        tuple(found.ftype(i) for i in range(found.nfields)),
        tuple(found.param_type(i) for i in range(found.nparams)),
    )


def copy_statement(statement: bytes, description: Description, limit: int | None = None) -> tuple[bytes, int]:
    """Return the COPY for a statement, and how many bytes of it stand before the statement's own text.

    Where a column's type is not taken in binary, or only the first *limit* rows are wanted, the statement becomes a
    subquery. Its order is kept: PostgreSQL neither pulls a subquery with ORDER BY up nor sorts above it. A value
    becomes text by `format`, which asks the type's own output function, as the ordinary protocol does; a cast may not.
    `format` has an empty string for NULL, and `IS NULL` is true of a row of NULLs, hence `num_nulls`.
    """
    if description.is_binary and limit is None:
        return BEFORE + statement + AFTER, len(BEFORE)
    names = [b"c%d" % i for i in range(len(description.oids))]
    columns = [
        name
        if oid in BINARY
        else b"CASE pg_catalog.num_nulls(%s) WHEN 0 THEN pg_catalog.format('%%s', %s) END" % (name, name)
        for name, oid in zip(names, description.oids, strict=True)
    ]
    before = BEFORE + b"SELECT " + b", ".join(columns) + b" FROM ("
    after = b"\n) AS _(" + b", ".join(names) + b")"
    limited = b"" if limit is None else b" LIMIT %d" % limit
    return before + statement + after + limited + AFTER, len(before)
