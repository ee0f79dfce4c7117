"""The lab: loads and lessons on a real server, over pools that are nobody else's. No widgets.

    load ─ clients ─ notes ─ report       what is asked, who asks, what was seen, how it compares with the prediction
    run          a load against a pool: watched, stopped, ended
    own_pool     pools under the lab's own name, at most half of what the server has free
    bench ─ lesson ─ lessons              one question each, with a measured answer

Everything is bounded: 32 clients, 60 s, half of the free connections; it ends by itself, or within a second on request.
"""

from pgmonkey_magic.tuning.lab.background import LabStopped
from pgmonkey_magic.tuning.lab.lesson import Answer, Lesson, LessonRun
from pgmonkey_magic.tuning.lab.lessons import LESSONS
from pgmonkey_magic.tuning.lab.load import MAX_RATE, MAX_SECONDS, MAX_WORKERS, Load
from pgmonkey_magic.tuning.lab.notes import Measurement, Moment, Served
from pgmonkey_magic.tuning.lab.own_pool import APPLICATION_NAME, allowance
from pgmonkey_magic.tuning.lab.report import Bin, Report, histogram
from pgmonkey_magic.tuning.lab.run import LoadRun

__all__ = [
    "APPLICATION_NAME",
    "LESSONS",
    "MAX_RATE",
    "MAX_SECONDS",
    "MAX_WORKERS",
    "Answer",
    "Bin",
    "LabStopped",
    "Lesson",
    "LessonRun",
    "Load",
    "LoadRun",
    "Measurement",
    "Moment",
    "Report",
    "Served",
    "allowance",
    "histogram",
]
