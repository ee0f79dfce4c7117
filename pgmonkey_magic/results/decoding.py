"""Which builder makes which type's column, and all the columns of a result together.

A type that has none here comes as the server's text (`describe.py` asks for it so) and goes through psycopg's own
loader for that text, as on the ordinary way. So does nothing that a loader could refuse in binary but not in text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from psycopg.pq import Format

from pgmonkey_magic.results.batch import Batch, Layout
from pgmonkey_magic.results.builders import Booleans, Builder, Numbers
from pgmonkey_magic.results.columns import (
    BOOLEAN,
    DATE,
    INTERVAL,
    NUMERIC,
    TIMESTAMP,
    TIMESTAMPTZ,
    declared_decimal,
)
from pgmonkey_magic.results.decimals import Decimals
from pgmonkey_magic.results.frame import Frame, Header, assemble, loading
from pgmonkey_magic.results.moments import Intervals, Moments, clock_text
from pgmonkey_magic.results.numerics import Floats
from pgmonkey_magic.results.oids import BINARY, JSONB, TEXTS, TIME, TIMETZ
from pgmonkey_magic.results.texts import Loaded, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    import psycopg
    from psycopg.abc import Transformer

    from pgmonkey_magic.results.output import Output

WIRE_NUMBERS = {21: ">i2", 23: ">i4", 20: ">i8", 26: ">u4", 700: ">f4", 701: ">f8"}
"""smallint, integer, bigint, oid, real, double precision."""
SIZES = {2950: 16, TIME: 8, TIMETZ: 12}
"""uuid, time, timetz."""
FIXED_BATCH, OTHER_BATCH = 512 << 10, 1024 << 10
"""Bytes of rows that are decoded at once: enough for numpy, little enough for the processor's cache, and for a server
that waits meanwhile."""


class Decoder:
    """The columns of one result; *modifiers* are those of their types, as in a Description, -1 for none."""

    def __init__(
        self, names: Sequence[str], oids: Sequence[int], session: Session, modifiers: Sequence[int] | None = None
    ) -> None:
        self._header = Header.of(names, oids)
        self._output = session.output
        modifiers = (-1,) * len(oids) if modifiers is None else modifiers
        self._make = [session.maker(oid, modifier) for oid, modifier in zip(oids, modifiers, strict=True)]
        self.rows = 0
        self.builders = [make() for make in self._make]
        self._layout = Layout([builder.shape for builder in self.builders])
        self.batch_bytes = FIXED_BATCH if all(shape.fixed for shape in self._layout.shapes) else OTHER_BATCH

    def take(self, buffer: bytes | memoryview, sizes: Sequence[int]) -> None:
        """Decode a batch of rows, whose bytes lie in *buffer* with PADDING behind. Raises DecodeError."""
        batch = Batch(buffer, sizes)
        for builder, cells in zip(self.builders, batch.columns(self._layout), strict=True):
            builder.append(cells)
        self.rows += batch.rows

    def extend(self, others: Sequence[Decoder]) -> None:
        """Take what decoders of the same columns have taken, one after the other; they hold nothing afterwards.

        Nothing is taken after it but by `extend`.
        """
        taken = [other.builders for other in others]
        for builder in self.builders:
            builder.extend([builders.pop(0) for builders in taken])  # so that no column is kept twice for long
        self.rows += sum(other.rows for other in others)

    def frame(self) -> Frame:
        """Return what was taken so far, and begin anew. Raises DecodeError."""
        notes = list(self._header.notes)
        builders, rows = self.builders, self.rows
        self.builders, self.rows = [make() for make in self._make], 0
        columns = [builder.column(name, notes) for builder, name in zip(builders, self._header.names, strict=True)]
        return assemble(self._header, columns, notes, rows, self._output)


@dataclass(frozen=True, slots=True)
class Session:
    """What of a session the values depend on, and what a person wants of them."""

    transformer: Transformer
    encoding: str
    zone: tzinfo
    output: Output

    @classmethod
    def of(cls, conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], output: Output) -> Self:
        """Ask a connection; it must be borrowed, and a SET LOCAL of the time zone still in force."""
        return cls(loading(conn, output), conn.info.encoding, conn.info.timezone, output)

    def maker(self, oid: int, modifier: int) -> Callable[[], Builder]:
        """Return what makes the builder of a column of this type."""
        if oid == NUMERIC and self.output.decimals == "exact":
            return lambda: Decimals(declared_decimal(modifier))
        if oid in _OWN:
            return lambda: _OWN[oid](self, oid)
        if oid in BINARY and oid not in TEXTS:
            load = self.transformer.get_loader(oid, Format.BINARY).load
            return lambda: Loaded(oid, load, self._text_of(oid), SIZES.get(oid))
        return self._of_text(oid)

    def _of_text(self, oid: int) -> Callable[[], Builder]:
        loader = self.transformer.get_loader(oid, Format.TEXT)
        is_text = type(loader) is type(self.transformer.get_loader(25, Format.TEXT))
        if is_text and self.encoding == "utf-8":
            return Texts
        return lambda: Loaded(oid, loader.load, self._decoded)

    def _text_of(self, oid: int) -> Callable[[bytes], str]:
        if oid in (TIME, TIMETZ):
            return clock_text
        if oid == JSONB:
            return lambda raw: self._decoded(raw[1:])
        return self._decoded

    def _decoded(self, raw: Any) -> str:
        return bytes(raw).decode(self.encoding, "backslashreplace")


_OWN: dict[int, Callable[[Session, int], Builder]] = {
    **dict.fromkeys(WIRE_NUMBERS, lambda _, oid: Numbers(WIRE_NUMBERS[oid])),
    BOOLEAN: lambda *_: Booleans(),
    NUMERIC: lambda *_: Floats(),
    **dict.fromkeys((DATE, TIMESTAMP), lambda _, oid: Moments(oid)),
    TIMESTAMPTZ: lambda session, oid: Moments(oid, session.zone),
    INTERVAL: lambda *_: Intervals(),
}
