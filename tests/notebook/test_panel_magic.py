"""`%pgmonkey panel` without a front end that shows widgets: a still picture is left, in nbclient and in a shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fix_notebook import Shell, run_in_kernel
from fix_server import Server

from pgmonkey_magic import RequestError
from pgmonkey_magic.panels.backends import APPLICATION_NAME

WIDGET = "application/vnd.jupyter.widget-view+json"
LOAD = "%load_ext pgmonkey_magic\n%pgmonkey connect server.yaml --as orders"
HOLD = """pool = get_ipython().find_line_magic("pgmonkey").__self__.session.current.pool
with pool as conn:
    conn.execute("SELECT 1")
    %pgmonkey panel"""

NAMED = "ip = get_ipython(); parent = ip.get_parent(); parent['metadata']['cellId'] = 'a'; ip.set_parent(parent)"
"""What JupyterLab tells of a cell."""
FIRST = f"{NAMED}\n%pgmonkey panel"
SECOND = f"""{NAMED}
from pgmonkey_magic.notebook import showing
import time
((_, first),) = showing._shown["a"]
%pgmonkey panel
((_, second),) = showing._shown["a"]
print(first.still is not None, second.still is None)
%pgmonkey disconnect
for _ in range(100):
    if second.still is None:
        time.sleep(0.1)
with second.lock:  # held until the picture has been sent
    pass
print("pool closed" in second.still["text/plain"])"""


def test_nbclient_leaves_a_readable_picture(config_file: Path, server: Server) -> None:
    outputs = run_in_kernel(LOAD, HOLD, "import sys; print('ipywidgets' in sys.modules)", cwd=config_file.parent)
    (shown,) = outputs[1]
    assert outputs[2][0].text == "False\n"  # whose state nbclient would save
    assert set(shown.data) == {"text/plain", "text/html"}
    text, html = shown.data["text/plain"], shown.data["text/html"]
    assert re.search(r"in use 1 .* min 1, max 3", text)
    assert re.search(r"■ \d+ +in use .* task Task-.* +SELECT 1", text)
    assert "server " in text  # what the server says has been waited for
    assert "■ in use" in html
    assert 'aria-label="Pool orders: 1 of 3 connections in use' in html
    assert re.search(r"as of \d\d:\d\d:\d\d", html)
    assert server.backends(APPLICATION_NAME) == 0


def test_a_front_end_that_names_its_cells_gets_the_widget_and_at_its_end_a_picture(config_file: Path) -> None:
    outputs = run_in_kernel(LOAD, FIRST, SECOND, cwd=config_file.parent)
    assert WIDGET in outputs[1][0].data
    assert "in use 0" in outputs[1][0].data["text/plain"]
    shown = [output for output in outputs[2] if output.output_type == "display_data"]
    assert "pool closed" in shown[0].data["text/plain"]
    assert WIDGET not in shown[0].data
    printed = "".join(output.text for output in outputs[2] if output.output_type == "stream")
    assert printed == "True True\npool orders is closed\nTrue\n"


def test_a_shell_shows_text(connected: Shell) -> None:
    connected.run("%pgmonkey -q SELECT 1")
    connected.run("%pgmonkey panel test")
    assert "test  postgres@" in connected.shown[0]
    assert re.search(r"□ \d+ +idle", connected.shown[0])


def test_a_pool_that_is_not_there(shell: Shell, connected: Shell) -> None:
    assert "nosuch" in str(connected.error("%pgmonkey panel nosuch"))
    connected.run("%pgmonkey disconnect --all")
    with pytest.raises(RequestError, match="no current pool"):
        connected.run("%pgmonkey panel")


def test_the_extension_loads_without_widgets(shell: Shell) -> None:
    code = "import sys\n%load_ext pgmonkey_magic\nprint('ipywidgets' in sys.modules)"
    outputs = run_in_kernel(code)
    assert outputs[0][-1].text == "False\n"


def test_unloading_ends_every_panel_the_labs_too(config_file: Path) -> None:
    keep = "from pgmonkey_magic.notebook import showing\n((_, kept),) = showing._shown['a']\n%unload_ext pgmonkey_magic"
    look = "print(kept.still is not None, showing._shown)"
    outputs = run_in_kernel(LOAD, f"{NAMED}\n%pgmonkey lab", keep, look, cwd=config_file.parent)
    assert outputs[3][-1].text == "True {}\n"
