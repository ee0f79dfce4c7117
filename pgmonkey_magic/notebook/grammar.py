"""The one parsing rule of `%pgmonkey` and `%%pgmonkey`.

Line: options are read from the left until the first token that is none (or `--`). If that word is a subcommand, it is
one (no PostgreSQL command starts with such a word); otherwise the rest of the line is SQL, verbatim.
Cell: the first line holds options and an optional `name <<`; the body is SQL, verbatim.
A subcommand that takes SQL (`export PATH`) stands in either: its arguments and options come first, and what follows
them, as on a line or in a cell without it, is SQL.

SQL never passes through any splitting, unquoting or formatting: it is a slice of the text that was typed.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgmonkey_magic.cells.uploading import MODES
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.address import ADDRESS, refuse_password
from pgmonkey_magic.notebook.near import elsewhere
from pgmonkey_magic.notebook.near import near as _near
from pgmonkey_magic.results import CHOICES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = re.compile(
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>"""
    r"""(?:(?:-p|--param)=)?[^\W\d]\w*=(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S)+|\S+))"""
)
"""A word, or what stands in quotes. Quoted parts of a `name=…`, which `-p` takes, stay, and may hold blanks."""
NAME = re.compile(r"""\s*(?:'(?P<single>[^']*)'|(?P<bare>(?:"[^"]*"|[^\s"'])+|\S+))""")
"""A TOKEN whose double quotes stay, because they are SQL's."""
INTO = re.compile(r"\s*(?P<name>\S+)\s*<<\s*$")
INTO_ON_A_LINE = re.compile(r"\s*(?!(?i:select)\b)(?P<name>\w+(?:,\w+)*)\s*<<")
"""No statement begins so, but for SELECT with a prefix operator `<<` that somebody may have made."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option; without a `metavar` it is a flag."""

    names: tuple[str, ...]
    metavar: str | None
    help: str
    repeats: bool = False
    choices: tuple[str, ...] = ()
    """The words that may follow it; where none does, the first is meant."""

    @property
    def key(self) -> str:
        """The long name without its dashes."""
        return self.names[-1].lstrip("-")


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One word of `%pgmonkey WORD`."""

    word: str
    usage: str
    help: str
    options: tuple[Option, ...] = ()
    arguments: tuple[int, int] = (0, 0)
    """The least and the most positional arguments."""
    takes_sql: bool = False
    """Whether it is about SQL, which follows its arguments on the line or is the body of the cell."""
    is_job: bool = False
    """Whether it runs as a cell does, with SQL of its own."""
    verbatim: tuple[int, ...] = ()
    """Which of its arguments keep their double quotes, as names of SQL do."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that were given, by long name without dashes, with their values in order; a flag's is empty text."""

    given: dict[str, list[str]]

    def value(self, key: str) -> str | None:
        """Return the value of an option, None where it was not given."""
        return self.given[key][-1] if key in self.given else None

    def values(self, key: str) -> list[str]:
        """Return every value of an option that may be repeated."""
        return self.given.get(key, [])

    def has(self, key: str) -> bool:
        """Tell whether the option was given."""
        return key in self.given


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand to carry out."""

    word: str
    options: Options
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """SQL to run; `into` are the names to bind the results to, `command` the subcommand that takes it, if one does.

    A subcommand that is a job has no SQL here.
    """

    sql: str
    options: Options
    into: tuple[str, ...]
    command: Command | None = None


PLANS = ("plan", "analyze")
KINDS = (*CHOICES["kind"], "chunks")
TYPE = Option(("-t", "--type"), "TYPE", "pool or async_pool; the file's own type otherwise")
KIND_OF_POOL = Option(("-t", "--type"), "TYPE", "pool or async_pool")
CELL_OPTIONS = (
    Option(("-o", "--out"), "NAME[,NAME…]", "bind the result(s) to these names and show only the footer"),
    Option(("-q", "--quiet"), None, "show neither result nor footer; `_pg` holds the result"),
    Option(("-c", "--config"), "NAME_OR_PATH", "an open pool or a YAML file, for this cell only"),
    Option(("-t", "--type"), "TYPE", "pool or async_pool, for this cell only"),
    Option(("-p", "--param"), "NAME=EXPR", "what :name means, as a Python expression; may be repeated", repeats=True),
    Option(("--params",), "DICT", "what the parameters mean, as an expression for a dict"),
    Option(("-f", "--file"), "PATH", "the SQL of a file"),
    Option(("-n", "--max-rows"), "N", "stop after N rows of each query and say so"),
    Option(("--parallel",), "N", "fetch one big result over up to N idle connections, in one snapshot"),
    Option(("--as",), "|".join(KINDS), "what rows come as; chunks iterates over DataFrames"),
    Option(("--dtypes",), "|".join(CHOICES["dtypes"]), "dtypes of a DataFrame; numpy is without nullable ones"),
    Option(("--decimals",), "|".join(CHOICES["decimals"]), "numeric as float, or exact"),
    Option(("--chunk-rows",), "N", "rows of a chunk (default 100,000)"),
    Option(
        ("-e", "--explain"),
        "[plan|analyze]",
        "the plan instead of the rows; analyze runs the statement and rolls back",
        choices=PLANS,
    ),
    Option(("--commit",), None, "keep what --explain analyze has written"),
    Option(("-b", "--background"), None, "return a Job at once: await it, or see the words jobs and cancel"),
    Option(
        ("--copy-from",), "PATH_OR_NAME", "the rows of COPY … FROM STDIN: a file, or a DataFrame's or open file's name"
    ),
    Option(("--copy-to",), "PATH_OR_NAME", "where the rows of COPY … TO STDOUT go: a file, or an open file's name"),
    Option(("--timeout",), "SEC", "the most that a statement of the cell may take"),
    Option(("--read-only",), None, "the cell may write nothing"),
    Option(("--isolation",), "LEVEL", "read-committed, repeatable-read or serializable"),
    Option(("--rollback",), None, "roll back at the end instead of committing: to try something"),
    Option(("-N", "--dry-run"), None, "show the statements, their values and the pool; send nothing"),
    Option(("--wait",), "SEC", "wait that long for a connection instead of the pool's timeout"),
    Option(("--autocommit",), None, "no transaction around the cell: for VACUUM, CREATE DATABASE and the like"),
)
OF_EXPORT = {
    *("out", "quiet", "config", "type", "param", "params", "file", "decimals", "background", "timeout", "wait"),
    *("read-only", "isolation", "rollback", "autocommit", "dry-run"),
}
OF_UPLOAD = {"out", "quiet", "config", "type", "background", "timeout", "wait", "rollback"}
SUBCOMMANDS = {
    subcommand.word: subcommand
    for subcommand in (
        Subcommand("demo", "demo [-t TYPE]", "connect to an embedded PostgreSQL with sample data", (KIND_OF_POOL,)),
        Subcommand(
            "connect",
            "connect PATH [--as NAME] [-t TYPE] [--resolve-env]",
            "connect to the server of a YAML file and make it the current pool",
            (
                Option(("--as",), "NAME", "the name of the pool in this notebook; the database's otherwise"),
                TYPE,
                Option(("--resolve-env",), None, "resolve ${VAR}, from_env and from_file in the file"),
            ),
            (1, 1),
        ),
        Subcommand("use", "use NAME", "make an open pool the current one", (), (1, 1)),
        Subcommand("pools", "pools", "the open pools as a DataFrame"),
        Subcommand(
            "disconnect",
            "disconnect [NAME | --all]",
            "close a pool; the current one without a name",
            (Option(("--all",), None, "close every pool of this notebook"),),
            (0, 1),
        ),
        Subcommand(
            "stats", "stats [NAME]", "waits and holds of the open pools: counts, rates, p50, p95, p99", (), (0, 1)
        ),
        Subcommand(
            "tune",
            "tune [NAME] [key=value … [--save PATH] [--undo] [--yes]]",
            "change pool settings while cells run, and say what takes effect when; without any, sliders for them",
            (
                Option(("--save",), "PATH", "write the settings into this YAML file; its comments stay"),
                Option(("--undo",), None, "go back to the settings before the last change"),
                Option(("--yes",), None, "grow even beyond what the server has free"),
            ),
            (0, 12),
        ),
        Subcommand("check", "check [NAME]", "replace the idle connections whose server end has gone", (), (0, 1)),
        Subcommand("recycle", "recycle [NAME]", "replace every connection", (), (0, 1)),
        Subcommand(
            "audit",
            "audit [NAME] [--processes N]",
            "pool sizes against the server's limits, and the safety of its settings",
            (Option(("--processes",), "N", "how many processes will each have such a pool (default 1)"),),
            (0, 1),
        ),
        Subcommand(
            "export",
            "export PATH [options] SQL",
            "the rows of a query into a .csv, .tsv (also .gz) or .parquet file; in a cell the SQL is its body",
            tuple(option for option in CELL_OPTIONS if option.key in OF_EXPORT),
            (1, 1),
            takes_sql=True,
        ),
        Subcommand(
            "upload",
            "upload DF TABLE [--mode MODE] [--key COL,…] [-c NAME]",
            "a DataFrame into a table by COPY, in one transaction; a missing table is created",
            (
                Option(
                    ("--mode",),
                    "|".join(MODES),
                    "if the table exists: fail (default), append, replace its rows, or upsert by --key",
                ),
                Option(("--key",), "COL[,COL…]", "the columns by which an upsert finds the row to update"),
                *(option for option in CELL_OPTIONS if option.key in OF_UPLOAD),
            ),
            (2, 2),
            is_job=True,
            verbatim=(1,),
        ),
        Subcommand("panel", "panel [NAME]", "a pool live: who holds which connection, who waits for one", (), (0, 1)),
        Subcommand(
            "lab",
            "lab [LESSON] [-t TYPE] [--text]",
            "try loads and lessons out, over pools that are nobody else's; as text, a lesson or the list of them",
            (
                KIND_OF_POOL,
                Option(("--text",), None, "a DataFrame instead of the panel, as where no panel can be shown"),
            ),
            (0, 1),
        ),
        Subcommand("jobs", "jobs", "what runs, in the background or not, as a DataFrame"),
        Subcommand("cancel", "cancel ID", "cancel a job: the server stops its statement and rolls back", (), (1, 1)),
        Subcommand("help", "help [WORD]", "this help, or that of one word", (), (0, 1)),
    )
}
BLANKS = " \t\r\n\f\v"
"""PostgreSQL's; to the server a no-break space is a letter of a name."""


def parse_line(line: str) -> Query | Command:
    """Read a line magic. Raises RequestError for an unknown option or a subcommand's wrong arguments."""
    options, rest = _options(line, CELL_OPTIONS, "%pgmonkey")
    if options.has("file") and not rest.strip():
        return Query("", options, _names(options.value("out")))
    _refuse_into(rest)
    if ADDRESS.match(rest.lstrip()):
        refuse_password(rest)
    word = _word(rest) or "help"
    if word not in SUBCOMMANDS:
        return Query(rest.strip(BLANKS), options, _names(options.value("out")))
    command, rest = _command(SUBCOMMANDS[word], options, rest)
    if SUBCOMMANDS[word].is_job:
        return Query("", command.options, _names(command.options.value("out")), command)
    if not SUBCOMMANDS[word].takes_sql:
        return command
    if not rest.strip() and not command.options.has("file"):
        raise RequestError(f"usage: %pgmonkey {SUBCOMMANDS[word].usage}, or %%pgmonkey with the SQL in the lines below")
    _refuse_into(rest)
    return Query(rest.strip(BLANKS), command.options, _names(command.options.value("out")), command)


def _refuse_into(rest: str) -> None:
    if match := INTO_ON_A_LINE.match(rest):
        name = match["name"]
        where = f"the first line of a cell (%%pgmonkey {name} <<)"
        raise RequestError(f"`{name} <<` belongs to {where}; on a line write -o {name}, or {name} = %pgmonkey …")


def parse_cell(line: str, body: str) -> Query:
    """Read a cell magic. Raises RequestError for an unknown option or SQL on the first line."""
    options, rest = _options(line, CELL_OPTIONS, "%%pgmonkey")
    subcommand = SUBCOMMANDS.get(_word(rest))
    if subcommand is None or not subcommand.takes_sql or INTO.match(rest):
        return Query(body, options, _into(options, rest))
    command, rest = _command(subcommand, options, rest)
    return Query(body, command.options, _into(command.options, rest), command)


def _into(options: Options, rest: str) -> tuple[str, ...]:
    """Return the names of `--out`, or of `name <<` in what is left of a cell's first line."""
    into = _names(options.value("out"))
    if match := INTO.match(rest):
        if into:
            raise RequestError(f"the result has two places to go: --out {','.join(into)} and {match['name']} <<")
        return _names(match["name"])
    if rest.strip():
        refuse_password(rest)
        near = _near(_word(rest), SUBCOMMANDS)
        cell = "%%pgmonkey" if near and SUBCOMMANDS[near].takes_sql else "a line of its own: %pgmonkey"
        raise RequestError(
            f"the first line of a cell holds only options and `name <<`, not {_word(rest)!r}; "
            + (f"for the word {near} use {cell} {near}" if near else "move SQL to the next line")
        )
    return into


def _word(text: str) -> str:
    return text.split(maxsplit=1)[0] if text.strip() else ""


def _command(subcommand: Subcommand, before: Options, text: str) -> tuple[Command, str]:
    """Read a subcommand with its arguments and options; return it, and what follows them if it takes SQL.

    *before* are the options that stand before its word, where none may.
    """
    if before.given:
        raise RequestError(f"options come after the word: %pgmonkey {subcommand.usage}")
    if not subcommand.takes_sql:
        refuse_password(text)
    text = "-- " * (subcommand.word == "help") + text.lstrip()[len(subcommand.word) :]  # help may be asked of an option
    least, most = subcommand.arguments
    given: dict[str, list[str]] = {}
    arguments: list[str] = []
    while text.strip():
        options, text = _options(text, subcommand.options, f"%pgmonkey {subcommand.word}", given)
        given = options.given
        if subcommand.takes_sql and len(arguments) == most:
            break
        if match := (NAME if len(arguments) in subcommand.verbatim else TOKEN).match(text):
            arguments.append(unquoted(match))
            text = text[match.end() :]
    if not least <= len(arguments) <= most:
        raise RequestError(f"usage: %pgmonkey {subcommand.usage}")
    return Command(subcommand.word, Options(given), tuple(arguments)), text


def _options(
    text: str, known: Sequence[Option], where: str, before: Mapping[str, list[str]] | None = None
) -> tuple[Options, str]:
    """Read options from the left, on top of those *before*; return them and the untouched rest."""
    by_name = {name: option for option in known for name in option.names}
    given = {key: [*values] for key, values in (before or {}).items()}
    while match := TOKEN.match(text):
        word = match["bare"]
        if word is None or not word.startswith("-") or word == "-":
            break
        text = text[match.end() :]
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name not in by_name:
            near = _near(name, by_name)
            raise RequestError(
                f"{where} has no option {name}; "
                + (f"did you mean {near}?" if near else f"it has {', '.join(o.names[-1] for o in known) or 'none'}")
            )
        option = by_name[name]
        if option.metavar is None and equals:
            raise RequestError(f"{name} is a flag and takes no value")
        if option.metavar is not None and not equals:
            value, text = _value(option, name, text)
        if option.key in given and not option.repeats:
            raise RequestError(f"{name} is given twice")
        given.setdefault(option.key, []).append(value)
    return Options(given), text


def _value(option: Option, name: str, text: str) -> tuple[str, str]:
    """Read an option's value at the start of *text*; return it and the rest."""
    match = TOKEN.match(text)
    if option.choices and (match is None or match["bare"] not in option.choices):
        return option.choices[0], text
    if match is None:
        raise RequestError(f"{name} needs a value: {name} {option.metavar}")
    return unquoted(match), text[match.end() :]


def unquoted(match: re.Match[str]) -> str:
    """Return what a TOKEN says, without its quotes."""
    return next(group for group in match.groups() if group is not None)


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")) if text is not None else ()
    if text is not None and not all(names):
        raise RequestError(f"names are written with commas and without blanks, as in --out a,b; this is {text!r}")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise RequestError(f"{name!r} is no Python name to bind a result to")
    return names


def near_subcommand(word: str) -> str | None:
    """Return the subcommand that *word* may have been meant to be, or what does here what it does elsewhere."""
    return elsewhere(word) or _near(word, SUBCOMMANDS)
