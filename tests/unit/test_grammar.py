"""The parsing rule of interface: options from the left, subcommand or SQL, and SQL untouched."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import BLANKS, Command, Query, parse_cell, parse_line

VALID_SQL = [
    "SELECT 1 << 3",
    "SELECT inet '10.0.0.1' << inet '10/8'",
    """SELECT '{"a":1}'::jsonb""",
    "SELECT '{{1,2},{3,4}}'::int[]",
    "SELECT 'x' LIKE 'a%', 7 % 3",
    "SELECT x[1:2], 'a:b', a::text FROM t",
    "SELECT $$ it's $$, $tag$ -- no comment $tag$",
    r"SELECT E'\'', U&'\0061'",
    "SELECT j ? 'a', j ?| array['a'], j @> '{}' FROM t;",
    "/* first */ SELECT 1 /* nested /* here */ */",
]


@pytest.mark.parametrize("sql", VALID_SQL)
def test_sql_of_a_line_is_verbatim(sql: str) -> None:
    query = parse_line(f"-q --out x {sql}")
    assert isinstance(query, Query)
    assert (query.sql, query.into) == (sql, ("x",))
    assert query.options.has("quiet")


@pytest.mark.parametrize("sql", VALID_SQL)
def test_sql_of_a_cell_is_verbatim(sql: str) -> None:
    body = f"\n  -- a leading comment\n{sql}\n\n"
    assert parse_cell("df <<", body).sql == body


SPACED = [
    """who="two words\"""",
    """who='two words'""",
    """who="'two words'\"""",
    r"""who="a \"b\" c" """.strip(),
    """d={'a':"x y"}["a"]""",
    """f=f"{1 + 1} it's\"""",
    """t='''a "b" c'''""",
    "n=n+1",
    "n=it's",
    'n="open',
]


@pytest.mark.parametrize("sql", [*VALID_SQL, "select << 3", "SELECT<<3", "-- x << y", "(a << b)", "TABLE x"])
@pytest.mark.parametrize("text", SPACED)
@pytest.mark.parametrize("option", ["-p ", "--param ", "-p=", "--param="])
def test_a_parameter_may_hold_blanks_in_quotes_and_what_follows_is_verbatim(text: str, option: str, sql: str) -> None:
    quote = text.count("'") % 2 or text.count('"') % 2
    if sql.startswith("--") or (quote and {"'", '"'} & {*sql}):
        return  # the end of options; a quote that ends in the SQL
    query = parse_line(f"-q {option}{text} {sql}")
    assert isinstance(query, Query)
    assert query.options.values("param") == [text]
    assert query.sql == sql
    assert parse_cell(f"{option}{text} df <<", sql).options.values("param") == [text]


@given(st.lists(st.text(alphabet="ab =\"'\\-<,é", max_size=9), max_size=5), st.sampled_from(VALID_SQL))
def test_options_other_than_parameters_read_quotes_as_ever(words: list[str], sql: str) -> None:
    """A path with an apostrophe takes nothing of the SQL."""
    given = [word for word in ("".join(each.split()) for each in words) if word[:1] not in ("", '"', "'", "-")]
    given = [word for word in given if not re.match(r"[^\W\d]\w*=", word)]
    for word in given:
        for option in ("--config ", "--config="):
            query = parse_line(f"{option}{word} {sql}")
            assert isinstance(query, Query)
            assert (query.options.value("config"), query.sql) == (word, sql)


@given(st.text().filter(lambda text: text.strip()))
def test_any_body_passes_through_a_cell(body: str) -> None:
    assert parse_cell("", body).sql == body


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_after_two_dashes_any_line_is_sql(text: str) -> None:
    query = parse_line(f"-q -- select {text}")
    assert isinstance(query, Query)
    assert query.sql == f"select {text}".strip(BLANKS), "Python's strip would take a no-break space from a name"


def test_a_word_is_a_subcommand() -> None:
    command = parse_line('connect "my config.yaml" --as shop -t async_pool --resolve-env')
    assert isinstance(command, Command)
    assert (command.word, command.arguments) == ("connect", ("my config.yaml",))
    assert command.options.given == {"as": ["shop"], "type": ["async_pool"], "resolve-env": [""]}


def test_options_before_or_after_the_argument() -> None:
    assert parse_line("connect --as a f.yaml") == parse_line("connect f.yaml --as=a")


def test_an_empty_line_is_help() -> None:
    assert parse_line("  ") == parse_line("help")


@pytest.mark.parametrize("line", ["name <<", "  name<<  ", "-q name <<", "--out name", "-o=name"])
def test_a_cell_binds_its_result(line: str) -> None:
    assert parse_cell(line, "SELECT 1").into == ("name",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--quite SELECT 1", "no option --quite; did you mean --quiet?"),
        ("-z SELECT 1", "no option -z; it has --out"),
        ("--out", "--out needs a value: --out NAME"),
        ("-q=1 SELECT 1", "-q is a flag"),
        ("-q -q SELECT 1", "-q is given twice"),
        ("-o 1x SELECT 1", "'1x' is no Python name"),
        ("-o class SELECT 1", "'class' is no Python name"),
        ("connect", "usage: %pgmonkey connect PATH"),
        ("connect a b", "usage: %pgmonkey connect PATH"),
        ("connect --az a", "no option --az; did you mean --as?"),
        ("--limit 5 SELECT 1", "no option --limit; did you mean --max-rows?"),
        ("--displaylimit 5 SELECT 1", "no option --displaylimit; did you mean --max-rows?"),
        ("--persist df", "no option --persist; did you mean %pgmonkey upload DF TABLE?"),
        ("--save x SELECT 1", "no option --save; did you mean a view, or a CTE (WITH name AS …)?"),
        ("--with x SELECT 1", "no option --with; did you mean a view, or a CTE (WITH name AS …)?"),
        ("upload df t --if-exists append", "no option --if-exists; did you mean --mode?"),
        ("--if-exists append SELECT 1", "no option --if-exists; it has --out"),
        ("export --as df x.csv SELECT 1", "has no option --as; it has --out"),
        ("-q pools", "options come after the word"),
        ("df << SELECT 1", "`df <<` belongs to the first line of a cell"),
        ("-b job<<SELECT 1", "on a line write -o job, or job = %pgmonkey"),
        ("a,b << SELECT 1; SELECT 2", "on a line write -o a,b, or a,b = %pgmonkey"),
        ("export x.csv df << SELECT 1", "on a line write -o df"),
        ("pools << SELECT 1", "`pools <<` belongs"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_line(line)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        *("connect postgresql://me:hunter2@db/x", "connect f.yaml password=hunter2", "connect PGPASSWORD=hunter2"),
        *("postgresql://me:hunter2@db/x", " host=db password=hunter2"),
    ],
)
def test_a_password_on_the_line_is_refused_and_not_repeated(line: str) -> None:
    for read in (parse_line, lambda text: parse_cell(text, "SELECT 1")):
        with pytest.raises(RequestError, match="history") as caught:
            read(line)
        assert "hunter2" not in str(caught.value)


def test_sql_that_speaks_of_passwords_is_sql() -> None:
    for sql in ("SELECT 'postgresql://me:x@db'", "ALTER ROLE me PASSWORD 'x'", "SELECT password = 'x' FROM users"):
        query = parse_line(sql)
        assert isinstance(query, Query)
        assert query.sql == sql


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SELECT 1", "move SQL to the next line"),
        ("-q SELECT 1", "move SQL to the next line"),
        ("poools", "%pgmonkey pools"),
        ("-o a b <<", "two places"),
        ("a-b <<", "'a-b' is no Python name"),
    ],
)
def test_sql_on_the_option_line_of_a_cell_is_an_error(line: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_cell(line, "SELECT 2")
    assert message in str(caught.value)
