"""What a person wants the rows of a query as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Output:
    """The choice of `--as`, `--dtypes` and `--decimals`.

    `kind` is a pandas or polars DataFrame, an Arrow table, a list of dicts, or the one value of one row.

    For pandas, `dtypes` says which: `nullable` loses nothing (Int64 beside NULL, booleans with NULL), `numpy` gives
    what pandas.read_sql gives (float64 for integers beside NULL), `pyarrow` gives ArrowDtype throughout. `decimals`
    makes of numeric the `float` nearest to it, or `exact`ly an Arrow decimal, Decimal objects where none is wide
    enough.
    """

    dtypes: Literal["nullable", "numpy", "pyarrow"] = "nullable"
    decimals: Literal["float", "exact"] = "float"
    kind: Literal["df", "polars", "arrow", "dicts", "scalar"] = "df"


DEFAULT = Output()
