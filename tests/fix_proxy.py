"""A TCP proxy on loopback before the test server's socket, which can be told to cut the line at COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_server import Server


class Proxy:
    """Passes bytes both ways. `cut` is None, `before` (COMMIT never arrives) or `after` (its answer never arrives)."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.cut: str | None = None
        self.lines: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.upstream)
                self.lines += [client, server]
                for source, target, from_client in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, target, from_client), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):  # the other direction has closed both
            while data := source.recv(65536):
                if from_client and self.cut and b"COMMIT" in data:
                    # The client's side first, so that the answer finds nobody.
                    cut, self.cut = self.cut, None
                    source.shutdown(socket.SHUT_RDWR)
                    if cut == "after":
                        target.sendall(data)
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR if end is source else socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # wakes `accept`
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):  # cut already
                line.shutdown(socket.SHUT_RDWR)
            line.close()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the test server, which must be on a Unix socket."""
    settings: dict[str, Any] = server.settings
    if not str(settings["host"]).startswith("/"):
        pytest.skip("needs the embedded server: unset PGMONKEY_TEST_DSN")
    proxy = Proxy(f"{settings['host']}/.s.PGSQL.{settings['port']}")
    yield proxy
    proxy.close()
