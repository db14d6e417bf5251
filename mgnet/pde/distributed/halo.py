"""What goes from process to process: the planes around a block, there and back."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mgnet.pde.distributed.channel import Pair
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.window import Window


def exchange(partition: Partition, w: Window, v: Tensor, dim: int = 1, axis: int = 0) -> Tensor:
    """v, on a window, its halo along one axis of the grid filled by the neighbours, in place; dim : where v has it."""
    v_, begin, end = v.detach(), w.before, w.before + w.high - w.low
    to_before, to_after = w.given
    out = v_.narrow(dim, begin, to_before), v_.narrow(dim, end - to_after, to_after)
    rooms = v_.narrow(dim, 0, begin) if begin else None, v_.narrow(dim, end, w.after) if w.after else None
    trade(partition, axis, [None if room is None else part for part, room in zip(out, rooms, strict=True)], rooms)
    return v


def exchange_all(partition: Partition, windows: Sequence[Window], v: Tensor) -> Tensor:
    """v, (batch, *windows), its halo along each axis filled in place.

    One axis after the other: what goes along the second has the halo of the first, so corners come along.
    """
    for axis, w in enumerate(windows):
        if not w.whole:
            exchange(partition, w, v, 1 + axis, axis)
    return v


def widened(partition: Partition, w: Window, block: Tensor, dim: int) -> Tensor:
    """A block in its window, halo and all; ``dim`` counted from the last axis."""
    v = block.new_zeros([w.size if d == block.ndim + dim else n for d, n in enumerate(block.shape)])
    v.narrow(dim, w.before, w.high - w.low).copy_(block)
    return exchange(partition, w, v, v.ndim + dim)


def trade(partition: Partition, axis: int, out: Pair, rooms: Pair) -> None:
    """Send to the process before along an axis and to the one after, and receive from both; None: there is none."""
    into = [r if r is None or r.is_contiguous() else r.new_empty(r.shape) for r in rooms]
    _swap(partition, axis, [None if part is None else part.contiguous() for part in out], into)
    for room, arrived in zip(rooms, into, strict=True):
        if room is not None and arrived is not None and arrived is not room:
            room.copy_(arrived)


def _swap(partition: Partition, axis: int, out: Pair, into: Pair) -> None:
    """The same of tensors that lie in one piece."""
    if partition.count == 1:  # a period closes on itself
        for block, room in zip(out[::-1], into, strict=True):
            if block is not None and room is not None:
                room.copy_(block)
        return
    device = next((v.device for v in (*out, *into) if v is not None), torch.device("cpu"))
    partition.channel(device).swap(axis, partition.beside[axis], out, into)


class Widened(torch.autograd.Function):
    """``widened`` on a graph: what depends on the neighbours' planes goes back to them.

    Every process has the same nodes in its graph, and runs them in the same order.
    """

    @staticmethod
    def forward(ctx: Any, partition: Partition, w: Window, dim: int, block: Tensor) -> Tensor:
        ctx.of = partition, w, dim
        return widened(partition, w, block.detach(), dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return None, None, None, Folded.apply(*ctx.of, gradients[0])


class Folded(torch.autograd.Function):
    """The transpose: a block, and what the neighbours have in their halos of it."""

    @staticmethod
    def forward(ctx: Any, partition: Partition, w: Window, dim: int, v: Tensor) -> Tensor:
        ctx.of = partition, w, dim
        v = v.detach()
        owned = v.narrow(dim, w.before, w.high - w.low).clone()
        out = [v.narrow(dim, 0, w.before).contiguous() if w.before else None]
        out.append(v.narrow(dim, v.shape[dim] - w.after, w.after).contiguous() if w.after else None)
        counts = [count if there else 0 for count, there in zip(w.given, (w.before, w.after), strict=True)]
        into = [v.new_empty(owned.narrow(dim, 0, count).shape) if count else None for count in counts]
        _swap(partition, 0, out, into)
        for at, part in zip((0, owned.shape[dim] - counts[1]), into, strict=True):
            if part is not None:
                owned.narrow(dim, at, part.shape[dim]).add_(part)
        return owned

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return None, None, None, Widened.apply(*ctx.of, gradients[0])
