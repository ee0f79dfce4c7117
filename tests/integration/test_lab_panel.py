"""The lab panel on a real server, over both kinds of pool: it runs, it stops at once, it refuses, it leaves nothing."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
from fix_notebook import run_in_kernel
from fix_pools import Kind, until
from fix_proxy import Proxy
from fix_server import Server
from ipywidgets.widgets.widget import _instances

from pgmonkey_magic.config import Config, parse_config
from pgmonkey_magic.panels import backends
from pgmonkey_magic.panels.lab.panel import LESSON, LOAD, LabPanel
from pgmonkey_magic.panels.lab.wanted import PRESETS, Wanted
from pgmonkey_magic.pools import cached_entries
from pgmonkey_magic.tuning.lab import APPLICATION_NAME, LESSONS, LoadRun

PROMPTLY_S = 1.0
SHORT = Wanted(rate=60.0, hold_s=0.02, seconds=1.5, min_size=3, max_size=3)
LONG = replace(SHORT, arrivals="closed", workers=10, think_s=0.0, hold_s=20.0, hold="constant", seconds=40.0)


def left_behind(server: Server) -> list[str]:
    """What of the lab is still there, on the server and in this process."""
    backends_ = [
        name for name in (APPLICATION_NAME, "pgmonkey-lab-look", backends.APPLICATION_NAME) if server.backends(name) > 0
    ]
    return backends_ + [
        each.name for each in threading.enumerate() if each.name.startswith(("pgmonkey-lab", "pgmonkey-panel"))
    ]


@pytest.fixture
def config(server: Server) -> Iterator[Config]:
    """A configuration of the test server; at the end nothing of the lab is left, on the server or here."""
    pools, registered = len(cached_entries()), len(_instances)
    yield parse_config(server.config())
    with suppress(AssertionError):
        until(lambda: not left_behind(server), 5)
    assert left_behind(server) == []
    assert len(cached_entries()) == pools
    assert len(_instances) == registered


@pytest.fixture
def panel(config: Config, kind: Kind) -> Iterator[LabPanel]:
    panel = LabPanel(config, kind.connection_type)
    panel.start()
    says(panel, "half of what the server has free")
    yield panel
    panel.freeze()


def set_up(panel: LabPanel, wanted: Wanted) -> None:
    """Have the controls say that, with the panel's own kind of clients."""
    panel._form.set(replace(wanted, connection_type=panel._form.wanted.connection_type))


def text(panel: LabPanel) -> str:
    """The picture now, as text."""
    panel.step()
    return panel.bundle()["text/plain"]


def says(panel: LabPanel, words: str, seconds: float = 20) -> None:
    """Wait until the panel contains some words."""
    until(lambda: words in text(panel) + panel._picture.value + panel._advice.value, seconds)


def named(panel: LabPanel, words: str) -> Any:
    """The button of that name, which must be shown."""

    def buttons(widget: Any) -> Iterator[Any]:
        if isinstance(widget, (widgets.Button, widgets.ToggleButton)):
            yield widget
        for child in getattr(widget, "children", ()):
            yield from buttons(child)

    (button,) = [each for each in buttons(panel.widget) if each.description == words]
    return button


def click(panel: LabPanel, words: str) -> None:
    button = named(panel, words)
    if isinstance(button, widgets.ToggleButton):
        button.value = not button.value
    else:
        button.click()


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    until(condition)
    return time.monotonic() - began


# -- a load ------------------------------------------------------------------------------------------------------------


def test_a_load_runs_and_its_figures_appear(panel: LabPanel, kind: Kind, server: Server) -> None:
    set_up(panel, SHORT)
    says(panel, "1.2 of 3 connections busy")
    click(panel, "start")
    says(panel, "its pool")
    says(panel, "client ")  # who holds a connection, in the occupancy beside it
    assert named(panel, "start").disabled
    assert ("async" in text(panel)) == (kind.connection_type == "async_pool")
    says(panel, "done after")
    shown = text(panel)
    assert "requests got a connection" in shown
    assert "Theory expects" in shown
    assert "its pool" not in shown
    assert "<svg" in panel.bundle()["text/html"]
    assert not named(panel, "start").disabled
    assert named(panel, "stop").disabled
    click(panel, "table")
    says(panel, "<th")
    until(lambda: server.backends(APPLICATION_NAME) == 0)


def test_stop_ends_it_within_a_second(panel: LabPanel, server: Server) -> None:
    set_up(panel, LONG)
    click(panel, "start")
    says(panel, "queue 7")
    click(panel, "stop")
    assert seconds_until(lambda: server.backends(APPLICATION_NAME) == 0) < PROMPTLY_S
    says(panel, "stopped after")
    until(lambda: server.backends(backends.APPLICATION_NAME) == 0)
    set_up(panel, SHORT)  # and another one may begin
    click(panel, "start")
    says(panel, "done after")


def test_a_second_start_does_nothing(panel: LabPanel, server: Server) -> None:
    set_up(panel, LONG)
    for _ in range(5):
        click(panel, "start")
    says(panel, "queue 7")
    assert server.backends(APPLICATION_NAME) == 3
    click(panel, "stop")


def test_closed_in_the_middle_it_leaves_a_picture_and_nothing_else(config: Config, kind: Kind, server: Server) -> None:
    panel = LabPanel(config, kind.connection_type)
    stills: list[Any] = []
    panel.on_still = stills.append
    panel.start()
    set_up(panel, LONG)
    click(panel, "start")
    says(panel, "queue 7")
    began = time.monotonic()
    panel.freeze()
    assert time.monotonic() - began < PROMPTLY_S
    assert seconds_until(lambda: server.backends(APPLICATION_NAME) == 0) < PROMPTLY_S
    (still,) = stills
    assert set(still) == {"text/plain", "text/html"}
    assert "10 workers" in still["text/plain"]


def test_what_begins_while_the_panel_closes_is_stopped(config: Config, kind: Kind, server: Server) -> None:
    panel = LabPanel(config, kind.connection_type)
    trial = panel.experiment
    wanted = replace(LONG, connection_type=kind.connection_type)
    reserved = trial._reserved("")
    assert reserved is not None
    panel.freeze()  # while the server is being asked
    run = LoadRun.begin(wanted.load(), config, kind.connection_type, max_size=2)
    trial._begin(reserved, lambda: run)
    assert seconds_until(run.done) < PROMPTLY_S
    trial.begin_load(wanted)
    assert server.backends(APPLICATION_NAME) == 0


def test_when_nobody_holds_it_nothing_is_left_after_the_load(config: Config, kind: Kind) -> None:
    panel = LabPanel(config, kind.connection_type)
    panel.start()
    set_up(panel, SHORT)
    click(panel, "start")
    says(panel, "its pool")
    its_ticker, gone = panel._ticker, weakref.ref(panel)
    del panel
    until(lambda: gc.collect() is not None and gone() is None)
    its_ticker.wake()  # the rest is in the fixture


# -- refusals and failures ---------------------------------------------------------------------------------------------


def test_refusals_are_words_in_the_panel(panel: LabPanel, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    set_up(panel, replace(SHORT, hold_s=5.0))
    says(panel, "hold_s is more than 0 and at most 1.5")
    click(panel, "start")
    says(panel, "failed")
    assert "! hold_s is more than 0" in text(panel)
    set_up(panel, replace(SHORT, min_size=4))
    says(panel, "greater than")
    click(panel, "start")
    says(panel, "lower min_size or raise max_size")
    panel._form._max_size.max = 90
    set_up(panel, replace(SHORT, max_size=80))
    click(panel, "start")
    says(panel, "this load needs 80 connections")
    assert server.backends(APPLICATION_NAME) == 0
    assert capfd.readouterr() == ("", "")


def test_the_controls_are_bounded_by_the_engine_and_the_server(panel: LabPanel) -> None:
    form, allowed = panel._form, panel.experiment.allowance("pool")
    assert form._max_size.max == form._min_size.max == allowed
    set_up(panel, replace(SHORT, rate=5000.0, workers=99, seconds=500.0, think_s=500.0, max_size=900))
    assert form.wanted.load().rate == 1000
    assert (form.wanted.workers, form.wanted.seconds, form.wanted.think_s) == (32, 60, 60)
    assert form.wanted.max_size == allowed


def test_min_size_follows_max_size_until_it_is_set_apart(panel: LabPanel) -> None:
    form = panel._form
    set_up(panel, SHORT)
    form._max_size.value = 6
    assert form.wanted.min_size == 6
    form._min_size.value = 1
    form._max_size.value = 4
    assert form.wanted.min_size == 1
    form._min_size.value = 3
    form._max_size.value = 2
    assert form.wanted.min_size == 2


def test_a_preset_is_marked_as_long_as_it_is_what_the_controls_say(panel: LabPanel) -> None:
    form = panel._form
    for name in PRESETS:
        form._presets.value = name
        assert form.wanted.rate == PRESETS[name].rate
        assert form._presets.value == name
    form._hold.value = "constant"
    assert form._presets.value is None
    assert form.wanted.rate == PRESETS["overloaded"].rate


def test_a_server_that_is_not_there_is_said_in_the_panel(kind: Kind, tmp_path: Path) -> None:
    panel = LabPanel(parse_config({"connection_settings": {"host": str(tmp_path)}}), kind.connection_type)
    panel.start()
    says(panel, "the server does not answer")
    click(panel, "start")
    says(panel, "failed")
    panel._tab.value = LESSON
    click(panel, "start")
    says(panel, "failed")
    panel.freeze()


def test_a_server_that_ends_the_connections_under_a_load(panel: LabPanel, server: Server) -> None:
    set_up(panel, replace(SHORT, hold_s=0.4, hold="constant", seconds=3.0))
    click(panel, "start")
    says(panel, "client ")
    server.terminate(APPLICATION_NAME)
    says(panel, "requests failed: ")
    says(panel, "done after")


def test_a_server_that_stalls_does_not_hold_the_panel_up(kind: Kind, server: Server, proxy: Proxy) -> None:
    panel = LabPanel(parse_config(server.config(host="127.0.0.1", port=proxy.port)), kind.connection_type)
    proxy.stall()
    panel.start()
    click(panel, "start")
    says(panel, "opening its pool …")
    click(panel, "stop")
    says(panel, "stopped before it had begun")
    began = time.monotonic()
    panel.freeze()
    assert time.monotonic() - began < PROMPTLY_S
    proxy.release()
    proxy.reset()
    until(lambda: not left_behind(server))


# -- the user's own pool -----------------------------------------------------------------------------------------------


def test_a_pool_of_the_users_is_used_only_where_that_is_asked_for(config: Config, kind: Kind, server: Server) -> None:
    pool = kind.open(server.config(application_name="ours"), min_size=2, max_size=2)
    until(lambda: pool.occupancy.idle == 2)
    pids = server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'ours'")
    panel = LabPanel(config, kind.connection_type, ("orders", pool))
    panel.start()
    set_up(panel, replace(SHORT, seconds=0.8))
    before = pool.ledger.counts().given_back
    click(panel, "start")
    says(panel, "done after")
    assert pool.ledger.counts().given_back == before
    panel._target.value = "orders"
    assert panel._form._max_size.disabled
    click(panel, "start")
    assert "Run this load on your pool orders?" in panel._drawer.children[0].value
    click(panel, "leave it")
    assert not panel.experiment.busy
    click(panel, "start")
    click(panel, "run it there")
    says(panel, "pool orders")
    says(panel, "done after")
    assert pool.ledger.counts().given_back > before
    assert server.backends("ours") == 2
    with kind.block(pool) as block:
        assert block.execute("SELECT pg_backend_pid()")[0] in pids
    panel.freeze()


# -- lessons -----------------------------------------------------------------------------------------------------------


def test_a_lesson_is_run_and_explained(panel: LabPanel, kind: Kind) -> None:
    panel._tab.value = LESSON
    says(panel, "not run yet")
    assert panel._load_box.layout.display == "none"
    click(panel, "start")
    says(panel, "were served by 3 backends")
    shown = text(panel)
    assert LESSONS["reuse"].question in shown
    assert ("over async pools" in shown) == (kind.connection_type == "async_pool")
    assert "Next: " in shown
    assert "backend pid" in shown
    click(panel, "next lesson")
    says(panel, LESSONS["queueing"].question)
    assert "not run yet" in text(panel)
    panel._chooser.value = "reuse"
    says(panel, "were served by 3 backends")  # still there


def test_a_lesson_is_stopped_within_a_second(panel: LabPanel, server: Server) -> None:
    panel._tab.value = LESSON
    panel._chooser.value = "queueing"
    click(panel, "start")
    until(lambda: server.backends(APPLICATION_NAME) > 0)
    panel._tab.value = LOAD  # one may look elsewhere meanwhile
    click(panel, "stop")
    assert seconds_until(lambda: server.backends(APPLICATION_NAME) == 0) < PROMPTLY_S
    panel._tab.value = LESSON
    says(panel, "stopped after")


def test_a_lesson_that_is_named_begins_at_once(config: Config, kind: Kind) -> None:
    panel = LabPanel(config, kind.connection_type, lesson="session-state")
    panel.start()
    says(panel, "a pool hands out connections in factory state")
    panel.freeze()
    assert "factory state" in panel.bundle()["text/plain"]


# -- the magic ---------------------------------------------------------------------------------------------------------

WIDGET = "application/vnd.jupyter.widget-view+json"
LOAD_EXTENSION = "%load_ext pgmonkey_magic\n%pgmonkey connect server.yaml --as orders"
IN_A_CELL = "ip = get_ipython(); parent = ip.get_parent(); parent['metadata']['cellId'] = 'a'; ip.set_parent(parent)\n"
LOOK = """from pgmonkey_magic.notebook import showing
panel = showing._shown['a'][-1][1]
"""


def test_the_magic_shows_the_panel_and_closes_that_of_an_earlier_run(config_file: Path, server: Server) -> None:
    begin = "import time\npanel._form.set(panel._form.wanted.__class__(seconds=30.0))\npanel._start.click()\n"
    wait = "while panel.experiment.occupancy is None: time.sleep(0.05)\n"
    again = (
        "first, run = panel, panel.experiment._trial.run\n%pgmonkey lab\n"
        + LOOK
        + "print(first.still is not None, panel is not first)"
    )
    quiet = "while not run.done(): time.sleep(0.05)\nprint('ended')"
    outputs = run_in_kernel(
        LOAD_EXTENSION,
        IN_A_CELL + "%pgmonkey lab\n" + LOOK + begin + wait + "print(panel.experiment.busy)",
        IN_A_CELL + again,
        quiet,
        cwd=config_file.parent,
    )
    assert WIDGET in outputs[1][0].data
    assert "press start" in outputs[1][0].data["text/plain"]
    assert outputs[1][1].text == "True\n"
    printed = "".join(output.text for output in outputs[2] if output.output_type == "stream")
    assert printed == "True True\n"
    assert outputs[3][0].text == "ended\n"
    until(lambda: server.backends(APPLICATION_NAME) == 0)


def test_as_text_it_is_a_dataframe(config_file: Path) -> None:
    cells = [IN_A_CELL + "%pgmonkey lab reuse --text", "%pgmonkey lab", IN_A_CELL + "%pgmonkey lab nosuch"]
    outputs = run_in_kernel(LOAD_EXTENSION, *cells, cwd=config_file.parent, allow_errors=True)
    assert "backend pid" in outputs[1][-1].data["text/plain"]
    assert "self-deadlock" in outputs[2][-1].data["text/plain"]  # no front end that shows widgets
    assert WIDGET not in outputs[1][-1].data
    assert "the lessons are reuse" in outputs[3][0].evalue
