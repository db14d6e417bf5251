"""Levels of stencils on windows by the compiled kernels, on CPUs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.coarsest import dense_inverse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import Stencil
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.stencil_levels import SharedSystem
from mgnet.pde.distributed.stencils import How, SharedHierarchy, SharedLevel, coarse_planes
from mgnet.pde.distributed.window import Window
from mgnet.pde.native import kernels, machine, threads
from mgnet.pde.problem.checks import as_tensor


class NativeStencils:
    """``Stencils``; ``SharedLevel.of`` is a hierarchy of kernels that has one level."""

    def level(
        self, w: Window, chosen: Sequence[Coarsening], A: Stencil, excess: Tensor | None, how: How, spectrum: float
    ) -> SharedLevel:
        hierarchy: Any = kernels.StencilHierarchy(
            machine(),
            how.precision == torch.float32,
            A.shape,
            [False, *(axis.periodic for axis in chosen[1:])],
            [axis.first for axis in chosen],
            _array(A.diagonal),
            [(o, _array(s)) for o, s in A.couplings.items()],
            None if excess is None else _array(excess),
            how.masked,
            False,
            *how.steps(A.ndim, spectrum),
            list(how.lines),
            threads(),
            True,
            [axis.halved for axis in chosen],
        )
        return SharedLevel(w, hierarchy, tuple(chosen), coarse_planes(w, chosen[0]))

    def coarse(self, level: SharedLevel, here: slice) -> Stencil:
        diagonal, couplings = level.of.coarse()
        block = {tuple(o): torch.from_numpy(s)[:, here].clone() for o, s in couplings}
        return Stencil(torch.from_numpy(diagonal)[:, here].clone(), block)

    def rest(self, whole: Stencil, lines: Sequence[Coarsening], how: How) -> kernels.StencilHierarchy:
        excess = whole.diagonal - sum(whole.both.values())
        rest: Any = kernels.StencilHierarchy(
            machine(),
            how.precision == torch.float32,
            whole.shape,
            [line.periodic for line in lines],
            [line.first for line in lines],
            _array(whole.diagonal),
            [(o, _array(s)) for o, s in whole.couplings.items()],
            _array(excess),
            how.masked,
            how.jumps,
            *how.steps(whole.ndim, 2.0),
            list(how.lines),
            threads(),
            not how.signed,  # which the kernels see of the first grid that is none of theirs
        )
        if (dense := rest.coarsest()["dense"]) is not None:
            parts = how.masked and not how.jumps
            rest.set_inverse(dense_inverse(as_tensor(dense), how.signed, parts).numpy())
        return rest

    def system(
        self, partition: Partition, shared: SharedHierarchy, batch: int, like: Tensor, gamma: int | str
    ) -> SharedSystem:
        return SharedSystem(partition, shared, batch, like.dtype, gamma)


def _array(v: Tensor) -> np.ndarray:
    return v.contiguous().numpy()
