"""Levels of an operator with convection in compiled kernels: set-up, cycles and products as calls."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.hierarchy import SHORTEST, first_coarse
from mgnet.pde.blackbox.stencil import from_convection
from mgnet.pde.blackbox.traits import COARSEST
from mgnet.pde.blackbox.unsymmetric import Preconditioner
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.problem.convection import Convection

ELIMINATED = 3e7  # multiplications


class NativeStreams(Preconditioner):
    """The compiled hierarchy; parameters as of ``ReadableStreams``, its twin."""

    def __init__(
        self,
        A: Convection,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        eliminated: float = ELIMINATED,
    ):
        self._shape = tuple(axis.n for axis in A.axes)
        A = A.like(like.new_zeros((), dtype=torch.float64))
        own = from_convection(A)
        tame = own if A.is_tame else from_convection(A.tame)

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
            eliminated,
            SHORTEST,
            threads(),
        )
        self.sizes: Sequence[int] = tuple(self._levels.sizes())

    def apply(self, u: Tensor) -> Tensor:
        """A u, of u's precision."""
        return self._call(self._levels.apply, u)

    def precondition(self, r: Tensor) -> Tensor:
        return self._call(self._levels.cycle, r)

    def _call(self, kernel: Callable[[np.ndarray, np.ndarray], None], v: Tensor) -> Tensor:
        numbers = v.contiguous().numpy().reshape(-1, *four(self._shape))
        out = np.empty_like(numbers)
        kernel(numbers, out)
        return torch.from_numpy(out).reshape(v.shape)
