"""What `%pgmonkey help` prints: all at a glance, or of one word its options and examples, or a topic."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS, Option, Subcommand

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMS = """\
  %pgmonkey [options] SQL             run one line:   df = %pgmonkey SELECT 1
  %%pgmonkey [options] [name <<]      run a cell; any PostgreSQL, any number of statements, one transaction
  %pgmonkey WORD …                    one of the words below
  %pgmonkey \\d NAME, \\dt, \\?          the commands of psql that look at the catalogue"""

EXAMPLES = {
    "demo": ("%pgmonkey demo", "%pgmonkey demo -t async_pool"),
    "connect": ("%pgmonkey connect pgmonkey_config.yaml", "%pgmonkey connect orders.yaml --as orders --resolve-env"),
    "use": ("%pgmonkey use orders",),
    "pools": ("%pgmonkey pools",),
    "disconnect": ("%pgmonkey disconnect orders", "%pgmonkey disconnect --all"),
    "stats": ("%pgmonkey stats",),
    "tune": ("%pgmonkey tune", "%pgmonkey tune max_size=20 timeout=5", "%pgmonkey tune max_size=20 --save orders.yaml"),
    "check": ("%pgmonkey check",),
    "recycle": ("%pgmonkey recycle orders",),
    "audit": ("%pgmonkey audit --processes 4",),
    "export": ("%pgmonkey export orders.parquet SELECT * FROM orders", "%%pgmonkey export orders.csv.gz\nTABLE orders"),
    "upload": ("%pgmonkey upload df shop.orders", "%pgmonkey upload df orders --mode upsert --key order_id"),
    "panel": ("%pgmonkey panel",),
    "lab": ("%pgmonkey lab", "%pgmonkey lab reuse", "%pgmonkey lab queueing --text"),
    "jobs": ("%pgmonkey jobs",),
    "cancel": ("%pgmonkey cancel 3",),
    "help": ("%pgmonkey help connect", "%pgmonkey help parallel", "%pgmonkey help parameters"),
}
"""For each word. They are parsed by the tests."""

TOPICS = {
    "parameters": """\
parameters: values of the notebook in SQL, sent as values, never as a part of the SQL's text that could be read as SQL
  :name      a bound value; lists are arrays (= ANY(:ids)), dicts jsonb, None NULL
  :'name'    a quoted literal, where the server takes no bound values
  :"name"    a quoted name of a table or a column; a list is schema and table
  a name is looked up in the function around the line, then in the notebook; -p name=EXPR comes first
  EXPR is Python, in which only what stands in quotes may hold blanks: -p who="two words", or all of it: -p "n=[1, 2]"
  --dry-run shows what would be sent; a slice without lower bound is written x[: n]
  COPY, by which the rows of most queries come, takes no bound values: there a value goes out as a quoted literal of the
  type that the server has determined, and pg_stat_activity and the server's log can show it""",
    "transactions": """\
transactions: a cell is one, all of its statements or none
  it commits at its end, and rolls back on an error; --rollback undoes it anyway
  a cell with BEGIN, COMMIT or ROLLBACK is run statement by statement, and you are in charge: what BEGIN opens goes on
  in the next cells until COMMIT or ROLLBACK, and the footer says for how long it is open
  --autocommit is for what cannot run inside of one: VACUUM, CREATE DATABASE and the like""",
    "backslash": """\
backslash: the commands of psql that look at the catalogue, each on a line: \\d orders, \\dt, \\df *total*, \\sf NAME
  %pgmonkey \\? lists them; those that write files or change the session are refused, with what to use instead""",
    "values": """\
values: what a cell returns, and `_pg` always holds the last one
  rows: a DataFrame; its account of the cell is df.attrs["pgmonkey"]
  no rows: a CommandResult with .tag and .rowcount
  several statements: ResultSets, or the DataFrame if only one returned rows
  --as df|polars|arrow|dicts|scalar|chunks asks for another kind; -b returns a Job""",
}


def help_text(asked: str | None = None) -> str:
    """Return the help of one word, option or topic, or the whole. Raises RequestError for anything else."""
    if asked is None:
        return _everything()
    if asked in SUBCOMMANDS:
        return _of_word(SUBCOMMANDS[asked])
    if asked in TOPICS or asked.startswith("\\"):
        return TOPICS[asked if asked in TOPICS else "backslash"]
    named = [option for option in CELL_OPTIONS if asked in (*option.names, option.key)]
    if named:
        return f"{_option_lines(named)}\nnotebook 20_cell_options shows every option at work"
    known = [*SUBCOMMANDS, *TOPICS]
    near = get_close_matches(asked, [*known, *(option.key for option in CELL_OPTIONS)], n=1)
    raise RequestError(f"there is no help for {asked!r}; " + (f"did you mean {near[0]}?" if near else _and_so(known)))


def _everything() -> str:
    words = "\n".join(_in_columns(word.usage, 52, word.help) for word in SUBCOMMANDS.values())
    more = f"%pgmonkey help WORD has examples; so have the topics {', '.join(TOPICS)}"
    return f"{FORMS}\n\noptions\n{_option_lines(CELL_OPTIONS)}\n\nwords\n{words}\n\n{more}"


def _of_word(word: Subcommand) -> str:
    examples = "\n".join(f"    {line}" for example in EXAMPLES[word.word] for line in example.splitlines())
    options = f"{_option_lines(word.options)}\n" if word.options else ""
    return f"%pgmonkey {word.usage}\n  {word.help}\n{options}  for example\n{examples}"


def _and_so(known: Sequence[str]) -> str:
    return f"there is some for {', '.join(known)}, and for each option"


def _option_lines(options: Sequence[Option]) -> str:
    return "\n".join(_in_columns(", ".join(o.names) + " " + (o.metavar or ""), 28, o.help) for o in options)


def _in_columns(left: str, width: int, right: str) -> str:
    gap = " " if len(left) <= width else "\n" + " " * (width + 3)
    return f"  {left:<{width}}{gap}{right}"
