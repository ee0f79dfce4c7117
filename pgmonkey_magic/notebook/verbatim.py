"""The body of a cell as it was typed.

Before IPython looks for a cell magic it tidies the text as if it were Python: lines of blanks alone lose them, `>>> `
and `... ` at the beginning of a line are taken for prompts. Inside of a string of SQL that is another value. So the
call of our magic is made before the tidying, from the text as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_FIRST_LINE = re.compile(r"%%pgmonkey(?:[ \t]+(?P<line>.*))?$")


def keep_the_body(lines: list[str]) -> list[str]:
    """Turn a `%%pgmonkey` cell into the call that IPython makes of it; leave any other cell alone.

    *lines* keep their line ends, as IPython's input transformers have them.
    """
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None or not (match := _FIRST_LINE.match(lines[first].rstrip())):
        return lines
    body = "".join(lines[first + 1 :])
    return [f"get_ipython().run_cell_magic('pgmonkey', {match['line'] or ''!r}, {body!r})\n"]


# A console asks whether a cell is complete by transforming what there is of it; this one would always say so.
keep_the_body.has_side_effects = True  # type: ignore[attr-defined] - IPython's protocol


def install(shell: InteractiveShell) -> None:
    """Have the shell leave our cells alone; a second time changes nothing."""
    uninstall(shell)
    shell.input_transformers_cleanup.insert(0, keep_the_body)


def uninstall(shell: InteractiveShell) -> None:
    """Take it away, also where this file has been loaded anew."""
    transformers = shell.input_transformers_cleanup
    transformers[:] = [each for each in transformers if getattr(each, "__name__", "") != keep_the_body.__name__]
