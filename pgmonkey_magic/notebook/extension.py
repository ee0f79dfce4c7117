"""How the extension comes and goes.

Loading twice, `%reload_ext` and autoreload keep the open pools; unloading closes them. IPython's reload is an unload
followed by a load in the same cell, so an unload only closes when the cell has ended and no load came after it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.notebook import completion, verbatim
from pgmonkey_magic.notebook.formatters import register_formatters
from pgmonkey_magic.notebook.live import LiveJobs, is_kernel
from pgmonkey_magic.notebook.magics import PgMonkey
from pgmonkey_magic.notebook.showing import close_panels
from pgmonkey_magic.pools import clear_cache, reclaim

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

NAME = "pgmonkey"


def load(shell: InteractiveShell) -> None:
    """Register the magic, or give an unloaded one its name back."""
    manager: Any = shell.magics_manager
    if PgMonkey.__name__ not in manager.registry:
        shell.register_magics(PgMonkey)
        made: PgMonkey = manager.registry[PgMonkey.__name__]
        register_formatters(shell, LiveJobs(in_place=is_kernel(shell)).show, made.show_command)
    magics: PgMonkey = manager.registry[PgMonkey.__name__]
    manager.magics["line"][NAME] = manager.magics["cell"][NAME] = magics.pgmonkey
    _stop_listening(shell, magics)
    shell.events.register("post_run_cell", magics.show_footers)
    shell.events.register("pre_run_cell", _Running.begin)
    shell.events.register("post_run_cell", _Running.end)
    completion.install(shell, magics.session)
    verbatim.install(shell)


def unload(shell: InteractiveShell) -> None:
    """Take the magic away now and close the pools when the cell has ended, unless it is loaded again by then."""
    manager: Any = shell.magics_manager
    for kind in ("line", "cell"):
        manager.magics[kind].pop(NAME, None)
    _stop_listening(shell, manager.registry[PgMonkey.__name__])
    completion.uninstall(shell)
    verbatim.uninstall(shell)

    def close_unless_loaded(*_: object) -> None:
        shell.events.unregister("post_run_cell", close_unless_loaded)
        if NAME not in manager.magics["line"]:
            close_panels()
            clear_cache()
            manager.registry.pop(PgMonkey.__name__, None)

    shell.events.register("post_run_cell", close_unless_loaded)


class _Running:
    """The running cell. When it ends by an interrupt, no `with` block that began in it is running any more."""

    since = 0.0

    @classmethod
    def begin(cls, _: object) -> None:
        cls.since = time.monotonic()

    @classmethod
    def end(cls, result: ExecutionResult) -> None:
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            reclaim(cls.since)


def _stop_listening(shell: InteractiveShell, magics: PgMonkey) -> None:
    for event, callback in (
        ("post_run_cell", magics.show_footers),
        ("pre_run_cell", _Running.begin),
        ("post_run_cell", _Running.end),
    ):
        if callback in shell.events.callbacks[event]:
            shell.events.unregister(event, callback)
