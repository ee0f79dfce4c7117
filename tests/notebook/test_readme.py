"""The README is true: its tour runs, its tables are measured, its errors are what one gets, its links lead on."""

import re
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fix_course import shown
from fix_notebook import Shell, run_in_kernel, write_config
from fix_server import Server

from pgmonkey_magic import PGConnectionManager, PgMonkeyError, cli
from pgmonkey_magic.config.pool_settings import PoolSettings
from pgmonkey_magic.notebook.magics import PgMonkey

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "notebooks/README.md",
    *(f"tests/benchmarks/{name}.md" for name in ("RESULTS",)),
]


def section(title: str) -> str:
    """Return the text of a section of the README."""
    (text,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    return text


def test_the_tour_runs_from_a_clean_kernel(tmp_path: Path) -> None:
    cells = re.findall(r"^```python\n(.*?)^```", section("A five-minute tour"), re.DOTALL | re.MULTILINE)
    assert len(cells) > 8
    outputs = run_in_kernel(*cells, cwd=tmp_path)
    for cell, output in zip(cells, outputs, strict=True):
        assert not any(one.output_type == "error" for one in output), cell
    said = "\n".join(shown(output) for output in outputs)
    assert "pool demo 1/10" in said
    assert re.search(r"10 rows · [\d.]+ ms \(wait", said), "the line that the tour shows"


def test_what_stands_under_in_a_program_runs(tmp_path: Path, server: Server) -> None:
    write_config(tmp_path / "pgmonkey_config.yaml", server.config())
    blocks = re.findall(r"^```python\n(.*?)^```", section("In a program"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    *_, told = run_in_kernel(*blocks, cwd=tmp_path)
    assert "'max_size': 20" in shown(told)
    assert "too little was seen" in shown(told)


def test_the_reference_has_every_setting_of_a_pool_and_its_default() -> None:
    reference = section("Configuration reference")
    found = dict(re.findall(r"^\|[^|]*\| `(\w+)` — [^|]*\| ([^|]+?) \|$", reference, re.MULTILINE))
    assert {key: yaml.safe_load(value) for key, value in found.items()} == asdict(PoolSettings())


TYPES = {
    "boolean": "true",
    "smallint": "1::int2",
    "integer": "1",
    "bigint": "1::int8",
    "real": "1.5::float4",
    "double precision": "1.5::float8",
    "numeric": "1.25",
    "text": "'x'::text",
    "date": "date '2025-01-02'",
    "timestamp": "timestamp '2025-01-02 03:04'",
    "timestamptz": "timestamptz '2025-01-02 03:04Z'",
    "interval": "interval '1 day'",
    "uuid": "gen_random_uuid()",
    "json": "'{}'::json",
    "arrays": "'{1,2}'::int[]",
    "inet": "'::1'::inet",
}


@pytest.mark.parametrize("name", TYPES)
def test_the_dtypes_are_those_of_the_table(connected: Shell, name: str) -> None:
    _, *rows = table(section("The magic").partition("### The types of a DataFrame")[2])
    (row,) = [row for row in rows if re.search(rf"(^|`){name}(`|$| )", row[0])]
    for column, option in ((1, "nullable"), (2, "numpy"), (3, "pyarrow")):
        said = row[column] if re.search("the same|Arrow|…", row[column]) is None else ""
        for nulls in ("", " UNION ALL SELECT NULL"):
            frame = connected.run(f"%pgmonkey --dtypes {option} SELECT x FROM (SELECT {TYPES[name]} AS x{nulls}) v")
            claims = said if not nulls else said.partition("with NULLs")[2] or said
            if option != "numpy" and claims:
                assert f"`{frame['x'].dtype}`" in claims, (option, nulls)
            elif option == "numpy" and nulls and claims:
                assert f"`{frame['x'].dtype}`" in claims


def test_every_trait_is_named() -> None:
    for name in PgMonkey.class_own_traits(config=True):
        assert f"PgMonkey.{name}" in README, name


def slug(title: str) -> str:
    """Return the anchor that a code host makes of a title."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    anchors = {slug(title) for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (ROOT / page).parent.joinpath(target.partition("#")[0]).exists(), target


COLUMNS = {
    "pgmonkey-magic": "magic",
    "polars": "polars_adbc",
    "psycopg": "psycopg_binary",
    "psycopg_pool": "bare_pool",
}


def table(text: str) -> list[list[str]]:
    """Return the rows of the first Markdown table in *text*, its head first."""
    lines = re.search(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert lines
    rows = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return [row for row in rows if not row[0].startswith("--")]


def test_the_speed_table_is_that_of_the_benchmark() -> None:
    results = (ROOT / "tests" / "benchmarks" / "RESULTS.md").read_text()
    names, *measured = table(results.partition("## 1,000,000 rows")[2])
    truth = {row[0].split()[0]: dict(zip(names, row, strict=True)) for row in measured}
    peers, *rows = table(section("Beside other tools").partition("libpq alone")[2])
    assert len(rows) == len(truth)
    for row in rows:
        for peer, figure in zip(peers[1:], row[1:], strict=True):
            assert figure == truth[row[0].partition(":")[0]][COLUMNS.get(peer, peer.lower())], (row[0], peer)


def test_the_feature_table_is_that_of_the_probes() -> None:
    probed = table((ROOT / "tests" / "benchmarks" / "FEATURES.md").read_text())
    claimed = table(section("Beside other tools"))
    assert claimed[0] == probed[0]
    assert len(claimed) > 20
    briefly = [[brief(cell) for cell in row] for row in probed]
    for row in claimed:
        assert row in briefly, row[0]


def brief(cell: str) -> str:
    """Return a cell without what stands in brackets and without the text behind an error's name."""
    cell = re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", cell)
    return re.sub(r"(\w+(?:Error|Exception)): .*?(?=;|$)", r"\1", cell)


@pytest.fixture
def small(shell: Shell, server: Server, tmp_path: Path) -> Shell:
    """A shell whose current pool, `small`, has one connection."""
    write_config(tmp_path / "small.yaml", server.config() | {"pool_settings": {"min_size": 1, "max_size": 1}})
    shell.run("%pgmonkey connect small.yaml --as small")
    return shell


def failing_file(**connection: Any) -> Callable[[Shell, Server], BaseException]:
    """Return what connects by a file whose server cannot be reached."""

    def provoke(shell: Shell, server: Server) -> BaseException:
        write_config(Path("failing.yaml"), server.config(**connection))
        return shell.error("%pgmonkey connect failing.yaml")

    return provoke


def cell(source: str) -> Callable[[Shell, Server], BaseException]:
    """Return what runs a cell that fails."""

    def provoke(shell: Shell, _server: Server) -> BaseException:
        return shell.error(source)

    return provoke


def aborted(shell: Shell, _server: Server) -> BaseException:
    shell.run("%pgmonkey BEGIN")
    shell.error("%pgmonkey SELECT 1 / 0")
    error = shell.error("%pgmonkey SELECT 1")
    shell.run("%pgmonkey ROLLBACK")
    return error


def not_set(shell: Shell, server: Server) -> BaseException:
    write_config(Path("env.yaml"), server.config(host="${NOT_SET_ANYWHERE}"))
    return shell.error("%pgmonkey connect env.yaml --resolve-env")


def unloaded(shell: Shell, _server: Server) -> BaseException:
    from IPython.core.interactiveshell import InteractiveShell

    with pytest.raises(Exception, match="not found") as caught:
        InteractiveShell().run_line_magic("pgmonkey", "SELECT 1")
    return caught.value


def without_a_pool(shell: Shell, _server: Server) -> BaseException:
    shell.run("%pgmonkey disconnect --all")
    return shell.error("%pgmonkey SELECT 1")


def the_pool(server: Server) -> Any:
    return PGConnectionManager().get_database_connection("small.yaml", "pool")


def exhausted(shell: Shell, server: Server) -> BaseException:
    held, end = threading.Event(), threading.Event()

    def hold() -> None:
        with the_pool(server):
            held.set()
            end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    error = shell.error("%pgmonkey --wait 0.1 SELECT 1")
    end.set()
    thread.join()
    return error


def nested(_shell: Shell, server: Server) -> BaseException:
    pool = the_pool(server)
    with pytest.raises(PgMonkeyError) as caught, pool, pool:
        pass
    return caught.value


def server_down(shell: Shell, server: Server) -> BaseException:
    write_config(Path("down.yaml"), server.config(host="127.0.0.1", port=1))
    with pytest.raises(PgMonkeyError) as caught, PGConnectionManager().get_database_connection("down.yaml", "pool"):
        pass
    return caught.value


def too_many(shell: Shell, _server: Server) -> BaseException:
    from pgmonkey_magic.demo.cluster import Cluster

    with Cluster(settings={"max_connections": 4, "superuser_reserved_connections": 0}) as own:
        kept = [psycopg.connect(own.conninfo) for _ in range(4)]
        write_config(Path("full.yaml"), {"connection_settings": {"host": str(own.socket_dir), "user": "postgres"}})
        error = shell.error("%pgmonkey connect full.yaml")
        for conn in kept:
            conn.close()
    return error


def too_many_for_others(shell: Shell, _server: Server) -> BaseException:
    from pgmonkey_magic.demo.cluster import Cluster

    full = {"max_connections": 4, "superuser_reserved_connections": 3}
    with Cluster(settings=full) as own, psycopg.connect(own.conninfo, autocommit=True) as conn:
        conn.execute("CREATE ROLE plain LOGIN")
        settings = {"host": str(own.socket_dir), "user": "plain", "dbname": "postgres"}
        write_config(Path("full.yaml"), {"connection_settings": settings})
        return shell.error("%pgmonkey connect full.yaml")


def stale_plan(shell: Shell, server: Server) -> BaseException:
    server.query("CREATE TABLE stale_plan (n int)")
    try:
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught, the_pool(server) as conn:
            conn.execute("SELECT * FROM stale_plan", prepare=True)
            conn.commit()
            server.query("ALTER TABLE stale_plan ADD m int")
            conn.execute("SELECT * FROM stale_plan", prepare=True)
    finally:
        server.query("DROP TABLE stale_plan")
    return caught.value


def without_jupyter(_shell: Shell, _server: Server) -> BaseException:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "jupyterlab", None)
        with pytest.raises(PgMonkeyError) as caught:
            cli._need_jupyter()
    return caught.value


def too_large(shell: Shell, _server: Server) -> BaseException:
    from pgmonkey_magic.cells.memory import free_bytes

    shell.run(f"%config PgMonkey.memory_stop = {20e6 / free_bytes()}")
    try:
        return shell.error("%pgmonkey SELECT repeat(md5(i::text), 20) FROM generate_series(1, 2000000) i")
    finally:
        shell.run("%config PgMonkey.memory_stop = 0.8")


PROVOKED: dict[str, Callable[[Shell, Server], BaseException]] = {
    "Line magic function … not found": unloaded,
    "no pool is connected; looked at …": without_a_pool,
    "connection failed: … Connection refused": failing_file(host="127.0.0.1", port=1),
    "pool … cannot connect: …": server_down,
    "sorry, too many clients already": too_many,
    "… still holds a ${VAR} reference": failing_file(host="${NOT_RESOLVED}"),
    "environment variable … is not set": not_set,
    "remaining connection slots are reserved": too_many_for_others,
    "unknown key … did you mean …": failing_file(hots="localhost"),
    "no connection of pool … came free within … s": exhausted,
    "this borrower already holds all … connections": nested,
    "max_size … is more than the … connections that the server has free": cell("%pgmonkey tune max_size=5000"),
    "the first line of a cell holds only options": cell("%%pgmonkey SELECT 1\nSELECT 2"),
    "the parameter … is not defined": cell("%pgmonkey SELECT :nowhere_defined"),
    "current transaction is aborted, commands ignored until end of transaction block": aborted,
    "… cannot run inside a transaction block": cell("%pgmonkey VACUUM"),
    "canceling statement due to statement timeout": cell("%pgmonkey --timeout 0.1 SELECT pg_sleep(30)"),
    "cached plan must not change result type": stale_plan,
    "prepared statement … does not exist": cell("%pgmonkey EXECUTE nowhere"),
    "the result had taken … when it was stopped": too_large,
    "the demo needs JupyterLab": without_jupyter,
}
ELSEWHERE = {
    "password authentication failed for user …": "tests/benchmarks/RELIABILITY.md, row F6",
    "unsupported startup parameter: options": "tests/integration/test_pgbouncer.py",
    "authentication method requirement … failed": "tests/integration/test_pool_lifecycle.py",
}
"""Those that need a server of another kind, and where they are provoked."""


def test_every_error_of_the_table_is_provoked() -> None:
    rows = table(section("Errors and their cures"))[1:]
    assert {row[0].strip("`") for row in rows} == PROVOKED.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("said", PROVOKED)
def test_an_error_says_what_the_table_says(small: Shell, server: Server, said: str) -> None:
    error = PROVOKED[said](small, server)
    whole = " ".join([str(error), *getattr(error, "detail", ())])
    assert re.search(".*".join(map(re.escape, said.split("…"))), whole), whole
