"""The subcommands of `%pgmonkey WORD`: one short method each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS, Command, Option, near_subcommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from pgmonkey_magic.cells import NamedPool, Session
    from pgmonkey_magic.pools import ServerIdentity

FORMS = """\
  %pgmonkey [options] SQL             run one line:   df = %pgmonkey SELECT 1
  %%pgmonkey [options] [name <<]      run a cell; any PostgreSQL, any number of statements, one transaction
  %pgmonkey WORD …                    one of the words below"""


class Commands:
    """Carries out subcommands on a session. Each method's name is its word."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def carry_out(self, command: Command) -> Any:
        """Run the method of the word; what it returns is the cell's value."""
        return getattr(self, f"_{command.word}")(command)

    def _demo(self, command: Command) -> None:
        from pgmonkey_magic.demo import start_demo  # noqa: PLC0415 - not everybody who loads the extension wants a server

        server = start_demo()
        config = server.config()
        named, identity = self._session.connect_dict(
            config,
            name=_demo_name(command.options.value("type")),
            connection_type=command.options.value("type"),
        )
        _say(named, identity, "embedded; it and its data are gone when the last notebook that uses it ends")

    def _connect(self, command: Command) -> None:
        named, identity = self._session.connect_file(
            command.arguments[0],
            name=command.options.value("as"),
            connection_type=command.options.value("type"),
            resolve_env=command.options.has("resolve-env"),
        )
        _say(named, identity, "encrypted" if identity.encrypted else "not encrypted")

    def _use(self, command: Command) -> None:
        named = self._session.use(command.arguments[0])
        print(f"cells now use pool {named.name}")  # noqa: T201 - the answer to the person's command

    def _pools(self, _command: Command) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - loading the extension must not wait for pandas

        rows = []
        for named in self._session.pools():
            now = named.pool.occupancy
            rows.append(
                {
                    "name": named.name,
                    "current": named == self._session.current,
                    "type": named.pool.connection_type,
                    "database": named.pool.name,
                    "min_size": now.min_size,
                    "max_size": now.max_size,
                    "size": now.size,
                    "in use": now.in_use,
                    "idle": now.idle,
                    "waiting": now.waiting,
                }
            )
        columns = [
            "name",
            "current",
            "type",
            "database",
            "min_size",
            "max_size",
            "size",
            "in use",
            "idle",
            "waiting",
        ]
        return pd.DataFrame(rows, columns=columns)

    def _disconnect(self, command: Command) -> None:
        if command.options.has("all"):
            names = self._session.names()
        elif command.arguments:
            names = [command.arguments[0]]
        elif self._session.current:
            names = [self._session.current.name]
        else:
            raise RequestError("there is no current pool to disconnect; name one, or see %pgmonkey pools")
        while names:
            closed = self._session.disconnect(names[0])
            print(f"pool {closed.name} is closed")  # noqa: T201 - the answer to the person's command
            # A pool that was open under two names is gone under both.
            names = [name for name in names if name in self._session.names()]

    def _help(self, command: Command) -> None:
        print(help_text(command.arguments[0] if command.arguments else None))  # noqa: T201


def help_text(word: str | None = None) -> str:
    """Return the help of one subcommand, or the whole. Raises RequestError for a word that is none."""
    if word is None:
        words = "\n".join(f"  {s.usage:<52} {s.help}" for s in SUBCOMMANDS.values())
        return f"{FORMS}\n\noptions\n{_option_lines(CELL_OPTIONS)}\n\nwords\n{words}"
    if word not in SUBCOMMANDS:
        near = near_subcommand(word)
        known = f"did you mean {near}?" if near else f"the words are {', '.join(SUBCOMMANDS)}"
        raise RequestError(f"there is no word {word!r}; {known}")
    subcommand = SUBCOMMANDS[word]
    return f"%pgmonkey {subcommand.usage}\n  {subcommand.help}\n{_option_lines(subcommand.options)}".rstrip()


def _option_lines(options: Sequence[Option]) -> str:
    return "\n".join(f"  {', '.join(o.names) + ' ' + (o.metavar or ''):<28} {o.help}" for o in options)


def _demo_name(connection_type: str | None) -> str:
    return "demo-async" if connection_type and connection_type.startswith("async") else "demo"


def _say(named: NamedPool, identity: ServerIdentity, remark: str) -> None:
    settings = named.pool.settings
    print(  # noqa: T201 - the answer to the person's command
        f"connected to {identity.database} as {identity.user}, PostgreSQL {identity.version} ({remark})\n"
        f"pool {named.name}: {named.pool.connection_type}, min_size {settings.min_size}, max_size {settings.max_size}"
    )
