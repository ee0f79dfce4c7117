"""What the teaching notebooks share: exercises that check themselves, and pictures of one look.

An exercise is three cells. `answer = ...` is the learner's; the next one is `check(answer, …)`; a folded text holds the
solution. The tests run each solution and see it accepted, and a wrong answer and see it refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

HOST_VARIABLE = "PGMONKEY_DEMO_HOST"
"""The environment variable in which `start_demo` leaves the directory of the embedded server's socket."""

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")
"""Okabe and Ito's palette, which stays apart for colour-blind eyes, on white and on black."""

WAITING = "#bbbbbb"

STYLE: Mapping[str, Any] = {
    "figure.figsize": (8, 3.2),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}
"""For `plt.rcParams.update(STYLE)`; the colours are COLORS, given to each plot."""

_LOOKS = {
    "right": ("✓ right", "#009e73"),
    "not yet": ("✗ not yet", "#d55e00"),
    "open": ("… not answered yet", "#999999"),
}


@dataclass(frozen=True)
class Verdict:
    """What became of an answer, as a notebook shows it."""

    state: Literal["right", "not yet", "open"]
    text: str

    def __repr__(self) -> str:
        return f"{_LOOKS[self.state][0]}: {self.text}"

    def _repr_html_(self) -> str:
        title, color = _LOOKS[self.state]
        return (
            f'<div style="border-left: 4px solid {color}; padding: 2px 10px">'
            f'<b style="color: {color}">{title}</b> {escape(self.text)}</div>'
        )


def check(answer: Any, holds: Callable[[Any], bool], right: str, hint: str) -> Verdict:
    """Return whether *holds* accepts the *answer*; `...` is an exercise that nobody has done yet.

    *right* is said to a right answer and may explain it, *hint* to any other. An answer that *holds* cannot even look
    at, such as a text where it compares numbers, is a wrong one, and the error is told with the hint.
    """
    if answer is ...:
        return Verdict("open", "put your answer in the cell above, run it, and run this cell again")
    try:
        accepted = bool(holds(answer))
    except Exception as error:  # noqa: BLE001 - a learner's answer may be anything at all
        return Verdict("not yet", f"{hint} ({type(error).__name__}: {error})")
    return Verdict("right", right) if accepted else Verdict("not yet", hint)


def draw_borrows(borrows: Any, ax: Axes) -> None:
    """Draw who had which connection, and when.

    *borrows* is a DataFrame with a row for each borrow: `worker` (its name), `pid` (of the backend), and `asked_s`,
    `got_s`, `back_s`, in seconds on any one clock. Grey is waiting, a colour is a connection.
    """
    start = borrows["asked_s"].min()
    pids = {pid: number for number, pid in enumerate(borrows.sort_values("got_s")["pid"].unique())}
    workers = list(dict.fromkeys(borrows["worker"]))
    for row in borrows.itertuples():
        at = workers.index(row.worker)
        ax.barh(at, row.got_s - row.asked_s, left=row.asked_s - start, height=0.35, color=WAITING)
        color = COLORS[pids[row.pid] % len(COLORS)]
        ax.barh(at, row.back_s - row.got_s, left=row.got_s - start, height=0.7, color=color)
    for pid, number in pids.items():
        ax.barh(0, 0, color=COLORS[number % len(COLORS)], label=f"backend {pid}")
    ax.barh(0, 0, color=WAITING, label="waiting")
    ax.set_yticks(range(len(workers)), workers)
    ax.invert_yaxis()
    ax.set(xlabel="seconds", ylabel="")
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
