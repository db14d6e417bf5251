"""Functions from one grid's cells to another's on the same box, and a network that works on a grid of its own.

A network of convolutions learns stencils, and a stencil means something else at another mesh width. So data on
another grid are brought to the network's:

    R    means over the cells of the new grid, of a function that is constant on those of the old
    P    the spline whose means over the old cells are the values, its means over the new ones
         (the derivative of a cubic spline through the sums; de Boor, *A Practical Guide to Splines*)

Both keep the integral, and R P = 1 where the new cells lie within the old.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn


class OnGrid(nn.Module):
    """x -> P network(R x): a network asked on the grid that it knows, whatever the grid of x.

    Parameters
    ----------
    network : (N, channels, *grid) -> (N, channels, *grid)
    grid : points along each axis

    Example
    -------
    >>> OnGrid(nn.Identity(), (4,))(torch.arange(8.0).reshape(1, 1, 8)).squeeze().round(decimals=4).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """

    def __init__(self, network: nn.Module, grid: tuple[int, ...]):
        super().__init__()
        self.network, self.grid = network, tuple(grid)

    def forward(self, x: Tensor) -> Tensor:
        there = tuple(x.shape[2:])
        return transferred(self.network(transferred(x, self.grid, means)), there, spline)


def transferred(v: Tensor, grid: tuple[int, ...], along: Callable[[int, int], np.ndarray]) -> Tensor:
    """(N, channels, *grid) on another grid, by a matrix along each axis."""
    for axis, n in enumerate(grid, 2):
        if v.shape[axis] != n:
            M = torch.as_tensor(along(v.shape[axis], n)).to(v)
            v = torch.tensordot(v, M, ([axis], [1])).movedim(-1, axis)
    return v


@cache
def means(old: int, new: int) -> np.ndarray:
    """(new, old) R along an axis: each new cell's share of the old ones.

    Example
    -------
    >>> means(3, 2).round(3).tolist()
    [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    sums = np.vstack([np.zeros(old), np.tri(old)])  # at the old faces, of which they are linear between
    position = np.linspace(0, old, new + 1)
    at = np.stack([np.interp(position, np.arange(old + 1), column) for column in sums.T], axis=1)
    return np.diff(at, axis=0) * new / old


@cache
def spline(old: int, new: int) -> np.ndarray:
    """(new, old) P along an axis."""
    sums = np.vstack([np.zeros(old), np.tri(old)])
    at = make_interp_spline(np.arange(old + 1), sums, k=min(3, old))(np.linspace(0, old, new + 1))
    return np.diff(at, axis=0) * new / old
