"""Fixtures live in the fix_*.py files beside this one."""

from fix_browser import lab, page
from fix_figures import tell
from fix_notebook import config_file, connected, shell
from fix_pgbouncer import pgbouncer
from fix_pools import kind
from fix_proxy import proxy
from fix_server import server, table
from fix_upload import up

__all__ = [
    "config_file",
    "connected",
    "kind",
    "lab",
    "page",
    "pgbouncer",
    "proxy",
    "server",
    "shell",
    "table",
    "tell",
    "up",
]
