"""The kinds of completions, and the combinations in which they occur."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Want(Enum):
    """A kind of completion."""

    COMMAND = auto()
    """The first keyword of a statement."""
    KEYWORD = auto()
    RELATION = auto()
    SCHEMA = auto()
    COLUMN = auto()
    """A column of the relations in scope."""
    TARGET = auto()
    """A column of the relation that is written to or defined, without its qualifier."""
    SHARED = auto()
    """A column that two joined relations have in common."""
    FUNCTION = auto()
    PROCEDURE = auto()
    TYPE = auto()
    SETTING = auto()
    VALUE = auto()
    """A value of a setting."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may stand at a place, in the order in which it is shown.

    `detail` says more of one kind: which relations (`view`), whose values (`work_mem`).
    """

    kinds: tuple[Want, ...] = ()
    detail: str = ""


NOTHING = Wanted()
KEYWORDS = Wanted((Want.KEYWORD,))
COMMANDS = Wanted((Want.COMMAND,))
EXPRESSION = Wanted((Want.COLUMN, Want.FUNCTION, Want.KEYWORD))
EXPRESSION_OR_QUERY = Wanted((*EXPRESSION.kinds, Want.COMMAND))
RELATIONS = Wanted((Want.RELATION, Want.SCHEMA))
RELATIONS_OR_KEYWORDS = Wanted((Want.RELATION, Want.SCHEMA, Want.KEYWORD))
RELATIONS_OR_QUERY = Wanted((Want.RELATION, Want.SCHEMA, Want.COMMAND))
SCHEMAS = Wanted((Want.SCHEMA,))
TARGETS = Wanted((Want.TARGET,))
TARGETS_OR_FUNCTIONS = Wanted((Want.TARGET, Want.FUNCTION))
SHARED = Wanted((Want.SHARED,))
FUNCTIONS = Wanted((Want.FUNCTION, Want.SCHEMA))
PROCEDURES = Wanted((Want.PROCEDURE, Want.SCHEMA))
TYPES = Wanted((Want.TYPE, Want.SCHEMA))
SETTINGS = Wanted((Want.SETTING,))
SETTINGS_OR_KEYWORDS = Wanted((Want.SETTING, Want.KEYWORD))
