"""Claims: a masked problem is the matrix's inside, u = 0 outside; parts that nothing holds are refused."""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg

from mgnet.pde import Grid, Poisson, Robin, Solver, solve


def disc(shape, radius=0.4):
    x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return sum((v - 0.5) ** 2 for v in x) < radius**2


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("bc", "centering"), [("dirichlet", "node"), ("neumann", "node"), ("periodic", "cell")])
@pytest.mark.parametrize("shape", [(61,), (45, 52), (14, 15, 13)])
def test_equals_the_restricted_matrix(shape, bc, centering, mask_bc):
    rng = np.random.default_rng(0)
    mask = ~disc(shape, 0.2) & (rng.random(shape) > 0.05)
    a, c = np.exp(rng.standard_normal(shape)), 1.0
    grid = Grid(shape, bc=bc, centering=centering)
    problem, box = Poisson(grid, a, c, mask=mask, mask_bc=mask_bc), Poisson(grid, a, c).to_scipy().tocsr()
    f = rng.standard_normal(shape)
    u = Solver(problem).solve(np.where(mask, f, np.nan), tol=1e-11).u
    assert (u[~mask] == 0).all()
    at = np.flatnonzero(mask)
    A = box[at][:, at].tolil()
    if mask_bc == "neumann":
        A.setdiag(A.diagonal() - np.asarray(-box[at][:, np.flatnonzero(~mask)].sum(axis=1)).ravel())
    exact = splinalg.spsolve(A.tocsc(), problem.rhs(f).ravel()[at])
    np.testing.assert_allclose(u[mask], exact, rtol=0, atol=1e-9 * np.abs(exact).max())
    matrix, v = problem.to_scipy(), rng.standard_normal(shape)
    np.testing.assert_allclose((matrix @ v.ravel()).reshape(shape), problem.apply(v), atol=1e-9 * matrix.max())
    np.testing.assert_allclose(matrix.toarray()[np.ix_(at, at)], A.toarray(), atol=1e-9 * matrix.max())


def test_disc_converges_flat():
    cycles = [solve(np.ones((n, n)), mask=disc((n, n))).cycles for n in (63, 127, 255)]
    assert max(cycles) <= 12


def test_disc_approaches_the_exact_solution():
    n = 255
    u = solve(np.ones((n, n)), mask=disc((n, n))).u
    assert u.max() == pytest.approx(0.4**2 / 4, rel=0.02)  # (R^2 - r^2) / 4


def test_numbers_update_and_batches():
    mask = disc((40, 40))
    solver = Solver(Poisson(Grid((40, 40)), mask=mask))
    f = np.random.default_rng(1).standard_normal((3, 40, 40))
    u = solver.solve(f).u
    np.testing.assert_allclose(solver.update(a=2.0).solve(f).u, u / 2, atol=1e-7 * np.abs(u).max())
    assert (u[:, ~mask] == 0).all()


def test_neumann_parts_must_be_held():
    mask = disc((40, 40), 0.3)
    with pytest.raises(ValueError, match="connected parts"):
        solve(np.ones((40, 40)), mask=mask, mask_bc="neumann")
    assert solve(np.ones((40, 40)), mask=mask, mask_bc="neumann", c=1.0).u[mask] == pytest.approx(1)
    held = solve(np.ones((40, 40)), mask=~mask, mask_bc="neumann")
    assert held.converged
    ring = Poisson(Grid((40, 40), bc=Robin(1.0)), mask=~mask, mask_bc="neumann")
    assert Solver(ring).solve(np.ones((40, 40))).converged


@pytest.mark.parametrize(
    ("mask", "error", "match"),
    [
        (np.ones((4, 5), bool), ValueError, "shape"),
        (np.ones((5, 5)), TypeError, "boolean"),
        ([[True]], TypeError, "boolean"),
        (np.zeros((5, 5), bool), ValueError, "somewhere"),
    ],
)
def test_bad_masks(mask, error, match):
    with pytest.raises(error, match=f"`mask`.*{match}"):
        solve(np.ones((5, 5)), mask=mask)


def test_bad_mask_bc():
    with pytest.raises(ValueError, match="`mask_bc`"):
        solve(np.ones((5, 5)), mask=np.ones((5, 5), bool), mask_bc="periodic")
