"""A cell as a value: Request → Job → Result. No IPython, no widgets; nothing here prints."""

from pgmonkey_magic.cells.backslash import is_backslash
from pgmonkey_magic.cells.binding import described
from pgmonkey_magic.cells.chunks import Chunks, InChunks
from pgmonkey_magic.cells.copying import CopyIn, CopyOut
from pgmonkey_magic.cells.direct import Direct, query, run, upload
from pgmonkey_magic.cells.explaining import Explained
from pgmonkey_magic.cells.export import ENDINGS, Export
from pgmonkey_magic.cells.job import Cancelled, Job, JobState
from pgmonkey_magic.cells.parallel import Parallel
from pgmonkey_magic.cells.request import Request
from pgmonkey_magic.cells.result import CommandResult, Result, ResultSets, Timings
from pgmonkey_magic.cells.session import NamedPool, Session
from pgmonkey_magic.cells.uploading import MODES, Upload
from pgmonkey_magic.cells.ways import AsItIs, FirstRows, Way

__all__ = [
    "ENDINGS",
    "MODES",
    "AsItIs",
    "Cancelled",
    "Chunks",
    "CommandResult",
    "CopyIn",
    "CopyOut",
    "Direct",
    "Explained",
    "Export",
    "FirstRows",
    "InChunks",
    "Job",
    "JobState",
    "NamedPool",
    "Parallel",
    "Request",
    "Result",
    "ResultSets",
    "Session",
    "Timings",
    "Upload",
    "Way",
    "described",
    "is_backslash",
    "query",
    "run",
    "upload",
]
