"""Results: from libpq's answer to a DataFrame, without one changed value."""

from pgmonkey_magic.results.copy_format import DecodeError
from pgmonkey_magic.results.fast import Fetched, Wanted, fetch, suits
from pgmonkey_magic.results.frame import Frame, Reader
from pgmonkey_magic.results.output import CHOICES, DEFAULT, OPTIONS, Output
from pgmonkey_magic.results.parts import Unsplit
from pgmonkey_magic.results.pieces import Piece, Pieces, put_together
from pgmonkey_magic.results.splitting import Split, split_query
from pgmonkey_magic.results.wire import Answer, CopyEnd, CopyRefused, Parameters, query, with_field

__all__ = [
    "CHOICES",
    "DEFAULT",
    "OPTIONS",
    "Answer",
    "CopyEnd",
    "CopyRefused",
    "DecodeError",
    "Fetched",
    "Frame",
    "Output",
    "Parameters",
    "Piece",
    "Pieces",
    "Reader",
    "Split",
    "Unsplit",
    "Wanted",
    "fetch",
    "put_together",
    "query",
    "split_query",
    "suits",
    "with_field",
]
