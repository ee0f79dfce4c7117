"""What the tuner shows, made of plain facts: proposals, refusals, the server's room, predictions; how it is drawn."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from typing import Any

import pytest
from fix_html import Parsed
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.config import PoolSettings
from pgmonkey_magic.panels.picture import Heading
from pgmonkey_magic.panels.tuner.dials import DIALS, LEAST_TOP, MOST_TOP, change, shown, top_of
from pgmonkey_magic.panels.tuner.outlook import Trial, turned_out
from pgmonkey_magic.panels.tuner.picture import cell, drawn, milliseconds
from pgmonkey_magic.panels.tuner.presets import PRESETS, for_fastapi
from pgmonkey_magic.panels.tuner.proposal import REFUSED, Facts, Room, View, beyond, view, what_changes
from pgmonkey_magic.panels.tuner.room import room_of
from pgmonkey_magic.pools import Occupancy
from pgmonkey_magic.tuning import Budget, Figures, Prediction, Row, WhatIf

SETTINGS = PoolSettings(min_size=2, max_size=4)
BUSY = Occupancy(in_use=2, idle=2, size=4, waiting=0, min_size=2, max_size=4)
ROOM = Room(27, "max_connections 30 − 3 reserved − 0 used by others")
FACTS = Facts(SETTINGS, BUSY, "pool_settings", room=ROOM, source="orders.yaml")
HEADING = Heading("orders", "app@db1/orders", "sync pool", "live")


def wanting(**wanted: Any) -> View:
    return view(replace(FACTS, wanted=wanted))


def effects(shown: View) -> dict[str, str]:
    return {line.setting: line.effect for line in shown.changes}


def both(shown: View, heading: Heading = HEADING) -> list[str]:
    """The picture as the text of its HTML, and as text."""
    picture = drawn(shown, heading, with_settings=True)
    return [Parsed(picture.html).text, picture.text]


# -- what is proposed --------------------------------------------------------------------------------------------------


def test_without_a_proposal_every_setting_stands_at_its_value() -> None:
    shown = view(FACTS)
    assert [line.setting for line in shown.lines] == [
        *("min_size", "max_size", "timeout", "max_idle", "max_lifetime", "check_on_checkout")
    ]
    assert (shown.changes, shown.refusals, shown.warning, shown.undo, shown.recycles) == ((), (), "", "", "")
    for text in both(shown):
        for words in ("2 connections", "4 connections", "30 s", "300 s (5 min)", "off", "room for 27 connections"):
            assert words in text


@pytest.mark.parametrize(
    ("wanted", "effect"),
    [
        ({"max_size": 1, "min_size": 1}, "closes 2 idle now, 1 when returned"),
        ({"max_size": 3}, "closes 1 idle now"),
        ({"max_size": 9}, "now; connections are opened when they are needed"),
        ({"min_size": 4}, "now: that many are open already"),
        ({"timeout": 5.0}, "for borrows that begin from now on"),
        ({"max_lifetime": 600.0}, "now, also for the connections that exist"),
        ({"check_on_checkout": True}, "from the next borrow on"),
    ],
)
def test_each_change_says_what_it_does_and_when(wanted: dict[str, Any], effect: str) -> None:
    shown = wanting(**wanted)
    setting = next(iter(wanted))
    assert effects(shown)[setting] == effect
    (line,) = [line for line in shown.changes if line.setting == setting]
    assert (line.now, line.new) == (getattr(SETTINGS, setting), wanted[setting])
    assert effect in Parsed(cell(line)).text
    for text in both(shown):
        assert effect in text


def test_what_is_wanted_already_is_no_change() -> None:
    assert wanting(max_size=4, timeout=30.0).changes == ()


def test_recycling_says_whom_it_replaces() -> None:
    shown = view(replace(FACTS, recycle=True))
    assert shown.recycles == "recycling replaces 2 idle now, 2 in use when they come back"


def test_the_view_is_a_frozen_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        wanting(max_size=5).warning = "changed"  # pyright: ignore[reportAttributeAccessIssue]
    assert wanting(max_size=5) == wanting(max_size=5)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "words", "named"),
    [
        ({"max_size": 0}, "'pool_settings.max_size' must be a whole number of at least 1, not 0", {"max_size"}),
        ({"min_size": -1}, "'pool_settings.min_size' must be a whole number of at least 0", {"min_size"}),
        ({"timeout": 0.0}, "'pool_settings.timeout' must be a number of seconds, more than 0", {"timeout"}),
        ({"timeout": math.nan}, "'pool_settings.timeout'", {"timeout"}),
        ({"max_idle": -5.0}, "'pool_settings.max_idle'", {"max_idle"}),
        ({"min_size": 9}, "greater than 'pool_settings.max_size' (4)", {"min_size"}),
        ({"max_lifetime": 100.0}, "greater than 'pool_settings.max_lifetime' (100)", {"max_lifetime"}),
    ],
)
def test_a_refusal_has_its_reason_and_its_setting(wanted: dict[str, Any], words: str, named: set[str]) -> None:
    shown = wanting(**wanted)
    (reason,) = shown.refusals
    assert words in reason
    assert {line.setting for line in shown.changes if line.effect == REFUSED} == named
    assert shown.warning == ""
    for text in both(shown):
        assert reason in text
        assert "✖ refused" in text


def test_all_that_is_refused_is_named_at_once() -> None:
    shown = wanting(min_size=-1, timeout=-3.0, max_idle=60.0)
    assert len(shown.refusals) == 2
    assert effects(shown) == {"min_size": REFUSED, "timeout": REFUSED, "max_idle": ""}


def test_a_pair_that_only_together_is_wrong_is_named_together() -> None:
    shown = wanting(min_size=4, max_size=3)
    (reason,) = shown.refusals
    assert "lower min_size or raise max_size" in reason
    assert set(effects(shown).values()) == {REFUSED}


def test_a_pair_that_only_together_is_right_is_not_refused() -> None:
    shown = wanting(min_size=9, max_size=9)
    assert shown.refusals == ()
    assert set(effects(shown)) == {"min_size", "max_size"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "min_size": st.integers(-3, 60),
            "max_size": st.integers(-3, 60),
            "timeout": st.floats(allow_nan=True),
            "max_idle": st.floats(-1, 1e10),
            "max_lifetime": st.floats(-1, 1e10),
            "check_on_checkout": st.booleans(),
        },
    )
)
def test_whatever_is_wanted_is_either_planned_or_refused_with_a_reason(wanted: dict[str, Any]) -> None:
    shown = wanting(**wanted)
    marked = [line for line in shown.changes if line.effect == REFUSED]
    assert bool(marked) == bool(shown.refusals)
    assert all(line.effect for line in shown.changes) or shown.refusals
    for text in both(shown):
        assert all(reason in text for reason in shown.refusals)


# -- the server's room -------------------------------------------------------------------------------------------------


def test_growing_beyond_the_servers_room_takes_a_second_yes() -> None:
    assert wanting(max_size=27).warning == ""
    assert wanting(max_size=28).warning == (
        "max_size 28 is more than the 27 connections that the server has room for "
        "(max_connections 30 − 3 reserved − 0 used by others)"
    )
    for text in both(wanting(max_size=28)):
        assert "max_size 28 is more than the 27" in text


def test_nobody_is_asked_who_does_not_grow() -> None:
    assert beyond(Room(1, ""), 4, present=4) == ""
    assert beyond(Room(1, ""), 3, present=4) == ""


def test_a_server_that_has_not_said_its_room_takes_a_second_yes() -> None:
    shown = view(replace(FACTS, wanted={"max_size": 5}, room=Room(None, "it does not answer: refused")))
    assert "not known" in shown.warning
    assert "it does not answer: refused" in shown.warning


def test_the_warning_is_not_said_twice_while_the_question_is_open() -> None:
    assert view(replace(FACTS, wanted={"max_size": 90}, asked=True)).warning == ""


@pytest.mark.parametrize(
    ("limits", "free", "account"),
    [
        ({"role_limit": -1, "database_limit": -1}, 20, "max_connections 30 − 3 reserved − 7 used by others"),
        ({"role_limit": 10, "database_limit": -1}, 8, "role limit 10 − 2 used by others of this role"),
        ({"role_limit": None, "database_limit": 12}, 8, "database limit 12 − 4 used by others in this database"),
        ({"role_limit": 1, "database_limit": -1}, 0, "role limit 1 − 2 used by others of this role"),
        (
            {"role_limit": 1, "database_limit": 1, "superuser": True},
            20,
            "max_connections 30 − 3 reserved − 7 used by others",
        ),
    ],
)
def test_the_room_names_the_limit_that_binds(limits: dict[str, Any], free: int, account: str) -> None:
    used = {"others": 7, "others_of_role": 2, "others_in_database": 4}
    row = {"max_connections": 30, "reserved": 3, "superuser": False, **used, **limits}
    assert room_of(Budget(row, encrypted=False, local=True)) == Room(free, account)


# -- undo, sequel ------------------------------------------------------------------------------------------------------


def test_undo_says_what_comes_back() -> None:
    former = (PoolSettings(min_size=1, max_size=3), PoolSettings(min_size=2, max_size=3, check_on_checkout=True))
    shown = view(replace(FACTS, former=former))
    assert shown.undo == "max_size 4 → 3, check_on_checkout off → on"
    assert "undo (2): max_size 4 → 3" in both(shown)[1]
    assert what_changes(SETTINGS, SETTINGS) == ""


def test_how_a_change_turned_out() -> None:
    trial = Trial(0.0, 3, 6, 100, p95_s=1.2, predicted_s=0.003)
    assert turned_out(trial, [0.0] * 19 + [0.002]) == (
        "since max_size 3 → 6: p95 wait 0 ms over 20 requests, predicted 3 ms; before it 1,200 ms"
    )
    assert "too few to tell" in turned_out(trial, [0.0] * 19)
    assert "before it too few to tell" in turned_out(replace(trial, p95_s=math.nan, predicted_s=None), [0.0] * 20)


# -- what if -----------------------------------------------------------------------------------------------------------


def figures(p_wait: float, p95_s: float) -> Figures:
    return Figures(p_wait, p_wait, p95_s / 3, p95_s)


def row(size: int, p95_s: float, measured: Figures | None = None) -> Row:
    expected = figures(0.3, p95_s)
    prediction = Prediction(size, expected, figures(0.2, p95_s / 2), expected, figures(0.4, p95_s * 2), "Erlang C")
    return Row(prediction, is_present=measured is not None, measured=measured)


def test_the_present_size_is_marked_and_its_prediction_stands_beside_what_was_measured() -> None:
    answer = WhatIf((row(3, math.inf), row(4, 0.08, figures(0.41, 0.099)), row(6, 0.01)), None, ("mind the bursts",))
    for text in both(view(replace(FACTS, what_if=answer, wanted={"max_size": 6}))):
        for words in ("▶ now", "◇ new", "80 ms", "99 ms", "30 %", "41 %", "mind the bursts", "grows"):
            assert words in text


def test_a_refused_prediction_says_why() -> None:
    answer = WhatIf((), "too little was seen to predict from: 37 of 200 requests and 12 of 30 s so far")
    for text in both(view(replace(FACTS, what_if=answer))):
        assert "37 of 200 requests and 12 of 30 s so far" in text


# -- drawing -----------------------------------------------------------------------------------------------------------


def test_nothing_from_outside_becomes_markup() -> None:
    evil = '"><script>alert(1)</script>'
    facts = replace(
        FACTS,
        source=evil,
        diff=f"--- {evil}\n+++ {evil}\n+  max_size: {evil}",
        room=Room(None, evil),
        reasons=(evil,),
        sequel=evil,
        what_if=WhatIf((), evil),
    )
    picture = drawn(view(facts), Heading(evil, evil, evil, evil), with_settings=True)
    assert "script" not in Parsed(picture.html).tags
    assert all(name[:2] != "on" for name, _ in Parsed(picture.html).attributes)
    assert evil in Parsed(picture.html).text


def test_an_empty_diff_says_that_there_is_nothing_to_save() -> None:
    assert "orders.yaml says the same" in both(view(replace(FACTS, diff="")))[0]


def test_the_picture_is_one_sentence_for_who_cannot_see_it() -> None:
    html = drawn(wanting(max_size=6), HEADING, with_settings=False).html
    assert 'aria-label="Settings of pool orders: min_size 2, max_size 4; proposed: max_size 6 connections"' in html
    assert 'aria-live="polite"' in drawn(wanting(max_size=0), HEADING, with_settings=False).html


def test_controls_make_the_table_of_settings_needless() -> None:
    assert "table" not in Parsed(drawn(view(FACTS), HEADING, with_settings=False).html).tags


# -- dials -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dial", [dial for dial in DIALS if dial.steps], ids=lambda dial: dial.setting)
def test_a_sliders_positions_are_exact_and_others_go_to_the_nearest(dial: Any) -> None:
    for at, step in enumerate(dial.steps):
        assert dial.position(step) == at
        assert dial.value(at) == step
    assert dial.position(0) == 0
    assert dial.position(1e9) == len(dial.steps) - 1
    assert dial.position(getattr(PoolSettings(), dial.setting)) == dial.steps.index(
        getattr(PoolSettings(), dial.setting)
    )


@given(st.lists(st.integers(-5, 100_000), min_size=1), st.integers(LEAST_TOP, 1000))
def test_a_slider_for_sizes_has_room_to_grow(sizes: list[int], so_far: int) -> None:
    top = top_of(*sizes, so_far=so_far)
    assert top == MOST_TOP or top >= max(sizes) * 1.25
    assert top in (so_far, MOST_TOP) or top >= 2 * max(sizes)


def test_values_have_their_units() -> None:
    assert shown("max_size", 1) == "1 connection"
    assert shown("max_idle", 90.0) == "90 s"
    assert shown("max_lifetime", 7200.0) == "7200 s (2 h)"
    assert shown("check_on_checkout", True) == "on"
    assert change("max_size", 4, 6) == "4 → 6 connections"
    assert change("timeout", 0.5, 300.0) == "0.5 s → 300 s (5 min)"
    assert milliseconds(math.inf) == "grows"
    assert milliseconds(12.0) == "12 s"


# -- presets -----------------------------------------------------------------------------------------------------------


def test_presets_are_the_tutorials() -> None:
    assert PRESETS["steady"].values == {"max_idle": 300, "max_lifetime": 3600}
    assert PRESETS["bursty"].values == {"max_idle": 60, "max_lifetime": 1800}
    assert PRESETS["background"].values == {"max_idle": 600, "max_lifetime": 7200}
    assert PRESETS["flask"].values == {"max_size": 10}
    assert for_fastapi(8).values == {"max_size": 24}
    for preset in PRESETS.values():
        assert wanting(**preset.proposed(SETTINGS)).refusals == ()


def test_a_preset_brings_min_size_down_with_it() -> None:
    assert PRESETS["flask"].proposed(PoolSettings(min_size=15)) == {"max_size": 10, "min_size": 10}
