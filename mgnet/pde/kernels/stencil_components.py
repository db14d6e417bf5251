"""The clusters to correct, found in padded fields: the twin of ``blackbox.clusters.slow_clusters``.

In physical unknowns a cluster's z is 1 on it, so that (z, z) and (z, A z) are sums of the diagonal and couplings.
"""

import numpy as np
import torch
from numba import njit

from mgnet.pde.blackbox.clusters import DAMPING, LOCKED, NOTHING, SLOW, STRONG, Clusters
from mgnet.pde.kernels.stencil_coarsening import Pair
from mgnet.pde.kernels.stencil_fields import wrapped
from mgnet.pde.kernels.stencil_rows import LEFT


@njit(nogil=True)  # numba loses generators that it keeps; those who call it are kept
def _joined(couplings, n, wraps):
    """Yields (k, row, other, step): coupling k of unknown x in a row is to x + step in another row."""
    n0, n1, _ = n
    for k in range(len(couplings)):
        o0, o1, o2 = couplings[k]
        for row in range(n0 * n1):
            i, j = wrapped(row // n1 + o0, n0, wraps[0]), wrapped(row % n1 + o1, n1, wraps[1])
            if i >= 0 and j >= 0:
                yield k, row, i * n1 + j, o2


@njit(nogil=True, cache=True)
def _root(root, i):
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


@njit(nogil=True, cache=True)
def _components(S, couplings, n, wraps, root, largest, strong):
    """root = the smallest number of each unknown's connected component of strong couplings.

    Parameters
    ----------
    S : (couplings, rows, stride) of a member, of unit diagonal;   couplings : (couplings, 3) their offsets
    root, largest : (unknowns,) each one's own number; zeros
    """
    n2 = n[2]
    for k, row, other, step in _joined(couplings, n, wraps):
        for x in range(n2):
            y = wrapped(x + step, n2, wraps[2])
            if y >= 0:
                p, q, s = row * n2 + x, other * n2 + y, S[k, row, LEFT + x]
                largest[p], largest[q] = max(largest[p], s), max(largest[q], s)
    for k, row, other, step in _joined(couplings, n, wraps):
        for x in range(n2):
            y = wrapped(x + step, n2, wraps[2])
            p, q = row * n2 + x, other * n2 + y
            if y >= 0 and S[k, row, LEFT + x] > strong * max(largest[p], largest[q]):
                a, b = _root(root, p), _root(root, q)
                root[max(a, b)] = min(a, b)
    for p in range(len(root)):
        root[p] = root[root[p]]


@njit(nogil=True, cache=True)
def _energies(D, S, couplings, n, wraps, label, size, energy):
    """size += (z, z), energy += (z, A z) of the clusters; D and S physical."""
    n2 = n[2]
    for row in range(len(D)):
        for x in range(n2):
            size[label[row * n2 + x]] += D[row, LEFT + x]
            energy[label[row * n2 + x]] += D[row, LEFT + x]
    for k, row, other, step in _joined(couplings, n, wraps):
        for x in range(n2):
            y = wrapped(x + step, n2, wraps[2])
            if y >= 0 and label[row * n2 + x] == label[other * n2 + y]:
                energy[label[row * n2 + x]] -= 2 * S[k, row, LEFT + x]


def slow_clusters(pair: Pair, S: np.ndarray) -> Clusters | None:
    """The clusters to correct on the finer grid of a pair, if any; S : its couplings in the unit form."""
    fine, unknowns = pair.fine, int(np.prod(pair.fine.n))
    found = [_of_member(pair, S, m) for m in range(fine.batch)]
    at = np.concatenate([places + m * unknowns for m, (places, _, _) in enumerate(found)])
    if not len(at):
        return None
    before = np.cumsum([0, *(len(inverse) for *_, inverse in found)])
    cluster = np.concatenate([number + k for (_, number, _), k in zip(found, before, strict=False)])
    inverse = np.concatenate([inverse for *_, inverse in found])
    row, x = np.divmod(at, fine.n[2])
    z = np.sqrt(fine.D.reshape(-1, fine.stride)[row, LEFT + x])
    tensor = torch.from_numpy
    return Clusters(tensor(at), tensor(z), tensor(cluster), tensor(inverse), fine.batch * unknowns)


def _of_member(pair: Pair, S: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """at, cluster and inverse of a member's clusters, as of ``Clusters``."""
    fine, coarse = pair.fine, pair.coarse
    N = int(np.prod(fine.n))
    root = np.arange(N)
    _components(S[:, m], np.array(fine.couplings), fine.n, fine.wraps, root, np.zeros(N, S.dtype), STRONG)
    size, energy, seen, coarse_energy = np.zeros((4, N))
    every = [slice(start, None, 2 if halved else 1) for start, halved in zip(pair.first, pair.halved, strict=True)]
    on_coarse = np.ascontiguousarray(root.reshape(fine.n)[tuple(every)]).ravel()
    for A, label, own, held in ((fine, root, size, energy), (coarse, on_coarse, seen, coarse_energy)):
        _energies(A.D[m], A.S[:, m], np.array(A.couplings), A.n, A.wraps, label, own, held)
    slow = (energy < SLOW * size) & (energy > NOTHING * size)
    chosen = slow & ((seen == 0) | (coarse_energy > LOCKED * energy))
    at = np.flatnonzero(chosen[root])
    at = at[np.argsort(root[at], kind="stable")]
    roots, cluster = np.unique(root[at], return_inverse=True)
    return at, cluster, DAMPING / energy[roots]
