"""`%pgmonkey upload`: the word, its options, what it shows, and its errors."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fix_notebook import Shell, run_in_kernel
from fix_pools import until
from fix_server import Server
from IPython.core.completer import provisionalcompleter

from pgmonkey_magic.cells import CommandResult, Job
from pgmonkey_magic.errors import RequestError, SQLError
from pgmonkey_magic.notebook.grammar import Query, parse_line


@pytest.fixture
def schema(server: Server) -> Iterator[str]:
    """A schema whose name needs quotes."""
    name = f"Up {uuid.uuid4().hex[:8]}"
    server.query(f'CREATE SCHEMA "{name}"')
    yield f'"{name}"'
    server.query(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture
def into(connected: Shell, schema: str) -> Shell:
    connected.ip.user_ns["df"] = pd.DataFrame({"a": [1, 2, 3], "B b": ["x", None, "ü"]})
    connected.schema = schema
    return connected


def test_the_word_creates_a_table_and_says_so(into: Shell, server: Server, schema: str) -> None:
    done = into.run(f"%pgmonkey upload df {schema}.orders")
    assert isinstance(done, CommandResult)
    assert (done.tag, done.rowcount) == ("COPY 3", 3)
    assert into["_pg"] is done
    assert into.shown[0] == f'CREATE TABLE {schema}."orders" ("a" bigint, "B b" text)'
    assert into.footer.startswith("COPY 3 · ")
    assert into.footer.endswith("pool test 1/3")
    assert server.query(f"SELECT * FROM {schema}.orders") == [(1, "x"), (2, None), (3, "ü")]


def test_modes_keys_and_other_options(into: Shell, server: Server, schema: str) -> None:
    into.run(f"%pgmonkey upload df {schema}.t --mode=upsert --key a -q")
    assert into.shown == []
    into.ip.user_ns["df"].loc[0, "B b"] = "new"
    assert into.run(f"%pgmonkey upload --mode upsert --key a df {schema}.t").tag == "INSERT 0 3"
    assert server.query(f"SELECT * FROM {schema}.t ORDER BY a")[0] == (1, "new")
    into.run(f"%pgmonkey upload df {schema}.t --mode replace -o done")
    assert into["done"].rowcount == 3
    into.run("whole = df.fillna('')")
    into.run(f"%pgmonkey upload whole {schema}.u --mode upsert --key 'a, B b' --rollback")
    assert server.query(f"SELECT to_regclass('{schema}.u')") == [(None,)]


def test_names_are_those_of_sql(into: Shell, server: Server, schema: str) -> None:
    for written, name in (('"My ""T"" x"', 'My "T" x'), ("Orders", "orders"), ('"Orders"', "Orders")):
        into.run(f"%pgmonkey upload df {schema}.{written} -q")
        tables = server.query(f"SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace")
        assert (name,) in tables
    query = parse_line("""upload df '"A b".c' -b""")
    assert isinstance(query, Query)
    assert query.command is not None
    assert query.command.arguments == ("df", '"A b".c')


def test_errors_say_what_to_do(into: Shell, schema: str) -> None:
    into.run(f"%pgmonkey upload df {schema}.t -q")
    into.ip.user_ns.update(number=7, twice=pd.DataFrame([[1, 2]], columns=["a", "a"]))
    for line, words in {
        f"upload df {schema}.t": "exists already; choose --mode append",
        f"upload dff {schema}.t": "there is no 'dff' in the notebook; did you mean df?",
        f"upload number {schema}.t": "a int is no table",
        f"upload twice {schema}.t": "two columns 'a'",
        f"upload df {schema}.t --mode merge": "--mode takes one of fail, append, replace, upsert, not 'merge'",
        f"upload df {schema}.t --mode upsert": "needs --key",
        f"upload df {schema}.t --mode upsert --key a": "no unique index on (a)",
        f"upload df {schema}.t --mode upsert --key c": "no column 'c'",
        f"upload df {schema}.t --keys a": "did you mean --key?",
        f"upload df {schema}.t more": "usage: %pgmonkey upload DF TABLE",
        "upload df": "usage: %pgmonkey upload DF TABLE",
        "upload df a.b.c": "no table's name",
        f"-q upload df {schema}.t": "options come after the word",
    }.items():
        assert words in str(into.error(f"%pgmonkey {line}")), line
    error = into.error(f"%%pgmonkey upload df {schema}.t\nSELECT 1")
    assert isinstance(error, RequestError)


def test_the_server_s_error_names_the_row(into: Shell, server: Server, schema: str) -> None:
    server.query(f"CREATE TABLE {schema}.t (a int CHECK (a < 3))")
    into.run("part = df[['a']].set_axis(['x', 'y', 'z'])")
    error = into.error(f"%pgmonkey upload part {schema}.t --mode append")
    assert isinstance(error, SQLError)
    assert error.sqlstate == "23514"
    assert "ROW: df.iloc[2] (index 'z')" in "\n".join(error.detail)
    assert "nothing was committed" in error.detail[-1]
    assert server.query(f"SELECT count(*) FROM {schema}.t") == [(0,)]


def test_in_the_background_with_rows_and_megabytes(into: Shell, server: Server, schema: str) -> None:
    into.ip.user_ns["big"] = pd.DataFrame({"a": np.arange(2_000_000), "s": "x" * 30})
    into.run(f"job = %pgmonkey upload -b big {schema}.big")
    job = into["job"]
    assert isinstance(job, Job)
    until(lambda: job.progress.rows > 0)
    row = into.run("%pgmonkey jobs").iloc[-1]
    assert row["rows"] > 0
    assert row["MB"] > 0
    assert row["query"] == f'COPY {schema}."big" FROM STDIN'
    into.run(f"%pgmonkey cancel {job.id}")
    assert server.query(f"SELECT to_regclass('{schema}.big')") == [(None,)]
    assert into.run("%pgmonkey SELECT 1 AS one")["one"][0] == 1


def test_it_takes_part_in_an_open_transaction(into: Shell, server: Server, schema: str) -> None:
    into.run("%pgmonkey BEGIN")
    into.run(f"%pgmonkey upload df {schema}.t")
    assert "transaction open" in into.footer
    assert into.run(f"%pgmonkey SELECT count(*) AS n FROM {schema}.t")["n"][0] == 3
    assert server.query(f"SELECT to_regclass('{schema}.t')") == [(None,)]
    into.run("%pgmonkey COMMIT")
    assert server.query(f"SELECT count(*) FROM {schema}.t") == [(3,)]


def test_another_pool_for_one_upload(shell: Shell, config_file: Path, schema: str) -> None:
    shell.ip.user_ns["df"] = pd.DataFrame({"a": [1]})
    assert "no pool is connected" in str(shell.error(f"%pgmonkey upload df {schema}.t"))
    shell.run(f"%pgmonkey upload df {schema}.t -c {config_file}")
    assert "pool" in shell.footer
    error = shell.error(f"%pgmonkey upload df {schema}.t -c nobody")
    assert "nobody" in str(error)


def test_a_password_on_the_line_is_refused_and_shown_nowhere(into: Shell, schema: str) -> None:
    error = into.error(f"%pgmonkey upload df {schema}.t -c password=canary7")
    assert "stays in the history" in str(error)
    assert "canary7" not in str(error)


def test_the_stop_button_ends_an_upload(config_file: Path, server: Server, schema: str, tmp_path: Path) -> None:
    server.query(
        f"CREATE TABLE {schema}.t (a int); CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';"
        f"CREATE TRIGGER slow BEFORE INSERT ON {schema}.t FOR EACH ROW EXECUTE FUNCTION {schema}.slow()"
    )
    outputs = run_in_kernel(
        f"%load_ext pgmonkey_magic\n%pgmonkey connect {config_file}\n"
        "import os, signal, threading, numpy as np, pandas as pd\ndf = pd.DataFrame({'a': np.arange(2_000_000)})",
        "threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        f"%pgmonkey upload df {schema}.t --mode append",
        f"%pgmonkey SELECT count(*) AS n FROM {schema}.t",
        allow_errors=True,
        cwd=tmp_path,
    )
    error = next(output for output in outputs[1] if output.output_type == "error")
    assert error.ename == "CellInterrupted"
    assert "rolled back" in "".join(error.traceback)
    assert outputs[2][0].data["text/plain"].split() == ["n", "0", "0"]


@pytest.mark.parametrize(
    ("fragment", "offered"),
    [
        ("upload ", "df"),
        ("upload df ", "upload_target"),
        ("upload df t --mo", "--mode"),
        ("upload df t --mode up", "upsert"),
        ("upload df t -c ", "test"),
    ],
)
def test_tab_on_the_line(into: Shell, server: Server, fragment: str, offered: str) -> None:
    server.query("CREATE TABLE IF NOT EXISTS upload_target (a int)")
    try:
        line = f"%pgmonkey {fragment}"

        def texts() -> list[str]:
            with provisionalcompleter():
                return [each.text for each in into.ip.Completer.completions(line, len(line))]

        until(lambda: offered in texts())  # the catalogue is read in the background
    finally:
        server.query("DROP TABLE upload_target")
