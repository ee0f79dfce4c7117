"""A private server for tests: made, stopped, restarted, and reached with and without a password."""

import os
import socket
import sys
from pathlib import Path

import psycopg
import pytest

if sys.platform == "win32":
    pytest.skip("the demo needs Linux or macOS", allow_module_level=True)

from pgmonkey_magic.demo.cluster import Cluster
from pgmonkey_magic.demo.supervisor import end_orphan
from pgmonkey_magic.errors import DemoError


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def show(conninfo: str, setting: str) -> str:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(f"SHOW {setting}").fetchone()[0]


def test_a_cluster_lives_as_long_as_its_block():
    with Cluster(tcp_port=free_port(), password="it's secret", settings={"max_connections": 12}) as cluster:
        base, pid = cluster.base, cluster.pid
        assert show(cluster.conninfo, "max_connections") == "12"
        assert show(cluster.tcp_conninfo, "password_encryption") == "scram-sha-256"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(cluster.tcp_conninfo, password="wrong")
        with psycopg.connect(cluster.conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        cluster.settings["max_connections"] = 20
        cluster.restart("immediate")
        assert cluster.pid != pid
        with psycopg.connect(cluster.conninfo) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
        assert show(cluster.conninfo, "max_connections") == "20"
        if (child := os.fork()) == 0:
            cluster.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert cluster.running
        cluster.stop()
        assert not cluster.running
        with pytest.raises(DemoError, match="not running"):
            _ = cluster.pid
        assert "database system is shut down" in cluster.log
    assert not base.exists()


def test_a_server_that_does_not_come_up_says_why():
    cluster = Cluster(settings={"max_connections": "many"})
    with pytest.raises(DemoError, match='invalid value for parameter "max_connections": "many"'):
        cluster.start()
    cluster.close()
    assert not cluster.base.exists()


def test_an_orphan_that_answers_on_the_private_socket_is_ended():
    with Cluster() as cluster:
        server = cluster._server
        assert server is not None
        end_orphan(Path(cluster.socket_dir))
        server.wait(5)
        end_orphan(Path(cluster.socket_dir))
