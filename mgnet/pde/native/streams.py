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

LEAST, EACH, MOST = 3e7, 1.1e3, 1e9  # multiplications that eliminating the coarsest grid may take; each unknown's share


class NativeStreams(Preconditioner):
    """The compiled hierarchy; parameters as of ``ReadableStreams``, its twin.

    What coarse grids leave of recirculating flows adds up from grid to grid, so the coarsest one is as fine as
    elimination allows: four vortices at 1023^2 and cell Peclet numbers of 1e4 take 23 cycles above one of 63^2.

    eliminated : multiplications that eliminating the coarsest grid may take; None: as many as pay
    """

    def __init__(
        self,
        A: Convection,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        eliminated: float | None = None,
    ):
        self._shape = tuple(axis.n for axis in A.axes)
        A = A.like(like.new_zeros((), dtype=torch.float64))
        own = from_convection(A)
        tame = own if A.is_tame else from_convection(A.tame)

        members = (len(own.diagonal), *self._shape)

        def array(v: Tensor) -> np.ndarray:
            return v.expand(members).contiguous().numpy()

        couplings = [(o, array(s)) for o, s in own.couplings.items()]

        self._levels = kernels.Streams(
            machine(),
            like.dtype == torch.float32,
            self._shape,
            [axis.periodic for axis in A.axes],
            [first_coarse(axis) for axis in A.axes],
            array(tame.diagonal),
            couplings if tame is own else [(o, array(s)) for o, s in tame.couplings.items()],
            array(A.excess.reshape(-1, *self._shape)),
            couplings,
            [d for d, axis in enumerate(A.axes) if axis.n > 1],
            *nu,
            0 if gamma == "F" else int(gamma),
            COARSEST,
            min(max(LEAST, EACH * own.diagonal[0].numel()), MOST) if eliminated is None else eliminated,
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
