"""`%pgmonkey` and `%%pgmonkey` in a fresh shell against a real server, over both kinds of pool."""

import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import yaml
from fix_notebook import Shell
from fix_server import Server

from pgmonkey_magic import PoolUnavailable, RequestError, SQLError
from pgmonkey_magic.cells import CommandResult, ResultSets
from pgmonkey_magic.pools import Holder, Terms


def test_a_cell_returns_a_dataframe_and_a_footer(connected: Shell) -> None:
    df = connected.run("%%pgmonkey\nSELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL ORDER BY 1")
    assert isinstance(df, pd.DataFrame)
    assert df.to_dict("list") == {"a": [1, 2], "b": ["x", df["b"][1]]}
    assert pd.isna(df["b"][1])
    assert connected["_pg"] is df
    for part in ("2 rows", "wait ", "execute ", "fetch ", "convert ", "pool test 1/3"):
        assert part in connected.footer


def test_a_line_returns_its_value_to_an_assignment(connected: Shell) -> None:
    connected.run(
        "df = %pgmonkey SELECT 1 << 3 AS x, '{\"a\": 1}'::jsonb AS j, '{{1,2},{3,4}}'::int[] AS m, 7 % 3 AS r;"
    )
    assert connected["df"].iloc[0].to_list() == [8, {"a": 1}, [[1, 2], [3, 4]], 1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a:b', 'x'::text, 'a' LIKE 'a%', (ARRAY[1,2,3])[1:2]",
        "SELECT $$ it's $$, $tag$ :x {y} $z $tag$, E'\\'', U&'\\0061'",
        "/* leading /* nested */ */ SELECT '{}'::jsonb ? 'a', '{}'::jsonb @> '{}'",
        "SELECT inet '10.1.2.3' << inet '10.0.0.0/8'",
        "SELECT '{name}', '$HOME', '%s', '{{}}'",
    ],
)
def test_postgresql_runs_unchanged_as_cell_and_as_line(connected: Shell, server: Server, sql: str) -> None:
    expected = [list(row) for row in server.query(sql)]
    assert connected.run(f"%%pgmonkey\n{sql}").to_numpy().tolist() == expected
    connected.run(f"line = %pgmonkey {sql}")
    assert connected["line"].to_numpy().tolist() == expected


def test_the_text_reaches_the_server_byte_for_byte(connected: Shell) -> None:
    body = "-- first\n  SELECT current_query() AS q /* {x} $y %z */ ;\n\n"
    assert connected.run("%%pgmonkey\n" + body)["q"][0] == body


def test_every_result_set_is_shown_with_its_tag(connected: Shell, table: str) -> None:
    sets = connected.run(f"%%pgmonkey\nINSERT INTO {table} VALUES (1), (2);\nSELECT * FROM {table};\nSELECT 'x' AS y")
    assert isinstance(sets, ResultSets)
    assert sets.tags == ["INSERT 0 2", "SELECT 2", "SELECT 1"]
    assert isinstance(sets[0], CommandResult)
    assert (sets[0].tag, sets[0].rowcount) == ("INSERT 0 2", 2)
    assert [len(sets[1]), len(sets[2])] == [2, 1]
    assert "INSERT 0 2 · SELECT 2 · SELECT 1" in connected.footer
    html = connected.ip.display_formatter.format(sets)[0]["text/html"]
    assert html.count("<table") == 2
    assert "INSERT 0 2" in html


def test_one_row_returning_statement_among_several_is_the_value(connected: Shell, table: str) -> None:
    df = connected.run(f"%%pgmonkey\nINSERT INTO {table} VALUES (7);\nSELECT * FROM {table}")
    assert df["n"].to_list() == [7]


def test_a_statement_without_rows_is_a_command_result(connected: Shell, table: str) -> None:
    result = connected.run(f"%pgmonkey INSERT INTO {table} VALUES (1), (2), (3)")
    assert (result.tag, result.rowcount) == ("INSERT 0 3", 3)
    assert repr(result).startswith("INSERT 0 3 · ")
    assert connected.run(f"%pgmonkey CREATE INDEX ON {table} (n)").rowcount is None


def test_a_cell_is_one_transaction(connected: Shell, server: Server, table: str) -> None:
    error = connected.error(f"%%pgmonkey\nINSERT INTO {table} VALUES (1);\nSELECT 1/0")
    assert isinstance(error, SQLError)
    assert "rolled back, nothing was committed" in error.detail[-1]
    assert server.query(f"SELECT * FROM {table}") == []
    connected.run(f"%%pgmonkey\nINSERT INTO {table} VALUES (1);\nINSERT INTO {table} VALUES (2)")
    assert server.query(f"SELECT * FROM {table}") == [(1,), (2,)]


def test_a_deferred_constraint_fails_at_commit_and_says_so(connected: Shell, server: Server, table: str) -> None:
    connected.run(f"%pgmonkey ALTER TABLE {table} ADD CONSTRAINT once UNIQUE (n) DEFERRABLE INITIALLY DEFERRED")
    error = connected.error(f"%pgmonkey INSERT INTO {table} VALUES (1), (1)")
    assert error.sqlstate == "23505"
    assert server.query(f"SELECT * FROM {table}") == []


def test_an_sql_error_has_caret_hint_state_and_cause(connected: Shell) -> None:
    error = connected.error("%%pgmonkey\nSELECT relname,\n  relkin\nFROM pg_class")
    assert str(error) == 'column "relkin" does not exist'
    assert error.detail[:2] == ("LINE 2:   relkin", "          ^")
    assert 'HINT: Perhaps you meant to reference the column "pg_class.relkind".' in error.detail
    assert error.sqlstate == "42703"
    assert isinstance(error.__cause__, psycopg.errors.UndefinedColumn)
    assert connected.run("%pgmonkey SELECT 1 AS still_fine")["still_fine"].to_list() == [1]


def test_vacuum_gets_the_hint_and_runs_with_the_option(connected: Shell, table: str) -> None:
    error = connected.error(f"%pgmonkey VACUUM {table}")
    assert error.sqlstate == "25001"
    assert any("--autocommit" in line for line in error.detail)
    assert connected.run(f"%pgmonkey --autocommit VACUUM {table}").tag == "VACUUM"


def test_a_mistyped_word_gets_a_hint(connected: Shell) -> None:
    assert "did you mean %pgmonkey pools?" in connected.error("%pgmonkey pols").detail[-1]


@pytest.mark.parametrize(
    "cell", ["%%pgmonkey\n  \n", "%%pgmonkey\n-- only a comment", "%%pgmonkey\n;;", "%pgmonkey -q"]
)
def test_an_empty_cell_is_an_error(connected: Shell, cell: str) -> None:
    error = connected.error(cell)
    assert "\n" not in str(error)
    assert isinstance(error, RequestError) or "cell body is empty" in str(error)


def test_copy_through_a_cell_is_refused_and_the_connection_works_on(connected: Shell, table: str) -> None:
    for sql in (f"COPY {table} FROM STDIN", "COPY (SELECT generate_series(1, 100000)) TO STDOUT"):
        error = connected.error(f"%%pgmonkey\nSELECT 1;\n{sql};\nSELECT 2")
        assert isinstance(error, RequestError)
        assert "COPY" in str(error)
        assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def test_results_are_bound_to_names(connected: Shell) -> None:
    assert connected.run("%%pgmonkey one <<\nSELECT 1 AS x") is None
    assert connected["one"]["x"].to_list() == [1]
    assert len(connected.shown) == 1, "only the footer"
    connected.run("%%pgmonkey -o a,b\nSELECT 1 AS x; SET LOCAL work_mem = '5MB'; SELECT 2 AS x")
    assert [connected["a"]["x"][0], connected["b"]["x"][0]] == [1, 2]
    error = connected.error("%%pgmonkey -o a,b\nSELECT 3 AS x")
    assert "2 names for 1 results" in str(error)
    assert connected["_pg"]["x"].to_list() == [3]


def test_quiet_shows_nothing(connected: Shell) -> None:
    assert connected.run("%%pgmonkey -q\nSELECT 1 AS x") is None
    assert (connected.shown, connected.stdout) == ([], "")
    assert connected["_pg"]["x"].to_list() == [1]
    connected.run("%pgmonkey -q SELECT 2 AS x")
    assert connected["_pg"]["x"].to_list() == [2]


def test_notices_appear_under_the_cell_and_are_capped(connected: Shell) -> None:
    connected.run("%%pgmonkey\nDO $$BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'careful'; END$$")
    assert connected.shown[0] == "NOTICE: hello\nWARNING: careful"
    connected.run("%%pgmonkey\nDO $$BEGIN FOR i IN 1..250 LOOP RAISE NOTICE '%', i; END LOOP; END$$")
    assert connected.shown[0].count("NOTICE") == 100
    assert "150 more notices" in connected.shown[0]
    connected.run("%pgmonkey SELECT 1")
    assert len(connected.shown) == 1, "no handler is left on the connection"


def test_a_notice_before_an_error_is_shown(connected: Shell) -> None:
    with pytest.raises(SQLError):
        connected.run("%%pgmonkey\nDO $$BEGIN RAISE NOTICE 'so far'; END$$; SELECT 1/0")
    assert "NOTICE: so far" in connected.shown[0]


def test_the_account_of_a_cell_stays_with_its_frame(connected: Shell) -> None:
    account = connected.run("%pgmonkey SELECT generate_series(1, 3)").attrs["pgmonkey"]
    assert account["rows"] == 3
    assert account["pool"] == "test"
    times = account["timings"]
    assert times["total_ms"] == pytest.approx(sum(ms for name, ms in times.items() if name != "total_ms"))
    slow = connected.run("%pgmonkey SELECT pg_sleep(0.3)").attrs["pgmonkey"]["timings"]
    assert slow["execute_ms"] > 290
    assert slow["fetch_ms"] < 200


def test_zero_columns_and_repeated_columns(connected: Shell) -> None:
    assert connected.run("%pgmonkey SELECT FROM generate_series(1, 3)").shape == (3, 0)
    df = connected.run("%pgmonkey SELECT 1 AS a, 2 AS a")
    assert df.columns.to_list() == ["a", "a_1"]
    assert "renamed to a_1" in connected.footer


def test_values_that_python_cannot_hold_never_fail_the_fetch(connected: Shell) -> None:
    df = connected.run(
        "%%pgmonkey\nSELECT d::date, t::timestamptz, i::interval, '24:00'::time AS w FROM (VALUES "
        "('2024-01-01', '2024-01-01 00:00Z', '1 day'), ('infinity', '-infinity', 'infinity'), "
        "('12024-01-01', '0044-03-15 BC', '1 mon')) AS v (d, t, i)"
    )
    assert df["d"].astype(str).to_list() == ["2024-01-01", "None", "12024-01-01"] or pd.isna(df["d"][1])
    assert df["d"][2] == "12024-01-01"
    assert df["i"].to_list() == ["1 day", "infinity", "1 mon"]
    assert df["w"].to_list() == ["24:00:00"] * 3
    assert "infinite" in connected.footer


def test_the_sessions_time_zone_is_the_columns(connected: Shell) -> None:
    df = connected.run(
        "%%pgmonkey\nSET LOCAL TimeZone = 'America/New_York';\nSELECT '2024-07-01 12:00Z'::timestamptz AS t"
    )
    assert str(df["t"].dtype) == "datetime64[us, America/New_York]"
    assert df["t"][0].isoformat() == "2024-07-01T08:00:00-04:00"


def test_config_and_type_choose_a_pool_for_one_cell_only(shell: Shell, config_file: Path) -> None:
    shell.run(f"%pgmonkey connect {config_file} --as main")
    shell.run("%pgmonkey -t async_pool SELECT 1")
    assert "async" in shell.footer
    shell.run(f'%pgmonkey --config "{config_file}" SELECT 1')
    assert "pool main" in shell.footer
    shell.run("%pgmonkey SELECT 1")
    assert "pool main" in shell.footer
    assert shell.run("%pgmonkey pools")["type"].to_list() == ["pool", "async_pool"]


def test_use_pools_and_disconnect(shell: Shell, config_file: Path, server: Server) -> None:
    shell.run(f"%pgmonkey connect {config_file} --as a")
    shell.run(f"%pgmonkey connect {config_file} --as b -t async_pool")
    pools = shell.run("%pgmonkey pools")
    assert pools[["name", "current", "type", "min_size", "max_size"]].to_numpy().tolist() == [
        ["a", False, "pool", 1, 3],
        ["b", True, "async_pool", 1, 3],
    ]
    shell.run("%pgmonkey use a")
    shell.run("%pgmonkey SELECT 1")
    assert "pool a 1/3" in shell.footer
    assert "did you mean 'a'?" in str(shell.error("%pgmonkey use aa"))
    shell.run("%pgmonkey disconnect")
    assert "no pool is connected" in str(shell.error("%pgmonkey SELECT 1"))
    shell.run("%pgmonkey disconnect --all")
    assert len(shell.run("%pgmonkey pools")) == 0


def test_the_default_places(shell: Shell, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = str(shell.error("%pgmonkey SELECT 1"))
    for place in ("--config", "PgMonkey.default_config", "$PGMONKEY_CONFIG", "pgmonkey_config.yaml", "%pgmonkey demo"):
        assert place in error
    monkeypatch.setenv("PGMONKEY_CONFIG", str(config_file))
    assert shell.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    shell.run("%pgmonkey disconnect --all")
    monkeypatch.delenv("PGMONKEY_CONFIG")
    config_file.rename("pgmonkey_config.yaml")
    assert shell.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    shell.run("%pgmonkey disconnect --all")
    Path("pgmonkey_config.yaml").rename(config_file)
    shell.run(f"%config PgMonkey.default_config = '{config_file}'")
    assert shell.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def test_a_cell_on_an_exhausted_pool_says_who_holds(connected: Shell) -> None:
    pool = connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    end = threading.Event()
    talk = [threading.Thread(target=pool.run, args=(_hold(end), Terms(_holder(i), ""))) for i in range(3)]
    for thread in talk:
        thread.start()
    deadline = time.monotonic() + 10
    while pool.occupancy.in_use < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    error = connected.error("%pgmonkey --wait 0.2 SELECT 1")
    end.set()
    for thread in talk:
        thread.join()
    assert isinstance(error, PoolUnavailable)
    assert "within 0.2 s: 3 of 3 are in use" in str(error)
    assert any("held by cell [100]" in line for line in error.detail)
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def _hold(end: threading.Event) -> Any:
    def talk(conn: Any) -> Any:
        from pgmonkey_magic.results import query

        while not end.is_set():
            yield from query(conn.pgconn, b"SELECT pg_sleep(0.01)")

    return talk


def _holder(i: int) -> Any:

    return Holder(f"cell [{100 + i}]", "SELECT pg_sleep(0.01)")


def test_a_lost_connection_is_told_and_the_next_cell_works(connected: Shell) -> None:
    error = connected.error("%pgmonkey SELECT pg_terminate_backend(pg_backend_pid())")
    assert error.sqlstate == "57P01"
    assert "nothing was committed" in error.detail[-1]
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def test_footer_and_short_errors_can_be_switched(connected: Shell) -> None:
    connected.run("%config PgMonkey.footer = 'off'")
    connected.run("%pgmonkey -o x SELECT 1")
    assert connected.shown == []
    assert len(connected.error("%pgmonkey SELECT 1/0")._render_traceback_()) <= 4
    connected.run("%config PgMonkey.short_errors = False")
    try:
        assert any("Traceback" in line for line in connected.error("%pgmonkey SELECT 1/0")._render_traceback_())
    finally:
        connected.run("%config PgMonkey.short_errors = True")


def test_a_loop_of_lines_shows_few_footers(connected: Shell) -> None:
    connected.run("for i in range(20):\n    x = %pgmonkey SELECT 1")
    assert len(connected.shown) == 1
    assert connected.shown[0].splitlines()[0] == "… 15 earlier"
    assert len(connected.shown[0].splitlines()) == 6


def test_loading_twice_and_reloading_keep_the_pools(connected: Shell) -> None:
    pool = connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    for command in ("%load_ext pgmonkey_magic", "%reload_ext pgmonkey_magic", "%reload_ext pgmonkey_magic"):
        connected.run(command)
        connected.run("%pgmonkey SELECT 1")
        assert len(connected.shown) == 1, "one footer, not two"
    assert connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool is pool


def test_unloading_closes_the_pools(connected: Shell, config_file: Path) -> None:
    pool = connected.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    connected.run("%unload_ext pgmonkey_magic")
    assert pool.pool is None
    assert connected.ip.find_line_magic("pgmonkey") is None
    connected.run("%load_ext pgmonkey_magic")
    connected.run(f"%pgmonkey connect {config_file}")
    assert connected.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]


def test_help_names_every_option_and_word(shell: Shell) -> None:
    from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS

    shell.run("%pgmonkey help")
    for option in CELL_OPTIONS:
        assert ", ".join(option.names) in shell.stdout
    for subcommand in SUBCOMMANDS.values():
        assert subcommand.usage in shell.stdout
    shell.run("%pgmonkey help connect")
    assert "--resolve-env" in shell.stdout
    assert "did you mean connect?" in str(shell.error("%pgmonkey help conect"))


def test_help_has_examples_that_can_be_read_and_topics(shell: Shell) -> None:
    from pgmonkey_magic.notebook.grammar import SUBCOMMANDS, Query, parse_cell, parse_line
    from pgmonkey_magic.notebook.help import EXAMPLES, TOPICS

    assert EXAMPLES.keys() == SUBCOMMANDS.keys()
    for word, examples in EXAMPLES.items():
        shell.run(f"%pgmonkey help {word}")
        for example in examples:
            first, _, body = example.partition("\n")
            assert first in shell.stdout
            line = first.lstrip("%").removeprefix("pgmonkey ")
            asked = parse_cell(line, body) if body else parse_line(line)
            command = asked.command if isinstance(asked, Query) else asked
            assert command is not None
            assert command.word == word
    for topic in TOPICS:
        shell.run(f"%pgmonkey help {topic}")
        assert shell.stdout.startswith(f"{topic}: ")
    for option in ("-p", "--param", "param"):
        shell.run(f"%pgmonkey help {option}")
        assert "-p, --param NAME=EXPR" in shell.stdout
    shell.run("%pgmonkey help \\d")
    assert shell.stdout.startswith("backslash: ")
    assert "no help for '--parm'" in str(shell.error("%pgmonkey help --parm"))
    shell.run("%pgmonkey help max-rows")
    assert "-n, --max-rows N" in shell.stdout


def test_readme_names_every_option_and_word() -> None:
    from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS

    readme = (Path(__file__).parents[2] / "README.md").read_text().replace("\\|", "|")
    for option in CELL_OPTIONS:
        assert f"`{', '.join(option.names)}" in readme, option.names
    for subcommand in SUBCOMMANDS.values():
        assert f"%pgmonkey {subcommand.usage}" in readme, subcommand.usage


def test_html_is_escaped(connected: Shell) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    connected.run(f"%%pgmonkey\nDO $$BEGIN RAISE NOTICE '{nasty}'; END$$")
    from pgmonkey_magic.notebook.display import shown_lines
    from pgmonkey_magic.notebook.formatters import result_sets_html

    assert "<img" not in shown_lines([f"NOTICE: {nasty}"])._repr_mimebundle_()["text/html"]
    df = connected.run(f"""%pgmonkey SELECT '{nasty}' AS "{nasty}" """)
    assert "<img" not in result_sets_html(ResultSets([df], [nasty]))


def test_references_are_resolved_everywhere_on_request(
    shell: Shell, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = yaml.safe_load(config_file.read_text())["connection_settings"]["host"]
    monkeypatch.setenv("COURSE_HOST", host)
    Path("pgmonkey_config.yaml").write_text(config_file.read_text().replace(host, "${COURSE_HOST}"))
    assert "--resolve-env" in str(shell.error("%pgmonkey SELECT 1"))
    shell.run("%config PgMonkey.resolve_env = True")
    assert shell.run("%pgmonkey SELECT 1 AS x")["x"].to_list() == [1]
    shell.run("%pgmonkey disconnect --all")
    assert shell.run("%pgmonkey -c pgmonkey_config.yaml SELECT 1 AS x")["x"].to_list() == [1]
    shell.run("%pgmonkey connect pgmonkey_config.yaml --as again")


def test_a_commands_outcome_is_told_once(connected: Shell) -> None:
    connected.run("%%pgmonkey\nCREATE TEMP TABLE told_once (n int)")
    assert len(connected.shown) == 1
    assert connected.shown[0].startswith("CREATE TABLE · ")
    connected.run("result = %pgmonkey CREATE TEMP TABLE told_twice (n int)")
    assert len(connected.shown) == 1
    connected.run("result")
    assert "CREATE TABLE · " in connected.stdout, "as any value, when it is asked for"
    connected.run("%config PgMonkey.footer = 'off'")
    connected.run("%pgmonkey CREATE TEMP TABLE told_once (n int)")
    assert "CREATE TABLE · " in connected.stdout
    connected.run("%config PgMonkey.footer = 'on'")


def test_messages_call_a_pool_by_the_notebooks_name(shell: Shell, config_file: Path) -> None:
    shell.run(f"%pgmonkey connect {config_file} --as orders -t pool")
    pool = shell.ip.find_line_magic("pgmonkey").__self__.session.current.pool
    assert "'orders'" in repr(pool)
    with pool, pool, pool:
        error = shell.error("%pgmonkey --wait 0.1 SELECT 1")
    assert "no connection of pool orders came free" in str(error)
    assert "held by thread MainThread" in "".join(traceback.format_exception_only(error)), "in a program's log, too"
    assert shell.run("%pgmonkey pools")["database"].to_list() == ["postgres"]
    shell.run(f"%pgmonkey connect {config_file} -t async_pool")
    assert shell.run("%pgmonkey pools")["name"].to_list() == ["orders", "postgres-async"]


def test_tables_show_their_sentences_whole(connected: Shell) -> None:
    table = connected.run("%pgmonkey tune max_idle=7 max_size=2")
    assert "max_idle" in repr(table)
    assert "..." not in repr(table) + table._repr_html_()
    undone = connected.run("%pgmonkey tune --undo")
    assert undone["after"].to_list() == [3, 300.0]
