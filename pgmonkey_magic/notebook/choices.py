"""What may be chosen on a magic's line: options, words, pools, files, names. `grammar` says what there is.

An option's or an argument's placeholder (`TYPE`, `PATH`, `NAME`) tells what its value is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.cells import ENDINGS
from pgmonkey_magic.cells.session import POOLED
from pgmonkey_magic.completion import LIMIT, Place, Suggestion, place_at, suggest
from pgmonkey_magic.config.pool_settings import PoolSettings
from pgmonkey_magic.notebook.asking import LEVELS
from pgmonkey_magic.notebook.grammar import SUBCOMMANDS, Option, Subcommand
from pgmonkey_magic.sql import find_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgmonkey_magic.cells import NamedPool, Session
    from pgmonkey_magic.completion import Catalogue
    from pgmonkey_magic.notebook.typed import InArgument, InValue

YAML = (".yaml", ".yml")
FILES = {"connect": YAML, "export": ENDINGS}
"""The endings of the files that a subcommand's PATH may be."""
_PLACEHOLDER = re.compile(r"[^\s\[\]|…]+(?:\[[^\s\]]*…\])?")
_ALTERNATIVES = re.compile(r"\[?([a-z]+(?:\|[a-z]+)+)\]?")


class Choices:
    """What this notebook offers now. `names` are the Python names that a cell can see."""

    def __init__(self, session: Session, names: Mapping[str, Any]) -> None:
        self._session = session
        self._names = names

    def options(self, fragment: str, known: Iterable[Option]) -> list[Suggestion]:
        """Return the names of options: the long one, and the short one where that is what is typed."""
        return [
            Suggestion(name, "option")
            for option in known
            for name in reversed(option.names)
            if name.startswith(fragment) and (name.startswith("--") or len(fragment) > 0)
        ]

    def words(self, fragment: str) -> list[Suggestion]:
        """Return the words of subcommands."""
        return [Suggestion(word, "command") for word in SUBCOMMANDS if word.startswith(fragment)]

    def names(self, fragment: str, given: Iterable[str] = ()) -> list[Suggestion]:
        """Return what a parameter may be called: the names of `-p NAME=…` first, then Python's."""
        of_options = [text.partition("=")[0] for text in given]
        return [
            Suggestion(name, "instance")
            for name in dict.fromkeys([*of_options, *self._names])
            if name.startswith(fragment) and name.isidentifier()
        ]

    def value(self, place: InValue) -> tuple[str, list[Suggestion]]:
        """Return the fragment and the completions of an option's value."""
        option, fragment = place.option, place.fragment
        metavar = option.metavar or ""
        if metavar == "NAME=EXPR":
            return self._parameter(place)
        if metavar == "DICT":
            dicts = [name for name, value in self._names.items() if isinstance(value, Mapping)]
            return fragment, _fitting(fragment, dicts, "instance")
        if option.choices:
            return fragment, _fitting(fragment, option.choices, "value")
        found = self._of_kind(metavar, fragment, YAML if option.key in ("config", "save") else ())
        return fragment, found if place.may_be_quoted else [each for each in found if each.text[:1] not in "\"'"]

    def argument(self, place: InArgument, catalogue: Callable[[], Catalogue]) -> tuple[str, list[Suggestion]]:
        """Return the fragment and the completions of a subcommand's argument."""
        fragment, subcommand = place.fragment, place.subcommand
        placeholders = positional(subcommand)
        number = len(place.arguments)
        wanted = placeholders[number : number + 1] or [name for name in placeholders[-1:] if name == "key=value"]
        if "key=value" in placeholders and "key=value" not in wanted:
            wanted.append("key=value")
        found: list[Suggestion] = []
        for placeholder in wanted:
            if placeholder.endswith("TABLE"):
                return _table(fragment, catalogue())
            found += self._of_argument(placeholder, subcommand, fragment)
        return fragment, found or self.options(fragment, place.known if fragment in ("", "-", "--") else ())

    def _of_argument(self, placeholder: str, subcommand: Subcommand, fragment: str) -> list[Suggestion]:
        if placeholder == "NAME":
            return _fitting(fragment, self._session.names(), "pool")
        if placeholder == "WORD":
            return self.words(fragment)
        if placeholder == "LESSON":
            # Here, not above: loading the extension need not wait for the lab.
            from pgmonkey_magic.tuning.lab import LESSONS  # noqa: PLC0415

            return _fitting(fragment, LESSONS, "lesson")
        if placeholder == "DF":
            return _fitting(fragment, self._named_as("DataFrame"), "instance")
        if placeholder == "key=value":
            return _fitting(fragment, [f"{each.name}=" for each in fields(PoolSettings)], "setting")
        return self._of_kind(placeholder, fragment, FILES.get(subcommand.word, ()))

    def _of_kind(self, placeholder: str, fragment: str, endings: tuple[str, ...]) -> list[Suggestion]:
        if alternatives := _ALTERNATIVES.fullmatch(placeholder):
            return _fitting(fragment, alternatives[1].split("|"), "value")
        if placeholder == "TYPE":
            return _fitting(fragment, POOLED.values(), "value")
        if placeholder == "LEVEL":
            return _fitting(fragment, LEVELS, "value")
        found: list[Suggestion] = []
        if placeholder == "NAME_OR_PATH":
            found = _fitting(fragment, self._session.names(), "pool")
        elif placeholder.startswith("PATH_OR_"):
            found = _fitting(fragment, self._named_as("DataFrame", "read", "write"), "instance")
        return found + (list(paths(fragment, endings)) if "PATH" in placeholder else [])

    def _named_as(self, of_class: str, *methods: str) -> list[str]:
        """Return the names of values whose class is called so, or has one of the methods."""
        return [
            name
            for name, value in self._names.items()
            if type(value).__name__ == of_class or any(hasattr(type(value), method) for method in methods)
        ]

    def _parameter(self, place: InValue) -> tuple[str, list[Suggestion]]:
        name, equals, expression = place.fragment.partition("=")
        if equals:
            word = re.search(r"\w*\Z", expression)
            fragment = word[0] if word else ""
            return fragment, self.names(fragment)
        given = {text.partition("=")[0] for text in place.given.get("param", [])}
        asked = [each.name for each in find_parameters(place.sql)]
        return name, _fitting(name, [f"{each}=" for each in asked if each not in given], "parameter")


def known_pool(session: Session, name_or_path: str | None) -> NamedPool | None:
    """Return the pool that a cell with this `-c` would use, if it is open; nothing is opened or read."""
    if name_or_path is None:
        return session.current
    if name_or_path in session.names():
        return session.named(name_or_path)
    path = Path(name_or_path).expanduser().absolute()
    return next(
        (named for named in session.pools() if (source := named.pool.config.source) and source.absolute() == path), None
    )


def positional(subcommand: Subcommand) -> list[str]:
    """Return the placeholders of a subcommand's arguments, in order, from its usage: `connect PATH …` gives PATH.

    What its usage names behind the most that it takes is no argument: the SQL of `export PATH [options] SQL`.
    """
    takes_value = {name for option in subcommand.options for name in option.names if option.metavar}
    found: list[str] = []
    skip = False
    for word in _PLACEHOLDER.findall(subcommand.usage)[1:]:
        if not (skip or word.startswith("-")):
            found.append(word)
        skip = word in takes_value
    return found[: subcommand.arguments[1]]


def paths(fragment: str, endings: tuple[str, ...]) -> Iterator[Suggestion]:
    """Give the files and directories that a typed path may become; with *endings*, only such files.

    A path with blanks is put in quotes. That of a directory stays open, to be typed on.
    """
    quote = fragment[:1] if fragment[:1] in ("'", '"') and fragment else ""
    typed = fragment[len(quote) :]
    directory, slash, start = typed.rpartition("/")
    try:
        entries = sorted(os.scandir(Path(directory + slash or ".").expanduser()), key=lambda entry: entry.name)
    except (OSError, ValueError, RuntimeError):  # no such directory, no such user, none of ours, a NUL
        return
    for entry in entries:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
            continue
        is_directory = entry.is_dir()
        if is_directory or not endings or entry.name.endswith(endings):
            path = f"{directory}{slash}{entry.name}"
            mark = quote or (_quote_for(path) if re.search(r"[\s'\"]", path) else "")
            yield Suggestion(f"{mark}{path}/" if is_directory else f"{mark}{path}{mark}", "path")


def _quote_for(path: str) -> str:
    return "'" if '"' in path else '"'


def _fitting(fragment: str, texts: Iterable[str], kind: str) -> list[Suggestion]:
    return [Suggestion(text, kind) for text in dict.fromkeys(texts) if text.startswith(fragment)][:LIMIT]


def _table(fragment: str, catalogue: Catalogue) -> tuple[str, list[Suggestion]]:
    """Complete a relation as behind TABLE."""
    sql = f"TABLE {fragment}"
    place = place_at(sql, len(sql))
    return (place.fragment, suggest(place, catalogue)) if isinstance(place, Place) else ("", [])
