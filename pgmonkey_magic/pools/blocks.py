"""Which borrow belongs to which `with` block.

A pool is one object for all of its borrowers, so at the end of a block somebody must say which connection it was. That
is the frame that runs the block: it stays the same where a generator's block begins in one thread or task and ends in
another, as the dependencies of a web framework do. Only a block that another function enters and leaves for somebody,
such as ExitStack, has no frame of its own; for that the pools remember what each thread and task has borrowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from types import FrameType

    from pgmonkey_magic.pools.lease import Lease

L = TypeVar("L", bound="Lease[Any]")


class Blocks(Generic[L]):
    """The leases of the blocks that are open, by frame. Threads need no lock: no two run the same frame at once."""

    def __init__(self) -> None:
        self._innermost: dict[FrameType, Any] = {}

    def begin(self, frame: FrameType, lease: L) -> None:
        """Note that *frame* has entered a block with this lease."""
        lease.block, lease.outer = frame, self._innermost.get(frame)
        self._innermost[frame] = lease

    def innermost(self, frame: FrameType) -> L | None:
        """Return the lease of the innermost open block of *frame*."""
        return self._innermost.get(frame)

    def end(self, lease: L) -> None:
        """Note that the block of this lease has ended, however it did; more than once does no harm."""
        frame, lease.block = lease.block, None
        if frame is None:
            return
        inner = self._innermost.get(frame)
        if inner is lease:
            if lease.outer is None:
                del self._innermost[frame]
            else:
                self._innermost[frame] = lease.outer
            return
        while inner is not None:  # an outer block ends before an inner one only where leases are taken back
            if inner.outer is lease:
                inner.outer = lease.outer
            inner = inner.outer
