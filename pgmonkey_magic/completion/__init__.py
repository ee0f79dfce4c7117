"""Completion of SQL, headless: a text and a cursor → what may stand there → what the server has that fits.

    tree        the statement around the cursor, and what is typed
    relations   FROM lists, select lists, common table expressions
    scope       which of them the cursor sees
    clauses     what kinds of things (wants) may stand there, and brackets, at the beginning of those
    context     all of this as one Place
    catalogue   what a server has, read in one short transaction
    shelf       the catalogues that have been read, and when they are read again
    suggest     Place × Catalogue → completions

All but `catalogue` and `shelf` are pure.
"""

from pgmonkey_magic.completion.catalogue import Catalogue, Relation, read_catalogue
from pgmonkey_magic.completion.context import ParameterPlace, Place, place_at
from pgmonkey_magic.completion.shelf import UNKNOWN, Shelf
from pgmonkey_magic.completion.suggest import LIMIT, Suggestion, suggest

__all__ = [
    "LIMIT",
    "UNKNOWN",
    "Catalogue",
    "ParameterPlace",
    "Place",
    "Relation",
    "Shelf",
    "Suggestion",
    "place_at",
    "read_catalogue",
    "suggest",
]
