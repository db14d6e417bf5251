"""3^d-point stencils, one per unknown, symmetric and not: the operators of every grid of the hierarchy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Self

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.members import batch_of
from mgnet.pde.problem.operators import Diffusion

Offset = tuple[int, ...]


def offsets(ndim: int) -> list[Offset]:
    """All o in {-1, 0, 1}^d."""
    return list(product((-1, 0, 1), repeat=ndim))


def positive_offsets(ndim: int) -> list[Offset]:
    """Half of them: those whose first entry that is not 0 is 1.

    >>> positive_offsets(2)
    [(0, 1), (1, -1), (1, 0), (1, 1)]
    """
    zero = (0,) * ndim
    return [o for o in offsets(ndim) if o > zero]


def shift(v: Tensor, o: Sequence[int]) -> Tensor:
    """v(i + o), wrapped around."""
    moved = [(-step, k - len(o)) for k, step in enumerate(o) if step]
    return torch.roll(v, [m[0] for m in moved], [m[1] for m in moved]) if moved else v


@dataclass(frozen=True)
class Couplings:
    """What both kinds of stencil are made of: a diagonal, (batch or 1, *grid), and couplings by offset."""

    diagonal: Tensor
    couplings: dict[Offset, Tensor]

    @property
    def ndim(self) -> int:
        return self.diagonal.ndim - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.diagonal.shape[1:])

    @property
    def both(self) -> dict[Offset, Tensor]:
        """The couplings for all offsets but 0."""
        return self.couplings

    def to(self, like: Tensor) -> Self:
        return type(self)(self.diagonal.to(like), {o: s.to(like) for o, s in self.couplings.items()})

    def dense(self) -> Tensor:
        """(batch, N, N)."""
        N = self.diagonal[0].numel()
        index = torch.arange(N, device=self.diagonal.device).reshape(self.shape)
        M = torch.diag_embed(self.diagonal.flatten(1)).flatten(1)
        for o, s in self.both.items():
            M.index_add_(1, (index * N + shift(index, o)).flatten(), -s.flatten(1).expand(len(M), -1))
        return M.reshape(-1, N, N)


@dataclass(frozen=True)
class Stencil(Couplings):
    """A: (batch, *grid) -> (batch, *grid), symmetric, (A u)_i = d_i u_i - sum_o s_o(i) u_{i+o}.

    Parameters
    ----------
    diagonal : (batch or 1, *grid) d
    couplings : s_o for the positive offsets, (batch or 1, *grid); s_o(i) couples i and i + o (wrapped)
        and is 0 where i + o lies outside; an offset that is missing has none
    """

    @cached_property
    def both(self) -> dict[Offset, Tensor]:
        """s_o for all offsets but 0: s_{-o}(i) = s_o(i - o)."""
        mirrored = {tuple(-step for step in o): shift(s, [-step for step in o]) for o, s in self.couplings.items()}
        return {**self.couplings, **mirrored}

    def __call__(self, u: Tensor) -> Tensor:
        """A u."""
        out = self.diagonal * u
        for o, s in self.couplings.items():
            back = [-step for step in o]
            out = out - s * shift(u, o) - shift(s * u, back)
        return out

    @cached_property
    def coupled(self) -> Tensor:
        """(batch or 1, *grid) whether an unknown is coupled to any other; those outside a mask are not."""
        coupled = torch.zeros_like(self.diagonal, dtype=torch.bool)
        for o, s in self.couplings.items():
            there = s != 0
            coupled |= there | shift(there, [-step for step in o])
        return coupled

    def unit(self) -> tuple["Stencil", Tensor]:
        """(D^-1/2 A D^-1/2, D^-1/2) for the diagonal D of A."""
        scale = self.diagonal.rsqrt()
        couplings = {o: scale * s * shift(scale, o) for o, s in self.couplings.items()}
        return Stencil(torch.ones_like(self.diagonal), couplings), scale


@dataclass(frozen=True)
class Unsymmetric(Couplings):
    """A: (batch, *grid) -> (batch, *grid), (A u)_i = d_i u_i - sum_o s_o(i) u_{i+o}.

    Parameters
    ----------
    diagonal : (batch or 1, *grid) d
    couplings : s_o for all offsets but 0 (missing ones have none), of the equation of i; 0 where i + o lies outside
    """

    def __call__(self, u: Tensor) -> Tensor:
        """A u."""
        out = self.diagonal * u
        for o, s in self.couplings.items():
            out = out - s * shift(u, o)
        return out

    @cached_property
    def T(self) -> "Unsymmetric":
        """A^T: s_o(i) = s_{-o}(i + o)."""
        mirrored = {tuple(-step for step in o): shift(s, [-step for step in o]) for o, s in self.couplings.items()}
        return Unsymmetric(self.diagonal, {o: mirrored[o] for o in self.couplings})

    @property
    def symmetric_part(self) -> "Unsymmetric":
        """(A + A^T) / 2."""
        return Unsymmetric(self.diagonal, {o: (s + self.T.couplings[o]) / 2 for o, s in self.couplings.items()})


def from_convection(A: Convection) -> Unsymmetric:
    """The stencil of an operator with convection, batch axes of its coefficients flattened, in float64."""
    A = A.like(A.back[0].new_zeros((), dtype=torch.float64))
    batch = batch_of(A.tensors, A.ndim)
    shape = tuple(axis.n for axis in A.axes)

    def members(v: Tensor) -> Tensor:
        return v.detach().expand(*batch, *shape).reshape(-1, *shape)

    return Unsymmetric(members(A.diagonal), {o: members(s) for o, s in A.couplings.items()})


def excess(A: Diffusion) -> Tensor:
    """(batch or 1, *grid) A 1 in float64, for what of A u its couplings times differences do not make."""
    return _members(A, A.like(A.k[0].new_zeros((), dtype=torch.float64)).excess)


def _members(A: Diffusion, v: Tensor) -> Tensor:
    """v, broadcast to the batch of A's coefficients, whose axes are made one."""
    batch = np.broadcast_shapes(*(k.shape[: max(k.ndim - A.ndim, 0)] for k in (*A.k, A.diagonal)))
    shape = tuple(axis.n for axis in A.axes)
    return v.detach().expand(*batch, *shape).reshape(-1, *shape)


def from_diffusion(A: Diffusion) -> Stencil:
    """The stencil of a finite-volume operator, batch axes of its coefficients flattened.

    In float64 from the start: rows of a singular operator then sum to zero to the last digit.
    """
    A = A.like(A.k[0].new_zeros((), dtype=torch.float64))
    couplings = {}
    for d, (k, axis) in enumerate(zip(A.k, A.axes, strict=True)):
        s = _members(A, A.weigh(k.narrow(d - A.ndim, 1, axis.n), but=d)).clone()
        if not axis.periodic:
            s.narrow(d - A.ndim, axis.n - 1, 1).zero_()
        couplings[tuple(int(e == d) for e in range(A.ndim))] = s
    for o, s in A.diagonal_couplings.items():
        couplings[o] = _members(A, s)
    return Stencil(_members(A, A.diagonal), couplings)
