"""Which levels solve an operator, and the last ones made.

Constant coefficients: levels of the problem on every grid, fused where kernels are (CPU, CUDA). Others:
operator-induced ones. One dimension: no levels, elimination.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from mgnet.core import Level
from mgnet.pde import cuda
from mgnet.pde.blackbox import JUMP, ReadableBlackBox, gradual, index, levels_precision, solved_axes, survey
from mgnet.pde.blackbox.survey import Survey
from mgnet.pde.levels.constant import (
    DIRECT_WORK,
    ReadableHierarchy,
    grids,
    line_axis,
    operator,
    readable_levels,
    thin_axis,
)
from mgnet.pde.levels.hierarchy import Hierarchy, Nested
from mgnet.pde.levels.lines import LineLevel
from mgnet.pde.levels.richardson import contraction
from mgnet.pde.levels.smoothers import COLOURED, Smoother
from mgnet.pde.levels.system import Robust
from mgnet.pde.native import kernels, threads
from mgnet.pde.native.blackbox import NativeBlackBox, conductances, surveyed
from mgnet.pde.native.hierarchy import NativeHierarchy, fusible
from mgnet.pde.outer.kept import Lease, kept
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.precision import wide_enough

CYCLES: dict[str, int | str] = {"V": 1, "W": 2, "F": "F"}
CPU = torch.device("cpu")
SHOWING = 20_000  # unknowns of a grid on which the factor of a cycle shows


@dataclass(frozen=True)
class Scheme:
    """How to iterate: the cycle, the smoother, and its sweeps down and up."""

    cycle: str = "V"
    smoother: Smoother = "chebyshev"
    nu: tuple[int, int] = (2, 2)

    def __str__(self) -> str:
        return f"{self.cycle}({self.nu[0]},{self.nu[1]})-cycles, {self.smoother} smoother"


class Levels:
    """The levels of one operator, made at the first use of a batch size, dtype and device.

    Parameters
    ----------
    base : the operator; plain tensors, without a graph
    constant : (a per axis, c) where the coefficients are constant, else None

    Attributes
    ----------
    sizes, device : unknowns of each grid of the last levels, and where those are
    narrow : whether those are in float32;   precise : whether the next may not be
    """

    def __init__(self, base: Diffusion, constant: tuple[tuple[float, ...], float] | None, scheme: Scheme):
        if constant is not None and thin_axis(base.axes, constant[0]) is not None:
            scheme = replace(scheme, smoother="zebra")
        self.base, self.constant, self.scheme = base, constant, scheme
        self.sizes: tuple[int, ...] = ()
        self.device = base.k[0].device
        self.narrow, self.precise = False, False
        self._leases: dict[Any, Lease] = {}

    @property
    def gamma(self) -> int | str:
        """The cycle index."""
        gamma = CYCLES[self.scheme.cycle]
        return index(gamma, self.device) if self.constant is None and self.jumps and not self.gradual else gamma

    @cached_property
    def gradual(self) -> bool:
        """Whether lines meet an anisotropy that changes without jumps."""
        return gradual(self.base, self.solved)

    @cached_property
    def jumps(self) -> bool:
        """Whether variable coefficients do."""
        return self.survey.contrast > JUMP

    @cached_property
    def faces(self) -> kernels.Conductances | None:
        """The operator as compiled kernels take it, if it is on the CPU."""
        return conductances(self.base) if self.base.k[0].device.type == "cpu" else None

    @cached_property
    def survey(self) -> Survey:
        """What decides how variable coefficients are solved."""
        return survey(self.base) if self.faces is None else surveyed(self.faces)

    def of(self, b: Tensor, symmetric: bool = False) -> Hierarchy:
        """The levels for b's batch, dtype and device; the last ones stay. Their tensors are of one mode of torch.

        Only work on one stream of a device comes in order, so streams share no workspaces.
        """
        return self._of(b, symmetric)

    def _of(self, b: Tensor, symmetric: bool = False) -> Any:
        place = (b.device, cuda.stream(b.device))
        key = (len(b), b.dtype, wide_enough(b), *place, symmetric, torch.is_inference_mode_enabled())
        if key not in self._leases:
            self.device = b.device
            self._leases = {key: self._lease(b, symmetric, key)}
        return self._leases[key].levels

    def nested(self, b: Tensor) -> Nested | None:
        """The same where coefficients are constant."""
        return self._of(b) if self.constant is not None else None

    def robust(self, b: Tensor) -> Robust:
        """The same where they vary."""
        assert self.constant is None
        return self._of(b)

    def choose(self, precise: bool) -> None:
        """Levels in float64 from now on, or again in the precision that suits the operator."""
        self.precise, self._leases = precise, {}

    def compiled(self, device: torch.device) -> bool:
        """Whether fused kernels do the work on a device."""
        if self.constant is None:
            return not self.is_line and device.type == "cpu"
        return self.fused(self.chain(), device)

    def _lease(self, b: Tensor, symmetric: bool, key: tuple) -> Lease:
        scheme, base = self.scheme, self.base
        if self.is_line:
            self.sizes = (base.axes[0].n,)
            return Lease(ReadableHierarchy([cast(Level, LineLevel(base.like(b)))], [], base.like(b), 1))
        if self.constant is None:
            robust = self._robust(b)
            self.sizes = robust.sizes
            return Lease(robust)
        chain = self.chain(b.device)
        self.sizes = tuple(prod(axis.n for axis in axes) for axes in chain)
        key = (base.axes, self.constant, scheme, threads(), *key)
        return kept.lease(key, b.numel(), lambda: self._build(chain, b, symmetric))

    def _build(self, chain: Sequence[tuple[Axis, ...]], b: Tensor, symmetric: bool) -> Hierarchy:
        """Levels for constant coefficients; nothing of them may depend on b's values."""
        if self._on_cuda(b.device) and len(chain) > 1:
            from mgnet.pde.cuda.hierarchy import CudaHierarchy

            assert self.constant is not None
            (a, c), scheme, like = self.constant, self.scheme, b.new_zeros(())
            return CudaHierarchy(chain, a, c, like, len(b), scheme.smoother, scheme.nu, self.gamma, symmetric)
        return self._constant_levels(chain, b, symmetric)

    def _constant_levels(
        self, chain: Sequence[tuple[Axis, ...]], b: Tensor, symmetric: bool = False
    ) -> ReadableHierarchy | NativeHierarchy:
        """Levels for constant coefficients on a chain of grids."""
        assert self.constant is not None
        (a, c), scheme = self.constant, self.scheme
        if self.fused(chain, b.device):
            return NativeHierarchy(chain, a, c, b.dtype, len(b), scheme.smoother, scheme.nu, self.gamma, symmetric)
        like, line = b.new_zeros(()), line_axis(scheme.smoother, chain[0], a)
        levels, transfers = readable_levels(chain, a, c, like, scheme.smoother, scheme.nu, symmetric, line)
        return ReadableHierarchy(levels, transfers, operator(chain[0], a, c, like), self.gamma)

    def contraction(self, b: Tensor) -> float:
        """The largest factor of a cycle, measured on a coarser grid; 0 where cycles are not symmetric."""
        scheme, chain = self.scheme, self.chain(b.device)
        if scheme.smoother in COLOURED or scheme.nu[0] != scheme.nu[1] or len(chain) < 2:
            return 0.0  # no sequence of them is worth more
        sizes = [prod(axis.n for axis in axes) for axes in chain[:-1]]
        first = next((l for l, size in enumerate(sizes) if size <= SHOWING), len(sizes) - 1)
        assert self.constant is not None
        (a, c), axes = self.constant, chain[first]
        zero = b.new_zeros((1, *(axis.n for axis in axes)))
        free = c == 0 and Grid.of(axes).closed
        share = operator(axes, a, c, zero).weigh(torch.ones_like(zero[0])) if free else None
        return contraction(self._constant_levels(chain[first:], zero), zero, share)

    def chain(self, device: torch.device = CPU) -> tuple[tuple[Axis, ...], ...]:
        """The grids of constant coefficients."""
        assert self.constant is not None
        a, axes = self.constant[0], self.base.axes
        direct_work = cuda.DIRECT_WORK if self._on_cuda(device) else DIRECT_WORK
        return grids(axes, a, direct_work, line_axis(self.scheme.smoother, axes, a))

    def _on_cuda(self, device: torch.device) -> bool:
        """Whether the levels of constant coefficients are Triton's."""
        return self.scheme.smoother != "zebra" and cuda.fusible(self.base.axes, device)

    def fused(self, chain: Sequence[tuple[Axis, ...]], device: torch.device) -> bool:
        return self.scheme.smoother != "zebra" and len(chain) > 1 and fusible(chain, device)

    def _robust(self, b: Tensor) -> Robust:
        """Operator-induced multigrid."""
        scheme = self.scheme
        precision = torch.float64 if self.precise else levels_precision(self.base, self.survey)
        self.narrow = precision == torch.float32
        if b.device.type == "cpu":
            return NativeBlackBox(
                self.base, b, scheme.nu, self.gamma, scheme.smoother, precision, len(b), self.solved, self.jumps,
                self.faces, self.survey.lone,
            )  # fmt: skip
        if not self.solved and cuda.fusible(self.base.axes, b.device):
            from mgnet.pde.cuda.blackbox import CudaBlackBox

            return CudaBlackBox(self.base, b, scheme.nu, self.gamma, scheme.smoother, precision, jumps=self.jumps)
        return ReadableBlackBox(
            self.base, b, scheme.nu, self.gamma, scheme.smoother, precision, self.solved, self.jumps
        )

    @cached_property
    def solved(self) -> tuple[int, ...]:
        """The axes along which variable coefficients make us smooth lines."""
        if self.constant is not None or self.is_line:
            return ()
        return solved_axes(self.base, self.scheme.smoother, self.survey)

    @property
    def is_line(self) -> bool:
        """One dimension, where elimination is a direct solver: no levels at all."""
        return self.constant is None and self.base.ndim == 1
