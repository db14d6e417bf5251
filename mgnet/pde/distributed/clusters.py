"""Clusters to correct on a grid that lies on all processes: see ``blackbox.clusters``.

A cluster may lie on several: energies, and what a correction sums up, are added over the processes of a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mgnet.pde.blackbox.clusters import DAMPING, LOCKED, NOTHING, SLOW, STRONG
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import Stencil, shift
from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.parts import united
from mgnet.pde.distributed.window import Window


@dataclass(frozen=True)
class SharedClusters:
    """B of one grid and one member: u += z (z, f - A u) / (z, A z) for each cluster.

    Parameters
    ----------
    at : the block's unknowns that lie in clusters;   z, cluster : of each
    of_data, of_iterate : (clusters, unknowns of the block) z and A z
    inverse : DAMPING / (z, A z)
    common : the clusters that other processes may have too, the same ones in the same order on each
    """

    partition: Partition
    at: np.ndarray
    z: np.ndarray
    cluster: np.ndarray
    of_data: Any
    of_iterate: Any
    inverse: np.ndarray
    common: int

    def __call__(self, u: np.ndarray, f: np.ndarray) -> np.ndarray:
        """u of the block, (unknowns,), corrected."""
        sums = self.of_data @ f - self.of_iterate @ u
        sums[: self.common] = self.partition.total(sums[: self.common])
        out = u.copy()
        out[self.at] += (self.z * (self.inverse * sums)[self.cluster]).astype(u.dtype)
        return out


def slow_clusters(
    partition: Partition, w: Window, A: Stencil, A_c: Stencil, coarse: slice, axes: Sequence[Coarsening]
) -> SharedClusters | None:
    """The clusters to correct on a grid, if there are any on any process; of one member.

    Parameters
    ----------
    A : on a window;   A_c : of the next grid, on the block
    coarse : which of the coarse unknowns in the window the block has, along the first axis
    axes : how the grid is coarsened
    """
    label, common = _labels(partition, w, _strong(A), A.shape)
    name, dense = np.unique(label, return_inverse=True)
    dense = dense.reshape(label.shape)
    del label
    own, K = dense[w.owned], len(name)
    D, D_c, dense_c = A.diagonal[0].numpy(), A_c.diagonal[0].numpy(), _on_coarse(dense, axes)
    sums = np.zeros((4, K))
    sums[0] = np.bincount(own.ravel(), D[w.owned].ravel(), K)
    sums[1] = sums[0] - _within(A, dense, w.owned, K)
    own_c = dense_c[coarse]
    sums[2] = np.bincount(own_c.ravel(), minlength=K)
    sums[3] = np.bincount(own_c.ravel(), D_c.ravel(), K) - _within(A_c, dense_c, coarse, K, of_block=True)
    several = name < common  # on more processes than one, perhaps
    whole = np.zeros((4, common))
    whole[:, name[several]] = sums[:, several]
    whole = partition.total(whole)
    sums[:, several] = whole[:, name[several]]
    here = np.zeros(K, bool)
    here[np.unique(own)] = True
    all_chosen, chosen = _chosen(whole), _chosen(sums) & ~several & here
    if not partition.most(float(all_chosen.any() or chosen.any())):
        return None
    count = int(all_chosen.sum())
    number = np.full(K, -1)
    number[several] = np.where(all_chosen, np.cumsum(all_chosen) - 1, -1)[name[several]]
    number[chosen] = count + np.arange(int(chosen.sum()))
    energy = np.concatenate([whole[1, all_chosen], sums[1, chosen]])
    return _collected(partition, w, A, number[dense], DAMPING / energy, count)


def _chosen(sums: np.ndarray) -> np.ndarray:
    size, energy, seen, coarse_energy = sums
    slow = (energy < SLOW * size) & (energy > NOTHING * size)
    return slow & ((seen == 0) | (coarse_energy > LOCKED * energy))


def _strong(A: Stencil) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Per coupling where it is strong: a window's, right but for its outermost planes."""
    couplings = A.unit()[0].couplings
    largest = torch.full_like(A.diagonal, -torch.inf)
    for o, s in couplings.items():
        for one in (s, shift(s, [-step for step in o])):
            torch.maximum(largest, one, out=largest)
    return [(o, (s > STRONG * torch.maximum(largest, shift(largest, o)))[0].numpy()) for o, s in couplings.items()]


def _labels(
    partition: Partition, w: Window, strong: list[tuple[tuple[int, ...], np.ndarray]], shape: Sequence[int]
) -> tuple[np.ndarray, int]:
    """The name of each unknown's component, on a window; names below the number returned may be on several processes.

    Each process finds those of its own planes and the next one's first; what both say of that plane joins them.
    """
    from scipy import sparse  # which would take as long to load as a solve

    stop = w.owned.stop + (w.after > 0)
    size = (stop - w.before) * int(np.prod(shape[1:]))
    slab = np.arange(size, dtype=np.int32 if size < 2**31 else np.int64).reshape(-1, *shape[1:])
    edges = []
    for o, there in strong:
        ahead = np.roll(slab, [-step for step in o], range(len(o)))
        there = there[w.before : stop].copy()
        there[slab.shape[0] - o[0] :] = False  # these lead out of it
        edges.append((slab[there], ahead[there]))
        del ahead
    first, second = (np.concatenate(each) for each in zip(*edges, strict=True))
    edges.clear()
    graph = sparse.csr_array((np.ones(len(first), bool), (first, second)), (size, size))
    del first, second
    count, mine = sparse.csgraph.connected_components(graph, directed=False)
    del graph
    mine = mine.reshape(slab.shape)
    name, common = united(partition, w, mine, count)
    field = np.zeros(shape, np.int64)
    field[w.owned] = name[mine[: w.high - w.low]]
    return exchange(partition, w, torch.from_numpy(field), 0).numpy(), common


def _on_coarse(v: np.ndarray, axes: Sequence[Coarsening]) -> np.ndarray:
    """v at the coarse unknowns of a window, which begins with an even plane."""
    if axes[0].halved:
        v = v[axes[0].first :: 2]
    for d, axis in enumerate(axes[1:], 1):
        v = v.take(axis.index, d)
    return v


def _within(A: Stencil, label: np.ndarray, own: slice, K: int, of_block: bool = False) -> np.ndarray:
    """(K,) twice the couplings within each component, of a block's unknowns to those ahead.

    of_block : whether A is, and not on the window of the labels
    """
    total = np.zeros(K)
    for o, s in A.couplings.items():
        same = (label == np.roll(label, [-step for step in o], range(len(o))))[own]
        numbers = s[0].numpy() if of_block else s[0].numpy()[own]
        total += np.bincount(label[own][same], 2 * numbers[same], K)
    return total


def _collected(
    partition: Partition, w: Window, A: Stencil, number: np.ndarray, inverse: np.ndarray, common: int
) -> SharedClusters:
    """number : (*window) of each unknown's cluster, -1 in none."""
    from scipy import sparse

    D, K = A.diagonal[0].numpy(), len(inverse)
    size = D[w.owned].size
    column, rows, values = np.arange(size).reshape(D[w.owned].shape), [], []
    columns = []

    def add(cluster: np.ndarray, entries: np.ndarray) -> None:
        there = (cluster >= 0) & (entries != 0)
        rows.append(cluster[there])
        columns.append(column[there])
        values.append(entries[there])

    own, diagonal = number[w.owned], D[w.owned]
    add(own, diagonal)
    for o, s in A.both.items():
        ahead = np.roll(number, [-step for step in o], range(len(o)))
        add(ahead[w.owned], -s[0].numpy()[w.owned])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    Az = sparse.coo_array(entries, (K, size)).tocsr()
    flat = diagonal.ravel()
    Az.data[np.abs(Az.data) <= NOTHING * flat[Az.indices]] = 0
    Az.eliminate_zeros()
    Az.data /= np.sqrt(flat[Az.indices])
    at = np.flatnonzero(own.ravel() >= 0)
    z, cluster = np.sqrt(flat[at]), own.ravel()[at]
    of_data = sparse.coo_array((z, (cluster, at)), (K, size)).tocsr()
    return SharedClusters(partition, at, z, cluster, of_data, Az, inverse, common)
