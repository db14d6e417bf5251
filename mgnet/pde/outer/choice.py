"""Which levels solve an operator, and the last ones made.

Constant coefficients: levels of the problem on every grid, fused where kernels are (CPU, CUDA). Others:
operator-induced ones. One dimension: no levels, elimination.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from math import inf, prod
from typing import Any, cast

import torch
from torch import Tensor

from mgnet.core import Level
from mgnet.pde import cuda
from mgnet.pde.blackbox import Decision, Survey, Whole, contrast, survey, variation
from mgnet.pde.levels.alternating import Alternating, alternates, nearby
from mgnet.pde.levels.constant import ReadableHierarchy, operator
from mgnet.pde.levels.grids import DIRECT_WORK, grids, line_axis, thin_axis
from mgnet.pde.levels.hierarchy import Hierarchy, Nested
from mgnet.pde.levels.lines import LineLevel
from mgnet.pde.levels.richardson import contraction
from mgnet.pde.levels.separable import separation
from mgnet.pde.levels.smoothers import COLOURED
from mgnet.pde.levels.streams import StreamLevel
from mgnet.pde.levels.system import Robust
from mgnet.pde.levels.transform import TransformLevel
from mgnet.pde.levels.transform import words as transforms
from mgnet.pde.native import kernels, threads
from mgnet.pde.native.blackbox import surveyed
from mgnet.pde.native.streams import MOST, NativeStreams
from mgnet.pde.outer.at_once import LITTLE_WORK, elimination_work
from mgnet.pde.outer.backends import (
    Constant,
    Streaming,
    Varying,
    applied,
    compiled,
    compiles,
    plain_torch,
    separated,
    serve,
)
from mgnet.pde.outer.cache import Lease, cache
from mgnet.pde.outer.scheme import CYCLES, DEFAULT, Scheme
from mgnet.pde.outer.stationary import Stationary
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.nullspace import NullSpace
from mgnet.pde.problem.precision import wide_enough

CPU = torch.device("cpu")
TINY = 1e-20  # conductances below it: what they are multiplied with and divided by is beyond float32 (1e-30 and 1e30)
SHOWING = 20_000  # unknowns of a grid on which the factor of a cycle shows


class Levels:
    """The levels of one operator, made at the first use of a batch size, dtype and device.

    Parameters
    ----------
    base : the operator; plain tensors, without a graph
    constant : (a per axis, c) where the levels are to be of constant coefficients, else None
    kernel : finds what the operator and its transpose map to zero, if anything

    Attributes
    ----------
    sizes, device : unknowns of each grid of the last levels, and where those are
    doubles : whether float32 is solved in float64: where coefficients vary, on CPUs, something flows, or A is tiny
    is_direct : whether there are none: a transform, separation of variables, elimination in 1-D and of few unknowns
    separates : whether variables are separated
    in_float32 : whether those are in float32;   precise : whether the next may not be, or eliminate all that they can
    solve : whether one of their cycles solves;   streams : what smooths levels of convection
    """

    def __init__(
        self,
        base: Any,
        constant: tuple[tuple[float, ...], float] | None,
        scheme: Scheme,
        kernel: Callable[[], NullSpace | Stationary | None] = lambda: None,
    ):
        constant, default = None if scheme.transform else constant, scheme == DEFAULT
        if constant is not None and thin_axis(base.axes, constant[0]) is not None:
            scheme = replace(scheme, smoother="zebra")
        lines = constant is not None and scheme.smoother == "zebra" and base.tensors[0].device.type == "cpu"
        constant = None if lines else constant  # the kernels that solve lines are those of the black-box levels
        varies = constant is None and not scheme.transform and base.tensors[0].device.type == "cpu"
        self.doubles = varies or not base.symmetric or all(float(k.detach().max()) < TINY for k in base.k)
        base = base.like(base.tensors[0].new_zeros((), dtype=torch.float64)) if varies else base
        self.base, self.constant, self.scheme, self._kernel = base, constant, scheme, kernel
        self.sizes: tuple[int, ...] = ()
        self.device = base.tensors[0].device
        self.in_float32, self.precise, self.solve, self._tried = False, lines, False, False
        self.streams = "" if base.symmetric else "zebra or row Gauss-Seidel"
        small = default and self.constant is None and base.symmetric and self.device.type == "cpu"
        self.eliminates = small and base.ndim > 1 and elimination_work(base.axes) <= LITTLE_WORK
        stretched = default and base.ndim > 1 and base.symmetric and not all(axis.uniform for axis in base.axes)
        self._stretched = stretched and not self.eliminates
        self.separation = separation(base) if self._stretched else None
        self.separates = self.separation is not None
        direct = scheme.transform or self.eliminates or self.separates
        self.is_direct = direct or (self.constant is None and base.ndim == 1)
        self._leases: dict[Any, Lease] = {}

    @cached_property
    def kernel(self) -> NullSpace | Stationary | None:
        """What the operator and its transpose map to zero."""
        return self._kernel()

    @property
    def held(self) -> Tensor | None:
        """The c that levels are made with; None: the operator's."""
        return self.kernel.held if isinstance(self.kernel, Stationary) else None

    def words(self, outer: str, higher: bool) -> str:
        """The iteration; outer : what goes on around cycles, higher : whether they precondition the fourth order."""
        words = ["order 4"] * higher
        if self.eliminates or (self.solve and not higher):
            words += ["elimination"]
        elif self.scheme.transform:
            words += [transforms(self.base.axes)]
        elif self.is_direct:
            words += ["separation of variables" if self.separates else "cyclic reduction"]
        else:
            words += [outer, self._cycle()] if outer else [self._cycle()]
        return ", ".join(words)

    def _cycle(self) -> str:
        """Of the levels, or what they are where all of the grid is the coarsest one."""
        if len(self.sizes) == 1:
            return self.streams or ("elimination" if self.constant is None else "fast diagonalisation")
        kind = "" if self.constant is not None else "black-box "
        cycle = next(word for word, gamma in CYCLES.items() if gamma == self.gamma)
        smoother: Any = self.streams or ("zebra" if self.decision and self.decision.lines else self.scheme.smoother)
        between = ", separation of variables in between" * self.alternates
        return f"{kind}{replace(self.scheme, cycle=cycle, smoother=smoother)}{between}"

    @property
    def gamma(self) -> int | str:
        """The cycle index."""
        gamma = CYCLES[self.scheme.cycle]
        return gamma if self.decision is None else self.decision.index(gamma, self.device)

    @cached_property
    def decision(self) -> Decision | None:
        """How levels of variable coefficients are made; None: there are none, or those of convection."""
        if self.constant is not None or self.is_direct or not self.base.symmetric:
            return None
        may = self._stretched and self.base.ndim == 3
        return Decision(Whole(self.base, self.survey), self.scheme.smoother, lambda: may and alternates(self.base))

    @property
    def faint(self) -> bool:
        """As ``Decision.faint``."""
        return self.decision is not None and self.decision.faint

    @property
    def alternates(self) -> bool:
        """As ``Decision.alternates``."""
        return self.decision is not None and self.decision.alternates

    @cached_property
    def faces(self) -> kernels.Conductances | None:
        """The operator as compiled kernels take it, if it is on the CPU."""
        return self.base.faces if self.base.k[0].device.type == "cpu" else None

    @cached_property
    def survey(self) -> Survey:
        """What decides how variable coefficients are solved."""
        if self.faces is None:
            return survey(self.base)
        if all(axis.uniform for axis in self.base.axes):
            return surveyed(self.faces)
        seen = surveyed(self.faces, varies=0.0)
        return replace(seen, contrast=contrast(self.base), variation=variation(self.base))

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

    def streaming(self, b: Tensor) -> Any:
        """The same with convection, which know A u."""
        return self._of(b)

    def choose(self, precise: bool) -> None:
        """Levels in float64, or of all the elimination there may be, from now on; or those that suit A again."""
        self.precise, self._leases, self._tried = precise, {}, True

    @property
    def may_choose(self) -> bool:
        """Whether there is something to choose, of float32, or of convection on CPUs, and nobody has."""
        eliminates = not (self.base.symmetric or self.is_direct or self.solve or self.device.type != "cpu")
        return not self._tried and (self.in_float32 or eliminates)

    def compiled(self, device: torch.device) -> bool:
        """Whether fused kernels do the work on a device."""
        if self.constant is None:
            return (self.eliminates or not self.is_direct) and device.type == "cpu"
        return compiles(self.scheme.smoother, self.chain(), device)

    def _lease(self, b: Tensor, symmetric: bool, key: tuple) -> Lease:
        scheme, base = self.scheme, self.base
        if self.is_direct:
            self.sizes, A = (b[0].numel(),), base.like(b)
            if self.eliminates:
                direct = NativeStreams(base, b, eliminated=inf)
                self.solve = direct.solves
                return Lease(direct)
            level, product = self._direct(A)
            return Lease(ReadableHierarchy([cast(Level, level)], [], product, 1))
        if self.constant is None:
            how = b, scheme.smoother, scheme.nu, self.gamma
            if base.symmetric:
                return Lease(self._robust(b))
            levels: Any = serve(Streaming(*how, base, MOST if self.precise else None, self.held))
            self.sizes, self.solve, self.streams = levels.sizes, levels.solves, levels.smoother
            return Lease(levels)
        chain = self.chain(b.device)
        self.sizes = tuple(prod(axis.n for axis in axes) for axes in chain)
        key = (base.axes, self.constant, scheme, threads(), *key)
        return cache.lease(key, b.numel(), lambda: serve(self._constant(chain, b, symmetric)))

    def _direct(self, A: Any) -> tuple[Any, Any]:
        """What solves without levels, and without elimination of all unknowns by the kernels; and u -> A u."""
        if self.scheme.transform:
            return TransformLevel(A), A
        if self.separates:
            return separated(A, self.separation), applied(A)
        if A.symmetric:
            return LineLevel(A), A
        return StreamLevel(A if self.held is None else A.with_c(self.held.to(A.back[0]))), A

    def _constant(self, chain: Sequence[tuple[Axis, ...]], b: Tensor, symmetric: bool = False) -> Constant:
        assert self.constant is not None
        (a, c), scheme = self.constant, self.scheme
        return Constant(b, scheme.smoother, scheme.nu, self.gamma, chain, a, c, symmetric)

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
        return contraction(serve(self._constant(chain[first:], zero), (compiled, plain_torch)), zero, share)

    def chain(self, device: torch.device = CPU) -> tuple[tuple[Axis, ...], ...]:
        """The grids of constant coefficients."""
        assert self.constant is not None
        a, axes = self.constant[0], self.base.axes
        direct_work = cuda.DIRECT_WORK if self._on_cuda(device) else DIRECT_WORK
        return grids(axes, a, direct_work, line_axis(self.scheme.smoother, axes, a))

    def _on_cuda(self, device: torch.device) -> bool:
        """Whether the levels of constant coefficients are Triton's."""
        return self.scheme.smoother != "zebra" and cuda.fusible(self.base.axes, device)

    def _robust(self, b: Tensor) -> Any:
        """Operator-induced multigrid."""
        scheme, how = self.scheme, self.decision
        assert how is not None
        precision = torch.float64 if self.precise else how.precision
        self.in_float32 = precision == torch.float32
        asked = b, scheme.smoother, scheme.nu, self.gamma
        levels = serve(Varying(*asked, self.base, precision, how.lines, how.jumps, self.faces, self.survey.lone))
        self.sizes = levels.sizes
        if not self.alternates:
            return levels
        A_0, S = nearby(self.base)
        return Alternating(levels, applied(self.base.like(b)), S, separated(A_0))
