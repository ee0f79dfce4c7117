"""psql, the oracle of SQL: run through a recorder, and its files as SQL alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fix_recorder import Exchange, Recorder
from psycopg.conninfo import make_conninfo

from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.sql import Kind, find_parameters, tokens


def psql(
    recorder: Recorder,
    *arguments: str | Path,
    script: bytes = b"",
    environment: Mapping[str, str] | None = None,
    application_name: str = "psql",
    **settings: str,
) -> list[Exchange]:
    """Run psql through the recorder and return what it said and heard.

    *script* is its standard input, *environment* is added to its own, *settings* replace connection settings.
    """
    recorder.take()
    conninfo = make_conninfo(**recorder.settings(application_name=application_name, **settings))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    subprocess.run(
        [find_binaries() / "psql", "-X", "-q", "-o", os.devnull, "-d", conninfo, *arguments],
        input=script,
        env={**inherited, "PGCLIENTENCODING": "UTF8", **(environment or {})},
        capture_output=True,
        timeout=600,
    )
    said = recorder.take()  # a pool's connection may have been cleaned meanwhile
    return [e for e in said if recorder.logins[e.line].get("application_name") == application_name]


# -- its files --------------------------------------------------------------------------------------------------

SENDS = re.compile(r"\\(?:g|gx|gset|gexec|gdesc|crosstabview|watch|bind|bind_named|parse|sendpipeline)\b")
LOOKS = re.compile(rb"(?m)^\s*\\(?:d|l|z|s[fv]|lo_|i(?!f)|w|o\b|qecho|errverbose|!|cd|password|h|\?).*$")
"""Commands that look at the catalogue, at files or at nothing: what they send is psql's own, not the file's."""
LEAD = re.compile(r"(?:[ \t\r\n\f\v]|--[^\n\r]*)*")


def plain(text: str) -> str:
    """Return a file for psql as SQL alone: without COPY's data and backslash commands.

    A command that sends what stands before it becomes a semicolon, as `\\;` does.
    """
    rest, parts = _without_data(text), []
    while True:
        for token in tokens(rest):
            if token.kind is Kind.OTHER and token.text == "\\":
                break
            parts.append(token.text)
        else:
            return "".join(parts)
        if rest.startswith("\\;", token.start):
            rest = rest[token.start + 1 :]
            continue
        parts.append(";" if SENDS.match(rest, token.start) else "")
        rest = rest[token.start :].partition("\n")[2]
        parts.append("\n")


def _without_data(text: str) -> str:
    lines: list[str] = []
    for line in text.split("\n"):
        if line != "\\.":
            lines.append(line)
        else:
            start = next((i for i in reversed(range(len(lines))) if re.search(r"(?i)\bfrom\s+stdin\b", lines[i])), None)
            if start is not None:
                del lines[start + 1 :]
    return "\n".join(lines)


def normal(statement: str) -> str:
    """Return a statement without what psql drops: comments and blanks before it, empty lines, the semicolon."""
    return re.sub(r"\n\n+", "\n", statement[LEAD.match(statement).end() :]).strip("; \t\r\n\f\v")


OF_PSQL = {
    "USER": "postgres",
    "DBNAME": "postgres",
    "LAST_ERROR_MESSAGE": "",
    "ERROR": "false",
    "SQLSTATE": "00000",
    "ROW_COUNT": "0",
}
"""Variables that psql sets itself, with what they hold as long as nothing fails."""


def variables(text: str) -> dict[str, str]:
    """Return the psql variables that a file sets, each with a value of our own.

    Those that steer psql itself, in capitals, are left out.
    """
    names = set(re.findall(r"\\(?:set|getenv)\s+(\w+)", text))
    for prefix in set(re.findall(r"\\gset(?:[ \t]+(\w+))?", text)):
        names |= {prefix + column for column in re.findall(r"[a-z_]\w*", text)}
    return {name: f"v_{name}" for name in sorted(names) if not name.isupper()}


def substituted(sql: str, values: dict[str, str]) -> str:
    """Do with the parameters of *sql* what psql does with its variables; KeyError for one that is none."""
    parts, position = [], 0
    for parameter in find_parameters(sql):
        quote = parameter.form.value[1] if parameter.form.value[1] in "'\"" else ""
        parts += [sql[position : parameter.start], quote, values[parameter.name], quote]
        position = parameter.end
    return "".join([*parts, sql[position:]])
