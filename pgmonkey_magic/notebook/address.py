"""An address of a server on a magic's line: it belongs into a YAML file, and its password nowhere else."""

from __future__ import annotations

import re

from pgmonkey_magic.errors import RequestError

ADDRESS = re.compile(r"(?i)[\w+]+://|(?:host|hostaddr|port|dbname|user|service)\s*=")
"""How a URL of libpq or SQLAlchemy begins, or libpq's connection string; no SQL begins like that."""
PASSWORD = re.compile(r"(?i)(password|pgpassword|passwd)\s*=|://[^/\s:@]*:[^/\s@]+@")


def refuse_password(text: str) -> None:
    """Raise RequestError, which does not repeat it, if *text* has a password."""
    if PASSWORD.search(text):
        raise RequestError(
            "a password on a magic line stays in the history: change it, and put it into the file as from_env or "
            "from_file, or into ~/.pgpass"
        )
