"""The fourth-order operator in compiled kernels, on CPUs."""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import kernels, threads
from mgnet.pde.native.memory import pool
from mgnet.pde.problem.fourth_order import REACH, FourthOrder


class NativeFourthOrder:
    """u -> A u for u (batch, *grid), as its twin ``FourthOrder`` has it, in float64 whatever u's precision."""

    def __init__(self, A: FourthOrder):
        self._A, axes = A, A.axes
        ends = [line.beside(A.transposed) for line in A.lines]
        shares = [np.ones(axis.n) if A.transposed else axis.share for axis in axes]
        stencils = [(line.stencil[REACH + 1], line.stencil[REACH + 2]) for line in A.lines]
        self._weighs = A.transposed and any(axis.weighs for axis in axes)
        self._kernel = kernels.WideDifferences(
            [axis.n for axis in axes], [axis.periodic for axis in axes], stencils,
            [rows for rows, _ in ends], [excess for _, excess in ends], shares,
            None if A.c is None else A.c.detach().numpy(),
        )  # fmt: skip

    def __call__(self, u: Tensor) -> Tensor:
        out = pool(tuple(u.shape), "float64").empty()
        v = self._A.weigh(u) if self._weighs else u
        self._kernel.apply(v.detach().contiguous().numpy(), out, threads())
        return torch.from_numpy(out).to(u.dtype)
