"""`pgmonkey_magic.run` and `await pgmonkey_magic.query`: a cell without the magic, for scripts and functions.

They share the pools of the notebook that the extension is loaded in, and the one that is current there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells.awaiting import say
from pgmonkey_magic.cells.chunks import Chunks, InChunks
from pgmonkey_magic.cells.parallel import Parallel
from pgmonkey_magic.cells.request import Request
from pgmonkey_magic.cells.session import Session
from pgmonkey_magic.cells.uploading import Upload
from pgmonkey_magic.cells.ways import AsItIs, FirstRows
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results import Output
from pgmonkey_magic.sql import find_parameters, split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pgmonkey_magic.cells.job import Job
    from pgmonkey_magic.cells.result import CommandResult
    from pgmonkey_magic.cells.session import NamedPool
    from pgmonkey_magic.cells.ways import Way

OUTPUT = {"as_": "kind", "dtypes": "dtypes", "decimals": "decimals"}
WAY = ("chunk_rows", "max_rows", "parallel")
HOW = ("autocommit", "isolation", "read_only", "rollback", "timeout_s", "wait_s", *WAY, *OUTPUT)


class Direct:
    """Where `run` and `query` find their pools; the extension puts the notebook's session there."""

    session = Session()


def run(
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    config: str | Path | None = None,
    resolve_env: bool = False,
    **named: Any,
) -> Any:
    """Run SQL as a cell does, wait for it, and return its value: a DataFrame, a CommandResult, or ResultSets.

    *params* and the keywords that the SQL holds as `:name` go out as values, never as a part of the SQL's text that
    could be read as SQL. *config* is the name of an open pool or a YAML file; otherwise the current pool, or the file
    of the default places. With *resolve_env* the references of a file (`${VAR}`, `from_env`, `from_file`) are resolved;
    a file whose pool is open with the same content needs it no more.

    How it runs: `autocommit`, `read_only`, `rollback` (bool), `isolation` (SQL's words), `max_rows` (int), `timeout_s`
    (of a statement) and `wait_s` (for a connection), both seconds; `parallel` (int, at least 2), over how many
    connections one big result may come. What rows come as: `as_` (df, polars, arrow, dicts, scalar), `dtypes`
    (nullable, numpy, pyarrow) and `decimals` (float, exact); `as_="chunks"` gives an iterator of DataFrames of
    `chunk_rows` (int) rows.

    Raises SQLError, PoolUnavailable, RequestError and ConfigError as a cell does; KeyboardInterrupt cancels.
    """
    job = start(sql, params, config=config, resolve_env=resolve_env, **named)
    if isinstance(way := job.request.way, InChunks):
        return Chunks.begin(job, way.channel)
    return _awaited(job)


def upload(  # noqa: PLR0913 - the options of the word upload
    df: Any,
    table: str,
    *,
    mode: str = "fail",
    key: str | Sequence[str] = (),
    config: str | Path | None = None,
    resolve_env: bool = False,
) -> CommandResult:
    """Send a DataFrame into a table by COPY, in one transaction, and return the tag and the number of rows.

    *df* is of pandas or polars, or an Arrow table; its index is not sent. *table* is `[schema.]table` by SQL's rules,
    so without double quotes it is in lower case. *mode* is `fail` (the table must not exist), `append`, `replace` (the
    rows of the table, not its definition) or `upsert` by the columns of *key*. A table that is missing is created.
    *config* and *resolve_env* are those of `run`.

    Raises RequestError for what does not fit, and what `run` raises.
    """
    way = Upload.of(df, table, mode, (key,) if isinstance(key, str) else tuple(key))
    request = Request(sql=way.statement, way=way, who=_in_thread("pgmonkey_magic.upload"))
    return _awaited(_begun(request, config, resolve_env=resolve_env))


def _pool(config: str | Path | None, *, resolve_env: bool) -> NamedPool:
    return Direct.session.resolve(None if config is None else str(config), None, resolve_env=resolve_env)


def _awaited(job: Job) -> Any:
    try:
        return job.result()
    except KeyboardInterrupt:
        job.cancel()
        raise


async def query(
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    config: str | Path | None = None,
    resolve_env: bool = False,
    **named: Any,
) -> Any:
    """Do the same as `run` without blocking the event loop; cancelling the task cancels the statement.

    There are no chunks here: whoever reads them waits in a thread.
    """
    if named.get("as_") == "chunks":
        raise RequestError("as_='chunks' is for pgmonkey_magic.run, whose reader waits in a thread")
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    request = _request(sql, params, named, f"task {task.get_name()}: pgmonkey_magic.query")
    job = await asyncio.to_thread(_begun, request, config, resolve_env=resolve_env)
    try:
        return await job
    except asyncio.CancelledError as cancelled:
        has_ended = await asyncio.shield(asyncio.to_thread(job.cancel))
        became = f"has ended: {job.state}" if has_ended else "still runs: the server does not answer"
        say(cancelled, f"you stopped waiting; job {job.id} {became}")
        raise


def start(
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    config: str | Path | None = None,
    resolve_env: bool = False,
    **named: Any,
) -> Job:
    """Begin to run SQL in the background and return its Job."""
    request = _request(sql, params, named, _in_thread("pgmonkey_magic.run"))
    return _begun(request, config, resolve_env=resolve_env)


def _begun(request: Request, config: str | Path | None, *, resolve_env: bool) -> Job:
    return Direct.session.start(request, _pool(config, resolve_env=resolve_env))


def _in_thread(who: str) -> str:
    thread = threading.current_thread()
    return who if thread is threading.main_thread() else f"thread {thread.name}: {who}"


def _request(sql: str, params: Mapping[str, Any] | None, named: dict[str, Any], who: str) -> Request:
    if not isinstance(params, Mapping | None):
        raise RequestError(
            f"params is a dict, not {type(params).__name__}; parameters are :name in the SQL, as in "
            'run("SELECT :x", x=5) or run("SELECT :x", {"x": 5})'
        )
    values = dict(params or {})
    asked = {parameter.name for parameter in find_parameters(sql)}
    values |= {name: named.pop(name) for name in [*named] if name in asked}
    if missing := sorted(asked - values.keys()):
        raise RequestError(f"the parameter :{missing[0]} is not given; pass {missing[0]}=… or params={{…}}")
    if unknown := sorted(named.keys() - set(HOW)):
        raise RequestError(
            f"{unknown[0]!r} is neither a parameter of the SQL (:{unknown[0]}) nor one of {', '.join(HOW)}"
        )
    return Request(sql=sql, values=values, way=_way(sql, named), who=who, **named)


def _way(sql: str, named: dict[str, Any]) -> Way:
    rows, limit, connections = (named.pop(name, None) for name in WAY)
    chosen = {field: named.pop(name) for name, field in OUTPUT.items() if name in named}
    if chosen.get("kind") == "chunks":
        if limit is not None or connections is not None:
            raise RequestError(f"as_='chunks' and {'parallel' if limit is None else 'max_rows'} exclude each other")
        return InChunks.of(sql, Output(**{**chosen, "kind": "df"}), rows)
    if rows is not None:
        raise RequestError("chunk_rows belongs to as_='chunks'")
    output = Output(**chosen)
    if limit is not None and connections is not None:
        raise RequestError("max_rows and parallel exclude each other")
    if connections is not None:
        return Parallel(connections, output, is_alone=len(split(sql)) == 1)
    return AsItIs(output) if limit is None else FirstRows(limit, output)
