"""The twelve lessons, each with one question and a measured answer.

borrowing   reuse, exhaustion, interrupt
holding     leak, self-deadlock
sizes       queueing, growth, shrink, too big
sessions    stale connections, idle in transaction, session state
"""

from __future__ import annotations

from pgmonkey_magic.tuning.lab.lessons import borrowing, holding, sessions, sizes

_ORDER = (
    "reuse",
    "queueing",
    "exhaustion",
    "growth",
    "shrink",
    "stale",
    "leak",
    "idle-in-transaction",
    "self-deadlock",
    "session-state",
    "interrupt",
    "too-big",
)
_BY_NAME = {lesson.name: lesson for module in (borrowing, holding, sizes, sessions) for lesson in module.LESSONS}
LESSONS = {name: _BY_NAME[name] for name in _ORDER}
"""By name, in the order in which they build on each other."""
