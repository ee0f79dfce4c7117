"""What the lab panel shows, made of plain facts: forecasts, figures beside predictions, lessons, hostile texts."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmonkey_magic.errors import ConfigError, RequestError
from pgmonkey_magic.panels.alarms import Alarm
from pgmonkey_magic.panels.drawing import Drawn
from pgmonkey_magic.panels.facts import Borrow, Conn, Facts, Memory, remembered
from pgmonkey_magic.panels.lab.explained import EXPLAINED
from pgmonkey_magic.panels.lab.lesson_seen import LessonFacts, cell, lesson_view
from pgmonkey_magic.panels.lab.picture import before_load, lesson_drawn, load_drawn
from pgmonkey_magic.panels.lab.seen import LATEST, POINTS, LoadFacts, LoadView, figures_so_far, load_view, with_clients
from pgmonkey_magic.panels.lab.wanted import PRESETS, Wanted, asked, forecast, preset
from pgmonkey_magic.panels.picture import Heading
from pgmonkey_magic.panels.seen import View, view
from pgmonkey_magic.pools import Stage
from pgmonkey_magic.tuning.lab import LESSONS, MAX_RATE, MAX_SECONDS, MAX_WORKERS, Answer, Measurement, Moment, Served
from pgmonkey_magic.tuning.lab.report import report
from pgmonkey_magic.tuning.prediction import closed_load
from pgmonkey_magic.tuning.sizing import erlang_c

WANTED = Wanted(rate=40.0, hold_s=0.05, seconds=5.0)
WHERE = ("app@db1/orders", "live")
NAMES = tuple(LESSONS)


def measured(waits_s: list[float], *, seconds: float = 5.0, hold_s: float = 0.05, **others: Any) -> Measurement:
    """A measurement of requests that waited so long; those that waited at all were queued."""
    served = tuple(Served(i * 0.01, wait_s, hold_s, wait_s > 0) for i, wait_s in enumerate(waits_s))
    moments = tuple(Moment(i / 10, min(4, i), max(0, i - 4)) for i in range(int(seconds * 10)))
    return replace(Measurement(seconds, served, 0, 0, 0, (), moments), **others)


def done(measurement: Measurement, wanted: Wanted = WANTED) -> LoadFacts:
    """The facts of a load that has come to its end."""
    its = report(wanted.load(), wanted.max_size, measurement)
    return LoadFacts(wanted, "a sync pool of the lab's own", wanted.max_size, "done", False, measurement, its)


def running(measurement: Measurement | None, **others: Any) -> LoadFacts:
    return LoadFacts(WANTED, "a sync pool of the lab's own", 4, measurement=measurement, **others)


def picture(shown: LoadView, *, as_table: bool = False) -> Drawn:
    return load_drawn(shown, WHERE, None, as_table=as_table)


class Parsed(HTMLParser):
    """The elements, attributes and text of some HTML, as a browser would see them; it must be well formed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, Any]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(markup)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_presets_reach_from_idle_to_overloaded() -> None:
    busy = [wanted.rate * wanted.hold_s / wanted.max_size for wanted in PRESETS.values()]
    assert busy == sorted(busy)
    assert busy[0] <= 0.1
    assert 0.75 <= busy[2] <= 0.85
    assert busy[3] > 1
    assert "about the knee" in forecast(PRESETS["at the knee"])
    assert "queue will grow" in forecast(PRESETS["overloaded"])


def test_a_preset_keeps_clients_duration_and_seed() -> None:
    mine = Wanted(connection_type="async_pool", seconds=20.0, seed=7, max_size=9)
    chosen = preset("idle", mine)
    assert (chosen.connection_type, chosen.seconds, chosen.seed) == ("async_pool", 20.0, 7)
    assert chosen.max_size == PRESETS["idle"].max_size


def test_the_forecast_is_what_the_formulas_say() -> None:
    wait = erlang_c(4, 40 * 0.05)
    assert f"(50 %). Expected: {100 * wait:.0f} % of the requests will wait" in forecast(WANTED)
    closed = replace(WANTED, arrivals="closed", workers=8, think_s=0.05)
    busy, p_wait, _, p95_s = closed_load(4, 8, 0.05, 0.05)
    said = forecast(closed)
    assert f"{100 * busy:.0f} % busy, {100 * p_wait:.0f} % of requests will wait" in said
    assert f"{p95_s * 1000:.0f} ms" in said
    assert "nobody will ever wait" in forecast(replace(closed, workers=4))
    assert "at most 4 will wait" in forecast(replace(closed, hold="constant"))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"rate": MAX_RATE + 1}, RequestError, "rate is more than 0 and at most 1000"),
        ({"arrivals": "closed", "workers": MAX_WORKERS + 1}, RequestError, "workers is more than 0 and at most 32"),
        ({"seconds": MAX_SECONDS + 1}, RequestError, "seconds is more than 0 and at most 60"),
        ({"hold_s": 6.0}, RequestError, "hold_s is more than 0 and at most 5"),
        ({"min_size": 5}, ConfigError, "'pool.min_size' (5) is greater than 'pool.max_size' (4)"),
        ({"max_size": 0, "min_size": 0}, ConfigError, "'pool.max_size' must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        forecast(replace(WANTED, **wrong))
    assert said in str(caught.value)


def test_a_load_in_words() -> None:
    assert asked(WANTED) == "40 requests a second, holding for 50 ms in the mean"
    closed = replace(WANTED, arrivals="closed", workers=8, think_s=0.05, hold="constant")
    assert asked(closed) == "8 workers, thinking for 50 ms in the mean, holding for 50 ms each"


# -- a load while it runs ----------------------------------------------------------------------------------------------


def test_before_anything_has_run() -> None:
    drawn = before_load(*WHERE)
    assert "press start" in drawn.text
    assert "press start" in Parsed(drawn.html).text


def test_while_the_pool_is_being_opened() -> None:
    shown = load_view(running(None))
    assert shown.status == "opening its pool …"
    assert shown.progress == 0
    assert shown.numbers == ()
    assert "NaN" not in picture(shown).html + picture(shown).text


def test_while_it_runs_there_are_figures_and_no_prediction() -> None:
    shown = load_view(running(measured([0.0] * 60 + [0.02] * 40, seconds=2.0, timeouts=3)))
    assert shown.status == "running: 2 of 5 s"
    assert shown.progress == pytest.approx(0.4)
    assert dict(shown.numbers) == {"served": "100", "throughput": "50/s", "timeouts": "3"}
    assert {each.name: each.measured for each in shown.compared} == pytest.approx(
        {"busy": 62.5, "had to wait": 40.0, "mean wait": 8.0, "p95 wait": 20.0}
    )
    assert all(math.isnan(each.expected) and each.verdict == "" for each in shown.compared)
    assert (shown.waits.queued, shown.waits.at_once) == (40, 60)
    text = Parsed(picture(shown).html).text
    assert "Waits of the 40 that had to wait; 60 had a connection at once." in text
    assert "predicted" not in text
    assert load_view(running(shown_measurement(), stopping=True)).status == "stopping …"


def shown_measurement() -> Measurement:
    return measured([0.0] * 5)


def test_few_requests_have_no_percentile() -> None:
    shown = load_view(running(measured([0.01] * 19)))
    assert math.isnan(shown.compared[-1].measured)
    assert "p95" not in picture(shown).text


def test_a_long_run_is_counted_by_its_latest_requests() -> None:
    seen = measured([9.0] * 100 + [0.0] * LATEST)
    shown = load_view(running(seen))
    assert (shown.waits.queued, shown.waits.at_once) == (0, LATEST)
    assert figures_so_far(seen, 4).mean_s == 0
    assert dict(shown.numbers)["served"] == f"{LATEST + 100:,}"


def test_a_curve_reaches_over_the_whole_run() -> None:
    shown = load_view(running(measured([0.0] * 30, seconds=60.0)))
    assert len(shown.in_use_curve) <= POINTS
    assert shown.in_use_curve[0] <= shown.in_use_curve[-1] == 4
    assert max(shown.waiting_curve) == 595  # the peak is not averaged away


# -- a load at its end -------------------------------------------------------------------------------------------------


def test_at_the_end_measured_stands_beside_predicted() -> None:
    shown = load_view(done(measured([0.0] * 165 + [0.02] * 35)))
    assert shown.status == "done after 5.0 s"
    assert shown.progress == 1
    assert {each.name for each in shown.compared if each.low <= each.expected <= each.high} >= {"mean wait", "p95 wait"}
    assert {each.name: each.verdict for each in shown.compared}["had to wait"] == "in the range"
    assert "200 requests got a connection, 40 a second." in shown.sentences
    assert "busy for 50 % of the time, and 18 % of the requests had to wait." in shown.sentences[1]
    assert re.search(r"waited at most 20 ms\. Theory expects [\d.]+ ms, and by chance [\d.]+ to", shown.sentences[2])
    drawn = picture(shown)
    parsed = Parsed(drawn.html)
    assert "in the range" in parsed.text
    assert "predicted by Erlang C" in parsed.text
    assert "p95 of all requests 20 ms" in parsed.text
    assert {"svg", "rect", "circle"} <= set(parsed.tags)
    assert re.search(r"p95 wait +20 ms  predicted [\d.]+ ms \([\d.]+ – [\d.]+ ms\), ", drawn.text)
    (label,) = [value for name, value in parsed.attributes if name == "aria-label"]
    assert re.search(r"done after 5.0 s; served 200, .* 95 % waited at most 20 ms, predicted [\d.]+ ms", label)


@pytest.mark.parametrize(("wait_s", "verdict"), [(0.0001, "below the range"), (0.9, "above the range")])
def test_what_lies_outside_is_said(wait_s: float, verdict: str) -> None:
    wanted = replace(WANTED, rate=72.0)
    shown = load_view(done(measured([wait_s] * 360), wanted))
    assert shown.compared[-1].verdict == verdict
    assert verdict in shown.sentences[2]
    assert ("other work to do" in " ".join(shown.sentences)) == (verdict == "above the range")
    assert verdict in picture(shown).text


def test_the_table_says_the_same_as_the_picture() -> None:
    shown = load_view(done(measured([0.0] * 165 + [0.02] * 35)))
    parsed = Parsed(picture(shown, as_table=True).html)
    assert parsed.tags.count("table") == 2
    assert "rect" not in parsed.tags
    assert "in the range" in parsed.text


def test_nobody_waited() -> None:
    shown = load_view(done(measured([0.0] * 50)))
    assert "Nobody waited: all 50 requests had a connection at once." in Parsed(picture(shown).html).text


def test_a_run_without_any_request() -> None:
    shown = load_view(done(measured([])))
    assert shown.sentences == ("No request was served.",)
    assert "0 requests were served" in " ".join(shown.cautions)
    assert "nan" not in (picture(shown).html + picture(shown).text).lower()


def test_timeouts_and_errors_are_told() -> None:
    seen = measured([0.1] * 30, timeouts=12, errors=2, causes=("server <gone>",))
    shown = load_view(done(seen))
    assert "12 got none in time" in shown.sentences[0]
    assert ("errors", "2") in shown.numbers
    assert "server &lt;gone&gt;" in picture(shown).html


def test_a_refusal_is_an_alarm() -> None:
    facts = LoadFacts(
        WANTED, "a sync pool of the lab's own", 4, "failed", error="this <b>load</b> needs 60 connections"
    )
    drawn = picture(load_view(facts))
    assert "! this <b>load</b> needs 60" in drawn.text
    parsed = Parsed(drawn.html)
    assert "b" in parsed.tags  # the mark of an alarm
    assert "this <b>load</b> needs 60" in parsed.text
    assert ("aria-live", "polite") in parsed.attributes


@settings(max_examples=60, deadline=None)
@given(
    waits_s=st.lists(st.floats(0, 70), max_size=60),
    hold_s=st.floats(1e-6, 60),
    seconds=st.floats(0.001, 62),
    counts=st.tuples(*[st.integers(0, 9)] * 3),
    as_table=st.booleans(),
)
def test_every_measurement_can_be_drawn(
    waits_s: list[float], hold_s: float, seconds: float, counts: tuple[int, int, int], as_table: bool
) -> None:
    timeouts, errors, cut = counts
    seen = measured(
        waits_s, seconds=seconds, hold_s=hold_s, timeouts=timeouts, errors=errors, cut=cut, causes=("why",) * errors
    )
    for facts in (running(seen), done(seen)):
        drawn = picture(load_view(facts), as_table=as_table)
        parsed = Parsed(drawn.html)
        assert not re.search(r"\bnan\b|\binf\b", drawn.html.lower() + drawn.text.lower())
        for name, value in parsed.attributes:
            if name in ("width", "height"):
                assert 0 <= float(value) <= 400


# -- the pool beside it ------------------------------------------------------------------------------------------------


def occupancy() -> View:
    busy = Conn(1, Stage.IN_USE, 3, borrow=Borrow("thread pgmonkey-lab-7", "SELECT 1", 0.2))
    other = Conn(2, Stage.IN_USE, 1, borrow=Borrow("cell [3]", "", 0.2))
    queue = (Borrow("task pgmonkey-lab-12", "", 0.4),)
    facts = Facts(1.0, 2, 2, 0.5, connections=(busy, other), queue=queue)
    return view(facts, remembered(Memory(), facts))


def test_the_labs_threads_are_clients() -> None:
    before = occupancy()
    assert any("pgmonkey-lab-12" in each.what for each in before.alarms)
    shown = with_clients(replace(before, alarms=(*before.alarms, Alarm("the server is full: 9/9 connections"))))
    assert [slot.who for slot in shown.slots] == ["client 7", "cell [3]"]
    assert [each.who for each in shown.facts.queue] == ["client 12"]
    assert [each.what for each in shown.alarms] == ["the server is full: 9/9 connections"]
    drawn = load_drawn(load_view(running(None)), WHERE, (shown, Heading("its pool", "", "")), as_table=False)
    assert "client 7" in Parsed(drawn.html).text
    assert "pgmonkey-lab-" not in drawn.html + drawn.text


# -- lessons -----------------------------------------------------------------------------------------------------------


def test_every_lesson_is_explained() -> None:
    assert list(EXPLAINED) == list(LESSONS)
    for text, what_next in EXPLAINED.values():
        assert 1 <= text.count(".") <= 3
        assert text.endswith(".")
        assert what_next.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_before_and_after(name: str) -> None:
    lesson = LESSONS[name]
    new = lesson_view(LessonFacts(lesson, "async_pool", "new"), NAMES)
    assert new.number == f"lesson {NAMES.index(name) + 1} of 12"
    assert "not run yet" in new.status
    assert (new.answer, new.next, new.rows) == ("", "", ())
    rows = [{"what": "a <b>", "ms": 1.5, "there": True}, {"what": "c", "ms": None, "there": False}]
    answer = Answer(lesson, "pool", rows, "six were served by 3", 0.21)
    shown = lesson_view(LessonFacts(lesson, "pool", "done", answer=answer), NAMES)
    assert shown.status == "measured in 210 ms, over sync pools of its own"
    assert shown.columns == ("what", "ms", "there")
    assert shown.rows == (("a <b>", "1.5", "yes"), ("c", "–", "no"))
    assert shown.numeric == (1,)
    assert shown.answer == "Six were served by 3."
    drawn = lesson_drawn(shown, *WHERE)
    text = Parsed(drawn.html).text
    for said in (lesson.question, *lesson.steps, "a <b>", shown.answer, shown.explanation, shown.next):
        assert said in text
        assert said in drawn.text


def test_a_lesson_on_its_way_stopped_and_failed() -> None:
    facts = LessonFacts(LESSONS["reuse"], "pool", seconds=1.25)
    assert lesson_view(facts, NAMES).status == "running over sync pools of its own: 1.2 s"
    assert lesson_view(replace(facts, stopping=True), NAMES).status == "stopping …"
    assert lesson_view(replace(facts, state="stopped"), NAMES).status.startswith("stopped after 1.2 s, over sync pools")
    failed = lesson_view(replace(facts, state="failed", error="no <route>"), NAMES)
    assert "! no <route>" in lesson_drawn(failed, *WHERE).text
    assert "no &lt;route&gt;" in lesson_drawn(failed, *WHERE).html


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (True, "yes"), (0.5, "0.5"), (1234.5, "1,234.5"), (1575, "1575"), ("x", "x")]
)
def test_a_value_of_a_table(value: object, shown: str) -> None:
    assert cell(value) == shown
