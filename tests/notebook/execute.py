"""Runs the teaching notebooks and keeps their outputs: `python tests/notebook/execute.py [NOTEBOOK …]`.

Without names it runs all of them and writes `notebooks/README.md`, the table of the course. Nothing else should run on
the machine meanwhile: what they measure is committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1]))
from fix_course import COURSE, NOTEBOOKS, Run, answer, exercises, question, run, tagged

HEAD = """# The course

{sentence} Each notebook opens with a question, has exercises that check themselves, and ends with an answer that it has
measured. `pgmonkey-magic demo` opens the first one in JupyterLab; the figures below are those of the committed outputs.

| notebook | question | measured answer | seconds | exercises |
|---|---|---|---|---|
"""


def keep(path: Path, done: Run) -> None:
    """Write the notebook with its new outputs, and without what differs from machine to machine."""
    for cell in done.notebook.cells:
        cell.metadata.pop("execution", None)
    for cell in tagged(done.notebook, "check"):
        cell.metadata["jupyter"] = {"source_hidden": True}  # what it says to a right answer gives the answer away
    done.notebook.metadata.language_info = {"name": "python"}
    nbformat.write(done.notebook, path)


def row(path: Path, notebook: Any, seconds: float) -> str:
    cells = [f"[{path.stem}]({path.name})", question(notebook), answer(notebook), f"{seconds:.0f}"]
    return "| " + " | ".join([*cells, str(len(exercises(notebook)))]) + " |"


def main(names: list[str]) -> None:
    rows = []
    for path in [Path(name) for name in names] or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as directory:
            done = run(path, Path(directory))
        keep(path, done)
        rows.append(row(path, done.notebook, done.seconds))
        print(rows[-1], flush=True)
    if not names:
        sentence = f"{len(rows)} notebooks about pooling and about PostgreSQL in a notebook, in this order."
        (COURSE / "README.md").write_text(HEAD.format(sentence=sentence) + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
