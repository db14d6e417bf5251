"""Levels of an operator with convection in compiled kernels: set-up, cycles and products as calls."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.hierarchy import SHORTEST, first_coarse
from mgnet.pde.blackbox.stencil import from_convection
from mgnet.pde.blackbox.traits import COARSEST
from mgnet.pde.blackbox.unsymmetric import dense_inverse
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.problem.convection import Convection


class NativeStreams:
    """The compiled hierarchy, whose cycles from zero are preconditioners.

    Parameters: as of ``ReadableStreams``, its twin.
    """

    def __init__(self, A: Convection, like: Tensor, nu: tuple[int, int] = (2, 2), gamma: int | str = 1):
        self._shape = tuple(axis.n for axis in A.axes)
        A = A.like(like.new_zeros((), dtype=torch.float64))
        own, tame = from_convection(A), from_convection(A.tame)

        def array(v: Tensor) -> np.ndarray:
            return v.expand(len(own.diagonal), *self._shape).contiguous().numpy()

        self._levels = kernels.Streams(
            machine(),
            like.dtype == torch.float32,
            self._shape,
            [axis.periodic for axis in A.axes],
            [first_coarse(axis) for axis in A.axes],
            array(tame.diagonal),
            [(o, array(s)) for o, s in tame.couplings.items()],
            array(A.excess.reshape(-1, *self._shape)),
            [(o, array(s)) for o, s in own.couplings.items()],
            [d for d, axis in enumerate(A.axes) if axis.n > 1],
            *nu,
            0 if gamma == "F" else int(gamma),
            COARSEST,
            SHORTEST,
            threads(),
        )
        self._levels.set_inverse(dense_inverse(self._levels.coarsest()))
        self.sizes: Sequence[int] = tuple(self._levels.sizes())

    def apply(self, u: Tensor) -> Tensor:
        """A u, of u's precision."""
        return self._call(self._levels.apply, u)

    def _call(self, kernel: Callable[[np.ndarray, np.ndarray], None], v: Tensor) -> Tensor:
        numbers = v.contiguous().numpy().reshape(-1, *four(self._shape))
        out = np.empty_like(numbers)
        kernel(numbers, out)
        return torch.from_numpy(out).reshape(v.shape)

    def data(self, b: Tensor) -> Tensor:
        return b

    def tensor(self, u: Tensor) -> Tensor:
        return u

    release = tensor

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        """A cycle: cycles from zero are all that is asked for."""
        return self.cycle(None, b, measure)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        e = self._call(self._levels.cycle, b if u is None else b - self.apply(u))
        return e if u is None else u + e

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return torch.linalg.vector_norm((b if u is None else b - self.apply(u)).flatten(1), dim=1)

    def measured(self) -> Tensor:
        raise AssertionError("minimal residuals measure themselves")
