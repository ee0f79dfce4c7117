"""The catalogues that have been read, one for each pool, and when each is read again: always in the background.

Who asks gets what is there. Only the very first time, and once after a change, is the reading waited for, and then only
as long as a person does not notice.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING

import psycopg

from pgmonkey_magic.completion.catalogue import Catalogue, read_catalogue
from pgmonkey_magic.errors import PgMonkeyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgmonkey_magic.config import Config
    from pgmonkey_magic.pools import PGAsyncPool, PGPool

logger = logging.getLogger("pgmonkey_magic.completion")

PATIENCE_S = 0.25
"""How long a key press may wait for a reading."""
FRESH_S = 30.0
AFTER_FAILURE_S = 10.0
"""A server that could not be read is left alone for so long."""
UNKNOWN = Catalogue()


class Shelf:
    """The catalogues of pools; each is kept as long as its pool is."""

    def __init__(self) -> None:
        self._books: weakref.WeakKeyDictionary[PGPool | PGAsyncPool, _Book] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, pool: PGPool | PGAsyncPool) -> Catalogue:
        """Return what is known of the pool's server, `UNKNOWN` where that is nothing.

        Never waits for longer than `PATIENCE_S`, never raises, opens nothing of the pool.
        """
        with self._lock:
            book = self._books.setdefault(pool, _Book(pool.config, pool.connection_type))
        return book.open()

    def outdate(self, pools: Iterable[PGPool | PGAsyncPool]) -> None:
        """Read again the catalogues of these pools that have been asked for: something may have changed."""
        with self._lock:
            books = [book for pool in pools if (book := self._books.get(pool))]
        for book in books:
            book.outdate()


class _Book:
    """The catalogue of one configuration."""

    def __init__(self, config: Config, connection_type: str) -> None:
        self._config = config
        self._connection_type = connection_type
        self._catalogue = UNKNOWN
        self._lock = threading.Lock()
        self._due_at = 0.0
        """From when on it must be read again, in `time.monotonic()` seconds; a key press sees to it."""
        self._reading: threading.Event | None = None
        self._again = False
        self._is_worth_waiting = True

    def open(self) -> Catalogue:
        with self._lock:
            if time.monotonic() >= self._due_at:
                self._begin()
            reading = self._reading if self._is_worth_waiting else None
            self._is_worth_waiting = False
        if reading is not None:
            reading.wait(PATIENCE_S)
        return self._catalogue

    def outdate(self) -> None:
        with self._lock:
            self._is_worth_waiting = self._catalogue is not UNKNOWN
            self._begin()

    def _begin(self) -> None:
        if self._reading is not None:
            self._again = True  # what is being read may be from before the change
            return
        self._reading, self._due_at = threading.Event(), float("inf")
        threading.Thread(target=self._read, name="pgmonkey-catalogue", daemon=True).start()

    def _read(self) -> None:
        while True:
            due_in = FRESH_S
            try:
                self._catalogue = read_catalogue(self._config, self._connection_type)
            except (psycopg.Error, PgMonkeyError, OSError) as error:
                # The next cell says it aloud; a key press must not.
                logger.info("the catalogue cannot be read: %s", error)
                due_in = AFTER_FAILURE_S
            with self._lock:
                if self._again and due_in == FRESH_S:
                    self._again = False
                    continue
                self._again, self._due_at = False, time.monotonic() + due_in
                reading, self._reading = self._reading, None
            assert reading is not None  # noqa: S101 - only this thread takes it away
            reading.set()
            return
