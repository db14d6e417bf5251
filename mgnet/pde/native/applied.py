"""u -> A u in compiled kernels, on CPUs."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import kernels, threads
from mgnet.pde.native.memory import pool
from mgnet.pde.problem.fourth_order import REACH, FourthOrder


class Kernel(Protocol):
    def apply(self, u: np.ndarray, out: np.ndarray, threads: int) -> None: ...


class Applied:
    """u -> A u for u (batch, *grid), in one pass, in float64 whatever u's precision.

    Parameters
    ----------
    kernel : A's, as ``Diffusion.faces``
    """

    def __init__(self, kernel: Kernel):
        self._kernel = kernel

    def __call__(self, u: Tensor) -> Tensor:
        out = pool(tuple(u.shape), "float64").empty()
        self._kernel.apply(u.detach().contiguous().numpy(), out, threads())
        return torch.from_numpy(out).to(u.dtype)


class AppliedFourthOrder(Applied):
    """The same of the fourth order; ``FourthOrder`` is its twin."""

    def __init__(self, A: FourthOrder):
        axes, ends = A.axes, [line.beside(A.transposed) for line in A.lines]
        shares = [np.ones(axis.n) if A.transposed else axis.share for axis in axes]  # A^T u = L^T (w u)
        stencils = [(line.stencil[REACH + 1], line.stencil[REACH + 2]) for line in A.lines]
        self._weigh = A.weigh if A.transposed and any(axis.weighs for axis in axes) else None
        kernel = kernels.WideDifferences(
            [axis.n for axis in axes], [axis.periodic for axis in axes], stencils,
            [rows for rows, _ in ends], [excess for _, excess in ends], shares,
            None if A.c is None else A.c.detach().numpy(),
        )  # fmt: skip
        super().__init__(kernel)

    def __call__(self, u: Tensor) -> Tensor:
        return super().__call__(u if self._weigh is None else self._weigh(u))
