"""The sample data: a made-up shop in the database `tutorial_db`, described in shop.sql."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from psycopg import Connection

DATABASE = "tutorial_db"
SHOP = Path(__file__).with_name("shop.sql")


def ensure_shop(connection: Connection[tuple[object, ...]], conninfo: str) -> None:
    """Make `tutorial_db` unless it is there; about 2 s.

    It is made under another name and renamed at the end, so whoever sees it sees it whole, and what a killed process
    left half done is simply made again. Only for the holder of JOIN: two at a time would drop each other's work.
    """
    known = connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [DATABASE])
    if known.fetchone() is not None:
        return
    connection.execute("DROP DATABASE IF EXISTS tutorial_db_unfinished WITH (FORCE)")
    connection.execute("CREATE DATABASE tutorial_db_unfinished")
    unfinished = make_conninfo(conninfo, dbname="tutorial_db_unfinished")
    with psycopg.connect(unfinished, autocommit=True) as loader:
        loader.execute("SET jit = off")  # each statement runs once: compiling them takes longer than they do
        loader.execute(SHOP.read_bytes())  # one request, hence one transaction
        loader.execute("VACUUM (ANALYZE)")
    connection.execute("ALTER DATABASE tutorial_db_unfinished RENAME TO tutorial_db")
