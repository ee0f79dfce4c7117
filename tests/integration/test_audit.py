"""What the audit counts, as which role, and which limit it names; and what is said where the server is full."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fix_notebook import write_config
from fix_pools import Kind, in_threads, run_borrow, until
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgmonkey_magic import PoolUnavailable, tuning
from pgmonkey_magic.cells.session import prove
from pgmonkey_magic.config import parse_config
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.errors import SQLError
from pgmonkey_magic.panels.backends import answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABEL = "audited"
WORKERS = {
    "min_parallel_table_scan_size": 0,
    "parallel_setup_cost": 0,
    "parallel_tuple_cost": 0,
    "max_parallel_workers_per_gather": 2,
}
SETUP = (
    "CREATE ROLE plain LOGIN",
    "CREATE DATABASE elsewhere",
    "CREATE TABLE rows WITH (parallel_workers = 2) AS SELECT generate_series(1, 100000) AS n",
    """CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS
       $$ BEGIN PERFORM pg_sleep(0.001); RETURN n; END $$""",
)


@pytest.fixture(scope="module")
def small() -> Iterator[Cluster]:
    """A server for 20, three of them a superuser's, with the role `plain` and a second database."""
    settings = {"max_connections": 20, "max_wal_senders": 3, "wal_level": "logical", **WORKERS}
    with Cluster(settings=settings) as cluster:
        for statement in SETUP:
            as_superuser(cluster, statement)
        yield cluster


@pytest.fixture(autouse=True)
def nobody_else(small: Cluster) -> Iterator[None]:
    """No limit and no connection is left of the test before."""
    yield
    as_superuser(small, "ALTER ROLE plain CONNECTION LIMIT -1")
    as_superuser(small, "ALTER ROLE postgres CONNECTION LIMIT -1")
    as_superuser(small, "ALTER DATABASE postgres CONNECTION LIMIT -1")
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    until(lambda: as_superuser(small, others) == [(0,)])


def as_superuser(cluster: Cluster, sql: str) -> list[tuple]:
    """Return the rows, when the connection that fetched them is no longer counted."""
    with psycopg.connect(cluster.conninfo, autocommit=True) as conn:
        pid, cur = conn.info.backend_pid, conn.execute(sql)
        rows = cur.fetchall() if cur.description else []
    until(lambda: not is_running(pid))
    return rows


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def left_by_audits(cluster: Cluster) -> int:
    """Connections of audits that the server has not ended yet."""
    return as_superuser(cluster, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{LABEL}'")[0][0]


def config_of(cluster: Cluster, user: str = "plain") -> dict[str, Any]:
    settings = {**conninfo_to_dict(cluster.conninfo), "user": user, "application_name": LABEL}
    return {"connection_settings": settings}


def budget(cluster: Cluster, kind: Kind, user: str = "plain") -> tuning.Budget:
    return tuning.budget(parse_config(config_of(cluster, user)), kind.connection_type)


@contextmanager
def connections(cluster: Cluster, count: int, **settings: str) -> Iterator[None]:
    """Hold so many connections, by default of the superuser."""
    with ExitStack() as held:
        for _ in range(count):
            held.enter_context(psycopg.connect(cluster.conninfo, autocommit=True, **settings))
        yield


# -- who is counted ----------------------------------------------------------------------------------------------------


def test_an_ordinary_role_counts_the_sessions_of_others(small: Cluster, kind: Kind) -> None:
    with connections(small, 4), connections(small, 1, dbname="elsewhere"):
        server = budget(small, kind)
        assert (server.limits["others"], server.free) == (5, 12)
        assert server.bound.account == "max_connections 20 − 3 reserved − 5 used by others"
        until(lambda: left_by_audits(small) == 0)
        with connections(small, server.free, user="plain"):  # the server agrees
            refused = pytest.raises(psycopg.OperationalError, match="remaining connection slots")
            with refused, connections(small, 1, user="plain"):
                pass


def in_parallel(cluster: Cluster) -> None:
    with psycopg.connect(cluster.conninfo, application_name="leader") as conn, pytest.raises(psycopg.Error):
        conn.execute("SELECT sum(slow(n)) FROM rows")


def test_walsenders_and_parallel_workers_have_no_connection_of_ours(small: Cluster, kind: Kind) -> None:
    senders = [
        psycopg.pq.PGconn.connect(make_conninfo(small.conninfo, replication=which).encode())
        for which in ("true", "database")
    ]
    query = threading.Thread(target=in_parallel, args=(small,))
    query.start()
    kinds = (
        "SELECT backend_type FROM pg_stat_activity WHERE backend_type IN ('walsender', 'parallel worker') ORDER BY 1"
    )
    until(lambda: as_superuser(small, kinds) == [("parallel worker",)] * 2 + [("walsender",)] * 2)
    try:
        for user in ("plain", "postgres"):
            assert budget(small, kind, user).limits["others"] == 1, "the leader"
            until(lambda: left_by_audits(small) == 0)
        assert seen_by_panel(small) == (2, 20, 3)
        assert as_superuser(small, kinds) == [("parallel worker",)] * 2 + [("walsender",)] * 2
    finally:
        as_superuser(small, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leader'")
        query.join(20)
        for sender in senders:
            sender.finish()


def test_the_panel_counts_the_same(small: Cluster) -> None:
    with connections(small, 5):
        assert seen_by_panel(small) == (6, 20, 3)


def seen_by_panel(cluster: Cluster) -> tuple[int | None, int, int]:
    with psycopg.connect(cluster.conninfo, user="plain", autocommit=True) as conn:
        backends = answer(conn, [conn.info.backend_pid])
        assert set(backends.found) == {conn.info.backend_pid}
    return backends.used, backends.limit, backends.reserved


def test_the_pools_own_connections_are_not_those_of_others(small: Cluster, kind: Kind) -> None:
    for limit in ("ROLE plain", "DATABASE postgres"):
        as_superuser(small, f"ALTER {limit} CONNECTION LIMIT 10")
    pool = kind.open(config_of(small), min_size=4, max_size=4)
    until(lambda: pool.occupancy.idle == 4)
    limits = budget(small, kind).limits
    assert [limits[f"others{whose}"] for whose in ("", "_of_role", "_in_database")] == [0, 0, 0]
    room = tuning.audit(parse_config(config_of(small)), kind.connection_type)[0]
    assert f"4 open now as {LABEL!r} count as ours" in room.why, "another service of that name would count so, too"


def test_behind_pgbouncer_the_servers_limit_is_not_ours(small: Cluster, kind: Kind) -> None:
    config = parse_config(config_of(small) | {"pgbouncer": True})
    room = tuning.audit(config, kind.connection_type, processes=50)[0]
    assert (room.verdict, room.value) == ("review", "50 × 20 = 1000")
    assert "default_pool_size" in room.why


def test_the_same_name_of_another_role_or_database_is_not_ours(small: Cluster, kind: Kind) -> None:
    elsewhere = {"user": "plain", "dbname": "elsewhere"}
    with connections(small, 1, application_name=LABEL), connections(small, 1, application_name=LABEL, **elsewhere):
        limits = budget(small, kind).limits
    assert [limits[f"others{whose}"] for whose in ("", "_of_role", "_in_database")] == [2, 1, 1]


# -- which limit decides -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "free", "account"),
    [
        ((), 11, "max_connections 20 − 3 reserved − 6 used by others"),
        (("ROLE plain CONNECTION LIMIT 5",), 3, "role limit 5 − 2 used by others of this role"),
        (("DATABASE postgres CONNECTION LIMIT 9",), 4, "database limit 9 − 5 used by others in this database"),
        (
            ("ROLE plain CONNECTION LIMIT 8", "DATABASE postgres CONNECTION LIMIT 10"),
            5,
            "database limit 10 − 5 used by others in this database",
        ),
        (("ROLE plain CONNECTION LIMIT 15",), 11, "max_connections 20 − 3 reserved − 6 used by others"),
    ],
)
def test_each_limit_is_compared_with_its_own_sessions(
    small: Cluster, kind: Kind, limits: tuple[str, ...], free: int, account: str
) -> None:
    for limit in limits:
        as_superuser(small, f"ALTER {limit}")
    elsewhere = {"user": "plain", "dbname": "elsewhere"}
    with connections(small, 4), connections(small, 1, user="plain"), connections(small, 1, **elsewhere):
        server = budget(small, kind)
        config = parse_config(config_of(small) | {f"{kind.connection_type}_settings": {"max_size": 100}})
        room = tuning.audit(config, kind.connection_type)[0]
        assert server.free == free
        assert server.bound.account == account
        assert (room.verdict, room.value) == ("too small", f"1 × 100 = 100 of {free}")
        assert room.why.startswith(f"{account}: ")
        until(lambda: left_by_audits(small) == 0)
        with ExitStack() as held:  # the server agrees
            for _ in range(free):
                held.enter_context(psycopg.connect(small.conninfo, user="plain"))
            with pytest.raises(psycopg.OperationalError, match="connection"):
                psycopg.connect(small.conninfo, user="plain")


def test_no_limit_but_that_of_the_server_holds_a_superuser(small: Cluster, kind: Kind) -> None:
    for limit in ("ROLE postgres", "DATABASE postgres"):
        as_superuser(small, f"ALTER {limit} CONNECTION LIMIT 1")
    with connections(small, 2):
        findings = {each.check: each for each in tuning.audit(parse_config(config_of(small, "postgres")), "pool")}
        assert budget(small, kind, "postgres").free == 15
    assert findings["role limit"].why == "the server does not hold superusers to it"


def test_a_limit_shows_what_it_leaves(small: Cluster, kind: Kind) -> None:
    as_superuser(small, "ALTER ROLE plain CONNECTION LIMIT 15")
    with connections(small, 2, user="plain"):
        findings = {each.check: each for each in tuning.audit(parse_config(config_of(small)), kind.connection_type)}
    assert (findings["role limit"].value, findings["database limit"].value) == ("15", "none")
    assert findings["role limit"].why == "2 used by others, 13 left"


# -- a full server -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["server", "role", "database"])
def full_but_for_one(request: pytest.FixtureRequest, small: Cluster) -> Iterator[str]:
    """One connection is left for `plain`; what the server says to the second."""
    if request.param in {"role", "database"}:
        name = "ROLE plain" if request.param == "role" else "DATABASE postgres"
        as_superuser(small, f"ALTER {name} CONNECTION LIMIT 1")
        yield f"too many connections for {request.param}"
    else:
        with connections(small, 16, dbname="elsewhere"):
            yield "remaining connection slots are reserved"


def test_where_the_server_is_full_a_larger_pool_is_no_cure(small: Cluster, kind: Kind, full_but_for_one: str) -> None:
    pool = kind.open(config_of(small), min_size=1, max_size=3, timeout=20)
    until(lambda: pool.occupancy.idle == 1)
    with kind.block(pool):
        with pytest.raises(PoolUnavailable) as caught:
            in_threads(1, lambda _i: run_borrow(kind, pool, 1))
        said = str(caught.value)
        assert full_but_for_one in "\n".join(caught.value.detail)
        assert "1 of 3 are in use" in said
        assert "max_size" not in said
        assert "fewer or smaller pools" in said
        assert "PgBouncer" in said
        with pytest.raises(SQLError, match=r"(?s)connection.*fewer or smaller pools"):
            prove(parse_config(config_of(small)), kind.connection_type)
        with pytest.raises(psycopg.OperationalError, match="fewer or smaller pools"):
            budget(small, kind)


def test_a_pool_that_finds_the_server_full_names_the_cure(small: Cluster, kind: Kind) -> None:
    with connections(small, 20):
        pool = kind.open(config_of(small), min_size=1, max_size=3, timeout=20)
        with pytest.raises(PoolUnavailable, match=r"too many clients already; .*fewer or smaller pools"):
            run_borrow(kind, pool, 20)


def test_a_pool_that_is_too_small_is_still_told_to_grow(small: Cluster, kind: Kind) -> None:
    pool = kind.open(config_of(small), min_size=1, max_size=1)
    with kind.block(pool), pytest.raises(PoolUnavailable, match=rf"raise {kind.section}\.max_size"):
        in_threads(1, lambda _i: run_borrow(kind, pool, 0.2))


@pytest.mark.parametrize(
    ("before", "said"), [("", "pgmonkey-magic audit FILE"), ("import pgmonkey_magic.notebook", "%pgmonkey audit")]
)
def test_a_program_is_not_told_of_a_magic(small: Cluster, tmp_path: Path, before: str, said: str) -> None:
    as_superuser(small, "ALTER ROLE plain CONNECTION LIMIT 0")
    path = write_config(tmp_path / "full.yaml", config_of(small))
    program = f"""
{before}
from pgmonkey_magic import PGConnectionManager
with PGConnectionManager().get_database_connection({str(path)!r}, "pool"):
    pass
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    last = done.stderr.splitlines()[-1]
    assert f"({said} counts them" in last
