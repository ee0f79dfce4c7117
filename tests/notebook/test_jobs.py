"""Jobs: in the background, awaited, cancelled, several at once, and the same engine without the magic."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from fix_notebook import Shell, run_in_kernel
from fix_pools import until
from fix_server import Server

import pgmonkey_magic
from pgmonkey_magic import RequestError, SQLError
from pgmonkey_magic.cells import Cancelled, Direct, Job
from pgmonkey_magic.cells.server_progress import ServerProgress
from pgmonkey_magic.pools import PGAsyncPool, PGPool, cached_entries


def running(server: Server) -> int:
    """How many server processes sleep."""
    row = server.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60%' AND state = 'active'")
    return row[0][0] - 1  # the asking one


def pool_of(shell: Shell) -> PGPool | PGAsyncPool:
    return shell.ip.magics_manager.registry["PgMonkey"].session.current.pool


def test_background_returns_a_job_at_once(connected: Shell) -> None:
    job = connected.run("%%pgmonkey -b\nSELECT pg_sleep(0.5), 7 AS x")
    assert isinstance(job, Job)
    assert not job.done()
    assert connected["_pg"] is job
    assert list(job.result(10).x) == [7]
    assert (job.state, job.done()) == ("done", True)


def test_a_background_job_goes_to_its_name_and_is_awaited(connected: Shell) -> None:
    assert connected.run("%%pgmonkey -b later <<\nSELECT pg_sleep(0.2), 8 AS x") is None
    connected.run("frame = await later")
    assert list(connected["frame"].x) == [8]
    assert list(connected["later"].result().x) == [8]


@pytest.mark.parametrize("typed", ["%%pgmonkey -b later <<\n", "%%pgmonkey -b -o later\n", "%pgmonkey -b -o later "])
def test_a_named_background_job_shows_its_line_unless_quiet(connected: Shell, typed: str) -> None:
    connected.run(f"{typed}SELECT 8 AS x")
    (line,) = connected.shown
    assert line.startswith(f"job {connected['later'].id} · ")
    connected["later"].result(10)
    connected.run(typed.replace("-b", "-b -q") + "SELECT 8 AS x")
    assert connected.shown == []
    connected["later"].result(10)


def test_a_failed_job_raises_where_it_is_asked_for(connected: Shell) -> None:
    job = connected.run("%pgmonkey -b SELECT 1/0")
    with pytest.raises(SQLError, match="division by zero"):
        job.result(10)
    assert job.state == "failed"


def test_a_wait_may_be_given_up_without_an_end_of_the_job(connected: Shell) -> None:
    job = connected.run("%pgmonkey -b SELECT pg_sleep(1), 9 AS x")
    with pytest.raises(TimeoutError, match="still"):
        job.result(0.05)
    assert list(job.result(10).x) == [9]


def test_the_words_jobs_and_cancel(connected: Shell, server: Server) -> None:
    job = connected.run("%pgmonkey -b SELECT pg_sleep(60)")
    table = connected.run("%pgmonkey jobs").set_index("id")
    assert table.loc[job.id, "state"] in ("waiting", "running")
    assert "pg_sleep(60)" in table.loc[job.id, "query"]
    began_at = time.monotonic()
    connected.run(f"%pgmonkey cancel {job.id}")
    assert time.monotonic() - began_at < 5
    assert "cancelled" in connected.stdout
    with pytest.raises(Cancelled):
        job.result()
    assert running(server) == 0
    connected.run(f"%pgmonkey cancel {job.id}")
    assert "had ended before" in connected.stdout
    assert "no job '999999'" in str(connected.error("%pgmonkey cancel 999999"))
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    assert pool_of(connected).occupancy.in_use == 0


def test_several_jobs_share_one_pool_and_the_fourth_waits(connected: Shell) -> None:
    connected.run(
        "jobs = [get_ipython().run_line_magic('pgmonkey', f'-b SELECT pg_sleep(0.6), {n} AS n') for n in range(4)]"
    )
    jobs: list[Job] = connected["jobs"]
    deadline = time.monotonic() + 5
    while [job.state for job in jobs].count("running") < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(str(job.state) for job in jobs) == ["running"] * 3 + ["waiting"]
    assert pool_of(connected).occupancy.in_use == 3
    assert sorted(job.result(20).n.item() for job in jobs) == [0, 1, 2, 3]
    assert pool_of(connected).occupancy.in_use == 0


def test_a_waiting_job_is_cancelled_at_once(connected: Shell) -> None:
    connected.run("held = [get_ipython().run_line_magic('pgmonkey', '-b SELECT pg_sleep(1)') for _ in range(3)]")
    time.sleep(0.3)
    waiting = connected.run("%pgmonkey -b SELECT 1")
    assert waiting.cancel()
    assert waiting.state == "cancelled"
    for job in connected["held"]:
        job.result(10)
    assert pool_of(connected).occupancy.in_use == 0


def test_notices_are_there_while_the_statement_runs(connected: Shell) -> None:
    job = connected.run(
        "%%pgmonkey -b\nDO $$ BEGIN RAISE NOTICE 'first'; PERFORM pg_sleep(1); RAISE WARNING 'second'; END $$"
    )
    deadline = time.monotonic() + 5
    while not job.notices and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.notices == ["NOTICE: first"]
    assert not job.done()
    job.result(10)
    assert job.notices == ["NOTICE: first", "WARNING: second"]


def test_the_time_until_a_notice_is_no_end_of_executing(connected: Shell) -> None:
    connected.run("%%pgmonkey -q\nDO $$ BEGIN RAISE NOTICE 'x'; PERFORM pg_sleep(0.5); END $$; SELECT 1")
    times = connected["_pg"].attrs["pgmonkey"]["timings"]
    assert times["execute_ms"] > 400
    assert times["fetch_ms"] < 400


def test_the_server_tells_its_progress(connected: Shell, table: str) -> None:
    connected.run(f"%pgmonkey -q CREATE TABLE {table}_many AS SELECT generate_series(1, 400) AS id")
    connected.run(
        f"%%pgmonkey -q\nCREATE FUNCTION {table}_slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.01); RETURN $1; END $$"
    )
    job = connected.run(f"%pgmonkey -b CREATE INDEX ON {table}_many ({table}_slow(id))")
    progress = ServerProgress(job)
    seen = set()
    while not job.done():
        seen.add(progress.text)
        time.sleep(0.05)
    job.result()
    assert any("building index" in text for text in seen), seen
    connected.run(f"%pgmonkey -q DROP TABLE {table}_many; DROP FUNCTION {table}_slow")


def test_a_long_cell_shows_a_live_line_in_a_kernel_which_its_end_replaces(config_file: str) -> None:
    *_, background, named, foreground, waited = run_in_kernel(
        "%load_ext pgmonkey_magic",
        f"%pgmonkey connect {config_file}",
        "%%pgmonkey -b\nSELECT pg_sleep(0.5), 1 AS x",
        "%%pgmonkey -b job <<\nSELECT pg_sleep(0.3), 1 / (random() < 0)::int AS x",
        "%%pgmonkey\nDO $$ BEGIN RAISE NOTICE 'early'; PERFORM pg_sleep(1.6); END $$",
        "import time; time.sleep(1)",
    )
    (line,) = [output["data"]["text/plain"] for output in background]
    assert "done" in line
    assert "1 row" in line
    (line,) = [output["data"]["text/plain"] for output in named]
    assert "failed" in line
    assert "division by zero" in line
    texts = [output["data"]["text/plain"] for output in foreground if "data" in output]
    assert "NOTICE: early" in texts
    assert "" in texts, "the live line came and was cleared"
    assert any("wait" in text and "execute" in text for text in texts)
    assert not waited


# -- without the magic ------------------------------------------------------------------------------------------


def test_run_shares_the_notebooks_pool_and_binds_its_keywords(connected: Shell) -> None:
    frame = pgmonkey_magic.run("SELECT :a::int + :b::int AS x", a=1, b=2)
    assert isinstance(frame, pd.DataFrame)
    assert frame.x.item() == 3
    assert frame.attrs["pgmonkey"]["pool"] == "test"
    assert pgmonkey_magic.run("SHOW transaction_read_only", read_only=True).iloc[0, 0] == "on"
    many = pgmonkey_magic.run("SELECT generate_series(1, 10) AS n", max_rows=4)
    assert (len(many), many.attrs["pgmonkey"]["truncated"]) == (4, True)
    assert str(pgmonkey_magic.run("SET timezone = 'UTC'")).startswith("SET")
    assert pgmonkey_magic.run("SELECT :timeout_s AS x", timeout_s=5).x.item() == 5, "a parameter of that name"


def test_run_and_query_say_what_is_missing(connected: Shell) -> None:
    with pytest.raises(RequestError, match="parameter :a is not given"):
        pgmonkey_magic.run("SELECT :a")
    with pytest.raises(RequestError, match="neither a parameter"):
        pgmonkey_magic.run("SELECT 1", max_row=3)
    with pytest.raises(SQLError, match="does not exist"):
        pgmonkey_magic.run("SELECT * FROM nowhere")


def test_run_in_a_script_finds_its_pool_by_file(config_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgmonkey_magic.cells import Session

    monkeypatch.setattr(Direct, "session", Session())
    assert pgmonkey_magic.run("SELECT 5 AS x", config=config_file).x.item() == 5
    with pytest.raises(RequestError, match="no pool is connected"):
        pgmonkey_magic.run("SELECT 5 AS x")
    pgmonkey_magic.PGConnectionManager().clear_cache()


@pytest.fixture
def with_reference(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YAML file for the test server whose host is `${RUN_HOST}`."""
    host = yaml.safe_load(config_file.read_text())["connection_settings"]["host"]
    monkeypatch.setenv("RUN_HOST", host)
    file = config_file.with_name("references.yaml")
    file.write_text(config_file.read_text().replace(host, "${RUN_HOST}"))
    return file


@pytest.mark.parametrize("what", ["run", "query", "upload"])
def test_without_the_magic_references_are_resolved_on_request(
    shell: Shell, with_reference: Path, table: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, Callable[..., Any]] = {
        "run": lambda **more: pgmonkey_magic.run("SELECT 1 AS x", config=with_reference, **more),
        "query": lambda **more: asyncio.run(pgmonkey_magic.query("SELECT 1", config=str(with_reference), **more)),
        "upload": lambda **more: pgmonkey_magic.upload(
            pd.DataFrame({"n": [1]}), table, mode="append", config=with_reference, **more
        ),
    }
    with pytest.raises(SQLError, match="in Python: resolve_env=True"):
        calls[what]()
    calls[what](resolve_env=True)
    calls[what]()  # its pool is open now
    assert len(cached_entries()) == 1
    monkeypatch.setenv("RUN_HOST", "another.invalid")
    with pytest.raises(SQLError, match="in Python: resolve_env=True"):
        calls[what]()


def test_references_of_the_default_file_are_resolved_on_request(
    shell: Shell, with_reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGMONKEY_CONFIG", str(with_reference))
    with pytest.raises(SQLError, match="in Python: resolve_env=True"):
        pgmonkey_magic.run("SELECT 1 AS x")
    assert pgmonkey_magic.run("SELECT 1 AS x", resolve_env=True).x.item() == 1


@pytest.mark.parametrize("kind", ["pool", "async_pool"])
def test_run_finds_the_pool_that_the_notebook_has_opened_from_the_file(
    shell: Shell, with_reference: Path, kind: str
) -> None:
    shell.run(f"%pgmonkey connect {with_reference} --as mine -t {kind} --resolve-env")
    assert pgmonkey_magic.run("SELECT 1 AS x", config=with_reference).attrs["pgmonkey"]["pool"] == "mine"
    shell.run(f"%pgmonkey -c {with_reference} SELECT 1 AS x")
    assert len(cached_entries()) == 1
    with_reference.write_text(with_reference.read_text().replace("max_size: 3", "max_size: 2"))
    with pytest.raises(SQLError, match="in Python: resolve_env=True"):
        pgmonkey_magic.run("SELECT 1 AS x", config=with_reference)


def test_query_runs_side_by_side_in_one_loop(connected: Shell) -> None:
    async def main() -> list[int]:
        frames = await asyncio.gather(
            *(pgmonkey_magic.query("SELECT pg_sleep(0.1), :n::int AS n", n=n) for n in range(12))
        )
        return [frame.n.item() for frame in frames]

    assert asyncio.run(main()) == list(range(12))
    assert pool_of(connected).occupancy.in_use == 0


def test_cancelling_the_task_cancels_the_statement(connected: Shell, server: Server) -> None:
    async def main() -> None:
        task = asyncio.create_task(pgmonkey_magic.query("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert running(server) == 0
    deadline = time.monotonic() + 5
    while pool_of(connected).occupancy.in_use and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pool_of(connected).occupancy.in_use == 0


def test_a_wait_that_is_bounded_ends_as_any_other_and_the_job_goes_on(connected: Shell) -> None:
    job = connected.run("%pgmonkey -b SELECT pg_sleep(1), 4 AS x")

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await job
        return (await job).x.item()

    assert asyncio.run(main()) == 4


@pytest.fixture
def held(connected: Shell) -> Callable[[], list[str]]:
    """Who holds a connection of the pool."""
    return lambda: [ticket.holder.who for ticket in pool_of(connected).ledger.held()]


def test_a_thread_that_runs_is_named_first(connected: Shell, held: Callable[[], list[str]]) -> None:
    thread = threading.Thread(target=pgmonkey_magic.run, args=("SELECT pg_sleep(1)",), name="web-3")
    thread.start()
    until(lambda: held() == ["thread web-3: pgmonkey_magic.run"])
    thread.join()


def test_a_task_that_queries_is_named_first(connected: Shell, held: Callable[[], list[str]]) -> None:
    async def main() -> list[str]:
        task = asyncio.create_task(pgmonkey_magic.query("SELECT pg_sleep(1)"), name="orders")
        while not held():
            await asyncio.sleep(0.01)
        seen = held()
        await task
        return seen

    assert asyncio.run(main()) == ["task orders: pgmonkey_magic.query"]


def test_many_threads_wait_for_one_job(connected: Shell) -> None:
    job = connected.run("%pgmonkey -b SELECT pg_sleep(0.4), 3 AS x")
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(job.result(10).x.item())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert got == [3] * 8
