"""What each lesson is about, for somebody who meets pools for the first time, and what to try after it."""

from __future__ import annotations

from typing import NamedTuple


class Explained(NamedTuple):
    """One or two plain sentences, and one that says what to try next."""

    text: str
    next: str


EXPLAINED = {
    "reuse": Explained(
        "To open a connection the server starts a process, which takes much longer than a short query. A pool keeps "
        "connections open and lends them out; a process id (PID) that appears twice is a connection that came back.",
        "Press “a load” and run the preset “comfortable”: see how few connections serve hundreds of requests.",
    ),
    "queueing": Explained(
        "Requests come at random, so now and then all connections are taken and somebody waits, though most of the "
        "time some are idle. The busier a pool, the faster its waits grow; where they take off is called the knee.",
        "Press “a load”, run the preset “at the knee”, then with one connection more, and compare the p95 wait.",
    ),
    "exhaustion": Explained(
        "When every connection is lent out, the next request stands in a queue, and gives up when the pool's timeout "
        "is over. The error names who holds the connections, which is where to look first.",
        "Run the preset “overloaded” as a load and count the timeouts; then raise the timeout and run it again.",
    ),
    "growth": Explained(
        "A pool opens connections when they are asked for, up to max_size. Whoever asks first pays for the opening; "
        "min_size is what is kept open in advance.",
        "Run a load with min_size 0 and max_size 4, then with min_size 4 and the same seed, and compare the p95 wait.",
    ),
    "shrink": Explained(
        "An idle connection still is a process with memory on the server. A pool closes those that nobody has needed "
        "for max_idle seconds, down to min_size; a lower max_size closes idle ones at once, borrowed ones on return.",
        "Open %pgmonkey panel on a pool of yours and lower its max_size with %pgmonkey tune max_size=2.",
    ),
    "stale": Explained(
        "After a restart of the server the pool's connections are dead, though they look alive from here. A pool has "
        "to find that out and replace them, or each of the next borrowers gets an error.",
        "%pgmonkey check does for a pool of yours what this lesson shows, without waiting for the next borrow.",
    ),
    "leak": Explained(
        "A connection that is borrowed and never given back is lost to all others. From outside that looks like a pool "
        "that is too small, but a larger one only hides it for longer.",
        "See in %pgmonkey panel who holds a connection for long; then go on with the lesson idle-in-transaction.",
    ),
    "idle-in-transaction": Explained(
        "A transaction keeps its locks until it commits or rolls back, also while its program thinks about something "
        "else. Everybody who needs the same rows waits that long.",
        "Set idle_in_transaction_session_timeout for the role that your program uses, and commit before thinking.",
    ),
    "self-deadlock": Explained(
        "A thread that holds a connection and asks for a second one keeps the first while it waits; if all threads do, "
        "nobody ever gives back. With one connection more than such threads, one of them can always finish.",
        "Look in your code for a borrow inside a borrow, and hand the outer connection on instead.",
    ),
    "session-state": Explained(
        "SET, temporary tables, session locks and LISTEN live in the connection, not in the transaction. A pool must "
        "clean them away, or the next borrower works with somebody else's settings.",
        "Keep what must live longer than a borrow in the configuration file, where each new connection gets it.",
    ),
    "interrupt": Explained(
        "Stopping a program does not stop its query: the server works on until somebody tells it. An interrupt must "
        "cancel on the server and leave a connection that the next borrower can use.",
        "Run SELECT pg_sleep(60) in a cell and press the notebook's stop button; then look at %pgmonkey stats.",
    ),
    "too-big": Explained(
        "A server with few processors does not work faster when more connections ask at once: each statement only "
        "takes longer. A small pool with a queue in front is as fast and kinder to everybody else.",
        "%pgmonkey audit compares your pools with what the server has; run a load to see the waits at a size.",
    ),
}
