"""Results: from libpq's answer to a DataFrame, without one changed value."""

from pgmonkey_magic.results.frame import Frame, Reader
from pgmonkey_magic.results.wire import Answer, CopyRefused, Parameters, query

__all__ = ["Answer", "CopyRefused", "Frame", "Parameters", "Reader", "query"]
