"""Independent answers: the assembled matrix, scipy's sparse LU, pyamg's cycles.

1  to_scipy() v == apply(v) for every boundary kind, centring, coefficient and dimension.
2  solve agrees with scipy.sparse.linalg.spsolve to 1e-9 on randomly drawn problems.
3  One V and one W iterate equals pyamg.MultilevelSolver's, given our A, P, R and Jacobi, to 1e-12.
4  aslinearoperator and aspreconditioner work inside of scipy's cg and gmres.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyamg.multilevel import MultilevelSolver
from pyamg.relaxation.smoothing import change_smoothers
from scipy.sparse import csr_matrix

from mgnet.core import ConvLevel, cycle
from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from tests.pde.grids_and_data import CENTERINGS, ENDS, axis_bcs, levels_of, random

END = st.sampled_from(["dirichlet", "neumann", Robin(0.0), Robin(1.7)])
PAIR = st.one_of(st.just("periodic"), st.tuples(END, END))


@st.composite
def grids_drawn(draw, largest=(300, 40, 12)):
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    shape = tuple(draw(st.integers(2, largest[ndim - 1])) for _ in range(ndim))
    upper = tuple(draw(st.sampled_from([1.0, 0.7, 2.5])) for _ in range(ndim))
    return Grid(shape, bc=[draw(PAIR) for _ in range(ndim)], upper=upper, centering=draw(st.sampled_from(CENTERINGS)))


@st.composite
def coefficients_drawn(draw, grid, seed):
    """None, a number, an array, a callable, or one of these per axis."""
    rng = np.random.default_rng(seed)
    phase = float(rng.uniform())
    field = np.exp(rng.normal(size=grid.shape))
    kinds = [None, 2.5, field, lambda *x: 1.2 + np.cos(3 * sum(x) + phase)]
    if draw(st.booleans()):
        return draw(st.sampled_from(kinds))
    return tuple(draw(st.sampled_from(kinds)) for _ in range(grid.ndim))


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**31))
def test_the_matrix_is_the_operator(data, seed):
    grid = data.draw(grids_drawn())
    a = data.draw(coefficients_drawn(grid, seed))
    c = data.draw(st.sampled_from([None, 0.5, abs(random(grid.shape, seed))]))
    problem, u = Poisson(grid, a, c), random((2, *grid.shape), seed)
    A = problem.to_scipy()
    theirs = (A @ u.reshape(2, -1).T).T.reshape(u.shape)
    scale = abs(A).max() * abs(u).max()
    np.testing.assert_allclose(problem.apply(u), theirs, rtol=0, atol=1e-13 * scale)
    assert abs(A - A.T).max() <= 1e-15 * abs(A).max()


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**31))
def test_solutions_equal_spsolve(data, seed):
    """Constant coefficients, any ends, numbers as boundary data, batches of nought to two axes."""
    grid = data.draw(grids_drawn())
    a = data.draw(st.sampled_from([None, 2.5, (0.3, 1.0, 2.0)[: grid.ndim]]))
    c = data.draw(st.sampled_from([0.0, 4.0])) if not grid.closed else 4.0
    batch = data.draw(st.sampled_from([(), (2,), (1, 3)]))
    boundary = data.draw(st.sampled_from([None, 0.7]))
    if boundary is not None and grid.centering == "node" and grid.ndim > 1:
        boundary = [(0.7, -0.2)] * grid.ndim
    elif boundary is not None:
        boundary = [(0.7, -0.2)] * grid.ndim if grid.ndim == 1 else boundary
    f, problem = random((*batch, *grid.shape), seed), Poisson(grid, a, c)
    assert_equals_spsolve(problem, f, boundary)


def assert_equals_spsolve(problem, f, boundary, tolerance=1e-9):
    solution = Solver(problem).solve(f, boundary=boundary, tol=1e-12)
    assert solution.u.shape == f.shape
    b = problem.rhs(f, boundary).reshape(-1, problem.grid.size)
    theirs = splinalg.spsolve(problem.to_scipy().tocsc(), b.T).T.reshape(f.shape)
    np.testing.assert_allclose(solution.u, theirs, rtol=0, atol=tolerance * abs(theirs).max())


@pytest.mark.parametrize(
    ("shape", "bc"),
    [
        ((37, 100), "dirichlet"),
        ((129, 64, 33), ["dirichlet", "neumann", "periodic"]),
        ((100, 99), [("dirichlet", "neumann"), "periodic"]),
        ((400, 8), [("neumann", "dirichlet"), "dirichlet"]),
        ((5, 6, 300), ["dirichlet", "neumann", "periodic"]),
        ((2000,), [("dirichlet", "neumann")]),
    ],
    ids=str,
)
def test_any_size_with_many_grids(shape, bc):
    """The residual of these is too large for LU in a test; A u = b is checked with the assembled matrix."""
    problem = Poisson(Grid(shape, bc=bc), c=0.1)
    f = random(shape)
    s = Solver(problem).solve(f, tol=1e-10)
    b, A = problem.rhs(f).ravel(), problem.to_scipy()
    residual = np.linalg.norm(b - A @ s.u.ravel()) / np.linalg.norm(b)
    assert residual <= 1e-10 or s.status == "round-off"
    assert residual == pytest.approx(s.residuals[-1], rel=0.3)
    assert s.cycles <= 14


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["neumann", "periodic", ["neumann", "periodic"]], ids=str)
@pytest.mark.parametrize("shape", [(20, 23), (70, 81)], ids=str)
def test_singular_problems_are_solved_in_the_mean(shape, bc, centering):
    problem = Poisson(Grid(shape, bc=bc, centering=centering))
    w = problem.rhs(np.ones(shape))  # the shares of a cell
    f = random((2, *shape))
    f -= ((w * f).sum((1, 2)) / w.sum())[:, None, None]
    s = Solver(problem).solve(f, tol=1e-11)
    assert s.converged
    assert abs((w * s.u).sum((1, 2))).max() <= 1e-12 * abs(w * s.u).sum()
    np.testing.assert_allclose(problem.apply(s.u), w * f, rtol=0, atol=1e-8 * abs(f).max())


def matrices(level, transfer, chain, l, dtype=torch.float64):
    """A, P, R as matrices."""
    shapes = [tuple(axis.n for axis in axes) for axes in (chain[l], chain[l + 1])]
    fine, coarse = (torch.eye(int(np.prod(s)), dtype=dtype).reshape(-1, *s) for s in shapes)
    return [csr_matrix(op(unit).flatten(1).T.numpy()) for op, unit in
            ((level.A, fine), (transfer.P, coarse), (transfer.R, fine))]  # fmt: skip


@pytest.mark.parametrize(("gamma", "name"), [(1, "V"), (2, "W")])
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(100,), (20, 17), (8, 9, 7)], ids=str)
def test_iterates_equal_pyamgs(shape, ends, centering, gamma, name):
    """Their Jacobi divides by the diagonal of A, as ours does where no reflection meets it: B = omega / A_ii."""
    grid, a = Grid(shape, bc=axis_bcs(len(shape), ends), centering=centering), (1.0,) * len(shape)
    levels, transfers, chain = levels_of(grid, a, 50.0, "jacobi", (2, 2), direct_work=60)
    theirs = [MultilevelSolver.Level() for _ in chain]
    for l, transfer in enumerate(transfers):
        theirs[l].A, theirs[l].P, theirs[l].R = matrices(levels[l], transfer, chain, l)
        scale = 2 * len(shape) / (2 * len(shape) + 1) / levels[l].A.diagonal
        levels[l] = ConvLevel(levels[l].A, [lambda r, scale=scale: scale * r] * 2, transfer.R, None, transfer.P)
    theirs[-1].A = csr_matrix(Poisson(Grid.of(chain[-1]), c=50.0).to_scipy())
    solver = MultilevelSolver(theirs, coarse_solver="splu")
    jacobi = ("jacobi", {"omega": 2 * len(shape) / (2 * len(shape) + 1), "withrho": False, "iterations": 2})
    change_smoothers(solver, jacobi, jacobi)
    u, f = random((1, *shape), 1), random((1, *shape), 2)
    expected = solver.solve(f.ravel(), x0=u.ravel(), cycle=name, maxiter=1, tol=1e-30)
    ours = cycle(levels, torch.as_tensor(u), torch.as_tensor(f), gamma).numpy().ravel()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("krylov", [splinalg.cg, splinalg.gmres], ids=["cg", "gmres"])
@pytest.mark.parametrize("bc", ["dirichlet", ["periodic", "neumann"]], ids=str)
def test_inside_of_scipys_krylov_methods(bc, krylov):
    solver = Solver(Poisson(Grid((90, 70), bc=bc)))
    b, steps = random(6300), []
    b = b - b.mean() if solver.problem.singular and "neumann" not in bc else b
    w = solver.problem.rhs(np.ones((90, 70))).ravel()
    b = b - w * b.sum() / w.sum() if solver.problem.singular else b
    A, M = solver.aslinearoperator(), solver.aspreconditioner()
    extra = {"callback_type": "pr_norm"} if krylov is splinalg.gmres else {}
    x, info = krylov(A, b, M=M, rtol=1e-10, callback=steps.append, **extra)
    assert info == 0
    assert len(steps) <= 12
    np.testing.assert_allclose(solver.problem.to_scipy() @ x, b, rtol=0, atol=1e-7 * abs(b).max())
    assert A.shape == M.shape == (6300, 6300)


def test_a_tensor_and_an_array_have_one_solution():
    f = random((3, 40, 30))
    ours, theirs = solve(f, ndim=2).u, solve(torch.as_tensor(f), ndim=2).u
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    np.testing.assert_array_equal(ours, theirs.numpy())
