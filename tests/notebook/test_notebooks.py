"""The notebooks run from a clean kernel, and what is committed of them reads well."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pgmonkey_magic.notebook.grammar import CELL_OPTIONS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PATHS = re.compile(r"/(?:home|root|tmp|work|Users|private|var)/")


def texts(notebook: nbformat.NotebookNode) -> str:
    parts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            parts += [output.get("text", ""), *output.get("traceback", []), str(output.get("data", {}))]
    return "\n".join(parts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_a_clean_kernel(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for cell in notebook.cells:
        failed = any(output.output_type == "error" for output in cell.get("outputs", []))
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source
    assert not PATHS.search(texts(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_has_outputs_and_no_paths(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "run it before it is committed"
    assert any(cell.outputs for cell in code)
    assert not PATHS.search(texts(notebook))
    assert notebook.metadata.kernelspec.name == "python3"


def test_every_option_is_shown_once() -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem.endswith("cell_options")]
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    for option in CELL_OPTIONS:
        assert any(re.search(rf"(?<!\S){re.escape(name)}(?!\S)", source) for name in option.names), option.names
