"""Which dtypes a person wants the columns in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dtypes:
    """The choice of `--dtypes` and `--decimals`.

    `nullable` loses nothing (Int64 beside NULL, booleans with NULL), `numpy` gives what pandas.read_sql gives (float64
    for integers beside NULL), `pyarrow` gives ArrowDtype throughout. `float` makes of numeric the float nearest to it,
    `exact` an Arrow decimal, or Decimal objects where none is wide enough.
    """

    backend: Literal["nullable", "numpy", "pyarrow"] = "nullable"
    decimals: Literal["float", "exact"] = "float"


DEFAULT = Dtypes()
