"""Separation of variables in compiled kernels, on CPUs."""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.modes import Matrix, Transform
from mgnet.pde.levels.separable import Separated
from mgnet.pde.native import kernels, machine, threads
from mgnet.pde.native.memory import pool


class NativeSeparable:
    """u = A^-1 b as ``SeparableLevel``, its twin, has it; t not periodic. Transforms are scipy's and torch's."""

    def __init__(self, of: Separated):
        def matrix(V: Matrix | Transform) -> np.ndarray | None:
            return V.V.contiguous().numpy() if isinstance(V, Matrix) else None

        one, two = [None] * (3 - of.m.ndim) + [matrix(V) for V in of.V]
        m = of.m.reshape(len(of.m), -1 if of.m.ndim == 3 else 1, of.m.shape[-1]).contiguous().numpy()
        self._of, self._fast = of, [(V, dim) for dim, V in enumerate(of.V, -len(of.V)) if isinstance(V, Transform)]
        self._kernel = kernels.Separable(machine(), m, of.s.contiguous().numpy(), one, two, threads())

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A^-1 f for f (batch, *grid)."""
        v, dim = f.detach().double().movedim(self._of.dim, 1), self._of.dim
        for V, along in self._fast:
            v = V.forth(v, along)
        v = v.contiguous()
        out = torch.from_numpy(pool(tuple(v.shape), "float64").empty())
        boxed = (len(v), len(self._of.m), -1 if v.ndim == 4 else 1, v.shape[-1])
        self._kernel.solve(v.reshape(boxed).numpy(), out.reshape(boxed).numpy())
        for V, along in self._fast[::-1]:
            out = V.back(out, along)
        return out.movedim(1, dim).to(f.dtype).contiguous()
