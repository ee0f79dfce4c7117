"""The lab as a person sees it: a load runs and its figures appear, a lesson runs, stop stops, also beside a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest
import yaml
from fix_browser import SCREENSHOTS, Lab, open_notebook
from fix_server import Server
from playwright.sync_api import Locator, Page, expect

from pgmonkey_magic.tuning.lab import APPLICATION_NAME

CONNECT = "%load_ext pgmonkey_magic\n%pgmonkey connect server.yaml --as orders"
LAB = "%pgmonkey lab"
RUNNING = "import time; time.sleep(9); print('slept')"
LESSON = "%pgmonkey lab reuse"
TWICE = """from pgmonkey_magic.notebook import showing
display([*showing._shown.values()][-1][-1][1].widget)"""


class Notebook:
    """A notebook whose cells are run one by one; the second shows the lab."""

    def __init__(self, page: Page, theme: str) -> None:
        self.page, self.theme = page, theme
        self._count = 0

    def start(self, number: int) -> None:
        """Send a cell to the kernel."""
        self.page.locator(".jp-CodeCell").nth(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number: int) -> None:
        """Run a cell and wait for its end."""
        self.start(number)
        self._count += 1
        prompt = self.page.locator(".jp-CodeCell").nth(number).locator(".jp-InputArea-prompt")
        expect(prompt).to_have_text(f"[{self._count}]:", timeout=60_000)

    def output(self, number: int = 1) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(number).locator(".jp-Cell-outputArea")

    def press(self, name: str, number: int = 1) -> None:
        self.output(number).get_by_role("button", name=name, exact=True).click()

    def picture(self, name: str, number: int = 1) -> None:
        """Take a screenshot of the panel."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.output(number).scroll_into_view_if_needed()
        self.output(number).screenshot(path=SCREENSHOTS / f"lab_{self.theme}_{name}.png")


@pytest.fixture
def notebook(page: Page, lab: Lab, server: Server, theme: str) -> Iterator[Notebook]:
    config = server.config() | {"pool_settings": {"min_size": 1, "max_size": 3}}
    (lab.root / "server.yaml").write_text(yaml.safe_dump(config))
    cells = [nbformat.v4.new_code_cell(cell) for cell in (CONNECT, LAB, RUNNING, LESSON, TWICE)]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, lab.root / f"lab_{theme}.ipynb")
    lab.set_theme("JupyterLab Dark" if theme == "dark" else "JupyterLab Light")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    open_notebook(page, lab, f"lab_{theme}.ipynb")
    complaints.clear()  # what JupyterLab itself says while it loads
    yield Notebook(page, theme)
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_a_load_and_a_lesson(notebook: Notebook, server: Server, theme: str) -> None:
    notebook.run(0)
    notebook.run(1)
    panel = notebook.output()
    expect(panel).to_contain_text("then press start", timeout=10_000)
    expect(panel).to_contain_text("half of what the server has free", timeout=10_000)
    notebook.picture("begin")
    notebook.start(2)
    notebook.press("at the knee")
    expect(panel).to_contain_text("3.2 of 4 connections busy", timeout=5_000)
    notebook.press("start")
    expect(panel).to_contain_text("running: 3 of 5 s", timeout=8_000)
    expect(panel).to_contain_text("client ")
    expect(notebook.output(2)).not_to_contain_text("slept")  # so that was beside a running cell
    notebook.picture("running")
    expect(panel).to_contain_text("done after", timeout=15_000)
    expect(panel).to_contain_text(re.compile(r"\d+ requests got a connection"))
    expect(panel).to_contain_text("by chance")
    notebook.picture("done")
    notebook.press("table")
    expect(panel.locator("table")).to_have_count(2, timeout=10_000)
    notebook.picture("table")
    notebook.press("table")

    notebook.press("closed: workers")
    expect(panel).to_contain_text("8 workers share 4 connections", timeout=5_000)
    notebook.picture("closed")
    notebook.press("open: per second")
    notebook.press("overloaded")
    notebook.press("start")
    expect(panel).to_contain_text("running: 1 of 5 s", timeout=8_000)
    notebook.picture("overloaded")
    notebook.press("stop")
    expect(panel).to_contain_text("stopped after", timeout=5_000)
    notebook.picture("stopped")
    expect(notebook.output(2)).to_contain_text("slept", timeout=15_000)

    notebook.press("a lesson")
    expect(panel).to_contain_text("Do connections come back", timeout=5_000)
    notebook.picture("lesson_new")
    notebook.press("start")
    expect(panel).to_contain_text("6 workers were served by 3 backends", ignore_case=True, timeout=15_000)
    notebook.picture("lesson")
    notebook.press("freeze")
    expect(panel).to_contain_text("as of", timeout=5_000)
    expect(panel.locator("button")).to_have_count(0)
    notebook.picture("frozen")
    assert server.backends(APPLICATION_NAME) == 0


@pytest.mark.parametrize("theme", ["light"])
def test_a_named_lesson_begins_at_once_in_every_view_and_again_with_its_cell(
    notebook: Notebook, server: Server, theme: str
) -> None:
    notebook.run(0)
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("were served by 3 backends", timeout=15_000)
    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("were served by 3 backends", timeout=10_000)
    notebook.press("a load", 4)
    notebook.press("overloaded", 4)
    notebook.press("start", 4)
    for number in (3, 4):
        expect(notebook.output(number)).to_contain_text("running: 1 of 5 s", timeout=10_000)
    notebook.run(3)  # closes what its first run showed, in the middle of the load
    expect(notebook.output(3)).to_contain_text("were served by 3 backends", timeout=15_000)
    expect(notebook.output(3).locator(".widget-html-content")).to_have_count(2)
    assert server.backends(APPLICATION_NAME) == 0
