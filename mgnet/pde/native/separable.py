"""Separation of variables in compiled kernels, on CPUs."""

import torch
from torch import Tensor

from mgnet.pde.levels.separable import Separated
from mgnet.pde.native import kernels, machine, threads
from mgnet.pde.native.memory import pool
from mgnet.pde.problem.operators import Diffusion


class NativeSeparable:
    """u = A^-1 b as ``SeparableLevel``, its twin, has it; t not periodic, and two other axes."""

    def __init__(self, of: Separated):
        m, s, one, two = (v.contiguous().numpy() for v in (of.m, of.s, *of.V))
        self._dim, self._kernel = of.dim, kernels.Separable(machine(), m, s, one, two, threads())

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A^-1 f for f (batch, *grid)."""
        planes = f.detach().double().movedim(self._dim, 1).contiguous().numpy()
        out = pool(planes.shape, "float64").empty()
        self._kernel.solve(planes, out)
        return torch.from_numpy(out).movedim(1, self._dim).to(f.dtype).contiguous()


class Applied:
    """u -> A u for u (batch, *grid), in one pass, in float64 whatever u's precision."""

    def __init__(self, A: Diffusion):
        self.ndim, self._faces = A.ndim, A.faces

    def __call__(self, u: Tensor) -> Tensor:
        out = pool(tuple(u.shape), "float64").empty()
        self._faces.apply(u.detach().contiguous().numpy(), out, threads())
        return torch.from_numpy(out).to(u.dtype)
