"""Who works on windows of shared grids: compiled kernels, Triton, plain torch. The first that answers serves.

Coefficients of numbers are passed over (``Passes``), others have levels of stencils (``Stencils``).
"""

from collections.abc import Sequence
from typing import Protocol

import torch

from mgnet.pde import cuda
from mgnet.pde.distributed.native import NativePasses
from mgnet.pde.distributed.native_stencils import NativeStencils
from mgnet.pde.distributed.passes import Passes, Windows
from mgnet.pde.distributed.plain import PlainPasses
from mgnet.pde.distributed.stencils import Stencils
from mgnet.pde.distributed.torch_stencils import TorchStencils
from mgnet.pde.problem.axis import Axis


class Maker(Protocol):
    def passes(self, asked: Windows) -> Passes | None:
        """For constant coefficients; None where there are none."""
        ...

    def stencils(self, axes: Sequence[Axis], device: torch.device) -> Stencils | None:
        """For any others, on grids of such axes."""
        ...


class Compiled:
    """Kernels in C++, on CPUs."""

    def passes(self, asked: Windows) -> Passes | None:
        return NativePasses(asked) if asked.like.device.type == "cpu" else None

    def stencils(self, axes: Sequence[Axis], device: torch.device) -> Stencils | None:
        return NativeStencils() if device.type == "cpu" else None


class Triton:
    """Kernels in Triton, on CUDA devices."""

    def passes(self, asked: Windows) -> Passes | None:
        if not cuda.fusible(asked.grids[0].transfer.fine, asked.like.device):
            return None
        from mgnet.pde.distributed.triton_passes import TritonPasses

        return TritonPasses(asked)

    def stencils(self, axes: Sequence[Axis], device: torch.device) -> Stencils | None:
        if not cuda.fusible(axes, device):
            return None
        from mgnet.pde.cuda.blackbox import CudaBlackBox

        return TorchStencils(CudaBlackBox.forms)


class PlainTorch:
    """Any device."""

    def passes(self, asked: Windows) -> Passes | None:
        return PlainPasses(asked)

    def stencils(self, axes: Sequence[Axis], device: torch.device) -> Stencils | None:
        return TorchStencils()


MAKERS: tuple[Maker, ...] = (Compiled(), Triton(), PlainTorch())


def serve_passes(asked: Windows) -> Passes:
    """Those of the first maker that has some."""
    return next(passes for maker in MAKERS if (passes := maker.passes(asked)) is not None)


def serve_stencils(axes: Sequence[Axis], device: torch.device) -> Stencils:
    """Those of the first maker that has some."""
    return next(stencils for maker in MAKERS if (stencils := maker.stencils(axes, device)) is not None)
