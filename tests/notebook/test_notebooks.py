"""The course runs from a clean kernel, its exercises check themselves, and what is committed of it reads well."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
from fix_course import COURSE, NOTEBOOKS, Run, answer, exercises, question, run, shown, tagged

from pgmonkey_magic.notebook.grammar import CELL_OPTIONS

PATHS = re.compile(r"/(?:home|root|tmp|work|Users|private|var|run)/")
AT_ONCE = 3
REMEMBER_SECRETS = """import secrets as _secrets
_made, _make = [], _secrets.token_urlsafe
_secrets.token_urlsafe = lambda *size: _made.append(_make(*size)) or _made[-1]"""
TELL_SECRETS = "print(*_made)"
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Future[Run]]]:
    """The runs of those that are asked for, some at a time: they wait more than they work."""
    wanted = dict.fromkeys(
        item.callspec.params["path"]
        for item in request.session.items
        if getattr(item, "callspec", None) and item.path == Path(__file__)
    )
    with ThreadPoolExecutor(AT_ONCE) as workers:
        yield {path: workers.submit(run_with_exercises, path, tmp_path_factory.mktemp(path.stem)) for path in wanted}


def run_with_exercises(path: Path, directory: Path) -> Run:
    behind = []
    for exercise in exercises(nbformat.read(path, as_version=4)):
        behind += [exercise.wrong, exercise.check, exercise.solution, exercise.check]
    return run(path, directory, before=[REMEMBER_SECRETS], behind=[*behind, TELL_SECRETS])


@every_notebook
def test_a_notebook_runs_from_a_clean_kernel(path: Path, runs: dict[Path, Future[Run]]) -> None:
    done = runs[path].result()
    for cell in done.notebook.cells:
        failed = any(output.output_type == "error" for output in cell.get("outputs", []))
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source
        assert not PATHS.search(shown(cell.get("outputs", []))), cell.source
    assert re.search(r"\d", answer(done.notebook)), "the answer is measured"
    assert done.seconds < 100, "it is meant to take less than a minute on a machine of its own"


@every_notebook
def test_no_output_shows_a_password(path: Path, runs: dict[Path, Future[Run]]) -> None:
    done = runs[path].result()
    secrets = shown(done.behind[-1]).split()
    outputs = "\n".join(shown(cell.get("outputs", [])) for cell in done.notebook.cells)
    assert not [secret for secret in secrets if secret in outputs]
    if "token_urlsafe" in path.read_text():
        assert secrets


@every_notebook
def test_exercises_accept_their_solutions_and_refuse_a_wrong_answer(path: Path, runs: dict[Path, Future[Run]]) -> None:
    done = runs[path].result()
    for number, exercise in enumerate(exercises(done.notebook)):
        _, refused, _, accepted = done.behind[4 * number : 4 * number + 4]
        assert "not yet" in shown(refused), exercise.wrong
        assert "✓ right" in shown(accepted), exercise.solution
    for cell in tagged(done.notebook, "check"):
        assert "not answered yet" in shown(cell.outputs), cell.source


@every_notebook
def test_what_is_committed_is_a_lesson_with_outputs_and_no_paths(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "run it before it is committed: tests/notebook/execute.py"
    assert not PATHS.search("\n".join(shown(cell.outputs) for cell in code))
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.startswith(f"# {int(path.stem.partition('_')[0])} · ")
    assert question(notebook)
    assert answer(notebook)
    assert "answer" in code[-1].metadata.tags
    assert 2 <= len(exercises(notebook)) <= 3
    assert all(cell.metadata.jupyter.source_hidden for cell in tagged(notebook, "check")), "it gives the answer away"
    for exercise in exercises(notebook):
        assert re.search(r"= \.\.\.$", exercise.answer, re.MULTILINE), "the learner fills in `...`"


def test_the_table_of_the_course_names_every_notebook_and_its_question() -> None:
    rows = [line for line in (COURSE / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert len(rows) == len(NOTEBOOKS)
    for row, path in zip(rows, NOTEBOOKS, strict=True):
        notebook: Any = nbformat.read(path, as_version=4)
        assert path.name in row
        assert question(notebook) in row
        assert answer(notebook) in row


def test_every_option_is_shown_once() -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem.endswith("cell_options")]
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    for option in CELL_OPTIONS:
        assert any(re.search(rf"(?<!\S){re.escape(name)}(?!\S)", source) for name in option.names), option.names
