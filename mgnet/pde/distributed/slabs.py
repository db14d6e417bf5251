"""Data of a block where they lie in the caller's memory, and the planes around them apart: nothing large is copied."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.halo import trade
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.window import Window
from mgnet.pde.native import four

ROOM = 64  # numbers behind an array, which kernels may read


class Slabs(NamedTuple):
    """A window's planes one behind the other; the last ones of the block are those of ``after``.

    before, block, after : (batch, planes, n1, n2)
    """

    before: np.ndarray
    block: np.ndarray
    after: np.ndarray

    def put(self, window: np.ndarray) -> np.ndarray:
        """All of them into one array."""
        begin, end = self.before.shape[1], window.shape[1] - self.after.shape[1]
        window[:, :begin], window[:, end:] = self.before, self.after
        window[:, begin:end] = self.block[:, : end - begin]
        return window


def slabs(partition: Partition, w: Window, b: Tensor) -> Slabs:
    """A block (batch, *block) and its neighbours' planes, for a window along the first axis."""
    block = b.contiguous().numpy().reshape(len(b), *four(b.shape[1:]))
    before, after = _planes(block, w.before), _planes(block, w.halo + w.after)
    to_before, to_after = w.given
    n = block.shape[1]
    after[:, : w.halo] = block[:, n - w.halo :]
    out = block[:, :to_before] if w.before else None, block[:, n - to_after :] if w.after else None
    rooms = before if w.before else None, after[:, w.halo :] if w.after else None
    trade(partition, 0, *([None if v is None else torch.from_numpy(v) for v in pair] for pair in (out, rooms)))
    return Slabs(before, block, after)


def _planes(like: np.ndarray, count: int) -> np.ndarray:
    shape: Sequence[int] = (len(like), count, *like.shape[2:])
    size = int(np.prod(shape))
    return np.zeros(size + ROOM, like.dtype)[:size].reshape(shape)
