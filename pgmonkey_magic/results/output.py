"""What a person wants the rows of a query as."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from pgmonkey_magic.errors import RequestError

CHOICES: Final = {
    "kind": ("df", "polars", "arrow", "dicts", "scalar"),
    "dtypes": ("nullable", "numpy", "pyarrow"),
    "decimals": ("float", "exact"),
}
OPTIONS: Final = {"kind": "--as", "dtypes": "--dtypes", "decimals": "--decimals"}


@dataclass(frozen=True, slots=True)
class Output:
    """The choice of `--as`, `--dtypes` and `--decimals`; the first of CHOICES each, where none is made.

    `kind` is a pandas or polars DataFrame, an Arrow table, a list of dicts, or the one value of one row.

    For pandas, `dtypes` says which: `nullable` loses nothing (Int64 beside NULL, booleans with NULL), `numpy` gives
    what pandas.read_sql gives (float64 for integers beside NULL), `pyarrow` gives ArrowDtype throughout. `decimals`
    makes of numeric the `float` nearest to it, or `exact`ly an Arrow decimal, Decimal objects where none is wide
    enough.

    Raises RequestError for a word that is none, a choice that has no meaning, and a library that is not there.
    """

    dtypes: str = "nullable"
    decimals: str = "float"
    kind: str = "df"

    def __post_init__(self) -> None:
        for field, words in CHOICES.items():
            if (word := getattr(self, field)) not in words:
                more = ", chunks" if field == "kind" else ""
                raise RequestError(f"{OPTIONS[field]} takes one of {', '.join(words)}{more}, not {word!r}")
        if self.dtypes != "nullable" and self.kind != "df":
            raise RequestError(f"--dtypes is for pandas DataFrames; leave it out with --as {self.kind}")
        if self.kind == "polars" and find_spec("polars") is None:
            raise RequestError("--as polars needs the polars library; install it with %pip install polars")

    @property
    def asked(self) -> str:
        """What differs from the default, as it is typed; empty where nothing does."""
        return " and ".join(
            f"{OPTIONS[field]} {word}" for field, words in CHOICES.items() if (word := getattr(self, field)) != words[0]
        )


DEFAULT = Output()
