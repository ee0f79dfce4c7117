"""The lexer, the parameters and the statements of SQL: pure functions, fuzzed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmonkey_magic.sql import Form, Kind, find_parameters, split, tokens

PIECES = st.sampled_from(
    [
        *("'", "''", '"', "$$", "$t$", "$1", "E'", "e'\\'", "U&'", 'u&"', "x'", "/*", "*/", "--", "\n", " ", "\\", ";"),
        *(":", "::", ":=", ":a", ":'a'", ':"a"', "(", ")", "[", "]", ",", "a", "é", "1", ".5", "1e5", "0x1f", "$"),
        *("begin", "atomic", "case", "end", "create", "function", "or", "replace", "procedure", "rollback", "to"),
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60)


def hold_together(sql: str) -> None:
    """Check what is true of every text: nothing is lost between tokens, statements and separators."""
    found = list(tokens(sql))
    assert "".join(token.text for token in found) == sql
    assert all(token.text for token in found)
    assert [token.start for token in found] == [0, *(token.end for token in found[:-1])][: len(found)]

    statements = split(sql)
    edges = {token.start: token for token in found}
    position = 0
    for statement in statements:
        assert statement.text.strip(" \t\r\n\f\v"), "PostgreSQL's blanks; Python strips more"
        assert sql.startswith(statement.text, statement.start)
        # It begins at a token, never inside of one, and only blanks and semicolons lie before it.
        assert statement.start in edges
        between = list(tokens(sql[position : statement.start]))
        assert all(token.is_blank or token.kind is Kind.SEMICOLON for token in between)
        assert not position or between[0].kind is Kind.SEMICOLON
        assert not between or between[-1].kind is Kind.SEMICOLON
        position = statement.start + len(statement.text)
        assert position == len(sql) or edges[position].kind is Kind.SEMICOLON
    assert all(token.is_blank or token.kind is Kind.SEMICOLON for token in tokens(sql[position:]))

    for parameter in find_parameters(sql):
        assert edges[parameter.start].kind is Kind.PARAMETER
        assert sql[parameter.start : parameter.end] == parameter.form.value.replace("name", parameter.name)


@given(TEXTS)
@settings(max_examples=1000)
def test_nothing_of_a_text_is_lost(sql: str) -> None:
    hold_together(sql)


@pytest.mark.long
@pytest.mark.timeout(7200)
@given(TEXTS)
@settings(max_examples=200_000, deadline=None)
def test_nothing_of_many_texts_is_lost(sql: str) -> None:
    hold_together(sql)


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("'a''b'", [Kind.STRING]),
        ("E'a\\'b'", [Kind.STRING]),
        ("E'a'\n 'b\\''", [Kind.STRING]),
        ("E'a' -- c\n 'b\\''", [Kind.STRING]),
        ("'a\\'", [Kind.STRING]),
        ("U&'d\\0061t'", [Kind.STRING]),
        ("$$a'b$$", [Kind.STRING]),
        ("$é$ $$ ; $é$", [Kind.STRING]),
        ("$a$ unclosed", [Kind.STRING]),
        ("B'01'X'ff'", [Kind.STRING, Kind.STRING]),
        ('"a""b"', [Kind.NAME]),
        ('U&"d"', [Kind.NAME]),
        ("foo$1", [Kind.WORD]),
        ("$1", [Kind.POSITION]),
        ("/* a /* b */ c */", [Kind.COMMENT]),
        ("/* a /* b */", [Kind.COMMENT]),
        ("-- a", [Kind.COMMENT]),
        ("1_000.5e-3", [Kind.NUMBER]),
        ("0xFF", [Kind.NUMBER]),
        ("0o17", [Kind.NUMBER]),
        ("1e5", [Kind.NUMBER]),
        (".5E+3", [Kind.NUMBER]),
        ("1..2", [Kind.NUMBER, Kind.OTHER, Kind.NUMBER]),
        ("1.5.2", [Kind.NUMBER, Kind.NUMBER]),
        ("123abc$1", [Kind.NUMBER]),
        ("1e'\\';", [Kind.NUMBER, Kind.STRING, Kind.SEMICOLON]),
        ("1e-'\\';", [Kind.NUMBER, Kind.STRING, Kind.SEMICOLON]),
        ("$1e'\\';", [Kind.POSITION, Kind.STRING, Kind.SEMICOLON]),
        ("a::b", [Kind.WORD, Kind.CAST, Kind.WORD]),
        ("a*/* c */b", [Kind.WORD, Kind.OTHER, Kind.COMMENT, Kind.WORD]),
        ("e'x'", [Kind.STRING]),
        ("a\u00a0b", [Kind.WORD]),
        ("te'x'", [Kind.WORD, Kind.STRING]),
    ],
)
def test_what_a_piece_of_text_is(sql: str, kinds: list[Kind]) -> None:
    assert [token.kind for token in tokens(sql)] == kinds


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT :a, :b", ["a", "b"]),
        ("SELECT :a::int", ["a"]),
        ("SELECT x::text, y:: text", []),
        ("SELECT x[1:2], x[lo:hi], x[1:hi], x[f(1):hi], x[(1):hi], x[a.b:hi], x[1 :hi], x[lo :hi]", []),
        ("SELECT ARRAY[:a, :b], x[:n], x[1 + :m], x[CASE WHEN y THEN :c ELSE :d END]", ["a", "b", "n", "m", "c", "d"]),
        ('SELECT x[first :last], x[CASE WHEN y THEN 1 END :hi], x[NULL :hi], x[by :hi], x[lo :\'2\'], x["a" :"b"]', []),
        ("SELECT ARRAY[a AND :b, NOT :c, a BETWEEN :d AND :e, a LIKE :f, a IS DISTINCT FROM :g]", list("bcdefg")),
        ("SELECT json_object('a' :b)", []),
        ("SELECT json_object('a' : :b)", ["b"]),
        ("SELECT json_object(k :v), JSON_OBJECTAGG(f(k) :v, 'a':v, \"k\" :v, k:v ABSENT ON NULL)", []),
        ("SELECT json_object('k' VALUE :a, :b VALUE :c, :d : :e, key :v)", ["a", "b", "c", "d", "e"]),
        ("SELECT f(interval(3) :'a'), timestamp(0) :'b', numeric(5, 2) :'c'", ["a", "b", "c"]),
        ("EXPLAIN (COSTS OFF) :a", ["a"]),
        ("'a'\n :'b'\n 'c'", ["b"]),
        ("SELECT 'a:b', ':c', $$ :d $$, $t$ :e $t$, E'\\':f', \":g\" -- :h\n/* :i /* :j */ :k */", []),
        ("SELECT f(a := 1, b => :c)", ["c"]),
        ("SELECT 12:30", []),
        ("LIMIT :n OFFSET :m", ["n", "m"]),
        ("x = ANY(:ids) AND y IN (:a,:b)", ["ids", "a", "b"]),
        ("(:a)", ["a"]),
        (":a", ["a"]),
        ("SELECT :größe", ["größe"]),
        ("SELECT : a", []),
        ("SELECT a:b", ["b"]),
        ("SELECT :1", []),
    ],
)
def test_where_parameters_are(sql: str, names: list[str]) -> None:
    assert [parameter.name for parameter in find_parameters(sql)] == names


def test_the_three_forms() -> None:
    found = find_parameters("SELECT :a, :'b', :\"c\"")
    assert [(parameter.name, parameter.form) for parameter in found] == [
        ("a", Form.VALUE),
        ("b", Form.LITERAL),
        ("c", Form.IDENTIFIER),
    ]


BODY = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END"


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("", []),
        (" ; -- nothing\n ;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT $$;$$; SELECT 1 -- ;", ["SELECT ';'", "SELECT $$;$$", "SELECT 1 -- ;"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", None),
        (f"{BODY}; SELECT 3", [BODY, "SELECT 3"]),
        ("BEGIN; SELECT 1; END", ["BEGIN", "SELECT 1", "END"]),
        ("SELECT x[1; SELECT 2", ["SELECT x[1", "SELECT 2"]),
        ("SELECT 1); SELECT (2; SELECT 3", ["SELECT 1)", "SELECT (2; SELECT 3"]),
        (
            "CREATE FUNCTION f(a int) BEGIN ATOMIC ; END; SELECT 1",
            ["CREATE FUNCTION f(a int) BEGIN ATOMIC ; END", "SELECT 1"],
        ),
        ("CREATE VIEW f AS SELECT 1 AS begin; SELECT 1", ["CREATE VIEW f AS SELECT 1 AS begin", "SELECT 1"]),
        ("-- a\nSELECT 1", ["-- a\nSELECT 1"]),
    ],
)
def test_where_statements_end(sql: str, statements: list[str] | None) -> None:
    found = [statement.text.strip() for statement in split(sql)]
    expected = (
        ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"] if statements is None else statements
    )
    assert found == expected


@pytest.mark.parametrize(
    ("sql", "controls"),
    [
        ("BEGIN", True),
        ("start transaction read only", True),
        ("/* x */ COMMIT", True),
        ("END", True),
        ("ROLLBACK", True),
        ("ABORT", True),
        ("PREPARE TRANSACTION 'x'", True),
        ("COMMIT PREPARED 'x'", True),
        ("SAVEPOINT a", False),
        ("ROLLBACK TO a", False),
        ("ROLLBACK WORK TO SAVEPOINT a", False),
        ("RELEASE a", False),
        ("PREPARE x AS SELECT 1", False),
        ("SELECT 1", False),
        ("(SELECT 1) UNION SELECT 2", False),
        ("SET TRANSACTION READ ONLY", False),
    ],
)
def test_which_statements_control_a_transaction(sql: str, controls: bool) -> None:
    assert split(sql)[0].controls_transaction is controls


@pytest.mark.parametrize("piece", ["'", "E'\\", "$a$", "/*", '"', ":", "a ", "('", "'a''", "--"])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    started = time.monotonic()
    list(tokens(piece * 100_000))
    assert time.monotonic() - started < 20  # catches a hang; it takes a fraction of a second
