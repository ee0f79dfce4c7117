"""A line that is cut at COMMIT: the error says what became of the transaction, because the server is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from pgmonkey_magic import SQLError

if TYPE_CHECKING:
    from pathlib import Path

    from fix_notebook import Shell
    from fix_proxy import Proxy
    from fix_server import Server


@pytest.mark.parametrize("cell", ["INSERT INTO {} VALUES (1)", "BEGIN;\nINSERT INTO {} VALUES (1);\nCOMMIT WORK"])
@pytest.mark.parametrize("kind", ["pool", "async_pool"])
@pytest.mark.parametrize(("cut", "said", "rows"), [("after", "committed", 1), ("before", "rolled back", 0)])
def test_a_commit_whose_answer_never_came_is_resolved(
    shell: Shell,
    server: Server,
    proxy: Proxy,
    table: str,
    tmp_path: Path,
    kind: str,
    cut: str,
    said: str,
    rows: int,
    cell: str,
) -> None:
    path = tmp_path / "proxied.yaml"
    path.write_text(yaml.safe_dump(server.config(host="127.0.0.1", port=proxy.port, sslmode="disable")))
    path.chmod(0o600)
    shell.run(f"%pgmonkey connect {path} -t {kind}")
    proxy.cut = cut
    error = shell.error(f"%%pgmonkey\n{cell.format(table)}")
    assert isinstance(error, SQLError)
    assert f"the server says that it was {said}" in str(error)
    assert server.query(f"SELECT count(*) FROM {table}") == [(rows,)]
    assert shell.run("%pgmonkey SELECT 1 AS one")["one"].to_list() == [1]
