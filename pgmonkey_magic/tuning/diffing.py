"""What a change of settings does to the text of a YAML file, as a diff that a person may see: secrets are masked."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.config.redaction import REDACTED, is_secret
from pgmonkey_magic.config.yaml_text import compose_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = 2


def yaml_diff(before: str, after: str, name: str = "the file") -> str:
    """Return the unified diff of two texts of one configuration (`edit_yaml` makes the second); empty if equal.

    The value of every secret key is masked in both, references to one (`from_env`, `from_file`) are not. Raises
    ConfigError for text that is no YAML mapping.
    """
    old, new = (masked(text, name).splitlines() for text in (before, after))
    lines = difflib.unified_diff(old, new, name, f"{name}, changed", lineterm="", n=CONTEXT)
    return "\n".join(lines)


def masked(text: str, name: str = "the file") -> str:
    """Return the text of a configuration with the value of every secret key replaced; nothing else changes."""
    if not text.strip():
        return text
    for start, end in sorted(set(_secrets(compose_yaml(text, name))), reverse=True):
        line_end = "\n" if text[start:end].endswith("\n") else ""  # a block scalar reaches to the next line
        text = text[:start] + REDACTED + line_end + text[end:]
    return text


def _secrets(node: Any) -> Iterator[tuple[int, int]]:
    """Give where the secrets stand. Nodes are PyYAML's: a mapping's value is pairs, a sequence's nodes, else text."""
    if not isinstance(node.value, list):
        return
    for item in node.value:
        if not isinstance(item, tuple):
            yield from _secrets(item)
            continue
        key, value = item
        if is_secret(key.value) and not isinstance(value.value, list):
            if value.value:
                yield value.start_mark.index, value.end_mark.index
        else:
            yield from _secrets(value)
