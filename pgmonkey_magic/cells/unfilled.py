"""Literals that were meant to be parameters: `'{{name}}'`, which is Jinja's, and `':name'`, a text in quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pgmonkey_magic.sql import Kind, tokens

if TYPE_CHECKING:
    from collections.abc import Container

LITERAL = re.compile(r"'(?:\{\{\s*(?P<jinja>[^\W\d]\w*)\s*\}\}|:(?P<colon>[^\W\d]\w*))'")


def unfilled(sql: str, *spaces: Container[str]) -> tuple[str, ...]:
    """Return a remark for each literal of *sql* that is nothing but a name of *spaces*, as if it would be filled in.

    It is no error: the text may be meant as it stands.
    """
    if not ("{{" in sql or "':" in sql) or LITERAL.search(sql) is None:  # tokens cost more
        return ()
    remarks: dict[str, None] = {}
    for token in tokens(sql):
        match = LITERAL.fullmatch(token.text) if token.kind is Kind.STRING else None
        name = (match["jinja"] or match["colon"]) if match is not None else None
        if name is not None and any(name in space for space in spaces):
            remarks[f"{token.text} was sent as it stands; write :{name}, without quotes"] = None
    return tuple(remarks)
