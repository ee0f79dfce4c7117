"""What may have been meant by a word or an option that is none: a near miss, or another tool's way to say it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from pgmonkey_magic.notebook.address import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Collection

LIKENESS = 0.75
"""difflib's ratio; a little below, --limit is like --commit."""
_A_NAME_FOR_SQL = "a view, or a CTE (WITH name AS …)"
_OF_OTHER_TOOLS = {
    "--limit": "--max-rows",
    "--displaylimit": "--max-rows",
    "--if-exists": "--mode",
    "--persist": "%pgmonkey upload DF TABLE",
    "--save": _A_NAME_FOR_SQL,
    "--with": _A_NAME_FOR_SQL,
    "tables": r"\dt",
    "columns": r"\d TABLE",
    "profile": "-o df SELECT …, then df.describe()",
}
"""Options and words, as JupySQL, ipython-sql and pandas have them."""


def near(word: str, known: Collection[str]) -> str | None:
    """Return what *word* may have been meant to be: one of *known*, or for an option what does it here."""
    cure = _OF_OTHER_TOOLS.get(word) if word.startswith("-") else None
    if cure is not None and (cure in known or not cure.startswith("-")):
        return cure
    return next(iter(get_close_matches(word, tuple(known), n=1, cutoff=LIKENESS)), None)


def elsewhere(word: str) -> str | None:
    """Return what to write after `%pgmonkey` for a word of another tool, or in place of an address."""
    if ADDRESS.match(word):
        return "connect FILE, with a YAML file that `pgmonkey-magic config create FILE` writes"
    return _OF_OTHER_TOOLS.get(word)
