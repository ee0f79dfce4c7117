"""A real kernel: Ctrl-C, real error outputs, and nothing left behind when it ends or is killed."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_notebook import Shell, run_in_kernel
from fix_pools import until
from fix_server import Server
from jupyter_client.manager import KernelManager

LOAD = "%load_ext pgmonkey_magic"


class Kernel:
    """A kernel driven message by message, so that it can be interrupted and killed."""

    def __init__(self, cwd: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def start(self, code: str) -> str:
        return self.client.execute(code)

    def finish(self, message: str, timeout: float = 60) -> list[dict[str, Any]]:
        """Return the outputs of an execution once the kernel is idle again."""
        outputs = []
        while True:
            msg = self.client.get_iopub_msg(timeout=timeout)
            if msg["parent_header"].get("msg_id") != message:
                continue
            if msg["msg_type"] == "status" and msg["content"]["execution_state"] == "idle":
                return outputs
            if msg["msg_type"] in ("stream", "error", "display_data", "execute_result"):
                outputs.append({"type": msg["msg_type"], **msg["content"]})

    def run(self, code: str) -> list[dict[str, Any]]:
        return self.finish(self.start(code))

    def text(self, code: str) -> str:
        """Run code and return all that it printed, showed and raised as text."""
        parts = []
        for output in self.run(code):
            data = output.get("data", {})
            parts.append(output.get("text") or data.get("text/plain") or "\n".join(output.get("traceback", [])))
        return "\n".join(parts)

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.stop()


def gone(server: Server, application_name: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while server.backends(application_name):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_an_error_is_a_real_error_output_of_few_lines(config_file: Path) -> None:
    outputs = run_in_kernel(LOAD, f"%pgmonkey connect {config_file}", "%%pgmonkey\nSELECT nothing", allow_errors=True)
    *line, error = outputs[2]  # on a busy machine the live line has come, and is empty now
    assert not any(output.data["text/plain"] for output in line)
    assert (error.output_type, error.ename) == ("error", "SQLError")
    assert error.evalue == 'column "nothing" does not exist'
    assert len(error.traceback) == 4


def test_outputs_come_in_order_with_the_footer_last(config_file: Path) -> None:
    cell = "%%pgmonkey\nDO $$BEGIN RAISE NOTICE 'n'; END$$;\nSELECT 1 AS x"
    outputs = run_in_kernel(LOAD, f"%pgmonkey connect {config_file}", cell)[2]
    # On a busy machine the cell takes a second, and its live line has come and is empty now.
    outputs = [output for output in outputs if output.data["text/plain"]]
    assert [output.output_type for output in outputs] == ["display_data", "execute_result", "display_data"]
    assert "NOTICE: n" in outputs[0].data["text/plain"]
    assert "<table" in outputs[1].data["text/html"]
    assert "wait" in outputs[2].data["text/html"]


@pytest.mark.parametrize("connection_type", ["pool", "async_pool"])
def test_interrupting_a_statement_cancels_it_on_the_server(
    kernel: Kernel, server: Server, config_file: Path, table: str, connection_type: str
) -> None:
    kernel.run(LOAD)
    kernel.run(f"%pgmonkey connect {config_file} -t {connection_type}")
    message = kernel.start(f"%%pgmonkey\nINSERT INTO {table} VALUES (1);\nSELECT pg_sleep(60)")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    deadline = time.monotonic() + 20
    while not server.query(sleeping)[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started = time.monotonic()
    kernel.manager.interrupt_kernel()
    (error,) = [output for output in kernel.finish(message) if output["type"] == "error"]
    assert time.monotonic() - started < 5
    assert "cancelled and its transaction rolled back" in error["evalue"]
    assert server.query(sleeping) == [(0,)]
    assert server.query(f"SELECT * FROM {table}") == []
    assert "1" in kernel.text("%pgmonkey SELECT 1 AS x")
    assert "0" in kernel.text("(%pgmonkey pools)['in use'][0]")


@pytest.mark.parametrize(
    ("waiting", "said", "sleeping"),
    [
        ("await job", r"you stopped waiting; job \d+ still runs: job.cancel\(\) ends it", 1),
        ("await pgmonkey_magic.query('SELECT pg_sleep(60)')", r"you stopped waiting; job \d+ has ended: cancelled", 0),
    ],
)
def test_interrupting_an_await_is_heard_at_once_and_says_what_still_runs(
    kernel: Kernel, server: Server, config_file: Path, waiting: str, said: str, sleeping: int
) -> None:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    kernel.run(f"{LOAD}\n%pgmonkey connect {config_file}\nimport pgmonkey_magic")
    if waiting == "await job":
        kernel.run("%pgmonkey -b -q -o job SELECT pg_sleep(60)")
    message = kernel.start(f"print('now')\n{waiting}")
    until(lambda: server.query(asleep) == [(1,)])
    while kernel.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    time.sleep(0.5)  # the loop has nothing more to do
    kernel.manager.interrupt_kernel()
    (error,) = [output for output in kernel.finish(message, timeout=20) if output["type"] == "error"]
    assert error["ename"] == "CancelledError"
    assert re.fullmatch(said, error["evalue"])
    assert len(error["traceback"]) == 1
    assert server.query(asleep) == [(sleeping,)]
    assert "42" in kernel.text("%pgmonkey -q -o x SELECT 42 AS n\nprint(x.n[0])")


AT_COMMIT = """
CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow()
"""
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state <> 'idle' AND application_name <> 'outside' AND backend_type = 'client backend'
"""
STEPS = {
    "wait": "SELECT 1",
    "execute": "SELECT pg_sleep(60)",
    "fetch": "SELECT repeat('x', 100) FROM generate_series(1, 100000000)",
    "first rows": "SELECT pg_sleep(60) FROM generate_series(1, 100)",
    "copy in": "COPY {table} FROM STDIN",
    "copy out": "COPY (SELECT repeat('x', 100) FROM generate_series(1, 100000000)) TO STDOUT",
    "commit": "INSERT INTO {table} VALUES (1)",
}
OPTIONS = {"first rows": "-n 5", "copy in": "--copy-from endless", "copy out": "--copy-to /dev/null"}


@pytest.mark.parametrize("connection_type", ["pool", "async_pool"])
def test_an_interrupt_at_each_step_ends_the_cell_and_loses_nothing(
    kernel: Kernel, server: Server, config_file: Path, table: str, connection_type: str
) -> None:
    server.query(AT_COMMIT.format(table=table))
    kernel.run(LOAD)
    kernel.run(f"%pgmonkey connect {config_file} -t {connection_type}")
    kernel.run(
        "import time\nclass Endless:\n    def read(self, size):\n        time.sleep(0.01); return b'1\\n'\n"
        "endless = Endless()"
    )
    for step, sql in STEPS.items():
        if step == "wait":  # three jobs hold the three connections
            kernel.run("jobs = [get_ipython().run_line_magic('pgmonkey', '-b SELECT pg_sleep(60)') for _ in range(3)]")
            kernel.run("while sum(job.backend_pid is not None for job in jobs) < 3: time.sleep(0.02)")
        message = kernel.start(f"%%pgmonkey {OPTIONS.get(step, '')}\n{sql.format(table=table)}")
        time.sleep(1.5)
        started = time.monotonic()
        kernel.manager.interrupt_kernel()
        (error,) = [output for output in kernel.finish(message) if output["type"] == "error"]
        seconds = time.monotonic() - started
        assert error["ename"] == "CellInterrupted", (step, error)
        if step == "wait":
            kernel.run("for job in jobs: job.cancel()")
        until(lambda: server.query(BUSY) == [(0,)], 5)
        print(f"{connection_type:10} {step:10} {seconds:.2f} s · {error['evalue']}")
        assert seconds < 5, step
        assert "0" in kernel.text("(%pgmonkey pools)['in use'][0]"), step
        assert server.query(f"SELECT * FROM {table}") == []
    kernel.run("pool = get_ipython().magics_manager.registry['PgMonkey'].session.current.pool")
    three = kernel.text(
        "jobs = [get_ipython().run_line_magic('pgmonkey', '-b SELECT pg_sleep(1)') for _ in range(3)]\n"
        "time.sleep(0.7); print(pool.occupancy.in_use, pool.occupancy.waiting)"
    )
    assert "3 0" in three


def test_interrupting_the_wait_for_a_connection(kernel: Kernel, config_file: Path) -> None:
    kernel.run(LOAD)
    kernel.run(f"%pgmonkey connect {config_file}")
    kernel.run(
        "from pgmonkey_magic.pools import cached_entries\n"
        "(entry,) = cached_entries().values()\npool = entry.connectable\n"
        "leases = [pool.borrow() for _ in range(2)]\n"
        "import contextlib; stack = contextlib.ExitStack(); stack.enter_context(pool); print('held')"
    )
    message = kernel.start("%pgmonkey SELECT 1")
    time.sleep(1)
    started = time.monotonic()
    kernel.manager.interrupt_kernel()
    (error,) = [output for output in kernel.finish(message) if output["type"] == "error"]
    assert time.monotonic() - started < 5
    assert "cancelled" in error["evalue"]
    kernel.run("stack.close()\nfor lease in leases: pool.give_back(lease)")
    time.sleep(0.2)
    assert "3 rows" in kernel.text(
        "rows = []\nfor _ in range(3):\n    lease = pool.borrow(timeout=5); rows.append(lease)\n"
        "print(len(rows), 'rows')\nfor lease in rows: pool.give_back(lease)"
    )


def test_an_interrupt_that_kept_a_block_from_its_end_loses_nothing(shell: Shell, config_file: Path) -> None:
    shell.run(f"%pgmonkey connect {config_file}")
    shell.run("from pgmonkey_magic.pools import cached_entries; import contextlib")
    shell.run("(entry,) = cached_entries().values(); pool = entry.connectable; stack = contextlib.ExitStack()")
    shell.run("held = stack.enter_context(pool)")
    # The interrupt comes when the block's body has ended and `__exit__` has not begun.
    assert isinstance(shell.error("conn = pool.__enter__(); raise KeyboardInterrupt"), KeyboardInterrupt)
    assert shell["conn"].closed
    assert shell["pool"].occupancy.in_use == 1, "the block of an earlier cell goes on"
    assert shell.run("held.execute('SELECT 1').fetchone()") == (1,)
    shell.run("stack.close()")
    assert shell["pool"].occupancy.in_use == 0
    shell.run("leases = [pool.borrow(timeout=5) for _ in range(3)]")
    shell.run("for lease in leases: pool.give_back(lease)")


def test_the_query_of_a_killed_kernel_ends_at_the_server(kernel: Kernel, server: Server, config_file: Path) -> None:
    name = "kernel-mid-query"
    config_file.write_text(
        config_file.read_text().replace("connection_settings:", f"connection_settings:\n  application_name: {name}")
    )
    kernel.run(LOAD)
    kernel.run(f"%pgmonkey connect {config_file}")
    kernel.client.execute("%pgmonkey SELECT count(*) FROM generate_series(1, 100000000000)")
    active = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state = 'active'"
    until(lambda: server.query(active) == [(1,)])
    os.kill(kernel.pid, signal.SIGKILL)
    assert gone(server, name, 3)  # without client_connection_check_interval it counts on for minutes


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_no_backend_outlives_its_kernel(
    kernel: Kernel, server: Server, tmp_path: Path, config_file: Path, end: str
) -> None:
    name = f"kernel-{end}"
    config_file.write_text(
        config_file.read_text().replace("connection_settings:", f"connection_settings:\n  application_name: {name}")
    )
    kernel.run(LOAD)
    assert "connected" in kernel.text(f"%pgmonkey connect {config_file}")
    kernel.run("%pgmonkey SELECT 1")
    assert server.backends(name) >= 1
    if end == "kill":
        os.kill(kernel.pid, signal.SIGKILL)
    else:
        kernel.client.shutdown()
    assert gone(server, name, 10)
