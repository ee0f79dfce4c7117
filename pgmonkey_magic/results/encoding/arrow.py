"""Arrow's functions, which pyarrow makes when it is imported, so that no type checker knows them."""

from typing import Any

import pyarrow.compute

compute: Any = pyarrow.compute
