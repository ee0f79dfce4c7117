"""A configuration against its server: whether there is room for the pools and the connection is set up with care.

Read-only, over one short connection of its own. What the role may not see is left out and said so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from pgmonkey_magic.pools import connect_parameters

if TYPE_CHECKING:
    from pgmonkey_magic.config import Config

OK, TOO_SMALL, REVIEW = "OK", "too small", "review"
NEARLY_FULL = 0.8

_LIMITS = """
SELECT pg_catalog.current_setting('max_connections')::int AS max_connections,
       pg_catalog.current_setting('superuser_reserved_connections')::int
       + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int AS reserved,
       (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user) AS role_limit,
       (SELECT datconnlimit FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database()) AS database_limit,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
        WHERE pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
          AND coalesce(application_name, '') <> pg_catalog.current_setting('application_name')) AS others,
       pg_catalog.current_setting('statement_timeout') AS statement_timeout,
       pg_catalog.current_setting('idle_in_transaction_session_timeout') AS idle_in_transaction_session_timeout
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the audit. `verdict` is OK, too small or review."""

    check: str
    value: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What a server has for us. `free` counts the connections that are not reserved and that nobody else has.

    Backends with our application_name count as ours. `limits` is the row that was read.
    """

    free: int
    limits: dict[str, Any]
    encrypted: bool
    local: bool


def budget(config: Config, connection_type: str) -> Budget:
    """Ask the server. Raises psycopg.OperationalError where it cannot be reached."""
    parameters = connect_parameters(config, connection_type)
    parameters["autocommit"] = True
    with psycopg.connect(**parameters) as conn:
        (limits,) = conn.cursor(row_factory=dict_row).execute(_LIMITS).fetchall()
        room = [limits["max_connections"] - limits["reserved"]]
        bounds = (limits["role_limit"], limits["database_limit"])
        room += [bound for bound in bounds if bound is not None and bound >= 0]
        local = conn.info.host.startswith("/") or conn.info.hostaddr in {"127.0.0.1", "::1"}
        return Budget(min(room) - limits["others"], limits, conn.pgconn.ssl_in_use, local)


def audit(config: Config, connection_type: str, processes: int = 1) -> list[Finding]:
    """Compare *processes* pools of this configuration with what the server has. Raises as `budget` does."""
    server = budget(config, connection_type)
    return [
        _room(config.pool_settings_for(connection_type).max_size, processes, server),
        _limit("role limit", server.limits["role_limit"]),
        _limit("database limit", server.limits["database_limit"]),
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
    wanted = max_size * processes
    value = f"{processes} × {max_size} = {wanted} of {server.free}"
    limits = server.limits
    account = (
        f"max_connections {limits['max_connections']} − {limits['reserved']} reserved "
        f"− {limits['others']} used by others"
    )
    if wanted > server.free:
        return Finding("connections", value, TOO_SMALL, f"{account}: lower max_size, or put PgBouncer in between")
    if wanted > NEARLY_FULL * server.free:
        return Finding("connections", value, REVIEW, f"{account}: little is left for anybody else")
    return Finding("connections", value, OK, account)


def _limit(name: str, limit: int | None) -> Finding:
    if limit is None:
        return Finding(name, "not visible", REVIEW, "this role may not read it")
    if limit < 0:
        return Finding(name, "none", OK, "max_connections is the only bound")
    return Finding(name, str(limit), OK, "counted in the room above")


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
