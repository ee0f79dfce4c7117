"""An embedded PostgreSQL with sample data, for learning and for tests: nothing to install, nothing left behind.

    binaries     whose PostgreSQL: the wheel's, else the system's
    account      as whom it runs: PostgreSQL refuses root
    places       where it lives: one private directory per user
    supervisor   a detached script that ends the server when its last user is gone
    cluster      one server: how it is made and run; `Cluster` is a child of this process, for tests
    locks        who uses it: three bytes of one lock file
    sample       the shop of `tutorial_db`
    server       `start_demo`: all of the above for this process
    course       what the teaching notebooks share

`cluster.Cluster` is a server of this process alone, for what one would not do to a shared one: restart it, fill it up.

It listens on a socket that only this user can reach, never on TCP, and so asks for no password.
"""

from __future__ import annotations

from pgmonkey_magic.demo.binaries import find_binaries
from pgmonkey_magic.demo.server import DemoServer, start_demo

__all__ = ["DemoServer", "find_binaries", "start_demo"]
