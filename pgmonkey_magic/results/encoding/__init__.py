"""The way back: columns of a DataFrame → the data of COPY FROM STDIN."""

from pgmonkey_magic.results.encoding.sources import Source, source_of
from pgmonkey_magic.results.encoding.sqltypes import sql_types
from pgmonkey_magic.results.encoding.streams import Stream
from pgmonkey_magic.results.encoding.targets import Session, TargetType

__all__ = ["Session", "Source", "Stream", "TargetType", "source_of", "sql_types"]
