"""Corrections of clusters, parts of the grid that smoothers leave alone and the next coarser grid does not know.

Where coefficients jump, say between two materials from unknown to unknown, strongly coupled unknowns form
clusters that all others hold but weakly. What is constant on one and zero elsewhere, z, has little energy, so
steps of a smoother hardly change it; and if no coarse unknown lies in the cluster, or P ties those that do to
other clusters as well, no coarse vector comes near it. Each such cluster is corrected by itself:

    B r = sum_z z (z, r) / (z, A z)

as the last step down and the first one up. In the unit-diagonal form a constant is D^1/2.

Two unknowns are coupled strongly if by STRONG of what each is at most, and a cluster is a connected component.
It is corrected if (z, A z) < SLOW (z, z), and if it has no coarse unknown or (P e, A P e) > LOCKED (z, A z),
where e is constant on those it has. Iterations without and with, half of the cells 1, half 1e4, at random
(W-cycles): 127^2 179 and 37, 24^3 60 and 17.

Source: Nicolaides 1987 and Vuik, Segal & Meijerink 1999 (deflation by subdomains); the choice of clusters is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mgnet.pde.blackbox.interpolation import Coarsening, on_coarse
from mgnet.pde.blackbox.stencil import Stencil, shift

STRONG = 0.25
SLOW = 0.1
LOCKED = 3.0
NOTHING = 1e-13  # of the diagonal: less energy, or less of A z, is round-off of none
DAMPING = 0.85  # clusters side by side correct the same difference: undamped they could only swap it


@dataclass(frozen=True)
class Clusters:
    """B: (batch, *grid) -> (batch, *grid).

    Parameters
    ----------
    at : where the clusters' unknowns lie in (members, *grid), cluster by cluster; members : 1 or batch
    z : of those unknowns
    cluster : the number of each one's cluster
    inverse : (clusters,) DAMPING / (z, A z)
    size : of (members, *grid)
    """

    at: Tensor
    z: Tensor
    cluster: Tensor
    inverse: Tensor
    size: int

    def __call__(self, r: Tensor) -> Tensor:
        rows = r.reshape(-1, self.size)
        sums = rows.new_zeros(len(rows), len(self.inverse))
        sums.index_add_(1, self.cluster, self.z * rows[:, self.at])
        out = torch.zeros_like(rows)
        out[:, self.at] = self.z * (self.inverse * sums)[:, self.cluster]
        return out.reshape(r.shape)

    def to(self, like: Tensor) -> "Clusters":
        return Clusters(self.at, self.z.to(like), self.cluster, self.inverse.to(like), self.size)


def slow_clusters(
    unit: Stencil, scale: Tensor, unit_c: Stencil, scale_c: Tensor, axes: Sequence[Coarsening]
) -> Clusters | None:
    """The clusters to correct on a grid, if any.

    Parameters
    ----------
    unit, scale : A with a unit diagonal, and D^-1/2;   unit_c, scale_c : of the next coarser grid
    axes : how it is coarsened
    """
    roots, label = components(unit).unique(return_inverse=True)
    K, z = len(roots), 1 / scale
    size = _sums(z * z, label, K)
    energy = _energies(unit, z, label, K)
    label_c = on_coarse(label, axes, (0,) * unit.ndim)
    coarse_energy = _energies(unit_c, 1 / scale_c, label_c, K)
    unseen = torch.bincount(label_c.flatten(), minlength=K) == 0
    chosen = (energy < SLOW * size) & (energy > NOTHING * size) & (unseen | (coarse_energy > LOCKED * energy))
    if not chosen.any():
        return None
    flat = label.flatten()
    at = flat.argsort(stable=True)
    at = at[chosen[flat[at]]]
    number = chosen.cumsum(0) - 1
    return Clusters(at, z.flatten()[at], number[flat[at]], DAMPING / energy[chosen], label.numel())


def components(unit: Stencil) -> Tensor:
    """(members, *grid) the smallest index in each one's connected component of strong couplings.

    Every edge hangs the larger of its ends' roots below the smaller, then all trees are flattened, until no
    edge joins two.
    """
    near = list(unit.both.values())
    largest = torch.stack(near).amax(0)
    index = torch.arange(unit.diagonal.numel(), device=unit.diagonal.device).reshape(unit.diagonal.shape)
    ends = []
    for o, s in unit.couplings.items():
        strong = s > STRONG * torch.maximum(largest, shift(largest, o))
        ends.append(torch.stack([index[strong], shift(index, o)[strong]]))
    edges, root = torch.cat(ends, 1), index.flatten()
    while True:
        a, b = root[edges]
        if torch.equal(a, b):
            return root.reshape(index.shape)
        root = root.scatter_reduce(0, torch.maximum(a, b), torch.minimum(a, b), "amin")
        while not torch.equal(above := root[root], root):
            root = above


def _energies(A: Stencil, z: Tensor, label: Tensor, K: int) -> Tensor:
    """(z, A z) of each cluster."""
    energy = A.diagonal * z * z
    for o, s in A.couplings.items():
        energy = energy - 2 * torch.where(label == shift(label, o), s * z * shift(z, o), 0.0)
    return _sums(energy, label, K)


def _sums(v: Tensor, label: Tensor, K: int) -> Tensor:
    return v.new_zeros(K).index_add_(0, label.flatten(), v.flatten())
