"""The terminal: the same cells and errors without HTML, and the help that IPython itself gives."""

import re
import subprocess
import sys
from pathlib import Path

from fix_notebook import Shell

from pgmonkey_magic.notebook.grammar import CELL_OPTIONS, SUBCOMMANDS


def in_console(config_file: Path, *lines: str) -> str:
    """What a person reads who types these lines into IPython."""
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "--no-confirm-exit", "--simple-prompt"],
        input="\n".join(["%load_ext pgmonkey_magic", f"%pgmonkey connect {config_file}", *lines, ""]),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=config_file.parent,
    )
    assert ran.returncode == 0, ran.stderr
    return re.sub(r"\x1b\[\d*m", "", ran.stdout)


def test_a_console_shows_tables_footers_notices_and_plans(config_file: Path) -> None:
    said = in_console(
        config_file,
        "%pgmonkey SELECT 1234 AS answer",
        "%pgmonkey DO $$ BEGIN RAISE NOTICE 'early'; PERFORM pg_sleep(1.5); RAISE NOTICE 'late'; END $$",
        "%pgmonkey -e SELECT count(*) FROM pg_class",
    )
    assert "answer\n0    1234" in said
    assert "1 row · " in said
    assert said.index("NOTICE: early") < said.index("NOTICE: late") < said.index("DO · ")
    assert said.count("NOTICE: early") == 1
    assert re.search(r"1 +.*Aggregate\n", said)
    assert "<div" not in said


def test_a_background_job_is_one_line_in_a_console(config_file: Path) -> None:
    said = in_console(config_file, "job = %pgmonkey -b SELECT pg_sleep(1.5), 7 AS x", "job", "job.result()", "job")
    assert said.count(" · running · ") + said.count(" · waiting · ") == 1
    assert said.count(" · done · ") == 1


def test_an_error_in_a_console_is_a_few_lines(config_file: Path) -> None:
    said = in_console(config_file, "%pgmonkey SELECT nowhere FROM pg_class", "print('and on')", "%pgmonkey -x SELECT 1")
    assert 'SQLError: column "nowhere" does not exist' in said
    assert "LINE 1: SELECT nowhere FROM pg_class" in said
    assert "Traceback" not in said
    assert "and on" in said
    assert "RequestError: %pgmonkey has no option -x" in said


def test_help_by_question_mark_and_config(shell: Shell) -> None:
    described = shell.ip.object_inspect_text("%pgmonkey")
    for option in CELL_OPTIONS:
        assert option.names[-1] in described
    for word in SUBCOMMANDS:
        assert f"  {word} " in described or f"  {word}\n" in described, word
    shell.run("%config PgMonkey")
    for trait in ("default_config", "footer", "short_errors"):
        assert trait in shell.stdout
    magics = shell.ip.magics_manager.registry["PgMonkey"]
    assert all(trait.help for trait in magics.class_own_traits(config=True).values())
