"""The first notebook as a person sees it: JupyterLab in Chromium, every cell run, screenshots taken."""

import shutil
from pathlib import Path

import nbformat
import pytest
from fix_browser import SCREENSHOTS, Lab, open_notebook, run_all
from playwright.sync_api import Page, expect

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_cell.ipynb"


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_the_first_notebook_in_a_browser(page: Page, lab: Lab, theme: str) -> None:
    name = f"first_{theme}.ipynb"
    shutil.copyfile(NOTEBOOK, lab.root / name)
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    lab.set_theme("JupyterLab Dark" if theme == "dark" else "JupyterLab Light")
    open_notebook(page, lab, name)
    run_all(page)
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    prompts = page.locator(".jp-CodeCell .jp-InputArea-prompt")
    expect(prompts.last).to_have_text(f"[{len(cells)}]:", timeout=90_000)
    footer = page.locator(".jp-OutputArea-output", has_text="wait").filter(has_text="pool demo 1/10").first
    footer.scroll_into_view_if_needed()
    expect(footer).to_contain_text("execute")
    SCREENSHOTS.mkdir(exist_ok=True)
    for number, selector in enumerate(
        ["table.dataframe", "img", ".jp-RenderedText[data-mime-type*=stderr], pre .ansi-red-fg"]
    ):
        page.locator(selector).first.scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / f"first_{theme}_{number}.png")
    expect(page.locator(".ansi-red-fg").first).to_have_text("SQLError")
