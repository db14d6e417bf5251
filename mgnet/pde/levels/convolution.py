"""A PDE solver made of convolutions: the linear MgNet.

The same operators as the readable levels, written as stencils: A and B are convolutions, R a
convolution of stride 2, P its transpose. With learned weights and an activation these very levels
are MgNet; here they solve a Poisson problem.
"""

from math import log2

import torch
from torch import Tensor, nn

from mgnet.core import ConvLevel, convolution, transposed_convolution
from mgnet.pde.levels.smoothers import Smoother, omegas
from mgnet.pde.problem.axis import DIRICHLET
from mgnet.pde.problem.poisson import Poisson


def conv_levels(
    problem: Poisson, nu: tuple[int, int] = (2, 2), smoother: Smoother = "chebyshev", coarsest: int = 1
) -> list[ConvLevel]:
    """Levels of stencil convolutions for constant coefficients and zero Dirichlet values.

    A u = (a/h^2 stencil) * u,  B r = (omega / d) r,  R = full weighting of stride 2,  P = 2^dim R^T;
    on (N, 1, *grid) tensors. The coarsest grid is smoothed like the others.

    Parameters
    ----------
    problem : node-centred, Dirichlet, the same 2^k - 1 unknowns along each axis
    nu : sweeps down and up
    smoother : "chebyshev" or "jacobi"
    coarsest : unknowns per axis of the coarsest grid

    Returns
    -------
    Finest first; ``core.cycle`` and ``core.descend`` take them

    Raises
    ------
    ValueError : another grid, or coefficients that vary

    Example
    -------
    >>> from mgnet.core import cycle
    >>> from mgnet.pde import Grid
    >>> levels = conv_levels(Poisson(Grid((7, 7))))
    >>> len(levels)
    3
    >>> cycle(levels, None, torch.ones(1, 1, 7, 7, dtype=torch.float64)).shape
    torch.Size([1, 1, 7, 7])
    """
    grid = problem.grid
    n = grid.shape[0]
    regular = set(grid.shape) == {n} and log2(n + 1).is_integer() and grid.centering == "node"
    if problem.constant is None or not regular or any(end != DIRICHLET for pair in grid.bc for end in pair):
        raise ValueError(
            f"`problem` must have constant coefficients and node-centred Dirichlet axes of equal size 2^k - 1; "
            f"it is {grid}."
        )
    a, c = problem.constant
    like = problem.A.base.k[0]
    levels = []
    h = torch.tensor(grid.spacing, dtype=like.dtype)
    while n >= coarsest:
        levels.append(_level(torch.tensor(a, dtype=like.dtype) / h**2, c, nu, smoother))
        n, h = (n - 1) // 2, 2 * h
    return levels


def stencil(couplings: Tensor, c: float) -> Tensor:
    """The weight (1, 1, 3, ..., 3) of A: -x_d beside the centre along axis d, 2 sum x_d + c in it."""
    ndim = len(couplings)
    weight = torch.zeros((3,) * ndim, dtype=couplings.dtype)
    weight[(1,) * ndim] = 2 * couplings.sum() + c
    for d in range(ndim):
        for side in (0, 2):
            weight[tuple(side if e == d else 1 for e in range(ndim))] = -couplings[d]
    return weight[None, None]


def full_weighting(ndim: int, dtype: torch.dtype) -> Tensor:
    """The weight (1, 1, 3, ..., 3) of R: the product of (1/4, 1/2, 1/4)."""
    line = torch.tensor([0.25, 0.5, 0.25], dtype=dtype)
    weight = torch.ones((), dtype=dtype)
    for _ in range(ndim):
        weight = weight[..., None] * line
    return weight[None, None]


def _level(couplings: Tensor, c: float, nu: tuple[int, int], smoother: Smoother) -> ConvLevel:
    ndim = len(couplings)
    weight, weighting = stencil(couplings, c), full_weighting(ndim, couplings.dtype)
    diagonal = float(weight[(0, 0) + (1,) * ndim])
    down, up = ([_scaling(omega / diagonal, weight) for omega in omegas(smoother, n, ndim, c / diagonal)] for n in nu)
    return ConvLevel(
        A=convolution(weight),
        Bs=down,
        R=convolution(weighting, stride=2, padding=0),
        P=transposed_convolution(2**ndim * weighting, stride=2, padding=0),
        Bs_up=up[::-1],
    )


def _scaling(factor: float, like: Tensor) -> nn.Module:
    return convolution(torch.full((1,) * like.ndim, factor, dtype=like.dtype))
