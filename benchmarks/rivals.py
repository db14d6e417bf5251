"""What a user would otherwise take: each rival is b -> u for the very system A u = b that we solve.

Only ``fft`` takes f itself, as its user would: it does not need the symmetric system.
"""

from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.sparse.linalg as splinalg

from mgnet.pde import Poisson

Solve = Callable[[np.ndarray], np.ndarray]
WORKERS = 2


def fft(problem: Poisson) -> Solve:
    """Fast diagonalisation by scipy.fft: sine, cosine or Fourier transforms, whichever the ends ask for.

    Node-centred axes with constant coefficients; the transforms work in place.
    """
    grid = problem.grid
    assert problem.constant is not None
    assert grid.centering == "node"
    a, c = problem.constant
    kinds = {axis.low for axis in grid.axes}
    assert len(kinds) == 1
    assert all(axis.low == axis.high for axis in grid.axes)
    kind = kinds.pop()
    dims = tuple(range(-grid.ndim, 0))
    eigenvalues = np.array(c)
    for axis, a_d in zip(grid.axes, a, strict=True):
        if kind == "periodic":
            k = np.arange(axis.n // 2 + 1) if axis is grid.axes[-1] else np.fft.fftfreq(axis.n, 1 / axis.n)
            angle = 2 * np.pi * k / axis.n
        else:
            angle = np.pi * (np.arange(axis.n) + (kind == "dirichlet")) / axis.intervals
        eigenvalues = np.add.outer(eigenvalues, a_d * (2 - 2 * np.cos(angle)) / axis.h**2)
    null = eigenvalues < 1e-12 * eigenvalues.max()
    eigenvalues[null] = np.inf

    def solve(f: np.ndarray) -> np.ndarray:
        if kind == "periodic":
            spectrum = scipy.fft.rfftn(f, axes=dims, workers=WORKERS)
            spectrum /= eigenvalues
            return scipy.fft.irfftn(spectrum, s=grid.shape, axes=dims, workers=WORKERS, overwrite_x=True)
        if kind == "dirichlet":
            spectrum = scipy.fft.dstn(f, type=1, axes=dims, workers=WORKERS)
            spectrum /= eigenvalues
            return scipy.fft.idstn(spectrum, type=1, axes=dims, workers=WORKERS, overwrite_x=True)
        spectrum = scipy.fft.dctn(f, type=1, axes=dims, workers=WORKERS)
        spectrum /= eigenvalues
        return scipy.fft.idctn(spectrum, type=1, axes=dims, workers=WORKERS, overwrite_x=True)

    return solve


def spsolve(problem: Poisson) -> Solve:
    """scipy's sparse LU."""
    A = problem.to_scipy().tocsc()
    return lambda b: splinalg.spsolve(A, b.ravel()).reshape(b.shape)


def cg(problem: Poisson, tol: float) -> Solve:
    """scipy's conjugate gradients without a preconditioner."""
    A = problem.to_scipy()
    return lambda b: splinalg.cg(A, b.ravel(), rtol=tol, maxiter=100_000)[0].reshape(b.shape)


def pyamg_ruge_stuben(problem: Poisson, tol: float) -> Solve:
    """PyAMG's Ruge-Stuben multigrid in conjugate gradients; the set-up is part of it."""
    import pyamg

    A = _indexed32(problem)
    return lambda b: pyamg.ruge_stuben_solver(A).solve(b.ravel(), tol=tol, accel="cg", maxiter=200).reshape(b.shape)


def pyamg_smoothed_aggregation(problem: Poisson, tol: float) -> Solve:
    """PyAMG's smoothed aggregation in conjugate gradients; the set-up is part of it."""
    import pyamg

    A = _indexed32(problem)

    def solve(b: np.ndarray) -> np.ndarray:
        levels = pyamg.smoothed_aggregation_solver(A, symmetry="symmetric")
        return levels.solve(b.ravel(), tol=tol, accel="cg", maxiter=200).reshape(b.shape)

    return solve


def petsc_multigrid(problem: Poisson, tol: float) -> Solve | None:
    """PETSc's geometric multigrid in conjugate gradients, None where petsc4py is missing (2^k - 1 unknowns)."""
    try:
        from petsc4py import PETSc
    except ImportError:
        return None
    shape = problem.grid.shape
    A = _indexed32(problem)

    def solve(b: np.ndarray) -> np.ndarray:
        grid = PETSc.DMDA().create(dim=len(shape), sizes=shape[::-1], stencil_width=1, dof=1)
        matrix = PETSc.Mat().createAIJ(A.shape, csr=(A.indptr, A.indices, A.data))
        solver = PETSc.KSP().create()
        solver.setDM(grid)
        solver.setDMActive(False)
        solver.setOperators(matrix)
        solver.setType("cg")
        solver.getPC().setType("mg")
        solver.getPC().setMGLevels(max(2, int(np.log2(shape[0] + 1)) - 2))
        solver.getPC().setMGGalerkin(True)
        solver.setTolerances(rtol=tol)
        rhs, u = matrix.createVecLeft(), matrix.createVecRight()
        rhs.setArray(b.ravel())
        solver.solve(rhs, u)
        return u.getArray().reshape(shape)

    return solve


def _indexed32(problem: Poisson):
    A = problem.to_scipy().tocsr()
    A.indices, A.indptr = A.indices.astype(np.int32), A.indptr.astype(np.int32)
    import scipy.sparse

    return scipy.sparse.csr_matrix(A)
