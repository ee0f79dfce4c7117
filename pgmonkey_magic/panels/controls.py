"""Buttons, boxes and sliders of a panel, and their way past a cell that runs.

A control's message normally waits in the kernel behind the running cell. JupyterLab (4.4 and newer) with ipykernel (7
and newer) sends it to a thread of its own instead, a subshell; there callbacks run while the cell does. So a callback
must be short, take the panel's lock for what it shares, and neither display nor print: it has no cell. It is best to
note what is wanted and let the ticker, or `Panel.act`, do it.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

if TYPE_CHECKING:
    from collections.abc import Callable

WHEN_CELL_ENDS = (
    "while a cell runs, a click applies when the cell ends (ipykernel 7 and JupyterLab 4.4 apply it at once)"
)


def can_act_while_a_cell_runs() -> bool:
    """Tell whether this kernel handles controls beside a running cell; True where there is no kernel to run one."""
    ipykernel = sys.modules.get("ipykernel")
    return ipykernel is None or ipykernel.version_info[0] >= 7


def beside_the_cell(control: widgets.Widget) -> None:
    """Let the front end choose the thread that a control's messages go to, as it does by itself up to ipykernel 7.3.

    From 7.4 on the comm answers instead with the thread that has last sent it something, which is the main one: so a
    slider would wait for the cell. The name is private; `tests/browser/test_panel.py` fails when it has no effect.
    """
    comm: Any = control.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - see above


def button(words: str, clicked: Callable[[], None], *, hint: str = "", style: str = "") -> widgets.Button:
    """Return a button. *clicked* is a bound method; *style* is ipywidgets' `button_style`, such as `warning`."""
    made = widgets.Button(description=words, tooltip=hint or words, button_style=style)
    made.layout.width = "auto"
    method = weakref.WeakMethod(clicked)
    made.on_click(lambda _button: _called(method))
    beside_the_cell(made)
    return made


def toggle(words: str, changed: Callable[[bool], None], *, hint: str = "") -> widgets.ToggleButton:
    """Return a button that stays down. *changed* is a bound method and gets whether it is down."""
    made = widgets.ToggleButton(description=words, tooltip=hint or words)
    made.layout.width = "auto"
    on_change(made, changed)
    return made


def on_change(control: widgets.Widget, changed: Callable[[Any], None]) -> None:
    """Call the bound method *changed* with each new value of a control, also while a cell runs.

    The method's object is held weakly: widgets live until they are closed, and must not keep a panel alive with them.
    """
    method = weakref.WeakMethod(changed)
    control.observe(lambda change: _called(method, change["new"]), names="value")
    beside_the_cell(control)


def _called(method: weakref.WeakMethod[Any], *arguments: Any) -> None:
    if (alive := method()) is not None:
        alive(*arguments)
