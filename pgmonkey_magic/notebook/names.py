"""What a name means in this notebook."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pgmonkey_magic.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Names:
    """Where a parameter's name is looked up: the function that a line magic stands in, then the notebook."""

    local: Mapping[str, Any]
    notebook: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """Return what the name means; RequestError with the near miss where it means nothing."""
        for space in (self.local, self.notebook):
            if name in space:
                return space[name]
        near = self.near(name)
        raise RequestError(
            f"the parameter :{name} is not defined; "
            + (f"did you mean :{near}?" if near else f"assign {name} = … first, or give -p {name}=…")
        )

    def near(self, name: str) -> str:
        """Return the name that may have been meant; empty where none is near."""
        return next(iter(get_close_matches(name, [*self.local, *self.notebook], n=1)), "")

    def get(self, name: str, default: Any) -> Any:
        """Return what the name means, or *default*."""
        return self.local.get(name, self.notebook.get(name, default))

    def evaluate(self, option: str, expression: str) -> Any:
        """Return the value of a Python expression; RequestError with Python's own reason."""
        try:
            return eval(expression, dict(self.notebook), dict(self.local))  # noqa: S307 - the person's own notebook
        except Exception as error:
            raise RequestError(f"{option} {expression!r}: {type(error).__name__}: {error}") from error
