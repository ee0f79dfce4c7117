"""One run of a cell, from the queue for a connection to the DataFrame.

Every run is a Job with a thread of its own; a foreground cell is a job that the cell waits for. So the main thread
never waits inside a pool or a driver, and Ctrl-C always finds it in a wait that can be left: it cancels the job.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import psycopg

from pgmonkey_magic.cells import backslash, session_state, sqlerror
from pgmonkey_magic.cells.awaiting import loop_awake, say
from pgmonkey_magic.cells.conversation import MAX_NOTICES, Transcript, converse
from pgmonkey_magic.cells.conversion import Borrow, convert
from pgmonkey_magic.cells.explaining import Explained
from pgmonkey_magic.cells.progress import Progress, Stopped
from pgmonkey_magic.cells.ways import Exchange, Statement, StatementFailed
from pgmonkey_magic.cells.workers import in_thread
from pgmonkey_magic.errors import PgMonkeyError, RequestError
from pgmonkey_magic.pools import CommitLost, Crew, Keep, Terms, transaction_outcome
from pgmonkey_magic.results import CopyRefused

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from psycopg.abc import PQGen
    from psycopg.errors import Diagnostic

    from pgmonkey_magic.cells.binding import Command
    from pgmonkey_magic.cells.request import Request
    from pgmonkey_magic.cells.result import Result
    from pgmonkey_magic.pools import Lease, PGAsyncPool, PGPool

CANCEL_TIMEOUT_S = 1.0
"""How long the server's answer to a cancel request is waited for."""
CANCEL_ATTEMPTS, AFTER_CANCEL_S = 4, 0.4
"""How often a cancellation is asked for, and how long its effect is waited for: a request that reaches the server
between two statements is lost, and a person expects an end within two seconds."""

_numbers = itertools.count(1)


class Cancelled(PgMonkeyError):  # noqa: N818 - what happened, as in asyncio and concurrent.futures
    """The job was cancelled before it ended; its transaction was rolled back."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"job {job_id} was cancelled; its transaction was rolled back")


class JobState(StrEnum):
    """Where a job is. The last three are final."""

    WAITING = "waiting"
    RUNNING = "running"
    CONVERTING = "converting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """A running or finished cell; `Job.start` begins one. Its methods may be called from any thread.

    `id` counts up within the process. `await job` and `job.result()` give the cell's value. `notices` are the server's
    messages so far, as `SEVERITY: text`, at most 100, and `remarks` what else must be said; `progress` tells what has
    travelled; `backend_pid` is the server process that runs it, None while none does.
    """

    def __init__(self, request: Request, pool: PGPool | PGAsyncPool, pool_name: str, keep: Keep) -> None:
        self.id = next(_numbers)
        self.request = request
        self.pool = pool
        self.pool_name = pool_name
        self.state = JobState.WAITING
        self.notices: list[str] = []
        self.remarks = [*request.remarks]
        self.notices_dropped = 0
        self.progress = Progress()
        self.backend_pid: int | None = None
        self._keep = keep
        self._future: Future[Result] = Future()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._lease: Lease[Any] | None = None
        self._cancelled = False
        self._why_stopped: PgMonkeyError | None = None
        self._borrow: Borrow | None = None
        self._started_at = self._requested_at = time.monotonic()
        self._ended_at: float | None = None

    @classmethod
    def start(cls, request: Request, pool: PGPool | PGAsyncPool, pool_name: str, keep: Keep | None = None) -> Job:
        """Begin to run *request* on a connection of *pool*, or on the one in *keep*, whose transaction is open.

        What the SQL leaves open stays in *keep*; without one it is rolled back.
        """
        job = cls(request, pool, pool_name, keep or Keep())
        in_thread(job._run, f"pgmonkey-job-{job.id}")
        return job

    # -- waiting for it ---------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most *timeout* seconds; tell whether the job has ended.

        An interrupt may leave it at any step: it waits on a queue, whose wait holds no Python lock.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            # The bell rings once for any number of waiters, so each looks again after a while.
            step = 0.1 if deadline is None else min(0.1, deadline - time.monotonic())
            if step <= 0:
                return self.done()
            with suppress(queue.Empty):
                self._bell.get(timeout=step)
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the cell's value. Raises what the job raised, or TimeoutError; it then goes on.

        The value is a DataFrame, a CommandResult, or ResultSets of several.
        """
        return self.outcome(timeout).value

    def outcome(self, timeout: float | None = None) -> Result:
        """Do the same and return the whole account: value, timings, notes, notices."""
        if not self.wait(timeout):
            raise TimeoutError(f"job {self.id} is still {self.state} after {timeout:g} s")
        return self._future.result()

    def __await__(self) -> Generator[Any, None, Any]:
        # Shielded: giving up the wait is not cancelling the job.
        try:
            with loop_awake():
                return (yield from asyncio.shield(asyncio.wrap_future(self._future)).__await__()).value
        except asyncio.CancelledError as cancelled:
            say(cancelled, f"you stopped waiting; job {self.id} still runs: job.cancel() ends it")
            raise

    def done(self) -> bool:
        """Tell whether the job has ended, one way or another."""
        return self._ended_at is not None

    @property
    def seconds(self) -> float:
        """How long it has run, waiting included; once it has ended, how long it did."""
        return (self._ended_at or time.monotonic()) - self._started_at

    def cancel(self) -> bool:
        """Leave the queue, or have the server stop the statement and roll back; tell whether the job has ended.

        Returns within about two seconds. `result` then raises Cancelled, unless the job had already committed. False
        means that the server does not answer: the connection is closed as soon as it does.
        """
        for _ in range(CANCEL_ATTEMPTS):
            self._ask_to_cancel()
            if self.wait(AFTER_CANCEL_S):
                return True
        return False

    def stop(self, why: PgMonkeyError) -> bool:
        """Cancel the job for a reason, which `result` then raises instead of Cancelled; tell whether it has ended.

        A server that sends rows which it has all computed, as FETCH and RETURNING have it, hears of no cancel before it
        has sent them: then the connection is cut, and the transaction ends with it.
        """
        self._why_stopped = why
        if self.cancel():
            return True
        with self._lock:
            if self._lease is not None:
                with socket.socket(fileno=os.dup(self._lease.conn.pgconn.socket)) as end, suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        return self.wait(AFTER_CANCEL_S)

    def _stopped(self) -> PgMonkeyError:
        return self._why_stopped or Cancelled(self.id)

    def _ask_to_cancel(self) -> None:
        with self._lock:
            self._cancelled, lease = True, self._lease
            self.progress.stopped = True
            if lease is not None:
                # The statement may end by itself just now: a cancel still on its way must not meet the next borrower.
                lease.spoiled = True
        if lease is not None:
            with suppress(psycopg.Error):  # out of reach, or closed already because the statement has ended
                self.pool.cancel(lease, timeout=CANCEL_TIMEOUT_S)
        if self.state is JobState.WAITING:
            # Its thread may stay in the queue for a while; it gives back what it gets.
            self._end(JobState.CANCELLED, self._stopped())

    def all_notices(self) -> tuple[str, ...]:
        """Return the messages so far, and how many more there were."""
        more = (f"… and {self.notices_dropped} more notices",) if self.notices_dropped else ()
        return (*self.notices, *more)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.state} · {self.request.holder.who} · {self.request.holder.query}>"

    # -- in the job's own thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            # Before any clock, and not on the loop that all async pools share: the first import takes a second.
            from pgmonkey_magic.results import decoding  # noqa: F401, PLC0415

            with self._alone_in_transaction():
                transcript = self._talk()
            self.state = JobState.CONVERTING
            assert self._borrow is not None  # noqa: S101 - a transcript implies a grant
            result = convert(transcript, self._borrow, self.all_notices(), self._remarks())
        except BaseException as error:  # noqa: BLE001 - a thread's end: the error travels to whoever asks for the result
            self._end(JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED, error)
        else:
            self._end(JobState.DONE, result)

    @contextmanager
    def _alone_in_transaction(self) -> Iterator[None]:
        """Keep others out of the open transaction, if there is one, while this job is at work in it."""
        if self._keep.lease is None:
            yield
        elif not self._keep.lock.acquire(blocking=False):
            raise RequestError("another cell is at work in the open transaction; wait until it has ended")
        else:
            try:
                yield
            finally:
                self._keep.lock.release()

    def _remarks(self) -> list[str]:
        lease = self._keep.lease
        remarks = [] if lease is None else [f"transaction open {lease.ticket.seconds():.0f} s"]
        if self.request.rollback:
            remarks.append("rolled back")
        elif lease is None and (gone := self._gone()):
            remarks.append(gone)
        return [*remarks, *self.remarks]

    def _gone(self) -> str | None:
        """Remember the temporary tables that have ended with the cell; return the remark on what it did for nothing."""
        request = self.request
        if isinstance(request.way, Explained):
            return None
        self._keep.ended |= dict.fromkeys(session_state.temporary_tables(request.sql), request.holder.who)
        is_async = self.pool.connection_type.startswith("async")
        return session_state.remark(request.sql, "async_settings" if is_async else "sync_settings")

    def _end(self, state: JobState, outcome: Result | BaseException) -> None:
        with self._lock:
            if self._future.done():
                return
            self.state = state
            if isinstance(outcome, BaseException):
                self._future.set_exception(outcome)
            else:
                self._future.set_result(outcome)
            self._ended_at = time.monotonic()
        self._bell.put(None)

    def _granted(self, lease: Lease[Any]) -> None:
        self._borrow = Borrow(self.pool_name, self.pool.occupancy, time.monotonic() - self._requested_at)
        with self._lock:
            if self._cancelled:
                raise self._stopped()
            self._lease = lease
            self.state = JobState.RUNNING
        self.backend_pid = lease.conn.pgconn.backend_pid

    def _talk(self) -> Transcript:
        self._requested_at = time.monotonic()
        try:
            if backslash.is_backslash(self.request.sql):
                return self.pool.lend(self._look, self._terms(), self._granted)
            if self.request.way.blocks:
                return self.pool.lend(lambda conn: conn.hold(self._converse(conn)), self._terms(), self._granted)
            return self.pool.run(self._converse, self._terms(), self._granted)
        except CopyRefused as error:
            raise RequestError(
                "COPY has another end here: give the rows of COPY … FROM STDIN by --copy-from, take those of COPY … TO "
                "STDOUT by --copy-to, each with a path or a name of the notebook"
            ) from error
        except Stopped as error:
            raise self._stopped() from error
        except CommitLost as error:
            outcome = transaction_outcome(self.pool.config, self.pool.connection_type, error)
            raise sqlerror.commit_lost(self.request, outcome) from error.__cause__
        except PgMonkeyError:
            raise
        except StatementFailed as failed:
            raise self._explained(failed.error, failed.command) from failed.error
        except psycopg.Error as error:
            raise self._explained(error) from error

    def _terms(self) -> Terms:
        request = self.request
        if backslash.is_backslash(request.sql):
            return Terms(request.holder, backslash.SENT, request.wait_s, self._keep)
        # Without a transaction to end it, what is set for the cell outlives it.
        sent = f"{request.opening}; {request.sql}" if request.in_charge and request.opening else request.sql
        return Terms(request.holder, sent, request.wait_s, self._keep)

    def _explained(self, error: psycopg.Error, command: Command | None = None) -> PgMonkeyError:
        if self._why_stopped or (self._cancelled and isinstance(error, psycopg.errors.QueryCanceled)):
            return self._stopped()
        return sqlerror.explain(error, self.request, command, self._keep)

    def _converse(self, conn: Any) -> PQGen[Transcript]:
        try:
            assert self._lease is not None  # noqa: S101 - it is where the connection comes from
            crew = Crew(self.pool, self._lease, self._terms(), self._on_notice)
            return (yield from converse(Exchange(conn, self.progress, crew), self.request, self._on_notice))
        finally:
            self._let_go()

    def _look(self, conn: Any) -> Transcript:
        """Carry out backslash commands, for which the connection is lent to this thread."""
        began_at = time.monotonic()
        try:
            found = [
                Statement(description.title, description.rowcount, description.frame, description.footer)
                for command in backslash.commands(self.request.sql)
                for description in backslash.describe(conn, command)
            ]
        finally:
            self._let_go()
        return Transcript(tuple(found), time.monotonic() - began_at, 0.0)

    def _let_go(self) -> None:
        """Cancel nothing from here on: the connection goes back."""
        with self._lock:
            self._lease = self.backend_pid = None

    def _on_notice(self, diag: Diagnostic) -> None:
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(f"{diag.severity}: {diag.message_primary}")
        else:
            self.notices_dropped += 1
