"""From blocks of one shape to blocks of another: what each process has of another's goes there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.channel import meeting
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.problem.checks import BOOLEAN, as_tensor, dense, real
from mgnet.pde.problem.faces import Faces


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


def _moved(source: Partition, target: Partition, given: Tensor) -> Tensor:
    group, there = source.group, meeting(source.group, given.device) if source.count > 1 else given.device
    block = given.to(there)
    moved = block.new_empty((*block.shape[: block.ndim - source.grid.ndim], *target.shape))
    posted, arrived = [], []
    for rank in range(source.count):
        mine, theirs = _common(source, rank, target), _common(target, rank, source)
        if rank == source.rank:
            if mine is not None and theirs is not None:
                moved[theirs] = block[mine]
            continue
        peer = rank if group is None else dist.get_global_rank(group, rank)
        if mine is not None:
            posted.append(dist.P2POp(dist.isend, block[mine].contiguous(), peer, group))
        if theirs is not None:
            room = torch.empty_like(moved[theirs], memory_format=torch.contiguous_format)
            posted.append(dist.P2POp(dist.irecv, room, peer, group))
            arrived.append((theirs, room))
    for each in dist.batch_isend_irecv(posted) if posted else ():
        each.wait()
    for at, room in arrived:
        moved[at] = room
    return moved.to(given.device)


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


def in_rows(partition: Partition, v: Any, name: str) -> Any:
    """What is given on blocks, as ``partition.rows`` has it; sequences and ``Faces`` entry by entry."""
    if partition.in_rows:
        return v
    if isinstance(v, (tuple, list)):
        return each_entry(v, lambda entry: in_rows(partition, entry, name))
    if isinstance(v, Faces):
        return Faces(*(_faces_in_rows(partition, entry, d, name) for d, entry in enumerate(v.values)))
    if not isinstance(v, (np.ndarray, Tensor)) or v.ndim == 0:
        return v
    tensor = tensor_of(name, v)
    numbers = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
    rows = moved(partition, partition.rows, numbers).to(tensor.dtype)
    return rows if isinstance(v, Tensor) else rows.numpy()


def _faces_in_rows(partition: Partition, v: Any, d: int, name: str) -> Any:
    """What is given on the faces of axis d: those below the unknowns and those above them are moved as these are."""
    if not isinstance(v, (np.ndarray, Tensor)) or v.ndim == 0:
        return v
    dim, tensor = d - partition.grid.ndim, tensor_of(name, v)
    below, above = (
        moved(partition, partition.rows, tensor.narrow(dim, at, partition.shape[d]).contiguous()) for at in (0, 1)
    )
    n = below.shape[dim]
    check_shared(partition, same(below.narrow(dim, 1, n - 1), above.narrow(dim, 0, n - 1)), name)
    both = torch.cat([below, above.narrow(dim, n - 1, 1)], dim)
    return both if isinstance(v, Tensor) else both.numpy()


def each_entry(v: Any, of: Callable[[Any], Any]) -> Any:
    """A tuple or a list of what comes of each entry."""
    entries = [of(entry) for entry in v]
    return entries if isinstance(v, list) else tuple(entries)


def same(v: Tensor, w: Tensor) -> bool:
    """Whether numbers are, NaN among them."""
    return bool(torch.isclose(v, w, rtol=0, atol=0, equal_nan=True).all())


def check_shared(partition: Partition, same: bool, name: str) -> None:
    """Refuse, on every process, values that differ on a face that two blocks share."""
    if partition.most(float(not same)):
        raise ValueError(f"`{name}` = Faces must be the same on both blocks on the face that they share.")


def tensor_of(name: str, v: np.ndarray | Tensor) -> Tensor:
    """An array of real numbers or booleans as a tensor."""
    dense(name, v)
    return as_tensor(v) if v.dtype in BOOLEAN else real(name, v)
