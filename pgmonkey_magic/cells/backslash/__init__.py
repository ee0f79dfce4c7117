r"""Backslash commands of psql that look at the catalogue, such as `\d orders`.

families.py   which there are, and who carries each out     instead.py   what to use for those of psql that are refused
catalogue.py  patterns, and how the catalogue is asked      listing.py   the lists
relation.py   `\d NAME`: its columns                        relation_footer.py   what stands below them
"""

from pgmonkey_magic.cells.backslash.families import SENT, commands, describe, is_backslash, understood

__all__ = ["SENT", "commands", "describe", "is_backslash", "understood"]
