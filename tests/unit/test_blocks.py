"""Which lease belongs to which block, by frame; leases end in any order."""

import sys
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from pgmonkey_magic.pools.blocks import Blocks


def lease() -> Any:
    return SimpleNamespace(block=None, outer=None)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_nested_blocks_of_one_frame_end_in_any_order(order: tuple[int, ...]) -> None:
    blocks: Blocks[Any] = Blocks()
    frame = sys._getframe()
    nested = [lease() for _ in range(3)]
    for one in nested:
        blocks.begin(frame, one)
    still_open = list(nested)
    for number in order:
        blocks.end(nested[number])
        blocks.end(nested[number])
        still_open.remove(nested[number])
        assert blocks.innermost(frame) is (still_open[-1] if still_open else None)
    assert not blocks._innermost


def test_frames_do_not_know_each_other() -> None:
    blocks: Blocks[Any] = Blocks()

    def inner() -> Any:
        mine = lease()
        blocks.begin(sys._getframe(), mine)
        assert blocks.innermost(sys._getframe()) is mine
        return mine

    one, other = inner(), inner()
    assert blocks.innermost(sys._getframe()) is None
    blocks.end(one)
    blocks.end(other)
    assert not blocks._innermost
