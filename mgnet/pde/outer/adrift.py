"""Flows that hardly anything holds u against: they carry it from where nothing gives it.

Along v, u is what flows in. Where v comes in through an end that is not Dirichlet, or from a place that it flows away
from, u is fixed only by what diffuses there against it: less with each cell, by 1 + v h / a. A is soon singular but for
round-off. Inverse iteration tells, v <- (A + s D)^-1 s D v with A's diagonal D and small s, whatever cycles are worth.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.of_tensors import norms

VOID = 1e-2  # of ||b||, that rounding leaves of A u: beyond, a residual says nothing
SHIFTS = 1e-8, 1e-8, 1e-10, 1e-12  # s, less and less: what is held by more stays behind
ENOUGH = 1e-8, 20  # of each solve: relative residual, or cycles
ADRIFT = (
    "u is held by less than float64 shows: `velocity` carries it from where nothing gives it (ends that are not "
    "Dirichlet, or places that v flows away from), and next to nothing diffuses or reacts there, so rounding decides "
    "what u is. Give u where it flows from (a Dirichlet end or `fixed`), or pass a larger `a` or `c`."
)


def is_adrift(A: Convection, like: Tensor, solve: Callable[[Convection, Tensor], Tensor]) -> bool:
    """Whether A, which is not singular, leaves little but rounding of some v, for a member of the batch of ``like``.

    solve : (an operator, b) -> about u
    """
    v = torch.ones_like(like)
    for s in SHIFTS:
        shift = s * A.diagonal
        held = A.with_c(shift if A.c is None else A.c + shift)
        try:
            v = solve(held, A.weigh(shift * v))
        except FloatingPointError:
            return True
        v = v / v.abs().amax()
        left = 2 * torch.finfo(v.dtype).eps * A.rounding(v, torch.zeros_like(v))
        if not bool(torch.isfinite(v).all()) or (left > VOID * norms(A(v))).any():
            return True
    return False
