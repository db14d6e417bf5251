"""How blocks and numbers go from process to process: by torch.distributed, or by memory that all of them share."""

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.distributed as dist

from mgnet.pde.distributed.one_machine import OneMachine, joined

Pair = Sequence[np.ndarray | None]  # for, or from, the process before and the one after; None: there is none


class Channel(Protocol):
    """Of a group of processes; every process calls its methods in the same order.

    least : unknowns of a grid that is worth sharing; every process solves a smaller one by itself
    """

    least: int

    def swap(self, axis: int, peers: tuple[int, int], out: Pair, into: Pair) -> None:
        """Contiguous blocks to both neighbours along an axis and from both, in place; peers : which these are."""
        ...

    def everyones(self, v: np.ndarray) -> list[np.ndarray]:
        """v of each process, all of one shape and dtype."""
        ...


class Network:
    """By torch.distributed, whatever lies between the processes."""

    least = 2**17  # an exchange takes about 1.5 ms

    def __init__(self, group: Any, count: int):
        self.group, self.count = group, count

    def swap(self, axis: int, peers: tuple[int, int], out: Pair, into: Pair) -> None:
        work = []
        for side, (peer, block, room) in enumerate(zip(map(self._global, peers), out, into, strict=True)):
            if block is not None:
                work.append(dist.isend(torch.from_numpy(block), peer, self.group, tag=side))
            if room is not None:
                work.append(dist.irecv(torch.from_numpy(room), peer, self.group, tag=1 - side))
        for each in work:
            assert each is not None
            each.wait()

    def everyones(self, v: np.ndarray) -> list[np.ndarray]:
        each = [np.empty_like(v) for _ in range(self.count)]
        dist.all_gather([torch.from_numpy(room) for room in each], torch.from_numpy(v), group=self.group)
        return each

    def _global(self, rank: int) -> int:
        """A process as torch.distributed numbers it."""
        return rank if self.group is None else dist.get_global_rank(self.group, rank)


_channels: WeakKeyDictionary[Any, Channel] = WeakKeyDictionary()  # by group


def channel(group: Any) -> Channel:
    """Of the processes of a group, made when they first ask for it."""
    key = dist.group.WORLD if group is None else group
    if key not in _channels:
        rank, count = dist.get_rank(group), dist.get_world_size(group)
        memory = joined(group, rank, count)
        _channels[key] = Network(group, count) if memory is None else OneMachine(memory, rank, count)
    return _channels[key]
