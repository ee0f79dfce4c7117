"""The occupancy panel as a person sees it: it follows a real load, also while a cell runs, and obeys its buttons."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator

import nbformat
import pytest
import yaml
from fix_browser import SCREENSHOTS, Lab, open_notebook
from playwright.sync_api import Locator, Page, expect
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic.demo.cluster import Cluster

LOAD = """%load_ext pgmonkey_magic
%pgmonkey connect orders.yaml --as orders
import threading, time
pool = get_ipython().find_line_magic("pgmonkey").__self__.session.current.pool
end = threading.Event()

def worker(hold_s, pause_s=0.05):
    while not end.is_set():
        try:
            with pool as conn:
                conn.execute("SELECT pg_sleep(%s)", [hold_s])
        except Exception:
            time.sleep(0.2)
        time.sleep(pause_s)

def start(count, hold_s, name):
    for n in range(count):
        threading.Thread(target=worker, args=(hold_s,), name=f"{name}-{n}", daemon=True).start()

def forgetful():
    with pool as conn:
        conn.execute("SELECT count(*) FROM pg_class")
        end.wait()"""
PANEL = "%pgmonkey panel"
OPEN = "%pgmonkey -q SELECT 1"
BUSY = """start(2, 0.3, "web")
threading.Thread(target=forgetful, name="report", daemon=True).start()"""
EXHAUST = 'start(9, 3, "batch")'
QUERY = "%%pgmonkey -b\nSELECT pg_sleep(100) /* the long <b>report</b> */"
SHRINK = "%pgmonkey tune max_size=3 min_size=1"


class Notebook:
    """A notebook in a page, whose cells are written in advance and run one by one."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._count = 0

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(number)

    def start(self, number: int) -> None:
        """Send a cell to the kernel."""
        self.cell(number).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number: int) -> None:
        """Run a cell and wait for its end."""
        self.start(number)
        self._count += 1
        expect(self.cell(number).locator(".jp-InputArea-prompt")).to_have_text(f"[{self._count}]:", timeout=60_000)

    def panel(self, number: int = 1) -> Locator:
        return self.cell(number).locator(".jp-Cell-outputArea")

    def press(self, name: str, number: int = 1) -> None:
        self.panel(number).get_by_role("button", name=name, exact=True).click()

    def picture_html(self, number: int) -> str:
        return self.panel(number).locator(".widget-html-content").inner_html()

    def picture(self, name: str) -> None:
        """Take a screenshot of the panel."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.panel().scroll_into_view_if_needed()
        self.panel().screenshot(path=SCREENSHOTS / f"panel_{name}.png")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that a test may stop."""
    with Cluster(settings={"max_connections": 30}) as cluster:
        yield cluster


@pytest.fixture
def open_page(page: Page, lab: Lab, cluster: Cluster) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook with the cells and the theme; what the page complains of in its console fails the test."""
    sizes = {"min_size": 2, "max_size": 6, "timeout": 10}
    config = {
        "connection_type": "pool",
        "connection_settings": conninfo_to_dict(cluster.conninfo),
        "pool_settings": sizes,
    }
    (lab.root / "orders.yaml").write_text(yaml.safe_dump(config))
    complaints: list[str] = []

    def opened(*cells: str, theme: str = "light", page: Page = page) -> Notebook:
        name = f"panel_{uuid.uuid4().hex[:8]}.ipynb"
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(made, lab.root / name)
        lab.set_theme("JupyterLab Dark" if theme == "dark" else "JupyterLab Light")
        open_notebook(page, lab, name)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        return Notebook(page)

    yield opened
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_the_panel_follows_a_real_load(open_page: Callable[..., Notebook], cluster: Cluster, theme: str) -> None:
    notebook = open_page(LOAD, PANEL, OPEN, BUSY, EXHAUST, SHRINK, theme=theme)
    panel = notebook.panel(1)
    notebook.run(0)
    notebook.run(1)
    expect(panel).to_contain_text("not open yet", timeout=10_000)
    notebook.picture(f"{theme}_new")
    notebook.run(2)
    expect(panel).to_contain_text("□ idle", timeout=15_000)
    notebook.picture(f"{theme}_idle")
    notebook.run(3)
    expect(panel).to_contain_text("▲ idle in tx", timeout=15_000)
    expect(panel).to_contain_text("report")
    expect(panel).to_contain_text("web-0", timeout=15_000)
    notebook.picture(f"{theme}_busy")
    notebook.run(4)
    expect(panel).to_contain_text("queue ▸", timeout=15_000)
    expect(panel).to_contain_text(re.compile(r"wait p50 [\d.]+"), timeout=40_000)
    expect(panel).to_contain_text("has been idle in a transaction for", timeout=20_000)
    notebook.picture(f"{theme}_exhausted")
    notebook.press("table")
    expect(panel.locator("table")).to_contain_text("SELECT pg_sleep", timeout=10_000)
    notebook.picture(f"{theme}_table")
    notebook.press("table")
    notebook.run(5)
    expect(panel).to_contain_text("closing when returned", timeout=5_000)
    notebook.picture(f"{theme}_shrinking")
    cluster.stop("immediate")
    expect(panel).to_contain_text("cannot connect", timeout=20_000)
    expect(panel).to_contain_text("✖ stale", timeout=20_000)
    notebook.picture(f"{theme}_server_down")


def test_its_buttons_work_while_a_cell_runs(open_page: Callable[..., Notebook]) -> None:
    notebook = open_page(LOAD, PANEL, QUERY, "for _ in range(600):\n    time.sleep(0.1)", 'print("end")')
    panel = notebook.panel(1)
    for number in (0, 1, 2):
        notebook.run(number)
    notebook.start(3)  # it would run for a minute
    expect(panel).to_contain_text("cell [", timeout=15_000)
    notebook.press("pause")
    expect(panel).to_contain_text("paused at", timeout=5_000)
    still = notebook.picture_html(1)
    notebook.page.wait_for_timeout(2_500)
    assert notebook.picture_html(1) == still
    notebook.press("pause")
    expect(panel).to_contain_text("live", timeout=5_000)
    notebook.press("cancel…")
    expect(panel).to_contain_text("Cancel which query?", timeout=5_000)
    expect(panel.locator("select")).to_contain_text("long <b>report</b>")
    notebook.picture("light_cancel")
    notebook.press("leave it")
    expect(panel).not_to_contain_text("Cancel which query?", timeout=5_000)
    expect(notebook.panel(2)).to_contain_text("running", timeout=5_000)
    notebook.press("cancel…")
    notebook.press("cancel this query")
    expect(notebook.panel(2)).to_contain_text("canceling statement due to user request", timeout=10_000)
    expect(panel).to_contain_text("the server was asked to cancel the query of cell [")
    notebook.press("recycle")
    expect(panel).to_contain_text("recycling: idle connections are replaced now", timeout=5_000)
    notebook.press("check")
    expect(panel).to_contain_text("checked: 0 dead connections replaced", timeout=5_000)
    expect(notebook.cell(3).locator(".jp-InputArea-prompt")).to_have_text("[*]:")
    notebook.press("freeze")
    expect(panel).to_contain_text("as of", timeout=5_000)
    expect(panel.get_by_role("button")).to_have_count(0)
    notebook.picture("light_frozen")


def test_two_panels_a_rerun_and_a_narrow_page(open_page: Callable[..., Notebook]) -> None:
    notebook = open_page(LOAD, PANEL, PANEL, OPEN, BUSY, "%pgmonkey disconnect")
    for number in (0, 1, 2, 3):
        notebook.run(number)
    for number in (1, 2):
        expect(notebook.panel(number)).to_contain_text("□ idle", timeout=10_000)
    notebook.press("pause", 1)
    expect(notebook.panel(1)).to_contain_text("paused at", timeout=5_000)
    expect(notebook.panel(2)).to_contain_text("live")
    notebook.run(1)
    expect(notebook.panel(1)).to_contain_text("live", timeout=5_000)
    expect(notebook.panel(1).locator("[role=img]")).to_have_count(1)
    notebook.run(4)
    expect(notebook.panel(2)).to_contain_text("report", timeout=10_000)
    for width in (1_600, 900, 640):
        notebook.page.set_viewport_size({"width": width, "height": 1_200})
        notebook.page.wait_for_timeout(700)
        sheet = notebook.panel(1).locator("[role=img]").locator("..")
        assert sheet.evaluate("e => e.scrollWidth <= e.clientWidth"), width
    notebook.picture("light_narrow")
    notebook.run(5)
    for number in (1, 2):
        expect(notebook.panel(number)).to_contain_text("pool closed", timeout=10_000)
        expect(notebook.panel(number).get_by_role("button")).to_have_count(0)


def test_restart_the_kernel_and_run_all(open_page: Callable[..., Notebook]) -> None:
    notebook = open_page(LOAD, PANEL, OPEN, BUSY, "import os; print('process', os.getpid())")
    for number in range(5):
        notebook.run(number)
    expect(notebook.panel(1)).to_contain_text("▲ idle in tx", timeout=15_000)
    former = notebook.panel(4).inner_text().strip()
    notebook.page.get_by_role("menuitem", name="Run", exact=True).click()
    notebook.page.locator('li[data-command="runmenu:restart-and-run-all"]').click()
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    another = re.compile(rf"^(?!\s*{former}\s*$)\s*process \d+")
    expect(notebook.panel(4)).to_have_text(another, timeout=60_000)
    expect(notebook.panel(1)).to_contain_text("live", timeout=15_000)
    expect(notebook.panel(1)).to_contain_text("▲ idle in tx", timeout=15_000)
    expect(notebook.panel(1).locator("[role=img]")).to_have_count(1)


def test_two_kernels_each_see_their_own_pool(open_page: Callable[..., Notebook]) -> None:
    one = open_page(LOAD, PANEL, OPEN, BUSY)
    other = open_page(LOAD, PANEL, OPEN, page=one.page.context.browser.new_page())
    for number in range(3):
        one.run(number)
        other.run(number)
    one.run(3)
    expect(one.panel(1)).to_contain_text("report", timeout=15_000)
    expect(other.panel(1)).to_contain_text("□ idle", timeout=15_000)
    expect(other.panel(1)).not_to_contain_text("report")
    expect(other.panel(1)).to_contain_text(re.compile(r"server [4-9]/30"), timeout=15_000)  # both kernels' connections
