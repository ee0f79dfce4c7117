"""Completion in the kernel: a matcher of IPython's that answers for our magics and leaves Python alone.

What stands where is for `typed` (the magic's line) and the room `completion` (SQL) to say; here the notebook's side is
added: names, pools, files. Nothing is connected because somebody presses Tab.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from pgmonkey_magic.completion import (
    LIMIT,
    UNKNOWN,
    ParameterPlace,
    Shelf,
    Suggestion,
    place_at,
    suggest,
)
from pgmonkey_magic.notebook.choices import Choices, known_pool
from pgmonkey_magic.notebook.typed import InArgument, InOption, InSQL, InValue, where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

    from pgmonkey_magic.cells import Session
    from pgmonkey_magic.completion import Catalogue

IDENTIFIER = "pgmonkey"
PRIORITY = 1000
"""Before every matcher of IPython, so that those need not run at all."""
_MAY_CHANGE = re.compile(
    r"(?i)%pgmonkey.*\b(create|alter|drop|grant|revoke|into|import|call|do|commit|rollback|upload|file|f)\b", re.DOTALL
)
"""Cells after which the catalogue may be another one; whoever reads it once too often loses nothing."""


class _Nothing(Sequence[SimpleCompletion]):
    """No completion, and none of anybody else's either.

    IPython heeds `suppress` only of a result that has completions, which it tells by its length.
    """

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        raise IndexError(index)


class Completion:
    """The matcher of one shell, and the catalogues that it has read."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._ip = shell
        self._session = session
        self._shelf = Shelf()

    @context_matcher(identifier=IDENTIFIER, priority=PRIORITY)
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Answer IPython: what may stand at the cursor, the fragment of it that is typed, and no one else's."""
        lines = context.full_text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        place = where(context.full_text, cursor)
        if place is None:
            return {"completions": []}
        fragment, found = self._found(place, context.full_text)
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in found[:LIMIT]] or _Nothing(),
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    def after_cell(self, result: ExecutionResult) -> None:
        """Have what is known of the servers read again, if the cell may have changed it."""
        if result.info is not None and _MAY_CHANGE.search(result.info.raw_cell or ""):
            self._shelf.outdate(named.pool for named in self._session.pools())

    def _found(self, place: InSQL | InOption | InValue | InArgument, cell: str) -> tuple[str, list[Suggestion]]:
        choices = Choices(self._session, self._names(cell))
        if isinstance(place, InSQL):
            return self._in_sql(place, choices)
        if isinstance(place, InOption):
            return place.fragment, choices.options(place.fragment, place.known)
        if isinstance(place, InValue):
            return choices.value(place)
        return choices.argument(place, lambda: self._catalogue({}))

    def _in_sql(self, place: InSQL, choices: Choices) -> tuple[str, list[Suggestion]]:
        at = place_at(place.sql, place.cursor)
        if at is None:
            return "", []
        if isinstance(at, ParameterPlace):
            names = choices.names(at.fragment, place.given.get("param", []))
            return at.fragment, [Suggestion(name + at.closing, kind) for name, kind in names]
        words = choices.words(at.fragment) if place.may_be_word else []
        return at.fragment, words + suggest(at, self._catalogue(place.given))

    def _catalogue(self, given: dict[str, list[str]]) -> Catalogue:
        """Return what is known of the server of a cell with these options."""
        named = known_pool(self._session, (given.get("config") or [None])[-1])
        return self._shelf.of(named.pool) if named else UNKNOWN

    def _names(self, cell: str) -> Mapping[str, Any]:
        """Return the Python names that the cell can see: those that it binds itself, then the namespaces'."""
        completer: Any = self._ip.Completer
        hidden = self._ip.user_ns_hidden
        names: dict[str, Any] = dict.fromkeys(self._bound_in(cell))
        for space in (completer.namespace, completer.global_namespace):
            for name, value in list((space or {}).items()):
                is_hidden = name in hidden and hidden[name] is value
                if not (name.startswith("_") or is_hidden or isinstance(value, ModuleType) or callable(value)):
                    names.setdefault(name, value)
        return names

    def _bound_in(self, cell: str) -> Iterator[str]:
        """Give the names that the Python of a cell assigns or takes as arguments, if it can be read."""
        if cell.lstrip().startswith("%%"):
            return
        try:
            tree = ast.parse(self._ip.transform_cell(cell))
        except (SyntaxError, ValueError):  # somebody is typing
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                yield node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def install(shell: InteractiveShell, session: Session) -> None:
    """Have the shell complete our magics; a second time changes nothing."""
    uninstall(shell)
    completion = Completion(shell, session)
    _matchers(shell).append(completion.match)
    shell.events.register("post_run_cell", completion.after_cell)


def uninstall(shell: InteractiveShell) -> None:
    """Take it away."""
    matchers = _matchers(shell)
    for matcher in [each for each in matchers if getattr(each, "matcher_identifier", None) == IDENTIFIER]:
        matchers.remove(matcher)
        shell.events.unregister("post_run_cell", matcher.__self__.after_cell)


def _matchers(shell: InteractiveShell) -> list[Any]:
    completer: Any = shell.Completer
    return completer.custom_matchers
