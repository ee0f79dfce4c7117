"""From a configuration to the parameters with which psycopg opens a connection."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.config import unresolved_references

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgmonkey_magic.config import Config

CONNECT_TIMEOUT_S = 10
"""Where the file names none: a mute host must not hold a person for minutes."""

NOTICE_A_DEAD_CLIENT = {"client_connection_check_interval": "1000"}
"""Milliseconds (PostgreSQL 14 and newer). Without it the query of a killed kernel runs on for as long as it takes."""


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a person wants to read after connecting."""

    user: str
    database: str
    host: str
    version: str
    encrypted: bool


def connect_parameters(config: Config, connection_type: str) -> dict[str, Any]:
    """Return keyword arguments for `psycopg.connect` and its async twin.

    Server settings travel as startup `options`, not as SET: so a wrong one is the server's own error at once, and
    RESET ALL, which a pool needs between borrowers, comes back to them instead of losing them.
    PgBouncer refuses startup options in transaction mode and loses prepared statements: its switch leaves out both.
    """
    parameters: dict[str, Any] = dict(config.connection_settings)
    parameters.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    parameters.setdefault("fallback_application_name", "pgmonkey-magic")
    parameters["autocommit"] = config.autocommit
    if config.pgbouncer:
        parameters["prepare_threshold"] = None
    else:
        # libpq ignores PGOPTIONS as soon as `options` is given, so it is carried over.
        given = parameters.get("options") or os.environ.get("PGOPTIONS", "")
        ours = startup_options(config.server_settings_for(connection_type))
        # Of two the server takes the last, so that what the file says wins.
        parameters["options"] = f"{startup_options(NOTICE_A_DEAD_CLIENT)} {given} {ours}".strip()
    return parameters


def startup_options(settings: Mapping[str, str]) -> str:
    """Write server settings as `-c name=value`; the server's escape for blanks and backslashes is a backslash."""
    return " ".join(f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items())


def probe(config: Config, connection_type: str) -> ServerIdentity:
    """Open one connection, read who answered, close it.

    Raises psycopg.OperationalError with the server's own reason, and with the cure where the file still holds an
    unresolved `${VAR}` or the answer is PgBouncer's.
    """
    try:
        conn = psycopg.connect(**connect_parameters(config, connection_type))
    except psycopg.OperationalError as error:
        if cure := _cure(config, str(error)):
            raise psycopg.OperationalError(f"{error}\n{cure}") from error
        raise
    with conn:
        info = conn.info
        return ServerIdentity(
            user=info.user,
            database=info.dbname,
            host=info.host,
            version=info.parameter_status("server_version") or str(info.server_version),
            encrypted=conn.pgconn.ssl_in_use,
        )


def _cure(config: Config, said: str) -> str | None:
    if paths := unresolved_references(config):
        return (
            f"{', '.join(paths)} still holds a ${{VAR}} reference: connect with --resolve-env "
            "(in Python: resolve_env=True)"
        )
    if "startup parameter" in said and not config.pgbouncer:  # PgBouncer has no SQLSTATE of its own for it
        return "this looks like PgBouncer: write `pgbouncer: true` into the file"
    return None
