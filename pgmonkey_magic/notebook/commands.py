"""The subcommands of `%pgmonkey WORD`: one short method each.

What only one word needs is imported there: who loads the extension waits for nothing that they may never ask for.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import ConfigError, RequestError
from pgmonkey_magic.notebook.address import ADDRESS
from pgmonkey_magic.notebook.help import help_text
from pgmonkey_magic.pools import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from pgmonkey_magic.cells import NamedPool, Session
    from pgmonkey_magic.notebook.grammar import Command
    from pgmonkey_magic.pools import ServerIdentity, Usage


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
        _say(named, identity, "embedded")
        print("the server and its data are gone when the last notebook that uses it has ended")  # noqa: T201

    def _connect(self, command: Command) -> None:
        path = command.arguments[0]
        if ADDRESS.match(path) and not path.endswith((".yaml", ".yml")):
            raise RequestError(
                "connect takes a YAML file, not a URL or a connection string; `pgmonkey-magic config create FILE` "
                "writes one to fill in"
            )
        named, identity = self._session.connect_file(
            path,
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
                    "database": named.pool.default_name,
                    "min_size": now.min_size,
                    "max_size": now.max_size,
                    "size": now.size,
                    "in use": now.in_use,
                    "idle": now.idle,
                    "waiting": now.waiting,
                    "tuned": named.pool.tuned,
                    "tls": named.pool.encrypted,
                    "retired": named.pool.retired,
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
            "tuned",
            "tls",
            "retired",
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
            open_on = self._session.keep_of(self._session.named(names[0]).pool).lease
            closed = self._session.disconnect(names[0])
            lost = f"; the transaction of {open_on.ticket.holder.who} was rolled back" if open_on else ""
            print(f"pool {closed.name} is closed{lost}")  # noqa: T201 - the answer to the person's command
            # A pool that was open under two names is gone under both.
            names = [name for name in names if name in self._session.names()]

    def _stats(self, command: Command) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415

        asked = [self._pool(command)] if command.arguments else self._session.pools()
        return pd.DataFrame([{"name": named.name} | usage_row(named.pool.ledger.usage()) for named in asked])

    def _tune(self, command: Command) -> pd.DataFrame | None:
        from pgmonkey_magic.tuning import plan, saving  # noqa: PLC0415

        named, wanted = self._wanted(command)
        if not wanted and not command.options.given:
            return _show_tuner(named)
        pool = named.pool
        if command.options.has("undo"):
            if wanted:
                raise RequestError("--undo goes back to what was; it takes no settings")
            before, now = pool.settings, pool.occupancy
            return _table(plan(before, asdict(pool.undo()), pool.section, now).changes)
        planned = plan(pool.settings, wanted, pool.section, pool.occupancy)
        if not command.options.has("yes"):
            self._refuse_beyond_budget(named, planned.settings.max_size)
        if planned.changes:
            pool.apply(planned.settings)
        if (path := command.options.value("save")) is not None:
            try:
                saving.save(pool, path)
            except ConfigError:
                if planned.changes:
                    pool.undo()  # what could not be done as a whole is not done by half
                raise
            print(f"the settings of pool {named.name} are written to {path}")  # noqa: T201
        elif not planned.changes:
            print(f"nothing to change; pool {named.name} has {asdict(pool.settings)}")  # noqa: T201
        return _table(planned.changes) if planned.changes else None

    def _wanted(self, command: Command) -> tuple[NamedPool, dict[str, str]]:
        pairs = [argument.partition("=") for argument in command.arguments]
        names = [key for key, equals, _ in pairs if not equals]
        if len(names) > 1:
            raise RequestError(f"{names[1]!r} is no setting; write key=value, as in max_size=20")
        return self._named(names[0] if names else None), {key: value for key, equals, value in pairs if equals}

    def _refuse_beyond_budget(self, named: NamedPool, max_size: int) -> None:
        if max_size <= named.pool.settings.max_size or named.pool.config.pgbouncer:
            return  # behind PgBouncer the server's limits are not ours
        from pgmonkey_magic.tuning import budget  # noqa: PLC0415

        server = budget(named.pool.config, named.pool.connection_type)
        if max_size > server.free:
            raise RequestError(
                f"max_size {max_size} is more than the {server.free} connections that the server has free for pool "
                f"{named.name} ({server.bound.account}); see %pgmonkey audit, or add --yes"
            )

    def _check(self, command: Command) -> None:
        named = self._pool(command)
        print(f"pool {named.name}: {named.pool.sweep()} dead connections replaced")  # noqa: T201

    def _recycle(self, command: Command) -> None:
        named = self._pool(command)
        named.pool.recycle()
        print(f"pool {named.name}: idle connections are replaced now, borrowed ones when they come back")  # noqa: T201

    def _audit(self, command: Command) -> pd.DataFrame:
        from pgmonkey_magic.tuning import audit  # noqa: PLC0415

        named = self._pool(command)
        count = processes(command.options.value("processes"))
        # As the pool has been tuned, which may not be in the file.
        config = replace(named.pool.config, **{named.pool.section: named.pool.settings})
        return _table(audit(config, named.pool.connection_type, count))

    def _panel(self, command: Command) -> None:
        from pgmonkey_magic.notebook.showing import show_panel, show_still, shows_widgets  # noqa: PLC0415

        named = self._pool(command)
        if not shows_widgets():
            from pgmonkey_magic.panels.watch import still  # noqa: PLC0415

            show_still(still(named.pool, named.name))
            return
        from pgmonkey_magic.panels.occupancy import OccupancyPanel  # noqa: PLC0415 - nor for ipywidgets

        show_panel(OccupancyPanel(named.pool, named.name))

    def _lab(self, command: Command) -> pd.DataFrame | None:
        from pgmonkey_magic.notebook.showing import show_panel, shows_widgets  # noqa: PLC0415

        name, kind = next(iter(command.arguments), ""), command.options.value("type")
        if shows_widgets() and not command.options.has("text"):
            from pgmonkey_magic.notebook.lab import lab_panel  # noqa: PLC0415

            show_panel(lab_panel(self._session, name, kind))
            return None
        from pgmonkey_magic.notebook.lessons import lessons_table, taught  # noqa: PLC0415

        return taught(self._session, name, kind) if name else lessons_table()

    def _pool(self, command: Command) -> NamedPool:
        return self._named(command.arguments[0] if command.arguments else None)

    def _named(self, name: str | None) -> NamedPool:
        named = self._session.named(name) if name else self._session.current
        if named is None:
            raise RequestError("there is no current pool; %pgmonkey connect FILE or %pgmonkey demo opens one")
        return named

    def _jobs(self, _command: Command) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415

        columns = ["id", "state", "cell", "pool", "seconds", "rows", "MB", "query"]
        rows = [
            {
                "id": job.id,
                "state": str(job.state),
                "cell": job.request.holder.who,
                "pool": job.pool_name,
                "seconds": round(job.seconds, 1),
                "rows": job.progress.rows,
                "MB": round(job.progress.nbytes / 1e6, 1),
                "query": job.request.holder.query,
            }
            for job in self._session.jobs()
        ]
        return pd.DataFrame(rows, columns=columns)

    def _cancel(self, command: Command) -> None:
        job = self._session.job(command.arguments[0])
        if job.done():
            print(f"job {job.id} had ended before: {job.state}")  # noqa: T201 - the answer to the command
        elif job.cancel():
            print(f"job {job.id} has ended: {job.state}")  # noqa: T201
        else:
            print(f"job {job.id}: the server does not answer; its connection is closed as soon as it does")  # noqa: T201

    def _help(self, command: Command) -> None:
        print(help_text(command.arguments[0] if command.arguments else None))  # noqa: T201


def usage_row(usage: Usage) -> dict[str, float]:
    """Return the account of a pool as one row, with its units in the names."""
    row = {
        "seconds": round(usage.seconds, 1),
        "borrows": usage.granted,
        "refused": usage.refused,
        "borrows/s": round(usage.granted / max(usage.seconds, 1e-9), 2),
        "busy": round(usage.busy, 2),
    }
    for name, ascending in (("wait", usage.waits_s), ("hold", usage.holds_s)):
        for percent in (50, 95, 99):
            row[f"{name} p{percent} ms"] = round(quantile(ascending, percent / 100) * 1000, 2)
    return row


def processes(text: str | None) -> int:
    """Read the number of processes. Raises RequestError."""
    if text is None:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise RequestError(f"--processes takes a whole number of at least 1, not {text!r}")
    return int(text)


def _table(records: Sequence[Any]) -> pd.DataFrame:
    from pgmonkey_magic.notebook.tables import Table  # noqa: PLC0415 - it imports pandas

    return Table([asdict(record) for record in records])


def _show_tuner(named: NamedPool) -> None:
    from pgmonkey_magic.notebook.showing import show_panel  # noqa: PLC0415 - nor for ipywidgets
    from pgmonkey_magic.panels.tuner.panel import TunerPanel  # noqa: PLC0415

    show_panel(TunerPanel(named.pool, named.name))


def _demo_name(connection_type: str | None) -> str:
    return "demo-async" if connection_type and connection_type.startswith("async") else "demo"


def _say(named: NamedPool, identity: ServerIdentity, remark: str) -> None:
    settings = named.pool.settings
    print(  # noqa: T201 - the answer to the person's command
        f"connected to {identity.database} as {identity.user}, PostgreSQL {identity.version} ({remark})\n"
        f"pool {named.name}: {named.pool.connection_type}, min_size {settings.min_size}, max_size {settings.max_size}"
    )
