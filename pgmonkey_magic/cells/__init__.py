"""A cell as a value: Request → Job → Result. No IPython, no widgets; nothing here prints."""

from pgmonkey_magic.cells.binding import described
from pgmonkey_magic.cells.job import Cancelled, Job, JobState
from pgmonkey_magic.cells.request import Request
from pgmonkey_magic.cells.result import CommandResult, Result, ResultSets, Timings
from pgmonkey_magic.cells.session import NamedPool, Session

__all__ = [
    "Cancelled",
    "CommandResult",
    "Job",
    "JobState",
    "NamedPool",
    "Request",
    "Result",
    "ResultSets",
    "Session",
    "Timings",
    "described",
]
