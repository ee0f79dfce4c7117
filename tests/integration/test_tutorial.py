"""The tutorial's two programs, as a user would write them: six threads, six tasks, and PIDs that come back."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

THREADS = """
import threading
from pgmonkey_magic import PGConnectionManager

def work(pool, number, pids):
    with pool as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
        pids.append(cur.fetchone()[0])

pool = PGConnectionManager().get_database_connection("config.yaml", "pool")
pids = []
threads = [threading.Thread(target=work, args=(pool, number, pids)) for number in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*pids)
"""
TASKS = """
import asyncio
from pgmonkey_magic import PGConnectionManager

async def work(pool, number):
    async with pool as conn:
        async with conn.cursor() as cur:
            await cur.execute("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
            return (await cur.fetchone())[0]

async def main():
    pool = await PGConnectionManager().get_database_connection("config.yaml", "async_pool")
    print(*await asyncio.gather(*(work(pool, number) for number in range(6))))

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [THREADS, TASKS], ids=["threads", "tasks"])
def test_six_borrowers_share_three_connections(server: Any, tmp_path: Path, program: str) -> None:
    sizes = {"min_size": 2, "max_size": 3}
    config = server.config(application_name="tutorial") | {"pool_settings": sizes, "async_pool_settings": sizes}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "config.yaml").chmod(0o600)
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert out.stderr == ""
    pids = out.stdout.split()
    assert len(pids) == 6
    assert 1 < len(set(pids)) <= 3, "connections are reused, and more than one worked at a time"
    assert server.backends("tutorial") == 0, "the process closed its pool on the way out"
