"""The settings that a pool has been given, written back into a YAML file: first as a diff to be seen, then for good."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from pgmonkey_magic.config import PoolSettings, edit_yaml, save_settings
