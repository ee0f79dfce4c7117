"""PostgreSQL in a notebook over a real connection pool.

In a notebook: `%load_ext pgmonkey_magic`, then `%pgmonkey demo` or `%pgmonkey connect FILE`, then `%%pgmonkey` cells.
In a program: `from pgmonkey_magic import PGConnectionManager`, or `pgmonkey_magic.run(sql)` and
`await pgmonkey_magic.query(sql)`, which are a cell without its magic.

Importing this package imports neither pandas nor IPython; the public names load what they need when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from pgmonkey_magic.cells import Job, query, run, upload
    from pgmonkey_magic.config import load_config, redact_config, resolve_env_vars
    from pgmonkey_magic.errors import (
        CellInterrupted,
        ConfigError,
        DemoError,
        EnvInterpolationError,
        PgMonkeyError,
        RequestError,
        SQLError,
    )
    from pgmonkey_magic.pools import PGConnectionManager, PoolUnavailable

__version__ = "0.1.0"
__all__ = [
    "CellInterrupted",
    "ConfigError",
    "DemoError",
    "EnvInterpolationError",
    "Job",
    "PGConnectionManager",
    "PgMonkeyError",
    "PoolUnavailable",
    "RequestError",
    "SQLError",
    "load_config",
    "query",
    "redact_config",
    "resolve_env_vars",
    "run",
    "upload",
]

_ROOMS = {
    **dict.fromkeys(("load_config", "redact_config", "resolve_env_vars"), "config"),
    **dict.fromkeys(("Job", "query", "run", "upload"), "cells"),
    **dict.fromkeys(("PGConnectionManager", "PoolUnavailable"), "pools"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    """Return the public names too that are not loaded yet, for completion."""
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext pgmonkey_magic`."""
    import_module(f"{__name__}.notebook.extension").load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext pgmonkey_magic`: closes the pools."""
    import_module(f"{__name__}.notebook.extension").unload(shell)
