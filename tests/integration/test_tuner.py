"""The tuner over real pools of both kinds: what it proposes, applies, refuses, asks twice, takes back and saves."""

from __future__ import annotations

import gc
import json
import math
import re
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
import yaml
from fix_notebook import Shell, run_in_kernel
from fix_pools import Kind, run_borrow, until
from fix_server import Server
from ipywidgets.widgets.widget import _instances

from pgmonkey_magic.config import read_config
from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.panels.tuner import room
from pgmonkey_magic.panels.tuner.panel import TunerPanel
from pgmonkey_magic.pools import close_cached, get_cached
from pgmonkey_magic.tuning import Goal

LABEL = f"tuner-{uuid.uuid4().hex[:8]}"
CANARY = "canary-9f8e7d6c5b"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def pool(kind: Kind, server: Server) -> Any:
    pool = kind.open(server.config(application_name=LABEL, password=CANARY), min_size=1, max_size=3)
    run_borrow(kind, pool, 10)
    return pool


@pytest.fixture
def panel(pool: Any) -> Iterator[TunerPanel]:
    panel = TunerPanel(pool, "orders")
    panel.start()
    panel._room.wait(10)
    yield panel
    panel.freeze()


def text(panel: TunerPanel) -> str:
    """All that the panel says now."""
    panel.step()
    return panel.bundle()["text/plain"] + panel._picture.value


def says(panel: TunerPanel, words: str) -> None:
    until(lambda: words in text(panel), 20)


def controls(widget: Any, kind: Any) -> Iterator[Any]:
    """Every control of some kind that is shown."""
    if isinstance(widget, kind):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from controls(child, kind)


def click(panel: TunerPanel, words: str) -> None:
    buttons = controls(panel.widget, (widgets.Button, widgets.ToggleButton, widgets.Checkbox))
    (button,) = [each for each in buttons if each.description == words]
    if isinstance(button, widgets.Button):
        button.click()
    else:
        button.value = not button.value


def buttons(panel: TunerPanel) -> set[str]:
    return {each.description for each in controls(panel.widget, widgets.Button)}


def type_in(panel: TunerPanel, setting: str, value: Any) -> None:
    panel._form.knobs[setting].box.value = value


def slide(panel: TunerPanel, setting: str, position: int) -> None:
    slider = panel._form.knobs[setting].slider
    assert slider is not None
    slider.value = position


# -- propose, apply, undo ----------------------------------------------------------------------------------------------


def test_nothing_happens_before_apply(pool: Any, panel: TunerPanel) -> None:
    before = pool.settings
    slide(panel, "max_size", 5)
    type_in(panel, "timeout", 7.5)
    says(panel, "3 → 5 connections")
    says(panel, "30 s → 7.5 s")
    assert panel._form.knobs["max_size"].box.value == 5
    assert pool.settings == before
    click(panel, "Apply")
    until(lambda: (pool.settings.max_size, pool.settings.timeout) == (5, 7.5))
    says(panel, "applied: max_size 3 → 5, timeout 30 → 7.5")
    assert panel._facts().wanted == {}
    assert "→" not in panel._form.knobs["max_size"].effect.value


def test_a_queue_drains_when_the_pool_grows(kind: Kind, pool: Any, panel: TunerPanel) -> None:
    with kind.block(pool), kind.block(pool), kind.block(pool):
        waiter = threading.Thread(target=run_borrow, args=(kind, pool, 20))
        waiter.start()
        until(lambda: pool.occupancy.waiting == 1)
        slide(panel, "max_size", 4)
        says(panel, "opens up to 1 for the 1 that wait")
        click(panel, "Apply")
        waiter.join(10)
        assert not waiter.is_alive()


def test_shrinking_says_whom_it_closes(kind: Kind, pool: Any, panel: TunerPanel, server: Server) -> None:
    with kind.block(pool), kind.block(pool):
        with kind.block(pool):
            pass
        until(lambda: pool.occupancy.idle == 1)
        slide(panel, "max_size", 1)
        says(panel, "closes 1 idle now, 1 when returned")
        click(panel, "Apply")
        until(lambda: pool.settings.max_size == 1)
        until(lambda: server.backends(LABEL) == 2)
    until(lambda: server.backends(LABEL) == 1)


def test_live_applies_at_once(pool: Any, panel: TunerPanel) -> None:
    click(panel, "live (apply at once)")
    slide(panel, "max_size", 6)
    until(lambda: pool.settings.max_size == 6)
    type_in(panel, "check_on_checkout", True)
    until(lambda: pool.settings.check_on_checkout is True)
    type_in(panel, "max_idle", 90.0)
    until(lambda: pool.settings.max_idle == 90)


def test_undo_is_a_stack(pool: Any, panel: TunerPanel) -> None:
    first = pool.settings
    for size in (4, 5, 6):
        slide(panel, "max_size", size)
        click(panel, "Apply")
        until(lambda size=size: pool.settings.max_size == size)
    says(panel, "undo (3): max_size 6 → 5")
    for depth, size in ((3, 5), (2, 4), (1, 3)):
        panel.step()
        click(panel, f"undo ({depth})")
        until(lambda size=size: pool.settings.max_size == size)
    assert pool.settings == first
    assert not pool.tuned
    panel.step()
    click(panel, "undo")
    says(panel, "there is nothing to undo")


def test_reset_drops_what_is_proposed(pool: Any, panel: TunerPanel) -> None:
    type_in(panel, "max_size", 200)
    panel.step()
    assert panel._form.knobs["max_size"].slider.max >= 200  # pyright: ignore[reportOptionalMemberAccess]
    click(panel, "reset")
    panel.step()
    knob = panel._form.knobs["max_size"]
    assert (knob.box.value, knob.slider and knob.slider.value, knob.slider and knob.slider.max) == (3, 3, 20)


def test_the_controls_follow_a_change_that_was_made_elsewhere(pool: Any, panel: TunerPanel) -> None:
    slide(panel, "max_size", 5)
    pool.apply(type(pool.settings).from_mapping({"min_size": 2, "max_size": 3, "timeout": 12}, pool.section))
    panel.step()
    values = {name: knob.box.value for name, knob in panel._form.knobs.items()}
    assert (values["min_size"], values["timeout"], values["max_size"]) == (2, 12.0, 5)
    assert panel._facts().wanted == {"max_size": 5}


def test_recycling_replaces_the_connections(kind: Kind, pool: Any, panel: TunerPanel) -> None:
    with kind.block(pool) as block:
        ((before,),) = block.execute("SELECT pg_backend_pid()")
    click(panel, "recycle the old connections")
    says(panel, "recycling replaces")
    click(panel, "Apply")
    says(panel, "recycling: idle connections are replaced now")
    until(lambda: pool.occupancy.idle >= 1)
    with kind.block(pool) as block:
        assert block.execute("SELECT pg_backend_pid()") != [(before,)]


# -- refuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("max_size", 0, "must be a whole number of at least 1, not 0"),
        ("min_size", 9, "is greater than"),
        ("timeout", -1.0, "more than 0, not -1"),
        ("max_idle", 1e12, "must be a number of seconds"),
        ("max_size", 10**30, "so large a number"),
    ],
)
@pytest.mark.parametrize("live", [False, True])
def test_a_refusal_stands_in_the_panel_and_changes_nothing(
    pool: Any, panel: TunerPanel, setting: str, value: Any, reason: str, live: bool
) -> None:
    before = pool.settings
    if live:
        click(panel, "live (apply at once)")
    type_in(panel, setting, value)
    says(panel, reason)
    says(panel, "✖ refused")
    click(panel, "Apply")
    says(panel, "nothing was applied")
    assert pool.settings == before


def test_growing_beyond_the_servers_room_takes_a_second_click(pool: Any, panel: TunerPanel) -> None:
    type_in(panel, "max_size", 5000)
    says(panel, "max_size 5,000 is more than the")
    click(panel, "Apply")
    until(lambda: "apply anyway" in buttons(panel))
    assert pool.settings.max_size == 3
    click(panel, "leave it")
    assert "apply anyway" not in buttons(panel)
    assert pool.settings.max_size == 3
    click(panel, "Apply")
    until(lambda: "apply anyway" in buttons(panel))
    click(panel, "apply anyway")
    until(lambda: pool.settings.max_size == 5000)
    # Neither does undo go beyond it at the first click.
    type_in(panel, "max_size", 2)
    click(panel, "Apply")
    until(lambda: pool.settings.max_size == 2)
    panel.step()
    click(panel, "undo (2)")
    until(lambda: "apply anyway" in buttons(panel))
    assert pool.settings.max_size == 2
    click(panel, "apply anyway")
    until(lambda: pool.settings.max_size == 5000)


def test_live_asks_too(pool: Any, panel: TunerPanel) -> None:
    click(panel, "live (apply at once)")
    type_in(panel, "max_size", 5000)
    until(lambda: "apply anyway" in buttons(panel))
    assert pool.settings.max_size == 3
    slide(panel, "max_size", 6)
    until(lambda: pool.settings.max_size == 6)
    until(lambda: "apply anyway" not in buttons(panel))


def test_a_server_that_does_not_say_its_room_takes_a_second_click(kind: Kind) -> None:
    with Cluster(settings={"max_connections": 20}) as cluster:
        from psycopg.conninfo import conninfo_to_dict

        config = {"connection_settings": conninfo_to_dict(cluster.conninfo)}
        pool = kind.open(config, min_size=1, max_size=3)
        run_borrow(kind, pool, 10)
        panel = TunerPanel(pool, "orders")
        panel.start()
        panel._room.wait(10)
        says(panel, "room for 17 connections")
        cluster.stop("immediate")
        slide(panel, "max_size", 5)
        click(panel, "Apply")
        until(lambda: "apply anyway" in buttons(panel))
        says(panel, "it does not answer: ")
        click(panel, "apply anyway")
        until(lambda: pool.settings.max_size == 5)
        panel.freeze()


def test_a_server_that_stalls_is_waited_for_no_longer_than_the_deadline(
    pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(room, "DEADLINE_S", 0.3)
    monkeypatch.setattr(room, "_asked", lambda _pool: answered.wait(30))
    begun = time.monotonic()
    panel = TunerPanel(pool, "orders")
    panel.start()  # it does not wait for the server
    slide(panel, "max_size", 5)
    click(panel, "Apply")
    until(lambda: "apply anyway" in buttons(panel))
    assert time.monotonic() - begun < 10
    says(panel, "has not answered within 0.3 s")
    answered.set()
    panel.freeze()


# -- predict, recommend, presets ---------------------------------------------------------------------------------------


def test_too_little_was_seen(pool: Any, panel: TunerPanel) -> None:
    says(panel, "of 200 requests")
    click(panel, "recommend…")
    click(panel, "propose")
    says(panel, "no recommendation: too little was seen")
    assert panel._facts().wanted == {}


def work(kind: Kind, pool: Any, panel: TunerPanel) -> None:
    """Have the pool look as if it had served 250 borrows in its first 40 s, and the panel have one look at it then."""
    for _ in range(250):
        run_borrow(kind, pool, 10)
    panel._outlook.wait(10)
    pool.ledger._begun_at -= 40
    panel._outlook._history = panel._outlook._history[:1]
    panel._outlook._asked_at = 0.0


def test_predicted_beside_measured_and_recommended(kind: Kind, pool: Any, panel: TunerPanel) -> None:
    work(kind, pool, panel)
    says(panel, "▶ now")
    says(panel, "predicted by")
    type_in(panel, "max_size", 9)
    says(panel, "◇ new")
    click(panel, "reset")
    click(panel, "recommend…")
    (lifecycle,) = controls(panel._drawer, widgets.Dropdown)
    lifecycle.value = "bursty"
    click(panel, "propose")
    says(panel, "recommended: max_size 1")
    assert panel._facts().wanted["max_idle"] == 60
    click(panel, "Apply")
    until(lambda: (pool.settings.max_size, pool.settings.max_lifetime) == (1, 1800))


def test_what_waited_at_another_size_tells_nothing_of_this_one(kind: Kind, pool: Any, panel: TunerPanel) -> None:
    work(kind, pool, panel)
    says(panel, "▶ now")
    slide(panel, "max_size", 4)
    click(panel, "Apply")
    says(panel, "since max_size is 4, too little was seen to predict from: 0 of 200 requests and 0 of 30 s so far")


def test_a_new_tuner_counts_from_the_change_of_size_and_not_from_its_opening(kind: Kind, pool: Any) -> None:
    pool.apply(replace(pool.settings, max_size=4))
    for _ in range(250):
        run_borrow(kind, pool, 10)
    pool.ledger._begun_at -= 40
    panel = TunerPanel(pool, "orders")
    panel.start()
    try:
        says(panel, "▶ now")
    finally:
        panel.freeze()


def test_one_count_is_on_the_screen(kind: Kind, pool: Any) -> None:
    for _ in range(20):
        run_borrow(kind, pool, 10)
    pool.ledger._begun_at -= 8
    pool.apply(replace(pool.settings, max_size=4))
    panel = TunerPanel(pool, "orders")
    panel.start()
    try:
        says(panel, "0 of 200 requests and 0 of 30 s so far; ask again once it is at work")
        panel.recommend(lambda free: Goal(0.02, free))
        says(panel, "no recommendation: too little was seen")
        assert set(re.findall(r"(\d+) of 30 s", text(panel))) == {"0"}
    finally:
        panel.freeze()


def test_presets_are_proposed_not_applied(pool: Any, panel: TunerPanel) -> None:
    before = pool.settings
    presets = panel._questions.presets
    presets.value = "bursty"
    assert presets.value == ""
    says(panel, "bursts of traffic with idle periods between")
    assert panel._facts().wanted == {"max_idle": 60, "max_lifetime": 1800}
    presets.value = "fastapi"
    (requests,) = controls(panel._drawer, widgets.IntText)
    requests.value = 4
    click(panel, "propose")
    says(panel, "max_size 8 to 12 to begin with")
    assert panel._facts().wanted["max_size"] == 12
    assert pool.settings == before


def test_how_a_change_turned_out(kind: Kind, pool: Any, panel: TunerPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial() -> Any:
        return panel._outlook._trial

    for _ in range(30):
        run_borrow(kind, pool, 10)
    slide(panel, "max_size", 4)
    click(panel, "Apply")
    until(lambda: trial() and trial().after == 4)
    assert not math.isnan(trial().p95_s)
    slide(panel, "max_size", 5)  # before anybody has used the size in between
    click(panel, "Apply")
    until(lambda: trial().after == 5)
    for _ in range(30):
        run_borrow(kind, pool, 10)
    monkeypatch.setattr("pgmonkey_magic.panels.tuner.outlook.TRIAL_S", 0.0)
    panel._outlook._asked_at = 0.0
    says(panel, "since max_size 4 → 5: p95 wait ")
    says(panel, "before it too few to tell")


# -- save --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNER_PASSWORD", CANARY)
    monkeypatch.setenv("TUNER_HOST", str(server.settings["host"]))
    settings = {key: value for key, value in server.settings.items() if key not in ("host", "password")}
    sizes = "  min_size: ${TUNER_MIN:-1}   # kept open\n  max_size: 3     # the most\n"
    path = tmp_path / "orders.yaml"
    path.write_text(
        "# ours\nconnection_settings:\n  host: ${TUNER_HOST}\n"
        + "".join(f"  {key}: {value}\n" for key, value in settings.items())
        + "  password: {from_env: TUNER_PASSWORD}  # never here\n"
        + f"pool_settings:\n{sizes}async_pool_settings:\n{sizes}"
    )
    return path


@pytest.fixture
def from_file(kind: Kind, file: Path) -> Iterator[TunerPanel]:
    pool = get_cached(read_config(file, resolve_env=True), kind.connection_type)
    run_borrow(kind, pool, 10)
    panel = TunerPanel(pool, "orders")  # pyright: ignore[reportArgumentType]
    panel.start()
    yield panel
    panel.freeze()


def test_save_keeps_comments_and_references(kind: Kind, from_file: TunerPanel, file: Path) -> None:
    panel, pool, before = from_file, from_file.pool, file.read_text()
    slide(panel, "max_size", 6)
    type_in(panel, "max_idle", 120.0)
    click(panel, "YAML")
    says(panel, "+  max_size: 6     # the most")
    assert "max_size: 3" in text(panel)
    click(panel, "save…")
    says(panel, "not saved: apply or reset what is proposed")
    assert file.read_text() == before
    click(panel, "Apply")
    until(lambda: pool.settings.max_size == 6)
    click(panel, "save…")
    says(panel, f"saved into {file}: max_size 6, max_idle 120")
    old, new = before.splitlines(), file.read_text().splitlines()
    section = new.index(f"{pool.section}:")
    assert new[section + 2] == "  max_size: 6     # the most"
    assert new.pop(section + 3) == "  max_idle: 120"
    assert [line for line, was in zip(new, old, strict=True) if line != was] == ["  max_size: 6     # the most"]
    assert not pool.tuned
    assert get_cached(read_config(file, resolve_env=True), kind.connection_type) is pool
    says(panel, "orders.yaml says the same")
    click(panel, "save…")
    says(panel, "nothing was saved")


def test_a_pool_from_no_file_asks_for_a_path(kind: Kind, pool: Any, panel: TunerPanel, file: Path) -> None:
    slide(panel, "max_size", 5)
    click(panel, "YAML")
    says(panel, "+  max_size: 5")
    click(panel, "Apply")
    until(lambda: pool.settings.max_size == 5)
    for path, words in (
        ("", "type the path"),
        (str(file.parent / "none.yaml"), "does not exist"),
        (str(file), "saved"),
    ):
        click(panel, "save…")
        (box,) = controls(panel._drawer, widgets.Text)
        box.value = path
        click(panel, "save")
        says(panel, words)
    assert read_config(file, resolve_env=True).pool_settings_for(kind.connection_type).max_size == 5


def test_a_file_that_cannot_be_written_is_said_and_changes_nothing(from_file: TunerPanel, file: Path) -> None:
    slide(from_file, "max_size", 6)
    click(from_file, "Apply")
    until(lambda: from_file.pool.settings.max_size == 6)
    file.unlink()
    click(from_file, "save…")
    says(from_file, "does not exist")
    assert from_file.pool.tuned
    click(from_file, "YAML")
    says(from_file, "does not exist")


def test_the_password_is_on_no_surface(
    from_file: TunerPanel, file: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    panel = from_file
    # Also where somebody has written it into the file.
    file.write_text(file.read_text().replace("{from_env: TUNER_PASSWORD}", CANARY))
    seen: list[Any] = []
    type_in(panel, "max_size", 5000)
    type_in(panel, "min_size", 2)
    click(panel, "YAML")
    says(panel, "+  max_size: 5000")
    # The other section stands farther from it than a diff shows.
    assert ("password: ***REDACTED***" in text(panel)) == (panel.pool.section == "pool_settings")
    click(panel, "Apply")
    until(lambda: "apply anyway" in buttons(panel))
    seen += [widget.get_state() for widget in controls(panel.widget, widgets.Widget)]
    seen += [panel.bundle(), repr(panel._facts()), repr(panel._view), panel._said]
    file.write_text(file.read_text().replace("host: ${TUNER_HOST}", "host: [nonsense"))
    click(panel, "YAML")
    click(panel, "YAML")
    says(panel, "YAML")
    seen += [text(panel), panel._picture.value, panel.freeze()]
    shown = json.dumps(seen, default=str) + "".join(capfd.readouterr()) + caplog.text
    assert "orders" in shown
    assert CANARY not in shown


# -- life --------------------------------------------------------------------------------------------------------------


def test_the_pool_is_never_borrowed_from_and_the_servers_answer_costs_one_short_connection(
    pool: Any, panel: TunerPanel, server: Server
) -> None:
    counts = pool.ledger.counts()
    says(panel, "room for")
    for _ in range(20):
        panel.step()
    assert pool.ledger.counts() == counts
    until(lambda: server.backends(LABEL) == pool.occupancy.size)


def test_frozen_it_leaves_a_picture_and_nothing_else(pool: Any) -> None:
    registered = len(_instances)
    panel = TunerPanel(pool, "orders")
    panel.start()
    assert "min_size" in panel.bundle()["text/html"]  # for who shows no widgets
    assert WIDGET in panel.bundle()
    slide(panel, "max_size", 4)
    click(panel, "recommend…")
    still = panel.freeze()
    assert set(still) == {"text/plain", "text/html"}
    assert "3 → 4 connections" in still["text/plain"]
    assert "<table" in still["text/html"]
    assert len(_instances) == registered


def test_it_ends_with_its_pool(pool: Any, panel: TunerPanel) -> None:
    close_cached(pool)
    until(lambda: panel.still is not None)
    assert "pool closed" in (panel.still or {})["text/plain"]


def test_a_panel_that_nobody_holds_is_gone(pool: Any) -> None:
    registered = len(_instances)
    panel = TunerPanel(pool, "orders")
    panel.start()
    panel._room.wait(10)
    its_ticker, gone = panel._ticker, weakref.ref(panel)
    del panel
    until(lambda: gc.collect() is not None and gone() is None)
    assert its_ticker is not None
    its_ticker.wake()
    until(lambda: not its_ticker.alive)
    assert len(_instances) == registered


# -- the magic ---------------------------------------------------------------------------------------------------------


def test_tune_without_values_shows_the_tuner(connected: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    connected.run("%pgmonkey tune")
    assert "max_size           3 connections" in connected.shown[0]
    assert "room for" in connected.shown[0]
    connected.run("%pgmonkey tune test")
    assert "test  postgres@" in connected.shown[0]
    assert "nosuch" in str(connected.error("%pgmonkey tune nosuch"))
    assert connected.run("%pgmonkey tune test max_size=4")["after"].to_list() == [4]


def test_nbclient_leaves_a_readable_picture(config_file: Path) -> None:
    load = "%load_ext pgmonkey_magic\n%pgmonkey connect server.yaml --as orders"
    outputs = run_in_kernel(load, "%pgmonkey tune", cwd=config_file.parent)
    (shown,) = outputs[1]
    assert set(shown.data) == {"text/plain", "text/html"}
    assert "max_size           3 connections" in shown.data["text/plain"]
    assert "room for" in shown.data["text/html"]
    assert 'aria-label="Settings of pool orders: min_size 1, max_size 3; no change proposed"' in shown.data["text/html"]
    assert yaml.safe_load(config_file.read_text())["pool_settings"]["max_size"] == 3
