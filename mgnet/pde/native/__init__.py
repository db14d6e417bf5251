"""Compiled CPU kernels (C++): whole cycles and full multigrid passes as single calls.

The kernels are built when mgnet is installed, once for each instruction set, and chosen when they are loaded. The
environment variable MGNET_MACHINE forces one of ``machines()``, for tests and comparisons.
"""

import os
from collections.abc import Sequence

import torch

try:
    import mgnet.pde.native._native as kernels
except ImportError as error:  # without a compiler there is no extension
    raise ImportError(
        "mgnet's compiled kernels are missing. Install mgnet again (`pip install .`) with a C++17 compiler, such as "
        f"g++, on the path. ({error})"
    ) from None


def machines() -> list[str]:
    """The instruction sets that the kernels were built for and this processor has, the fastest first."""
    return kernels.machines()


FASTEST = machines()[0]


def machine() -> str:
    """The instruction set in use."""
    wanted = os.environ.get("MGNET_MACHINE")
    if not wanted:
        return FASTEST
    here = machines()
    if wanted not in here:
        raise ValueError(f"MGNET_MACHINE must be one of {', '.join(here)} on this processor; it is {wanted}. Unset it.")
    return wanted


def threads() -> int:
    """How many threads the kernels may use: torch's setting."""
    return torch.get_num_threads()


def four(shape: Sequence[int]) -> tuple[int, int, int]:
    """A grid's shape as (n0, n1, n2): two dimensions have n1 = 1, one has n0 = n1 = 1."""
    n0, n1, n2 = padded(shape, 1)
    return n0, n1, n2


def padded(per_axis: Sequence, missing: object) -> list:
    """Per grid axis to per array axis."""
    v = list(per_axis)
    return [v[0], missing, v[1]] if len(v) == 2 else [missing] * (3 - len(v)) + v


__all__ = ["four", "kernels", "machine", "machines", "padded", "threads"]
