"""What users of scipy write themselves: a network of resistors as a sparse matrix. mgnet has no part in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import spsolve


def network(*conductances: np.ndarray) -> scipy.sparse.csr_matrix:
    """The sum over neighbours of g (u - u_neighbour), for each node of a grid.

    conductances[d] : g of the pairs of neighbours along axis d: of the grid's shape, but one less along d.
    """
    shape = tuple(n + (d == 0) for d, n in enumerate(conductances[0].shape))
    index = np.arange(np.prod(shape)).reshape(shape)
    first = np.concatenate([index.take(range(n - 1), d).ravel() for d, n in enumerate(shape)])
    second = np.concatenate([index.take(range(1, n), d).ravel() for d, n in enumerate(shape)])
    g = np.concatenate([np.ravel(one) for one in conductances])
    graph = scipy.sparse.coo_matrix((g, (first, second)), (index.size, index.size))
    return laplacian(graph.tocsr(), symmetrized=True).tocsr()


def between(k: np.ndarray, axis: int) -> np.ndarray:
    """The harmonic mean of neighbours: the conductance between the centres of two unit cells."""
    low, high = (np.delete(k, at, axis) for at in (-1, 0))
    return 2 * low * high / np.maximum(low + high, 1e-30)


def end_layers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where a node is of the first layer along the first axis, and where of the last."""
    first, last = np.zeros((2, *shape), bool)
    first[0] = last[-1] = True
    return first, last


def pairs(where: np.ndarray) -> list[np.ndarray]:
    """Per axis, which neighbours are both there."""
    return [np.delete(where, 0, d) & np.delete(where, -1, d) for d in range(where.ndim)]


def held(
    A: scipy.sparse.csr_matrix, where: np.ndarray, value: np.ndarray, b: Any = 0.0, solve: Callable = spsolve
) -> np.ndarray:
    """The solution of A u = b with u = value where `where`: those rows and columns are taken out."""
    free = np.flatnonzero(~where)
    u = np.where(where, value, 0.0).ravel()
    u[free] = solve(A[free][:, free].tocsc(), (np.ravel(b) - A @ u)[free])
    return u.reshape(where.shape)


def closed(flux: np.ndarray, axis: int) -> np.ndarray:
    """What crosses the faces between cells, and nothing at both ends."""
    return np.pad(flux, [(int(axis == d),) * 2 for d in range(flux.ndim)])


def divergence(*fluxes: np.ndarray) -> np.ndarray:
    """What leaves each cell of width 1; fluxes[d] crosses the faces between cells along axis d."""
    return sum(np.diff(closed(flux, d), axis=d) for d, flux in enumerate(fluxes))


def pyamg(A: scipy.sparse.csc_matrix, b: np.ndarray) -> np.ndarray:
    """Algebraic multigrid in conjugate gradients, to be `solve` of `held`."""
    from pyamg import ruge_stuben_solver

    return ruge_stuben_solver(A.tocsr()).solve(b, tol=1e-8, accel="cg")


SPARSE = ("spsolve", "scipy", spsolve), ("PyAMG", "pyamg", pyamg)  # a name, its package, A and b -> u
