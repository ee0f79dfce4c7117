"""What Binder makes of this repository: the Dockerfile that repo2docker prints for it, and what postBuild does.

The dry run needs no Docker.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.platform == "win32":
    pytest.skip("Binder's images are Linux", allow_module_level=True)

CHECKOUT = Path(__file__).parents[2]
BINDER = CHECKOUT / "binder"
BIN = Path(sys.executable).parent
PIP = 'RUN ${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r "binder/requirements.txt"'
POST_BUILD = "RUN ./binder/postBuild"
OPENS = re.compile(r"https://mybinder\.org/v2/gh/\S+?\?urlpath=lab/tree/([\w./-]+)")


@pytest.fixture(scope="module")
def dry_run() -> subprocess.CompletedProcess[str]:
    command = [BIN / "jupyter-repo2docker", "--no-build", "--debug", "--user-id=1000", "--user-name=jovyan", "."]
    return subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def instructions(dry_run: subprocess.CompletedProcess[str]) -> list[str]:
    """The Dockerfile's lines that are not empty."""
    return [line.strip() for line in dry_run.stdout.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def last_before(instructions: list[str], end: str, kind: str) -> str:
    """The instruction of that kind which holds when *end* is run."""
    return [line for line in instructions[: instructions.index(end)] if line.startswith(f"{kind} ")][-1]


def test_the_image_has_a_python_that_the_project_supports(
    dry_run: subprocess.CompletedProcess[str], instructions: list[str], project: dict[str, Any]
) -> None:
    assert instructions[0].startswith("FROM docker.io/library/buildpack-deps:")
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert f"Building conda environment for python={version}" in dry_run.stderr
    assert version in SpecifierSet(project["requires-python"])


def test_the_demo_is_installed_from_the_root_of_the_repository(
    instructions: list[str], project: dict[str, Any]
) -> None:
    requirement = (BINDER / "requirements.txt").read_text()
    assert requirement == ".[demo]\n"
    assert "demo" in project["optional-dependencies"]
    assert PIP in instructions
    whole_repository = "COPY --chown=1000:1000 src/ ${REPO_DIR}/"
    assert instructions.index(whole_repository) < instructions.index(PIP), "the dot is the repository"
    assert last_before(instructions, PIP, "WORKDIR") == "WORKDIR ${REPO_DIR}"
    assert last_before(instructions, PIP, "USER") == "USER ${NB_USER}"


def test_what_is_too_old_in_the_image_is_replaced(project: dict[str, Any]) -> None:
    demo = {need.name: need for need in map(Requirement, project["optional-dependencies"]["demo"])}
    # with older ones a panel's buttons wait until the cell has ended
    assert "4.3.9" not in demo["jupyterlab"].specifier
    assert "6.30" not in demo["ipykernel"].specifier


def test_post_build_is_run_by_the_one_who_opens_the_image(instructions: list[str]) -> None:
    assert instructions.index(PIP) < instructions.index(POST_BUILD)
    assert last_before(instructions, POST_BUILD, "WORKDIR") == "WORKDIR ${REPO_DIR}"
    assert last_before(instructions, POST_BUILD, "USER") == "USER ${NB_USER}"
    assert os.access(BINDER / "postBuild", os.X_OK)
    subprocess.run(["bash", "-n", BINDER / "postBuild"], check=True)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for TMPDIR, short enough for a socket; the server of root runs as another user."""
    with tempfile.TemporaryDirectory(prefix="pgm-", dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


def test_post_build_runs_and_leaves_no_server_in_the_image(tmp_path: Path, temporary: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    shutil.copytree(CHECKOUT / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "XDG_"))}
    private = {"HOME": str(home), "TMPDIR": str(temporary), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    server = temporary / f"pgmonkey-{os.geteuid()}"
    with log.open("w") as out:
        build = subprocess.Popen([BINDER / "postBuild"], cwd=home, env=kept | private, stdout=out, stderr=out)
        wait_until(lambda: server.exists() or build.poll() is not None, seconds=60)
        started = server.exists()
        status = build.wait(120)
    said = log.read_text()
    assert status == 0, said
    assert started, "its server lives where the test looks for it"
    assert "01_first_cell.ipynb ran without an error" in said
    for notebook in (home / "notebooks").glob("*.ipynb"):
        assert f"Signing notebook: notebooks/{notebook.name}" in said
    assert wait_until(lambda: not server.exists())


def wait_until(happens: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happens()


def test_binder_opens_a_notebook_that_exists() -> None:
    for notebook in OPENS.findall((CHECKOUT / "README.md").read_text()):
        nbformat.read(CHECKOUT / notebook, as_version=4)
