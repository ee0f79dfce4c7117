"""The tuner as a person uses it: a slider dragged while a cell runs serves the queue at once; apply, undo, save."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from fix_browser import SCREENSHOTS, Lab, open_notebook
from fix_figures import Tell
from playwright.sync_api import Locator, Page, expect
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic.demo.cluster import Cluster

LOAD = """%load_ext pgmonkey_magic
%pgmonkey connect orders.yaml --as orders
import asyncio, json, threading, time
pool = get_ipython().find_line_magic("pgmonkey").__self__.session.current.pool
end = threading.Event()

def worker():
    while not end.is_set():
        with pool as conn:
            conn.execute("SELECT pg_sleep(0.1)")

async def errand():
    while not end.is_set():
        async with pool as conn:
            await conn.execute("SELECT pg_sleep(0.1)")

target = worker if hasattr(pool, "__enter__") else lambda: asyncio.run(errand())
for n in range(8):
    threading.Thread(target=target, name=f"web-{n}", daemon=True).start()"""
TUNE = "%pgmonkey tune"
BLOCK = """before, changed, last = pool.settings.max_size, None, time.time() + 20
while time.time() < last:
    if changed is None and pool.settings.max_size != before:
        changed, last = time.time(), time.time() + 2
        queued = pool.occupancy.waiting
    time.sleep(0.001)
print(json.dumps([changed, pool.settings.max_size, queued, pool.occupancy.waiting]))"""
END = "end.set(); time.sleep(0.5)"
FILE = "orders.yaml"


class Notebook:
    """A notebook whose cells are run one by one; the second holds the tuner."""

    def __init__(self, page: Page, root: Path) -> None:
        self.page, self.root = page, root
        self._count = 0

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(number)

    def start(self, number: int) -> None:
        self.cell(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def ended(self, number: int) -> None:
        self._count += 1
        expect(self.cell(number).locator(".jp-InputArea-prompt")).to_have_text(f"[{self._count}]:", timeout=60_000)

    def run(self, number: int) -> None:
        self.start(number)
        self.ended(number)

    @property
    def panel(self) -> Locator:
        return self.cell(1).locator(".jp-Cell-outputArea")

    def press(self, name: str) -> None:
        self.panel.get_by_role("button", name=name, exact=True).click()

    def type_in(self, label: str, value: float) -> None:
        box = self.panel.get_by_label(label, exact=True)
        box.fill(str(value))
        box.press("Enter")

    def drag(self, slider: int, pixels: int) -> float:
        """Drag a slider by its handle; return when it was released."""
        handle = self.panel.locator(".noUi-handle").nth(slider)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y, steps=5)
        released = time.time()
        self.page.mouse.up()
        return released

    def picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        self.panel.scroll_into_view_if_needed()
        self.panel.screenshot(path=SCREENSHOTS / f"tuner_{name}.png")


@pytest.fixture
def notebook(page: Page, lab: Lab, theme: str, kind: str) -> Iterator[Notebook]:
    with Cluster(settings={"max_connections": 30}) as cluster:
        config = {"connection_type": kind, "connection_settings": conninfo_to_dict(cluster.conninfo)}
        (lab.root / FILE).write_text(
            f"# ours\n{yaml.safe_dump(config)}{kind}_settings:\n  min_size: 2\n  max_size: 2  # the most\n"
            "  timeout: 60\n"
        )
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (LOAD, TUNE, BLOCK, END)])
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, lab.root / f"tuner_{theme}.ipynb")
        lab.set_theme("JupyterLab Dark" if theme == "dark" else "JupyterLab Light")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        open_notebook(page, lab, f"tuner_{theme}.ipynb")
        complaints.clear()  # what JupyterLab itself says while it loads
        yield Notebook(page, lab.root)
        assert complaints == []


@pytest.mark.parametrize(
    ("theme", "kind"), [("light", "pool"), pytest.param("dark", "async_pool", marks=pytest.mark.long)]
)
def test_the_tuner_changes_a_pool_while_a_cell_runs(notebook: Notebook, theme: str, kind: str, tell: Tell) -> None:
    notebook.run(0)
    notebook.run(1)
    expect(notebook.panel).to_contain_text("room for 27 connections", timeout=10_000)
    notebook.picture(f"{theme}_begin")
    size = dragged_while_a_cell_runs(notebook, theme, tell)
    proposed_refused_applied_asked(notebook, theme, size)
    undone_saved_recommended(notebook, theme, size)
    notebook.run(3)
    notebook.press("freeze")
    expect(notebook.panel).to_contain_text("as of ", timeout=10_000)
    expect(notebook.panel.get_by_role("button")).to_have_count(0)
    notebook.picture(f"{theme}_frozen")


def dragged_while_a_cell_runs(notebook: Notebook, theme: str, tell: Tell) -> int:
    panel = notebook.panel
    panel.get_by_label("live (apply at once)").check()
    notebook.start(2)
    expect(notebook.cell(2).locator(".jp-InputArea-prompt")).to_have_text("[*]:")
    time.sleep(1)
    released = notebook.drag(1, 80)
    expect(panel).to_contain_text("applied: max_size 2 → ", timeout=15_000)
    notebook.ended(2)
    changed, size, queued, waiting = json.loads(notebook.cell(2).locator(".jp-OutputArea-output").inner_text())
    tell(release_to_change_ms=round((changed - released) * 1000))
    assert changed - released < 5  # far less; not after the cell
    assert size >= 8
    assert (queued > 0, waiting) == (True, 0)
    notebook.picture(f"{theme}_applied")
    panel.get_by_label("live (apply at once)").uncheck()
    return size


def proposed_refused_applied_asked(notebook: Notebook, theme: str, size: int) -> None:
    panel = notebook.panel
    notebook.type_in("max_size", 20)
    notebook.drag(2, -40)
    expect(panel).to_contain_text(f"{size} → 20 connections", timeout=10_000)
    notebook.press("YAML")
    expect(panel).to_contain_text("+  max_size: 20  # the most", timeout=10_000)
    notebook.picture(f"{theme}_proposed")
    notebook.press("YAML")
    notebook.press("Apply")
    expect(panel).to_contain_text(f"applied: max_size {size} → 20, timeout 60 → ", timeout=10_000)
    notebook.type_in("min_size", 25)
    expect(panel).to_contain_text("is greater than", timeout=10_000)
    notebook.picture(f"{theme}_refused")
    notebook.press("reset")
    notebook.type_in("max_size", 90)
    expect(panel).to_contain_text("Apply asks once more", timeout=10_000)
    notebook.press("Apply")
    expect(panel.get_by_role("button", name="apply anyway")).to_be_visible(timeout=15_000)
    notebook.picture(f"{theme}_asked")
    notebook.press("leave it")
    notebook.press("reset")


def undone_saved_recommended(notebook: Notebook, theme: str, size: int) -> None:
    panel = notebook.panel
    notebook.press("undo (2)")
    expect(panel).to_contain_text(f"undone: max_size 20 → {size}", timeout=10_000)
    notebook.press("save…")
    expect(panel).to_contain_text(f"orders.yaml: max_size {size}", timeout=10_000)
    saved = (notebook.root / FILE).read_text()
    assert saved.startswith("# ours\n")
    assert f"  max_size: {size}  # the most\n" in saved
    expect(panel).to_contain_text("▶ now", timeout=60_000)
    notebook.press("recommend…")
    notebook.picture(f"{theme}_recommend")
    notebook.press("propose")
    expect(panel).to_contain_text(re.compile("recommended: max_size|no recommendation: "), timeout=20_000)
    notebook.picture(f"{theme}_recommended")


@pytest.mark.parametrize(("theme", "kind"), [("light", "pool")])
def test_the_tuner_is_used_from_the_keyboard(notebook: Notebook, theme: str, kind: str) -> None:
    notebook.run(0)
    notebook.run(1)
    panel, keyboard = notebook.panel, notebook.page.keyboard
    expect(panel).to_contain_text("room for", timeout=10_000)
    panel.get_by_label("min_size", exact=True).focus()
    keyboard.press("Tab")  # to its slider
    keyboard.press("Tab")
    assert panel.get_by_label("max_size", exact=True).evaluate("box => box === document.activeElement")
    keyboard.press("Tab")
    for _ in range(3):
        keyboard.press("ArrowRight")
    expect(panel).to_contain_text("2 → 5 connections", timeout=10_000)
    for _ in range(20):
        keyboard.press("Tab")
        if panel.get_by_role("button", name="Apply").evaluate("button => button === document.activeElement"):
            break
    keyboard.press("Enter")
    expect(panel).to_contain_text("applied: max_size 2 → 5", timeout=10_000)
    notebook.run(3)
