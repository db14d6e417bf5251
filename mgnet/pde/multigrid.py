"""The solver behind the doors: plain tensors in, an iterate and its history out."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from mgnet.pde import cuda
from mgnet.pde.blackbox import READABLE, ReadableBlackBox, contrast, index, levels_precision
from mgnet.pde.checks import finite
from mgnet.pde.cuda.memory import on_device
from mgnet.pde.hierarchy import DIRECT_WORK, ReadableHierarchy, grids, readable_levels
from mgnet.pde.iterate import Hierarchy, Outcome, iterate
from mgnet.pde.kernels.hierarchy import FusedHierarchy, fusible
from mgnet.pde.krylov import ConjugateGradients, Robust
from mgnet.pde.nullspace import Nullspace
from mgnet.pde.operators import Diffusion
from mgnet.pde.work import cycle_work, full_multigrid_work

CYCLES: dict[str, int | str] = {"V": 1, "W": 2, "F": "F"}
Callback = Callable[[int, float], None]
CLEAN = "Clean the right-hand side."
SQUARABLE = {torch.float32: (1e-8, 1e15), torch.float64: (1e-100, 1e150)}  # norms whose squares, times tol^2, exist


@dataclass(frozen=True)
class Scheme:
    """How to iterate: the cycle, the smoother, and its sweeps down and up."""

    cycle: str = "V"
    smoother: str = "chebyshev"
    nu: tuple[int, int] = (2, 2)

    @property
    def gamma(self) -> int | str:
        return CYCLES[self.cycle]

    def __str__(self) -> str:
        return f"{self.cycle}({self.nu[0]},{self.nu[1]})-cycles, {self.smoother} smoother"


@dataclass(frozen=True)
class Stop:
    """When to stop, and whom to tell after each cycle; tol None: one full multigrid pass."""

    tol: float | None = 1e-8
    max_cycles: int = 100
    callback: Callback | None = None


class Multigrid:
    """The levels for one operator, set up at the first use of a batch size; calls take turns.

    Parameters
    ----------
    A : plain tensors, without a graph
    constant : (a per axis, c) where the coefficients are constant, else None
    singular : whether A maps constants to zero
    """

    def __init__(self, A: Diffusion, constant: tuple[tuple[float, ...], float] | None, singular: bool, scheme: Scheme):
        self.A, self.singular, self.scheme = A, singular, scheme
        self._constant = constant
        self._shape = tuple(axis.n for axis in A.axes)
        self._dims = tuple(range(-A.ndim, 0))
        self._hierarchies: dict[Any, Hierarchy] = {}
        self._kept_nullspace: Nullspace | None = None
        self._lock = threading.Lock()
        self.sizes: list[int] = []

    @property
    def method(self) -> str:
        """The iteration in words."""
        if self._constant is not None:
            return str(self.scheme)
        cycle = {gamma: word for word, gamma in CYCLES.items()}[index(contrast(self.A), self.scheme.gamma)]
        return f"{'conjugate gradients, ' if self._symmetric else ''}black-box {replace(self.scheme, cycle=cycle)}"

    def compiled(self, device: torch.device) -> bool:
        """Whether fused kernels do the work on a device."""
        from mgnet.pde.kernels import blackbox

        if self._constant is None:
            return blackbox.fusible(self.A, device)
        chain = grids(self.A.axes, self._constant[0])
        return fusible(chain, device) and len(chain) > 1

    def run(
        self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool = False, parts: Sequence[Tensor] = ()
    ) -> Outcome:
        """Solve A u = b for b of shape (batch, *grid).

        Parameters
        ----------
        project : whether to take what a singular A can solve of b, instead of refusing the rest
        parts : the boundary data's part of b on every grid, (batch or 1, *grid), for one full pass
        """
        b = self._nullspace(b).compatible(b, project) if self.singular else b
        with self._lock, on_device(b, len(self._shape)):
            hierarchy = self._accelerated(self._hierarchy(b), stop.tol)
            if stop.tol is None:
                outcome = self._pass(hierarchy, b, guess, parts)
            else:
                outcome = self._iterate(hierarchy, b, guess, stop)
        if self.singular:
            outcome.u = self._nullspace(outcome.u).centred(outcome.u)
        return outcome

    def cycle(self, u: Tensor | None, b: Tensor, symmetric: bool = False) -> Tensor:
        """One cycle; u, b of shape (batch, *grid); u None for zero."""
        with self._lock, on_device(b, len(self._shape)):
            hierarchy = self._hierarchy(b, symmetric)
            begin = None if u is None else hierarchy.data(u)
            return hierarchy.release(hierarchy.cycle(begin, hierarchy.data(b), watch=False))

    def precondition(self, b: Tensor) -> Tensor:
        """One symmetric cycle from zero; on a singular problem between the projections."""
        if not self.singular:
            return self.cycle(None, b, symmetric=True)
        nullspace = self._nullspace(b)
        return nullspace.centred(self.cycle(None, nullspace.compatible(b), symmetric=True))

    def work(self, outcome: Outcome) -> float:
        """Work units of a whole solve."""
        nu, gamma = self.scheme.nu, self.scheme.gamma
        one = cycle_work(self.sizes, nu, gamma)
        cycles = len(outcome.residuals) - 1
        if outcome.guessed:
            return one * max(cycles, 1 if outcome.status == "full multigrid" else 0)
        if outcome.status == "full multigrid" or cycles:
            return full_multigrid_work(self.sizes, nu, gamma) + one * max(cycles - 1, 0)
        return 0.0

    def _pass(self, hierarchy: Hierarchy, b: Tensor, guess: Tensor | None, parts: Sequence[Tensor]) -> Outcome:
        f = hierarchy.data(b)
        if guess is None and parts:  # only of constant coefficients
            nested = cast(ReadableHierarchy | FusedHierarchy, hierarchy)
            u = hierarchy.release(nested.start(f, watch=False, parts=[part.to(b) for part in parts]))
        elif guess is None:
            u = hierarchy.release(hierarchy.start(f, watch=False))
        else:
            u = hierarchy.release(hierarchy.cycle(hierarchy.data(guess), f, watch=False))
        if not torch.isfinite(u.flatten(1)[:, 0]).all():  # a NaN anywhere reaches every unknown
            finite("f", b, CLEAN)
            raise FloatingPointError(f"the solution is not finite: it overflows in {b.dtype}. Scale the problem.")
        return Outcome(u, [], "full multigrid", guess is not None)

    def _iterate(self, hierarchy: Hierarchy, b: Tensor, guess: Tensor | None, stop: Stop) -> Outcome:
        assert stop.tol is not None
        scale = hierarchy.norms(None, hierarchy.data(b))
        low, high = SQUARABLE[b.dtype]
        if ((scale < low) | (scale > high)).any():
            return self._rescaled(hierarchy, b, guess, stop)
        try:
            return iterate(hierarchy, b, guess, stop.tol, stop.max_cycles, self._roundoff(b), stop.callback, scale)
        except FloatingPointError:
            finite("f", b, CLEAN)
            if guess is not None:
                finite("guess", guess, "Pass None to start from scratch.")
            raise

    def _rescaled(self, hierarchy: Hierarchy, b: Tensor, guess: Tensor | None, stop: Stop) -> Outcome:
        """The problem is linear: solve for data of size 1 where squares of b would under- or overflow."""
        finite("f", b, CLEAN)
        assert stop.tol is not None
        size = b.abs().amax(self._dims, keepdim=True)
        size = torch.where(size == 0, torch.ones_like(size), size)
        begin, unit = None if guess is None else guess / size, b / size
        outcome = iterate(hierarchy, unit, begin, stop.tol, stop.max_cycles, self._roundoff(unit), stop.callback)
        outcome.u = outcome.u * size
        if not torch.isfinite(outcome.u).all():
            raise FloatingPointError(f"the solution is too large for {b.dtype}: it overflows. Scale the problem.")
        return outcome

    def _hierarchy(self, b: Tensor, symmetric: bool = False) -> Hierarchy:
        """The levels for b's batch, dtype and device; the last ones are kept."""
        key = (len(b), b.dtype, b.device, symmetric)
        if key not in self._hierarchies:
            self._hierarchies = {key: self._build(b, symmetric)}
        return self._hierarchies[key]

    def _build(self, b: Tensor, symmetric: bool) -> Hierarchy:
        scheme = self.scheme
        if self._constant is None:
            robust = self._robust(b)
            self.sizes = robust.sizes
            return robust
        a, c = self._constant
        on_cuda = cuda.fusible(self.A.axes, b.device)
        chain = grids(self.A.axes, a, cuda.DIRECT_WORK if on_cuda else DIRECT_WORK)
        self.sizes = [_size(axes) for axes in chain]
        if on_cuda and len(chain) > 1:
            from mgnet.pde.cuda.hierarchy import CudaHierarchy

            like = b.new_zeros(())
            return CudaHierarchy(chain, a, c, like, len(b), scheme.smoother, scheme.nu, scheme.gamma, symmetric)
        if fusible(chain, b.device) and len(chain) > 1:
            return FusedHierarchy(chain, a, c, b.dtype, len(b), scheme.smoother, scheme.nu, scheme.gamma, symmetric)
        levels, transfers = readable_levels(chain, a, c, b.new_zeros(()), scheme.smoother, scheme.nu, symmetric)
        return ReadableHierarchy(levels, transfers, self.A.like(b), scheme.gamma)

    def _robust(self, b: Tensor) -> Robust:
        """Operator-induced multigrid."""
        from mgnet.pde.kernels.blackbox import FusedBlackBox, fusible

        scheme, ratio = self.scheme, contrast(self.A)
        precision, gamma = levels_precision(ratio, b.dtype), index(ratio, scheme.gamma)
        if fusible(self.A, b.device):
            return FusedBlackBox(self.A, b, scheme.nu, gamma, scheme.smoother, precision, len(b))
        forms = READABLE
        if cuda.fusible(self.A.axes, b.device):
            from mgnet.pde.cuda.blackbox import TRITON as forms
        return ReadableBlackBox(self.A, b, scheme.nu, gamma, scheme.smoother, precision, forms)

    def _accelerated(self, hierarchy: Hierarchy, tol: float | None) -> Hierarchy:
        """Conjugate gradients where the hierarchy serves them and its cycle is symmetric."""
        if self._constant is None and self._symmetric:
            return ConjugateGradients(cast(Robust, hierarchy), tol)
        return hierarchy

    @property
    def _symmetric(self) -> bool:
        return self.scheme.nu[0] == self.scheme.nu[1]

    def _roundoff(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        """u -> 2 eps || |A||u| + |b| || per member: the residual that rounding alone leaves."""
        eps, A = torch.finfo(b.dtype).eps, self.A.like(b)

        def bound(u: Tensor) -> Tensor:
            return 2 * eps * torch.linalg.vector_norm(A.magnitude(u) + b.abs(), dim=self._dims)

        return bound

    def _nullspace(self, like: Tensor) -> Nullspace:
        """What a singular A maps to zero, in like's dtype and on its device."""
        kept = self._kept_nullspace
        if kept is None or kept.w.dtype != like.dtype or kept.w.device != like.device:
            kept = Nullspace(self.A.like(like).weigh(like.new_ones(self._shape)))
            self._kept_nullspace = kept
        return kept


def _size(axes: Any) -> int:
    size = 1
    for axis in axes:
        size *= axis.n
    return size
