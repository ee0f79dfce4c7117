"""Results: from libpq's answer to a DataFrame, without one changed value."""

from pgmonkey_magic.results.copy_text import copy_text
from pgmonkey_magic.results.frame import Frame, Reader
from pgmonkey_magic.results.wire import Answer, CopyEnd, CopyRefused, Parameters, query

__all__ = ["Answer", "CopyEnd", "CopyRefused", "Frame", "Parameters", "Reader", "copy_text", "query"]
