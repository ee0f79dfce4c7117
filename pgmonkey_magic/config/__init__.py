"""Configuration: a pgmonkey YAML file or dict → a validated, frozen `Config`. Pure: no network, nothing printed.

files.py          the bytes of a regular file, its permissions, replacing it in one step
yaml_text.py      text → plain values, with what plain YAML lacks: no duplicate keys, no bombs, no echo of content
names.py          which keys exist; unknown ones are refused before any reference is resolved
references.py     ${VAR}, from_env, from_file
redaction.py      which keys hold secrets, and how they are kept out of every repr
pool_settings.py  the nine settings of a pool and their ranges
schema.py         `Config` and the rules of its sections
load.py           the way through the above
edit.py           changing settings in a file and leaving everything else as it is
create.py         a new file to begin with (template.yaml)
"""

from __future__ import annotations

from pgmonkey_magic.config.create import create_config
from pgmonkey_magic.config.edit import edit_yaml, save_settings
from pgmonkey_magic.config.load import load_config, parse_config, read_config
from pgmonkey_magic.config.pool_settings import PoolSettings
from pgmonkey_magic.config.redaction import redact_config
from pgmonkey_magic.config.references import resolve_env_vars
from pgmonkey_magic.config.schema import CONNECTION_TYPES, Config, unresolved_references

__all__ = [
    "CONNECTION_TYPES",
    "Config",
    "PoolSettings",
    "create_config",
    "edit_yaml",
    "load_config",
    "parse_config",
    "read_config",
    "redact_config",
    "resolve_env_vars",
    "save_settings",
    "unresolved_references",
]
