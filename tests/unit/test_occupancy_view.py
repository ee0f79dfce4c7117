"""What the occupancy panel shows, made of plain facts: states, queues, limits, hostile texts; and how it is drawn."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from fix_html import Parsed
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.panels.backends import Backend, Backends
from pgmonkey_magic.panels.drawing import Html, number, safe, seconds, tag
from pgmonkey_magic.panels.facts import WINDOW_S, Borrow, Conn, Facts, Memory, remembered, seated
from pgmonkey_magic.panels.picture import LARGE, STATES, Heading, drawn
from pgmonkey_magic.panels.seen import MOST_CELLS, MOST_ROOM, View, curve, percentiles, view
from pgmonkey_magic.pools import Stage

HEADING = Heading("orders", "app@db1/orders", "sync pool", "live")
EMPTY = Facts(at=100.0, min_size=4, max_size=12, timeout_s=30.0)
HELD = Borrow("cell [3]", "SELECT 1", 1.2)
IN_USE, IDLE, RESETTING = Stage.IN_USE, Stage.IDLE, Stage.RESETTING


def seen(*moments: Facts) -> View:
    """The view of the last of some moments."""
    memory = Memory()
    for facts in moments:
        memory = remembered(memory, facts)
    return view(moments[-1], memory)


def html_of(*moments: Facts, heading: Heading = HEADING, as_table: bool = False) -> str:
    return drawn(seen(*moments), heading, as_table=as_table).html


def kinds(shown: View) -> list[str]:
    return [slot.kind for slot in shown.slots]


# -- states ------------------------------------------------------------------------------------------------------------


def test_every_state_has_its_slot_glyph_and_word() -> None:
    server = Backends(100.0, frozenset({1, 2, 3, 4, 5}), {pid: Backend("active", 0.1) for pid in (1, 2, 3, 4)})
    connections = (
        Conn(1, IN_USE, 3, borrow=HELD),
        Conn(2, IDLE, 37),
        Conn(3, IN_USE, 1, in_transaction=True, borrow=Borrow("cell [9]", "", 60.0)),
        Conn(4, RESETTING, 5),
        Conn(5, IDLE, 8),
    )
    facts = replace(EMPTY, connections=connections, opening=2, pausing=1, server=server)
    shown = seen(replace(facts, at=58.0), facts)
    assert kinds(shown) == [
        *("in use", "idle", "idle in tx", "resetting", "stale", "opening", "retrying"),
        *["room"] * 5,
    ]
    text = Parsed(html_of(replace(facts, at=58.0), facts)).text
    for state in STATES.values():
        assert f"{state.glyph} {state.word}" in text
    assert "42 s" in text  # idle in its transaction since the first look, not since it was borrowed
    assert "×37" in text
    assert "cell [9]" in text


def test_a_connection_whose_server_end_is_closed_is_stale_whoever_has_it() -> None:
    connections = (Conn(1, IDLE, 3, hung_up=True), Conn(2, IN_USE, 1, hung_up=True, borrow=HELD))
    shown = seen(replace(EMPTY, connections=connections, broken=1))
    assert kinds(shown)[:3] == ["stale"] * 3
    assert shown.slots[1].who == "cell [3]"


def test_a_process_that_the_server_was_not_yet_asked_for_is_not_stale() -> None:
    server = Backends(99.0, frozenset({1}), {1: Backend("idle", 1.0)})
    assert kinds(seen(replace(EMPTY, connections=(Conn(1, IDLE, 0), Conn(2, IDLE, 0)), server=server)))[:2] == [
        *("idle", "idle")
    ]


def in_transaction(held_s: float) -> Facts:
    return replace(EMPTY, connections=(Conn(7, IN_USE, 1, in_transaction=True, borrow=Borrow("cell [9]", "", held_s)),))


def test_idle_in_transaction_is_what_the_server_says() -> None:
    server = Backends(99.5, frozenset({7}), {7: Backend("idle in transaction", 20.0, query="UPDATE t")})
    (slot,) = seen(replace(in_transaction(90.0), server=server)).slots[:1]
    assert (slot.kind, slot.seconds, slot.query) == ("idle in tx", 20.5, "UPDATE t")


def test_idle_in_transaction_is_never_longer_than_the_borrow() -> None:
    server = Backends(99.5, frozenset({7}), {7: Backend("idle in transaction", 20.0)})
    (slot,) = seen(replace(in_transaction(3.0), server=server)).slots[:1]
    assert slot.seconds == 3.0


def test_a_transaction_between_two_statements_is_in_use() -> None:
    facts = in_transaction(5.0)
    assert kinds(seen(facts))[0] == "in use"
    assert kinds(seen(replace(facts, at=99.5), facts))[0] == "in use"
    assert kinds(seen(replace(facts, at=98.0), facts))[0] == "idle in tx"
    running = replace(facts, at=99.5, connections=(replace(facts.connections[0], in_transaction=False),))
    assert kinds(seen(replace(facts, at=98.0), running, facts))[0] == "in use"


# -- places ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.sets(st.integers(1, 30), max_size=12), max_size=20))
def test_a_process_keeps_its_cell_for_life(moments: list[set[int]]) -> None:
    cells: tuple[int | None, ...] = ()
    for pids in moments:
        after = seated(cells, sorted(pids))
        assert sorted(pid for pid in after if pid is not None) == sorted(pids)
        for at, pid in enumerate(cells):
            assert pid is None or pid not in pids or after[at] == pid
        cells = after


def test_what_is_opened_takes_the_free_cell_that_the_new_process_will_have() -> None:
    three = replace(EMPTY, max_size=3, connections=tuple(Conn(pid, IDLE, 0) for pid in (11, 12, 13)))
    reopening = replace(three, at=101.0, connections=three.connections[::2], opening=1)
    assert [slot.name for slot in seen(three, reopening).slots] == ["11", "new", "13"]
    opened = replace(three, at=102.0, connections=(Conn(11, IDLE, 0), Conn(13, IDLE, 0), Conn(20, IDLE, 0)))
    assert [slot.name for slot in seen(three, reopening, opened).slots] == ["11", "20", "13"]


def test_more_than_max_size_is_said() -> None:
    four = tuple(Conn(pid, IN_USE, 1, borrow=HELD) for pid in (1, 2, 3, 4))
    facts = replace(EMPTY, connections=four)
    smaller = replace(facts, at=101.0, max_size=2, connections=(four[1], four[2], four[3]))
    shown = seen(facts, smaller)
    assert (shown.over, shown.room) == (1, 0)
    assert kinds(shown) == ["gap", "in use", "in use", "in use"]
    picture = drawn(shown, HEADING)
    assert re.search(r"OVER 1 closing when returned", Parsed(picture.html).text)
    assert "over 1 (closing when returned)" in picture.text


def test_many_connections_are_drawn_small_and_much_room_is_said_in_words() -> None:
    many = tuple(Conn(pid, IDLE, 0) for pid in range(1, LARGE + 2))
    html = html_of(replace(EMPTY, max_size=60, connections=many))
    assert "□ idle" in Parsed(html).text  # the key
    assert html.count("width:84px") == 0
    huge = seen(replace(EMPTY, max_size=90_000, connections=many[:3]))
    assert kinds(huge) == ["idle"] * 3 + ["room"] * MOST_ROOM
    assert f"and {90_000 - 3 - MOST_ROOM:,} more places" in drawn(huge, HEADING).html
    crowd = seen(replace(EMPTY, max_size=500, connections=tuple(Conn(pid, IDLE, 0) for pid in range(500))))
    assert (len(crowd.slots), crowd.hidden, crowd.counts["idle"]) == (MOST_CELLS, 100, 500)


def test_a_pool_that_is_not_open_says_so() -> None:
    picture = drawn(seen(replace(EMPTY, connected=False)), HEADING)
    assert "the first borrow opens it" in picture.html
    assert "the first borrow opens it" in picture.text
    assert 'aria-label="Pool orders is not open yet"' in picture.html


# -- figures -----------------------------------------------------------------------------------------------------------


def test_the_queue_is_named_oldest_first_and_its_limit_stands_beside() -> None:
    queue = tuple(Borrow(f"thread worker-{n}", "", 0.8 - n / 20) for n in range(11))
    picture = drawn(seen(replace(EMPTY, queue=queue)), HEADING)
    text = Parsed(picture.html).text
    assert "QUEUE 11 oldest 800 ms (limit 30 s)" in text
    assert "worker-0 800 ms" in text
    assert "worker-7" in text
    assert "worker-8" not in text
    assert "… and 3 more" in text
    assert "worker-0 800 ms · worker-1 750 ms" in picture.text


def test_percentiles_of_too_few_samples_are_a_dash() -> None:
    assert math.isnan(percentiles((0.1,) * 19).p50)
    assert percentiles((0.1,) * 20).p95 == 100.0
    assert "wait p50 –, p95 –, p99 –" in drawn(seen(EMPTY), HEADING).text
    enough = replace(EMPTY, waits_s=(0.0,) * 18 + (0.018, 0.04), holds_s=(0.003,) * 20)
    said = drawn(seen(enough), HEADING).text
    assert "wait p50 0 ms, p95 18 ms, p99 40 ms · hold p50 3 ms, p95 3 ms, p99 3 ms" in said
    assert "p50 1.5 s" in drawn(seen(replace(EMPTY, waits_s=(1.5,) * 20)), HEADING).text


def test_the_rate_and_short_borrows_are_counted_between_looks() -> None:
    first = replace(EMPTY, at=90.0, ended=100, held_s=50.0)
    conns = (Conn(1, IDLE, 3), Conn(2, IDLE, 7))
    shown = seen(first, replace(EMPTY, at=100.0, ended=920, held_s=62.5, connections=conns))
    assert (shown.rate, shown.window_s) == (82.0, 10.0)
    assert shown.in_use_curve[-1] == 1.25


@pytest.mark.parametrize(("before", "now"), [(5, 5), (5, 3), (3, 5)])
def test_no_more_are_in_use_than_there_were(before: int, now: int) -> None:
    conns = tuple(Conn(pid, IN_USE, 1, borrow=HELD) for pid in range(5))
    first = replace(EMPTY, at=99.5, max_size=5, connections=conns[:before], held_s=50.0)
    shown = seen(first, replace(first, at=100.0, connections=conns[:now], held_s=55.8))
    assert shown.in_use_curve[-1] == 5.0


@pytest.mark.parametrize(("held_s", "said"), [(0.63, "1.3"), (1.0, "2"), (1.499, "3"), (5.8, "12")])
def test_a_mean_of_connections_has_no_more_digits_than_it_is_worth(held_s: float, said: str) -> None:
    conns = tuple(Conn(pid, IN_USE, 1, borrow=HELD) for pid in range(12))
    facts = replace(EMPTY, at=99.5, connections=conns)
    moments = (replace(facts, connections=(), at=99.0), replace(facts, at=99.5, held_s=held_s))
    assert f"most {said} in 60 s" in Parsed(html_of(*moments)).text


def test_a_curve_has_a_value_for_each_second_and_knows_nothing_before_it_began() -> None:
    values = curve([(90.2, 1.0), (95.3, 4.0), (95.9, 2.0)], 100.0)
    assert len(values) == WINDOW_S
    assert math.isnan(values[-11])
    assert values[-10:] == (1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0)
    assert math.isnan(curve([(10.0, 1.0)], 100.0)[-1])


def test_the_memory_does_not_grow() -> None:
    memory = Memory()
    for n in range(2_000):
        conn = Conn(n, IN_USE, 1, in_transaction=True, borrow=HELD)
        memory = remembered(memory, replace(EMPTY, at=n / 2, connections=(conn,)))
    assert len(memory.samples) <= 2 * (WINDOW_S + 2)
    assert len(memory.cells) == len(memory.open_since) == 1


# -- alarms ------------------------------------------------------------------------------------------------------------


def alarms(*moments: Facts) -> str:
    lines = drawn(seen(*moments), HEADING).text.splitlines()
    return "\n".join(line for line in lines if line.startswith("!"))


def test_a_quiet_pool_has_no_alarm() -> None:
    assert alarms(replace(EMPTY, connections=(Conn(1, IN_USE, 1, borrow=HELD), Conn(2, IDLE, 4)))) == ""
    assert "aria-live" not in html_of(EMPTY)


def test_who_holds_for_long_or_forgets_to_commit_is_named() -> None:
    long = Conn(1, IN_USE, 1, borrow=Borrow("cell [4]", "SELECT slow()", 31.0))
    assert alarms(replace(EMPTY, connections=(long,))) == "! 1 has been held for 31 s: cell [4] (SELECT slow())"
    facts = in_transaction(90.0)
    assert alarms(replace(facts, at=58.0), facts) == "! 7 has been idle in a transaction for 42 s: cell [9]"
    many = tuple(replace(long, pid=pid) for pid in range(1, 8))
    assert alarms(replace(EMPTY, connections=many)).endswith("! … and 3 more connections the same")


def test_a_queue_that_grows_or_is_near_its_limit() -> None:
    def waiting(at: float, count: int, oldest_s: float = 1.0) -> Facts:
        return replace(EMPTY, at=at, queue=(Borrow("thread a", "", oldest_s),) * count)

    growing = [waiting(90.5 + n, n) for n in range(10)]
    assert "the queue grows: 9 wait" in alarms(*growing)
    assert alarms(*[waiting(90.5 + n, 9) for n in range(10)]) == ""
    assert "thread a has been waiting for 16 s of the pool's 30 s" in alarms(waiting(100.0, 1, 16.0))


def test_a_full_server_and_one_that_is_down() -> None:
    full = Backends(100.0, used=57, limit=60, reserved=3)
    assert alarms(replace(EMPTY, server=full)) == "! the server is full: 57/60 connections, 3 of them reserved"
    assert alarms(replace(EMPTY, server=replace(full, used=56))) == ""
    refused = Backends(100.0, error="FATAL: sorry, too many clients already", refused_as_full=True)
    assert "the server is full: FATAL" in alarms(replace(EMPTY, server=refused))
    down = replace(EMPTY, connect_error="connection refused", opening=2, pausing=2, server=Backends(100.0, error="no"))
    assert alarms(down) == "! the pool cannot connect: connection refused"
    assert alarms(replace(down, connect_error="")) == "! the server does not answer this panel: no"
    assert "◐ retrying" in Parsed(html_of(down)).text


def test_what_grows_in_an_alarm_is_not_read_out_each_time() -> None:
    html = html_of(replace(EMPTY, connections=(Conn(1, IN_USE, 1, borrow=replace(HELD, seconds=31.0)),)))
    live = html[html.index("aria-live") :]
    assert re.search(r'<span aria-hidden="true"> 31 s</span>', live)


# -- drawing -----------------------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)> & \u202egnp.exe \x00 \ud800 \u200b"


@pytest.mark.parametrize("as_table", [False, True])
def test_hostile_texts_stay_texts(as_table: bool) -> None:
    borrow = Borrow(HOSTILE, HOSTILE, 40.0)
    server = Backends(100.0, frozenset({1}), {1: Backend(HOSTILE, 1.0, HOSTILE, HOSTILE)})
    facts = replace(EMPTY, connections=(Conn(1, IN_USE, 1, borrow=borrow),), queue=(borrow,), connect_error=HOSTILE)
    html = html_of(replace(facts, server=server), heading=Heading(*[HOSTILE] * 4), as_table=as_table)
    parsed = Parsed(html)
    assert {"script", "img"}.isdisjoint(parsed.tags)
    assert {name for name, _ in parsed.attributes}.isdisjoint({"onerror", "src"})
    assert "<script>alert(1)</script>'\"><img src=x" in parsed.text
    assert not {"\u202e", "\x00", "\ud800", "\u200b"} & set(html)
    html.encode("utf-8")


@given(st.text(), st.text())
def test_text_goes_in_and_comes_out(text: str, attribute: str) -> None:
    parsed = Parsed(tag("p", text, title=attribute))
    assert parsed.tags == ["p"]
    expected = [
        "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in t) for t in (text, attribute)
    ]
    assert [parsed.text, parsed.attributes[0][1]] == expected


def test_markup_is_not_escaped_twice() -> None:
    assert safe(Html("<b>")) == "<b>"
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"


@pytest.mark.parametrize("as_table", [False, True])
def test_a_picture_is_said_in_one_sentence_and_has_nothing_to_focus(as_table: bool) -> None:
    facts = replace(EMPTY, connections=(Conn(1, IN_USE, 1, borrow=HELD), Conn(2, IDLE, 2)), queue=(HELD,))
    html = html_of(facts, as_table=as_table)
    attributes = dict(Parsed(html).attributes)
    assert 'role="img"' in html
    assert attributes["aria-label"] == "Pool orders: 1 of 12 connections in use, 1 idle, 1 requests waiting"
    assert {"a", "button", "input", "details", "script", "style"}.isdisjoint(Parsed(html).tags)
    assert "tabindex" not in attributes
    assert "animation" not in html


def test_text_has_the_themes_colour_and_fits_a_narrow_page() -> None:
    facts = replace(
        EMPTY,
        max_size=3,
        connections=(Conn(1, IN_USE, 1, borrow=replace(HELD, who="w" * 300)),),
        connect_error="x" * 900,
    )
    html = html_of(facts)
    assert not re.search(r"(?<![-\w])color:#", html)
    assert not re.search(r"background:#(?!0072B2|E69F00)", html)
    assert all(int(width) <= 180 for width in re.findall(r"(?<!-)width:(\d+)px", html))


@pytest.mark.parametrize(
    ("given_s", "words"),
    [
        (-1.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.0126, "13 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (119.6, "2 min"),
        (7200.0, "2 h"),
        (7530.0, "2 h 6 min"),
    ],
)
def test_durations_in_words(given_s: float, words: str) -> None:
    assert seconds(given_s) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (0.0, "0"),
        (0.004, "0"),
        (3.0, "3"),
        (2.345, "2.35"),
        (82.04, "82"),
    ],
)
def test_figures_in_words(value: float | None, words: str) -> None:
    assert number(value) == words
