"""A long cell and a background job as a person sees them: the live line, messages as they come, the end."""

import nbformat
import pytest
from fix_browser import SCREENSHOTS, Lab, open_notebook, run_all
from playwright.sync_api import Page, expect

LONG = """%%pgmonkey
DO $$ BEGIN
    RAISE NOTICE 'half of the rows are checked';
    PERFORM pg_sleep(5);
    RAISE WARNING '2 rows have no customer';
END $$;
SELECT * FROM customers LIMIT 3"""
CELLS = ["%load_ext pgmonkey_magic\n%pgmonkey demo", "%%pgmonkey -b\nSELECT pg_sleep(4), 42 AS answer", LONG]


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_a_long_cell_and_a_background_job_in_a_browser(page: Page, lab: Lab, theme: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    name = f"live_{theme}.ipynb"
    nbformat.write(notebook, lab.root / name)
    lab.set_theme("JupyterLab Dark" if theme == "dark" else "JupyterLab Light")
    open_notebook(page, lab, name)
    run_all(page)
    outputs = page.locator(".jp-CodeCell .jp-Cell-outputArea")
    background, foreground = outputs.nth(1), outputs.nth(2)
    expect(foreground).to_contain_text("NOTICE: half of the rows", timeout=90_000)
    expect(foreground).to_contain_text("running", timeout=10_000)
    expect(background).to_contain_text("running")
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"live_{theme}_running.png")
    expect(background).to_contain_text("done", timeout=30_000)
    expect(foreground).to_contain_text("WARNING: 2 rows", timeout=30_000)
    expect(foreground).to_contain_text("execute", timeout=10_000)
    expect(foreground).not_to_contain_text("running")
    page.screenshot(path=SCREENSHOTS / f"live_{theme}_done.png")
