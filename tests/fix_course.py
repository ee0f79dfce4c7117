"""The teaching notebooks: how they are run, and what they consist of."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

COURSE = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(COURSE.glob("*.ipynb"))
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True)
class Exercise:
    """A cell to fill in, the check behind it, a wrong answer, and the solution in the folded text."""

    answer: str
    check: str
    wrong: str
    solution: str


@dataclass(frozen=True)
class Run:
    """A notebook that ran from a clean kernel; what was run before and behind it is not part of it."""

    notebook: Any
    seconds: float
    behind: list[Any]


def run(path: Path, directory: Path, *, before: Sequence[str] = (), behind: Sequence[str] = ()) -> Run:
    """Run the notebook in *directory*, between other cells of the same kernel; any thread may do it."""
    return asyncio.run(_run(path, directory, before, behind))


async def _run(path: Path, directory: Path, before: Sequence[str], behind: Sequence[str]) -> Run:
    notebook = nbformat.read(path, as_version=4)
    first, last = len(before), len(before) + len(notebook.cells)
    notebook.cells = [
        *(nbformat.v4.new_code_cell(source) for source in before),
        *notebook.cells,
        *(nbformat.v4.new_code_cell(source) for source in behind),
    ]
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(directory)}},
    )
    start = time.monotonic()
    seconds = 0.0
    async with client.async_setup_kernel():
        for number, cell in enumerate(notebook.cells):
            await client.async_execute_cell(cell, number)
            if number == last - 1:
                seconds = time.monotonic() - start
    notebook.cells, rest = notebook.cells[first:last], notebook.cells[last:]
    return Run(notebook, seconds, [cell.outputs for cell in rest])


def tagged(notebook: Any, tag: str) -> list[Any]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def exercises(notebook: Any) -> list[Exercise]:
    """Return the exercises in their order; their cells come in fours."""
    found = []
    kinds = [tagged(notebook, tag) for tag in ("exercise", "check", "solution")]
    for answer, check, solution in zip(*kinds, strict=True):
        (code,) = SOLUTION.findall(solution.source)
        found.append(Exercise(answer.source, check.source, check.metadata["wrong"], code))
    return found


def question(notebook: Any) -> str:
    """Return the question that the notebook opens with: the bold sentence of its first cell."""
    return re.findall(r"\*\*(.+?\?)\*\*", notebook.cells[0].source)[0]


def answer(notebook: Any) -> str:
    """Return the measured answer that it ends with: what its last code cell prints."""
    (cell,) = tagged(notebook, "answer")
    return "".join(output.text for output in cell.outputs if output.output_type == "stream").strip()


def shown(outputs: list[Any]) -> str:
    """Return all that a person can read of the outputs of a cell."""
    parts = []
    for output in outputs:
        parts += [output.get("text", ""), *output.get("traceback", ()), str(output.get("data", ""))]
    return "\n".join(parts)
