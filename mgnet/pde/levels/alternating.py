"""Cycles of an operator's levels that alternate with separation of variables, on stretched grids in space.

    u <- u + M (b - A u),     u <- u + S A_0^-1 S (b - A u),     u <- u + M (b - A u)

M is a cycle that smooths lines, A_0 the operator of a = 1 on the same grid, S^2 the ratio of its diagonal to that of A.
Where cells are thin along two axes at once, lines leave errors that are smooth in the planes of these axes and rough
across, and coarse grids do not know them. They feel the cells more than the coefficients, and A_0^-1 takes them away.
Scaled by S, a smooth a differs from 1 by a reaction alone: with v = a^1/2 u,

    -div(a grad u) = a^1/2 (-div grad v + v a^-1/2 div grad a^1/2).

Source: Concus & Golub 1973, SIAM J. Numer. Anal. 10, 1103 (the scaling).
"""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor

from mgnet.pde.levels.constant import operator
from mgnet.pde.levels.hierarchy import Hierarchy
from mgnet.pde.levels.preconditioner import Preconditioner
from mgnet.pde.levels.separable import separation
from mgnet.pde.problem.operators import Diffusion

ROUGH = 30.0  # ratio of a at neighbouring unknowns, from which on W-cycles of the levels alone are as fast (measured)


def alternates(A: Diffusion) -> bool:
    """Whether variables separate where a = 1, and A couples neighbours along the axes alone, and all of them, by an
    a that is not too rough.
    """
    if A.diagonal_couplings or not all(axis.has_numbers for axis in A.axes):
        return False
    inner = [k.narrow(d - A.ndim, 1, axis.n - 1) for d, (k, axis) in enumerate(zip(A.k, A.axes, strict=True))]
    A_0 = _of_one(A, A.k[0])
    if not all(bool((k > 0).all()) for k in inner) or separation(A_0) is None:
        return False
    a = (A.with_c(None).diagonal / A_0.diagonal).log()
    return all(
        not v.numel() or float(v.abs().amax()) <= log(ROUGH) for v in (a.diff(dim=-1 - d) for d in range(A.ndim))
    )


def nearby(A: Diffusion) -> tuple[Diffusion, Tensor]:
    """(A_0, S), in float64; A_0 has a number c."""
    wide = A.detached().like(A.k[0].new_zeros((), dtype=torch.float64))
    S = (_of_one(A, wide.k[0]).diagonal / wide.diagonal).sqrt()
    return _of_one(A, wide.k[0], 0.0 if wide.c is None else float((wide.c * S**2).mean())), S


def _of_one(A: Diffusion, like: Tensor, c: float = 0.0) -> Diffusion:
    return operator(A.axes, (1.0,) * A.ndim, c, like)


class Alternating(Preconditioner):
    """Two cycles of ``levels``, and the separation of variables in between.

    Parameters
    ----------
    levels : whose cycles are M
    A : u -> A u
    S : see above
    direct : solves for A_0
    """

    def __init__(self, levels: Hierarchy, A: Callable[[Tensor], Tensor], S: Tensor, direct: Any):
        self.levels, self._A, self._S, self._direct = levels, A, S, direct

    def apply(self, u: Tensor) -> Tensor:
        return self._A(u)

    def precondition(self, r: Tensor) -> Tensor:
        u = self._smoothed(None, r)
        left = self._S * (r - self._A(u))
        return self._smoothed(u + (self._S * self._direct.smooth(None, left)).to(u), r)

    def _smoothed(self, u: Tensor | None, r: Tensor) -> Tensor:
        levels, f = self.levels, self.levels.data(r)
        begin: Any = None if u is None else levels.data(u)
        return levels.release(levels.cycle(begin, f, measure=False))
