"""Panels under the cells that asked for them, and the still picture that takes a panel's place at its end.

A panel lives for as long as its output: until its cell runs again, it is frozen, or its pool closes. A front end that
shows widgets names the cell in each request (JupyterLab, Notebook 7, VS Code). What runs a notebook without one
(nbclient, nbconvert, papermill) does not, and a terminal cannot show a widget: there a still picture is left at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, display

if TYPE_CHECKING:
    from pgmonkey_magic.panels.drawing import Drawn
    from pgmonkey_magic.panels.panel import Panel

_shown: dict[str, list[tuple[int, Panel]]] = globals().get("_shown", {})
"""Cell → its panels, each with the number of the execution that showed it. Kept where autoreload runs this again."""

STILL_S = 2.0
"""How long a picture that stays as it is may wait for what the server says."""


def show_panel(panel: Panel) -> None:
    """Start a panel and display it under the running cell; those that an earlier run of the cell showed are closed."""
    cell, execution = _running_cell()
    if not cell:
        panel.settle(STILL_S)
        display(panel.freeze(), raw=True)
        return
    panel.start()
    for _, former in [pair for pair in _shown.get(cell, []) if pair[0] != execution]:
        former.on_still = lambda _bundle: None  # its output is gone
        former.close()
    handle = DisplayHandle()
    panel.on_still = lambda bundle: handle.update(bundle, raw=True)
    handle.display(panel.bundle(), raw=True)
    _shown.setdefault(cell, []).append((execution, panel))
    for name, panels in [*_shown.items()]:
        _shown[name] = [pair for pair in panels if pair[1].still is None]


def close_panels() -> None:
    """Close every panel that is still shown."""
    for panels in [*_shown.values()]:
        for _, panel in panels:
            panel.close()
    _shown.clear()


def show_still(drawn: Drawn) -> None:
    """Display a picture that stays as it is. It leaves no widgets behind, which nbclient would save."""
    display({"text/plain": drawn.text, "text/html": str(drawn.html)}, raw=True)


def shows_widgets() -> bool:
    """Tell whether the running cell's front end can show a panel live."""
    return bool(_running_cell()[0])


def _running_cell() -> tuple[str, int]:
    """Return the front end's name for the cell that runs, empty where it has none, and the number of the execution."""
    shell: Any = get_ipython()
    if not hasattr(shell, "get_parent"):
        return "", 0
    return str(shell.get_parent().get("metadata", {}).get("cellId", "")), shell.execution_count
