"""date, timestamp, timestamptz and interval: from PostgreSQL's count of days and microseconds to datetime64.

PostgreSQL counts from 2000-01-01, in UTC where there is a zone, and its smallest and largest numbers are -infinity and
infinity (source: datatype/timestamp.h). Infinite ones become NaT. Where a value has a year that no Python date has, the
whole column becomes objects, and that value the server's text, which is written here: the wire had only a number.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Self

import numpy as np

from pgmonkey_magic.results.batch import Shape
from pgmonkey_magic.results.builders import Growing
from pgmonkey_magic.results.columns import DATE, INTERVAL, NAT, TIMESTAMP, Column, from_values
from pgmonkey_magic.results.frame import odd_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.results.batch import Cells

DAY = 86_400_000_000
"""Microseconds."""
EPOCH_DAYS = 10_957
"""From 1970-01-01, numpy's epoch, to 2000-01-01, PostgreSQL's."""
CYCLE_DAYS, CYCLE_YEARS = 146_097, 400
"""After so many the calendar repeats."""
_FIRST = (date(1, 1, 1) - date(2000, 1, 1)).days
_LAST = (date(9999, 12, 31) - date(2000, 1, 1)).days
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - the wall's time; a zone is added where there is one
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=UTC)


class Moments:
    """date (a day of 32 bits) or timestamp (microseconds of 64 bits), with or without *zone*."""

    def __init__(self, oid: int, zone: tzinfo | None = None) -> None:
        self._oid = oid
        self._zone = zone
        self.shape = Shape(np.dtype(">i4" if oid == DATE else ">i8"), fixed=True)
        self._infinities = np.iinfo(self.shape.head).min, np.iinfo(self.shape.head).max
        day, margin = (1, 0) if oid == DATE else (DAY, 0 if oid == TIMESTAMP else 2)
        # Within two days of the edges of Python's calendar the zone decides, value by value.
        self._first, self._last = (_FIRST + margin) * day, (_LAST + 1 - margin) * day - 1
        self._scale, self._offset = (86_400, EPOCH_DAYS * 86_400) if oid == DATE else (1, EPOCH_DAYS * DAY)
        self.values = Growing(np.int64)
        self.nulls = 0
        self.odd: dict[int, int] = {}

    def append(self, cells: Cells) -> None:
        """Take a batch."""
        start = self.values.used
        room = self.values.room(len(cells))
        room[:] = cells.head
        nulls = cells.nulls
        if nulls is not None:
            room[nulls] = 0
        if len(room) and (room.min() < self._first or room.max() > self._last):
            outside = (room < self._first) | (room > self._last)
            rows = np.flatnonzero(outside)
            self.odd.update(zip((rows + start).tolist(), room[rows].tolist(), strict=True))
            room[rows] = 0
            nulls = outside if nulls is None else nulls | outside
        if self._scale != 1:
            room *= self._scale
        room += self._offset
        if nulls is not None:
            room[nulls] = NAT

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        start = self.values.used
        for other in others:
            self.odd |= {row + start: number for row, number in other.odd.items()}
            start += other.values.used
        self.values.extend([other.values for other in others])

    def column(self, name: str, notes: list[str]) -> Column:
        """Return datetime64[s] for dates, datetime64[us] for the others."""
        values = self.values.whole()
        infinite = sum(number in self._infinities for number in self.odd.values())
        texts: dict[int, str] = {}
        for row, number in self.odd.items():
            if number in self._infinities:
                continue
            value = self._value(number)
            if isinstance(value, str):
                texts[row] = value
            else:
                values[row] = number * self._scale + self._offset
        notes += odd_values(name, infinite, len(texts))
        if not texts:
            return Column(values.view("M8[s]" if self._oid == DATE else "M8[us]"), zone=self._zone)
        objects = [
            texts.get(row) if number == NAT else self._value((number - self._offset) // self._scale)
            for row, number in enumerate(values.tolist())
        ]
        return from_values(self._oid, objects, name, notes, self._zone)

    def _value(self, number: int) -> date | str:
        """Return the date or datetime, the server's text where Python has none."""
        if self._oid == DATE:
            if _FIRST <= number <= _LAST:
                return date(2000, 1, 1) + timedelta(days=number)
            return date_text(number) + (" BC" if year_of(number) <= 0 else "")
        offset = offset_of(number, self._zone)
        wall = number + offset // timedelta(microseconds=1)
        if not _FIRST <= wall // DAY <= _LAST:
            bc = " BC" if year_of(wall // DAY) <= 0 else ""
            zone = "" if self._zone is None else offset_text(offset)
            return f"{date_text(wall // DAY)} {time_text(wall % DAY)}{zone}{bc}"
        if self._zone is None:
            return _EPOCH + timedelta(microseconds=wall)
        try:
            return (_EPOCH_UTC + timedelta(microseconds=number)).astimezone(self._zone)
        except OverflowError:  # UTC is past the calendar, the wall's time is not
            return (_EPOCH + timedelta(microseconds=wall)).replace(tzinfo=timezone(offset))


class Intervals:
    """interval: microseconds, days, months."""

    shape = Shape(np.dtype([("us", ">i8"), ("days", ">i4"), ("months", ">i4")]), fixed=True)

    def __init__(self) -> None:
        self.parts = Growing(self.shape.head.newbyteorder("="))
        self.rows = 0
        self.nulls: list[np.ndarray] = []

    def append(self, cells: Cells) -> None:
        """Take a batch."""
        room = self.parts.room(len(cells))
        room[:] = cells.head
        if cells.nulls is not None:
            room[cells.nulls] = np.zeros((), room.dtype)
            self.nulls.append(np.flatnonzero(cells.nulls) + self.rows)
        self.rows += len(cells)

    def extend(self, others: Sequence[Self]) -> None:
        """Take what others hold."""
        self.parts.extend([other.parts for other in others])
        for other in others:
            self.nulls += [rows + self.rows for rows in other.nulls]
            self.rows += other.rows

    def column(self, name: str, notes: list[str]) -> Column:
        """Return timedelta64[us], the server's text where a value has months or is too long for it."""
        parts = self.parts.whole()
        nulls = np.concatenate([*self.nulls, np.empty(0, np.int64)])
        limit = np.iinfo(np.int64).max // DAY // 2
        days, us = parts["days"].astype(np.int64), parts["us"]
        if not (parts["months"].any() or (np.abs(days) > limit).any() or (np.abs(us // 2) > limit * DAY // 2).any()):
            total = days * DAY + us
            total[nulls] = NAT
            return Column(total.view("m8[us]"))
        texts: list[str | None] = [interval_text(*part) for part in parts.tolist()]
        for row in nulls.tolist():
            texts[row] = None
        return from_values(INTERVAL, texts, name, notes)


def offset_of(us: int, zone: tzinfo | None) -> timedelta:
    """Return the zone's offset from UTC at so many microseconds after 2000-01-01 UTC, in any year.

    After the last clock change that a zone knows, its rule repeats with the calendar; before the first, there is none.
    """
    if zone is None:
        return timedelta(0)
    cycles = us // DAY // CYCLE_DAYS
    inside = max(-4, min(cycles, 18))
    moment = _EPOCH_UTC + timedelta(microseconds=us - (cycles - inside) * CYCLE_DAYS * DAY)
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def year_of(days: int) -> int:
    """Return the year, 0 for 1 BC."""
    cycles, rest = divmod(days, CYCLE_DAYS)
    return (date(2000, 1, 1) + timedelta(days=rest)).year + cycles * CYCLE_YEARS


def date_text(days: int) -> str:
    """Return a day as the server writes it in DateStyle ISO, without the BC."""
    moment = date(2000, 1, 1) + timedelta(days=days % CYCLE_DAYS)
    year = year_of(days)
    return f"{year if year > 0 else 1 - year:04d}-{moment:%m-%d}"


def time_text(us: int) -> str:
    """Return a time of day as the server writes it; 24:00:00 is one."""
    seconds, fraction = divmod(us, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def offset_text(offset: timedelta) -> str:
    """Return an offset as the server writes it: +02, -03:30, +00:53:28."""
    seconds = offset // timedelta(seconds=1)
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{'-' if seconds < 0 else '+'}{hours:02d}"
    if rest:
        text += f":{rest // 60:02d}"
    return text + (f":{rest % 60:02d}" if rest % 60 else "")


def interval_text(us: int, days: int, months: int) -> str:
    """Return an interval as the server writes it in IntervalStyle postgres."""
    edge, widest = np.iinfo(np.int32), np.iinfo(np.int64)
    if (us, days, months) == (widest.max, edge.max, edge.max):
        return "infinity"
    if (us, days, months) == (widest.min, edge.min, edge.min):
        return "-infinity"
    sign = 1 if months >= 0 else -1
    years, rest = divmod(abs(months), 12)
    pieces: list[str] = []
    negative = False
    for value, unit in ((sign * years, "year"), (sign * rest, "mon"), (days, "day")):
        if value:
            plus = "+" if negative and value > 0 else ""
            pieces.append(f"{plus}{value} {unit}{'' if value == 1 else 's'}")
            negative = value < 0
    if us or not pieces:
        plus = "-" if us < 0 else "+" if negative else ""
        pieces.append(plus + time_text(abs(us)))
    return " ".join(pieces)


def clock_text(raw: bytes) -> str:
    """Return a `time` or `timetz` as the server writes it."""
    us = int.from_bytes(raw[:8], "big", signed=True)
    west = int.from_bytes(raw[8:], "big", signed=True)
    return time_text(us) + (offset_text(timedelta(seconds=-west)) if len(raw) > 8 else "")
