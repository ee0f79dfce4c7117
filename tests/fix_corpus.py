"""SQL to compare a cell with psql on, the cells of tests/corpus, and how to compare.

A cell's query is asked about and then fetched by COPY, which psql does not do. So a cell is compared in two steps: with
that switched off (`ordinary_way`) it says and hears byte for byte what psql does; as it really runs it gives the same
values as then, and says and hears the same where `as_if_not_copied` reads COPY as the query in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fix_recorder import Exchange, Outcome

from pgmonkey_magic import SQLError
from pgmonkey_magic.cells import CommandResult, ResultSets, binding, ways
from pgmonkey_magic.sql import split

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Cell:
    """A cell of the corpus: the options after `%%pgmonkey`, and its SQL."""

    options: str
    sql: str


ODD_LINES = [
    Cell("", "SELECT 1,\r\n  2 -- carriage returns\r\n, 3;\r\nSELECT 'a\r\nb'"),
    Cell("", "SELECT\f1,\v2"),
    Cell("", "SELECT 'a\fb\vc', 1 -- two\r, 3"),
    Cell("", "SELECT 'a\u2028b\u2029c\x85d\x1ee', 1 AS a\u00a0b"),
    Cell("", "\n\n\tSELECT 1\n\n"),
    Cell("", "    SELECT 'indented\n  text'\n   , 2"),
]
"""Line ends that Python, PostgreSQL and editors see differently."""
TOO_LONG = "n" * 70
COPIED = [
    Cell("", "SELECT x\nFROM (VALUES ('é; --'), (NULL)) AS v(x) -- end"),
    Cell("", "/* é; */ SELECT 1 FROM pg_am WHERE false;; -- end\n;"),
    Cell("", "SELECT 1;\n\nSELECT 'é',\n  nowhere FROM pg_am; SELECT 2"),
    Cell("", "SELECT 'é'; SELECT 6 / (i - 500) FROM generate_series(1, 1000) AS i"),
    Cell("", "SELECT ARRAY[6 / (i - 500)] FROM generate_series(1, 1000) AS i"),
    Cell("", "; -- é;\n;SELECT 'é' FROM pg_am"),
    Cell("", ";;SELECT 'é', nowhere FROM pg_am;"),
    Cell("", "SELECT 1 FROM pg_am WHERE ; -- end"),
    Cell("", "SELECT $1 IS NULL FROM pg_am"),
    Cell("", "SELECT $1, nowhere FROM pg_am"),
    Cell("", f"SELECT i AS {TOO_LONG} FROM generate_series(1, 2) AS i; SELECT 1 AS {TOO_LONG}"),
    Cell("", f"SELECT ARRAY[i] AS {TOO_LONG} FROM generate_series(1, 2) AS i"),
    Cell("", "SELECT to_tsquery('english', 'the') FROM generate_series(1, 2)"),
    Cell("", f"SELECT nowhere AS {TOO_LONG} FROM pg_am"),
    Cell("", "SELECT 1 FROM pg_am) TO STDOUT; SELECT (1"),
    Cell("", "SELECT 1 AS a, 2 AS a, '{3}'::int[] AS a, 4 AS \"A;\" FROM pg_am"),
    Cell(
        "",
        "CREATE SEQUENCE s; SELECT nextval('s'), ARRAY[nextval('s')] FROM generate_series(1, 3); SELECT nextval('s')",
    ),
    Cell(
        "",
        "CREATE TABLE t (a int); WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a, ARRAY[a] FROM w; TABLE t",
    ),
    Cell("", "SET LOCAL TIME ZONE 'Asia/Kathmandu'; SELECT timestamptz '2024-01-01 00:00+00' FROM pg_am"),
]
"""What might come out otherwise where a query is asked about first, then copied, and maybe as a subquery."""
TIDIED_BY_IPYTHON = [
    Cell("", "SELECT 'a\n   \nb'"),
    Cell("", "SELECT 'a\n>>> b\n... c'"),
    Cell("", ">>> SELECT 1"),
]
"""IPython takes the blanks of lines that hold no more, and prompts, from a cell that it is not kept from."""


def cells_of(name: str) -> list[Cell]:
    """Return the cells of `tests/corpus/{name}.sql`, which begin with a line `%%pgmonkey` each, or those from here."""
    if name == "lines":
        return ODD_LINES
    if name == "copied":
        wrapped = (Cell(cell.options, f"WITH v AS (\n{cell.sql}\n) SELECT * FROM v") for cell in cells_of("values"))
        return [*COPIED, *wrapped]
    text = (CORPUS / f"{name}.sql").read_text(encoding="utf-8")
    found = re.findall(r"^%%pgmonkey *(.*)\n((?:(?!%%pgmonkey).*\n)*)", text, re.MULTILINE)
    return [Cell(options, sql.removesuffix("\n")) for options, sql in found]


def own(exchanges: Iterable[Exchange], sql: str) -> tuple[list[Exchange], str]:
    """Return what was sent of *sql*, byte for byte and in order, and the rest that was not.

    What else was said on the way (BEGIN and COMMIT around a cell, the cleaning of a connection) is none of it.
    """
    text, position = sql.encode() + b"\n", 0
    found = []
    for exchange in exchanges:
        at = text.find(exchange.text, position)
        if at >= 0 and not text[position:at].strip(b" \t\r\n\f\v;"):
            found.append(exchange)
            position = at + len(exchange.text)
    return found, text[position:].decode()


# -- the two ways of a query ----------------------------------------------------------------------------------


@contextmanager
def ordinary_way() -> Iterator[None]:
    """Let nothing be fetched by COPY: cells send what was written, and rows come as text."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (ways, binding):
            patch.setattr(module, "suits", lambda _sql: False)
        yield


def as_if_not_copied(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return what was said with each question and its COPY as one exchange, as if the query had been sent as it is.

    Its rows are not the query's, only as many. A notice of the parser comes with the question and again with the COPY.
    """
    found: list[Exchange] = []
    asked: dict[int, Exchange] = {}
    for exchange in exchanges:
        if (question := asked.pop(exchange.line, None)) is not None:
            found.append(_joined(question, exchange))
        elif not exchange.parsed:
            found.append(exchange)
        elif exchange.outcomes and exchange.outcomes[-1].error:
            found.append(replace(exchange, text=exchange.parsed[-1], outcomes=exchange.outcomes[-1:]))
        else:
            asked[exchange.line] = exchange
    return found


def _joined(question: Exchange, answer: Exchange) -> Exchange:
    """Return the answer to a question's statement, which came by COPY or, where the question said so, without."""
    assert question.parsed
    text, notices = question.parsed[-1], [*question.notices]
    (statement,) = split(text.decode())  # a COPY has no room for what stands behind it
    start = answer.text.find(statement.text.encode())
    if not answer.text.startswith(b"COPY (") or start < 0:
        return replace(answer, notices=notices + answer.notices)
    for notice in answer.notices:
        if notice in question.notices:
            question.notices.remove(notice)
        else:
            notices.append(notice)
    before = len(answer.text[:start].decode()) - statement.start
    outcomes = [_uncopied(outcome, question.outcomes[-1].columns, before) for outcome in answer.outcomes]
    return Exchange(answer.line, text, question.parsed, outcomes, notices)


def _uncopied(outcome: Outcome, columns: tuple[str, ...] | None, before: int) -> Outcome:
    if outcome.error is not None:
        state, message, position = outcome.error
        return Outcome(error=(state, message, str(int(position) - before) if position else ""))
    rows = int(outcome.tag.removeprefix("COPY "))
    return Outcome(columns, outcome.rows[:rows], f"SELECT {rows}")


def in_bytes(outcome: Outcome) -> Any:
    """Return the rows as they came."""
    return (outcome.columns, outcome.rows)


def counted(outcome: Outcome) -> Any:
    """Return what can be said of rows that came by COPY. Before an error there may have been some, or none yet."""
    return None if outcome.error else (outcome.columns, len(outcome.rows))


def content(value: Any) -> Any:
    """Return all that a person gets, an error as well, in a form to compare: types, values, notes; but no durations."""
    match value:
        case SQLError():
            return (value.sqlstate, str(value), value.detail)
        case CommandResult():
            return (value.tag, value.rowcount)
        case ResultSets():
            return (value.tags, [content(one) for one in value])
        case pd.DataFrame():
            told = {name: about for name, about in value.attrs["pgmonkey"].items() if name not in ("pool", "timings")}
            told["notes"] = sorted(told["notes"])  # column by column, or one kind of note after the other
            columns = {name: (str(value.dtypes[name]), [repr(item) for item in value[name]]) for name in value.columns}
            return (columns, len(value), told)
    return value
