"""What a statement's columns are, asked before it runs; and the COPY that fetches them.

The question costs no round trip where a transaction is begun for the statement: BEGIN and it go out together, in a
pipeline of the extended protocol. The server parses the statement as it was written, so what is wrong with it is told
with positions in that text.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import errors, generators
from psycopg.pq import DiagnosticField, ExecStatus

from pgmonkey_magic.results.oids import BINARY
from pgmonkey_magic.results.wire import py_codec
from pgmonkey_magic.sql import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

BEFORE = b"COPY ("
AFTER = b"\n) TO STDOUT (FORMAT BINARY)"
"""On a line of its own, because the statement may end in a comment."""


Notice = tuple[bytes | None, ...]
"""Severity, SQLSTATE and message."""
NOTICE_FIELDS = (DiagnosticField.SEVERITY_NONLOCALIZED, DiagnosticField.SQLSTATE, DiagnosticField.MESSAGE_PRIMARY)


@dataclass(frozen=True, slots=True)
class Description:
    """The columns of a statement's result, and the types of its parameters.

    `modifiers` are what the types of the columns were declared with, such as the digits of numeric(p, s), as the server
    keeps it (source: RowDescription in PostgreSQL's protocol); -1 for none. `notices` came with the answer, and will
    come again with each COPY, whose text the server parses anew.
    """

    names: tuple[str, ...]
    oids: tuple[int, ...]
    parameters: tuple[int, ...]
    modifiers: tuple[int, ...]
    notices: tuple[Notice, ...] = ()

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
    with notices_of(pgconn) as notices:
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
        tuple(found.fmod(i) for i in range(found.nfields)),
        tuple(notices),
    )


@contextmanager
def notices_of(pgconn: PGconn, told: Sequence[Notice] = ()) -> Iterator[list[Notice]]:
    """Fill a list with the notices that come, and pass them on but for those that were *told* already, each once."""
    tell, known = pgconn.notice_handler, [*told]
    heard: list[Notice] = []

    def take(result: PGresult) -> None:
        notice = tuple(result.error_field(field) for field in NOTICE_FIELDS)
        heard.append(notice)
        if notice in known:
            known.remove(notice)
        elif tell is not None:
            tell(result)

    pgconn.notice_handler = take
    try:
        yield heard
    finally:
        pgconn.notice_handler = tell


def copy_statement(statement: bytes, description: Description, limit: int | None = None) -> tuple[bytes, int]:
    """Return the COPY for a statement, and how many bytes of it stand before the statement's own text.

    Where a column's type is not taken in binary, or only the first *limit* rows are wanted, the statement becomes a
    subquery.
    """
    if description.is_binary and limit is None:
        return BEFORE + statement + AFTER, len(BEFORE)
    before, after = as_subquery([oid not in BINARY for oid in description.oids])
    before = BEFORE + before.encode()
    limited = b"" if limit is None else b" LIMIT %d" % limit
    return before + statement + after.encode() + limited + AFTER, len(before)


def as_subquery(as_text: Sequence[bool], *, writes: bool = False) -> tuple[str, str]:
    """Return what stands before and after a statement whose columns come as `c0`, `c1`, …, some of them *as text*.

    One that *writes* (INSERT … RETURNING) may stand in WITH only.

    Its order is kept: PostgreSQL neither pulls a subquery with ORDER BY up nor sorts above it. A value becomes text by
    `format`, which asks the type's own output function, as the ordinary protocol does; a cast may not. `format` has an
    empty string for NULL, and `IS NULL` is true of a row of NULLs, hence `num_nulls`. `OFFSET 0` keeps the planner from
    putting the statement's expressions in the place of their names, so that each is computed once.
    """
    names = [f"c{i}" for i in range(len(as_text))]
    columns = [
        f"CASE pg_catalog.num_nulls({name}) WHEN 0 THEN pg_catalog.format('%s', {name}) END AS {name}" if text else name
        for name, text in zip(names, as_text, strict=True)
    ]
    select, alias = f"SELECT {', '.join(columns)} FROM", f"_({', '.join(names)})"
    if writes:
        return f"WITH {alias} AS (", f"\n) {select} _"
    return f"{select} (SELECT * FROM (", f"\n) AS {alias} OFFSET 0) AS _"  # noqa: S608 - names of our own
