"""A cell as a value: Request → Job → Result. No IPython, no widgets; nothing here prints."""

from pgmonkey_magic.cells.backslash import is_backslash
from pgmonkey_magic.cells.binding import described
from pgmonkey_magic.cells.chunks import Chunks, InChunks
from pgmonkey_magic.cells.copying import CopyIn, CopyOut
from pgmonkey_magic.cells.direct import Direct, query, run
from pgmonkey_magic.cells.explaining import Explained
from pgmonkey_magic.cells.job import Cancelled, Job, JobState
from pgmonkey_magic.cells.request import Request
from pgmonkey_magic.cells.result import CommandResult, Result, ResultSets, Timings
from pgmonkey_magic.cells.session import NamedPool, Session
from pgmonkey_magic.cells.ways import AsItIs, FirstRows, Way

__all__ = [
    "AsItIs",
    "Cancelled",
    "Chunks",
    "CommandResult",
    "CopyIn",
    "CopyOut",
    "Direct",
    "Explained",
    "FirstRows",
    "InChunks",
    "Job",
    "JobState",
    "NamedPool",
    "Request",
    "Result",
    "ResultSets",
    "Session",
    "Timings",
    "Way",
    "described",
    "is_backslash",
    "query",
    "run",
]
