"""Every valid statement runs unchanged: as a cell, as a line, and through psql, compared by what goes over the wire.

The short form is a corpus of our own. `pytest -m long -s tests/integration/test_corpus.py` takes PostgreSQL's
regression tests and more random texts; each test prints its figures. What a client sends and hears is written down by
fix_recorder. Each cell runs twice: with its queries sent as they are, and as it really runs, with its queries copied;
fix_corpus tells how that is compared.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml
from fix_corpus import (
    CORPUS,
    TIDIED_BY_IPYTHON,
    Cell,
    as_if_not_copied,
    cells_of,
    content,
    counted,
    in_bytes,
    ordinary_way,
    own,
)
from fix_figures import Tell
from fix_notebook import Shell
from fix_psql import OF_PSQL, normal, plain, psql, substituted, variables
from fix_recorder import Exchange, Outcome, Recorder
from fix_regress import (
    PSQL_ONLY,
    Comparison,
    like_pg_regress,
    numbers_used_up,
    postgresql_source,
    run_by_psql,
    schedule,
)
from fix_server import Server

from pgmonkey_magic import SQLError
from pgmonkey_magic.cells import CommandResult, ResultSets
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.results.frame import unique_names
from pgmonkey_magic.sql import Kind, find_parameters, split, tokens


@pytest.fixture
def recorder(server: Server) -> Iterator[Recorder]:
    """A recorder before the test server, which must be on a Unix socket."""
    host, port = server.settings["host"], server.settings["port"]
    if not str(host).startswith("/"):
        pytest.skip("needs the embedded server: unset PGMONKEY_TEST_DSN")
    with Recorder(f"{host}/.s.PGSQL.{port}") as recorder:
        yield recorder


# -- our own corpus -------------------------------------------------------------------------------------------


POOLS = {"cell": "pool", "line": "async_pool"}
"""A cell over one kind of pool; the same as a line, where it is one, over the other."""


@pytest.fixture
def databases(server: Server) -> Iterator[dict[str, str]]:
    """The names of new databases, one for each way to run SQL, so that all find the same."""
    ways = ("psql", *POOLS, *(f"ordinary_{way}" for way in POOLS))
    names = {way: f"{way}_{uuid.uuid4().hex[:8]}" for way in ways}
    for name in names.values():
        server.query(f"CREATE DATABASE {name} TEMPLATE template0")
    yield names
    for name in names.values():
        server.query(f"DROP DATABASE {name} WITH (FORCE)")


def through_psql(recorder: Recorder, database: str, cell: Cell, *, in_charge: bool) -> list[Exchange]:
    """Return what psql makes of a cell: one transaction, where the cell is one."""
    options = [] if in_charge else ["--single-transaction"]
    said = psql(recorder, "-vON_ERROR_STOP=1", *options, "-f", "-", script=cell.sql.encode(), dbname=database)
    return said if in_charge else [e for e in said[1:] if e.text not in (b"COMMIT", b"ROLLBACK")]


def through_magic(
    shell: Shell, recorder: Recorder, magic: str, database: str, cell: Cell
) -> tuple[list[Exchange], Any]:
    """Return what a cell or line says and hears, and its value or its error."""
    recorder.take()
    try:
        shell.run(magic.format(f"-c {database} {cell.options}".strip()) + cell.sql)
        value = shell["_pg"]
    except SQLError as error:
        value = error
        if "is aborted" in error.detail[-1]:  # psql leaves, a notebook stays in its transaction
            shell.run(f"%pgmonkey -c {database} ROLLBACK")
    said, rest = own(as_if_not_copied(recorder.take()), cell.sql)
    if len(said) == 1 and not said[0].parsed:
        is_cell = magic.startswith("%%")
        assert said[0].text.decode() in (cell.sql.strip(), cell.sql.removesuffix("\n") + "\n")[is_cell:]
    if not isinstance(value, SQLError):
        assert all(token.is_blank or token.kind is Kind.SEMICOLON for token in tokens(rest)), f"not sent: {rest!r}"
    return said, value


def heard(exchanges: list[Exchange], *, rows: Callable[[Outcome], Any]) -> list[tuple[Any, ...]]:
    """Return all answers in a form to compare. Where an error stands is left out: psql sends statements one by one."""
    outcomes = [outcome for exchange in exchanges for outcome in exchange.outcomes if outcome.tag or outcome.error]
    answers = [(rows(o), o.tag, o.error and (o.error[0], message(o.error[1]))) for o in outcomes]
    return [*answers, ("notices", *(notice for exchange in exchanges for notice in exchange.notices))]


def assert_same(cell: Cell, said: list[Exchange], spoken: list[Exchange], rows: Callable[[Outcome], Any]) -> None:
    """Check that the cell was answered as psql was, as far as *rows* tells of the rows."""
    mine, theirs = heard(said, rows=rows), heard(spoken, rows=rows)
    if len(spoken) > 1 and spoken[-1].outcomes[-1].error and spoken[-1].outcomes[-1].error[0] == "42601":
        # The server parses a text as a whole before it runs any of it; psql sends statements one by one.
        mine, theirs = mine[-2:-1], theirs[-2:-1]
    assert mine == theirs, cell.sql


def kind_of(outcome: Outcome) -> str:
    return "errors" if outcome.error else "tags" if outcome.columns is None else "rows"


def message(text: str) -> str:
    """Return a message without the line end of the cell that it may quote, which psql does not send."""
    return text.replace('\n"', '"')


def assert_shows(value: Any, exchanges: list[Exchange]) -> None:
    """Check what the person gets: tags, the DataFrames' shapes and names, or the server's error."""
    outcomes = [outcome for exchange in exchanges for outcome in exchange.outcomes if outcome.tag or outcome.error]
    if isinstance(value, SQLError):
        error = outcomes[-1].error
        assert error is not None
        assert (value.sqlstate, str(value)) == (error[0], error[1])
        return
    with_rows = [outcome for outcome in outcomes if outcome.columns is not None]
    if isinstance(value, ResultSets):
        assert value.tags == [outcome.tag for outcome in outcomes]
    elif not isinstance(value, CommandResult):
        outcomes = with_rows
        assert len(with_rows) == 1
    for shown, outcome in zip(value if isinstance(value, ResultSets) else [value], outcomes, strict=True):
        assert_is(shown, outcome)


def assert_is(shown: Any, outcome: Outcome) -> None:
    """Check one result."""
    if outcome.columns is None:
        assert shown.tag == outcome.tag
    else:
        assert list(shown.columns) == unique_names(outcome.columns)[0]
        assert shown.shape == (len(outcome.rows), len(outcome.columns))


def connect(shell: Shell, recorder: Recorder, path: Path, database: str, kind: str) -> None:
    path.write_text(
        yaml.safe_dump(
            {
                "connection_settings": recorder.settings(dbname=database),
                f"{kind}_settings": {"min_size": 1, "max_size": 1},
            }
        )
    )
    path.chmod(0o600)
    shell.run(f"%pgmonkey connect {path} --as {database} -t {kind}")


@pytest.mark.parametrize("cell", TIDIED_BY_IPYTHON, ids=lambda cell: ascii(cell.sql))
def test_the_body_of_a_cell_is_left_alone(cell: Cell, connected: Shell) -> None:
    with pytest.raises(SQLError) if cell.sql.startswith(">") else nullcontext():
        assert connected.run(f"%%pgmonkey\n{cell.sql}").iat[0, 0] == cell.sql.split("'")[1]


@pytest.mark.parametrize("name", ["lines", "copied", *sorted(path.stem for path in CORPUS.glob("*.sql"))])
def test_each_cell_and_line_is_answered_as_psql_is(
    name: str, shell: Shell, recorder: Recorder, databases: dict[str, str], tmp_path: Path, tell: Tell
) -> None:
    in_charge = name in ("transactions", "maintenance")
    for way, kind in POOLS.items():
        for database in (databases[way], databases[f"ordinary_{way}"]):
            connect(shell, recorder, tmp_path / f"{database}.yaml", database, kind)
    figures: Counter[str] = Counter()
    for cell in cells_of(name):
        spoken = through_psql(recorder, databases["psql"], cell, in_charge=in_charge)
        # IPython takes a line that ends in a question mark for a question to itself.
        is_line = len(cell.sql.splitlines()) == 1 and not cell.sql.endswith("?")
        for way in POOLS:
            magic = "%pgmonkey {} " if way == "line" and is_line else "%%pgmonkey {}\n"
            with ordinary_way():
                said, ordinary = through_magic(shell, recorder, magic, databases[f"ordinary_{way}"], cell)
            assert_same(cell, said, spoken, in_bytes)
            assert_shows(ordinary, said)
            said, value = through_magic(shell, recorder, magic, databases[way], cell)
            assert_same(cell, said, spoken, counted)
            assert_shows(value, said)
            assert content(value) == content(ordinary), cell.sql
            figures["by COPY"] += sum(bool(exchange.parsed) for exchange in said)
        figures.update({"statements": len(spoken), "as cell": len(spoken), "as line": len(spoken) * is_line})
        figures.update(kind_of(outcome) for exchange in spoken for outcome in exchange.outcomes)
    tell(cells=len(cells_of(name)), **figures)


# -- PostgreSQL's own SQL -------------------------------------------------------------------------------------


def statements_of(texts: Iterable[str]) -> list[str]:
    """Return statements in a form to compare, without those that are empty."""
    return [text for text in map(normal, texts) if any(not token.is_blank for token in tokens(text))]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_postgresqls_own_sql_is_split_as_by_psql(recorder: Recorder, tell: Tell) -> None:
    """And the parameters in it are what psql takes for its variables, no more and no less."""
    recorder.is_deaf = True
    figures: Counter[str] = Counter()
    different: list[Any] = []
    with postgresql_source() as (source, _):
        for path in sorted(source.rglob("sql/*.sql")):
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                figures["files in other encodings"] += 1
                continue
            if path.stem in PSQL_ONLY:
                continue
            sql, values = plain(text), variables(text)
            said = psql(recorder, *(f"-v{name}={value}" for name, value in values.items()), "-f-", script=sql.encode())
            theirs = statements_of(exchange.text.decode() for exchange in said)
            ours = statements_of(substituted(statement.text, values | OF_PSQL) for statement in split(sql))
            figures.update({"files": 1, "statements": len(theirs), "parameters": len(find_parameters(sql))})
            different += [(path.name, *pair) for pair in zip_longest(ours, theirs) if pair[0] != pair[1]][:3]
    tell(**figures, different=len(different))
    assert not different


SETTINGS = {
    "autovacuum": False,
    "max_prepared_transactions": 2,
    "max_wal_senders": 4,
    "max_wal_size": "128MB",  # so that a server that crashes is back soon
    "wal_level": "replica",
}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_postgresqls_own_sql_is_answered_as_by_psql(tell: Tell) -> None:
    """One server for each of four runs: psql, psql again to see what is the same each time, and cells, in both ways."""
    with postgresql_source() as (source, results), ExitStack() as stack:
        clusters = [stack.enter_context(Cluster(settings=SETTINGS)) for _ in range(4)]
        recorders = [stack.enter_context(Recorder(f"{c.socket_dir}/.s.PGSQL.{c.port}")) for c in clusters]
        for recorder in recorders:
            like_pg_regress(recorder)
        stack.enter_context(numbers_used_up(recorders[1]))
        comparison = Comparison(*recorders[2:])
        for name in schedule(source / "src/test/regress"):
            first, second = (run_by_psql(recorder, source, results, name) for recorder in recorders[:2])
            comparison.file(name, first, second, recorders[0].logins)
        comparison.close()
    for name, text, ours, theirs in comparison.different:
        print(f"\n{name}: {text.decode(errors='replace')}\n  is: {ours}\n  expected: {theirs}")
    tell(**comparison.figures, different=len(comparison.different))
    assert not comparison.different


# -- random texts ---------------------------------------------------------------------------------------------

PIECES = [
    *("'", "''", '"', "$$", "$t$", "$1", "E'", "e'\\'", "U&'", 'u&"', "x'", "n'", "/*", "*/", "--", "\\'", "\\"),
    *("\n", "\r", "\t", " ", " ", ";", ";", ";", ":", "::", ":=", ":a", ":'a'", ':"a"', "(", ")", "[", "]", ",", "@"),
    *("a", "é", "_", "1", "1e", ".5", "1e5", "0x1f", "$", "*", "/", "-", " begin ", " atomic ", " case ", " end "),
    *(" create ", " function ", " or ", " replace ", " procedure ", "create function f() begin "),
]


def random_text(dice: random.Random) -> str:
    """Return a text without what psql would do itself: a backslash command, or a variable that begins with a digit."""
    while True:
        text = "".join(dice.choices(PIECES, k=dice.randrange(1, 30)))
        commands = any(token.kind is Kind.OTHER and token.text == "\\" for token in tokens(text))
        if not commands and not re.search(":[0-9]", text):
            return text


@pytest.mark.parametrize(
    "count",
    [pytest.param(20, id="short"), pytest.param(1000, id="long", marks=(pytest.mark.long, pytest.mark.timeout(3600)))],
)
def test_random_texts_are_split_as_by_psql(count: int, recorder: Recorder, tmp_path: Path, tell: Tell) -> None:
    recorder.is_deaf = True
    dice = random.Random(count)
    statements = 0
    for _ in range(count):
        texts = [random_text(dice) for _ in range(100)]
        arguments: list[str | Path] = []
        for number, text in enumerate(texts):
            path = tmp_path / str(number)
            path.write_text(text, newline="")
            arguments += ["-f", path, "-c", "NEXT"]
        sent = [exchange.text.decode() for exchange in psql(recorder, *arguments)]
        for text in texts:
            end = sent.index("NEXT")
            theirs, sent = statements_of(sent[:end]), sent[end + 1 :]
            assert statements_of(statement.text for statement in split(text)) == theirs, text
            statements += len(theirs)
    tell(texts=count * 100, statements=statements)
