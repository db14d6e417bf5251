"""Full symmetric tensors: from what a user may give to conductances on faces and corners; see ``cross``.

With rho = a_de / sqrt(a_dd a_ee), and H the harmonic mean of a on the two faces of an axis that meet at a corner,

    s = rho sqrt(H(a_dd) H(a_ee)) / (2 h_d h_e):

where |rho| < 1 the energy around a corner is positive, whatever a does from face to face. Beside a cell-centred
Neumann end of axis e it is the flux n . a grad u that is given, not the difference across the half cell; what that
leaves of the other fluxes, in half of a cell, is a_cd - a_ce a_de / a_ee, and a_de / a_ee of the datum:

    a_dd <- a_dd (1 - rho_de^2 / 2),      rho_cd <- rho_cd - rho_ce rho_de / 2.

Beside a cell-centred Dirichlet end the half cell's difference along the end is that of its unknowns, u alone and not
the mean of u and the datum: s is twice as large. Node-centred ends need nothing: n . a grad u is what is natural there.

Beside the cut of a mask through which nothing flows it is as beside a cell-centred Neumann end: there are no corners,
and a face loses half of rho^2 for each that it has not. Where the cut holds u, the unknowns outside are known, and so
are the corners; what lies outside of the tensor is not looked at.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.conductances import corners
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.checks import Place, as_tensor, finite, looked_at
from mgnet.pde.problem.coefficients import (
    Kind,
    array,
    check,
    harmonic,
    is_number,
    on_faces,
    plain_array,
    plain_conductance,
)
from mgnet.pde.problem.conductances import at_end, conductance
from mgnet.pde.problem.cross import CrossDiffusion, pairs
from mgnet.pde.problem.ends import DIRICHLET, Robin
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import beside
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.plain import transformed, values


def full_tensor(
    a: Any, grid: Grid, kind: Kind, mask: Tensor | None = None, held: bool = True
) -> tuple[Any, "FullTensor | None"]:
    """(the diagonal, the whole) of rows of entries; of all else (a, None), and (the diagonal, None) of a diagonal."""
    if not (isinstance(a, (tuple, list)) and len(a) > 0 and all(isinstance(row, (tuple, list)) for row in a)):
        return a, None
    tensor = FullTensor(a, grid, kind, mask, held)
    diagonal = tuple(tensor.entries[d, d] for d in range(grid.ndim))
    if all(is_number(v) and v == 0 for (d, e), v in tensor.entries.items() if d != e):
        return diagonal, None
    return diagonal, tensor


class FullTensor:
    """An ``a`` of entries a[d][e] = a[e][d], each a number, an array at the unknowns or a callable.

    Parameters
    ----------
    mask : what lies outside is not looked at;   held : whether its cut holds u

    Attributes
    ----------
    entries : {(d, e): a[d][e]} for d <= e
    """

    def __init__(
        self, a: Sequence[Sequence[Any]], grid: Grid, kind: Kind, mask: Tensor | None = None, held: bool = True
    ):
        n = grid.ndim
        if len(a) != n or any(len(row) != n for row in a):
            raise ValueError(f"`a` as a full tensor must have {n} rows of {n} entries on this grid; it is {a!r:.80}.")
        self.grid, self.kind, self.mask, self.held = grid, kind, mask, held
        self.entries = {(d, e): _symmetric(a[d][e], a[e][d], d, e, mask) for d in range(n) for e in range(d, n)}

    def operator(self, alphas: Sequence[Sequence[Tensor | None]]) -> CrossDiffusion:
        """-div(a grad u); alphas : per axis those of its Robin ends that are no numbers.

        Raises
        ------
        ValueError : where the tensor is not positive definite, and where there is none: ends and coordinates
        """
        self._check_grid()
        axes, n = self.grid.axes, self.grid.ndim
        plain = self._of_plain()
        if plain is not None:
            return plain
        a = [self._on_faces(d) for d in range(n)]
        self._check_definite()
        k = [conductance(axes, a[d], d, alphas[d])[0] * (1 - self._given(d, d)) for d in range(n)]
        if self._leaves_corners:
            k = [k[d] * (1 - self._beside_cut(d, 1 - d)) for d in range(n)]
        return CrossDiffusion(Diffusion(axes, tuple(k), None), tuple(self._corners(a, *pair) for pair in pairs(n)))

    def _of_plain(self) -> CrossDiffusion | None:
        """``operator`` of entries of plain numbers at the unknowns, in a pass; None: look at them more closely."""
        grid, kind, axes = self.grid, self.kind, self.grid.axes
        free = any(end != DIRICHLET for pair in grid.bc for end in pair) and grid.centering == "cell"
        if free or grid.ndim == 1 or not grid.uniform or kind.device.type != "cpu" or self.mask is not None:
            return None
        found = [None if callable(v) else plain_array(v, grid, kind) for v in self.entries.values()]
        a = [v for v in found if v is not None and v.ndim == grid.ndim]
        if len(a) < len(found):
            return None
        each = (plain_conductance(self.entries[d, d], grid, d, kind) for d in range(grid.ndim))
        k = tuple(v for v in each if v is not None)
        s = corners(a, axes) if len(k) == grid.ndim else None
        return None if s is None else CrossDiffusion(Diffusion(axes, k, None), s)

    def _check_grid(self) -> None:
        if self._leaves_corners and self.grid.ndim == 3:
            raise ValueError(
                '`a` as a full tensor needs a mask that holds u in space; `mask_bc` is "neumann". Pass "dirichlet".'
            )
        if not self.grid.cartesian:
            raise ValueError(f"`a` as a full tensor needs Cartesian coordinates; `grid` is {self.grid.geometry}.")
        for d, pair in enumerate(self.grid.bc):
            for end in pair:
                if self.grid.centering == "cell" and isinstance(end, Robin) and end.holds:
                    raise ValueError(
                        f"`a` as a full tensor needs nodes at Robin ends; axis {d} of this cell-centred grid has "
                        f'{end}. Pass centering="node".'
                    )

    @property
    def _leaves_corners(self) -> bool:
        """Whether nothing flows through the cut of a mask, so that no corner beside an unknown outside has energy."""
        return self.mask is not None and not self.held

    def _around(self, pair: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """(any, all) of the four unknowns around each corner of two axes lie inside."""
        assert self.mask is not None
        some = every = values(self.mask)
        for f in pair:
            axis, dim = self.grid.axes[f], f - self.grid.ndim
            some, every = (
                op(*beside(v, axis, dim)) for op, v in ((torch.bitwise_or, some), (torch.bitwise_and, every))
            )
        return some, every

    def _beside_cut(self, d: int, e: int) -> Tensor:
        """What a face of axis d loses of its energy to the corners that it has not: half of rho^2 for each.

        There the flux along axis e is 0, as beside the cell-centred Neumann end of a box. A node on a free end of e
        has corners on one side only.
        """
        pair, axis, dim = (min(d, e), max(d, e)), self.grid.axes[e], e - self.grid.ndim
        lost = torch.where(self._around(pair)[1], 0.0, self._rho(*pair, pair) ** 2 / 2)
        below, above = lost.narrow(dim, 0, axis.n).clone(), lost.narrow(dim, 1, axis.n).clone()
        if self.grid.centering == "node" and not axis.periodic:
            for side, v, other, at in ((axis.low, above, below, 0), (axis.high, below, above, axis.n - 1)):
                if side != DIRICHLET:
                    v.narrow(dim, at, 1).mul_(2)
                    other.narrow(dim, at, 1).zero_()
        return below + above

    def _check_definite(self) -> None:
        """Refuse a tensor that is not positive definite at an unknown, or at a corner where callables have values."""
        n, x = self.grid.ndim, [axis.x for axis in self.grid.axes]
        rho = {pair: self._rho(*pair, ()) for pair in pairs(n)}
        minor = 1 - torch.stack(torch.broadcast_tensors(*(v**2 for v in rho.values()))).amax(0)
        if n == 3:
            det = 1 + 2 * rho[0, 1] * rho[0, 2] * rho[1, 2] - sum(v**2 for v in rho.values())
            minor = torch.minimum(minor, det)
        _look_definite(minor if self.mask is None else torch.where(self.mask, minor, 1.0), x, self.grid.place)
        for pair in pairs(n) if any(callable(v) for v in self.entries.values()) else ():
            faces = [axis.faces if d in pair else axis.x for d, axis in enumerate(self.grid.axes)]
            _look_definite(1 - self._rho(*pair, pair) ** 2, faces, self.grid.place)

    def _on_faces(self, d: int) -> Tensor:
        """a[d][d] on the faces of axis d, in full along every axis."""
        axis = self.grid.axes[d]
        a = on_faces("a", self.entries[d, d], self.grid, d, self.kind, self.mask, self.held)
        a = check("a", a, positive=True, h=axis.h, place=self.grid.place)
        return a.expand(np.broadcast_shapes(a.shape, [m + (e == d) for e, m in enumerate(self.grid.shape)]))

    def at(self, d: int, e: int, on: Sequence[int]) -> Tensor:
        """a[d][e] at the unknowns, or on the faces of the axes ``on``; an array is averaged."""
        value, usual = self.entries[d, e], float(d == e)
        if callable(value):
            points = [axis.faces if f in on else axis.x for f, axis in enumerate(self.grid.axes)]
            v = self.kind.evaluate("a", value, points)
            if self.mask is None:
                return v
            near = values(self.mask)
            for f in on:
                near = torch.bitwise_or(*beside(near, self.grid.axes[f], f - self.grid.ndim))
            return torch.where(near, v, usual)
        v = array("a", value, self.grid, self.kind)
        if v.ndim == 0:
            return v.reshape((1,) * self.grid.ndim)
        if self.mask is None:
            for f in on:
                left, right = beside(v, self.grid.axes[f], f - self.grid.ndim)
                v = (left + right) / 2
            return v
        v, w = torch.where(self.mask, v, 0.0), self.mask.to(v.dtype)
        for f in on:
            (v, v_1), (w, w_1) = (beside(t, self.grid.axes[f], f - self.grid.ndim) for t in (v, w))
            v, w = v + v_1, w + w_1
        return torch.where(w > 0, v / torch.where(w > 0, w, 1.0), usual)

    def _rho(self, d: int, e: int, on: Sequence[int]) -> Tensor:
        """a[d][e] / sqrt(a[d][d] a[e][e])."""
        return self.at(d, e, on) / (self.at(d, d, on).sqrt() * self.at(e, e, on).sqrt())

    def _given(self, c: int, d: int) -> Tensor | float:
        """sum_e rho_ce rho_de / 2 beside the cell-centred Neumann ends of other axes e, on the faces of c and d."""
        total: Tensor | float = 0.0
        for e, axis in enumerate(self.grid.axes):
            if e in (c, d) or self.grid.centering != "cell" or axis.periodic:
                continue
            on = (c, e) if c == d else (c, d, e)
            both = [self._rho(min(f, e), max(f, e), on) for f in (c, d)]
            for side, end in enumerate((axis.low, axis.high)):
                if end != DIRICHLET:
                    half = end_face(both[0] * both[1] / 2, e - self.grid.ndim, side)
                    total = total + at_end(half, self.grid.axes, e, side)
        return total

    def _corners(self, a: Sequence[Tensor], d: int, e: int) -> Tensor:
        """s of a pair of axes."""
        axes, n = self.grid.axes, self.grid.ndim
        means = [harmonic(a[f], axes[other], other - n, self._used(f)) for f, other in ((d, e), (e, d))]
        rho = self._rho(d, e, (d, e)) - self._given(d, e)
        s = rho * means[0].sqrt() * means[1].sqrt() / (2 * axes[d].h * axes[e].h)
        for f in (d, e):
            if not axes[f].periodic:  # no corner lies beyond other ends
                through = 2 if self.grid.centering == "cell" else 1
                held = [through * (end == DIRICHLET) for end in (axes[f].low, axes[f].high)]
                s = s * between_ends(held, axes[f], f - n).to(s)
        return torch.where(self._around((d, e))[1], s, 0.0) if self._leaves_corners else s

    def _used(self, d: int) -> Tensor | None:
        """The faces of axis d beside an unknown inside; None: all are."""
        if self.mask is None:
            return None
        return torch.bitwise_or(*beside(values(self.mask), self.grid.axes[d], d - self.grid.ndim))


def _symmetric(v: Any, w: Any, d: int, e: int, mask: Tensor | None) -> Any:
    """The entry that both are, inside of a mask; of tensors the mean, so that each has its gradient."""
    v, w = (0.0 if entry is None and d != e else 1.0 if entry is None else entry for entry in (v, w))
    same = v is w or (callable(v) and v == w)
    if not same and is_number(v) and is_number(w):
        same = v == w
    elif not same and all(isinstance(entry, (np.ndarray, Tensor)) for entry in (v, w)) and v.shape == w.shape:
        one, other = (as_tensor(entry) for entry in (v, w))
        same = transformed(one) or transformed(other) or _same(values(one), values(other), mask)
        v = (v + w) / 2 if same and isinstance(v, Tensor) and isinstance(w, Tensor) else v
    if not same:
        raise ValueError(
            f"`a` as a full tensor must be symmetric; a[{d}][{e}] is not a[{e}][{d}]. Pass the same number, array or "
            f"callable for both."
        )
    return v


def _same(v: Tensor, w: Tensor, mask: Tensor | None) -> bool:
    """Whether both are equal, inside of a mask."""
    return torch.equal(v, w) or (mask is not None and not bool(((v != w) & mask.to(v.device)).any()))


def _look_definite(minor: Tensor, points: Sequence[np.ndarray], place: Place) -> None:
    """Say where a leading minor, over the product of its diagonal, is not positive."""

    def look(data: Tensor) -> None:
        if (data > 0).all():
            return
        finite("a", data, "Clean the coefficient.", points)
        at = tuple(int(i) for i in (data <= 0).nonzero()[0])
        inner = at[len(at) - len(points) :]
        where, first = (
            ", ".join(f"{float(p[i]):.6g}" for p, i in zip(points, inner, strict=True)),
            place.first(data <= 0),
        )
        raise ValueError(
            f"`a` must be positive definite; it is not at {first}, the point ({where}): its determinant, or one of two "
            f"rows and columns, is {float(data[at]):.3g} times the product of the diagonal."
        )

    looked_at(minor, look)


def end_face(v: Tensor, dim: int, side: int) -> Tensor:
    """v, on the faces of an axis, at an end; what does not vary along it is as it is."""
    return v if v.shape[dim] == 1 else v.narrow(dim, (0, v.shape[dim] - 1)[side], 1)


def between_ends(ends: Sequence[int], axis: Axis, dim: int) -> Tensor:
    """(n + 1) ones along an axis, but at its ends."""
    v = torch.ones(axis.n + 1, dtype=torch.float64, device="cpu")
    v[0], v[-1] = float(ends[0]), float(ends[1])
    return v.reshape([-1] + [1] * (-1 - dim))
