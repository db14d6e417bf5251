"""Velocities, from what a user may give to what flows through faces; see ``convection``."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.conductances import flows
from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.checks import batches, finite, looked_at, word
from mgnet.pde.problem.coefficients import Kind, array, plain_array
from mgnet.pde.problem.conductances import areas, conductance, half_cell
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.faces import Faces, OnFaces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import beside
from mgnet.pde.problem.plain import ours

UPWIND, CENTRAL = SCHEMES = ("upwind", "central")


def velocity_of(velocity: Any, scheme: str, grid: Grid, kind: Kind, mask: Tensor | None) -> "Velocity | None":
    """What a user gives, if anything.

    Raises
    ------
    ValueError, TypeError : naming what it must be and what came
    """
    word("scheme", scheme, SCHEMES)
    return None if velocity is None else Velocity(velocity, scheme, grid, kind, mask)


class Velocity:
    """v on the faces of each axis.

    Parameters
    ----------
    velocity : one entry per axis, each a number, an array at the unknowns (a face gets the mean of its neighbours, an
        end the nearest), or a callable v(x, y, ...) evaluated on the faces; or ``Faces`` of them
    scheme : what flows through a face: "upwind" or "central"
    mask : what lies outside is not looked at; a face of the cut has what is inside
    """

    def __init__(self, velocity: Any, scheme: str, grid: Grid, kind: Kind, mask: Tensor | None = None):
        if isinstance(velocity, Faces):
            velocity = velocity.per_axis(grid, "velocity")
        elif not isinstance(velocity, (tuple, list)):
            raise TypeError(
                f"`velocity` must be a tuple with one entry per axis ({grid.ndim}); it is a {type(velocity).__name__}. "
                f"An array of components is tuple(velocity)."
            )
        if len(velocity) != grid.ndim:
            raise ValueError(f"`velocity` must have one entry per axis ({grid.ndim}); it has {len(velocity)}.")
        self.grid, self.scheme = grid, scheme
        self._kind, self._mask = kind, mask
        self._given = [ours(v) for v in velocity]
        self._plain = self._plain_arrays()
        if self._plain is None:
            self.faces  # noqa: B018  # which looks at them

    @cached_property
    def faces(self) -> tuple[Tensor, ...]:
        """Per axis v on its faces, (*batch, *grid with n_d + 1) or broadcastable to it."""
        faces = tuple(_on_faces(v, self.grid, d, self._kind, self._mask) for d, v in enumerate(self._given))
        for v in faces:
            batches(self.grid.ndim, "velocity", v, "its other entries", faces)
        return faces

    @property
    def is_plain(self) -> bool:
        """Whether it is made of plain numbers, on a grid whose faces are alike."""
        return self._plain is not None

    def _plain_arrays(self) -> list[np.ndarray] | None:
        """The same, at the unknowns or on the faces."""
        grid, kind = self.grid, self._kind
        if self._mask is not None or kind.device.type != "cpu" or not grid.regular:
            return None
        found = []
        for d, v in enumerate(self._given):
            array = plain_array(v, grid, kind, d)
            if array is None:
                return None
            found.append(array)
        if any(array.ndim > grid.ndim for array in found):
            for array in found:
                batches(grid.ndim, "velocity", array, "its other entries", found)
        return found

    def of_plain(self, k: Sequence[Tensor]) -> Convection | None:
        """``operator`` of conductances and a velocity of plain numbers, in a pass; None: look at them more closely."""
        assert self._plain is not None
        axes, pairs = self.grid.axes, []
        for d, (k_d, v) in enumerate(zip(k, self._plain, strict=True)):
            pair = None if k_d.ndim > len(axes) else flows(k_d.numpy(), v, axes[d], d, self.scheme == UPWIND)
            if pair is None:
                return None
            pairs.append(pair)
        return Convection(axes, tuple(back for back, _ in pairs), tuple(forth for _, forth in pairs), None)

    def operator(
        self, a: Sequence[Tensor], alphas: Sequence[Sequence[Tensor | None]]
    ) -> tuple[Convection, list[tuple[Tensor, Tensor] | None]]:
        """-div(a grad u) + v . grad u, and the weights of the data on each axis' ends.

        Parameters
        ----------
        a : per axis on its faces;   alphas : per axis those of its Robin ends that are no numbers
        """
        for v in self.faces:
            batches(self.grid.ndim, "velocity", v, "`a`", a)
        back, forth, betas = zip(*(self._along(d, a[d], alphas[d]) for d in range(self.grid.ndim)), strict=True)
        return Convection(self.grid.axes, back, forth, None), list(betas)

    def _along(
        self, d: int, a: Tensor, alphas: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """back, forth and the weights of the data of axis d."""
        axis, dim = self.grid.axes[d], d - self.grid.ndim
        k, betas = conductance(self.grid.axes, a, d, alphas)
        v = self.faces[d].to(k)
        q = v / axis.h if self.grid.cartesian else v * areas(self.grid.axes, d, v)
        if self.scheme == UPWIND:
            below, above = q.clamp(min=0), (-q).clamp(min=0)
        else:
            theta = torch.from_numpy(_nearness(axis)).to(q).reshape([-1] + [1] * (-1 - dim))
            below, above = (1 - theta) * q, -theta * q
        if axis.periodic:
            flows = torch.zeros_like(q) if axis.n == 1 else 1.0
            return k + below * flows, k + above * flows, betas
        ends = [self._end(d, side, k, betas[side], a) for side in (0, 1)]
        flow = [part.narrow(dim, side * axis.n, 1) for side, part in ((0, below), (1, above))]
        data = [beta + v * g for beta, v, (_, g) in zip(betas, flow, ends, strict=True)]
        if axis.low != DIRICHLET or axis.high != DIRICHLET:
            below, above = (v * _between(axis, dim, v, [u for u, _ in ends]) for v in (below, above))
        return k + below, k + above, (data[0], data[1])

    def _end(self, d: int, side: int, k: Tensor, beta: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """(r, t): u on the end differs by r u - t g from that of the unknown beside it, g the datum.

        At a node's own end it is that of the unknown. A cell's is eliminated from alpha u + a du/dn = g.
        """
        axis, dim = self.grid.axes[d], d - self.grid.ndim
        k, a = (v.narrow(dim, side * axis.n, 1) for v in (k, a))
        if (axis.low, axis.high)[side] == DIRICHLET:
            return torch.ones_like(k), torch.ones_like(k)
        if axis.centering == "node":
            return torch.zeros_like(k), torch.zeros_like(k)
        half = half_cell(self.grid.axes, d, side, a)
        there = half > 0  # but at walls, and where there is no area
        half = torch.where(there, half, 1.0)
        return torch.where(there, k / half, 0.0), torch.where(there, beta / half, 0.0)


def _on_faces(value: Any, grid: Grid, d: int, kind: Kind, mask: Tensor | None) -> Tensor:
    """One component of the velocity on the n_d + 1 faces of axis d."""
    axis, dim, points = grid.axes[d], d - grid.ndim, None
    name = f"velocity[{d}]"
    if callable(value):
        points = [e.faces if f == d else e.x for f, e in enumerate(grid.axes)]
        v = kind.evaluate(name, value, points)
    elif isinstance(value, OnFaces):
        v = looked_at(value.values("velocity", grid, d, kind), partial(_closed, axis=axis, d=d, dim=dim))
    else:
        v = array(name, value, grid, kind)
        if v.ndim == 0:
            v = v.expand([axis.n + 1 if e == d else 1 for e in range(grid.ndim)])
        else:
            v = _mean(v, axis, dim, mask)
    if mask is not None:
        batches(grid.ndim, name, v, "the `mask`", [mask])
        left, right = beside(mask, axis, dim)
        v = torch.where(left | right, v, 0.0)
    return looked_at(v, lambda data: finite(name, data, "Clean the velocity.", points, grid.place))


def _mean(v: Tensor, axis: Axis, dim: int, mask: Tensor | None) -> Tensor:
    """Of the values on both sides of each face, or that inside the mask."""
    left, right = beside(v, axis, dim)
    if mask is None:
        return (left + right) / 2
    first, second = beside(mask, axis, dim)
    return (torch.where(first, left, right) + torch.where(second, right, left)) / 2


def _closed(v: Tensor, axis: Axis, d: int, dim: int) -> None:
    """Refuse two values of the one face where a periodic axis closes."""
    if axis.periodic and not torch.equal(v.narrow(dim, 0, 1), v.narrow(dim, axis.n, 1)):
        raise ValueError(
            f"`velocity` = Faces must be the same on the first and the last face of axis {d}: they are one."
        )


def _nearness(axis: Axis) -> np.ndarray:
    """(n + 1) where between the two points beside it a face lies: 0 at the lower, 1 at the upper one, 0 of none."""
    edges, x = axis.edges, axis.x
    lower, upper = np.empty(axis.n + 1), np.empty(axis.n + 1)
    lower[1:], upper[:-1] = edges[1:] - x, x - edges[:-1]
    lower[0], upper[-1] = (lower[-1], upper[0]) if axis.periodic else (edges[0] - axis.lower, axis.upper - edges[-1])
    both = lower + upper
    return np.divide(lower, both, out=np.zeros_like(both), where=both > 1e-12 * axis.h)


def _between(axis: Axis, dim: int, like: Tensor, ends: Sequence[Tensor]) -> Tensor:
    """1 on the faces between unknowns, and the ``ends``."""
    shape = np.broadcast_shapes(*(v.shape for v in ends))
    low, high = (v.expand(shape) for v in ends)
    inner = list(shape)
    inner[dim] = axis.n - 1
    return torch.cat([low, like.new_ones(inner), high], dim=dim)
