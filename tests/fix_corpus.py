"""SQL to compare a cell with psql on: the cells of tests/corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fix_recorder import Exchange

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
TIDIED_BY_IPYTHON = [
    Cell("", "SELECT 'a\n   \nb'"),
    Cell("", "SELECT 'a\n>>> b\n... c'"),
    Cell("", ">>> SELECT 1"),
]
"""IPython takes the blanks of lines that hold no more, and prompts, from a cell that it is not kept from."""


def cells_of(name: str) -> list[Cell]:
    """Return the cells of `tests/corpus/{name}.sql`, each of which begins with a line `%%pgmonkey`."""
    if name == "lines":
        return ODD_LINES
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
