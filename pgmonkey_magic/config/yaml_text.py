"""YAML text → plain values, with what `yaml.safe_load` lacks for a file that people share and that holds a password.

* A duplicate key is an error; plain YAML silently takes the last.
* Nesting and the size after expansion of aliases are bounded ("billion laughs").
* No error echoes content: PyYAML quotes the faulty line, and that may be the password's.

The dialect is YAML 1.1 as PyYAML reads it, which is what pgmonkey reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from pgmonkey_magic.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 20
MAX_NODES = 10_000
MAX_NUMBER_LENGTH = 100
"""Converting a number of 100,000 digits takes seconds."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
"""What may be echoed as a key; a password whose colon lost its blank becomes a part of the key."""

_TOO_DEEP = "nested too deeply"
_HINTS = {
    "found undefined alias": "a value that starts with '*' needs quotes",
    "found duplicate anchor": "a value that starts with '&' needs quotes",
    "could not determine a constructor": "a value that starts with '!' or is '=' needs quotes",
    "found undefined tag handle": "a value that starts with '!' needs quotes",
    "while scanning a tag": "a value that starts with '!' needs quotes",
    "found character '\\t'": "indent with blanks, not tabs",
    "that cannot start any token": "a value that starts with '%', '@' or '`' needs quotes",
    "mapping values are not allowed": "a value that holds ': ' needs quotes, and sections need one indentation",
    "could not find expected ':'": "each line needs the form 'key: value', with a blank after the colon",
    "expected a single document": "only one document per file",
    "unknown escape character": "put it in single quotes, where a backslash is just that",
    _TOO_DEEP: f"more than {MAX_DEPTH} levels",
}


def parse_yaml(text: str, name: str) -> object:
    """Return the value of a YAML document; None for an empty one. *name* is what errors call it.

    Raises ConfigError with line and column and without any of the content.
    """
    return _read(text, name, lambda loader, node: loader.construct_document(node))


def compose_yaml(text: str, name: str) -> MappingNode:
    """Return the top-level mapping as nodes, which know where in the text they are."""
    # Not from a document that values were made of: that would have put merged keys (<<) among the nodes.
    node = _read(text, name, lambda _, node: node)
    if not isinstance(node, MappingNode):
        raise ConfigError(f"{name} must be a mapping of settings at its top level")
    return node


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, _TOO_DEEP, self.peek_event().start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def _read(text: str, name: str, made_of: Callable[[_Loader, Node], object]) -> object:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Check(loader, name).walk(node, "")
            return made_of(loader, node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        problem = _explain(error, text)
    # Raised out here, so that the YAML error, whose text quotes the file, does not hang on it as context.
    raise ConfigError(f"{name} is not valid YAML: {problem}")


def _explain(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f"a control character at line {line}, column {column}"
    said = f"{getattr(error, 'context', '')} {getattr(error, 'problem', '')}"
    # Only our own words: the problem's text may hold content, such as the name of an alias.
    cure = next((cure for words, cure in _HINTS.items() if words in said), "check the indentation and the quotes")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{cure}"


class _Check:
    """One walk over the nodes before values are made of them."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.seen: dict[int, tuple[int, int] | None] = {}

    def walk(self, node: Node, path: str) -> tuple[int, int]:
        """Return how many nodes and levels *node* has once its aliases are expanded.

        An anchor comes before its aliases, so each node is visited once.
        """
        if id(node) in self.seen:
            known = self.seen[id(node)]
            if known is None:
                raise self.error("an alias that contains itself", node)
            return known
        self.seen[id(node)] = None
        size, depth = 1, 1
        if isinstance(node, MappingNode):
            self.refuse_duplicates(node, path)
        for key, child in self.children(node):
            below = self.walk(child, f"{path}.{key}".lstrip("."))
            size, depth = size + below[0], max(depth, below[1] + 1)
        if size > MAX_NODES or depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_NODES} values or {MAX_DEPTH} levels", node)
        if isinstance(node, ScalarNode):
            self.try_scalar(node)
        self.seen[id(node)] = size, depth
        return size, depth

    def children(self, node: Node) -> list[tuple[str, Node]]:
        if isinstance(node, MappingNode):
            # The keys are looked at too: they may be numbers that cannot be read.
            return [pair for key, value in node.value for pair in (("?", key), (self.shown(key), value))]
        return [("?", item) for item in node.value] if isinstance(node, CollectionNode) else []

    def refuse_duplicates(self, node: MappingNode, path: str) -> None:
        first: dict[tuple[str, str], Node] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise self.error("a key that is no plain text", key)
            known = first.setdefault((key.tag, key.value), key)
            if known is not key:
                dotted = f"{path}.{self.shown(key)}".lstrip(".")
                raise ConfigError(
                    f"{self.name} has the key '{dotted}' twice, on lines {known.start_mark.line + 1} and "
                    f"{key.start_mark.line + 1}; remove one"
                )

    def try_scalar(self, node: ScalarNode) -> None:
        """Refuse what looks like a number or a date and is none, such as 2024-13-45."""
        if node.tag in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
            return
        if len(node.value) <= MAX_NUMBER_LENGTH:
            try:
                self.loader.construct_object(node)
            except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError):
                pass
            else:
                return
        raise self.error("a number, date or tagged value that cannot be read; if it is text, put it in quotes", node)

    def shown(self, key: Node) -> str:
        return key.value if isinstance(key, ScalarNode) and NAME.fullmatch(key.value) else "?"

    def error(self, problem: str, node: Node) -> ConfigError:
        return ConfigError(f"{self.name} has, at line {node.start_mark.line + 1}, {problem}")
