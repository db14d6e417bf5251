"""The problem of a block: its coefficients and boundary data, and an operator on one plane more on either side."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import weigh
from mgnet.pde.distributed.halo import Widened
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.window import Window, window
from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.coefficients import is_number, kind_of
from mgnet.pde.problem.data import boundary_pairs, of_ends
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.poisson import Poisson

NEAR = 1e-9  # of a period: no unknown lies so near an end, but on it
KINDS = "a number, an array of this process's block or a callable"


class SharedPoisson:
    """``Poisson`` on several processes: -div(a grad u) + c u = f, of which each has a block.

    Every process makes one, with its own block of whatever lies on the grid.

    Parameters
    ----------
    partition : of the grid
    a, c : as for ``Poisson``: numbers, callables, or arrays (*batch, *block); a may be a tuple with one per axis
    like : a tensor or array whose kind and dtype the operator has; default numpy float64

    Attributes
    ----------
    near : the block and a plane more on either side, where there is one
    A : the operator there; its rows of the block are those of the whole one
    scale : of A's conductances, which are in units of another mean width

    Raises
    ------
    ValueError : on every process, if one was given what it refuses, or if they were told differently

    Example
    -------
    >>> from mgnet.pde.distributed.testing import alone
    >>> with alone():
    ...     partition = Partition(Grid((8, 5)))
    ...     SharedPoisson(partition, a=np.ones(partition.shape)).A.k[0].shape
    torch.Size([9, 5])
    """

    mask = fixed = constant = None
    order = 2

    def __init__(self, partition: Partition, a: Any = None, c: Any = None, *, like: Any = None):
        self.partition, self.grid, self.kind = partition, partition.grid, kind_of(like)
        self.near = window(self.grid.axes[0], partition.ends, partition.rank, 1)
        entries = tuple(a) if isinstance(a, (tuple, list)) and not isinstance(a, Faces) else (a,)
        self._check(entries, c)
        self._a, self._c = tuple(self._around(v) for v in entries), self._around(c)
        fault = ""
        try:
            self._made()
        except (TypeError, ValueError) as error:
            fault = str(error)
        partition.agree({}, fault)

    def __repr__(self) -> str:
        return f"SharedPoisson({self.grid!r}, {self.partition.count} processes)"

    def having(self, a: Any = None, c: Any = None) -> "SharedPoisson":
        """The problem on the same blocks with other coefficients."""
        return SharedPoisson(self.partition, a, c, like=self.kind)

    def known(self, fixed: Any, like: Tensor) -> None:
        """Nothing is fixed."""
        if fixed is not None:
            raise ValueError("`fixed` gives values, but the problem has no fixed unknowns.")

    def right_hand_side(self, f: Tensor, boundary: Any) -> Tensor:
        """b of this process's block, (*batch, *block); boundary as for ``Poisson.rhs``, of whole ends."""
        b, dim = weigh(self.partition, f), -self.grid.ndim
        if boundary is None:
            return b
        pairs = [self._of_block(d, pair) for d, pair in enumerate(boundary_pairs(boundary, self.grid.ndim))]
        for datum in of_ends(self._poisson, pairs):
            b = b + self.scale * datum.to(b).narrow(dim, self.near.before, self.partition.shape[0])
        return b

    @cached_property
    def counted(self) -> list[Tensor]:
        """Per tensor of A which of its numbers, faces and unknowns, are this process's to count: a factor 1 or 0."""
        w, ndim = self.near, self.grid.ndim
        last = not w.periodic and w.high == w.n
        planes = torch.zeros(w.size + 1, dtype=torch.float64)
        planes[w.owned] = 1.0
        faces = planes.clone()
        faces[w.owned.stop] = float(last)
        each = [faces, *[planes[: w.size]] * (ndim - 1), *[planes[: w.size]] * (self.A.c is not None)]
        return [v.reshape(-1, *[1] * (ndim - 1)) for v in each]

    # The operator ----------------------------------------------------------------------------------------------------

    def _made(self) -> None:
        axes = (part_of(self.grid.axes[0], self.near), *self.grid.axes[1:])
        grid = Grid.of(axes)
        grid.geometry = self.grid.geometry
        a = self._a if len(self._a) > 1 or self.grid.ndim == 1 else self._a * self.grid.ndim
        self._poisson = Poisson(grid, a, self._c, like=self.kind)
        uniform = self.grid.axes[0].uniform
        self.scale = 1.0 if uniform else axes[0].h / self.grid.axes[0].h  # weights are in units of the mean width
        A = self._poisson.A
        assert isinstance(A, Diffusion)
        if self.scale != 1.0:
            A = A.having([self.scale * k for k in A.k], None if A.c is None else self.scale * A.c)
        self.A = A

    def _check(self, a: Sequence[Any], c: Any) -> None:
        """Agree on what came."""
        fault, block = "", self.partition.shape
        if not self.grid.has_numbers:
            fault = "`partition` takes Robin ends whose alpha is a number."
        elif len(a) not in (1, self.grid.ndim):
            fault = f"`a` as a tuple must have one entry per axis ({self.grid.ndim}); it has {len(a)}."
        for name, v in (*(("a", v) for v in a), ("c", c)):
            arrays = isinstance(v, (np.ndarray, Tensor))
            if not (v is None or is_number(v) or callable(v) or arrays):
                fault = fault or f"`{name}` on several processes must be {KINDS}; it is {type(v).__name__}."
            elif arrays and v.ndim and tuple(v.shape[-len(block) :]) != block:
                shape = tuple(v.shape)
                fault = fault or f"`{name}` must be this process's block, of shape (..., {block}); it has {shape}."
            elif isinstance(v, Tensor) and v.device.type != "cpu":
                fault = fault or f"`partition` takes tensors on the CPU; `{name}` is on {v.device}."
        said = {"grid": repr(self.grid), "a": str([_said(v, block) for v in a]), "c": _said(c, block)}
        self.partition.agree(said, fault)

    def _around(self, v: Any) -> Any:
        """A coefficient of the block and the planes beside it."""
        if callable(v):
            return _wrapped(v, self.grid.axes[0])
        if not isinstance(v, (np.ndarray, Tensor)) or v.ndim == 0:
            return v
        tensor = v if isinstance(v, Tensor) else torch.from_numpy(np.ascontiguousarray(v))
        wide: Tensor = Widened.apply(self.partition, self.near, -self.grid.ndim, tensor)
        return wide if isinstance(v, Tensor) else wide.numpy()

    def _of_block(self, d: int, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """What a pair of data on whole ends is on this block's."""
        low, high = pair
        if d > 0:
            return self._planes(low), self._planes(high)
        w = self.near
        first, last = not w.periodic and w.begin == 0, not w.periodic and w.end == w.n
        return low if first else None, high if last else None

    def _planes(self, g: Any) -> Any:
        """Data on an end that runs along the first axis."""
        if callable(g):
            return _wrapped(g, self.grid.axes[0])
        if not isinstance(g, (np.ndarray, Tensor)) or g.ndim == 0:
            return g
        dim = g.ndim + 1 - self.grid.ndim
        if g.shape[dim] != self.near.n:
            raise ValueError(f"`boundary` must be of whole ends, {self.near.n} planes; it has {tuple(g.shape)}.")
        there: tuple[Any, ...] = (*[slice(None)] * dim, self.near.planes)
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


def _wrapped(g: Callable[..., Any], axis: Axis) -> Callable[..., Any]:
    """g, whose first coordinate a window may have numbered on beyond the ends of a periodic axis."""
    if not axis.periodic:
        return g
    turn = axis.upper - axis.lower
    beside = NEAR * turn * (1 if axis.centering == "cell" else -1)  # cells have a face there, nodes none

    def wrapped(x: Any, *others: Any) -> Any:
        return g(x + turn * (1.0 * (x < axis.lower + beside) - 1.0 * (x > axis.upper + beside)), *others)

    return wrapped


def _said(v: Any, block: Sequence[int]) -> str:
    """A coefficient, as processes compare it."""
    if not isinstance(v, (np.ndarray, Tensor)):
        return "a callable" if callable(v) else str(v)
    graph = isinstance(v, Tensor) and v.requires_grad
    batch = tuple(v.shape[: max(v.ndim - len(block), 0)])
    what = "a scalar" if v.ndim == 0 else f"an array, a batch of {batch}"
    return f"{what}, {str(v.dtype).removeprefix('torch.')}{', with a gradient' * graph}"
