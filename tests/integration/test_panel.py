"""The occupancy panel over real pools of both kinds: it follows, it disturbs nothing, it ends."""

from __future__ import annotations

import gc
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

import ipywidgets as widgets
import psycopg
import pytest
from fix_pgbouncer import Bouncer
from fix_pools import Kind, run_borrow, until
from fix_proxy import Proxy
from fix_server import Server
from ipywidgets.widgets.widget import _instances

from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.panels import controls, ticker
from pgmonkey_magic.panels.backends import APPLICATION_NAME
from pgmonkey_magic.panels.drawing import Drawn, sheet
from pgmonkey_magic.panels.occupancy import OccupancyPanel
from pgmonkey_magic.panels.panel import Panel
from pgmonkey_magic.panels.watch import Watch
from pgmonkey_magic.pools import Stage, census, close_cached

LABEL = f"panel-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def pool(kind: Kind, server: Server) -> Any:
    pool = kind.open(server.config(application_name=LABEL), min_size=2, max_size=3)
    run_borrow(kind, pool, 10)
    until(lambda: pool.occupancy.idle >= 2)
    return pool


@pytest.fixture
def panel(pool: Any) -> Iterator[OccupancyPanel]:
    panel = OccupancyPanel(pool, "orders")
    panel.start()
    yield panel
    panel.freeze()


def text(panel: Panel) -> str:
    """The picture now, as text."""
    panel.step()
    return panel.bundle()["text/plain"]


def says(panel: Panel, words: str) -> None:
    """Wait until the picture contains some words."""
    until(lambda: words in text(panel) + panel._picture.value, 20)


def click(panel: Panel, words: str) -> None:
    """Press the button of that name, which must be shown."""

    def buttons(widget: Any) -> Iterator[Any]:
        if isinstance(widget, (widgets.Button, widgets.ToggleButton)):
            yield widget
        for child in getattr(widget, "children", ()):
            yield from buttons(child)

    (button,) = [each for each in buttons(panel.widget) if each.description == words]
    if isinstance(button, widgets.ToggleButton):
        button.value = not button.value
    else:
        button.click()


# -- it follows --------------------------------------------------------------------------------------------------------


def test_the_panel_follows_a_borrow(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    before = {each.pid for each in census(pool).connections}
    with kind.block(pool) as block:
        ((pid,),) = block.execute("SELECT pg_backend_pid()")
        until(lambda: f"■ {pid}" in text(panel))
        assert "in use 1" in text(panel)
        who = "thread MainThread" if kind.connection_type == "pool" else "task "
        assert who in text(panel)
        says(panel, f"▲ {pid}")
        says(panel, "SELECT pg_backend_pid()")  # which only the server knows
    until(lambda: f"□ {pid}" in text(panel))
    assert before == {each.pid for each in census(pool).connections}


def test_the_census_tells_what_each_connection_does(kind: Kind, pool: Any) -> None:
    uses = {each.pid: each.uses for each in census(pool).connections}
    with kind.block(pool) as block:
        ((pid,),) = block.execute("SELECT pg_backend_pid()")
        (borrowed,) = [each for each in census(pool).connections if each.stage is Stage.IN_USE]
        assert (borrowed.pid, borrowed.uses) == (pid, uses[pid] + 1)
        assert borrowed.ticket in pool.ledger.held()
        pool.recycle()
        until(lambda: all(each.outdated == (each.pid == pid) for each in census(pool).connections))
    until(lambda: pid not in {each.pid for each in census(pool).connections})
    close_cached(pool)
    assert census(pool).connected is False


def test_the_queue_and_its_people(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    with kind.block(pool), kind.block(pool), kind.block(pool):
        waiter = threading.Thread(target=run_borrow, args=(kind, pool, 20), name="patient")
        waiter.start()
        says(panel, "queue: ")
        assert "queue 1" in text(panel)
        assert "room 0" in text(panel)
    waiter.join()
    until(lambda: "queue 0" in text(panel))


def test_more_than_max_size_until_they_come_back(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    with kind.block(pool), kind.block(pool), kind.block(pool):
        pool.apply(type(pool.settings).from_mapping({"min_size": 1, "max_size": 1}, pool.section))
        assert "over 2 (closing when returned)" in text(panel)
    until(lambda: "over" not in text(panel))
    assert "tuned" in text(panel)


def test_stale_connections_are_seen_before_anybody_meets_them(pool: Any, panel: OccupancyPanel, server: Server) -> None:
    server.terminate(LABEL)
    says(panel, "✖")
    click(panel, "check")
    says(panel, "dead connections replaced")
    until(lambda: "✖" not in text(panel))


# -- it disturbs nothing -----------------------------------------------------------------------------------------------


def test_the_watched_pool_is_never_borrowed_from(pool: Any, panel: OccupancyPanel, server: Server) -> None:
    requests = pool.pool.get_stats()["requests_num"]
    counts, connections = pool.ledger.counts(), {each.pid: each.uses for each in census(pool).connections}
    says(panel, "server ")
    for _ in range(20):
        panel.step()
    assert server.backends(APPLICATION_NAME) == 1
    assert pool.pool.get_stats()["requests_num"] == requests
    assert pool.ledger.counts() == counts
    assert {each.pid: each.uses for each in census(pool).connections} == connections
    panel.freeze()
    until(lambda: server.backends(APPLICATION_NAME) == 0)


def test_an_exhausted_pool_and_a_stalled_server_do_not_hold_the_panel_up(
    kind: Kind, server: Server, proxy: Proxy
) -> None:
    pool = kind.open(server.config(host="127.0.0.1", port=proxy.port), min_size=1, max_size=1)
    run_borrow(kind, pool, 10)
    panel = OccupancyPanel(pool, "far")
    says(panel, "server ")
    proxy.stall()
    began = time.monotonic()
    for _ in range(20):
        panel.step()
    assert time.monotonic() - began < 5
    says(panel, "the server does not answer this panel")
    began = time.monotonic()
    panel.freeze()
    assert time.monotonic() - began < 5
    proxy.release()


def test_nothing_grows(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    def known() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(140):  # more than the memory holds
        panel.step()
    before, registered = known(), len(_instances)
    for n in range(300):
        if n % 30 == 0:
            run_borrow(kind, pool, 10)
        panel.step()
    assert known() - before < 2_000
    assert len(_instances) == registered


# -- it ends -----------------------------------------------------------------------------------------------------------


def test_frozen_it_leaves_a_picture_and_nothing_else(pool: Any) -> None:
    registered = len(_instances)
    panel = OccupancyPanel(pool, "orders")
    stills: list[Any] = []
    panel.on_still = stills.append
    panel.start()
    assert "application/vnd.jupyter.widget-view+json" in panel.bundle()
    panel.freeze()
    panel.freeze()
    (still,) = stills
    assert set(still) == {"text/plain", "text/html"} == set(panel.bundle())
    assert "as of " in still["text/plain"]
    assert "□ idle" in still["text/html"]
    until(lambda: not panel._ticker.alive)
    assert len(_instances) == registered


def test_it_ends_with_its_pool(pool: Any, panel: OccupancyPanel, server: Server) -> None:
    pids = [str(each.pid) for each in census(pool).connections]
    says(panel, "server ")
    close_cached(pool)
    until(lambda: panel.still is not None)
    assert "pool closed" in panel.still["text/plain"]
    assert all(pid in panel.still["text/plain"] for pid in pids)  # the last picture, not an empty one
    until(lambda: not panel._ticker.alive)
    until(lambda: server.backends(APPLICATION_NAME) == 0)


def test_it_ends_when_nobody_holds_it(pool: Any) -> None:
    registered = len(_instances)
    panel = OccupancyPanel(pool, "orders")
    panel.start()
    its_ticker, gone = panel._ticker, weakref.ref(panel)
    panel._watch.close()
    del panel
    until(lambda: gc.collect() is not None and gone() is None)
    its_ticker.wake()
    until(lambda: not its_ticker.alive)
    assert len(_instances) == registered


# -- its buttons -------------------------------------------------------------------------------------------------------


def test_cancel_asks_first_and_ends_the_query(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    click(panel, "cancel…")
    says(panel, "no query of this pool is running")
    errors: list[BaseException] = []

    def long() -> None:
        try:
            with kind.block(pool) as block:
                block.execute("SELECT pg_sleep(60) /* <long> */")
        except psycopg.errors.QueryCanceled as error:
            errors.append(error)

    thread = threading.Thread(target=long)
    thread.start()
    says(panel, "pg_sleep(60)")
    click(panel, "cancel…")
    assert "/* <long> */" in panel._choice.options[0][0]
    assert thread.is_alive()
    click(panel, "leave it")
    assert panel._drawer.children == ()
    click(panel, "cancel…")
    click(panel, "cancel this query")
    thread.join(20)
    assert len(errors) == 1
    says(panel, "the server was asked to cancel")


def test_a_query_that_has_ended_meanwhile_is_not_anothers(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    with kind.block(pool):
        (ticket,) = pool.ledger.held()
    assert "nothing was cancelled" in panel._cancelled(ticket)


def test_recycle_replaces_every_connection(pool: Any, panel: OccupancyPanel) -> None:
    before = {each.pid for each in census(pool).connections}
    click(panel, "recycle")
    says(panel, "recycling")
    until(lambda: len(census(pool).connections) >= 2 and not before & {each.pid for each in census(pool).connections})


def test_paused_it_stands_still_and_goes_on(kind: Kind, pool: Any, panel: OccupancyPanel) -> None:
    click(panel, "pause")
    says(panel, "paused at")
    value = panel._picture.value
    with kind.block(pool):
        panel.step()
        assert panel._picture.value == value
        click(panel, "pause")
        until(lambda: "in use 1" in text(panel))
    click(panel, "table")
    says(panel, "server says")


def test_a_server_that_is_gone_is_said_and_a_returning_one_too(kind: Kind) -> None:
    with Cluster() as cluster:
        settings = psycopg.conninfo.conninfo_to_dict(cluster.conninfo)
        pool = kind.open({"connection_settings": settings}, min_size=2, max_size=3)
        run_borrow(kind, pool, 10)
        panel = OccupancyPanel(pool, "orders")
        panel.start()
        cluster.stop("immediate")
        says(panel, "✖")
        with pytest.raises(psycopg.OperationalError):
            run_borrow(kind, pool, 1)
        says(panel, "the pool cannot connect")
        says(panel, "retrying")
        cluster.start()
        run_borrow(kind, pool, 20)
        until(lambda: "cannot connect" not in text(panel))
        panel.freeze()
        close_cached(pool)


def test_a_full_server_is_said(kind: Kind) -> None:
    with Cluster(settings={"max_connections": 6}) as cluster:  # three of them are a superuser's
        settings = psycopg.conninfo.conninfo_to_dict(cluster.conninfo)
        pool = kind.open({"connection_settings": settings}, min_size=1, max_size=3)
        panel = OccupancyPanel(pool, "orders")
        says(panel, "server ")
        with kind.block(pool), kind.block(pool):
            says(panel, "/6 connections, 3 of them reserved")
        panel.freeze()
        late = Watch(pool, "orders")
        with psycopg.connect(cluster.conninfo), psycopg.connect(cluster.conninfo), kind.block(pool), kind.block(pool):
            until(lambda: "the server is full" in str(late.look().alarms))
        late.close()
        close_cached(pool)


def test_behind_pgbouncer_no_connection_has_a_process_of_its_own(pgbouncer: Bouncer, kind: Kind) -> None:
    pool = kind.open(pgbouncer.config(), min_size=2, max_size=3)
    run_borrow(kind, pool, 10)
    panel = OccupancyPanel(pool, "behind")
    says(panel, "server ")
    with kind.block(pool) as block:
        block.execute("SELECT 1")
        says(panel, "in use 1")
        until(lambda: panel._watch.look().facts.server.used)
        assert "stale" not in text(panel)
        assert "does not answer" not in text(panel)
    panel.freeze()


# -- what every panel does ---------------------------------------------------------------------------------------------


class Moody(Panel):
    """A panel that can be told to fail."""

    fails = False

    def draw(self) -> Drawn:
        if self.fails:
            raise ValueError("<no> picture")
        return Drawn(sheet("fine", "all is well"), "all is well")

    def ended(self) -> str:
        return ""


def test_an_error_stands_in_the_panel_and_nowhere_else(capfd: pytest.CaptureFixture[str]) -> None:
    panel = Moody()
    panel.start()
    panel.fails = True
    panel.wake()
    until(lambda: "ValueError: &lt;no&gt; picture" in panel._picture.value)
    panel.fails = False
    panel.wake()
    until(lambda: "all is well" in panel._picture.value)
    panel.act(lambda: str(1 / 0))
    until(lambda: "that failed: division by zero" in panel._picture.value)
    panel.freeze()
    assert capfd.readouterr() == ("", "")


def test_the_ticker_is_quiet_when_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        steps = 0

        def step(self) -> bool:
            self.steps += 1
            return self.steps < 3

    monkeypatch.setattr(ticker, "LIVELY_S", 0.01)
    monkeypatch.setattr(ticker, "QUIET_S", 600.0)
    panel = Counted()
    its = ticker.Ticker(panel)
    until(lambda: panel.steps == 3)
    its.wake()
    until(lambda: panel.steps == 4)
    its.stop()
    until(lambda: not its.alive)


def test_a_kernel_that_cannot_act_beside_a_cell_says_so(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls.sys, "modules", {"ipykernel": type("Old", (), {"version_info": (6, 30, 1)})})
    assert not controls.can_act_while_a_cell_runs()
    monkeypatch.undo()
    assert controls.can_act_while_a_cell_runs()


def test_a_watch_needs_no_widgets(kind: Kind, pool: Any) -> None:
    watch = Watch(pool, "orders")
    watch.wait_for_server(10)
    shown = watch.look()
    assert shown.facts.server.used >= 3
    until(lambda: watch.look().facts.server.asked == {each.pid for each in census(pool).connections})
    watch.close()
