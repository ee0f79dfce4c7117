"""`export`: the rows of one query into a file."""

from pgmonkey_magic.cells.export.way import ENDINGS, Export

__all__ = ["ENDINGS", "Export"]
