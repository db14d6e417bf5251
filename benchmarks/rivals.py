"""What a user would otherwise take: each rival is set up for the very system A u = b that we solve, then b -> u.

A rival's function makes what every user has before (the matrix), and returns the set-up, which returns the solve,
so that set-up and solve can be timed together and apart. Only ``fft`` takes f itself, as its user would: it does
not need the symmetric system.
"""

import weakref
from collections.abc import Callable

import numpy as np
import scipy.fft
import scipy.sparse
import scipy.sparse.linalg as splinalg

from mgnet.pde import Grid, Poisson

Solve = Callable[[np.ndarray], np.ndarray]
SetUp = Callable[[], Solve]
WORKERS = 2


def fft(problem: Poisson, tol: float | None = None) -> SetUp:
    """Fast diagonalisation by scipy.fft: sine, cosine or Fourier transforms, whichever the ends ask for.

    Node-centred axes with constant coefficients; the transforms work in place. The set-up is the eigenvalues.
    """
    return lambda: _transforms(problem)


def _transforms(problem: Poisson) -> Solve:
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
    for d, (axis, a_d) in enumerate(zip(grid.axes, a, strict=True)):
        if kind == "periodic":
            k = np.arange(axis.n // 2 + 1) if d == grid.ndim - 1 else np.fft.fftfreq(axis.n, 1 / axis.n)
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


def spsolve(problem: Poisson, tol: float | None = None) -> SetUp:
    """scipy's sparse LU; the set-up is the factorisation."""
    A = problem.to_scipy().tocsc()

    def setup() -> Solve:
        factors = splinalg.splu(A)
        return lambda b: factors.solve(b.ravel()).reshape(b.shape)

    return setup


def cg(problem: Poisson, tol: float) -> SetUp:
    """scipy's conjugate gradients without a preconditioner; nothing is set up."""
    A = problem.to_scipy()
    return lambda: lambda b: splinalg.cg(A, b.ravel(), rtol=tol, maxiter=100_000)[0].reshape(b.shape)


def pyamg_ruge_stuben(problem: Poisson, tol: float) -> SetUp:
    """PyAMG's Ruge-Stuben multigrid in conjugate gradients."""
    import pyamg

    A = _indexed32(problem)
    return lambda: _levels_in_cg(pyamg.ruge_stuben_solver(A), tol)


def pyamg_smoothed_aggregation(problem: Poisson, tol: float) -> SetUp:
    """PyAMG's smoothed aggregation in conjugate gradients."""
    import pyamg

    A = _indexed32(problem)
    return lambda: _levels_in_cg(pyamg.smoothed_aggregation_solver(A, symmetry="symmetric"), tol)


def _levels_in_cg(levels, tol: float) -> Solve:
    return lambda b: levels.solve(b.ravel(), tol=tol, accel="cg", maxiter=200).reshape(b.shape)


def petsc_multigrid(problem: Poisson, tol: float) -> SetUp | None:
    """PETSc's geometric multigrid in conjugate gradients, one process; None where petsc4py is missing.

    Dirichlet ends, a = 1, c = 0. As PETSc's users do, the grids hold the boundary, and the operator is
    discretised anew on each; its matrices are made beforehand, the rest is the set-up.
    A symmetric Gauss-Seidel sweep smooths: twice as fast as the default, two Chebyshev steps of it.
    """
    PETSc = _petsc({"mg_levels_ksp_type": "richardson", "mg_levels_ksp_max_it": 1, "mg_levels_pc_type": "sor"})
    if PETSc is None:
        return None
    shape = tuple(n + 2 for n in problem.grid.shape)
    inside, volume = (slice(1, -1),) * len(shape), float(np.prod(problem.grid.spacing))
    sizes = [shape]
    while min(sizes[-1]) > 9 and all(n % 2 for n in sizes[-1]):
        sizes.append(tuple(n // 2 + 1 for n in sizes[-1]))
    matrices = {size: _with_boundary(size) for size in sizes}

    def operator(solver, A, P):
        matrix = matrices[tuple(solver.getDM().getSizes())[::-1]]
        P.setValuesCSR(matrix.indptr, matrix.indices, matrix.data)
        P.assemble()

    def setup() -> Solve:
        grid = PETSc.DMDA().create(dim=len(shape), sizes=shape[::-1], stencil_width=1, dof=1)
        solver = PETSc.KSP().create()
        solver.setOptionsPrefix(PREFIX)
        solver.setDM(grid)
        solver.setComputeOperators(operator)
        solver.getPC().setType("mg")
        solver.getPC().setMGLevels(len(sizes))
        rhs, u = grid.createGlobalVec(), grid.createGlobalVec()

        def solve(b: np.ndarray) -> np.ndarray:
            np.multiply(b, volume, out=rhs.getArray().reshape(shape)[inside])
            solver.solve(rhs, u)
            return u.getArray().copy().reshape(shape)[inside]

        return _set_up_petsc(PETSc, solver, tol, solve, rhs, u, grid)

    return setup


def hypre(problem: Poisson, tol: float) -> SetUp | None:
    """hypre's BoomerAMG in PETSc's conjugate gradients, one process; None where either is missing."""
    PETSc = _petsc({"pc_hypre_boomeramg_strong_threshold": 0.25 if problem.grid.ndim == 2 else 0.5})
    if PETSc is None or not PETSc.Sys.hasExternalPackage("hypre"):
        return None
    A = _indexed32(problem)

    def setup() -> Solve:
        matrix = PETSc.Mat().createAIJ(A.shape, csr=(A.indptr, A.indices, A.data))
        solver = PETSc.KSP().create()
        solver.setOptionsPrefix(PREFIX)
        solver.setOperators(matrix)
        solver.getPC().setType("hypre")
        rhs, u = matrix.createVecLeft(), matrix.createVecRight()

        def solve(b: np.ndarray) -> np.ndarray:
            rhs.setArray(b.ravel())
            solver.solve(rhs, u)
            return u.getArray().copy().reshape(b.shape)

        return _set_up_petsc(PETSc, solver, tol, solve, rhs, u, matrix)

    return setup


PREFIX = "rival_"


def _petsc(options: dict):
    """petsc4py's PETSc with options set, or None."""
    try:
        from petsc4py import PETSc
    except ImportError:
        return None
    for name, value in options.items():
        PETSc.Options()[PREFIX + name] = value
    return PETSc


def _set_up_petsc(PETSc, solver, tol: float, solve: Solve, *others) -> Solve:
    """Conjugate gradients until ||r|| <= tol ||b||; with ``solve`` all goes, which Python's collector leaves be."""
    solver.setType("cg")
    solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    solver.setTolerances(rtol=tol, atol=0)
    solver.setFromOptions()
    solver.setUp()
    weakref.finalize(solve, _destroy, solver, *others).atexit = False
    return solve


def _destroy(*made) -> None:
    for each in made:
        each.destroy()


def _with_boundary(shape: tuple[int, ...]) -> scipy.sparse.csr_matrix:
    """-Laplace times the cells' volume on the unit box; u = 0 is an equation of its own at each boundary point."""
    grid = Grid([n - 2 for n in shape])
    inside = np.pad(np.ones(grid.shape, bool), 1).ravel()
    put = scipy.sparse.eye_array(inside.size, format="csr")[:, inside]
    A = Poisson(grid).to_scipy() * np.prod(grid.spacing)
    return _short(scipy.sparse.csr_matrix(put @ A @ put.T + scipy.sparse.diags_array(A.diagonal()[0] * ~inside)))


def _indexed32(problem: Poisson) -> scipy.sparse.csr_matrix:
    """A with the indices that compiled libraries read."""
    return _short(scipy.sparse.csr_matrix(problem.to_scipy().tocsr()))


def _short(A: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    A.indices, A.indptr = A.indices.astype(np.int32), A.indptr.astype(np.int32)
    return A
