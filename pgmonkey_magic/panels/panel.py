"""What every panel is: a row of controls, one picture below, a ticker that keeps the picture true, and an end.

A panel is a subclass with three methods; `occupancy.py` is the example.

    draw()      the picture now, as `Drawn` (HTML of `drawing`, and the same as plain text)
    ended()     why there is nothing to follow any more, such as "the pool is closed"; "" while there is
    release()   give back what the panel itself has opened (connections, threads)

`draw` is called by the ticker, with the panel's lock held; it must not wait for a server or a pool. Make it of two
parts: gather facts, then a pure function from facts to a frozen view, from which the picture is drawn; so that nearly
all of a panel is tested without widgets. What it raises stands in the picture and nowhere else.

Life: `start()` draws once and starts the ticker; `bundle()` is what a notebook displays. `freeze()`, `close()` and the
end of what is followed leave a still picture: the ticker stops, the widgets are closed, and `on_still` is called with
the MIME bundle (`text/plain`, `text/html`) that shall replace the output. That is needed because JupyterLab shows
nothing for a widget without its model, not even the other forms of the same output. `notebook/showing.py` does that.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from pgmonkey_magic.panels.controls import WHEN_CELL_ENDS, button, can_act_while_a_cell_runs, toggle
from pgmonkey_magic.panels.drawing import Drawn, Html, failure, join, note
from pgmonkey_magic.panels.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("pgmonkey_magic")

Bundle = dict[str, Any]
"""MIME type → what is shown where it is understood."""


class Panel(ABC):
    """A live picture with controls. `widget` is the whole; `mode` is what the picture should call itself.

    `lock` guards what callbacks and the ticker share; hold it for moments only. A subclass sets its own attributes
    first and calls `super().__init__(*controls)` last.
    """

    def __init__(self, *more_controls: widgets.Widget) -> None:
        self.lock = threading.RLock()
        self.on_still: Callable[[Bundle], None] = lambda _bundle: None
        self.still: Bundle | None = None
        """The last picture, once the panel has ended."""
        self._paused_at: str | None = None
        self._ending = ""
        self._said = ""
        self._drawn, self._shown_mode = Drawn(Html(""), ""), ""
        self._ticker: Ticker | None = None
        self._picture = widgets.HTML()
        self._drawer = widgets.VBox()
        pause = toggle("pause", self._pause, hint="let the picture stand still for a while")
        freeze = button("freeze", self._freeze_soon, hint="end the panel and keep this picture in the notebook")
        bar = widgets.HBox([pause, freeze, *more_controls])
        bar.layout.flex_flow = "row wrap"
        self.widget = widgets.VBox([bar, self._drawer, self._picture])
        weakref.finalize(self, _close_all, self.widget).atexit = False

    # -- for a subclass to say --------------------------------------------------------------------------------

    @abstractmethod
    def draw(self) -> Drawn:
        """Return the picture of this moment."""

    @abstractmethod
    def ended(self) -> str:
        """Return why there is nothing to follow any more, empty while there is."""

    def settle(self, timeout: float) -> None:  # noqa: B027 - most panels show all they know at once
        """Wait at most *timeout* seconds for what the first picture should show; called where it is also the last."""

    def release(self) -> None:  # noqa: B027 - most panels hold nothing
        """Give back what the panel itself has opened; called once."""

    # -- for a subclass to use --------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """What the picture is: `live`, `paused at 14:02:11`, or `as of 14:02:11`."""
        if self._ending:
            return self._ending
        return f"paused at {self._paused_at}" if self._paused_at else "live"

    def act(self, work: Callable[[], str]) -> None:
        """Do what a button asks for, in a thread of its own, and say the sentence that *work* returns, or its error."""
        threading.Thread(target=self._acted, args=(work,), name="pgmonkey-panel-action", daemon=True).start()

    def say(self, sentence: str) -> None:
        """Put a sentence under the picture, until the next one."""
        with self.lock:
            self._said = sentence
        self.wake()

    def open_drawer(self, *contents: widgets.Widget) -> None:
        """Show more controls under the row, such as a question with its answers; without any it is closed.

        They are closed when others take their place: make them anew each time.
        """
        former, self._drawer.children = self._drawer.children, contents
        for each in former:
            if each not in contents:
                _close_all(each)

    def wake(self) -> None:
        """Have the picture drawn now, by the ticker."""
        if self._ticker is not None:
            self._ticker.wake()

    def _acted(self, work: Callable[[], str]) -> None:
        try:
            self.say(work())
        except Exception as error:  # noqa: BLE001 - a thread's end: the person who clicked is told
            self.say(f"that failed: {error}")

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Draw the first picture and keep it true from now on."""
        self.step()
        if self.still is None:
            self._ticker = Ticker(self)

    def bundle(self) -> Bundle:
        """Return what a notebook displays: the widget, and for who cannot show it the picture of this moment."""
        shown = {"text/plain": self._drawn.text, "text/html": str(self._drawn.html)}
        live = self.widget._repr_mimebundle_() if self.still is None else None
        return shown | (live or {}) | shown

    def step(self) -> bool:
        """Bring the picture up to date; tell whether it has changed."""
        with self.lock:
            if self.still is not None:
                return False
            if not self._ending and (why := self._asked(self.ended)):
                self._ending = f"{why} {_clock()}"
            if self._ending:
                self._end()
                return False
            drawn = self._pictured()  # also while the picture stands still, for what a panel remembers
            if self._paused_at is None or self._shown_mode != self.mode:
                self._drawn, self._shown_mode = drawn, self.mode
            shown = join(self._drawn.html, *map(note, self._notes()))
            if shown == self._picture.value:
                return False
            self._picture.value = shown
            return True

    def freeze(self) -> Bundle:
        """End the panel and return its last picture."""
        with self.lock:
            self._ending = self._ending or f"as of {_clock()}"
            self.step()
            return self.still or {}

    close = freeze

    def _end(self) -> None:
        if self._paused_at is None:
            self._drawn = self._pictured()
        self.still = {"text/plain": self._drawn.text, "text/html": str(self._drawn.html)}
        if self._ticker is not None:
            self._ticker.stop()
        self._asked(self.release)
        self.on_still(self.still)
        _close_all(self.widget)

    def _pictured(self) -> Drawn:
        try:
            return self.draw()
        except Exception as error:  # a thread's end: shown where the picture would be
            logger.debug("a panel could not be drawn", exc_info=True)
            return Drawn(failure(error), f"this panel could not be drawn: {error}")

    def _notes(self) -> list[str]:
        notes = [] if can_act_while_a_cell_runs() else [WHEN_CELL_ENDS]
        return [self._said, *notes] if self._said else notes

    def _asked(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception:  # the ticker's thread: what a closing server answers is of no interest
            logger.debug("a panel's question failed", exc_info=True)
            return None

    # -- its own buttons --------------------------------------------------------------------------------------

    def _pause(self, down: bool) -> None:
        with self.lock:
            self._paused_at = _clock() if down else None
        self.wake()

    def _freeze_soon(self) -> None:
        with self.lock:
            self._ending = f"as of {_clock()}"
        self.wake()


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _close_all(widget: widgets.Widget) -> None:
    """Close a widget and those inside; closing only the outer one would keep the others in ipywidgets' registry."""
    children: Sequence[widgets.Widget] = getattr(widget, "children", ())
    for child in children:
        _close_all(child)
    for part in ("layout", "style"):
        if isinstance(inner := getattr(widget, part, None), widgets.Widget):
            inner.close()
    widget.close()
