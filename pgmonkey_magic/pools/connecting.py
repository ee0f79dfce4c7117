"""From a configuration to the parameters with which psycopg opens a connection."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq

from pgmonkey_magic.config import unresolved_references
from pgmonkey_magic.pools.unavailable import cure_of_full_server, is_server_full, without_frames

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


REQUIRED_AUTH = "scram-sha-256,gss,sspi"
"""What a server elsewhere must authenticate by, unless the file says otherwise: the ways in which it never sees the
password and proves that it knows it too."""
LIBPQ_WITH_REQUIRE_AUTH = 160000


def connect_parameters(config: Config, connection_type: str) -> dict[str, Any]:
    """Return keyword arguments for `psycopg.connect` and its async twin.

    Server settings travel as startup `options`, not as SET: so a wrong one is the server's own error at once, and
    RESET ALL, which a pool needs between borrowers, comes back to them instead of losing them.
    PgBouncer refuses startup options in transaction mode and loses prepared statements: its switch leaves out both.
    """
    parameters: dict[str, Any] = dict(config.connection_settings)
    parameters.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    parameters.setdefault("fallback_application_name", "pgmonkey-magic")
    settings = config.server_settings_for(connection_type)
    if name := settings.get("application_name"):
        parameters["application_name"] = name  # in `options` it would lose to libpq's own, which comes later
    if _must_prove_itself(parameters):
        parameters["require_auth"] = REQUIRED_AUTH
    parameters["autocommit"] = config.autocommit
    if config.pgbouncer:
        parameters["prepare_threshold"] = None
    else:
        # libpq ignores PGOPTIONS as soon as `options` is given, so it is carried over.
        given = parameters.get("options") or os.environ.get("PGOPTIONS", "")
        ours = startup_options(settings)
        # Of two the server takes the last, so that what the file says wins.
        parameters["options"] = f"{startup_options(NOTICE_A_DEAD_CLIENT)} {given} {ours}".strip()
    return parameters


def _must_prove_itself(parameters: Mapping[str, Any]) -> bool:
    """Tell whether the server is a stranger, which might ask for a password in clear text or accept anybody.

    Not where the file or PGREQUIREAUTH says how to authenticate, where a client certificate does it, at hosts of this
    machine, and at those that only a service file names.
    """
    if pq.version() < LIBPQ_WITH_REQUIRE_AUTH or os.environ.get("PGREQUIREAUTH"):
        return False
    if parameters.keys() & {"require_auth", "sslcert", "service"}:
        return False
    hosts = parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST", "")
    return not all(is_local(host) for host in str(hosts).split(","))


def is_local(host: str) -> bool:
    """Tell whether a libpq `host` is this machine: a Unix socket, `localhost`, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def startup_options(settings: Mapping[str, str]) -> str:
    """Write server settings as `-c name=value`; the server's escape for blanks and backslashes is a backslash."""
    return " ".join(f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items())


def probe(config: Config, connection_type: str) -> ServerIdentity:
    """Open one connection, read who answered, close it.

    Raises psycopg.OperationalError with the server's own reason, and with the cure where the file still holds an
    unresolved `${VAR}`, the server is full or the answer is PgBouncer's.
    """
    with NamingTheCure(config):
        conn = psycopg.connect(**connect_parameters(config, connection_type))
    with conn:
        info = conn.info
        return ServerIdentity(
            user=info.user,
            database=info.dbname,
            host=info.host,
            version=info.parameter_status("server_version") or str(info.server_version),
            encrypted=conn.pgconn.ssl_in_use,
        )


class NamingTheCure:
    """Adds the cure, where it is known, to what goes wrong while a connection is opened.

    It is no generator: contextlib would give psycopg's frames back to the error.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if not isinstance(error, psycopg.OperationalError):
            return
        without_frames(error)
        if said := cure(self._config, error):
            raise psycopg.OperationalError(f"{str(error).rstrip()}; {said}") from error


def cure(config: Config, error: BaseException) -> str | None:
    """Return what to do about a connection that could not be opened, where the answer is known to have a cure."""
    if paths := unresolved_references(config):
        return (
            f"{', '.join(paths)} still holds a ${{VAR}} reference: connect with --resolve-env, or set "
            "%config PgMonkey.resolve_env = True (in Python: resolve_env=True)"
        )
    # libpq's own have no SQLSTATE
    if "authentication method requirement" in str(error):
        return _cure_of_method(config)
    if "no password supplied" in str(error):
        return "give one by `password: {from_env: NAME}` or `{from_file: PATH}` in the file, or by ~/.pgpass"
    if is_server_full(error):
        return cure_of_full_server()
    if "startup parameter" in str(error):  # PgBouncer has no SQLSTATE of its own for it
        return _cure_of_startup_parameter(config)
    return None


def _cure_of_startup_parameter(config: Config) -> str:
    """Say how PgBouncer gets none that it does not take."""
    if config.pgbouncer:
        return (
            "PgBouncer does not take this: leave it out of connection_settings and of the environment (PGOPTIONS), or "
            "name it in PgBouncer's ignore_startup_parameters"
        )
    return "this looks like PgBouncer: write `pgbouncer: true` into the file"


def _cure_of_method(config: Config) -> str:
    """Say who allows only certain methods to authenticate by: the file, the environment, or we."""
    for place, allowed in {
        "connection_settings.require_auth": config.connection_settings.get("require_auth"),
        "$PGREQUIREAUTH": os.environ.get("PGREQUIREAUTH"),
    }.items():
        if allowed:
            return f"{place} allows only {allowed}; change it if this server may authenticate in another way"
    return (
        f"a server that is not on this machine must authenticate by one of {REQUIRED_AUTH}; to accept what this one "
        "does, write it into the file's connection_settings, such as `require_auth: md5` or `none`"
    )
