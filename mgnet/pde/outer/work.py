"""What a cycle costs, and a solve."""

from functools import cache

from mgnet.pde.outer.acceleration import Kind, begins_from_zero
from mgnet.pde.outer.choice import Levels
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.krylov import ConjugateGradients
from mgnet.pde.outer.stopping import DONE


@cache
def cycle_work(sizes: tuple[int, ...], nu: tuple[int, int], gamma: int | str) -> float:
    """Work units of one cycle: applications of A, in units of the finest grid's.

    A sweep is one application, and so is the residual that goes down; transfers are not counted.

        W_l = nu_1 + nu_2 + 1 + visits(l + 1) W_{l+1},   W_coarsest = 1,   each times N_l / N_0

    Source: Brandt 1977, section 6.

    Example
    -------
    >>> cycle_work((64, 16, 4), (1, 1), 1)
    3.8125
    """
    visits = [1.0]
    for l in range(1, len(sizes)):
        if l == len(sizes) - 1:
            visits.append(visits[-1])  # the coarsest grid is solved, not cycled
        elif gamma == "F":
            visits.append(l + 1.0)
        else:
            visits.append(visits[-1] * int(gamma))
    passes = [nu[0] + nu[1] + 1.0] * (len(sizes) - 1) + [1.0]
    return sum(v * p * n for v, p, n in zip(visits, passes, sizes, strict=True)) / sizes[0]


@cache
def full_multigrid_work(sizes: tuple[int, ...], nu: tuple[int, int], gamma: int | str) -> float:
    """Work units of one full multigrid pass: a cycle from every grid up.

    Example
    -------
    >>> full_multigrid_work((64, 16, 4), (1, 1), 1)
    4.6875
    """
    return sum(cycle_work(sizes[l:], nu, gamma) * sizes[l] for l in range(len(sizes))) / sizes[0]


def solve_work(levels: Levels, kind: Kind, finishing: int, outcome: Outcome) -> float:
    """Work units of a solve with an iteration around the cycles, of which ``finishing`` follow a full pass."""
    how, cycles = (levels.sizes, levels.scheme.nu, levels.gamma), len(outcome.residuals) - 1
    one = cycle_work(*how) * (1 + levels.alternates) + kind.applications
    first = one if begins_from_zero(levels) else full_multigrid_work(*how)
    if not outcome.residuals or outcome.status == DONE:
        return first + one * (finishing + kind.finishing + max(cycles, 0)) + float(outcome.guessed)
    if cycles and not outcome.guessed and kind is not ConjugateGradients:
        return first + one * (cycles - 1)
    return one * cycles
