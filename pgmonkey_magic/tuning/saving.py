"""The settings that a pool has been given, written back into a YAML file: first as a diff to be seen, then for good."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config import PoolSettings, edit_yaml, save_settings
from pgmonkey_magic.config.load import StrPath, read_text
from pgmonkey_magic.pools import rekey
from pgmonkey_magic.tuning.diffing import yaml_diff

if TYPE_CHECKING:
    from pgmonkey_magic.pools import PGAsyncPool, PGPool


def changed_settings(pool: PGPool | PGAsyncPool, settings: PoolSettings | None = None) -> dict[str, Any]:
    """Return those of *settings*, the pool's own by default, that differ from its configuration's."""
    before = asdict(pool.config.pool_settings_for(pool.connection_type))
    after = asdict(settings or pool.settings)
    return {name: _plain(value) for name, value in after.items() if value != before[name]}


def _plain(value: Any) -> Any:
    """Return whole seconds as a person writes them, 300 instead of 300.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def diff(pool: PGPool | PGAsyncPool, settings: PoolSettings) -> str:
    """Return what saving *settings* changes in the pool's file: a unified diff, secrets masked; empty if nothing.

    Of a pool that came from no file, it is the section as it would stand in one. Raises ConfigError as `save` does.
    """
    source = pool.config.source
    if source is None:
        known = asdict(pool.config.pool_settings_for(pool.connection_type))
        plain = {name: value for name, value in known.items() if value != getattr(PoolSettings(), name)}
        text, name = edit_yaml(f"{pool.section}:\n", {pool.section: plain}), "configuration"
    else:
        text, name = read_text(source), source.name
    return yaml_diff(text, edit_yaml(text, {pool.section: changed_settings(pool, settings)}), name)


def save(pool: PGPool | PGAsyncPool, path: StrPath) -> dict[str, Any]:
    """Write the changed settings of a pool into a YAML file, and return them; a pool of that content is then this one.

    Comments, references and everything else in the file stay as they are. Raises ConfigError, then nothing has changed.
    """
    changed = changed_settings(pool)
    save_settings(path, {pool.section: changed})
    rekey(pool)
    return changed
