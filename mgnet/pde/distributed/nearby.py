"""From what a user gives of a block to what lies on it and on the planes beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.channel import kinds
from mgnet.pde.distributed.halo import Widened
from mgnet.pde.distributed.moves import check_shared, each_entry, same, tensor_of
from mgnet.pde.distributed.partition import BOTH, HOST, Partition
from mgnet.pde.distributed.window import Window
from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.checks import Place, as_tensor
from mgnet.pde.problem.coefficients import Kind
from mgnet.pde.problem.ends import Robin
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.grid import Grid

NEAR = 1e-9  # of a period: no unknown lies so near an end, but on it
ARRAYS = (np.ndarray, Tensor)


def described(partition: Partition, given: dict[str, Any], **words: Any) -> dict[str, str]:
    """What processes are to be given alike, as ``Partition.agreed`` takes it."""
    said = {"grid": repr(partition.grid)} | {name: _said(v, partition.grid.ndim) for name, v in given.items()}
    return said | {name: str(word) for name, word in words.items()}


def around(partition: Partition, w: Window, v: Any, name: str) -> Any:
    """v, which ``check_block`` has looked at, on a window; sequences and ``Faces`` entry by entry."""
    if isinstance(v, (tuple, list)):
        return each_entry(v, lambda entry: around(partition, w, entry, name))
    if isinstance(v, Faces):
        return Faces(*(_faces_around(partition, w, entry, d, name) for d, entry in enumerate(v.values)))
    if callable(v):
        return _wrapped(v, partition.grid.axes[0])
    if not isinstance(v, ARRAYS) or v.ndim == 0:
        return v
    wide = _wide(partition, w, tensor_of(name, v))
    return wide if isinstance(v, Tensor) else wide.numpy()


def block_of(partition: Partition, v: Any) -> Any:
    """This process's part of what is given on the whole grid."""
    if isinstance(v, (tuple, list)):
        return tuple(block_of(partition, entry) for entry in v)
    if isinstance(v, Faces):
        each = (_faces_of_block(partition, entry, d) for d, entry in enumerate(v.values))
        return Faces(*each)
    return partition.scatter(v) if isinstance(v, ARRAYS) and v.ndim else v


def _faces_of_block(partition: Partition, v: Any, d: int) -> Any:
    if not isinstance(v, ARRAYS) or v.ndim == 0:
        return v
    there: Any = (..., *(slice(s.start, s.stop + (e == d)) for e, s in enumerate(partition.slices)))
    return v[there]


def _wide(partition: Partition, w: Window, tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.bool:
        return Widened.apply(partition, w, -partition.grid.ndim, tensor)
    return Widened.apply(partition, w, -partition.grid.ndim, tensor.to(torch.uint8)).bool()


def _faces_around(partition: Partition, w: Window, v: Any, d: int, name: str) -> Any:
    """What is given on the faces of axis d; two blocks share one of the first axis, which is the upper block's."""
    if not isinstance(v, ARRAYS) or v.ndim == 0:
        return v
    if d > 0:
        return around(partition, w, v, name)
    tensor, n, dim = tensor_of(name, v), w.high - w.low, -partition.grid.ndim
    wide, last = _wide(partition, w, tensor.narrow(dim, 0, n).contiguous()), tensor.narrow(dim, n, 1)
    shared = wide.narrow(dim, w.before + n, 1) if w.after else last
    check_shared(partition, same(shared, last), name)
    beyond = wide.narrow(dim, w.size - 1, 1).detach() if w.after else last
    both = torch.cat([wide, beyond], dim)
    return both if isinstance(v, Tensor) else both.numpy()


def check_block(partition: Partition, name: str, v: Any, faces_of: int | None = None, scalar: bool = True) -> None:
    """Refuse what is not of this process's block; sequences and ``Faces`` entry by entry.

    scalar : whether arrays of no axes will do
    """
    if isinstance(v, (tuple, list)):
        for entry in v:
            check_block(partition, name, entry)
        return
    if isinstance(v, Faces):
        for d, entry in enumerate(v.values):
            check_block(partition, name, entry, d)
        return
    shape = tuple(n + (d == faces_of) for d, n in enumerate(partition.shape))
    of = "" if faces_of is None else f" = Faces on axis {faces_of}"
    if not isinstance(v, ARRAYS):
        return  # others have no block, and are looked at as on one process
    if not (scalar and v.ndim == 0) and tuple(v.shape[-len(shape) :]) != shape:
        raise ValueError(
            f"`{name}`{of} must be this process's block, of shape (..., {shape}); it has {tuple(v.shape)}."
        )
    check_reach(partition, name, v)
    tensor_of(name, v)


def check_reach(partition: Partition, name: str, v: Any) -> None:
    """Refuse a tensor that lies where no messages go."""
    device = v.device if isinstance(v, (Tensor, Kind)) else HOST
    remedy = f"pass {name}.cpu()" if isinstance(v, Tensor) else f"make `{name}` on the CPU"
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"`{name}` must lie on a CPU or a CUDA device; it is on {device}: {remedy}.")
    if device != HOST and partition.count > 1 and device.type not in kinds(partition.group):
        raise ValueError(
            f"`{name}` is on {device}, and `partition` has a group that exchanges nothing between GPUs. Begin with "
            f"{BOTH}, or {remedy}."
        )


def _said(v: Any, ndim: int) -> str:
    """What is given, as processes compare it."""
    if isinstance(v, (tuple, list)):
        return f"({', '.join(_said(entry, ndim) for entry in v)})"
    if isinstance(v, Faces):
        return f"Faces{_said(v.values, ndim)}"
    if not isinstance(v, ARRAYS):
        return "a callable" if callable(v) else str(v)
    graph = isinstance(v, Tensor) and v.requires_grad
    batch = tuple(v.shape[: max(v.ndim - ndim, 0)])
    what = "a scalar" if v.ndim == 0 else f"an array, a batch of {batch}"
    return f"{what}, {str(v.dtype).removeprefix('torch.')}{', with a gradient' * graph}"


# Ends --------------------------------------------------------------------------------------------------------------


def reached(w: Window) -> tuple[bool, bool]:
    """Whether a window reaches the ends of its axis."""
    return not w.periodic and w.begin == 0, not w.periodic and w.end == w.n


def elsewhere(data: Sequence[Any], ndim: int, like: Tensor) -> Tensor:
    """0, in whose graph and batch the arrays on ends of the first axis are, which not every process needs."""
    total = like.new_zeros(())
    for v in data:
        if isinstance(v, ARRAYS):
            batch = as_tensor(v).to(like).reshape(*v.shape[: max(v.ndim - ndim + 1, 0)], -1)
            nothing = torch.where(torch.zeros_like(batch, dtype=torch.bool), batch, 0.0).sum(-1)
            total = total + nothing.reshape(*nothing.shape, *[1] * ndim)
    return total


def place_of(grid: Grid, *begin: int) -> Place:
    """Of what begins there, along some axes."""
    every = (*begin, *[0] * (grid.ndim - len(begin)))
    return Place(every, tuple(axis.n if axis.periodic else None for axis in grid.axes))


def near_axes(grid: Grid, w: Window) -> tuple[Axis, ...]:
    """The grid's axes on a window."""
    first, *others = grid.axes

    def end(of: Any) -> Any:
        return Robin(planes_of_end(grid, w, of.alpha, "alpha")) if isinstance(of, Robin) and of.varies else of

    along = [axis if axis.has_numbers else replace(axis, low=end(axis.low), high=end(axis.high)) for axis in others]
    return (part_of(first, w), *along)


def planes_of_end(grid: Grid, w: Window, g: Any, name: str) -> Any:
    """Of data on an end that runs along the first axis those of a window."""
    if callable(g):
        return _wrapped(g, grid.axes[0])
    if not isinstance(g, ARRAYS) or g.ndim == 0:
        return g
    dim = g.ndim + 1 - grid.ndim
    if dim < 0 or g.shape[dim] != w.n:
        raise ValueError(f"`{name}` must be of whole ends, {w.n} planes; it has {tuple(g.shape)}.")
    there: Any = (*[slice(None)] * dim, w.planes)
    return g[there]


def part_of(axis: Axis, w: Window) -> Axis:
    """The planes of a window as an axis of their own; where it is cut, a value is held one unknown further on."""
    low = axis.low if w.begin == 0 and not axis.periodic else DIRICHLET
    high = axis.high if w.end == axis.n and not axis.periodic else DIRICHLET
    cell = axis.centering == "cell"
    if axis.points is None:
        before, after = (w.begin, w.end) if cell else (w.begin + axis.offset - 1, w.end + axis.offset)
        whole = not axis.periodic
        lower = axis.lower if w.begin == 0 and whole else axis.lower + before * axis.h
        upper = axis.upper if w.end == axis.n and whole else axis.lower + after * axis.h
        return replace(axis, n=w.size, low=low, high=high, lower=lower, upper=upper)
    points = np.array(axis.points)
    if axis.periodic:
        turn = axis.upper - axis.lower
        points = np.concatenate([points[:-1] - turn, points[:-1], points[:-1] + turn, points[:1] + 2 * turn])
    shift = (axis.n if axis.periodic else 0) + (not cell and axis.low == DIRICHLET)
    first, last = w.begin + shift, w.end + shift  # the place of the first unknown, and behind the last
    part = points[first : last + 1] if cell else points[first - (low == DIRICHLET) : last + (high == DIRICHLET)]
    return replace(
        axis, n=w.size, low=low, high=high, lower=float(part[0]), upper=float(part[-1]), points=tuple(part.tolist())
    )


@dataclass(frozen=True)
class _Wrapped:
    """g, whose first coordinate a window may have numbered on beyond the ends of a periodic axis."""

    g: Callable[..., Any]
    axis: Axis

    def __call__(self, x: Any, *others: Any) -> Any:
        axis = self.axis
        turn = axis.upper - axis.lower
        beside = NEAR * turn * (1 if axis.centering == "cell" else -1)  # cells have a face there, nodes none
        return self.g(x + turn * (1.0 * (x < axis.lower + beside) - 1.0 * (x > axis.upper + beside)), *others)


def _wrapped(g: Callable[..., Any], axis: Axis) -> Callable[..., Any]:
    return _Wrapped(g, axis) if axis.periodic else g
