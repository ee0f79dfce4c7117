"""JupyterLab with a profile of its own, and a page of headless Chromium that looks at it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parent / "browser" / "screenshots"


class Lab:
    """A running JupyterLab on loopback, rooted in an empty directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.token = secrets.token_hex(16)
        private = {
            name: str(root / ".lab" / name)
            for name in (
                "JUPYTER_CONFIG_DIR",
                "JUPYTER_DATA_DIR",
                "JUPYTER_RUNTIME_DIR",
                "JUPYTERLAB_SETTINGS_DIR",
                "JUPYTERLAB_WORKSPACES_DIR",
                "IPYTHONDIR",
            )
        }
        self.log = root / "lab.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1", "--port=0"),
                    f"--IdentityProvider.token={self.token}",
                ],
                cwd=root,
                env=os.environ | private,
                stdout=log,
                stderr=log,
            )
        self.url = self._wait_for_url()

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if match := re.search(r"http://127\.0\.0\.1:\d+/", self.log.read_text()):
                return match[0]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def address(self, notebook: str) -> str:
        """Where the notebook opens in a workspace of its own."""
        return f"{self.url}lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?reset&token={self.token}"

    def set_theme(self, name: str) -> None:
        """Choose the theme of the pages that open from now on."""
        settings = self.root / ".lab" / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": name}))

    def end_sessions(self) -> None:
        """Shut every kernel down."""
        for session in json.load(self._request("api/sessions", "GET")):
            self._request(f"api/sessions/{session['id']}", "DELETE")

    def _request(self, path: str, method: str) -> Any:
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        return urllib.request.urlopen(request, timeout=30)

    def stop(self) -> None:
        self.end_sessions()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    """A page of Chromium; an error in the page's own code fails the test."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        yield page
        browser.close()
    lab.end_sessions()
    assert broken == []


def open_notebook(page: Page, lab: Lab, name: str) -> None:
    """Open a notebook and wait until its kernel can take a cell."""
    page.goto(lab.address(name))
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function(
        "() => /\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.textContent ?? '')", timeout=60_000
    )


def run_all(page: Page) -> None:
    """Run every cell by JupyterLab's own command and wait for the last prompt number."""
    page.locator(".jp-Notebook").click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()
