"""Fourth order by deferred correction on the second-order levels.

The second-order solution obeys u_2 = u + h^2 e + O(h^4) with a smooth e, so its differences give the
truncation error of A to leading order, and A u_4 = b + tau(u_2) is solved once more. On the axis d

    inside                       - a h^2 / 12 u''''
    Dirichlet face (cells)       g + h^2 / 8 u''           the ghost value is 2 g - u
    Neumann or Robin end         g + (alpha h^2 / 8 u'') + a h^2 / s d^3u/dn^3,   s = 6 (nodes), 24 (cells)

with alpha's term for cells alone. Differences near an end are extrapolated from the inside. In the
corners of a box e behaves like r^2 log r, which costs a logarithm there (fitted orders: 3.7 to 4.3).

Source: Pereyra 1967, Numer. Math. 10, 316; Adams, MUDPACK's mud24.
"""

import torch
from torch import Tensor

from mgnet.pde.axis import DIRICHLET, Axis, Robin
from mgnet.pde.problem import Poisson

FEWEST = 6  # unknowns along an axis for a fourth difference that can be extrapolated


def check_order(order: object, problem: Poisson, tol: float | None = 1.0) -> None:
    """Say where the fourth order is not to be had."""
    if order not in (2, 4) or isinstance(order, bool):
        raise ValueError(f"`order` must be 2 or 4; it is {order!r}.")
    if order == 2:
        return
    if problem.constant_a is None:
        raise ValueError("`order` = 4 needs an `a` of numbers (one, or one per axis). Pass order=2 for this `a`.")
    if tol is None:
        raise ValueError("`order` = 4 needs a tolerance; tol=None stops at second order. Pass a `tol`, 1e-10 say.")
    for d, axis in enumerate(problem.grid.axes):
        if axis.n < FEWEST:
            raise ValueError(f"`order` = 4 needs at least {FEWEST} unknowns on each axis; axis {d} has {axis.n}.")


def truncation(problem: Poisson, u: Tensor) -> Tensor:
    """tau(u), in the units of b.

    Parameters
    ----------
    u : (*batch, *grid)   the second-order solution
    """
    A, total = problem.A.like(u), torch.zeros_like(u)
    assert problem.constant_a is not None
    for d, (axis, a) in enumerate(zip(problem.grid.axes, problem.constant_a, strict=True)):
        dim = d - problem.grid.ndim
        total = total - A.weigh(a * axis.h**2 / 12 * _fourth(u, axis, dim))
        if axis.periodic:
            continue
        for side in (0, 1):
            g = _datum(u, axis, a, dim, side)
            if g is not None:
                total = total + problem.datum(g.squeeze(dim), d, side)
    return total


def _datum(u: Tensor, axis: Axis, a: float, dim: int, side: int) -> Tensor | None:
    """What is added to the boundary data of an end; u with 1 along ``dim``."""
    end = (axis.low, axis.high)[side]
    v = (u if side == 0 else u.flip(dim)).narrow(dim, 0, 5)  # from the end inwards
    if axis.centering == "node":
        return None if end == DIRICHLET else a * axis.h**2 / 6 * -_third(v, axis.h, dim, 1.5)
    second = axis.h**2 / 8 * _second(v, axis.h, dim)
    if end == DIRICHLET:
        return second
    alpha = end.alpha if isinstance(end, Robin) else 0.0
    return alpha * second - a * axis.h**2 / 24 * _third(v, axis.h, dim, 2.0)


def _second(v: Tensor, h: float, dim: int) -> Tensor:
    """u'' half a mesh width before the first of v; differences sit 3/2 and 5/2 inside."""
    D = torch.diff(v, n=2, dim=dim) / h**2
    return 2.5 * D.narrow(dim, 0, 1) - 1.5 * D.narrow(dim, 1, 1)


def _third(v: Tensor, h: float, dim: int, inside: float) -> Tensor:
    """u''' along v at the end, ``inside`` mesh widths before the first difference."""
    D = torch.diff(v, n=3, dim=dim) / h**3
    return (1 + inside) * D.narrow(dim, 0, 1) - inside * D.narrow(dim, 1, 1)


def _fourth(u: Tensor, axis: Axis, dim: int) -> Tensor:
    """u'''' at the unknowns of an axis."""
    if axis.periodic:
        n = axis.n
        u = torch.cat([u.narrow(dim, n - 2, 2), u, u.narrow(dim, 0, 2)], dim=dim)
        return torch.diff(u, n=4, dim=dim) / axis.h**4
    D = torch.diff(u, n=4, dim=dim) / axis.h**4
    m = D.shape[dim]
    before = [(1 + s) * D.narrow(dim, 0, 1) - s * D.narrow(dim, 1, 1) for s in (2, 1)]
    after = [(1 + s) * D.narrow(dim, m - 1, 1) - s * D.narrow(dim, m - 2, 1) for s in (1, 2)]
    return torch.cat([*before, D, *after], dim=dim)
