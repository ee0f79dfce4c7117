"""`%pgmonkey` and `%%pgmonkey`: parse, delegate, deliver.

The way of a cell: (line, body) → grammar.Query → cells.Request → Job → Result → display. Footers are shown after the
cell's own output, so they are collected and displayed when the cell has run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display
from traitlets import Bool, Enum, Float, Unicode, observe

from pgmonkey_magic.cells import Cancelled, Chunks, CommandResult, Direct, InChunks, Job, Result, Session, described
from pgmonkey_magic.errors import CellInterrupted, PgMonkeyError, RequestError, SQLError
from pgmonkey_magic.notebook import display as show
from pgmonkey_magic.notebook.asking import asked_for
from pgmonkey_magic.notebook.commands import Commands
from pgmonkey_magic.notebook.grammar import Command, Query, near_subcommand, parse_cell, parse_line
from pgmonkey_magic.notebook.help import help_text
from pgmonkey_magic.notebook.live import follow, is_kernel
from pgmonkey_magic.notebook.names import Names

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@magics_class
class PgMonkey(Magics):
    """Run PostgreSQL in a cell, over a pooled connection. `%pgmonkey help` says how."""

    default_config = Unicode("", help="YAML file to connect to when a cell runs before any connect.").tag(config=True)
    resolve_env = Bool(False, help="Resolve ${VAR}, from_env and from_file in every file.").tag(config=True)
    footer = Enum(["on", "off"], "on", help="Whether the quiet line under a cell is shown.").tag(config=True)
    short_errors = Bool(True, help="Show errors in a few lines; False gives the whole traceback.").tag(config=True)

    memory_warn = Float(0.5, min=0, help="Warn when a result has taken this share of the memory that was free.").tag(
        config=True
    )
    memory_stop = Float(0.8, min=0, help="Stop a result that has taken this share of the memory that was free.").tag(
        config=True
    )

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._ip = shell  # to a type checker `Magics.shell` may be None
        Direct.session = self.session = Session()
        self._commands = Commands(self.session)
        self._footers: list[str] = []
        self._told: Any = None
        self._lines: list[str] = []

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def pgmonkey(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Run SQL, or carry out a subcommand; `%pgmonkey help` lists both."""
        self.session.default_config, self.session.resolve_env = self.default_config, self.resolve_env
        self.session.memory.warn, self.session.memory.stop = self.memory_warn, self.memory_stop
        asked = parse_line(line) if cell is None else parse_cell(line, cell)
        if isinstance(asked, Command):
            return self._commands.carry_out(asked)
        request = asked_for(asked, Names(local_ns or {}, self._ip.user_ns), self._cell_number())
        named = self.session.resolve(asked.options.value("config"), asked.options.value("type"))
        if asked.options.has("dry-run"):
            is_open = self.session.keep_of(named.pool).lease is not None
            lines = [*described(request, is_open=is_open), f"nothing was sent; the pool is {named.name}"]
            display(show.shown_lines(lines, show.PLAN_STYLE))
            return None
        job = self.session.start(request, named)
        if asked.options.has("background"):
            return self._handed_over(asked, job)
        if isinstance(request.way, InChunks):
            return self._handed_over(asked, Chunks.begin(job, request.way.channel))
        return self._deliver(asked, self._awaited(asked, job), is_cell=cell is not None)

    def _cell_number(self) -> int:
        # Not `execution_count`: IPython 9.18 has counted on when a cell runs, older ones have not. A cell whose input
        # is not stored has no number.
        history = self._ip.history_manager
        stored = len(history.input_hist_parsed) - 1 if history is not None else 0
        return stored or self._ip.execution_count

    def _handed_over(self, query: Query, value: Job | Chunks) -> Job | Chunks | None:
        self._ip.user_ns["_pg"] = value
        if query.into:
            name, *others = query.into
            if others:
                raise RequestError("a background job is one value, for one name; job.result() gives its results")
            self._ip.user_ns[name] = value
            if isinstance(value, Job) and not query.options.has("quiet"):
                display(value)  # its line
            return None
        return value

    def _awaited(self, query: Query, job: Job) -> Result:
        try:
            if not query.options.has("quiet"):
                follow(job, in_place=is_kernel(self._ip))
            return job.outcome()
        except KeyboardInterrupt:
            raise _interrupted(job) from None
        except SQLError as error:
            raise _with_word_hint(error, job.request.sql) from error.__cause__

    def _deliver(self, query: Query, result: Result, *, is_cell: bool) -> Any:
        self._ip.user_ns["_pg"] = result.value
        quiet = query.options.has("quiet")
        if not quiet and self.footer == "on":
            self._footers.append(show.footer(result))
            self._told = result.value
        if query.into:
            self._bind(query.into, result)
            return None
        if not quiet:
            self._lines += result.lines
        return None if quiet and is_cell else result.value

    def _bind(self, names: tuple[str, ...], result: Result) -> None:
        frames = [value for value in result.sets if not isinstance(value, CommandResult)]
        values = next((v for v in ([result.value], frames, result.sets) if len(v) == len(names)), None)
        if values is None:
            raise RequestError(
                f"{len(names)} names for {len(result.sets)} results; the cell has run, and `_pg` holds them all"
            )
        self._ip.user_ns.update(zip(names, values, strict=True))

    def show_footers(self, *_: object) -> None:
        """Show what the cell that has just run left to say; IPython's `post_run_cell` calls it."""
        footers, self._footers, self._told = self._footers, [], None
        lines, self._lines = self._lines, []
        if lines:
            display(show.shown_lines(lines, show.PLAN_STYLE))
        if footers:
            display(show.shown_footers(footers))

    def show_command(self, result: CommandResult) -> None:
        """Show nothing for what the footer of this cell tells; IPython asks before it shows a value."""
        if result is not self._told:
            raise NotImplementedError  # IPython's way to let it be shown as any other value

    @observe("short_errors")
    def _set_short_errors(self, change: Any) -> None:
        PgMonkeyError.short_errors = change["new"]


# What `%pgmonkey?` shows.
PgMonkey.pgmonkey.__doc__ = f"Run SQL, or carry out a word.\n\n{help_text()}"


def _interrupted(job: Job) -> CellInterrupted:
    """Cancel the job, see how it ended, and say so."""
    if not job.cancel():
        return CellInterrupted("the server does not answer; the connection is closed as soon as it does")
    try:
        job.outcome()
    except Cancelled:
        return CellInterrupted("the statement was cancelled and its transaction rolled back")
    except PgMonkeyError as error:
        return CellInterrupted(f"while the cell was being cancelled, it failed: {error}")
    return CellInterrupted("the cell had already committed")


def _with_word_hint(error: SQLError, sql: str) -> SQLError:
    """Add the subcommand that the first word may have been meant to be, where the server stumbled over that word."""
    at_start = error.diag is not None and error.diag.statement_position == "1"
    if at_start and (near := near_subcommand(sql.split(maxsplit=1)[0].lower())):
        error.add_note(f"HINT: if this is no SQL, did you mean %pgmonkey {near}?")
    return error
