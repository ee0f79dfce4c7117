"""The real PostgreSQL of the tests: an embedded one by default, or the one of `PGMONKEY_TEST_DSN` (a superuser's)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic.demo.cluster import Cluster


class Server:
    """A running server and a look at it from outside the pools under test."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def config(self, **settings: Any) -> dict[str, Any]:
        """Return a pgmonkey configuration for it; *settings* replace connection settings."""
        return {"connection_settings": {**self.settings, **settings}}

    def query(self, sql: str) -> list[tuple]:
        """Return the rows of *sql*, from a connection of its own."""
        with psycopg.connect(**self.settings, application_name="outside", autocommit=True) as conn:
            cur = conn.execute(sql)
            return cur.fetchall() if cur.description else []

    def backends(self, application_name: str) -> int:
        """Count the server's processes for clients of that name."""
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application_name}'"
        return self.query(sql)[0][0]

    def terminate(self, application_name: str) -> None:
        """End the server's processes for clients of that name, and return when they are gone."""
        self.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            f"WHERE application_name = '{application_name}'"
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server that most tests share."""
    if dsn := os.environ.get("PGMONKEY_TEST_DSN"):
        yield Server(conninfo_to_dict(dsn))
        return
    with Cluster() as cluster:
        yield Server(conninfo_to_dict(cluster.conninfo))


@pytest.fixture
def table(server: Server) -> Iterator[str]:
    """The name of an empty table with one integer column."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    server.query(f"CREATE TABLE {name} (n int)")
    yield name
    server.query(f"DROP TABLE {name}")
