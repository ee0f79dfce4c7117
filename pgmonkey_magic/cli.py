"""The command line: `pgmonkey-magic demo` opens JupyterLab on the first notebook with an embedded PostgreSQL.

`pgmonkey-magic demo --check` runs that notebook without a browser, prints its last table and exits. `config` makes and
proves a YAML file, `audit` compares its pools with the server's limits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from pgmonkey_magic.errors import DemoError, PgMonkeyError

FIRST = "01_first_cell.ipynb"
PACKAGED = Path(__file__).parent / "demo" / "notebooks"
CHECKOUT = Path(__file__).parents[1] / "notebooks"
WORKING_COPY = "pgmonkey_notebooks"
SHIPPED = {".ipynb", ".md", ".png"}
CELL_TIMEOUT_S = 120
COULD_NOT_ASK = 2
"""The exit status of an audit without an answer; 0 is that the pools fit, 1 that the server is too small."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the return value is the exit status."""
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            return arguments.run(arguments)
        except PgMonkeyError as error:
            print("\n".join([f"pgmonkey-magic: {error}", *error.detail]), file=sys.stderr)  # noqa: T201
            return COULD_NOT_ASK if arguments.run is _audit else 1


def _say_warning(message: Warning | str, *_where: object) -> None:
    print(f"pgmonkey-magic: warning: {message}", file=sys.stderr)  # noqa: T201 - no line of Python's to a person


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pgmonkey-magic", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="JupyterLab on the first notebook, with an embedded PostgreSQL")
    demo.add_argument("--check", action="store_true", help="run the notebook headless, print its last table, exit")
    demo.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    demo.add_argument("--port", type=int, default=8888, help="port of JupyterLab on this machine (default 8888)")
    demo.set_defaults(run=_demo)
    audit = commands.add_parser("audit", help="pool sizes of a YAML file against the limits of its server")
    _add_file(audit)
    audit.add_argument(
        "--processes", type=_processes, default=1, help="how many processes will each have one (default 1)"
    )
    audit.set_defaults(run=_audit)
    config = commands.add_parser("config", help="make a YAML file, or prove that one works")
    ways = config.add_subparsers(required=True, metavar="COMMAND")
    create = ways.add_parser("create", help="write a new file, with every setting explained")
    create.add_argument("config", help="the YAML file, which must not be there yet")
    create.set_defaults(run=_create)
    check = ways.add_parser("check", help="validate a file and connect to its server")
    _add_file(check)
    check.set_defaults(run=_check_config)
    return parser


def _processes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text!r}")
    return int(text)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="the YAML file")
    parser.add_argument("--type", choices=("pool", "async_pool"), default="pool", help="which pool (default pool)")
    parser.add_argument("--resolve-env", action="store_true", help="resolve ${VAR}, from_env and from_file in the file")


def _create(arguments: argparse.Namespace) -> int:
    from pgmonkey_magic.config import create_config  # noqa: PLC0415 - only this command writes a file

    path = arguments.config
    create_config(path)
    print(  # noqa: T201
        f"{path} is written; set host, user and dbname in it, then: pgmonkey-magic config check {path}\n"
        "(with --resolve-env if it takes something from the environment or from another file)"
    )
    return 0


def _check_config(arguments: argparse.Namespace) -> int:
    from pgmonkey_magic.cells.session import prove  # noqa: PLC0415 - only this command needs it
    from pgmonkey_magic.config import read_config  # noqa: PLC0415

    config = read_config(arguments.config, resolve_env=arguments.resolve_env)
    answered = prove(config, arguments.type)
    sizes = config.pool_settings_for(arguments.type)
    print(  # noqa: T201
        f"connected to {answered.database} as {answered.user}, PostgreSQL {answered.version} "
        f"({'encrypted' if answered.encrypted else 'not encrypted'})\n"
        f"{arguments.type}: min_size {sizes.min_size}, max_size {sizes.max_size}, timeout {sizes.timeout:g} s"
    )
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    import psycopg  # noqa: PLC0415 - only this command needs it

    from pgmonkey_magic import tuning  # noqa: PLC0415
    from pgmonkey_magic.config import read_config  # noqa: PLC0415

    config = read_config(arguments.config, resolve_env=arguments.resolve_env)
    try:
        findings = tuning.audit(config, arguments.type, arguments.processes)
    except psycopg.Error as error:
        raise PgMonkeyError(" ".join(str(error).split())) from error
    rows = [f"{finding.verdict:<10} {finding.check:<36} {finding.value:<22} {finding.why}" for finding in findings]
    print("\n".join(rows))  # noqa: T201 - at once, for a reader that takes the first line and goes
    return int(any(finding.verdict == tuning.TOO_SMALL for finding in findings))


def _demo(arguments: argparse.Namespace) -> int:
    from pgmonkey_magic.demo import start_demo  # noqa: PLC0415 - only this command starts a server

    _need_jupyter()
    # Held here until JupyterLab ends, so that kernels find it warm and closing one notebook does not end it.
    server = start_demo()
    print(f"embedded PostgreSQL {server.version} is running on a private socket")  # noqa: T201
    try:
        return _check() if arguments.check else _open_lab(arguments)
    finally:
        server.release()


def _need_jupyter() -> None:
    try:
        import jupyterlab  # noqa: F401, PLC0415
        import nbclient  # noqa: F401, PLC0415
    except ImportError as error:
        raise DemoError('the demo needs JupyterLab: pip install "pgmonkey-magic[demo]"') from error


def _open_lab(arguments: argparse.Namespace) -> int:
    notebook = _working_directory() / FIRST
    command = [sys.executable, "-m", "jupyterlab", str(notebook), f"--port={arguments.port}"]
    command += ["--log-level=WARN", "--LabApp.log_level=WARN"]
    command.append(f"--LabApp.default_url=/lab/tree/{FIRST}")  # it prints this address, with its port and token
    if arguments.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # JupyterLab refuses root, which is who one is in a container
    print(f"opening {notebook}; end with Ctrl-C", flush=True)  # noqa: T201 - above what JupyterLab prints
    lab = subprocess.Popen(command)  # noqa: S603 - our own interpreter
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())  # it ends its kernels, and then so do we
    while True:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            continue  # JupyterLab has got the same Ctrl-C and asks whether to stop


def _working_directory() -> Path:
    """Return where the notebooks are worked on: the checkout's own, or a copy in the working directory."""
    here = Path("notebooks")
    if (here / FIRST).is_file():
        return here
    copy = Path(WORKING_COPY)
    copy.mkdir(exist_ok=True)
    for source in sorted(_shipped().rglob("*")):
        target = copy / source.relative_to(_shipped())
        if source.suffix in SHIPPED and not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
    return copy


def _shipped() -> Path:
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def _check() -> int:
    import nbformat  # noqa: PLC0415 - the demo extra
    from nbclient import NotebookClient  # noqa: PLC0415
    from nbclient.exceptions import CellExecutionError  # noqa: PLC0415

    notebook = nbformat.read(_shipped() / FIRST, as_version=4)
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3")
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(_last_table(notebook))  # noqa: T201
    print(f"{FIRST} ran without an error")  # noqa: T201
    return 0


def _last_table(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    tables = [o.data for o in outputs if o.output_type == "execute_result" and "<table" in o.data.get("text/html", "")]
    return tables[-1]["text/plain"] if tables else "(the notebook shows no table)"


if __name__ == "__main__":
    sys.exit(main())
