"""A fresh IPython shell in this process, and real kernels driven by nbclient."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from fix_server import Server
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient
from traitlets.config import Config

from pgmonkey_magic.pools import clear_cache


class Shell:
    """Runs cells in a shell of its own; each run returns what it showed and raises what it raised."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        InteractiveShell.clear_instance()  # `display` speaks to the singleton
        self.ip = InteractiveShell.instance(config=config)
        self.run("%load_ext pgmonkey_magic")

    def run(self, cell: str) -> Any:
        """Run a cell and return its value; the error is raised here."""
        with capture_output() as captured:
            outcome = self.ip.run_cell(cell)
        self.stdout = captured.stdout
        self.shown = [output.data["text/plain"] for output in captured.outputs]
        outcome.raise_error()
        return outcome.result

    def error(self, cell: str) -> Any:
        """Run a cell that must fail and return its error; it must be one sentence."""
        with capture_output() as captured:
            outcome = self.ip.run_cell(cell)
        self.stdout = captured.stdout
        error = outcome.error_before_exec or outcome.error_in_exec
        assert error is not None, f"{cell!r} did not fail"
        return error

    @property
    def footer(self) -> str:
        """The last line under the last cell."""
        return self.shown[-1].splitlines()[-1]

    def __getitem__(self, name: str) -> Any:
        return self.ip.user_ns[name]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell with the extension loaded, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGMONKEY_CONFIG", raising=False)
    made = Shell()
    yield made
    clear_cache()
    atexit.unregister(made.ip.atexit_operations)  # each collects all garbage at the end, and there are hundreds


def write_config(path: Path, config: dict[str, Any]) -> Path:
    """Write a configuration that only its owner can read, and return where."""
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


@pytest.fixture
def config_file(server: Server, tmp_path: Path) -> Path:
    """A YAML file for the test server, with pools of at most 3."""
    sizes = {"min_size": 1, "max_size": 3}
    path = tmp_path / "server.yaml"
    return write_config(path, server.config() | {"pool_settings": sizes, "async_pool_settings": dict(sizes)})


@pytest.fixture(params=["pool", "async_pool"])
def connected(shell: Shell, config_file: Path, request: pytest.FixtureRequest) -> Shell:
    """A shell that is connected to the test server, over each kind of pool."""
    shell.run(f"%pgmonkey connect {config_file} --as test -t {request.param}")
    return shell


def run_in_kernel(*cells: str, allow_errors: bool = False, cwd: Path | None = None) -> list[Any]:
    """Run cells in a new kernel; return the list of outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(cwd or Path.cwd())}},
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]
