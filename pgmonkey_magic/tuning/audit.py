"""A configuration against its server: whether there is room for the pools and the connection is set up with care.

Read-only, over one short connection of its own. What the role may not see is left out and said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from pgmonkey_magic.pools import connect_parameters
from pgmonkey_magic.pools.connecting import NamingTheCure

if TYPE_CHECKING:
    from pgmonkey_magic.config import Config

OK, TOO_SMALL, REVIEW = "OK", "too small", "review"
NEARLY_FULL = 0.8

CLIENT_BACKEND = """(
    backend_type = 'client backend'
    OR backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL
       AND pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_get_wal_senders())
       AND (pg_catalog.current_setting('server_version_num')::int < 170000 OR pid IN (
            SELECT pg_catalog.pg_stat_get_backend_pid(slot) FROM pg_catalog.pg_stat_get_backend_idset() AS slot
            WHERE slot < pg_catalog.current_setting('max_connections')::int)))"""
"""Whether a row of pg_stat_activity has one of the server's max_connections.

Who is not in pg_read_all_stats sees of other roles' rows only process, database, role and application_name. Autovacuum
has no role, a physical walsender no database, and the process id of each walsender is visible. A background worker,
such as one of a parallel query, is known by its number: since PostgreSQL 17 that is its slot, and client backends have
the first max_connections slots. Before, those of other roles count, and the server seems fuller than it is.
"""

_LIMITS = f"""
WITH clients AS (
    SELECT usename = session_user AS of_role, datname = pg_catalog.current_database() AS in_database,
           coalesce(usename = session_user AND datname = pg_catalog.current_database()
                    AND application_name = pg_catalog.current_setting('application_name'), false) AS our_own
    FROM pg_catalog.pg_stat_activity
    WHERE pid <> pg_catalog.pg_backend_pid() AND {CLIENT_BACKEND}),
others AS (SELECT * FROM clients WHERE NOT our_own)
SELECT pg_catalog.current_setting('max_connections')::int AS max_connections,
       pg_catalog.current_setting('superuser_reserved_connections')::int
       + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int AS reserved,
       (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = session_user) AS role_limit,
       (SELECT datconnlimit FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database()) AS database_limit,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) AS superuser,
       (SELECT pg_catalog.count(*) FROM clients WHERE our_own) AS ours,
       pg_catalog.current_setting('application_name') AS application_name,
       (SELECT pg_catalog.count(*) FROM others) AS others,
       (SELECT pg_catalog.count(*) FROM others WHERE of_role) AS others_of_role,
       (SELECT pg_catalog.count(*) FROM others WHERE in_database) AS others_in_database,
       pg_catalog.current_setting('statement_timeout') AS statement_timeout,
       pg_catalog.current_setting('idle_in_transaction_session_timeout') AS idle_in_transaction_session_timeout
"""  # noqa: S608 - only constants


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the audit. `verdict` is OK, too small or review."""

    check: str
    value: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Bound:
    """One of the server's limits: `free` connections are left of it, and `account` says how that comes about."""

    free: int
    account: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What a server has for us.

    Backends of our role in our database with our application_name count as ours. `limits` is the row that was read.
    """

    limits: dict[str, Any]
    encrypted: bool
    local: bool

    @property
    def bound(self) -> Bound:
        """The limit that leaves the least."""
        limits = self.limits
        most, reserved, others = limits["max_connections"], limits["reserved"], limits["others"]
        account = f"max_connections {most} − {reserved} reserved − {others} used by others"
        bounds = [Bound(most - reserved - others, account), self.bound_of("role"), self.bound_of("database")]
        return min(filter(None, bounds), key=lambda bound: bound.free)

    def bound_of(self, whose: str) -> Bound | None:
        """Return the CONNECTION LIMIT of our `role` or `database`; None where the server does not hold us to one."""
        limit = self.limits[f"{whose}_limit"]
        if limit is None or limit < 0 or self.limits["superuser"]:
            return None
        others = self.limits["others_of_role" if whose == "role" else "others_in_database"]
        where = "of this role" if whose == "role" else "in this database"
        return Bound(limit - others, f"{whose} limit {limit} − {others} used by others {where}")

    @property
    def free(self) -> int:
        """The connections that we may have: not reserved, not somebody else's, and within each limit."""
        return max(0, self.bound.free)


def budget(config: Config, connection_type: str) -> Budget:
    """Ask the server. Raises psycopg.OperationalError where it cannot be reached."""
    parameters = connect_parameters(config, connection_type)
    parameters["autocommit"] = True
    with NamingTheCure(config):
        conn = psycopg.connect(**parameters)
    with conn:
        (limits,) = conn.cursor(row_factory=dict_row).execute(_LIMITS).fetchall()
        local = conn.info.host.startswith("/") or conn.info.hostaddr in {"127.0.0.1", "::1"}
        return Budget(limits, conn.pgconn.ssl_in_use, local)


def audit(config: Config, connection_type: str, processes: int = 1) -> list[Finding]:
    """Compare *processes* pools of this configuration with what the server has. Raises as `budget` does."""
    server = budget(config, connection_type)
    room = _room_at_pgbouncer if config.pgbouncer else _room
    return [
        room(config.pool_settings_for(connection_type).max_size, processes, server),
        _limit("role", server),
        _limit("database", server),
        _encryption(server),
        _timeout(
            "statement_timeout", server.limits["statement_timeout"], "a runaway statement holds its connection for ever"
        ),
        _timeout(
            "idle_in_transaction_session_timeout",
            server.limits["idle_in_transaction_session_timeout"],
            "a borrower that forgets to commit holds locks for ever",
        ),
    ]


def _room(max_size: int, processes: int, server: Budget) -> Finding:
    wanted, account = max_size * processes, server.bound.account
    if ours := server.limits["ours"]:
        account += f"; {ours} open now as {server.limits['application_name']!r} count as ours"
    value = f"{processes} × {max_size} = {wanted} of {server.free}"
    if wanted > server.free:
        return Finding("connections", value, TOO_SMALL, f"{account}: lower max_size, or put PgBouncer in between")
    if wanted > NEARLY_FULL * server.free:
        return Finding("connections", value, REVIEW, f"{account}: little is left for anybody else")
    return Finding("connections", value, OK, account)


def _room_at_pgbouncer(max_size: int, processes: int, _server: Budget) -> Finding:
    value = f"{processes} × {max_size} = {processes * max_size}"
    why = "behind PgBouncer: its max_client_conn must allow so many, and its default_pool_size is what the server sees"
    return Finding("connections", value, REVIEW, why)


def _limit(whose: str, server: Budget) -> Finding:
    check, limit, bound = f"{whose} limit", server.limits[f"{whose}_limit"], server.bound_of(whose)
    if limit is None:
        return Finding(check, "not visible", REVIEW, "this role may not read it")
    if limit < 0:
        return Finding(check, "none", OK, f"this {whose} has no CONNECTION LIMIT")
    if bound is None:
        return Finding(check, str(limit), OK, "the server does not hold superusers to it")
    return Finding(check, str(limit), OK, f"{limit - bound.free} used by others, {max(0, bound.free)} left")


def _encryption(server: Budget) -> Finding:
    if server.encrypted:
        return Finding("encryption", "TLS", OK, "the connection is encrypted")
    if server.local:
        return Finding("encryption", "none", OK, "the server is on this machine")
    return Finding("encryption", "none", REVIEW, "set sslmode to require or verify-full in connection_settings")


def _timeout(name: str, value: str, danger: str) -> Finding:
    if value == "0":
        return Finding(name, "off", REVIEW, f"{danger}; set it in sync_settings or async_settings")
    return Finding(name, value, OK, "set")
