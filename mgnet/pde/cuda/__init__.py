"""Fused levels on CUDA devices, written in Triton; only what asks for them is imported here.

``march.py`` is the kernel and ``level.py`` the three verbs for constant coefficients; ``stencil.py`` and
``blackbox.py`` are the same for any coefficients, ``setup.py`` and ``coarsening.py`` make the latter's grids.
Their twins are the readable levels.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import torch

from mgnet.pde.problem.axis import Axis, Robin

LAUNCH = {"enable_fp_fusion": True}  # a b + c as one instruction, the default of Triton before 3.10
DIRECT_WORK = 3_000_000  # multiply-adds of a direct solve that is cheaper than another level: 110^2 or 31^3 unknowns


def fusible(axes: Sequence[Axis], device: torch.device) -> bool:
    """Whether the levels on a device are Triton's: two or three axes on CUDA, no Robin end."""
    robin = any(isinstance(end, Robin) for axis in axes for end in (axis.low, axis.high))
    return device.type == "cuda" and len(axes) > 1 and not robin and _triton()


def stream(device: torch.device) -> int:
    """The handle of a device's current stream."""
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0


@cache
def _triton() -> bool:
    """Whether Triton is installed; its absence is said once."""
    there = find_spec("triton") is not None
    if not there:
        warnings.warn("Triton is not installed: CUDA tensors are solved by plain torch. Install triton.", stacklevel=2)
    return there
