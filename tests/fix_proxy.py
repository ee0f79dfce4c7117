"""A TCP proxy on loopback before the test server's socket: it can cut the line at COMMIT, stall, and reset."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_server import Server

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: `close` sends RST, as a router does that has lost its state."""


class Proxy:
    """Passes bytes both ways. `cut` is None, `before` (COMMIT never arrives) or `after` (its answer never arrives).

    Between `stall` and `release` it takes everything, on old lines and new ones, and passes nothing on, not even the
    end of a line. As in a TCP stream with a hole, what comes after lost bytes stays lost; an idle line works on.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.cut: str | None = None
        self.stalled = False
        self.lines: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Swallow everything from now on, without closing anything."""
        self.stalled = True

    def release(self) -> None:
        """Pass on again what comes from now on."""
        self.stalled = False

    def reset(self) -> None:
        """Cut every line there is with a reset; new ones are served."""
        lines, self.lines = self.lines, []
        for line in lines:
            with contextlib.suppress(OSError):  # ended by itself
                if line.family == socket.AF_INET:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                line.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, which closes it

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self.upstream)
                except OSError:  # the server is down
                    client.close()
                    continue
                self.lines += [client, server]
                for source, target, from_client in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, target, from_client), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        lost = False
        with contextlib.suppress(OSError):  # the other direction has closed both
            while data := source.recv(65536):
                lost = lost or self.stalled
                if lost:
                    continue
                if from_client and self.cut and b"COMMIT" in data:
                    # The client's side first, so that the answer finds nobody.
                    cut, self.cut = self.cut, None
                    source.shutdown(socket.SHUT_RDWR)
                    if cut == "after":
                        target.sendall(data)
                    break
                target.sendall(data)
        if source not in self.lines:
            source.close()  # reset
            return
        if lost or self.stalled:
            return  # `close` ends the line
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR if end is source else socket.SHUT_WR)

    def close(self) -> None:
        """End every line."""
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
