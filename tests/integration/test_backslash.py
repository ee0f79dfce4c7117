"""Backslash commands over both kinds of pool: what psql shows, nothing else, and a connection as it was before."""

from __future__ import annotations

import csv
import gc
import io
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from fix_pools import Kind, in_threads, until
from fix_server import Server
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from pgmonkey_magic.cells.backslash import SENT, commands, describe, is_backslash, understood
from pgmonkey_magic.cells.backslash import families as backslash
from pgmonkey_magic.cells.backslash.catalogue import Description
from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.pools import Holder, Keep, Terms, Trace
from pgmonkey_magic.pools.sync_face import sync_face

SCHEMA = Path(__file__).with_name("backslash.sql")
INTRANS, INERROR, IDLE = TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.IDLE


class Database:
    """A database of its own with the schema of backslash.sql; `name` is part of the names of its roles."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"bs{uuid.uuid4().hex[:8]}"
        server.query(f"CREATE DATABASE {self.name}")
        server.query(f"ALTER DATABASE {self.name} SET search_path = shop, public")
        self.at = Server({**server.settings, "dbname": self.name})
        self.at.query(SCHEMA.read_text().replace("@name@", self.name))

    def psql(self, command: str, *options: str) -> str:
        conninfo = make_conninfo(**self.at.settings)
        arguments = [find_binaries() / "psql", conninfo, "--no-psqlrc", *options, "--command", command]
        return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout

    def drop(self) -> None:
        self.server.query(f"DROP DATABASE {self.name} WITH (FORCE)")
        self.server.query(f"DROP ROLE {self.name}_boss, {self.name}_clerk")


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    database = Database(server)
    yield database
    database.drop()


@pytest.fixture
def pool(kind: Kind, database: Database) -> Any:
    return kind.open(database.at.config(), min_size=1, max_size=1, timeout=5)


def terms(keep: Keep | None = None, statement: str = SENT) -> Terms:
    return Terms(Holder("a test"), statement, None, keep)


def look(pool: Any, command: str, keep: Keep | None = None) -> list[Description]:
    return pool.lend(lambda conn: describe(conn, command), terms(keep))


def frame(pool: Any, command: str) -> pd.DataFrame:
    (description,) = look(pool, command)
    return description.frame().data


def texts(data: pd.DataFrame) -> list[list[str]]:
    """The cells as psql writes them, NULL as nothing."""
    return [["" if pd.isna(value) else str(value) for value in row] for row in data.itertuples(index=False)]


# -- what psql shows --------------------------------------------------------------------------------------------------

LISTS = [
    *(
        r"\d",
        r"\d+",
        r"\dt",
        r"\dt+",
        r"\dt shop.*",
        r"\dt *e*",
        r'\dt "MixedCase"',
        r"\dtS pg_am*",
        r"\dt pg_catalog.pg_t*",
    ),
    *(r"\dv", r"\dv+", r"\dm", r"\dm+", r"\di", r"\di+", r"\di orders_*", r"\ds", r"\ds+", r"\dtv", r"\dE", r"\dE+"),
    *(
        r"\df",
        r"\df add",
        r"\df+ one",
        r"\dfp",
        r"\dft",
        r"\dfa",
        r"\dfn shop.*",
        r"\dfw pg_catalog.rank",
        r"\df shop.to*",
    ),
    *(
        r"\dn",
        r"\dn+",
        r"\dn sh??",
        r"\dT",
        r"\dT+",
        r"\dT mood",
        r"\dD",
        r"\dD+",
        r"\db",
        r"\db+",
        r"\dx",
        r"\dx+ plpgsql",
    ),
    *(r"\du", r"\dg+", r"\du pg_read*", r"\l", r"\l+", r"\list template*", r"\dp", r"\z secure", r"\ddp", r"\ddp sh*"),
    *(r"\dF mine", r"\dF+ mine"),
]
NOT_IN_PGSPECIAL = {
    r"\dT": {"Owner"},
    r"\dD": {"Collation", "Nullable", "Default", "Check"},  # Modifier and Check hold the same
    r"\dx": {"Default version"},
    r"\l": {"Locale Provider", "Locale", "ICU Rules"},
}
"""The columns of psql that are missing: known, and said in the documentation."""


def comparable(command: str, rows: list[list[str]]) -> list[list[str]]:
    """Without what differs on purpose, the comma between a role's attributes, or by the moment, a database's size."""
    if command.startswith((r"\du", r"\dg")):
        rows = [[cell.replace("\n", ", ") for cell in row] for row in rows]
    return [[re.sub(r"^\d+ (?=[kM]B$)", "", cell) for cell in row] for row in rows]


@pytest.mark.parametrize("command", LISTS)
def test_a_list_is_that_of_psql(pool: Any, database: Database, command: str) -> None:
    data = frame(pool, command)
    (header, *rows) = csv.reader(io.StringIO(database.psql(command, "--csv")))
    word = command.partition(" ")[0].rstrip("+").replace("list", "l")
    essential = [name for name in header if name not in NOT_IN_PGSPECIAL.get(word, ())]
    assert rows
    assert set(essential) <= set(data.columns)
    wanted = [[row[header.index(name)] for name in essential] for row in rows]
    assert comparable(command, texts(data[essential])) == comparable(command, wanted)


def test_there_are_enough_commands_compared() -> None:
    assert len({command.split()[0] for command in LISTS}) >= 25


@pytest.mark.parametrize("plus", ["", "+"])
def test_one_relation_is_shown_to_the_letter_as_psql_does(pool: Any, database: Database, plus: str) -> None:
    kinds = "c.relnamespace = 'shop'::regnamespace OR c.relname IN ('pg_class', 'pg_class_oid_index', 'pg_toast_1255')"
    names = database.at.query(
        f"SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE {kinds}"
    )
    assert len(names) > 45
    for schema, name in names:
        quoted = name.replace('"', '""')
        command = f'\\d{plus} {schema}."{quoted}"'
        (description,) = look(pool, command)
        data = description.frame().data
        ours = [
            description.title,
            "\x1f".join(data.columns),
            *("\x1f".join(row) for row in texts(data)),
            *description.footer,
        ]
        psql = database.psql(command, "--no-align", "--field-separator=\x1f").rstrip("\n")
        assert [line.rstrip() for line in "\n".join(ours).split("\n")] == [line.rstrip() for line in psql.split("\n")]


def test_a_pattern_may_fit_several_relations(pool: Any) -> None:
    found = look(pool, r"\d events_20*")
    assert [description.title for description in found] == [
        'Table "shop.events_2024"',
        'Index "shop.events_2024_at_idx"',
        'Partitioned table "shop.events_2025"',
        'Partitioned index "shop.events_2025_at_idx"',
    ]


def test_a_disabled_trigger_and_a_policy_are_seen(pool: Any) -> None:
    (orders,) = look(pool, r"\d orders")
    at = orders.footer.index("Disabled user triggers:")
    assert orders.footer[at + 1].startswith("    b_off ")
    (secure,) = look(pool, r"\d secure")
    assert "Policies:" in secure.footer


def test_the_source_of_a_function_is_text_and_value(pool: Any, database: Database) -> None:
    for command in (r"\sf one", r"\sf+ one", r"\sf add(int, int)", r"\sf shop.touch"):
        (description,) = look(pool, command)
        assert list(description.footer) == database.psql(command).rstrip("\n").split("\n")
        assert description.frame().data.loc[0, "Source"].rstrip("\n").split("\n") == list(description.footer)


def test_help_lists_every_command(pool: Any) -> None:
    data = frame(pool, r"\?")
    assert len(data) == len(backslash.FAMILIES)
    for word in backslash._WORDS:
        understood(word)
    for syntax in data["Command"]:
        understood(re.sub(r"[\[{].*", "", syntax) or syntax)


def test_nothing_found_is_one_sentence(pool: Any) -> None:
    sentences = {
        r"\d nope": 'Did not find any relation named "nope".',
        r"\d+ shop.nope": 'Did not find any relation named "shop.nope".',
        r"\d MixedCase": 'Did not find any relation named "MixedCase".',
        r"\dt nope*": 'Did not find any tables named "nope*".',
        r"\dtv nope": 'Did not find any relations named "nope".',
        r"\df nope": 'Did not find any functions named "nope".',
        r"\dF+ nope": 'Did not find any text search configurations named "nope".',
        r"\dx+ nope": 'Did not find any extensions named "nope".',
        r"\l nope": 'Did not find any databases named "nope".',
    }
    for command, sentence in sentences.items():
        with pytest.raises(RequestError) as caught:
            look(pool, command)
        assert str(caught.value) == sentence


def test_an_empty_list_without_a_pattern_is_an_empty_table(pool: Any) -> None:
    (description,) = look(pool, r"\dfw")
    assert description.footer == ("Did not find any functions.",)
    assert list(description.frame().data.columns)[:2] == ["Schema", "Name"]


# -- which commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "cure"),
    [
        (r"\i file.sql", "--file"),
        (r"\copy t TO 'f'", "--copy-to"),
        (r"\o out.txt", "%pgmonkey export"),
        (r"\! ls", "!command"),
        (r"\!ls", "!command"),
        (r"\timing", "footer"),
        (r"\conninfo", "%pgmonkey pools"),
        (r"\c other", "%pgmonkey use"),
        (r"\e", "edit the cell"),
        (r"\watch 2", "Python"),
        (r"\n name", "--file"),
        (r"\ns name SELECT 1", "--file"),
        (r"\refresh", "nothing is kept"),
        (r"\q", "%pgmonkey disconnect"),
        (r"\T border=1", "pandas"),
        (r"\pager less", "pandas"),
        (r"\log-file x", "logging"),
        (r"\h SELECT", "postgresql.org"),
        (r"\sv happy", r"\d+"),
        (r"\do", "pg_operator"),
        (r"\DT", r"did you mean \dT?"),
        (r"\dTS", r"pg_catalog.*"),
        (r"\dp+", r"\dp [PATTERN]"),
        (r"\dblablabla", r"\?"),
        ("\\", r"\?"),
        (r"\describe orders", r"\?"),
    ],
)
def test_other_commands_are_refused_with_what_to_do_instead(command: str, cure: str) -> None:
    with pytest.raises(RequestError, match=re.escape(cure)) as caught:
        describe(None, command)  # type: ignore[arg-type] - no connection is touched
    assert "\n" not in str(caught.value)


def test_everything_of_pgspecial_is_either_allowed_or_refused_with_a_cure() -> None:
    from pgspecial.main import PGSpecial

    for word in PGSpecial().commands:
        if not word.startswith("\\") or word == r"\dg":
            continue
        try:
            understood(word)
        except RequestError as error:
            assert "is not carried out here" in str(error)


@pytest.mark.parametrize(
    "command",
    [
        r"\? all",
        r"\d a b",
        r'\d "a',
        r"\d shop.",
        r"\d .orders",
        r"\d a.b.c.d",
        r"\d other.shop.orders",
        r"\du a.b",
        r"\sf",
    ],
)
def test_a_pattern_that_cannot_be_read_is_one_sentence(pool: Any, command: str) -> None:
    with pytest.raises(RequestError) as caught:
        look(pool, command)
    assert "\n" not in str(caught.value)
    assert look(pool, r"\dt")


def test_the_name_of_this_database_may_stand_before_the_schema(pool: Any, database: Database) -> None:
    assert look(pool, rf"\d {database.name}.shop.pair;")[0].title == 'Composite type "shop.pair"'


def test_cells_of_backslash_commands_are_told_from_sql() -> None:
    assert is_backslash("\\d")
    assert is_backslash("\n -- why\n /* and\n how */ \\dt x\n")
    assert not is_backslash("SELECT $$\n\\d\n$$")
    assert not is_backslash("-- \\d\n")
    assert not is_backslash("")
    assert commands("\\d a\n\n-- b\n  \\dt  \n") == ["\\d a", "\\dt"]
    with pytest.raises(RequestError, match="SELECT 1"):
        commands("\\d\nSELECT 1")


# -- names that want to be SQL ----------------------------------------------------------------------------------------

HOSTILE = [
    '"; DROP TABLE shop.parent; --',
    "*'; DROP TABLE shop.parent; --",
    "x'); DROP TABLE shop.parent; --",
    "'; COMMIT; DROP TABLE shop.parent; SELECT '",
    "$$; DROP TABLE shop.parent; $$",
    '"""; DROP TABLE shop.parent; --"',
    '"s""; DROP TABLE shop.parent CASCADE; --"',
    '"weird ""name"" $é; --"',
    "\\\\",
    "\\'",
    '"\\"',
    "%s",
    "%(name)s",
    "100%",
    '"100%%"',
    "{}",
    "{0}",
    "[",
    "(((",
    "a|b",
    "é*",
    "日本語",
    "\N{RIGHT SINGLE QUOTATION MARK}",
    "a\x00b",
    "*.*",
    "?",
    "-- comment",
    "/* comment",
    "$1",
    ":name",
    "E'\\x41'",
    "x" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_is_ever_run(pool: Any, database: Database, text: str) -> None:
    before = database.at.query("SELECT count(*) FROM pg_class")
    for word in (
        r"\d",
        r"\d+",
        r"\dt",
        r"\df",
        r"\sf",
        r"\dn",
        r"\du",
        r"\dT",
        r"\dD",
        r"\dp",
        r"\ddp",
        r"\dx",
        r"\dx+",
        r"\db",
        r"\dF",
        r"\dF+",
        r"\l",
    ):
        if (word, text) in ((r"\d", "*.*"), (r"\d+", "*.*"), (r"\d", "?"), (r"\d+", "?")):
            continue  # thousands of relations, none of them hostile
        with suppress(RequestError, psycopg.Error):
            look(pool, f"{word} {text}")
    assert database.at.query("SELECT count(*) FROM pg_class") == before
    assert database.at.query("SELECT to_regclass('shop.parent') IS NOT NULL") == [(True,)]
    assert pool.occupancy.in_use == 0
    assert look(pool, r"\dt")


def test_a_hostile_name_is_found_by_its_name(pool: Any) -> None:
    (description,) = look(pool, r'\d "s""; DROP TABLE shop.parent CASCADE; --"')
    assert description.title.startswith("Sequence ")
    (description,) = look(pool, r'\d "weird ""name"" $é; --"')
    assert list(description.frame().data["Column"]) == ['col "x"', "Ü", "a.b", "100%"]


def test_without_a_transaction_nothing_can_be_written(database: Database) -> None:
    with psycopg.connect(**database.at.settings) as conn:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), backslash._aside(conn):
            conn.execute("CREATE TABLE evil ()")
        assert conn.info.transaction_status == IDLE


def test_who_may_read_nothing_may_look_at_the_catalogue(kind: Kind, database: Database) -> None:
    pool = kind.open(database.at.config(user=f"{database.name}_boss"), min_size=0, max_size=1)
    # Names in a schema that one may not use have to be asked for with it.
    assert look(pool, r"\d shop.orders")[0].rowcount == 5
    assert look(pool, r"\d shop.counter")[0].rowcount == 1
    assert "No Access" in set(frame(pool, r"\db+")["Size"])
    assert look(pool, r"\du+")[0].rowcount >= 3


# -- the connection as it was -----------------------------------------------------------------------------------------


def token(kind: Kind, pool: Any) -> tuple[Any, ...]:
    """What the next borrower finds."""
    with kind.block(pool) as block:
        conn = block.conn
        state = (conn.pgconn.transaction_status, conn.trace, conn.row_factory, conn.prepare_threshold)
        return (
            *state,
            *block.execute("SELECT pg_backend_pid(), current_setting('search_path'), current_setting('TimeZone')"),
            *block.execute("SELECT count(*) FROM pg_prepared_statements"),
            *block.execute(
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'shop%'"
            ),
        )


def test_what_one_cell_has_begun_many_times_waits_its_turn(kind: Kind, database: Database) -> None:
    pool = kind.open(database.at.config(), min_size=1, max_size=2, timeout=30)
    leases = [threading.Event(), threading.Event()]
    done = threading.Event()

    def work(i: int) -> None:
        if i < 2:
            pool.lend(lambda _: done.wait(20), terms(), lambda _: leases[i].set())
        else:
            assert all(lease.wait(20) for lease in leases)
            threading.Timer(0.2, done.set).start()
            assert look(pool, r"\dt")

    in_threads(6, work)


def test_the_next_borrower_gets_the_connection_as_it_was(kind: Kind, pool: Any) -> None:
    before = token(kind, pool)
    assert before[:2] == (IDLE, Trace.NONE)
    for _ in range(7):  # psycopg prepares what comes for the sixth time
        for command in (r"\d orders", r"\dt", r"\df", r"\l", r"\dp", r"\dx+ plpgsql", r"\dF+ mine", r"\sf one"):
            look(pool, command)
    assert token(kind, pool) == before


def test_eight_threads_share_three_connections(kind: Kind, database: Database) -> None:
    pool = kind.open(database.at.config(), min_size=1, max_size=3, timeout=30)
    words = [r"\d orders", r"\dt", r"\df", r"\d+ events", r"\du", r"\l", r"\dx+ plpgsql", r"\dF+ mine"]

    def work(i: int) -> list[str]:
        found = []
        for command in words[i:] + words[:i]:
            found += [(command, d.title, d.rowcount, d.footer, len(d.frame().data)) for d in look(pool, command)]
        return sorted(found)

    results = in_threads(8, work)
    assert all(result == results[0] for result in results)
    assert pool.occupancy.in_use == 0


def test_a_look_that_waits_for_a_lock_can_be_cancelled(kind: Kind, pool: Any, database: Database) -> None:
    pid = token(kind, pool)[4][0]
    leases: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            pool.lend(lambda conn: describe(conn, r"\dt+"), terms(), leases.append)
        except psycopg.Error as error:
            errors.append(error)

    with psycopg.connect(**database.at.settings) as other:
        other.execute("LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: database.at.query(f"SELECT 1 FROM pg_locks WHERE pid = {pid} AND NOT granted"))
        pool.cancel(leases[0], timeout=2)
        thread.join(10)
    assert not thread.is_alive()
    assert isinstance(errors[0], psycopg.errors.QueryCanceled)
    assert token(kind, pool)[:2] == (IDLE, Trace.NONE)
    assert look(pool, r"\dt+")


@pytest.mark.parametrize("waiting", [False, True])
def test_ctrl_c_in_the_main_thread_loses_no_connection(pool: Any, waiting: bool) -> None:
    look(pool, r"\dt")
    over = threading.Event()
    busy = threading.Event()
    other = threading.Thread(target=lambda: pool.lend(lambda _: over.wait(20), terms(), lambda _: busy.set()))
    if waiting:  # for a connection, not for the server
        other.start()
        assert busy.wait(10)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        pool.lend(lambda conn: conn.execute("SELECT pg_sleep(1.5)"), terms())
    timer.join()
    over.set()
    until(lambda: pool.occupancy.in_use == 0 and pool.occupancy.waiting == 0)
    assert look(pool, r"\dt")


# -- inside of a transaction that is open -----------------------------------------------------------------------------


def opened(pool: Any, *statements: str) -> Keep:
    """Leave a transaction open, as a cell with BEGIN does."""
    keep = Keep()

    def work(conn: psycopg.Connection[Any]) -> None:
        for statement in statements:
            conn.execute(statement.encode())

    pool.lend(work, terms(keep, "; ".join(statements)))
    assert keep.lease is not None
    return keep


def status(keep: Keep) -> TransactionStatus:
    assert keep.lease is not None
    return keep.lease.conn.pgconn.transaction_status


LOCKS = "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = {} AND locktype = 'relation' ORDER BY 1, 2"


def test_an_open_transaction_sees_its_own_tables_and_goes_on(pool: Any, database: Database) -> None:
    keep = opened(pool, "CREATE TABLE shop.mine (i int)", "PREPARE kept AS SELECT 1")
    locks = LOCKS.format(keep.lease.conn.pgconn.backend_pid)
    held = database.at.query(locks)
    assert look(pool, r"\d mine", keep)[0].title == 'Table "shop.mine"'
    assert look(pool, r"\d+ happy", keep)
    assert look(pool, r"\dt+", keep)
    with pytest.raises(RequestError):
        look(pool, r"\d nope", keep)
    with pytest.raises(RequestError, match="nope"):
        look(pool, r"\sf nope", keep)
    assert status(keep) == INTRANS
    assert database.at.query(locks) == held
    assert pool.lend(lambda conn: conn.execute("EXECUTE kept").fetchone(), terms(keep)) == (1,)
    pool.lend(lambda conn: conn.execute("ROLLBACK"), terms(keep))
    assert keep.lease is None
    with pytest.raises(RequestError):
        look(pool, r"\d mine")


def test_an_aborted_transaction_gives_the_servers_own_error(kind: Kind, pool: Any) -> None:
    keep = opened(pool, "SELECT 1")
    with pytest.raises(psycopg.errors.DivisionByZero):
        pool.lend(lambda conn: conn.execute("SELECT 1/0"), terms(keep))
    for command in (r"\dt", r"\d orders", r"\l"):
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            look(pool, command, keep)
        assert status(keep) == INERROR
    pool.release(keep)
    assert token(kind, pool)[:2] == (IDLE, Trace.NONE)


# -- lending ----------------------------------------------------------------------------------------------------------


def test_what_the_work_leaves_open_is_rolled_back(kind: Kind, pool: Any, database: Database) -> None:
    pool.lend(lambda conn: conn.execute("CREATE TABLE shop.left_open ()"), terms(statement="CREATE TABLE"))
    with pytest.raises(ZeroDivisionError):
        pool.lend(
            lambda conn: conn.execute("CREATE TABLE shop.left_open ()") and 1 / 0, terms(statement="CREATE TABLE")
        )
    assert token(kind, pool)[:2] == (IDLE, Trace.NONE)
    assert database.at.query("SELECT to_regclass('shop.left_open')") == [(None,)]


def test_what_the_work_sets_is_gone(kind: Kind, pool: Any) -> None:
    before = token(kind, pool)

    def work(conn: psycopg.Connection[Any]) -> None:
        conn.autocommit = True
        conn.row_factory = psycopg.rows.dict_row
        conn.add_notice_handler(print)
        conn.execute("SET search_path = nowhere")

    pool.lend(work, terms(statement="SET search_path = nowhere"))
    assert token(kind, pool) == before


def test_a_connection_that_the_work_closes_is_replaced(kind: Kind, pool: Any) -> None:
    pid = token(kind, pool)[4][0]
    pool.lend(lambda conn: conn.close(), terms())
    assert token(kind, pool)[4][0] != pid


@pytest.mark.parametrize("kind", ["async_pool"], indirect=True)
def test_the_sync_face_leaves_the_async_connection_alone(kind: Kind, pool: Any) -> None:
    with kind.block(pool) as block:
        conn = block.conn
        notices: list[str] = []
        heard: list[str] = []
        conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        conn.add_notify_handler(lambda notify: heard.append(notify.payload))
        for _ in range(7):  # prepared by the async connection
            block.execute("SELECT 1 AS one")
        block.execute("LISTEN here")
        raise_notice = "DO $$BEGIN RAISE NOTICE 'from %', {}; END$$"
        with sync_face(conn) as face:
            for _ in range(7):
                assert face.execute("SELECT 2 AS two").fetchone() == (2,)
            face.execute(raise_notice.format("'the face'"))
            face.execute("NOTIFY here, 'to the async one'")
            face.commit()
        del face
        gc.collect()
        block.execute(raise_notice.format("'the async one'"))
        assert block.execute("SELECT 1 AS one") == [(1,)]
        assert notices == ["from the async one"]
        assert heard == ["to the async one"]
        assert not conn.closed
