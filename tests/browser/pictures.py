"""Makes the project's pictures: `python tests/browser/pictures.py [NAME …]` writes `notebooks/pictures/NAME.png`.

Each is a cell of JupyterLab in Chromium, over an embedded server under a real load. What a picture is meant to show is
waited for, and where that does not come the script ends with what was there instead.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import nbformat
import psycopg
import yaml
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, ViewportSize, expect, sync_playwright
from psycopg.conninfo import conninfo_to_dict

sys.path.insert(0, str(Path(__file__).parents[1]))
from fix_browser import CHROMIUM_FLAGS, Lab, open_notebook

from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.demo.sample import DATABASE, ensure_shop

PICTURES = Path(__file__).parents[2] / "notebooks" / "pictures"
VIEWPORT = ViewportSize(width=1300, height=2000)
SCALE = 2
"""Pixels of a picture for one of the page: sharp where it is shown at the page's own width."""
MARGIN_PX = 6
COLOURS = 256
"""A page of text and flat colours needs no more, and is a third as large with them."""

CONNECT = """%load_ext pgmonkey_magic
%pgmonkey connect shop.yaml --as shop"""
PLOTTING = """import datetime, matplotlib.pyplot as plt
from pgmonkey_magic.demo.course import COLORS, STYLE
plt.rcParams.update(STYLE | {"figure.figsize": (8, 2), "axes.prop_cycle": plt.cycler(color=COLORS)})
%config InlineBackend.figure_formats = ["retina"]
%pgmonkey -q SELECT * FROM orders JOIN order_items USING (order_id) JOIN products USING (product_id)"""
SINCE = "since = datetime.date(2025, 7, 1)"
SQL = """%%pgmonkey
SELECT category, sum(quantity) AS sold, sum(quantity * unit_price) AS revenue
FROM orders
JOIN order_items USING (order_id)
JOIN products USING (product_id)
WHERE ordered_at >= :since
GROUP BY category
ORDER BY revenue DESC
LIMIT 5"""
PLOT = """_pg.plot.barh("category", "revenue", ylabel="", legend=False).invert_yaxis()"""

WORKERS = """import random, threading, time
from pgmonkey_magic import PGConnectionManager
pool = PGConnectionManager().get_database_connection("shop.yaml", "pool")

def request(hold_s):
    with pool as conn:
        conn.execute("SELECT * FROM orders WHERE order_id = %s", [random.randrange(1, 40_000)])
        conn.execute("SELECT pg_sleep(%s)", [hold_s])

def arrive(rate, hold_s, seconds=1000, seed=1):
    dice, number, end = random.Random(seed), 0, time.time() + seconds
    while time.time() < end:
        time.sleep(dice.expovariate(rate))
        number = number % 40 + 1
        threading.Thread(target=request, args=(dice.expovariate(1 / hold_s),), name=f"web-{number}").start()

def hold(sql):
    with pool as conn:
        conn.execute(sql)
        time.sleep(1000)

def start(target, *args, name="", **named):
    threading.Thread(target=target, args=args, kwargs=named, name=name, daemon=True).start()"""
WAVES = """for n, rate in enumerate([12, 26, 8, 16]):
    arrive(rate, 0.2, seconds=10, seed=n)
start(request, 1000, name="report")
time.sleep(3)"""
RUSH = """start(hold, "UPDATE products SET price = price * 1.02", name="import")
start(arrive, 3.3, 2.2, seed=3)"""
STEADY = """arrive(40, 0.1, seconds=30)
start(arrive, 40, 0.1)"""


class Notebook:
    """A notebook in a page, whose cells are run one by one; its picture has its name."""

    def __init__(self, page: Page, name: str) -> None:
        self.page, self.name = page, name
        self._count = 0

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(number)

    def input(self, number: int) -> Locator:
        return self.cell(number).locator(".jp-InputArea-editor")

    def output(self, number: int) -> Locator:
        """What stands below a cell, without the prompt beside it."""
        return self.cell(number).locator(".jp-OutputArea-output").first

    def run(self, number: int) -> None:
        self.input(number).click()
        self.page.keyboard.press("Control+Enter")
        self._count += 1
        expect(self.cell(number).locator(".jp-InputArea-prompt")).to_have_text(f"[{self._count}]:", timeout=60_000)

    def press(self, name: str, number: int) -> None:
        self.output(number).get_by_role("button", name=name, exact=True).click()

    def keep(self, *parts: Locator) -> None:
        """Write the picture of what is from the first to the last of the *parts*."""
        self.cell(0).locator(".jp-InputPrompt").click()  # the frame and the buttons of the chosen cell go there
        self.page.mouse.move(0, 0)
        boxes = [part.bounding_box() for part in parts]
        assert all(boxes), f"{self.name}: a part of it is not on the page"
        left, top = (min(box[side] for box in boxes if box) - MARGIN_PX for side in ("x", "y"))
        right = max(box["x"] + box["width"] for box in boxes if box) + MARGIN_PX
        bottom = max(box["y"] + box["height"] for box in boxes if box) + MARGIN_PX
        path = PICTURES / f"{self.name}.png"
        clip = FloatRect(x=left, y=top, width=right - left, height=bottom - top)
        taken = Image.open(BytesIO(self.page.screenshot(clip=clip)))
        taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {taken.width} × {taken.height}, {path.stat().st_size / 1024:.0f} kB")


def cell(notebook: Notebook) -> None:
    notebook.run(2)
    notebook.page.wait_for_timeout(2_000)  # JupyterLab is still busy with itself, and the footer would show it
    notebook.run(3)
    notebook.run(4)
    expect(notebook.cell(3)).to_contain_text("5 rows")
    expect(notebook.cell(3)).to_contain_text("pool shop")
    expect(notebook.cell(4).locator("img")).to_be_visible()
    notebook.keep(notebook.cell(2).locator(".jp-InputArea"), notebook.cell(4))


def panel(notebook: Notebook) -> None:
    for number in (2, 3, 4):
        notebook.run(number)
    shown = notebook.output(2)
    expect(shown).to_contain_text("▲ idle in tx", timeout=15_000)
    expect(shown).to_contain_text("report")
    expect(shown).to_contain_text("has been idle in a transaction for", timeout=20_000)
    expect(shown).to_contain_text(re.compile(r"queue ▸(.*web-){3}"), timeout=20_000)
    expect(shown).to_contain_text("the queue grows", timeout=20_000)
    notebook.keep(notebook.input(2), shown)


def tuner(notebook: Notebook) -> None:
    for number in (2, 3):
        notebook.run(number)
    shown = notebook.output(3)
    expect(shown).to_contain_text("▶ now", timeout=60_000)
    box = shown.get_by_label("max_size", exact=True)
    box.fill("8")
    box.press("Enter")
    expect(shown).to_contain_text("6 → 8 connections", timeout=10_000)
    expect(shown).to_contain_text("◇ new", timeout=10_000)
    notebook.keep(notebook.input(3), shown)


def lab(notebook: Notebook) -> None:
    notebook.run(2)
    shown = notebook.output(2)
    notebook.press("at the knee", 2)
    box = shown.get_by_label("duration s", exact=True)
    box.fill("20")  # so long that chance has little to say
    box.press("Enter")
    notebook.press("start", 2)
    expect(shown).to_contain_text("done after", timeout=60_000)
    notebook.keep(notebook.input(2), shown)


@dataclass(frozen=True)
class Scene:
    """What happens in a notebook of these cells, the first two of which have run; `max_size` is of its pool."""

    play: Callable[[Notebook], None]
    cells: tuple[str, ...]
    max_size: int = 8
    theme: str = "JupyterLab Light"


PANEL = Scene(panel, (CONNECT, WORKERS, "%pgmonkey panel", WAVES, RUSH))
SCENES = {
    "cell": Scene(cell, (CONNECT, PLOTTING, SINCE, SQL, PLOT)),
    "panel": PANEL,
    "panel_dark": replace(PANEL, theme="JupyterLab Dark"),
    "tuner": Scene(tuner, (CONNECT, WORKERS, STEADY, "%pgmonkey tune"), max_size=6),
    "lab": Scene(lab, (CONNECT, WORKERS, "%pgmonkey lab")),
}


def take(name: str, browser: Browser, lab: Lab, server: Cluster) -> None:
    """Play a scene in a notebook and a kernel of its own."""
    scene = SCENES[name]
    config = {
        "connection_type": "pool",
        "connection_settings": conninfo_to_dict(server.conninfo) | {"dbname": DATABASE},
        "pool_settings": {"min_size": 2, "max_size": scene.max_size, "timeout": 20},
    }
    (lab.root / "shop.yaml").write_text(yaml.safe_dump(config))
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in scene.cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, lab.root / f"{name}.ipynb")
    lab.set_theme(scene.theme)
    page = browser.new_page(viewport=VIEWPORT, device_scale_factor=SCALE)
    open_notebook(page, lab, f"{name}.ipynb")
    notebook = Notebook(page, name)
    notebook.run(0)
    notebook.run(1)
    scene.play(notebook)
    page.close()
    lab.end_sessions()


@contextmanager
def shop() -> Iterator[Cluster]:
    """A server with the shop."""
    with Cluster() as server:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            ensure_shop(connection, server.conninfo)
        yield server


@contextmanager
def jupyterlab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as root:
        lab = Lab(Path(root))
        try:
            yield lab
        finally:
            lab.stop()


def main(names: list[str]) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    if unknown := set(names) - set(SCENES):
        raise SystemExit(f"no picture is called {', '.join(unknown)}; there are {', '.join(SCENES)}")
    PICTURES.mkdir(exist_ok=True)
    with shop() as server, jupyterlab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for name in names or SCENES:
            take(name, browser, lab, server)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
