"""From blocks of one shape to blocks of another: what each process has of another's goes there."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.partition import Partition


class Moved(torch.autograd.Function):
    """A block (*batch, *block) of one partition of a grid as a block of another, of the same group."""

    @staticmethod
    def forward(ctx: Any, source: Partition, target: Partition, block: Tensor) -> Tensor:
        ctx.of = source, target
        return _moved(source, target, block.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        source, target = ctx.of
        return None, None, Moved.apply(target, source, gradients[0])


def _moved(source: Partition, target: Partition, block: Tensor) -> Tensor:
    batch, group, work = block.shape[: block.ndim - source.grid.ndim], source.group, []
    moved = block.new_empty((*batch, *target.shape))
    arrived = []
    for rank in range(source.count):
        given, taken = _common(source, rank, target), _common(target, rank, source)
        if rank == source.rank:
            if given is not None and taken is not None:
                moved[taken] = block[given]
            continue
        peer = rank if group is None else dist.get_global_rank(group, rank)
        if given is not None:
            work.append(dist.isend(block[given].contiguous(), peer, group))
        if taken is not None:
            room = torch.empty_like(moved[taken], memory_format=torch.contiguous_format)
            work.append(dist.irecv(room, peer, group))
            arrived.append((taken, room))
    for each in work:
        assert each is not None
        each.wait()
    for there, room in arrived:
        moved[there] = room
    return moved


def _common(mine: Partition, rank: int, others: Partition) -> tuple[Any, ...] | None:
    """What this process's block has of another's, as an index of this one's."""
    there = [
        slice(max(s.start, o.start) - s.start, min(s.stop, o.stop) - s.start)
        for s, o in zip(mine.slices, others.slices_of(rank), strict=True)
    ]
    return (..., *there) if all(s.start < s.stop for s in there) else None


def moved(source: Partition, target: Partition, block: Tensor) -> Tensor:
    """A block as the other partition has it, on a graph."""
    return block if source is target else Moved.apply(source, target, block)


def in_rows(partition: Partition, v: Any) -> Any:
    """What is given on blocks, as ``partition.rows`` has it; sequences entry by entry."""
    if partition.in_rows:
        return v
    if isinstance(v, (tuple, list)):
        return tuple(in_rows(partition, entry) for entry in v)
    if not isinstance(v, (np.ndarray, Tensor)) or v.ndim == 0:
        return v
    tensor = v if isinstance(v, Tensor) else torch.from_numpy(np.ascontiguousarray(v))
    numbers = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
    rows = moved(partition, partition.rows, numbers).to(tensor.dtype)
    return rows if isinstance(v, Tensor) else rows.numpy()
