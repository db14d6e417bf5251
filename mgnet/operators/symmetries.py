"""The symmetries of a box: flips, and changes of axes of equal length. In two dimensions the square's eight.

Where an equation and its data's law look the same from every side, a turned sample is a new one, for nothing.
"""

from itertools import permutations, product

import torch
from torch import Tensor

Symmetry = tuple[tuple[int, ...], tuple[int, ...]]  # a permutation of the axes, then those that are flipped


def symmetries(grid: tuple[int, ...]) -> list[Symmetry]:
    """All of a grid's, the identity first.

    Example
    -------
    >>> len(symmetries((8, 8))), len(symmetries((8, 6))), len(symmetries((4, 4, 4)))
    (8, 4, 48)
    """
    ndim = len(grid)
    orders = [order for order in permutations(range(ndim)) if tuple(grid[d] for d in order) == grid]
    flips = [tuple(d for d in range(ndim) if chosen[d]) for chosen in product((False, True), repeat=ndim)]
    return [(order, flip) for order in orders for flip in flips]


def turned(v: Tensor, symmetry: Symmetry) -> Tensor:
    """A function (..., *grid) as it looks from elsewhere.

    Example
    -------
    >>> turned(torch.tensor([[1, 2], [3, 4]]), ((1, 0), (0,))).tolist()
    [[2, 4], [1, 3]]
    """
    order, flips = symmetry
    lead = v.ndim - len(order)
    v = v.permute(*range(lead), *(lead + d for d in order))
    return v.flip([lead + d for d in flips]) if flips else v


def mean_over(v: Tensor, chosen: list[Symmetry]) -> Tensor:
    """The mean of a function over some symmetries."""
    return torch.stack([turned(v, symmetry) for symmetry in chosen]).mean(0)
