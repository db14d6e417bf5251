"""One problem on several processes: what ``Multigrid`` does, of local blocks, with sums over all processes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.cuda.memory import on_device
from mgnet.pde.distributed.data import right_hand_side, weigh
from mgnet.pde.distributed.levels import REACH, EveryonesLevels, SharedLevels, parts
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.passes import windows_of
from mgnet.pde.distributed.sums import Sums
from mgnet.pde.levels.nested import boundary_parts, on_grid
from mgnet.pde.levels.smoothers import COLOURED, steps
from mgnet.pde.outer.backends import Constant, serve
from mgnet.pde.outer.iterate import Outcome, iterate
from mgnet.pde.outer.iteration import Cycles
from mgnet.pde.outer.makers import serve_passes
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.poisson import Poisson

SLAB = 64  # planes whose rounding is asked for at once


class Partitioned:
    """The levels for one operator with constant coefficients.

    Parameters
    ----------
    multigrid : of the whole problem, which is asked how to solve it, and solves nothing
    singular : whether A maps constants to zero
    """

    def __init__(self, multigrid: Multigrid, partition: Partition, singular: bool):
        self.multigrid, self.partition = multigrid, partition
        self._sums = Sums(partition, np.array([[singular]]))
        self._ndim = multigrid.base.ndim
        self._levels: dict[tuple[int, torch.dtype], SharedLevels | EveryonesLevels] = {}

    def run(
        self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool = False, parts: Sequence[Tensor] = ()
    ) -> Outcome:
        """Solve A u = b, of this process's block: (batch, *block); parts as ``boundary_parts`` makes them.

        One full pass, for tol None, takes no guess: it ends at the discretisation error from any.
        """
        with on_device(b, self._ndim, True):
            return self._run(b, guess, stop, project, parts)

    def _run(self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool, parts: Sequence[Tensor]) -> Outcome:
        b = self._sums.compatible(b, check=not project)
        levels = self._of(b)
        if stop.tol is None:
            f = levels.data(b)
            u = Cycles(levels).further(levels.full_multigrid(f, False, parts), f, self.multigrid.finishing)
            outcome = Outcome(levels.release(u), [], "full multigrid")
        else:
            outcome = self._iterate(levels, b, None if guess is None else self._sums.centred(guess), stop)
        if stop.tol is None:  # else its residual is finite; a NaN anywhere reaches all unknowns
            self._sums.finite(outcome.u.flatten(1)[:, :1])
        return replace(outcome, u=self._sums.centred(outcome.u))

    def _iterate(self, levels: SharedLevels | EveryonesLevels, b: Tensor, guess: Tensor | None, stop: Stop) -> Outcome:
        if levels.richardson.rho is None:
            levels.richardson.rho = self.multigrid.levels.contraction(b)
        roundoff = partial(self._rounding, b=b)
        assert stop.tol is not None
        return iterate(
            Cycles(levels), levels.data(b), guess, stop.tol, stop.max_cycles, roundoff, stop.callback,
            of_guess=stop.of_guess, changed=self._sums.change,
        )  # fmt: skip

    def _of(self, b: Tensor) -> SharedLevels | EveryonesLevels:
        """The levels for b's batch and dtype; the last ones stay."""
        key = len(b), b.dtype
        if key not in self._levels:
            self._levels = {key: self._made(b)}
        return self._levels[key]

    def _made(self, b: Tensor) -> SharedLevels | EveryonesLevels:
        levels, scheme = self.multigrid.levels, self.multigrid.levels.scheme
        assert levels.constant is not None
        (a, c), chain = levels.constant, levels.chain(b.device)
        levels.sizes = tuple(prod(axis.n for axis in axes) for axes in chain)
        spoilt = sum(len(way) for way in steps(scheme.smoother, scheme.nu, self._ndim, False, 0.0))
        least, coloured = self.partition.least(b.device), scheme.smoother in COLOURED
        shared = parts(chain, self.partition, spoilt + REACH, least, coloured)
        rest = chain[shared.shared :]
        whole = b.new_zeros((len(b), *(axis.n for axis in rest[0])))
        gathered, once = (
            serve(Constant(whole, scheme.smoother, scheme.nu, index, rest, a, c, False))
            for index in (levels.gamma, 1 if levels.gamma == "F" else levels.gamma)
        )
        if not shared.shared:
            return EveryonesLevels(self.partition, gathered)
        asked = windows_of(chain, shared.windows, a, c, (scheme.smoother, scheme.nu), b.new_zeros(()), len(b))
        how = len(b), scheme.nu[0] > 0, levels.gamma
        return SharedLevels(self.partition, serve_passes(asked), *how, gathered, once, shared)

    def boundary_parts(self, problem: Poisson, boundary: Any, like: Tensor) -> list[Tensor]:
        """The boundary data's part of b: blocks of grids that are shared and of the one gathered, then whole grids."""
        made = self._of(like)
        cuts = made.parts.cuts if isinstance(made, SharedLevels) else []
        whole = boundary_parts(problem, boundary, like, self.multigrid.levels.scheme.smoother, max(len(cuts) - 1, 0))
        blocks = []
        for l, each in enumerate(cuts):
            coarse, data = on_grid(problem, boundary, self.multigrid.levels.chain(like.device)[l])
            partition = self.partition.on(coarse.grid, each)
            zero = like.new_zeros((1, *partition.shape))
            blocks.append(right_hand_side(coarse, partition, zero, data))
        return blocks + [part.reshape(-1, *part.shape[-self._ndim :]) for part in whole]

    def _rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """2 eps || |A||u| + |b| ||, the neighbours' planes taken for this block's own next to them; slab by slab."""
        squares, n = u.new_zeros(len(u), dtype=torch.float64), u.shape[1]
        for begin in range(0, n, SLAB):
            slab = self._magnitude(u, b, begin, min(begin + SLAB, n))
            squares += torch.linalg.vector_norm(slab.flatten(1), dim=1, dtype=torch.float64) ** 2
        return 2 * torch.finfo(b.dtype).eps * np.sqrt(self.partition.total(squares))

    def _magnitude(self, u: Tensor, b: Tensor, begin: int, end: int) -> Tensor:
        """|A||u| + |b| of planes [begin, end) of this block."""
        A, (rows, *others) = self.multigrid.base, self.partition.slices
        planes = [slice(rows.start + begin, rows.start + end), *others]
        near = u[:, max(begin - 1, 0) : end + 1].abs()
        size, above = near[:, begin - max(begin - 1, 0) :][:, : end - begin], end + 1 - u.shape[1]
        total = b[:, begin:end].abs()
        total = total if A.c is None else total + weigh(self.partition, A.c.to(u) * size, begin=begin)
        for d, k in enumerate(A.k):
            dim = d - self._ndim
            k = k.to(u).narrow(dim, planes[d].start, planes[d].stop - planes[d].start + 1)
            wide = size if d else near
            low = torch.cat([wide.narrow(dim, 0, 1), wide], dim) if d or begin == 0 else wide
            high = torch.cat([wide, wide.narrow(dim, wide.shape[dim] - 1, 1)], dim) if d or above > 0 else wide
            n = size.shape[dim]
            below, beyond = low.narrow(dim, 0, n), high.narrow(dim, high.shape[dim] - n, n)
            both = k.narrow(dim, 0, n) * (size + below) + k.narrow(dim, 1, n) * (size + beyond)
            total = total + weigh(self.partition, both, but=d, begin=begin)
        return total
