"""Every error that this package raises on purpose, in one small tree.

    PgMonkeyError
    ├── ConfigError                 a YAML file or dict that cannot be used (also a ValueError)
    │   └── EnvInterpolationError   a ${VAR}, from_env or from_file that cannot be resolved
    ├── RequestError                a magic line or call that cannot be understood (also a ValueError)
    ├── DemoError                   the embedded PostgreSQL could not be started
    ├── SQLError                    the server refused a statement; the psycopg error is its __cause__
    ├── DecodeError                 the server's binary answer is malformed (results/copy_format.py)
    ├── ResultTooLarge              a result that took too much memory (cells/memory.py)
    ├── PoolUnavailable             no connection could be borrowed (pools/unavailable.py; also a PoolTimeout)
    ├── LabStopped                  the lab was stopped before its answer (tuning/lab/background.py)
    └── Cancelled                   a job that was cancelled (cells/job.py)
    CellInterrupted                 a KeyboardInterrupt that says what became of the cell

Each is one sentence that names the thing and the cure, followed by optional detail lines. A notebook shows these few
lines instead of a traceback, through `_render_traceback_`, and still records a real `error` output.
"""

from __future__ import annotations

import traceback
from typing import Any, ClassVar


class PgMonkeyError(Exception):
    """The root of the tree.

    `detail` holds further lines to show under the sentence, such as the statement with a caret. They are the notes of
    the exception (PEP 678), so that a traceback in a program or in a log shows them too; `add_note` adds one.
    """

    short_errors: ClassVar[bool] = True
    """Whether a notebook shows the short form; `%config PgMonkey.short_errors` sets it."""

    def __init__(self, message: str, *, detail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        for line in detail:
            self.add_note(line)

    @property
    def detail(self) -> tuple[str, ...]:
        """The lines below the sentence."""
        return tuple(getattr(self, "__notes__", ()))

    def _render_traceback_(self) -> list[str]:
        """Lines that IPython shows in place of the traceback (its protocol, hence the name)."""
        if not self.short_errors:
            return traceback.format_exception(self)
        return [f"\x1b[31m{type(self).__name__}\x1b[39m: {self}", *self.detail]


class ConfigError(PgMonkeyError, ValueError):
    """A configuration that cannot be used; the sentence names the path, such as `pool_settings.min_size`."""


class EnvInterpolationError(ConfigError):
    """A reference to the environment or to a secret file that cannot be resolved."""


class RequestError(PgMonkeyError, ValueError):
    """A magic line, an option or an API call that cannot be understood."""


class DemoError(PgMonkeyError):
    """The embedded PostgreSQL could not be found or started."""


class SQLError(PgMonkeyError):
    """The server refused a statement. The psycopg exception is the `__cause__`.

    `sqlstate` is the five-character code or None (a lost connection has none), `diag` psycopg's Diagnostic,
    `statement` the SQL text that was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        detail: tuple[str, ...] = (),
        sqlstate: str | None = None,
        diag: Any = None,
        statement: str = "",
    ) -> None:
        super().__init__(message, detail=detail)
        self.sqlstate = sqlstate
        self.diag = diag
        self.statement = statement


class CellInterrupted(KeyboardInterrupt):
    """Ctrl-C reached a cell; the sentence says what became of its transaction.

    No Exception, as KeyboardInterrupt is none: `except Exception` must not swallow it.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31mKeyboardInterrupt\x1b[39m: {self}"]
