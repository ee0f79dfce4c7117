"""`%pgmonkey lab`: the list, a lesson on the current pool's server, one without any pool, and its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fix_pools import until

from pgmonkey_magic import RequestError, SQLError
from pgmonkey_magic.errors import CellInterrupted
from pgmonkey_magic.tuning.lab import APPLICATION_NAME, LESSONS, LessonRun

if TYPE_CHECKING:
    from pathlib import Path

    from fix_notebook import Shell
    from fix_server import Server


def test_the_list_of_lessons(shell: Shell) -> None:
    table = shell.run("%pgmonkey lab")
    assert table["lesson"].to_list() == list(LESSONS)
    assert table["question"].str.endswith("?").all()


def test_a_lesson_prints_question_steps_and_answer_and_returns_its_table(connected: Shell, server: Server) -> None:
    before = connected.run("%pgmonkey pools")
    table = connected.run("%pgmonkey lab session-state")
    assert table.shape == (4, 3)
    told = table.attrs["pgmonkey"]
    assert told["type"] == before["type"][0]
    assert connected.stdout.startswith(told["question"] + "\n  1. ")
    assert told["answer"] + ".\n" in connected.stdout
    assert connected.run("%pgmonkey pools").equals(before)
    until(lambda: server.backends(APPLICATION_NAME) == 0, 2)


def test_the_kind_of_pool_may_be_chosen(connected: Shell) -> None:
    for kind in ("pool", "async_pool"):
        assert connected.run(f"%pgmonkey lab reuse -t {kind}").attrs["pgmonkey"]["type"] == kind


def test_without_a_pool_it_is_the_demos_server(shell: Shell) -> None:
    assert len(shell.run("%pgmonkey lab reuse")) == 6
    assert shell.run("%pgmonkey pools").empty


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lab reus", "did you mean reuse?"),
        ("lab nosuch", "the lessons are reuse, queueing,"),
        ("lab reuse stale", "usage: %pgmonkey lab [LESSON]"),
        ("lab reuse -t fast", "unknown connection type"),
    ],
)
def test_what_is_no_lesson_is_said(connected: Shell, line: str, said: str) -> None:
    error = connected.error(f"%pgmonkey {line}")
    assert isinstance(error, RequestError)
    assert said in str(error)


def test_a_server_that_has_gone_gives_its_own_reason(shell: Shell, tmp_path: Path) -> None:
    session = shell.ip.find_line_magic("pgmonkey").__self__.session
    shell.run(
        f"from pgmonkey_magic.pools import get_cached; from pgmonkey_magic.config import parse_config\n"
        f"pool = get_cached(parse_config({{'connection_settings': {{'host': '{tmp_path}'}}}}), 'pool')"
    )
    session._pools["gone"] = type("Named", (), {"name": "gone", "pool": shell["pool"]})()
    session._current = "gone"
    assert isinstance(shell.error("%pgmonkey lab reuse"), SQLError)


def test_an_interrupt_stops_the_lesson(connected: Shell, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[LessonRun] = []
    wait = LessonRun.wait

    def interrupted(run: LessonRun, timeout_s: float | None = None) -> bool:
        if not runs:
            runs.append(run)
            wait(run, 0.3)
            raise KeyboardInterrupt
        return wait(run, timeout_s)

    monkeypatch.setattr(LessonRun, "wait", interrupted)
    error = connected.error("%pgmonkey lab queueing")
    assert isinstance(error, CellInterrupted)
    assert runs[0].done()
    until(lambda: server.backends(APPLICATION_NAME) == 0, 2)
