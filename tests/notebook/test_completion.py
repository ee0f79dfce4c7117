"""Tab in `%pgmonkey` and `%%pgmonkey`, asked as a kernel asks IPython, against a real server."""

import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fix_notebook import Shell
from fix_pools import until
from fix_proxy import Proxy
from fix_server import Server
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter, rectify_completions
from jupyter_client.manager import KernelManager

from pgmonkey_magic.notebook.completion import IDENTIFIER
from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS
from pgmonkey_magic.notebook.typed import where

READER = "pgmonkey-catalogue"


def tab(shell: Shell, marked: str) -> dict[str, str]:
    """Press Tab at the bar; return each text with its type. All of it must be ours and replace the same characters."""
    at = marked.index("¦")
    text = marked.replace("¦", "")
    with provisionalcompleter():
        found = list(shell.ip.Completer.completions(text, at))
        rectified = list(rectify_completions(text, found))
    assert {each._origin for each in found} <= {IDENTIFIER}
    assert [each.text for each in rectified] == [each.text for each in found], "all begin at the same place"
    assert all(each.end == at for each in found)
    return {each.text: each.type for each in found}


def old_tab(shell: Shell, line: str) -> tuple[str, list[str]]:
    """Ask for the end of a line by the interface that knows nothing of cells; return the fragment and the texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        fragment, texts = shell.ip.complete("", line, len(line))
    return fragment, list(texts)


def of_type(found: dict[str, str], *types: str) -> list[str]:
    return [text for text, its_type in found.items() if its_type in types]


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """A schema on the search path of nobody, with what completion must tell apart."""
    server.query(
        """
        CREATE SCHEMA shop;
        CREATE TABLE shop.orders (order_id int, customer_id bigint, total numeric(10, 2));
        CREATE TABLE shop.customers (customer_id bigint, "Full Name" text);
        CREATE VIEW shop.big AS SELECT * FROM shop.orders WHERE total > 100;
        CREATE MATERIALIZED VIEW shop.sums AS SELECT sum(total) FROM shop.orders;
        CREATE FUNCTION shop.discount(int) RETURNS int RETURN $1 * 2;
        CREATE PROCEDURE shop.close_day() LANGUAGE sql AS '';
        CREATE TYPE shop.mood AS ENUM ('good', 'bad')
        """
    )
    yield "shop"
    server.query("DROP SCHEMA shop CASCADE")


@pytest.mark.parametrize(
    ("cell", "type_", "expected"),
    [
        ("SELECT o.¦ FROM shop.orders o", "column", ["order_id", "customer_id", "total"]),
        ("SELECT *\nFROM shop.orders o JOIN shop.customers AS c ON c.¦", "column", ["customer_id", '"Full Name"']),
        ("INSERT INTO shop.orders (¦", "column", ["order_id", "customer_id", "total"]),
        ("SELECT * FROM shop.orders JOIN shop.customers USING (¦", "column", ["customer_id"]),
        ("WITH w AS (SELECT * FROM shop.big) SELECT w.¦ FROM w", "column", ["order_id", "customer_id", "total"]),
        ('SELECT "F¦ FROM shop.customers', "column", ['"Full Name"']),
        ("SELECT * FROM shop.¦", "table", ["customers", "orders"]),
        ("SELECT * FROM ord¦", "table", ["shop.orders"]),
        ("SELECT * FROM shop.b¦", "view", ["big"]),
        ("REFRESH MATERIALIZED VIEW shop.¦", "materialized view", ["sums"]),
        ("SELECT shop.¦", "function", ["discount"]),
        ("CALL shop.¦", "procedure", ["close_day"]),
        ("SELECT 1::shop.¦", "type", ["mood"]),
        ("SELECT * FROM sho¦", "schema", ["shop"]),
        ("SELECT pg_size_p¦", "function", ["pg_size_pretty"]),
        ("SELECT jsonb_object_k¦", "function", ["jsonb_object_keys"]),
        ("SELECT relname FROM pg_catalog.pg_cla¦", "table", ["pg_class"]),
        ("SET statement_time¦", "setting", ["statement_timeout"]),
        ("SET bytea_output TO ¦", "value", ["escape", "hex", "default"]),
        ("SELECT * FROM shop.orders wh¦", "keyword", ["when", "where", "whitespace"]),
        ("SELECT 1; SELE¦", "keyword", ["SELECT"]),
    ],
)  # fmt: skip
def test_sql_is_completed_from_the_servers_catalogue(
    connected: Shell, shop: str, cell: str, type_: str, expected: list[str]
) -> None:
    tab(connected, "%%pgmonkey\nSELECT ¦")
    _settled()  # where the machine is busy, the first answer may come without the catalogue
    found = tab(connected, f"%%pgmonkey -q\n{cell}")
    assert sorted(of_type(found, type_)) == sorted(expected)
    line = cell.replace("\n", " ")
    assert tab(connected, f"x = 1\ndf = %pgmonkey {line}\n") == found
    assert tab(connected, f"def f():\n    return_value = %pgmonkey -q {line}") == found


@pytest.mark.parametrize(
    "cell",
    [
        "SELECT 'ab¦",
        "SELECT 'ab¦ FROM x'",
        "-- imp¦",
        "SELECT $$ imp¦ $$",
        "SELECT * FROM os.¦",
        "SELECT /¦",
        "SELECT 'os.¦",
    ],
)
def test_python_and_files_never_mix_in(connected: Shell, cell: str) -> None:
    connected.run("import os")
    Path("abc.txt").write_text("")
    assert not {"abc.txt", "import", "path", "os"} & tab(connected, f"%%pgmonkey\n{cell}").keys()
    assert old_tab(connected, "%pgmonkey SELECT 'ab") == ("", [])


def test_python_cells_are_left_alone(connected: Shell) -> None:
    connected.run("import math\norders = [1]")
    with provisionalcompleter():
        for text, expected in (("math.sq", "sqrt"), ("ord", "orders"), ("x = 5 %pgm", None), ("%pgmon", "%pgmonkey")):
            found = list(connected.ip.Completer.completions(text, len(text)))
            assert not any(each._origin == IDENTIFIER for each in found)
            assert expected is None or expected in [each.text for each in found]


def test_the_old_interface_of_one_line_works(connected: Shell) -> None:
    assert old_tab(connected, "%pgmonkey disco") == ("disco", ["disconnect"])
    assert old_tab(connected, "df = %pgmonkey -c te") == ("te", ["test"])


# -- the magic's own line ----------------------------------------------------------------------------------------------


def test_every_option_and_word_of_the_grammar_is_offered(shell: Shell) -> None:
    names = {option.names[-1] for option in CELL_OPTIONS}
    assert tab(shell, "%%pgmonkey --¦").keys() == names
    assert tab(shell, "%%pgmonkey ¦\nSELECT 1").keys() == names
    assert tab(shell, "df = %pgmonkey --¦").keys() == names
    assert tab(shell, "%%pgmonkey -¦").keys() == {name for option in CELL_OPTIONS for name in option.names}
    assert "--quiet" not in tab(shell, "%%pgmonkey -q --¦")
    assert "--param" in tab(shell, "%%pgmonkey -p a=1 --¦")
    assert set(SUBCOMMANDS) == set(of_type(tab(shell, "%pgmonkey ¦"), "command"))
    assert tab(shell, "%pgmonkey help ¦").keys() == SUBCOMMANDS.keys()
    for subcommand in SUBCOMMANDS.values():
        expected = {option.names[-1] for option in subcommand.options}
        assert tab(shell, f"%pgmonkey {subcommand.word} --¦").keys() == expected


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("%pgmonkey us¦", {"use": "command"}),
        ("%pgmonkey sel¦", {"select": "keyword"}),
        ("%pgmonkey -q us¦", {}),
        ("%%pgmonkey -t ¦", {"pool": "value", "async_pool": "value"}),
        ("%%pgmonkey --type=as¦", {"async_pool": "value"}),
        ("%pgmonkey --isolation rep¦", {"repeatable-read": "value"}),
        ("%pgmonkey demo -t ¦", {"pool": "value", "async_pool": "value"}),
        ("%%pgmonkey -c ¦", {"first": "pool", "second": "pool", "server.yaml": "path", "sub dir": "path"}),
        ("%%pgmonkey -c f¦", {"first": "pool"}),
        ("%pgmonkey use ¦", {"first": "pool", "second": "pool"}),
        ("%pgmonkey use sec¦", {"second": "pool"}),
        ("%pgmonkey disconnect ¦", {"first": "pool", "second": "pool"}),
        ("%pgmonkey stats f¦", {"first": "pool"}),
        ("%pgmonkey connect se¦", {"server.yaml": "path"}),
        ("%pgmonkey connect server.yaml ¦", {"--as": "option", "--type": "option", "--resolve-env": "option"}),
        ("%pgmonkey connect server.yaml --as x ¦", {"--type": "option", "--resolve-env": "option"}),
        ("%%pgmonkey -f q¦", {"query.sql": "path"}),
        ('%%pgmonkey -f "sub¦', {'"sub dir/': "path"}),
        ("%%pgmonkey -f sub¦", {'"sub dir/': "path"}),
        ('%%pgmonkey -f "sub dir/¦', {'"sub dir/a b.sql"': "path", '"sub dir/c.txt"': "path"}),
        ("%%pgmonkey --file=q¦", {"query.sql": "path"}),
        ("%%pgmonkey --file=su¦", {}),
        ("%pgmonkey tune --save se¦", {"server.yaml": "path"}),
        ("%pgmonkey tune max_s¦", {"max_size=": "setting"}),
        ("%pgmonkey tune first max_s¦", {"max_size=": "setting"}),
        ("%pgmonkey tune f¦", {"first": "pool"}),
        ("%pgmonkey tune first max_size=3 min¦", {"min_size=": "setting"}),
        ("%pgmonkey help aud¦", {"audit": "command"}),
        ("%%pgmonkey -o ¦", {}),
        ("%%pgmonkey x ¦", {}),
        ("%%pgmonkey -p ¦\nSELECT :order_id, :'who'", {"order_id=": "parameter", "who=": "parameter"}),
        ("%%pgmonkey -p order_id=1 -p w¦\nSELECT :order_id, :'who'", {"who=": "parameter"}),
        ("%%pgmonkey -p order_id=chos¦\nSELECT :order_id", {"chosen": "instance"}),
        ("%%pgmonkey --params op¦\nSELECT :a", {"options": "instance"}),
        ("%%pgmonkey --nothing ¦", {}),
        ("%%pgmonkey --explain ¦", {"plan": "value", "analyze": "value"}),
        ("%%pgmonkey -e an¦", {"analyze": "value"}),
        ("%%pgmonkey -e --aut¦", {"--autocommit": "option"}),
        ("%pgmonkey -e anal¦", {"analyze": "value"}),
        ("%pgmonkey -e sel¦", {"select": "keyword"}),
        ("%pgmonkey -e -q sel¦", {"select": "keyword"}),
        ("%%pgmonkey --copy-from q¦", {"query.sql": "path"}),
        ("%%pgmonkey --copy-to fra¦", {"frame": "instance"}),
        ("%pgmonkey use first ¦", {}),
    ],
)
def test_the_line_of_a_magic(shell: Shell, config_file: Path, marked: str, expected: dict[str, str]) -> None:
    shell.run(f"%pgmonkey connect {config_file} --as first")
    shell.run(f"%pgmonkey connect {config_file} --as second -t async_pool")
    shell.run("import pandas as pd; chosen = 7; options = {'a': 1}; frame = pd.DataFrame()")
    Path("query.sql").write_text("SELECT 1")
    Path("sub dir").mkdir()
    for name in ("a b.sql", "c.txt"):
        (Path("sub dir") / name).write_text("SELECT 1")
    found = tab(shell, marked)
    if marked == "%%pgmonkey -c ¦":
        expected = expected | {'"sub dir/': "path"}
        del expected["sub dir"]
    assert found == expected


def test_lines_that_go_on_and_lines_that_are_none(shell: Shell) -> None:
    assert tab(shell, "df = %pgmonkey -q \\\n  --aut¦") == {"--autocommit": "option"}
    assert tab(shell, "if True:\n    %pgmonkey pool¦") == {"pools": "command"}
    assert tab(shell, "\n\n  %%pgmonkey --aut¦\nSELECT 1") == {"--autocommit": "option"}
    for text in (
        "x = 5 % pgmonkey us",
        "print('%pgmonkey us",
        "%%pgmonkeys us",
        "%pgmonkey? us",
        "x == %pgmonkey us",
        "%pgmonkey",
    ):
        assert where(text, len(text)) is None, text


# -- parameters --------------------------------------------------------------------------------------------------------


def test_parameters_are_the_notebooks_names(connected: Shell) -> None:
    connected.run("import os\norder_id = 1\norder_ids = [1]\n_order = 2\ndef order_of(): ...\nclass orders: ...")
    assert tab(connected, "%%pgmonkey\nSELECT :ord¦") == {"order_id": "instance", "order_ids": "instance"}
    assert tab(connected, "%%pgmonkey -p order_no=1\nSELECT :ord¦").keys() == {"order_no", "order_id", "order_ids"}
    assert tab(connected, "%pgmonkey SELECT :'order_id¦").keys() == {"order_id'", "order_ids'"}
    assert tab(connected, '%pgmonkey SELECT * FROM :"order_ids¦"').keys() == {"order_ids"}
    everything = tab(connected, "%%pgmonkey\nSELECT :¦").keys()
    assert "order_id" in everything
    assert not {"os", "In", "Out", "get_ipython", "exit", "quit", "_order", "order_of", "orders"} & everything


def test_a_line_in_a_function_knows_its_arguments_and_variables(shell: Shell) -> None:
    cell = "def f(customer, *, since=1):\n    custom = 2\n    df = %pgmonkey SELECT * FROM t WHERE c = :¦"
    assert {"customer", "since", "custom", "df"} <= tab(shell, cell).keys()
    assert tab(shell, cell.replace("¦", "custo¦")).keys() == {"customer", "custom"}


# -- catalogue ---------------------------------------------------------------------------------------------------------


def _settled() -> None:
    """Wait until nobody reads a catalogue any more."""
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == READER], seconds=30)


def test_after_a_change_the_next_tab_knows_it(connected: Shell, server: Server) -> None:
    tab(connected, "%%pgmonkey\nSELECT * FROM ¦")
    _settled()
    name = f"made_{time.monotonic_ns()}"
    connected.run(f"%%pgmonkey\nCREATE TABLE {name} (made_column int)")
    try:
        _settled()
        assert tab(connected, "%%pgmonkey\nSELECT * FROM made_¦") == {name: "table"}
        connected.run(f"df = %pgmonkey ALTER TABLE {name} ADD COLUMN more int")
        _settled()
        assert list(tab(connected, f"%%pgmonkey\nINSERT INTO {name} (¦")) == ["made_column", "more"]
        connected.run("%%pgmonkey\nSELECT 1")
        assert not [thread for thread in threading.enumerate() if thread.name == READER], "nothing has changed"
    finally:
        server.query(f"DROP TABLE {name}")


def test_what_the_role_may_not_use_is_not_shown(shell: Shell, server: Server, shop: str, config_file: Path) -> None:
    server.query(
        "CREATE ROLE clerk; GRANT USAGE ON SCHEMA shop TO clerk;"
        "GRANT SELECT (order_id, total) ON shop.orders TO clerk;"
        "CREATE SCHEMA vault; CREATE TABLE vault.gold (n int); REVOKE EXECUTE ON FUNCTION shop.discount FROM public"
    )
    try:
        _write(config_file, server.config(options="-c role=clerk"))
        shell.run(f"%pgmonkey connect {config_file}")
        tab(shell, "%%pgmonkey\nSELECT ¦")
        _settled()
        assert tab(shell, "%%pgmonkey\nSELECT * FROM shop.¦") == {"orders": "table"}
        assert of_type(tab(shell, "%%pgmonkey\nSELECT o.¦ FROM shop.orders o"), "column") == ["order_id", "total"]
        assert "vault" not in tab(shell, "%%pgmonkey\nSELECT * FROM ¦")
        assert tab(shell, "%%pgmonkey\nSELECT * FROM vault.¦") == {}
        assert of_type(tab(shell, "%%pgmonkey\nSELECT shop.¦"), "function") == []
    finally:
        server.query("DROP SCHEMA vault CASCADE; DROP OWNED BY clerk; DROP ROLE clerk")


def test_the_search_path_of_the_file_decides_what_needs_its_schema(
    shell: Shell, server: Server, shop: str, config_file: Path
) -> None:
    _write(config_file, server.config() | {"sync_settings": {"search_path": "shop"}})
    shell.run(f"%pgmonkey connect {config_file} --as with_path -t pool")
    shell.run(f"%pgmonkey connect {config_file} --as without -t async_pool")
    for name in ("with_path", "without"):
        tab(shell, f"%%pgmonkey -c {name}\nSELECT ¦")
    _settled()
    assert tab(shell, "%%pgmonkey -c with_path\nSELECT * FROM ord¦") == {"orders": "table"}
    assert tab(shell, "%%pgmonkey -c without\nSELECT * FROM ord¦") == {"shop.orders": "table"}
    assert tab(shell, f"%%pgmonkey -c {config_file}\nSELECT * FROM ord¦").keys() == {"orders"}
    assert tab(shell, "%%pgmonkey -c nobody\nSELECT * FROM ord¦") == {}


def test_nobody_is_connected_because_of_tab(shell: Shell, server: Server, config_file: Path) -> None:
    _write(config_file, server.config(application_name="by-tab"))
    config_file.rename("pgmonkey_config.yaml")
    assert tab(shell, "%%pgmonkey\nSEL¦") == {"SELECT": "keyword"}
    assert tab(shell, "%%pgmonkey -c pgmonkey_config.yaml\nSELECT * FROM x wh¦").keys() == {"when", "where"}
    assert tab(shell, "%%pgmonkey\nWITH w AS (SELECT 1 AS a) SELECT w.¦ FROM w") == {"a": "column"}
    assert len(shell.run("%pgmonkey pools")) == 0
    assert server.backends("by-tab") == 0


@pytest.mark.parametrize("connection_type", ["pool", "async_pool"])
def test_no_connection_stays_and_none_is_borrowed(
    shell: Shell, server: Server, config_file: Path, connection_type: str
) -> None:
    name = f"tab-{connection_type}"
    _connect_one(shell, config_file, connection_type, application_name=name)
    shell.run("%pgmonkey BEGIN")  # the only connection is taken
    tab(shell, "%%pgmonkey\nSELECT ¦")
    _settled()
    assert "pg_class" in tab(shell, "%%pgmonkey\nSELECT * FROM pg_cla¦")
    until(lambda: server.backends(name) == 1)
    shell.run("%pgmonkey ROLLBACK")
    assert shell.run("%pgmonkey stats")["borrows"].to_list() == [2]


@pytest.mark.parametrize("connection_type", ["pool", "async_pool"])
def test_a_network_that_swallows_everything_does_not_stop_typing(
    shell: Shell, server: Server, proxy: Proxy, config_file: Path, connection_type: str
) -> None:
    name = f"stalled-{connection_type}"
    _connect_one(shell, config_file, connection_type, host="127.0.0.1", port=str(proxy.port), application_name=name)
    assert server.backends(name) == 1
    proxy.stall()
    elapsed = []
    for _ in range(5):
        began = time.monotonic()
        assert tab(shell, "%%pgmonkey\nSELECT * FROM t wh¦").keys() == {"where", "when"}
        elapsed.append(time.monotonic() - began)
    assert elapsed[0] < 1, elapsed
    assert max(elapsed[1:]) < 0.2, "only the first one waits"
    _settled()
    assert server.backends(name) == 1, "only the pool's"


@pytest.mark.parametrize("connection_type", ["pool", "async_pool"])
def test_a_server_that_does_not_answer_in_time_is_left(
    shell: Shell, server: Server, config_file: Path, connection_type: str
) -> None:
    name = f"slow-{connection_type}"
    _connect_one(shell, config_file, connection_type, application_name=name)
    with psycopg.connect(**server.settings) as conn:
        conn.execute("LOCK TABLE pg_catalog.pg_description IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert tab(shell, "%%pgmonkey\nSELECT * FROM t wh¦").keys() == {"where", "when"}
        assert time.monotonic() - began < 1
        assert server.backends(name) == 2, "the pool's and the reader's"
        _settled()
        until(lambda: server.backends(name) == 1)
    assert tab(shell, "%%pgmonkey\nSELECT * FROM t wh¦").keys() == {"where", "when"}, "left alone for a while"
    assert not [thread for thread in threading.enumerate() if thread.name == READER]


def test_no_secret_is_ever_completed(shell: Shell, server: Server, config_file: Path) -> None:
    secret = "open-sesame-42"
    _write(config_file, server.config(password=secret))
    shell.run(f"%pgmonkey connect {config_file}")
    shell.run(f"word = {secret!r}")
    for marked in ("-c ¦", "-p x=¦\nSELECT :x", "--params ¦", "¦", "\nSELECT :¦", "\nSET ¦", "\nSELECT ¦", "\nSHOW ¦"):
        assert not [text for text in tab(shell, f"%%pgmonkey {marked}") if secret in text]
    for marked in ("connect ¦", "use ¦", "tune ¦", "pools ¦"):
        assert not [text for text in tab(shell, f"%pgmonkey {marked}") if secret in text]


# -- coming and going --------------------------------------------------------------------------------------------------


def _matchers(shell: Shell) -> list[Any]:
    return [each for each in shell.ip.Completer.custom_matchers if each.matcher_identifier == IDENTIFIER]


def test_there_is_exactly_one_matcher_until_the_extension_is_unloaded(connected: Shell) -> None:
    others = len(connected.ip.Completer.custom_matchers) - 1
    for command in ("%load_ext pgmonkey_magic", "%reload_ext pgmonkey_magic", "%reload_ext pgmonkey_magic"):
        connected.run(command)
        assert len(_matchers(connected)) == 1
    assert tab(connected, "%pgmonkey use ¦") == {"test": "pool"}
    callbacks = connected.ip.events.callbacks["post_run_cell"]
    assert len([each for each in callbacks if each.__qualname__ == "Completion.after_cell"]) == 1
    connected.run("%unload_ext pgmonkey_magic")
    assert len(connected.ip.Completer.custom_matchers) == others
    assert not [each for each in callbacks if each.__qualname__ == "Completion.after_cell"]


def test_a_kernel_answers_a_complete_request(tmp_path: Path, server: Server, shop: str, config_file: Path) -> None:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for code in ("%load_ext pgmonkey_magic", f"%pgmonkey connect {config_file}", "customer = 1"):
            client.execute_interactive(code, timeout=60, output_hook=lambda _: None)

        def request(marked: str) -> dict[str, Any]:
            at = marked.index("¦")
            client.complete(marked.replace("¦", ""), at)
            return client.get_shell_msg(timeout=60)["content"]

        columns = "%%pgmonkey\n-- émigré 🐘\nSELECT o.tot¦\nFROM shop.orders o"
        until(lambda: request(columns)["matches"] == ["total"])
        reply = request(columns)
        at = columns.index("¦")
        assert (reply["cursor_start"], reply["cursor_end"]) == (at - 3, at)
        (item,) = reply["metadata"]["_jupyter_types_experimental"]
        assert (item["text"], item["type"], item["start"], item["end"]) == ("total", "column", at - 3, at)
        assert request("%pgmonkey disco¦")["matches"] == ["disconnect"]
        assert request("df = %pgmonkey SELECT :cust¦")["matches"] == ["customer"]
        assert request("%%pgmonkey\nSELECT 'custo¦'")["matches"] == []
        assert "customer" in request("custo¦")["matches"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["%pgmonkey", "%%pgmonkey", " ", "\n", "\\\n", "-", "--", "-c", "-p", "-e", "=", '"', "'", "use", "tune",
             "x", "SELECT "]
        ),
        max_size=14,
    ).map("".join),
    st.data(),
)  # fmt: skip
def test_no_line_is_an_error(text: str, data: st.DataObject) -> None:
    where(text, data.draw(st.integers(0, len(text))))


def _connect_one(shell: Shell, path: Path, connection_type: str, **connection: str) -> None:
    """Connect a pool of one connection, and have it open it."""
    sizes = {"min_size": 1, "max_size": 1}
    server: dict[str, Any] = yaml.safe_load(path.read_text())["connection_settings"]
    settings = {"connection_settings": server | connection}
    _write(path, settings | {"pool_settings": sizes, "async_pool_settings": sizes})
    shell.run(f"%pgmonkey connect {path} -t {connection_type}")
    shell.run("%pgmonkey SELECT 1")


def _write(path: Path, config: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
