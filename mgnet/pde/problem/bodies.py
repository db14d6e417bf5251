"""Bodies: what is coupled strongly within, and held from without by less than a diagonal in floating point shows.

A metal in a gas, a chamber behind a foil, a domain that only a tiny c holds: u is nearly constant on a body, and which
constant depends on numbers that its diagonal rounds away. For a connected set of unknowns, z = 1 on it and 0 elsewhere,

    (z, A z) = sum of the couplings that leave it + sum of what c and the ends add to its diagonal

(no subtraction, so nothing of it is lost). It is a body if that is less than LOOSE of its diagonal, and if little of it
bends u within: per unknown less than RIGID of what its weakest link gives the smoothest wave.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.operators import Diffusion

LOOSE = 1e-12  # levels in float64 know a constant's energy well above 1e-14 of the diagonal's
LOOSE_OF_ORDER_4 = 1e-7  # whose cycles creep from there on
RIGID = 1e-3
LOST = 1e-16


@dataclass(frozen=True)
class Bodies:
    """The largest ones; those within them are left to who solves the problem on them.

    Parameters
    ----------
    number : (members, *grid) of the one that an unknown lies in, -1 in none; None: there is none
    lost : whether something that is none, being bent as easily as moved, is held by less than LOST of its diagonal
    """

    number: Tensor | None
    lost: bool


def bodies(A: Diffusion, loose: float = LOOSE) -> Bodies:
    """Of the connected sets at each power of ten of the couplings."""
    grid, links = tuple(axis.n for axis in A.axes), Links(A)
    number, found, lost = np.full(links.unknowns, -1), 0, False
    for weakest in links.strengths():
        label = links.connected(weakest)
        energy, diagonal, size = links.leaving(label), np.bincount(label, links.diagonal), np.bincount(label)
        known = np.zeros(len(size), bool)
        known[label[number >= 0]] = True
        held = (energy == 0) | known
        body = ~held & (energy < loose * diagonal) & (energy < RIGID * weakest * (pi / max(grid)) ** 2 * size)
        lost |= bool((~held & ~body & (energy < LOST * diagonal)).any())
        number = np.where(body[label], found + body.cumsum()[label] - 1, number)
        found += int(body.sum())
    if not found:
        return Bodies(None, lost)
    return Bodies(torch.from_numpy(_by_member(number.reshape(-1, *grid))).to(A.k[0].device), lost)


class Links:
    """The couplings of unknown i and j, and what c and the ends add, as numpy arrays; members lie side by side."""

    def __init__(self, A: Diffusion):
        grid = tuple(axis.n for axis in A.axes)
        batch = np.broadcast_shapes(*(v.shape[: -A.ndim] for v in A.tensors if v.ndim > A.ndim), (1,))
        shape = (*batch, *grid)
        index = np.arange(int(np.prod(shape))).reshape(shape)
        self.unknowns = index.size
        self.diagonal, self.excess = (_numbers(v, shape).ravel() for v in (A.diagonal, A.excess))
        pairs = [(index, np.roll(index, -1, d - A.ndim), _numbers(A.couplings(d), shape)) for d in range(A.ndim)]
        self.i, self.j, self.s = (np.concatenate([v.ravel() for v in each]) for each in zip(*pairs, strict=True))
        linked = self.s > 0
        self.i, self.j, self.s = self.i[linked], self.j[linked], self.s[linked]

    def strengths(self) -> list[float]:
        """The powers of ten at which there are couplings, the least one first."""
        return sorted(10.0 ** np.unique(np.floor(np.log10(self.s))))

    def connected(self, weakest: float) -> np.ndarray:
        """(unknowns,) the number of each one's component of couplings that strong."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        strong = self.s >= weakest * (1 - 1e-12)
        edges = (self.s[strong], (self.i[strong], self.j[strong]))
        return connected_components(coo_array(edges, shape=(self.unknowns, self.unknowns)), directed=False)[1]

    def leaving(self, label: np.ndarray) -> np.ndarray:
        """(z, A z) of each component."""
        a, b = label[self.i], label[self.j]
        out = a != b
        n = int(label.max()) + 1
        excess = np.bincount(label, self.excess, n)
        return excess + np.bincount(a[out], self.s[out], n) + np.bincount(b[out], self.s[out], n)


def _numbers(v: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(v.detach().double().cpu().numpy(), shape)


def _by_member(number: np.ndarray) -> np.ndarray:
    """Numbered anew from 0 in each member."""
    for member in number:
        inside = member >= 0
        member[inside] = np.unique(member[inside], return_inverse=True)[1].ravel()
    return number
