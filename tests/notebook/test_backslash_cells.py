"""Backslash commands as a person types them; what each shows is tested against psql elsewhere."""

import pytest
from fix_notebook import Shell
from fix_server import Server

from pgmonkey_magic import RequestError
from pgmonkey_magic.cells import ResultSets


@pytest.fixture
def orders(connected: Shell, table: str) -> str:
    connected.run(f"%pgmonkey -q CREATE UNIQUE INDEX {table}_n ON {table} (n)")
    return table


def test_a_table_is_described_with_what_stands_below_it(connected: Shell, orders: str) -> None:
    frame = connected.run(f"%pgmonkey \\d {orders}")
    assert frame.Column.tolist() == ["n"]
    assert any(f'"{orders}_n" UNIQUE, btree (n)' in line for line in frame.attrs["pgmonkey"]["lines"])
    assert any("Indexes:" in text for text in connected.shown)
    assert "pool test" in connected.footer


def test_several_commands_in_a_cell_and_a_name(connected: Shell, orders: str) -> None:
    sets = connected.run(f"%%pgmonkey\n-- what is there\n\\dt {orders}\n\\di {orders}*")
    assert isinstance(sets, ResultSets)
    assert [frame.Name.tolist() for frame in sets] == [[orders], [f"{orders}_n"]]
    connected.run(f"tables = %pgmonkey \\dt {orders}")
    assert connected["tables"].Name.tolist() == [orders]


def test_in_an_open_transaction_its_own_tables_are_seen(connected: Shell, server: Server) -> None:
    connected.run("%%pgmonkey -q\nBEGIN;\nCREATE TABLE only_mine (a int)")
    assert connected.run("%pgmonkey \\d only_mine").Column.tolist() == ["a"]
    connected.run("%pgmonkey -q ROLLBACK")
    assert "only_mine" in str(connected.error("%pgmonkey \\d only_mine"))


def test_the_definition_of_a_function_is_shown(connected: Shell) -> None:
    frame = connected.run("%pgmonkey \\sf lower(text)")
    assert "FUNCTION pg_catalog.lower(text)" in frame.Source.item()
    assert any("FUNCTION pg_catalog.lower(text)" in text for text in connected.shown)
    assert "1 row" in connected.footer
    assert connected.run("%%pgmonkey\n\\sf lower(text)\n\\sf upper(text)").tags[1] == "Definition of upper(text)"


@pytest.mark.parametrize("typed", ["\\sf nosuch", "\\sf lower", "\\sf lower("])
def test_a_function_that_is_not_found_is_one_sentence(connected: Shell, typed: str) -> None:
    error = connected.error(f"%pgmonkey {typed}")
    assert isinstance(error, RequestError)
    assert "\\df" in str(error)
    assert "portal" not in "".join(error.args)


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("\\d nowhere", "nowhere"),
        ("\\i file.sql", "--file"),
        ("\\copy x from y", "--copy-from"),
        ("\\dz", "did you mean"),
        ("-n 3 \\dt", "--max-rows is for SQL"),
        ("-e \\dt", "--explain"),
        ("--read-only \\dt", "--read-only is for SQL"),
        ("--autocommit \\dt", "--autocommit is for SQL"),
    ],
)
def test_what_is_not_there_says_what_is(connected: Shell, typed: str, part: str) -> None:
    assert part in str(connected.error(f"%pgmonkey {typed}"))
    assert connected.run("%pgmonkey SELECT 1 AS x").x.item() == 1


def test_html_of_a_nasty_name_is_escaped(connected: Shell) -> None:
    connected.run('%pgmonkey -q CREATE TABLE "<img src=x>" (a int, PRIMARY KEY (a))')
    frame = connected.run('%pgmonkey \\d "<img src=x>"')
    assert "<img" not in frame._repr_html_()
    from pgmonkey_magic.notebook.display import PLAN_STYLE, shown_lines

    lines = shown_lines(frame.attrs["pgmonkey"]["lines"], PLAN_STYLE)._repr_mimebundle_()
    assert "<img" not in lines["text/html"]
    connected.run('%pgmonkey -q DROP TABLE "<img src=x>"')
