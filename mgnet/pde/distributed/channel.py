"""How blocks and numbers go from process to process: by torch.distributed, or by memory that all of them share."""

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.one_machine import OneMachine, joined

Pair = Sequence[Tensor | None]  # for, or from, the process before and the one after; None: there is none


class Channel(Protocol):
    """Of a group of processes; every process calls its methods in the same order.

    least : unknowns of a grid that is worth sharing; every process solves a smaller one by itself
    """

    least: int

    def swap(self, out: Pair, into: Pair) -> None:
        """Contiguous blocks to both neighbours and from both, in place; beyond the last process is the first."""
        ...

    def everyones(self, v: Tensor) -> list[Tensor]:
        """v of each process, all of one shape and dtype."""
        ...


class Network:
    """By torch.distributed, whatever lies between the processes."""

    least = 2**17  # an exchange takes about 1.5 ms

    def __init__(self, group: Any, rank: int, count: int):
        self.group, self.rank, self.count = group, rank, count

    def swap(self, out: Pair, into: Pair) -> None:
        work = []
        for side, (block, room) in enumerate(zip(out, into, strict=True)):
            peer = self._peer((-1, 1)[side])
            if block is not None:
                work.append(dist.isend(block, peer, self.group, tag=side))
            if room is not None:
                work.append(dist.irecv(room, peer, self.group, tag=1 - side))
        for each in work:
            assert each is not None
            each.wait()

    def everyones(self, v: Tensor) -> list[Tensor]:
        each = [torch.empty_like(v) for _ in range(self.count)]
        dist.all_gather(each, v, group=self.group)
        return each

    def _peer(self, step: int) -> int:
        """The process so many blocks further, as torch.distributed numbers it."""
        rank = (self.rank + step) % self.count
        return rank if self.group is None else dist.get_global_rank(self.group, rank)


_channels: WeakKeyDictionary[Any, Channel] = WeakKeyDictionary()  # by group


def channel(group: Any) -> Channel:
    """Of the processes of a group, made when they first ask for it."""
    key = dist.group.WORLD if group is None else group
    if key not in _channels:
        rank, count = dist.get_rank(group), dist.get_world_size(group)
        memory = joined(group, rank, count)
        _channels[key] = Network(group, rank, count) if memory is None else OneMachine(memory, rank, count)
    return _channels[key]
