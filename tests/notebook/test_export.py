"""The word `export`: how it is typed, what it says, and what it leaves where it fails or is cancelled."""

import gzip
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from fix_notebook import Shell
from fix_pools import until
from fix_server import Server
from IPython.core.completer import provisionalcompleter

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import Command, Query, parse_cell, parse_line

ENDLESS = "SELECT generate_series(1, 1000000000) AS i, repeat('x', 100) AS t"


# -- the grammar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["SELECT 1 << 3", "\n -- first\nSELECT ':a', \"b\" -- last\n", "SELECT '-q', $$ -b $$"]
)
def test_the_body_of_a_cell_is_its_sql_verbatim(body: str) -> None:
    query = parse_cell('export "my file.csv" -p a=1 -q -p b=2', body)
    assert query.sql == body
    assert query.options.given == {"param": ["a=1", "b=2"], "quiet": [""]}
    assert query.command == Command("export", query.options, ("my file.csv",))
    assert parse_cell('export -p a=1 "my file.csv" -q -p b=2', body) == query


@pytest.mark.parametrize("sql", ["SELECT 1 << 3", "SELECT '-q' -- x", "(SELECT 1)", '"quoted" -b'])
def test_on_a_line_the_sql_follows_path_and_options(sql: str) -> None:
    query = parse_line(f"export x.csv -b {sql} ")
    assert isinstance(query, Query)
    assert (query.sql, query.options.given) == (sql, {"background": [""]})
    assert parse_line(f"export x.csv -b -- {sql}") == query


def test_names_are_bound_and_files_read() -> None:
    assert parse_cell("export x.csv job <<", "SELECT 1").into == ("job",)
    assert parse_cell("export x.csv -o job", "SELECT 1").into == ("job",)
    assert parse_cell("export <<", "SELECT 1").into == ("export",), "a name as any other"
    query = parse_line("export x.csv -f q.sql")
    assert isinstance(query, Query)
    assert (query.sql, query.options.value("file")) == ("", "q.sql")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export", "usage: %pgmonkey export PATH [options] SQL"),
        ("export x.csv", "usage: %pgmonkey export PATH [options] SQL, or %%pgmonkey"),
        ("export --max-rows 3 x.csv SELECT 1", "export has no option --max-rows"),
        ("-b export x.csv SELECT 1", "options come after the word: %pgmonkey export PATH"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_line(line)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export", "usage: %pgmonkey export PATH"),
        ("export x.csv SELECT 1", "move SQL to the next line"),
        ("export x.csv --as df", "no option --as"),
        ("exprot x.csv", "for the word export use %%pgmonkey export"),
        ("-q export x.csv", "options come after the word"),
        ("export x.csv -o a b <<", "two places"),
    ],
)
def test_a_wrong_first_line_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_cell(line, "SELECT 2")
    assert message in str(caught.value)


# -- what is written and said ------------------------------------------------------------------------------------------


def test_a_cell_says_what_it_has_written(connected: Shell, tmp_path: Path) -> None:
    done = connected.run("%%pgmonkey export x.csv\nSELECT i AS a, 'é' AS b FROM generate_series(1, 1204) i")
    assert (tmp_path / "x.csv").read_text().splitlines()[:2] == ["a,b", "1,é"]
    size = (tmp_path / "x.csv").stat().st_size
    assert done.tag == f"export 1,204 rows · {size / 1000:.1f} kB → x.csv"
    assert done.rowcount == 1204
    assert connected.footer.startswith(f"{done.tag} · ")
    assert "execute" in connected.footer
    assert connected["_pg"] is done
    one = connected.run("%pgmonkey export one.csv SELECT 1 AS a")
    assert one.tag == "export 1 row · 4 bytes → one.csv"


def test_types_that_become_text_are_told_below(connected: Shell) -> None:
    connected.run("%%pgmonkey export x.parquet\nSELECT 1.5 AS n, interval '1 mon' AS i, 1 AS a, 2 AS a")
    (lines, _) = connected.shown
    assert lines.splitlines() == [
        "second column a renamed to a_1",
        "text, because numeric without a scale has any number of digits: n; cast to numeric(p, s), or --decimals float",
        "text, as the server writes it: i",
    ]
    connected.run("%%pgmonkey export x.parquet -q\nSELECT 1.5 AS n")
    assert connected.shown == []


def test_parameters_files_and_other_options_are_those_of_a_cell(
    connected: Shell, server: Server, table: str, tmp_path: Path
) -> None:
    connected.run('word = "it\'s"')
    (tmp_path / "q.sql").write_text("SELECT :word AS w, :n + 1 AS n")
    connected.run("%pgmonkey export x.csv.gz -p n=41 -f q.sql")
    assert gzip.decompress((tmp_path / "x.csv.gz").read_bytes()) == b"w,n\nit's,42\n"
    connected.run("%%pgmonkey export y.parquet --params {'word':None,'n':1} -f q.sql\n ")
    assert pd.read_parquet(tmp_path / "y.parquet").n.tolist() == [2]
    assert ":nn is not defined; did you mean :n?" in str(connected.error("n = 1\n%pgmonkey export x.csv SELECT :nn"))
    error = connected.error(f"%pgmonkey export x.csv --read-only INSERT INTO {table} VALUES (1) RETURNING n")
    assert error.sqlstate == "25006"
    connected.run(f"%pgmonkey export x.csv --rollback INSERT INTO {table} VALUES (1) RETURNING n")
    assert (tmp_path / "x.csv").read_text() == "n\n1\n"
    assert server.query(f"SELECT * FROM {table}") == []
    assert "--timeout 0.1 ended it" in str(
        connected.error("%pgmonkey export z.csv --timeout 0.1 SELECT pg_sleep(9)").detail
    )
    assert not (tmp_path / "z.csv").exists()
    connected.run("%pgmonkey export z.csv -N SELECT :n")
    assert "nothing was sent" in connected.shown[0]
    assert not (tmp_path / "z.csv").exists()


def test_an_open_transaction_goes_on(connected: Shell, tmp_path: Path) -> None:
    connected.run(
        "%%pgmonkey -q\nBEGIN;\nDECLARE c CURSOR FOR SELECT i, NULL AS n, 'a,\"b' AS t FROM generate_series(1, 5) i"
    )
    connected.run("%pgmonkey export two.csv FETCH 2 FROM c")
    connected.run("%pgmonkey export rest.parquet FETCH ALL FROM c")
    connected.run("%pgmonkey COMMIT")
    assert (tmp_path / "two.csv").read_text() == 'i,n,t\n1,,"a,""b"\n2,,"a,""b"\n'
    rest = pd.read_parquet(tmp_path / "rest.parquet")
    assert (rest.i.tolist(), rest.t.tolist()) == ([3, 4, 5], ['a,"b'] * 3)


# -- what cannot be done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%pgmonkey export x.txt\nSELECT 1", "export x.txt: the ending says how to write it; it is one of .csv"),
        ("%%pgmonkey export x\nSELECT 1", "it is one of .csv, .csv.gz, .tsv, .tsv.gz, .parquet"),
        ("%%pgmonkey export nowhere/x.csv\nSELECT 1", "there is no directory"),
        ("%%pgmonkey export there.csv\nSELECT 1", "this is a directory; name a file"),
        ("%%pgmonkey export x.csv\nSELECT 1; SELECT 2", "export takes one query, and there are 2; run the others"),
        ("%%pgmonkey export x.csv\n-- nothing", "export takes one query, and there are none"),
        ("%%pgmonkey export x.csv\nCREATE TEMP TABLE x ()", "export takes a query that returns columns"),
        ("%%pgmonkey export x.csv\n\\d", "export is for SQL, not for backslash commands"),
        ("%%pgmonkey export x.csv --decimals float\nSELECT 1", "--decimals is for Parquet"),
        ("%%pgmonkey export x.parquet --decimals some\nSELECT 1", "--decimals takes one of float, exact"),
    ],
)
def test_an_error_is_one_clear_sentence(connected: Shell, tmp_path: Path, cell: str, message: str) -> None:
    (tmp_path / "there.csv").mkdir()
    error = connected.error(cell)
    assert message in str(error)
    assert "\n" not in str(error)
    assert sorted(os.listdir(tmp_path)) == ["server.yaml", "there.csv"]
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1


@pytest.mark.skipif(
    not Path("/sys").is_dir(), reason="needs a directory in which not even root may write; Linux has one"
)
def test_a_closed_directory_is_an_error_of_the_system(connected: Shell) -> None:
    error = str(connected.error("%pgmonkey export /sys/x.csv SELECT 1"))
    assert error in ("export /sys/x.csv: Permission denied", "export /sys/x.csv: Read-only file system")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_what_fails_leaves_the_file_that_was_there(connected: Shell, tmp_path: Path, ending: str) -> None:
    old = tmp_path / f"old.{ending}"
    old.write_text("precious")
    old.chmod(0o640)
    error = connected.error(
        f"%%pgmonkey export old.{ending}\nSELECT 10 / (9000 - g) AS x FROM generate_series(1, 9999) g"
    )
    assert str(error) == "division by zero"
    assert old.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == sorted({old.name, "server.yaml"})
    connected.run(f"%%pgmonkey export old.{ending}\nSELECT 1 AS x")
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    assert read(old).x.tolist() == [1]
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_full_disk_is_said_and_leaves_nothing(connected: Shell, tmp_path: Path, ending: str) -> None:
    (tmp_path / f"full.{ending}").symlink_to("/dev/full")
    assert "No space left on device" in str(connected.error(f"%pgmonkey export full.{ending} SELECT 1"))
    assert sorted(os.listdir(tmp_path)) == [f"full.{ending}", "server.yaml"]
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1


# -- jobs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_job_in_the_background_tells_how_far_it_is_and_can_be_cancelled(
    connected: Shell, server: Server, tmp_path: Path, ending: str
) -> None:
    (tmp_path / f"x.{ending}").write_text("precious")
    connected.run(f"%%pgmonkey export x.{ending} -b job <<\n{ENDLESS}")
    job = connected["job"]
    until(lambda: job.progress.rows > 1000)
    row = connected.run("%pgmonkey jobs").iloc[-1]
    assert (row.state, row.rows > 1000, row.MB > 0) == ("running", True, True)
    started = time.monotonic()
    assert job.cancel()
    assert time.monotonic() - started < 20
    assert job.state == "cancelled"
    assert (tmp_path / f"x.{ending}").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == sorted({f"x.{ending}", "server.yaml"})
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    until(lambda: connected.run("%pgmonkey pools")["in use"][0] == 0)
    assert not running(server)


def running(server: Server) -> list[tuple[object, ...]]:
    return server.query("SELECT pid FROM pg_stat_activity WHERE query ~ '^COPY.*1000000000' AND state = 'active'")


def test_an_interrupt_leaves_no_file_and_no_lost_connection(connected: Shell, server: Server, tmp_path: Path) -> None:
    def interrupt() -> None:
        until(lambda: running(server))
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    error = connected.error(f"%%pgmonkey export x.parquet\n{ENDLESS}")
    thread.join()
    assert isinstance(error, KeyboardInterrupt)
    assert "cancelled and its transaction rolled back" in str(error)
    assert os.listdir(tmp_path) == ["server.yaml"]
    assert not running(server)
    assert connected.run("%pgmonkey pools")["in use"][0] == 0
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_the_server_stops_where_nothing_can_be_written_any_more(
    connected: Shell, server: Server, tmp_path: Path, ending: str
) -> None:
    (tmp_path / f"full.{ending}").symlink_to("/dev/full")
    assert "No space left on device" in str(connected.error(f"%%pgmonkey export full.{ending}\n{ENDLESS}"))
    assert not running(server)
    if ending == "parquet":
        error = connected.error(f"%%pgmonkey export x.{ending}\n{ENDLESS}, date 'infinity' AS day")
        assert "column day holds a value" in str(error)
        assert not running(server)
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    assert connected.run("%pgmonkey pools")["in use"][0] == 0


def test_a_job_in_the_background_has_its_line_as_value(connected: Shell, tmp_path: Path) -> None:
    job = connected.run("%pgmonkey export x.parquet -b SELECT 1 AS a")
    assert job.result(60).tag.endswith("→ x.parquet")
    assert pd.read_parquet(tmp_path / "x.parquet").a.tolist() == [1]


def test_others_on_an_async_pool_are_not_held_up(connected: Shell) -> None:
    connected.run(f"%%pgmonkey export x.csv.gz -b job <<\n{ENDLESS}")
    until(lambda: connected["job"].progress.rows > 1000)
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1
    connected["job"].cancel()


# -- completion --------------------------------------------------------------------------------------------------------


def test_the_files_that_may_be_written_are_completed(shell: Shell, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.txt", "a.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "a dir").mkdir()
    line = "%pgmonkey export a"
    with provisionalcompleter():
        found = [each.text for each in shell.ip.Completer.completions(line, len(line))]
    assert sorted(each for each in found if each.startswith(("a.", '"a'))) == ['"a dir/', "a.csv", "a.parquet"]


def test_no_password_is_in_what_is_said(shell: Shell, server: Server, tmp_path: Path) -> None:
    import yaml

    secret = "canary-91b2-pass"
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(server.config(password=secret)))
    (tmp_path / "s.yaml").chmod(0o600)
    shell.run("%pgmonkey connect s.yaml")
    said = [str(shell.run("%pgmonkey export x.csv SELECT 1")), *shell.shown]
    for cell in (
        "%pgmonkey export no/x.csv SELECT 1",
        "%pgmonkey export x.csv SELECT x",
        "%pgmonkey export x.txt SELECT 1",
    ):
        error = shell.error(cell)
        said += [repr(error), *error._render_traceback_()]
    assert secret not in "\n".join(said)
    assert secret not in repr(shell["_pg"])
