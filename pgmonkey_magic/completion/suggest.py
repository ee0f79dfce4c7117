"""From a place in SQL and a catalogue to the completions, in the order in which they are shown."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from pgmonkey_magic.completion.relations import Source, Star
from pgmonkey_magic.completion.wants import Want
from pgmonkey_magic.completion.words import COMMANDS, CORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pgmonkey_magic.completion.catalogue import Catalogue, Relation
    from pgmonkey_magic.completion.context import Place

LIMIT = 500
MAX_COLUMNS = 2000
"""More columns than PostgreSQL allows in a relation; what a `*` of a `*` of a `*` stands for ends there."""
_PLAIN = re.compile(r"[a-z_\u0080-\U0010ffff][a-z0-9_$\u0080-\U0010ffff]*")
_SYSTEM = ("pg_catalog", "information_schema")


class Suggestion(NamedTuple):
    """The text that replaces the fragment, and what it is, such as table, column, keyword."""

    text: str
    type: str


def suggest(place: Place, catalogue: Catalogue, limit: int = LIMIT) -> list[Suggestion]:
    """Return the completions for a place, at most *limit*, each text once."""
    finder = _Finder(place, catalogue)
    found = chain.from_iterable(finder.find(kind) for kind in place.wanted.kinds)
    unique: dict[str, Suggestion] = {}
    for suggestion in islice(found, 4 * limit):
        unique.setdefault(suggestion.text, suggestion)
    return list(unique.values())[:limit]


class _Finder:
    """Finds what fits the fragment, one kind after the other."""

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place = place
        self._catalogue = catalogue
        self._typed = place.typed
        self._qualifier = place.typed.qualifier
        self._folded = place.typed.fragment.casefold()
        self._keywords = catalogue.keywords or dict.fromkeys(CORE, "R")

    def find(self, kind: Want) -> Iterable[Suggestion]:
        """Give the completions of one kind."""
        finders: dict[Want, Callable[[], Iterable[Suggestion]]] = {
            Want.COMMAND: lambda: self._words(COMMANDS),
            Want.KEYWORD: lambda: self._words(self._keywords if self._folded else CORE),
            Want.RELATION: self._qualified_relations if self._qualifier else self._relations,
            Want.SCHEMA: self._schemas,
            Want.COLUMN: self._qualified_columns if self._qualifier else self._columns,
            Want.TARGET: self._target_columns,
            Want.SHARED: self._shared_columns,
            Want.FUNCTION: lambda: self._routines("function"),
            Want.PROCEDURE: lambda: self._routines("procedure"),
            Want.TYPE: self._types,
            Want.SETTING: self._settings,
            Want.VALUE: self._values,
        }
        return finders[kind]()

    # -- names ----------------------------------------------------------------------------------------------------

    def _fits(self, name: str) -> bool:
        return name.casefold().startswith(self._folded)

    def _written(self, name: str, may_be: str = "U") -> str:
        """Write a name, in quotes where it needs them or they are typed; *may_be* are the harmless keywords."""
        if not self._typed.quoted and _PLAIN.fullmatch(name) and self._keywords.get(name, "U") in may_be:
            return name
        return '"' + name.replace('"', '""') + ("" if self._typed.closed else '"')

    def _words(self, words: Iterable[str]) -> Iterator[Suggestion]:
        if not self._qualifier and not self._typed.quoted:
            for word in words:
                if self._fits(word):
                    yield Suggestion(word.upper() if self._place.upper else word, "keyword")

    def _schemas(self) -> Iterator[Suggestion]:
        if not self._qualifier:
            for schema in sorted(self._catalogue.schemas, key=lambda name: name in _SYSTEM):
                if self._fits(schema):
                    yield Suggestion(self._written(schema), "schema")

    # -- relations ------------------------------------------------------------------------------------------------

    def _relations(self) -> Iterator[Suggestion]:
        for cte in self._place.scope.ctes:
            if self._fits(cte.name):
                yield Suggestion(self._written(cte.name), "CTE")
        catalogue, hidden = self._catalogue, []
        for schema, relations in catalogue.relations.items():
            if schema in _SYSTEM and not self._folded:
                continue
            for name, relation in relations.items():
                if not self._fits(name) or not self._is_of_kind(relation):
                    continue
                if catalogue.relation((name,)) is relation:
                    yield Suggestion(self._written(name), relation.kind)
                elif schema not in _SYSTEM and not self._typed.quoted:
                    hidden.append(Suggestion(f"{self._written(schema)}.{self._written(name)}", relation.kind))
        yield from hidden

    def _qualified_relations(self) -> Iterator[Suggestion]:
        for name, relation in self._catalogue.relations.get(self._qualifier[-1], {}).items():
            if self._fits(name) and self._is_of_kind(relation):
                yield Suggestion(self._written(name), relation.kind)

    def _is_of_kind(self, relation: Relation) -> bool:
        return self._place.wanted.detail in ("", relation.kind)

    # -- columns --------------------------------------------------------------------------------------------------

    def _columns_of(self, source: Source) -> Iterator[tuple[str, str]]:
        """Give the columns of a source, with their types where the server knows them."""
        return islice(self._all_columns_of(source), MAX_COLUMNS)

    def _all_columns_of(self, source: Source) -> Iterator[tuple[str, str]]:
        if source.outputs is None:
            relation = self._catalogue.relation(source.path) if source.path else None
            yield from relation.columns if relation else ()
            return
        for output in source.outputs:
            if isinstance(output, Star):
                for inner in output.sources:
                    yield from self._columns_of(inner)
            else:
                yield output, ""

    def _columns(self) -> Iterator[Suggestion]:
        scope = self._place.scope
        yield from (Suggestion(self._written(name), "column") for name in scope.outputs if self._fits(name))
        entries = [(source, column) for source in scope.sources for column in self._columns_of(source)]
        if self._place.compared:
            entries.sort(key=self._unlikeness(entries))
        ambiguous = self._ambiguous(entries)
        for source, (name, _) in entries:
            if not self._fits(name):
                continue
            if (source.depth, name) not in ambiguous or not source.name or self._typed.quoted:
                yield Suggestion(self._written(name), "column")
            else:
                yield Suggestion(f"{self._written(source.name)}.{self._written(name)}", "column")
        for source in scope.sources:
            if source.name and self._fits(source.name):
                yield Suggestion(self._written(source.name), "table" if source.name in source.path else "alias")
        if not scope.sources and self._folded:
            yield from self._columns_of_all()

    def _ambiguous(self, entries: list[tuple[Source, tuple[str, str]]]) -> set[tuple[int, str]]:
        """Return the depth and name of the columns that need a qualifier: not alone, or hidden by an inner one."""
        count = Counter((source.depth, name) for source, (name, _) in entries)
        innermost: dict[str, int] = {}
        for source, (name, _) in entries:
            innermost[name] = min(source.depth, innermost.get(name, source.depth))
        merged = self._place.scope.merged
        return {
            (depth, name)
            for (depth, name), n in count.items()
            if innermost[name] < depth or (n > 1 and name not in merged)
        }

    def _unlikeness(
        self, entries: list[tuple[Source, tuple[str, str]]]
    ) -> Callable[[tuple[Source, tuple[str, str]]], int]:
        """Return a key that puts the columns first that are likely to be compared with the one that stands there."""
        *qualifier, compared = self._place.compared
        same = [
            (source, column)
            for source, column in entries
            if column[0] == compared and qualifier[-1:] in ([], [source.name])
        ]
        kinds = {kind for _, (_, kind) in same}

        def key(entry: tuple[Source, tuple[str, str]]) -> int:
            is_itself = bool(same) and entry[0] is same[0][0] and entry[1] == same[0][1]
            if is_itself and not self._place.assigned:
                return 3
            return 0 if entry[1][0] == compared else 1 if entry[1][1] in kinds else 2

        return key

    def _columns_of_all(self) -> Iterator[Suggestion]:
        """Give the columns of every relation on the search path: the SELECT is typed before its FROM."""
        for schema in self._catalogue.path:
            if schema not in _SYSTEM:
                for relation in self._catalogue.relations.get(schema, {}).values():
                    for name, _ in relation.columns:
                        if self._fits(name):
                            yield Suggestion(self._written(name), "column")

    def _qualified_columns(self) -> Iterator[Suggestion]:
        qualifier = self._qualifier
        sources = [s for s in self._place.scope.sources if (s.name,) == qualifier or self._is_path_of(s)]
        if not sources and self._catalogue.relation(qualifier):
            sources = [Source(qualifier[-1], qualifier)]
        entries = [(source, column) for source in sources[:1] for column in self._columns_of(source)]
        if self._place.compared:
            everything = [(s, column) for s in self._place.scope.sources for column in self._columns_of(s)]
            entries.sort(key=self._unlikeness(everything))
        yield from (Suggestion(self._written(name), "column") for _, (name, _) in entries if self._fits(name))
        if not sources and len(qualifier) == 1:
            yield from self._qualified_relations()

    def _is_path_of(self, source: Source) -> bool:
        return len(self._qualifier) > 1 and source.path[-2:] == self._qualifier[-2:]

    def _target_columns(self) -> Iterator[Suggestion]:
        if self._place.target and not self._qualifier:
            for name, _ in self._columns_of(self._place.target):
                if self._fits(name):
                    yield Suggestion(self._written(name), "column")

    def _shared_columns(self) -> Iterator[Suggestion]:
        joined = self._place.target
        if joined is None or self._qualifier:
            return
        others = [source for source in self._place.scope.sources if source.name != joined.name]
        known = {name for source in others for name, _ in self._columns_of(source)}
        for name, _ in self._columns_of(joined):
            if name in known and self._fits(name):
                yield Suggestion(self._written(name), "column")

    # -- functions, types, settings -------------------------------------------------------------------------------

    def _routines(self, kind: str) -> Iterator[Suggestion]:
        catalogue = self._catalogue
        schemas = self._qualifier[-1:] or catalogue.path
        hidden = (
            ()
            if self._qualifier or self._typed.quoted
            else [s for s in catalogue.functions if s not in (*schemas, *_SYSTEM)]
        )
        for schema in (*schemas, *hidden):
            # Of the hundreds that are built in, none needs quotes, and none is looked for without a letter.
            if schema in _SYSTEM and not self._qualifier and (self._typed.quoted or not self._folded):
                continue
            prefix = f"{self._written(schema)}." if schema in hidden else ""
            harmless = "UTC" if schema == "pg_catalog" else "UT"
            for name, its_kind in catalogue.functions.get(schema, {}).items():
                if its_kind == kind and self._fits(name):
                    yield Suggestion(prefix + self._written(name, harmless), kind)

    def _types(self) -> Iterator[Suggestion]:
        catalogue = self._catalogue
        schemas = self._qualifier[-1:] or catalogue.path
        # What a person has made comes first.
        for schema in sorted(schemas, key=lambda name: name in _SYSTEM):
            for name in catalogue.types.get(schema, ()):
                if self._fits(name):
                    is_written = schema == "pg_catalog" and not self._typed.quoted
                    yield Suggestion(name if is_written else self._written(name), "type")
        if not self._qualifier and not self._typed.quoted:
            for schema, names in catalogue.types.items():
                if schema not in (*schemas, *_SYSTEM):
                    for name in filter(self._fits, names):
                        yield Suggestion(f"{self._written(schema)}.{self._written(name)}", "type")

    def _settings(self) -> Iterator[Suggestion]:
        prefix = "".join(f"{part}." for part in self._qualifier)
        for name in self._catalogue.settings:
            if name.lower().startswith(prefix + self._folded):
                yield Suggestion(name[len(prefix) :], "setting")

    def _values(self) -> Iterator[Suggestion]:
        name = self._place.wanted.detail
        values = next((v for known, v in self._catalogue.settings.items() if known.lower() == name), ())
        for value in (*values, "default"):
            if self._fits(value) and not self._typed.quoted:
                text = value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "''") + "'"
                yield Suggestion(text, "value")
