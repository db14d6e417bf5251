"""Cycles: the order in which the grids are visited. Nothing here knows what a grid is.

``descend`` is the left leg. It is MgNet's forward pass, and the first half of every ``cycle``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mgnet.core.level import Array, Level


class Leg(NamedTuple):
    """What the left leg leaves on one grid.

    Attributes
    ----------
    u : (N, c_u, *grid) the smoothed iterate
    f : (N, c_f, *grid) the datum of this grid
    u_c : where the next coarser grid began; None: zero, or no coarser grid
    """

    u: Array
    f: Array
    u_c: Array | None


def descend(levels: Sequence[Any], u: Array | None, f: Array) -> list[Leg]:
    """Go from the finest grid to the coarsest; smooth on each.

    (1) nu times, (2), (1) nu times, (2), ..., (1) nu times.

    Parameters
    ----------
    levels : finest first
    u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid) on the finest grid

    Returns
    -------
    list of Leg : one a grid, finest first; ``[-1].u`` is the feature a classifier pools

    Source: He & Xu 2019, arXiv:1901.10415, algorithm 1 (the back-slash cycle).

    Example
    -------
    A = 1 on both grids, B = 1/2 on the fine and A^-1 on the coarse one:

    >>> from mgnet.core import ConvLevel
    >>> half, same = lambda r: r / 2, lambda v: v
    >>> levels = [ConvLevel(same, [half], R=same, P=same), ConvLevel(same, [same])]
    >>> [(leg.u, leg.f) for leg in descend(levels, None, 8.0)]
    [(4.0, 8.0), (4.0, 4.0)]
    """
    legs = []
    for level, coarse in zip(levels[:-1], levels[1:], strict=True):
        u, u_c, f_c = level.down(u, f, coarse)
        legs.append(Leg(u, f, u_c))
        u, f = u_c, f_c
    legs.append(Leg(levels[-1].smooth(u, f), f, None))
    return legs


def cycle(levels: Sequence[Level], u: Array | None, f: Array, gamma: int | str = 1) -> Array:
    """One multigrid cycle: down, then up again.

    Parameters
    ----------
    gamma : cycle index; 1 is the V-cycle, 2 the W-cycle, "F" the F-cycle (each coarse grid is
        visited by an F- and then a V-cycle)
    levels : finest first
    u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid) on the finest grid

    Returns
    -------
    u : (N, c_u, *grid)   the iterate after the cycle

    Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001, sections 2.4-2.5.

    Example
    -------
    >>> from mgnet.core import ConvLevel
    >>> half, same = lambda r: r / 2, lambda v: v
    >>> levels = [ConvLevel(same, [half], R=same, P=same), ConvLevel(same, [same])]
    >>> cycle(levels, None, 8.0)
    8.0
    """
    legs = descend(levels, u, f)
    again = 1 if gamma == "F" else int(gamma) - 1
    after = legs[-1].u
    for l in reversed(range(len(levels) - 1)):
        if l + 2 < len(levels):  # the coarsest grid is solved, not cycled
            for _ in range(again):
                after = cycle(levels[l + 1 :], after, legs[l + 1].f, 1 if gamma == "F" else gamma)
        after = levels[l].up(legs[l].u, legs[l].f, legs[l].u_c, after)
    return after


def full_multigrid(
    levels: Sequence[Level],
    fs: Sequence[Array],
    interpolate: Callable[[int, Array], Array],
    gamma: int | str = 1,
) -> Array:
    """Nested iteration: solve the coarsest problem, interpolate, one cycle, and so on to the finest.

    Parameters
    ----------
    fs : one datum a grid, finest first
    interpolate : (l, u on grid l + 1) -> u on grid l, of higher order than the discretisation
    levels : finest first
    gamma : as for ``cycle``

    Returns
    -------
    u : (N, c_u, *grid)   accurate to the discretisation error in O(number of unknowns)

    Source: Brandt 1977, section 7; Trottenberg et al. 2001, section 2.6.

    Example
    -------
    >>> from mgnet.core import ConvLevel
    >>> half, same = lambda r: r / 2, lambda v: v
    >>> levels = [ConvLevel(same, [half], R=same, P=same), ConvLevel(same, [same])]
    >>> full_multigrid(levels, [8.0, 8.0], lambda l, u: u)
    8.0
    """
    u = levels[-1].smooth(None, fs[-1])
    for l in reversed(range(len(levels) - 1)):
        u = cycle(levels[l:], interpolate(l, u), fs[l], gamma)
    return u
