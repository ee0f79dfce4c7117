"""A session whose one pool has one connection, in a schema of its own, and uploads into it; over each kind of pool."""

import uuid
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from fix_server import Server

import pgmonkey_magic
from pgmonkey_magic.cells import Direct, Request, Session, Upload


class Uploads:
    """A session with one pool of one connection, and a schema of its own."""

    def __init__(self, session: Session, server: Server) -> None:
        self.session = session
        self.server = server

    def __call__(self, frame: Any, table: str = "t", **how: Any) -> Any:
        return pgmonkey_magic.upload(frame, table, **how)

    def run(self, sql: str, **how: Any) -> Any:
        return pgmonkey_magic.run(sql, **how)

    def back(self, frame: Any, **how: Any) -> pd.DataFrame:
        """Upload into a new table and fetch it."""
        self.run("DROP TABLE IF EXISTS t")
        self(frame)
        return self.run("SELECT * FROM t", **how)

    def job(self, frame: Any, table: str = "t", **how: Any) -> Any:
        way = Upload.of(frame, table, **how)
        assert self.session.current is not None
        return self.session.start(Request(sql=way.statement, way=way), self.session.current)

    def types(self) -> list[str]:
        return self.run(
            "SELECT format_type(atttypid, atttypmod) AS kind FROM pg_attribute "
            "WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum"
        )["kind"].to_list()

    def count(self) -> int:
        return self.run("SELECT count(*) AS n FROM t")["n"][0]

    def idle(self) -> int:
        assert self.session.current is not None
        return self.session.current.pool.occupancy.idle


@pytest.fixture(params=["pool", "async_pool"])
def up(server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Uploads]:
    schema = f"upload_{uuid.uuid4().hex[:10]}"
    server.query(f"CREATE SCHEMA {schema}")
    session = Session()
    monkeypatch.setattr(Direct, "session", session)
    config = server.config(options=f"-c search_path={schema} -c timezone=Europe/Athens", application_name=schema)
    session.connect_dict(
        {**config, f"{request.param}_settings": {"min_size": 1, "max_size": 1}},
        name="up",
        connection_type=request.param,
    )
    yield Uploads(session, server)
    session.disconnect("up")
    server.query(f"DROP SCHEMA {schema} CASCADE")
