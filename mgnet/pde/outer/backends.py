"""Who makes the levels of an operator: compiled kernels, Triton, plain torch. The first that answers serves.

A back end takes a ``Constant``, a ``Varying`` or a ``Streaming`` request and returns its hierarchy (``Nested``,
``Robust`` and ``Hierarchy``), or None where it has no kernels for it. A further one is a function in ``BACKENDS``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mgnet.pde import cuda
from mgnet.pde.blackbox import ReadableBlackBox, ReadableStreams
from mgnet.pde.levels.constant import ReadableHierarchy, operator, readable_levels
from mgnet.pde.levels.grids import line_axis
from mgnet.pde.levels.separable import SeparableLevel, Separation, parts_of
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.native import kernels
from mgnet.pde.native.applied import Applied, AppliedFourthOrder
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.native.hierarchy import constant_hierarchy, fusible
from mgnet.pde.native.separable import NativeSeparable
from mgnet.pde.native.streams import NativeStreams
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.operators import Diffusion


@dataclass(frozen=True)
class Request:
    """What all levels are asked for.

    Parameters
    ----------
    b : data (batch, *grid), whose batch, dtype and device they are for; nothing may depend on its values
    smoother, nu, gamma : how to smooth, sweeps down and up, and the cycle index
    """

    b: Tensor
    smoother: Smoother
    nu: tuple[int, int]
    gamma: int | str


@dataclass(frozen=True)
class Constant(Request):
    """Constant coefficients: the axes of every grid, finest first, a per axis and c.

    symmetric : whether cycles have to be
    """

    chain: Sequence[tuple[Axis, ...]]
    a: tuple[float, ...]
    c: float
    symmetric: bool


@dataclass(frozen=True)
class Varying(Request):
    """Any others: the operator, the levels' precision, the axes along which lines are smoothed, whether a jumps.

    faces : A as the compiled kernels take it, on CPUs
    lone : whether an unknown may be coupled to no other
    """

    A: Diffusion
    precision: torch.dtype
    lines: tuple[int, ...]
    jumps: bool
    faces: kernels.Conductances | None
    lone: bool


@dataclass(frozen=True)
class Streaming(Request):
    """An operator with convection.

    eliminated : multiplications that eliminating the coarsest grid may take; None: as many as pay
    held : the c that levels are made with; None: A's
    """

    A: Convection
    eliminated: float | None
    held: Tensor | None


class Backend(Protocol):
    def __call__(self, request: Constant | Varying | Streaming, /) -> Any: ...


def compiled(r: Constant | Varying | Streaming) -> Any:
    """Kernels in C++, on CPUs."""
    if r.b.device.type != "cpu":
        return None
    if isinstance(r, Streaming):
        return NativeStreams(r.A, r.b, r.nu, r.gamma, r.eliminated, r.held)
    if isinstance(r, Varying):
        more = r.precision, len(r.b), r.lines, r.jumps, r.faces, r.lone
        return NativeBlackBox(r.A, r.b, r.nu, r.gamma, r.smoother, *more)
    if not compiles(r.smoother, r.chain, r.b.device):
        return None
    return constant_hierarchy(r.chain, r.a, r.c, r.b.dtype, len(r.b), r.smoother, r.nu, r.gamma, r.symmetric)


def compiles(smoother: Smoother, chain: Sequence[tuple[Axis, ...]], device: torch.device) -> bool:
    """Whether there are compiled kernels for constant coefficients on these grids."""
    return smoother != "zebra" and len(chain) > 1 and fusible(chain, device)


def triton(r: Constant | Varying | Streaming) -> Any:
    """Kernels in Triton, on CUDA devices; they smooth points."""
    if isinstance(r, Streaming):
        return None
    if isinstance(r, Varying):
        if r.lines or r.A.diagonal_couplings or not cuda.fusible(r.A.axes, r.b.device):
            return None
        from mgnet.pde.cuda.blackbox import CudaBlackBox

        return CudaBlackBox(r.A, r.b, r.nu, r.gamma, r.smoother, r.precision, jumps=r.jumps)
    if r.smoother == "zebra" or len(r.chain) < 2 or not cuda.fusible(r.chain[0], r.b.device):
        return None
    from mgnet.pde.cuda.hierarchy import CudaHierarchy

    return CudaHierarchy(
        r.chain, r.a, r.c, r.b.new_zeros(()), len(r.b), r.smoother, r.nu, r.gamma, r.symmetric
    )  # fmt: skip


def plain_torch(r: Constant | Varying | Streaming) -> Any:
    """The readable levels: any device."""
    if isinstance(r, Streaming):
        return ReadableStreams(r.A, r.b, r.nu, r.gamma, r.held)
    if isinstance(r, Varying):
        return ReadableBlackBox(r.A, r.b, r.nu, r.gamma, r.smoother, r.precision, r.lines, r.jumps)
    like, line = r.b.new_zeros(()), line_axis(r.smoother, r.chain[0], r.a)
    levels, transfers = readable_levels(r.chain, r.a, r.c, like, r.smoother, r.nu, r.symmetric, line)
    return ReadableHierarchy(levels, transfers, operator(r.chain[0], r.a, r.c, like), r.gamma)


BACKENDS: tuple[Backend, ...] = (compiled, triton, plain_torch)


def serve(request: Constant | Varying | Streaming, backends: Sequence[Backend] = BACKENDS) -> Any:
    """The hierarchy of the first back end that has one."""
    for backend in backends:
        found = backend(request)
        if found is not None:
            return found
    raise AssertionError("plain torch serves all")


def separated(A: Diffusion, how: Separation | None = None) -> Any:
    """The level that separates the variables of an operator that has a ``separation``."""
    parts = parts_of(A, how)
    native = parts.m.device.type == "cpu" and parts.V_t is None
    return NativeSeparable(parts) if native else SeparableLevel(parts)


def applied(A: Any) -> Any:
    """u -> A u, by kernels on CPUs where there are some."""
    if A.base.k[0].device.type != "cpu":
        return A
    if A.base is not A:  # of order 4
        return AppliedFourthOrder(A)
    return A if A.diagonal_couplings else Applied(A.faces)
