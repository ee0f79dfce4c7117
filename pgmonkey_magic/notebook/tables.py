"""Tables of the words: DataFrames whose texts are sentences. A word that has one imports this, for pandas' sake."""

from __future__ import annotations

import pandas as pd


class Table(pd.DataFrame):
    """A DataFrame that shows its texts whole, where pandas would cut them at 50 characters."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame  # what is computed from it is an ordinary one

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.width", 200):
            return super().__repr__()

    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_colwidth", None):
            return super()._repr_html_()  # pyright: ignore[reportCallIssue] - pandas' stubs leave it out
