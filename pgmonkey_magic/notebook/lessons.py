"""`%pgmonkey lab` without widgets: the list of lessons, or one of them with its question, answer and table."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from pgmonkey_magic.cells.session import pooled_type, prove
from pgmonkey_magic.config import parse_config
from pgmonkey_magic.errors import CellInterrupted, RequestError
from pgmonkey_magic.tuning.lab import LESSONS, Lesson, LessonRun

if TYPE_CHECKING:
    import pandas as pd

    from pgmonkey_magic.cells import Session
    from pgmonkey_magic.config import Config


def lessons_table() -> pd.DataFrame:
    """Return what there is to learn."""
    import pandas as pd  # noqa: PLC0415 - loading the extension must not wait for pandas

    return pd.DataFrame([{"lesson": lesson.name, "question": lesson.question} for lesson in LESSONS.values()])


def taught(session: Session, name: str, connection_type: str | None) -> pd.DataFrame:
    """Run a lesson on the server of the current pool, or else on the demo's; print question and answer.

    The pools are the lesson's own. Returns the table; its `attrs` hold the rest. Raises RequestError for a lesson that
    is none, SQLError where the server cannot be reached, CellInterrupted on Ctrl-C.
    """
    import pandas as pd  # noqa: PLC0415

    lesson = lesson_named(name)
    config, its_type = server_of(session)
    kind = pooled_type(connection_type) if connection_type else its_type
    prove(config, kind)
    print(lesson.question, *(f"  {i}. {step}" for i, step in enumerate(lesson.steps, 1)), sep="\n")  # noqa: T201
    try:
        answer = LessonRun.begin(lesson, config, kind).outcome()
    except KeyboardInterrupt:
        raise CellInterrupted("the lesson was stopped; what it had opened is closed") from None
    print(f"In {answer.seconds:.1f} s, over pools of type {kind}: {answer.sentence}.")  # noqa: T201
    table = pd.DataFrame(answer.rows)
    table.attrs["pgmonkey"] = {
        "lesson": lesson.name,
        "question": lesson.question,
        "answer": answer.sentence,
        "seconds": answer.seconds,
        "type": kind,
    }
    return table


def lesson_named(name: str) -> Lesson:
    """Return a lesson; RequestError where there is none of that name."""
    if name in LESSONS:
        return LESSONS[name]
    near = get_close_matches(name, LESSONS, n=1)
    known = f"did you mean {near[0]}?" if near else f"the lessons are {', '.join(LESSONS)}"
    raise RequestError(f"there is no lesson {name!r}; {known}")


def server_of(session: Session) -> tuple[Config, str]:
    """Return the configuration and the type of the current pool, or of the demo's server, which it starts then."""
    if (named := session.current) is not None:
        return named.pool.config, named.pool.connection_type
    from pgmonkey_magic.demo import start_demo  # noqa: PLC0415 - not everybody wants a server

    return parse_config(start_demo().config()), "pool"
