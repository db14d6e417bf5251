"""The operator with convection: each face has two conductances, one for the equation on either side of it.

    (A u)_i = sum_d  cross_d [ back_{i-1/2} (u_i - u_{i-1}) + forth_{i+1/2} (u_i - u_{i+1}) ]  +  m u_i

With k the conductance of diffusion and q = v / h what flows through a face, u_f the u that flows there,

    (v . grad u)_i = q_{i+1/2} (u_f - u_i) - q_{i-1/2} (u_f - u_i):     the flux of v u less u div v, cell by cell,

    upwind    u_f on the side that q comes from     back = k + max(q, 0),       forth = k + max(-q, 0)
    central   u_f on the line between both          back = k + q / 2,           forth = k - q / 2

so A 1 is what c and the ends make of it, whatever div v is. A is not symmetric.

Source: Patankar 1980, Numerical Heat Transfer and Fluid Flow, chapter 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.members import batch_of
from mgnet.pde.problem.of_tensors import OfTensors
from mgnet.pde.problem.operators import Diffusion

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse

TAME = 6.0  # the sum over all axes of |back - forth| / (back + forth) of what levels are made of (measured)


@dataclass(frozen=True)
class Convection(OfTensors):
    """A: (*batch, *grid) -> (*batch, *grid), or its transpose.

    Parameters
    ----------
    axes : the grid
    back, forth : per axis those of its faces, (*batch, *grid with n_d + 1) or broadcastable to it; at an end the
        coupling to a zero ghost value, of that equation which there is
    c : (*batch, *grid) or broadcastable; None for zero
    transposed : whether this is A^T
    """

    axes: tuple[Axis, ...]
    back: tuple[Tensor, ...]
    forth: tuple[Tensor, ...]
    c: Tensor | None
    transposed: bool = False

    def __reduce__(self) -> tuple[type["Convection"], tuple[object, ...]]:
        """What copies and pickles hold: nothing of what was made of it."""
        return Convection, (self.axes, self.back, self.forth, self.c, self.transposed)

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @cached_property
    def k(self) -> tuple[Tensor, ...]:
        """The larger of both: 0 where nothing flows or diffuses."""
        return tuple(torch.maximum(back, forth) for back, forth in zip(self.back, self.forth, strict=True))

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def T(self) -> "Convection":
        return replace(self, transposed=not self.transposed)

    @cached_property
    def weights(self) -> Diffusion:
        """What weighs by the shares of a cell, and knows what lies beyond the ends."""
        return Diffusion(self.axes, self.back, None)

    def weigh(self, v: Tensor, but: int | None = None) -> Tensor:
        """v times the shares along every axis (but one)."""
        return self.weights.weigh(v, but)

    def _sides(self, d: int) -> tuple[Tensor, Tensor]:
        """back of the face below, and forth of that above, each unknown along axis d."""
        dim, n = d - self.ndim, self.axes[d].n
        return self.back[d].narrow(dim, 0, n), self.forth[d].narrow(dim, 1, n)

    def __call__(self, u: Tensor) -> Tensor:
        """A u: in differences of u, or of what flows."""
        out = torch.zeros_like(u) if self.c is None else self.weigh(self.c * u)
        for d, axis in enumerate(self.axes):
            dim, n, (back, forth) = d - self.ndim, axis.n, self._sides(d)
            if self.transposed:
                v = self.weigh(u, but=d)
                p, q = (self.weights.with_ghosts(k * v, d) for k in (back, forth))
                out = out - torch.diff(p, dim=dim).narrow(dim, 1, n) + torch.diff(q, dim=dim).narrow(dim, 0, n)
            else:
                differences = self.weights.face_differences(u, d)
                flows = back * differences.narrow(dim, 0, n) - forth * differences.narrow(dim, 1, n)
                out = out + self.weigh(flows, but=d)
        return out

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What A u may be differentiated by: back and forth of each axis, and c if there is one."""
        return (*self.back, *self.forth, *(() if self.c is None else (self.c,)))

    def made_of(self, tensors: Sequence[Tensor]) -> "Convection":
        """The operator with other ``tensors``."""
        n = self.ndim
        c = tensors[2 * n] if len(tensors) > 2 * n else None
        return replace(self, back=tuple(tensors[:n]), forth=tuple(tensors[n : 2 * n]), c=c)

    def derivative(self, k: int, v: Tensor, u: Tensor) -> Tensor:
        """d (-v^T A u) / d ``tensors[k]``, not yet summed to its shape."""
        v, u = (u, v) if self.transposed else (v, u)
        if k == 2 * self.ndim:
            return -self.weigh(v * u)
        d, forth = k % self.ndim, k >= self.ndim
        dim = d - self.ndim
        differences, w = self.weights.face_differences(u, d), self.weigh(v, but=d)
        zero = torch.zeros_like(w.narrow(dim, 0, 1))
        return differences * torch.cat([zero, w] if forth else [-w, zero], dim=dim)

    @property
    def corners(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Nothing couples unknowns across corners."""
        return ()

    @property
    def sides(self) -> list[tuple[Tensor, Tensor]]:
        """Per axis what its faces couple the unknowns above, and those below, to the others by."""
        return list(zip(self.back, self.forth, strict=True))

    def having_sides(self, sides: Sequence[tuple[Tensor, Tensor]], c: Tensor | None) -> "Convection":
        """The operator on the same grid with other ``sides`` and reaction."""
        return replace(self, back=tuple(s for s, _ in sides), forth=tuple(s for _, s in sides), c=c)

    def with_c(self, c: Tensor | None) -> "Convection":
        """The operator with another reaction."""
        return replace(self, c=c)

    @property
    def tameness(self) -> float:
        """|back - forth| / (back + forth) of what levels are made of, at most."""
        return TAME / self.ndim

    @property
    def tame(self) -> "Convection":
        """The operator that levels can be made of: where central differences meet cell Peclet numbers beyond twice
        ``tameness`` there is more diffusion, as much as makes them that. Upwind ones are tame: |q| <= back + forth.
        """
        pairs = [_tamed(back, forth, self.tameness) for back, forth in zip(self.back, self.forth, strict=True)]
        return replace(self, back=tuple(p for p, _ in pairs), forth=tuple(q for _, q in pairs))

    @property
    def is_tame(self) -> bool:
        """Whether it is so itself."""
        pairs = zip(self.back, self.forth, strict=True)
        return all(bool(((back - forth).abs() <= self.tameness * (back + forth)).all()) for back, forth in pairs)

    @cached_property
    def diagonal(self) -> Tensor:
        """The diagonal of A."""
        one = torch.ones([axis.n for axis in self.axes], device="cpu").to(self.back[0])
        total = torch.zeros_like(one) if self.c is None else self.weigh(self.c * one)
        for d in range(self.ndim):
            back, forth = self._sides(d)
            total = total + self.weigh((back + forth) * one, but=d)
        return total

    @cached_property
    def couplings(self) -> dict[tuple[int, ...], Tensor]:
        """s_o of unknown i's equation to i + o (wrapped), 0 where there is none: -s_o is an entry of the matrix."""
        one, found = torch.ones([axis.n for axis in self.axes], device="cpu").to(self.back[0]), {}
        for d, axis in enumerate(self.axes):
            dim, (back, forth) = d - self.ndim, (self.weigh(s * one, but=d) for s in self._sides(d))
            if not axis.periodic or axis.n == 1:
                back, forth = back.clone(), forth.clone()
                back.narrow(dim, 0, 1).zero_()
                forth.narrow(dim, axis.n - 1, 1).zero_()
            if self.transposed:
                back, forth = torch.roll(forth, 1, dim), torch.roll(back, -1, dim)
            for step, s in ((-1, back), (1, forth)):
                found[tuple(step * (e == d) for e in range(self.ndim))] = s
        return found

    @property
    def excess(self) -> Tensor:
        """A 1, what c and the ends add to the diagonal (of the transpose also what flows together)."""
        if self.transposed:
            return self(torch.ones([axis.n for axis in self.axes], device="cpu").to(self.back[0]))
        batch = batch_of(self.tensors, self.ndim)
        total = self.back[0].new_zeros((*batch, *(axis.n for axis in self.axes)))
        if self.c is not None:
            total += self.weigh(self.c)
        for d, axis in enumerate(self.axes):
            if not axis.periodic:
                for side, at in zip(self._sides(d), (0, axis.n - 1), strict=True):
                    total.narrow(d - self.ndim, at, 1).add_(self.weigh(side.narrow(d - self.ndim, at, 1), but=d))
        return total

    def magnitude(self, u: Tensor) -> Tensor:
        """|A| |u|, the scale of the round-off in A u."""
        u = u.abs()
        out = self.diagonal.abs() * u
        for o, s in self.couplings.items():
            out = out + s.abs() * torch.roll(u, [-step for step in o], list(range(-self.ndim, 0)))
        return out

    def to_scipy(self) -> "sparse.csr_array":
        """The same matrix, rows and columns numbered in C order."""
        import scipy.sparse as sparse

        shape = tuple(axis.n for axis in self.axes)
        index = np.arange(int(np.prod(shape))).reshape(shape)
        rows, columns, entries = [index.ravel()], [index.ravel()], [self.diagonal.cpu().numpy().ravel()]
        for o, s in self.couplings.items():
            rows.append(index.ravel())
            columns.append(np.roll(index, [-step for step in o], range(self.ndim)).ravel())
            entries.append(-s.cpu().numpy().ravel())
        there = (np.concatenate(rows), np.concatenate(columns))
        matrix = sparse.coo_array((np.concatenate(entries), there), shape=(index.size, index.size)).tocsr()
        matrix.eliminate_zeros()
        return matrix


def _tamed(back: Tensor, forth: Tensor, tameness: float) -> tuple[Tensor, Tensor]:
    """(back, forth) with the same difference, and a mean of no less than a part of it."""
    more = ((back - forth).abs() / tameness - (back + forth)).clamp(min=0) / 2
    return back + more, forth + more
