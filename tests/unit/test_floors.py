"""The house stands: imports point down, no cycles, and each heavy library is imported only where it belongs."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pgmonkey_magic"
FLOORS = {
    "errors": 0,
    "config": 1,
    "sql": 1,
    "demo": 1,
    "results": 2,
    "pools": 2,
    "cells": 3,
    "completion": 3,
    "tuning": 3,
    "panels": 4,
    "notebook": 5,
    "cli": 5,
    "__main__": 6,
}
ONLY_IN = {
    "IPython": {"notebook", "__init__"},
    "traitlets": {"notebook"},
    "ipywidgets": {"panels"},
    "psycopg_pool": {"pools"},
    "pandas": {"results", "cells", "notebook"},
    "yaml": {"config"},
    "pgspecial": {"cells"},
}


def room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_and_heavy_libraries_stay_in_their_rooms(path: Path) -> None:
    here = room(path)
    for module in imported_modules(path):
        top = module.partition(".")[0]
        assert here in ONLY_IN.get(top, {here}), f"{path.name} imports {top}"
        if top == "pgmonkey_magic" and "." in module and here != "__init__":
            there = module.split(".")[1]
            if there in FLOORS:
                assert there == here or FLOORS[there] < FLOORS[here], f"{here} imports {there}"


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} - {"__init__"} <= FLOORS.keys()


def test_no_import_cycles() -> None:
    names = {".".join(["pgmonkey_magic", *path.relative_to(PACKAGE).with_suffix("").parts]): path for path in FILES}
    graph = {name: runtime_imports(path) & names.keys() - {name} for name, path in names.items()}
    TopologicalSorter(graph).prepare()


def runtime_imports(path: Path) -> set[str]:
    """Leave out what only type checkers read."""
    tree = ast.parse(path.read_text())
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, pgmonkey_magic; print(sorted({'pandas','ipywidgets','IPython','psycopg_pool'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_loading_the_extension_does_not_load_pandas() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S\n"
        "shell = S.instance(); shell.run_line_magic('load_ext', 'pgmonkey_magic')\n"
        "print('pandas' in sys.modules, 'pgmonkey' in shell.magics_manager.magics['cell'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False True"


def test_public_names_exist() -> None:
    import pgmonkey_magic

    for name in pgmonkey_magic.__all__:
        assert getattr(pgmonkey_magic, name).__doc__, name
