"""How values look in a notebook: IPython asks by type, and is told here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells import CommandResult, Job, ResultSets
from pgmonkey_magic.notebook.display import QUIET_STYLE, esc
from pgmonkey_magic.notebook.plan_view import plan_html
from pgmonkey_magic.results.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


def result_sets_html(sets: ResultSets) -> str:
    """Return every result set under its command tag."""
    parts = []
    for tag, value in zip(sets.tags, sets, strict=True):
        parts.append(f'<div style="{QUIET_STYLE}">{esc(tag)}</div>')
        if isinstance(value, Plan):
            parts.append(plan_html(value))
        elif not isinstance(value, CommandResult):
            parts.append(value._repr_html_())  # IPython's protocol; pandas escapes the cells
    return "".join(parts)


def register_formatters(
    shell: InteractiveShell, show_job: Callable[[Job], None], show_command: Callable[[CommandResult], None]
) -> None:
    """Teach IPython how ResultSets and plans look, and that a Job and a command's result show themselves."""
    formatters: Any = shell.display_formatter
    formatters.ipython_display_formatter.for_type(CommandResult, show_command)
    formatters.ipython_display_formatter.for_type(Job, show_job)
    formatters.formatters["text/html"].for_type(ResultSets, result_sets_html)
    formatters.formatters["text/html"].for_type(Plan, plan_html)
    formatters.formatters["text/plain"].for_type(Plan, lambda plan, printer, _cycle: printer.text(repr(plan)))
    formatters.formatters["text/plain"].for_type(ResultSets, lambda sets, printer, _cycle: printer.text(repr(sets)))
