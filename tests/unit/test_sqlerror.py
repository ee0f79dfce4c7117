"""The caret under the place that the server points at."""

import pytest

from pgmonkey_magic.cells.sqlerror import caret_lines


@pytest.mark.parametrize(
    ("sql", "position", "lines"),
    [
        ("SELECT foo", "8", ("LINE 1: SELECT foo", "               ^")),
        ("SELECT 1,\n  foo\nFROM t", "13", ("LINE 2:   foo", "          ^")),
        ("SELECT 'ü', foo", "13", ("LINE 1: SELECT 'ü', foo", "                    ^")),
        ("SELECT\n\tfoo", "9", ("LINE 2: \tfoo", "        \t^")),
        ("SELECT 1 +", "11", ("LINE 1: SELECT 1 +", "                  ^")),
        ("SELECT 1", None, ()),
        ("SELECT 1", "99", ()),
    ],
)
def test_caret(sql: str, position: str | None, lines: tuple[str, ...]) -> None:
    assert caret_lines(sql, position) == lines
