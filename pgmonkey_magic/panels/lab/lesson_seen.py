"""What is shown of a lesson, made of facts: frozen values and pure functions on them. `picture` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pgmonkey_magic.panels.drawing import seconds
from pgmonkey_magic.panels.lab.explained import EXPLAINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgmonkey_magic.panels.lab.seen import State
    from pgmonkey_magic.tuning.lab import Answer, Lesson


@dataclass(frozen=True, slots=True)
class LessonFacts:
    """A lesson, how far it is and what came of it."""

    lesson: Lesson
    connection_type: str
    state: State | Literal["new"] = "running"
    stopping: bool = False
    seconds: float = 0.0
    answer: Answer | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class LessonView:
    """All that is shown of a lesson."""

    name: str
    number: str
    question: str
    explanation: str
    steps: tuple[str, ...]
    state: State | Literal["new"]
    status: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numeric: tuple[int, ...] = ()
    answer: str = ""
    next: str = ""
    error: str = ""


def lesson_view(facts: LessonFacts, names: Sequence[str]) -> LessonView:
    """Return what to show of a lesson; *names* are those of all lessons, in order."""
    lesson, explained, answer = facts.lesson, EXPLAINED[facts.lesson.name], facts.answer
    rows = answer.rows if answer else []
    columns = tuple(rows[0]) if rows else ()
    return LessonView(
        name=lesson.name,
        number=f"lesson {names.index(lesson.name) + 1} of {len(names)}",
        question=lesson.question,
        explanation=explained.text,
        steps=lesson.steps,
        state=facts.state,
        status=_lesson_status(facts),
        columns=columns,
        rows=tuple(tuple(cell(row[column]) for column in columns) for row in rows),
        numeric=tuple(i for i, column in enumerate(columns) if any(_is_number(row[column]) for row in rows)),
        answer=_sentence(answer.sentence) if answer else "",
        next=explained.next if answer else "",
        error=facts.error,
    )


def _lesson_status(facts: LessonFacts) -> str:
    kind = "sync" if facts.connection_type == "pool" else "async"
    if facts.state == "new":
        return f"not run yet; it will use {kind} pools of its own"
    if facts.state == "running":
        return "stopping …" if facts.stopping else f"running over {kind} pools of its own: {seconds(facts.seconds)}"
    if facts.state == "failed":
        return "failed"
    took = seconds(facts.answer.seconds if facts.answer else facts.seconds)
    return f"{'stopped after' if facts.state == 'stopped' else 'measured in'} {took}, over {kind} pools of its own"


def cell(value: object) -> str:
    """Return a value of a lesson's table as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
