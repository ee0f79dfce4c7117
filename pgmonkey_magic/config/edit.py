"""Changing settings in a YAML file and leaving every other byte as it is.

The parser tells where each value stands, and only that piece of the text is replaced. Dumping the parsed file again
would lose more: blanks that align values, an indentation of four, line ends, `~`. Comments, quotes and unresolved
references stay for the same reason. What comes out is parsed again and must mean the old content with the changes.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from pgmonkey_magic.config.files import replace_file
from pgmonkey_magic.config.load import StrPath, read_text
from pgmonkey_magic.config.names import SECTIONS, check_section
from pgmonkey_magic.config.pool_settings import PoolSettings
from pgmonkey_magic.config.redaction import is_reference
from pgmonkey_magic.config.references import has_variable
from pgmonkey_magic.config.yaml_text import compose_yaml, parse_yaml
from pgmonkey_magic.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "the configuration"
_ALIAS = re.compile(r"\s*:\s*(\*[^\s,\]}]+)")
Pair = tuple[Node, Node]


def edit_yaml(text: str, changes: Mapping[str, Mapping[str, object]]) -> str:
    """Return *text* with the settings of *changes*, such as `{"pool_settings": {"max_size": 30}}`.

    A missing key or section is added; values are scalars. Raises ConfigError if a name is unknown, if the pool
    settings would not be valid, or if the text is such that the change would touch something else (an alias).
    """
    expected = _changed(parse_yaml(text, _NAME), changes)
    for section, values in changes.items():
        for key, value in values.items():
            text = _set(text, section, key, _scalar(value))
    # The proof that nothing else has changed.
    if parse_yaml(text, _NAME) != expected:
        raise ConfigError(
            "the settings cannot be changed in place, because sections of the file share values through YAML aliases "
            "(& and *); write the values out"
        )
    return text


def save_settings(path: StrPath, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Apply `edit_yaml` to a file, in one step: readers see the old or the new file. Its mode stays.

    Raises ConfigError, then the file is as before.
    """
    text = edit_yaml(read_text(path), changes)
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"configuration file {os.fspath(path)!r} cannot be written ({error.strerror})") from error


def _changed(data: object, changes: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """Return what the new text must mean."""
    if not isinstance(data, dict):
        raise ConfigError(f"{_NAME} must be a mapping of settings at its top level")
    if "postgresql" in data:
        return {**data, "postgresql": _changed(data["postgresql"], changes)}
    new = dict(data)
    for section, values in changes.items():
        if section not in SECTIONS:
            raise ConfigError(f"{section!r} is not a section; sections are {', '.join(SECTIONS)}")
        old = new.get(section)
        check_section(section, old)
        check_section(section, values)
        merged = {**(old or {}), **values}
        new[section] = merged if values else old
        # References have no value yet, so the ranges can be checked only without them.
        open_values = any(is_reference(value) or has_variable(value) for value in merged.values())
        if section.endswith("pool_settings") and not open_values:
            PoolSettings.from_mapping(merged, section)
    return new if any(changes.values()) else data


def _scalar(value: object) -> str:
    return (
        yaml.safe_dump(value, width=10**6, allow_unicode=True, default_style=None).removesuffix("\n...\n").strip("\n")
    )


def _set(text: str, section: str, key: str, value: str) -> str:
    """Return *text* with one setting changed or added."""
    root = compose_yaml(text, _NAME)
    if wrapped := _find(root, "postgresql"):
        if not isinstance(wrapped[1], MappingNode):
            raise ConfigError(f"{_NAME} must be a mapping of settings under 'postgresql'")
        root = wrapped[1]
    pair = _find(root, section)
    if pair is None:
        return _add(text, root, section, key, value)
    if _is_alias(pair):
        raise ConfigError(f"{section!r} is a YAML alias (*) of another section; write its values out")
    if not isinstance(pair[1], MappingNode):
        return _fill(text, root, pair, f"{key}: {value}")
    known = _find(pair[1], key)
    return _replace(text, known, value) if known else _append(text, pair[1], f"{key}: {value}")


def _find(mapping: MappingNode, name: str) -> Pair | None:
    return next((pair for pair in mapping.value if isinstance(pair[0], ScalarNode) and pair[0].value == name), None)


def _is_alias(pair: Pair) -> bool:
    # The node of an alias is its anchor's, which stands earlier in the text.
    return pair[1].start_mark.index < pair[0].end_mark.index


def _span(text: str, pair: Pair) -> tuple[int, int]:
    """Return where the value of *pair* begins and ends in the text, without the comments after it."""
    key, node = pair
    if _is_alias(pair):
        alias = _ALIAS.match(text, key.end_mark.index)
        if alias is None:
            raise ConfigError(f"{_NAME} has an alias at line {key.start_mark.line + 1} that cannot be edited")
        return alias.span(1)
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        end = _span(text, last)[1] if isinstance(node, MappingNode) else last.end_mark.index
    else:
        end = node.end_mark.index
    return node.start_mark.index, end


def _replace(text: str, pair: Pair, value: str) -> str:
    start, end = _span(text, pair)
    between = text[pair[0].end_mark.index : start]
    if "\n" in between and "#" not in between:  # a reference on lines of its own goes up to its key
        start = text.index(":", pair[0].end_mark.index) + 1
    blank = " " if text[start - 1] == ":" else ""
    line_end = "\n" if text[start:end].endswith("\n") else ""  # a block scalar reaches to the next line
    return text[:start] + blank + value + line_end + text[end:]


def _append(text: str, mapping: MappingNode, entry: str) -> str:
    """Add an entry as the last of a mapping."""
    if not mapping.value:
        inside = mapping.end_mark.index - 1  # an empty mapping is always written {}
        return text[:inside] + entry + text[inside:]
    end = _span(text, mapping.value[-1])[1]
    if mapping.flow_style:
        return f"{text[:end]}, {entry}{text[end:]}"
    return _insert_line(text, end, " " * mapping.value[0][0].start_mark.column + entry)


def _fill(text: str, root: MappingNode, pair: Pair, entry: str) -> str:
    """Give an empty section its first entry."""
    start, end = _span(text, pair)
    if root.flow_style:
        return f"{text[:start]} {{{entry}}}{text[end:]}"
    indent = " " * (pair[0].start_mark.column + _step(root))
    return _insert_line(text[:start] + text[end:], start, indent + entry)


def _add(text: str, root: MappingNode, section: str, key: str, value: str) -> str:
    """Add a section that is not there yet."""
    if root.flow_style or not root.value:
        return _append(text, root, f"{section}: {{{key}: {value}}}")
    column, newline = root.value[0][0].start_mark.column, _newline(text)
    lines = f"{' ' * column}{section}:{newline}{' ' * (column + _step(root))}{key}: {value}"
    end = _span(text, root.value[-1])[1]
    after = text[end:].partition("\n")[2]
    if all(not line.strip() or line.lstrip().startswith("#") for line in after.splitlines()):
        end = len(text)  # below the comments of the last section, not between it and them
    return _insert_line(text, end, lines)


def _insert_line(text: str, position: int, line: str) -> str:
    """Insert whole lines after the line in which *position* lies, or at it if a line begins there."""
    newline = _newline(text)
    if position and text[position - 1] == "\n":
        at = position
    else:
        at = text.find("\n", position) + 1
        if not at:
            return text + newline + line + newline
    return text[:at] + line + newline + text[at:]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _step(root: MappingNode) -> int:
    """Return by how much the file indents a section."""
    steps = [
        value.value[0][0].start_mark.column - key.start_mark.column
        for key, value in root.value
        if isinstance(value, MappingNode) and value.value and not value.flow_style and not _is_alias((key, value))
    ]
    return next((step for step in steps if step > 0), 2)
