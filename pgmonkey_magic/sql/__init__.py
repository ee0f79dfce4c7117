"""The text of SQL, before any server sees it: tokens, parameters, statements. Pure functions of a string."""

from pgmonkey_magic.sql.kinds import CopyFrom, copy_from, only_reads
from pgmonkey_magic.sql.lexer import Kind, Token, tokens
from pgmonkey_magic.sql.one_table import OneTable, one_table, quoted
from pgmonkey_magic.sql.parameters import Form, Parameter, find_parameters
from pgmonkey_magic.sql.remembering import remembered
from pgmonkey_magic.sql.statements import Statement, split

__all__ = [
    "CopyFrom",
    "Form",
    "Kind",
    "OneTable",
    "Parameter",
    "Statement",
    "Token",
    "copy_from",
    "find_parameters",
    "one_table",
    "only_reads",
    "quoted",
    "remembered",
    "split",
    "tokens",
]
