"""A new configuration file, with every setting of a pool explained in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pgmonkey_magic.errors import ConfigError

if TYPE_CHECKING:
    from pgmonkey_magic.config.load import StrPath

TEMPLATE = Path(__file__).with_name("template.yaml")


def create_config(path: StrPath) -> None:
    """Write a configuration to begin with to a new file that only its owner can read, since it may get a password.

    Raises ConfigError where a file of that name is there already, or none can be made.
    """
    target = Path(path).expanduser()
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a mode
            file.write(TEMPLATE.read_bytes())
    except FileExistsError as error:
        raise ConfigError(f"{os.fspath(path)!r} is there already; choose another name, or edit it") from error
    except OSError as error:
        raise ConfigError(f"{os.fspath(path)!r} cannot be written ({error.strerror})") from error
