"""Which grids levels of constant coefficients lie on, and where such levels serve."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np

from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin
from mgnet.pde.problem.operators import Operator
from mgnet.pde.problem.poisson import Poisson

ISOTROPIC = 0.3  # an axis with at least this share of the strongest coupling a / h^2 is coarsened
CLAMPED = 1e9, 1e11  # alpha h / a of a node: where there are levels, or elimination in 1-D; where modes are found
DIRECT_WORK = 300_000  # multiply-adds of a direct solve that is cheaper than another level


def work_of(axes: Sequence[Axis]) -> int:
    """Multiply-adds of a direct solve with coefficients that are numbers."""
    return prod(axis.n for axis in axes) * sum(axis.n for axis in axes)


@lru_cache(maxsize=64)  # one solve asks for the same ones several times, and the next one again
def grids(
    axes: tuple[Axis, ...], a: tuple[float, ...], direct_work: int = DIRECT_WORK, line: int | None = None
) -> tuple[tuple[Axis, ...], ...]:
    """The axes of every grid, finest first.

    Only strongly coupled axes are coarsened, until all couplings are alike: point smoothers then work for any constant
    anisotropy and any aspect of the mesh.

    line : the axis along which lines are smoothed
    """
    chain = [axes]
    while work_of(chain[-1]) > direct_work:
        coarse = _coarsen(chain[-1], a, line)
        if coarse == chain[-1]:
            break
        chain.append(coarse)
    return tuple(chain)


def _coarsen(axes: Sequence[Axis], a: Sequence[float], line: int | None) -> tuple[Axis, ...]:
    chosen = semicoarsened(_couplings(axes, a), [axis.intervals >= 4 for axis in axes], () if line is None else (line,))
    return tuple(axis.coarsen() if yes else axis for axis, yes in zip(axes, chosen, strict=True))


def semicoarsened(couplings: Sequence[float], can: Sequence[bool], lines: Sequence[int]) -> list[bool]:
    """Which axes to coarsen of those that can be: those coupled about as strongly as the strongest of them.

    Axes along which lines are solved always are, and do not count among the others.
    Source: Trottenberg et al. 2001, section 5.1.
    """
    among = [s for d, (s, ok) in enumerate(zip(couplings, can, strict=True)) if ok and d not in lines]
    strongest = max(among, default=0.0)
    least = min(ISOTROPIC * strongest, strongest)
    return [ok and (d in lines or s >= least) for d, (s, ok) in enumerate(zip(couplings, can, strict=True))]


def _couplings(axes: Sequence[Axis], a: Sequence[float]) -> list[float]:
    return [a_d / axis.h**2 for axis, a_d in zip(axes, a, strict=True)]


@lru_cache(maxsize=64)
def thin_axis(axes: tuple[Axis, ...], a: tuple[float, ...], direct_work: int = DIRECT_WORK) -> int | None:
    """The axis that is too short to be coarsened while its coupling is still the strongest, if there is one.

    Points do not smooth what is constant along it, as Neumann and periodic ends allow; lines do.
    """
    for fine, coarse in pairwise(grids(axes, a, direct_work)):
        s = _couplings(fine, a)
        d = int(np.argmax(s))
        held = fine[d].n == 1 or fine[d].low == fine[d].high == DIRICHLET
        weak = any(f != c and s_e < ISOTROPIC * s[d] for f, c, s_e in zip(fine, coarse, s, strict=True))
        if fine[d] == coarse[d] and weak and not held:
            return d
    return None


def line_axis(smoother: Smoother, axes: tuple[Axis, ...], a: tuple[float, ...]) -> int | None:
    """The axis along which a line smoother solves: a thin one, or the one with the strongest coupling."""
    if smoother != "zebra":
        return None
    thin = thin_axis(axes, a)
    return int(np.argmax(_couplings(axes, a))) if thin is None else thin


def constants(problem: Poisson) -> tuple[tuple[float, ...], float] | None:
    """(a per axis, c) if all coefficients are numbers, and no end ``clamps`` its unknowns, else None."""
    known = problem.constant
    return None if known is None or clamps(problem.grid.axes, known[0]) else known


def constants_of(problem: Poisson, A: Operator) -> tuple[tuple[float, ...], float] | None:
    """The same of a problem's operator as plain tensors; also where a scalar tensor came."""
    uniform = problem.domain is None and problem.grid.uniform and problem.grid.has_numbers
    if problem.constant is not None or not (uniform and problem.has_numbers):
        return constants(problem)
    k, c = A.base.k, A.base.c
    if any(v.ndim > problem.grid.ndim for v in k) or (c is not None and c.ndim > 0):
        return None  # one number per member of a batch
    middle = [v.flatten()[axis.n // 2] for v, axis in zip(k, problem.grid.axes, strict=True)]
    if any(axis.n < 2 for axis in problem.grid.axes):
        return None
    a = tuple(float(v) * axis.h**2 for v, axis in zip(middle, problem.grid.axes, strict=True))
    return None if clamps(problem.grid.axes, a) else (a, 0.0 if c is None else float(c))


def clamps(axes: Sequence[Axis], a: Sequence[float], most: float | None = None) -> bool:
    """Whether an alpha, of a penalty, say, is so large that it fixes the unknowns on its end.

    most : of alpha h / a; None: what levels of numbers take

    Corrections of levels whose coefficients are numbers move these, the more the larger it is: cycles grow, and from
    1e20 on do not converge, and one full pass is wrong; of a direct solve's modes all lose digits to the largest.
    Black-box interpolation leaves them where they are.
    """
    most = CLAMPED[len(axes) > 1 and work_of(axes) <= DIRECT_WORK] if most is None else most
    return any(
        isinstance(end, Robin) and axis.centering == "node" and not end.varies and end.alpha * axis.h > most * a_d
        for axis, a_d in zip(axes, a, strict=True)
        for end in (axis.low, axis.high)
    )
