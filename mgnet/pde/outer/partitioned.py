"""One problem on several processes: what ``Multigrid`` does, of local blocks, with sums over all processes."""

from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.levels import REACH, EveryonesLevels, SharedLevels, parts
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.outer.backends import Constant, serve
from mgnet.pde.outer.iterate import Outcome, iterate, relative
from mgnet.pde.outer.multigrid import Multigrid, Stop
from mgnet.pde.problem.conductances import along
from mgnet.pde.problem.nullspace import largest_mean


class Partitioned:
    """The levels for one operator with constant coefficients.

    Parameters
    ----------
    multigrid : of the whole problem, which is asked how to solve it, and solves nothing
    """

    def __init__(self, multigrid: Multigrid, partition: Partition):
        self.multigrid, self.partition = multigrid, partition
        self._ndim = multigrid.base.ndim
        self._levels: dict[tuple[int, torch.dtype], SharedLevels | EveryonesLevels] = {}

    def run(self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool = False) -> Outcome:
        """Solve A u = b, of this process's block: (batch, *block)."""
        if self.multigrid.null is not None:
            b = self._compatible(b, check=not project)
        levels = self._of(b)
        f = levels.data(b)
        if stop.tol is None:
            u = levels.cycle(levels.data(guess), f, False) if guess is not None else levels.full_multigrid(f, False)
            for _ in range(0 if guess is not None else self.multigrid.finishing):
                u = levels.cycle(u, f, measure=False)
            outcome = Outcome(levels.release(u), [], "full multigrid", guess is not None)
        else:
            outcome = self._iterate(levels, f, b, guess, stop)
        self._finite(outcome.u)
        return outcome if self.multigrid.null is None else replace(outcome, u=self._centred(outcome.u))

    def _iterate(
        self, levels: SharedLevels | EveryonesLevels, f: np.ndarray, b: Tensor, guess: Tensor | None, stop: Stop
    ) -> Outcome:
        if levels.richardson.rho is None:
            levels.richardson.rho = self.multigrid.levels.contraction(b)
        roundoff = partial(self._rounding, b=b)
        how = stop.tol, stop.max_cycles, roundoff, stop.callback
        return iterate(levels, f, guess, *how, of_guess=stop.of_guess, changed=self._change)

    def _of(self, b: Tensor) -> SharedLevels | EveryonesLevels:
        """The levels for b's batch and dtype; the last ones stay."""
        key = len(b), b.dtype
        if key not in self._levels:
            self._levels = {key: self._made(b)}
        return self._levels[key]

    def _made(self, b: Tensor) -> SharedLevels | EveryonesLevels:
        levels, scheme = self.multigrid.levels, self.multigrid.levels.scheme
        assert levels.constant is not None
        (a, c), chain = levels.constant, levels.chain()
        shared = parts(chain, self.partition, sum(scheme.nu) + REACH)
        rest = chain[shared.shared :]
        whole = b.new_zeros((len(b), *(axis.n for axis in rest[0])))
        gathered = serve(Constant(whole, scheme.smoother, scheme.nu, levels.gamma, rest, a, c, False))
        if not shared.shared:
            return EveryonesLevels(self.partition, gathered)
        how = scheme.smoother, scheme.nu, levels.gamma
        return SharedLevels(self.partition, chain, a, c, b.dtype, len(b), *how, gathered, shared)

    # Sums over all processes -----------------------------------------------------------------------------------------

    @cached_property
    def _shares(self) -> list[Tensor]:
        """Per axis the shares of a cell of this block's unknowns."""
        axes = self.multigrid.base.axes
        return [
            along(torch.from_numpy(np.ascontiguousarray(axis.share[there])), d, len(axes))
            for d, (axis, there) in enumerate(zip(axes, self.partition.slices, strict=True))
        ]

    def weigh(self, v: Tensor, but: int | None = None) -> Tensor:
        """v times the shares along every axis (but one)."""
        for d, share in enumerate(self._shares):
            v = v if d == but else v * share.to(v)
        return v

    def _totals(self, *each: Tensor) -> np.ndarray:
        """(numbers, batch) the sums of each over the grid."""
        local = [v.double().flatten(1).sum(1).numpy() for v in each]
        return self.partition.total(np.stack(local))

    def _compatible(self, b: Tensor, check: bool) -> Tensor:
        one = torch.ones((len(b), *self.partition.shape), dtype=torch.float64)
        total, size, squares, cells = self._totals(b, b.abs(), b.double().square(), self.weigh(one))
        null = self.multigrid.null
        assert null is not None
        mean = total / cells
        if check and not (np.abs(mean) <= largest_mean(size, squares, cells, null.slope, b.dtype)).all():
            raise ValueError(
                f"`f` must have mean zero (with the boundary data, weighted by each unknown's share of a cell): nothing "
                f"fixes u but up to a constant. The mean is {mean[np.abs(mean).argmax()]:.3g}. Subtract the mean of the "
                f"whole f, or pass project=True to have it taken out."
            )
        return b - self.weigh(torch.from_numpy(mean).to(b).reshape(-1, *[1] * self._ndim).expand_as(b))

    def _centred(self, u: Tensor) -> Tensor:
        weighed = self.weigh(u.double())
        total, cells = self._totals(weighed, self.weigh(torch.ones_like(weighed)))
        return u - torch.from_numpy(total / cells).to(u).reshape(-1, *[1] * self._ndim)

    def _change(self, u: Tensor, before: Tensor | None) -> np.ndarray:
        if before is None:
            return np.full(len(u), np.inf)
        moved, size = self._totals((u - before).double().square(), u.double().square())
        return relative(np.sqrt(moved), np.sqrt(size))

    def _rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """2 eps || |A||u| + |b| ||, the neighbours' planes taken for this block's own next to them."""
        A, size = self.multigrid.base, u.abs()
        total = b.abs() if A.c is None else b.abs() + self.weigh(A.c.to(u).abs() * size)
        for d, k in enumerate(A.k):
            dim, there = d - self._ndim, self.partition.slices[d]
            k = k.to(u)
            k = k.narrow(dim, there.start, there.stop - there.start + 1) if d == 0 else k
            n = size.shape[dim]
            low, high = k.narrow(dim, 0, n), k.narrow(dim, 1, n)
            below = torch.cat([size.narrow(dim, 0, 1), size.narrow(dim, 0, n - 1)], dim)
            above = torch.cat([size.narrow(dim, 1, n - 1), size.narrow(dim, n - 1, 1)], dim)
            total = total + self.weigh(low * (size + below) + high * (size + above), but=d)
        (squares,) = self._totals(total.double().square())
        return 2 * torch.finfo(b.dtype).eps * np.sqrt(squares)

    def _finite(self, u: Tensor) -> None:
        bad = self.partition.total([float(not torch.isfinite(u).all())])
        if bad[0]:
            raise FloatingPointError("the solution is not finite: f or the guess has a NaN, or it overflows.")
