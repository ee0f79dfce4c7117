"""The text of SQL, before any server sees it: tokens, parameters, statements. Pure functions of a string."""

from pgmonkey_magic.sql.lexer import Kind, Token, tokens
from pgmonkey_magic.sql.parameters import Form, Parameter, find_parameters
from pgmonkey_magic.sql.statements import Statement, split

__all__ = ["Form", "Kind", "Parameter", "Statement", "Token", "find_parameters", "split", "tokens"]
