"""What the peers can do, probed: `python tests/benchmarks/features.py` prints the table of FEATURES.md.

Each cell is the outcome of a probe below, in a process of its own, against an embedded PostgreSQL over TCP;
`feature_peers` has what a person would write for each peer. "–" is a thing that the peer has no way to do, † a row
from documentation. `pip install "pgmonkey-magic[bench]"` brings the peers; those that are missing are left out.
`--rows` and `--peers` choose by beginnings of names; `--pgmonkey PYTHON` is an interpreter that has pgmonkey.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from feature_peers import PEERS, holding
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXTS = {
    "JSON": ("""SELECT '{"a": 1}'::jsonb ->> 'a'""", "1"),
    "{{ }}": ("SELECT '{{x}}'", "{{x}}"),
    "LIKE 'a%'": ("SELECT 'abc' LIKE 'a%'", True),
    "7 % 3": ("SELECT 7 % 3", 1),
    "[1:2]": ("SELECT (ARRAY[5,6,7])[1:2]::text", "{5,6}"),
    "':a'": ("SELECT ':a'", ":a"),
    "time": ("SELECT '12:30:45'::time::text", "12:30:45"),
    "$$": ("SELECT $$it's :b {c} %s$$", "it's :b {c} %s"),
    "jsonb ?": ("""SELECT '{"k": 1}'::jsonb ? 'k'""", True),
    "E''": (r"SELECT E'a\'b;c'", "a'b;c"),
    "comment": ("-- a comment; it's one\nSELECT 1", 1),
    "nested comment": ("SELECT /* a /* b; */ ' */ 1", 1),
    "BEGIN ATOMIC": (
        "CREATE FUNCTION made() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        ("SELECT made()", 2),
    ),
    "DO": ("DO $$ BEGIN CREATE TABLE made (n int); END $$", ("SELECT to_regclass('made')::text", "made")),
}
KINDS = {
    "VALUES": ("VALUES (1)", 1),
    "TABLE": ("TABLE few", 1),
    "SHOW": ("SHOW max_connections", "100"),
    "EXPLAIN": ("EXPLAIN SELECT 1", "Result  (cost=0.00..0.01 rows=1 width=4)"),
    "INSERT … RETURNING": ("INSERT INTO kept VALUES (7) RETURNING n", 7),
    "no rows": ("SELECT n FROM few WHERE n < 0", None),
}
WIDE = (
    "i AS id, (i * 7.25)::numeric(12,2) AS amount, CASE WHEN i % 5 > 0 THEN 'customer ' || i % 1000 END AS name,"
    " timestamptz '2020-01-01' + i * interval '1 minute' AS at, i * 0.25::float8 AS ratio, md5(i::text) AS code"
)
VALUE = """O'Hara "x"; -- :y {{z}} %s"""
DIGITS = "12345678901234567890.123456789"
PASSWORD, APPLICATION = "features", "features"


class Server:
    """A look at the server from outside, and at what it logs."""

    def __init__(self, conninfo: str, log: str) -> None:
        self.conn = psycopg.connect(make_conninfo(conninfo, application_name="outside"), autocommit=True)
        self.log = Path(log)

    def value(self, sql: str) -> Any:
        return self.conn.execute(sql).fetchone()[0]

    def backends(self, more: str = "") -> int:
        """Count the peer's connections."""
        return self.value(
            f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{APPLICATION}'"
            f" AND backend_type = 'client backend' {more}"
        )

    @contextlib.contextmanager
    def logged(self) -> Iterator[list[str]]:
        """Give the list that the block's lines of the log will stand in, but for our own."""
        lines: list[str] = []
        before = self.log.stat().st_size
        yield lines
        time.sleep(0.2)
        new = self.log.read_bytes()[before:].decode(errors="replace")
        lines += [line for line in new.splitlines() if " outside " not in line]


# -- probes ------------------------------------------------------------------------------------------------------------


def counted(peer: Any, server: Server, cases: dict[str, tuple[str, Any]]) -> str:
    """Return how many of the texts gave the right answer, for the best of the peer's ways."""
    outcomes = {}
    for label, run in peer.texts().items():
        outcomes[label] = [name for name, case in cases.items() if not is_right(peer, server, run, *case)]
        server.conn.execute("DROP TABLE IF EXISTS made; DROP FUNCTION IF EXISTS made")
    label = min(outcomes, key=lambda label: len(outcomes[label]))
    shown = f"{len(cases) - len(outcomes[label])} of {len(cases)}"
    shown += f" with {label} ({len(cases) - len(outcomes[''])} without)" if label else ""
    return shown + (f"; not {', '.join(outcomes[label])}" if outcomes[label] else "")


def is_right(peer: Any, server: Server, run: Callable[[str], Any], sql: str, expected: Any) -> bool:
    """Tell whether a text gives its first value, or has made what a query finds."""
    try:
        if isinstance(expected, tuple):
            peer.script(sql)
            return server.value(expected[0]) == expected[1]
        df = run(sql)
        return (len(df.columns) == 1 and df.empty) if expected is None else df.iloc[0, 0] == expected
    except Exception:  # noqa: BLE001 - whatever a peer raises is a wrong answer
        return False


def as_sent(peer: Any, server: Server) -> str:
    sql = "SELECT /* note */ count(*)  FROM  few"
    with server.logged() as lines:
        peer.run(sql)
    sent = "\n".join(lines)
    if sql in sent:
        return "in COPY (…)" if f"COPY ({sql}" in sent else "yes"
    return "without comments" if "note" not in sent else "changed"


def bound(peer: Any, server: Server) -> str:
    with server.logged() as lines:
        came = peer.bound(VALUE).iloc[0, 0]
    on_server = any("$1" in line for line in lines)
    return ("bound on the server" if on_server else "pasted") + ("" if came == VALUE else f", comes back as {came!r}")


def all_results(peer: Any, _: Server) -> str:
    values = [df.iloc[0, 0] for df in peer.results("SELECT 1 AS a; SELECT 2 AS b")]
    return {(1, 2): "both", (1,): "the first only", (2,): "the last only"}[tuple(values)]


def all_or_nothing(peer: Any, server: Server) -> str:
    two = "INSERT INTO kept VALUES (1); INSERT INTO kept VALUES (1 / 0)"
    return undone(peer, server, lambda: peer.script(two), [two])


def spread(peer: Any, server: Server) -> str:
    insert, rollback = "INSERT INTO kept VALUES (2)", "ROLLBACK"
    return undone(peer, server, lambda: peer.held(["BEGIN", insert, rollback]), [insert, rollback])


def undone(peer: Any, server: Server, way: Callable[[], Any], by_hand: list[str]) -> str:
    """Tell whether what was inserted is gone; a peer that has another way is tried with autocommit off as well."""
    outcomes, ways = [], [way]
    if hasattr(peer, "by_hand"):
        ways.append(lambda: peer.by_hand(by_hand))
    for run in ways:
        server.conn.execute("TRUNCATE kept")
        try:
            run()
        except Exception as error:  # noqa: BLE001 - one of the statements is to fail, by whatever a peer raises
            reason = "" if "zero" in str(error) else f" ({words(error)})"
        else:
            reason = ""
        outcomes.append(said(not reason and server.value("SELECT count(*) FROM kept") == 0) + reason)
        if outcomes[-1] == "yes":
            break
    return "; with autocommit off ".join(outcomes)


def temporary(peer: Any, server: Server) -> str:
    with_one = kept_table(peer)
    threaded(peer, server)
    with_more = kept_table(peer)
    if with_one == with_more:
        return with_one
    return f"{with_one} with one connection open, {with_more} with {server.backends()}"


def kept_table(peer: Any) -> str:
    """Tell whether a temporary table is there for the next statement."""
    for label, before, after in (("yes", [], []), ("only after BEGIN", ["BEGIN"], ["ROLLBACK"])):
        name = f"mine{time.monotonic_ns()}"
        with contextlib.suppress(Exception):
            peer.held([*before, f"CREATE TEMPORARY TABLE {name} AS SELECT 1 AS n"])
            peer.run(f"SELECT n FROM {name}")
            peer.held(after)
            return label
    return "no"


def typed(values: str, judge: Callable[[Any, str], tuple[bool, str]]) -> Callable[[Any, Server], str]:
    """Return the probe of a column `x`: what it is by default and, if that is not right, in the first way that is."""

    def column(peer: Any, _: Server) -> str:
        shown: list[str] = []
        for label, run in peer.frames().items():
            try:
                df = run(f"SELECT x FROM (VALUES {values}) v(x)")
                right, text = judge(next((value for value in df.x if value is not None), None), str(df.x.dtype))
            except BaseException as error:  # noqa: BLE001 - the outcome that is asked for
                right, text = False, words(error)
            if right or not label:
                shown.append(f"{text} with {label}" if label else text)
            if right:
                break
        return "; ".join(shown)

    return column


def peak(read: Callable[[str], int]) -> str:
    """Return the most memory that a million rows take above what ten rows have taken."""
    read("SELECT * FROM big LIMIT 10")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read("SELECT * FROM big") == 1_000_000
    return f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MiB"


def parallel(peer: Any, server: Server) -> str:
    with server.logged() as lines:
        peer.parallel("SELECT * FROM big")
    count = len({line.split()[0] for line in lines if "COPY" in line and "big" in line})
    snapshot = "one snapshot" if any("TRANSACTION SNAPSHOT" in line for line in lines) else "a snapshot each"
    return f"{count} connections, {snapshot}"


def upload(peer: Any, server: Server) -> str:
    import pandas as pd

    server.conn.execute("DROP TABLE IF EXISTS sent")
    with server.logged() as lines:
        peer.upload(pd.DataFrame({"n": [1, 2], "word": ["a", "b"]}), "sent")
    assert server.value("SELECT count(*) FROM sent") == 2
    return "COPY" if any("COPY" in line and "FROM STDIN" in line for line in lines) else "INSERT"


def threaded(peer: Any, _: Server) -> str:
    sql = "SELECT pg_backend_pid() AS pid, pg_sleep(0.3)::text AS s"
    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(lambda _: int(peer.threaded(sql).pid.iloc[0]), range(8)))
    return f"{len(pids)} connection{'s' * (len(pids) > 1)} for 8 queries"


def tasks(peer: Any, _: Server) -> str:
    started = time.monotonic()
    pids = asyncio.run(peer.tasks("SELECT pg_backend_pid() AS pid, pg_sleep(0.5)::text AS s", 4))
    return said(len(set(pids)) == 4 and time.monotonic() - started < 2, "one after the other")


def open_again(peer: Any, server: Server) -> str:
    peer.run("SELECT 1 AS x")
    before = settled(server)
    peer.open_again()
    return said(settled(server) <= before, "no")


def exhausted(peer: Any, _: Server) -> str:
    try:
        block = peer.pool_of_one()
        with holding(block), block():
            pass
    except Exception as error:  # noqa: BLE001 - the outcome that is asked for
        if "loader" in "".join(traceback.format_exception(error)):
            return "yes"
        render = getattr(error, "_render_traceback_", list)
        lines = [line.strip() for line in render() if "loader" in line]
        return f"in a notebook (“{lines[0]}”), not in a plain traceback" if lines else f"no ({words(error, 50)})"
    return "no error"


def shrink(peer: Any, server: Server) -> str:
    threaded(peer, server)
    before = settled(server)
    peer.shrink()
    time.sleep(1)
    return f"{before} → {server.backends()} connections in 1 s"


def picture(peer: Any, _: Server) -> str:
    peer.run("SELECT 1 AS x")
    with holding(peer.block):
        return said("loader" in peer.picture(), "numbers, not who holds")


def interrupt(peer: Any, server: Server) -> str:
    peer.run("SELECT 1 AS x")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
    killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -INT {os.getpid()}"])
    started = time.monotonic()
    try:
        peer.run("SELECT pg_sleep(30)::text AS x")
        outcome = "not heard"
    except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt, or what a peer makes of it
        outcome = named(error)
    took = time.monotonic() - started - 1
    killer.wait()
    time.sleep(0.2)
    runs = server.backends("AND state = 'active'")
    return f"{outcome} after {took:.1f} s; query {'still runs' if runs else 'ended'}; next query {attempt(peer)}"


def attempt(peer: Any) -> str:
    """Run a small query and tell whether it works."""
    try:
        return "works" if peer.run("SELECT 1 AS x").iloc[0, 0] == 1 else "gives something else"
    except Exception as error:  # noqa: BLE001 - the outcome that is asked for
        return f"fails ({words(error)})"


def restart(peer: Any, _: Server) -> str:
    peer.run("SELECT 1 AS x")
    print("restart", flush=True)
    input()
    if (first := attempt(peer)) == "works":
        return first
    if attempt(peer) == "works":
        return f"{first}, the next one works"
    peer.open()
    return f"{first}, and so on; connected anew it {attempt(peer)}"


def in_background(peer: Any, server: Server) -> str:
    started = time.monotonic()
    peer.in_background("SELECT pg_sleep(9)")
    time.sleep(2)
    return said(time.monotonic() - started < 8 and server.backends("AND state = 'active'") == 1)


def cancellable(peer: Any, server: Server) -> str:
    run, cancel = peer.cancellable("SELECT pg_sleep(20)::text AS x")

    def until_cancelled() -> None:
        with contextlib.suppress(Exception):
            run()

    thread = threading.Thread(target=until_cancelled)
    thread.start()
    time.sleep(1)
    cancel()
    started = time.monotonic()
    thread.join()
    return said(time.monotonic() - started < 2 and server.backends("AND state = 'active'") == 0)


def progress(peer: Any, _: Server) -> str:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    try:
        for setup in peer.setup():
            client.execute_interactive(setup, output_hook=lambda _: None)
        client.execute(f"%{peer.MAGIC} SELECT pg_sleep(3)")
        started, shown, is_busy = time.monotonic(), 0, True
        while is_busy:
            message = client.get_iopub_msg(timeout=20)
            is_busy = message["content"].get("execution_state") != "idle"
            shown += 0.5 < time.monotonic() - started < 2.8 and message["msg_type"] == "update_display_data"
        return f"yes, {shown} times in 3 s" if shown else "no"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def backslash(peer: Any, _: Server) -> str:
    outcomes = []
    for command, found in ((r"\dt", "kept"), (r"\d few", "integer")):
        try:
            outcomes.append(said(found in str(peer.backslash(command))))
        except Exception as error:  # noqa: BLE001 - the outcome that is asked for
            outcomes.append(words(error))
    return "; ".join(outcomes)


def completed(peer: Any, _: Server) -> str:
    from IPython.core.completer import provisionalcompleter

    text = f"%%{peer.MAGIC}\nSELECT * FROM fe"
    for _attempt in range(20):
        with provisionalcompleter():
            if any(found.text == "few" for found in peer.shell.Completer.completions(text, len(text))):
                return "yes"
        time.sleep(0.25)
    return "no"


def requirements(peer: Any, _: Server) -> str:
    needs = importlib.metadata.requires(peer.PACKAGE) or []
    pandas = next((need for need in needs if re.match(r"pandas\b[^;]*$", need)), "")
    python = importlib.metadata.metadata(peer.PACKAGE)["Requires-Python"] or "not said"
    return f"{python} · {pandas}" if pandas else python


TYPES: dict[str, tuple[str, Callable[[Any, str], tuple[bool, str]]]] = {
    "`int4` with a NULL": ("(1::int4), (NULL)", lambda _, dtype: ("int" in dtype.lower(), dtype)),
    "`int8` 2⁶⁰+1 beside a NULL": (
        f"({2**60 + 1}::int8), (NULL)",
        lambda value, dtype: ((off := int(value) - 2**60 - 1) == 0, f"{off:+d} ({dtype})" if off else "exact"),
    ),
    "`numeric` of 29 digits": (
        f"({DIGITS})",
        lambda value, _: (repr(value) == f"Decimal('{DIGITS}')", named(value) + ", exact" * (str(value) == DIGITS)),
    ),
    "`timestamptz`": ("(timestamptz '2026-07-01 12:00+02')", lambda value, dtype: (value.tzinfo is not None, dtype)),
    "`date 'infinity'`": ("(date 'infinity')", lambda value, _: (str(value) in {"infinity", "inf"}, f"{value}")),
    "`interval '1 mon 2 days'`": (
        "(interval '1 mon 2 days')",
        lambda value, _: (named(value) == "DateOffset", f"{named(value)} {value}"),
    ),
    "`int[]`": ("(ARRAY[1, 2])", lambda value, _: (not isinstance(value, str), named(value))),
    "`jsonb`": ("""('{"a": [1]}'::jsonb)""", lambda value, _: (not isinstance(value, str), named(value))),
}
ROWS: dict[str, tuple[Callable[[Any, Server], str], str]] = {
    "SQL in a cell, without Python around it": (
        lambda peer, _: said(peer.cell(f"%%{peer.MAGIC}\nSELECT 6 * 7 AS x").iloc[0, 0] == 42),
        "cell",
    ),
    f"{len(TEXTS)} texts as they are: right answers": (lambda peer, server: counted(peer, server, TEXTS), "texts"),
    "VALUES, TABLE, SHOW, EXPLAIN, RETURNING, no rows: right": (
        lambda peer, server: counted(peer, server, KINDS),
        "texts",
    ),
    "The server gets the text as typed": (as_sent, "run"),
    "A value with quotes, bound": (bound, "bound"),
    "`SELECT 1; SELECT 2`": (all_results, "results"),
    "Two statements, the second fails: both undone": (all_or_nothing, "script"),
    "BEGIN, INSERT, ROLLBACK, one by one": (spread, "held"),
    "A temporary table is there for the next statement": (temporary, "held"),
    **{title: (typed(*case), "frames") for title, case in TYPES.items()},
    "A million rows at once: peak memory": (lambda peer, _: peak(lambda sql: len(peer.run(sql))), "run"),
    "… in chunks": (lambda peer, _: peak(lambda sql: sum(len(chunk) for chunk in peer.chunks(sql))), "chunks"),
    "One result over several connections": (parallel, "parallel"),
    "A DataFrame into a table": (upload, "upload"),
    "4 threads": (threaded, "threaded"),
    "4 asyncio tasks at once": (tasks, "tasks"),
    "Opened twice with one configuration: shared": (open_again, "open_again"),
    "Nothing left: the error names the holder": (exhausted, "pool_of_one"),
    "A full pool of 4 made one of 1": (shrink, "shrink"),
    "A look at the pool: says who holds": (picture, "picture"),
    "Ctrl-C in `pg_sleep(30)`": (interrupt, "run"),
    "Server restarted: the next query": (restart, "run"),
    "Runs in the background": (in_background, "in_background"),
    "Cancelled from elsewhere": (cancellable, "cancellable"),
    "Tells while it runs how far it is": (progress, "setup"),
    "Tab completes a table's name": (completed, "setup"),
    r"psql's `\dt`; `\d few`": (backslash, "backslash"),
    "A table's profile": (lambda peer, _: said("mean" in peer.profile()), "profile"),
    "A saved query used in another": (lambda peer, _: said(peer.snippet().iloc[0, 0] == 6), "snippet"),
    "Plots in SQL": (lambda peer, _: said("Axes" in peer.plot()), "plot"),
    "Python; what it needs of pandas": (requirements, "run"),
    "Databases †": (lambda peer, _: peer.DATABASES, "run"),
}


# -- the table ---------------------------------------------------------------------------------------------------------


def named(value: Any) -> str:
    return type(value).__name__


def said(holds: bool, otherwise: str = "no") -> str:
    return "yes" if holds else otherwise


def words(error: BaseException, length: int = 40) -> str:
    """Return an error's class and first words."""
    text = " ".join(str(error).split())
    return f"{named(error)}: {text if len(text) <= length else text[:length] + '…'}"


def settled(server: Server) -> int:
    """Return the number of the peer's connections when it has not changed for a second."""
    counts = [server.backends()]
    while len(counts) < 5 or len(set(counts[-5:])) > 1:
        time.sleep(0.25)
        counts.append(server.backends())
    return counts[-1]


def probe(row: str, name: str, conninfo: str, log: str) -> None:
    """Print a cell as JSON: what runs in a process of its own."""
    run, needs = ROWS[row]
    peer = PEERS[name](conninfo)
    try:
        text = run(peer, Server(conninfo, log))
        if note := peer.NOTES.get("restart" if run is restart else needs):
            text += f" ({note})"
    except Exception as error:  # noqa: BLE001 - the table shows it
        text = words(error)
    print(json.dumps(text), flush=True)
    os._exit(0)  # threads of a query that nobody can end must not hold the process


def asked(python: str, row: str, name: str, cluster: Any, conninfo: str) -> str:
    """Return a cell, from a process of its own, and restart the server when that one asks for it."""
    if not hasattr(PEERS[name], ROWS[row][1]):
        return "–"
    log = str(cluster.base / "server.log")
    arguments = [python, __file__, "--probe", row, name, conninfo, log]
    child = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    guard = threading.Timer(120, child.kill)
    guard.start()
    line = ""
    for line in child.stdout:
        if line == "restart\n":
            cluster.restart()
            child.stdin.write("\n")
            child.stdin.flush()
    guard.cancel()
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        print(child.stderr.read()[-1500:], file=sys.stderr)
        return "no answer"


def installed(pgmonkey: str | None) -> dict[str, str]:
    """Return the interpreter of each peer that is installed, and print the versions."""
    found, versions = {}, []
    for name, peer in PEERS.items():
        python = pgmonkey if name == "pgmonkey" and pgmonkey else sys.executable
        code = f"import importlib.metadata as m; print(m.version({peer.PACKAGE!r}))"
        asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if asked.returncode == 0:
            found[name] = python
            versions.append(f"{peer.PACKAGE} {asked.stdout.strip()}")
    versions += [f"{one} {importlib.metadata.version(one)}" for one in ("psycopg", "SQLAlchemy", "pyarrow", "ipython")]
    print(", ".join(versions) + f", Python {sys.version.split()[0]}")
    return found


def main() -> None:
    """Print the table, row by row."""
    from results import free_port

    from pgmonkey_magic.demo.cluster import Cluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", default=[""])
    parser.add_argument("--peers", nargs="*", default=[""])
    parser.add_argument("--pgmonkey")
    options = parser.parse_args()
    settings = {"log_statement": "all", "log_line_prefix": "%p %a ", "shared_buffers": "256MB"}
    with Cluster(tcp_port=free_port(), password=PASSWORD, settings=settings) as cluster:
        with psycopg.connect(cluster.conninfo, autocommit=True, application_name="outside") as conn:
            conn.execute("CREATE TABLE few AS SELECT 1 AS n; CREATE TABLE kept (n int)")
            conn.execute(f"CREATE TABLE big AS SELECT {WIDE} FROM generate_series(1, 1000000) i")
            conn.execute("VACUUM ANALYZE")
            print(f"PostgreSQL {conn.info.parameter_status('server_version')},", end=" ")
        conninfo = make_conninfo(cluster.tcp_conninfo, sslmode="disable", application_name=APPLICATION)
        peers = installed(options.pgmonkey)
        peers = {name: python for name, python in peers.items() if name.startswith(tuple(options.peers))}
        print("\n| | " + " | ".join(peers) + " |\n|" + "---|" * (len(peers) + 1))
        for row in ROWS:
            if row.startswith(tuple(options.rows)):
                cells = [asked(python, row, name, cluster, conninfo) for name, python in peers.items()]
                print("| " + " | ".join([row, *(cell.replace("|", "\\|").replace("\n", " ") for cell in cells)]) + " |")
                sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(*sys.argv[2:])
    else:
        main()
