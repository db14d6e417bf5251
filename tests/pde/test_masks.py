"""Claims: a masked problem is the matrix's inside, u = 0 outside; a part that nothing holds is solved in the mean."""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

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
    if mask_bc == "dirichlet":  # where the box's matrix has the cut's faces only if a is given on faces

        def a(*x):
            return np.exp(2 * np.sin(40 * sum(x)))

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


@pytest.mark.filterwarnings("error")
def test_masks_in_any_memory():
    mask, f = disc((30, 31)) | (np.indices((30, 31))[0] < 3), np.ones((30, 31))
    want, reversed_, fixed = solve(f, mask=mask).u, mask[::-1].copy()[::-1], mask.copy()
    fixed.flags.writeable = False
    for other in (reversed_, fixed, np.asfortranarray(mask)):
        np.testing.assert_array_equal(solve(f, mask=other).u, want)


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("holes", [0.0, 0.03])
def test_disc_converges_flat(holes, mask_bc):
    """However many unknowns, and with some of them taken out anywhere: coarse grids do not see small holes."""
    rng, cycles = np.random.default_rng(0), []
    for n in (63, 127, 255):
        mask = disc((n, n)) & (rng.random((n, n)) >= holes)
        cycles.append(solve(rng.standard_normal((n, n)), mask=mask, mask_bc=mask_bc, c=1.0).cycles)
    assert max(cycles) <= (15 if holes else 10)


def test_ball_with_holes_converges():
    shape, rng = (40, 41, 42), np.random.default_rng(0)
    mask = disc(shape) & (rng.random(shape) > 0.05)
    assert solve(rng.standard_normal(shape), mask=mask, mask_bc="neumann", c=1.0).cycles <= 14


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


def closed_parts(n):
    """Two discs, with no-flux edges: u is fixed up to a constant on each."""
    x, y = np.meshgrid(*[np.linspace(0, 1, n)] * 2, indexing="ij")
    return (x - 0.3) ** 2 + (y - 0.3) ** 2 < 0.04, (x - 0.7) ** 2 + (y - 0.65) ** 2 < 0.06


@pytest.mark.parametrize("n", [30, 90, 200])
def test_parts_that_nothing_holds_are_solved_in_the_mean(n):
    left, right = closed_parts(n)
    mask, f = left | right, np.random.default_rng(0).standard_normal((2, n, n))
    for part in (left, right):
        f[:, part] -= f[:, part].mean(1, keepdims=True)
    problem = Poisson(Grid((n, n)), mask=mask, mask_bc="neumann")
    assert problem.singular
    s = Solver(problem).solve(f, tol=1e-10)
    assert s.converged
    assert s.cycles <= 20
    for part in (left, right):
        assert abs(s.u[:, part].mean(1)).max() < 1e-12 * abs(s.u).max()
    assert (s.u[:, ~mask] == 0).all()
    r = problem.rhs(f) - problem.apply(s.u)
    assert np.linalg.norm(r) <= 1e-8 * np.linalg.norm(f)
    A, at = problem.to_scipy().toarray() if n == 30 else None, np.flatnonzero(mask)
    if A is not None:
        exact = np.linalg.pinv(A[np.ix_(at, at)], rcond=1e-10) @ f[0].ravel()[at]
        np.testing.assert_allclose(s.u[0][mask], exact, rtol=0, atol=1e-8 * abs(exact).max())


def test_each_part_has_its_own_mean_and_its_own_error():
    left, right = closed_parts(40)
    f = np.where(left, 1.0, 0.0) - np.where(right, left.sum() / right.sum(), 0.0)  # the mean over both is 0
    with pytest.raises(ValueError, match="`f` must have mean zero on each part of the mask that nothing holds"):
        solve(f, mask=left | right, mask_bc="neumann")


def test_c_holds_a_part():
    left, right = closed_parts(40)
    f = np.random.default_rng(0).standard_normal((40, 40))
    f[left] -= f[left].mean()
    c = np.where(right, 2.0, 0.0)
    problem = Poisson(Grid((40, 40)), c=c, mask=left | right, mask_bc="neumann")
    u = Solver(problem).solve(f, tol=1e-11).u
    assert abs(u[left].mean()) < 1e-14
    assert u[right].mean() == pytest.approx(f[right].mean() / 2, abs=1e-9)


def test_many_small_parts():
    """Parts of a few unknowns: coarse grids hold one unknown of them, or none."""
    rng, n = np.random.default_rng(3), 64
    mask = np.zeros((n, n), bool)
    for i in range(1, n - 4, 6):
        for j in range(1, n - 4, 6):
            mask[i : i + rng.integers(1, 5), j : j + rng.integers(2, 5)] = True
    problem = Poisson(Grid((n, n)), mask=mask, mask_bc="neumann")
    null = problem.null_space(problem.A)
    f = np.where(mask, rng.standard_normal((n, n)), 0.0)
    f = null.compatible(torch.as_tensor(f)[None])[0].numpy()
    s = Solver(problem).solve(f, tol=1e-10)
    assert s.converged
    assert s.cycles <= 20
    assert np.linalg.norm(f - problem.apply(s.u)) <= 1e-8 * np.linalg.norm(f)


def test_gradient_of_a_closed_part():
    mask = np.zeros((6, 6), bool)
    mask[1:4, 1:5] = True
    at = torch.as_tensor(mask)

    def u(f, a):
        f = torch.where(at, f - f[at].mean(), 0.0)
        return solve(f, a=a, mask=mask, mask_bc="neumann", tol=1e-13).u

    f, a = (torch.rand(6, 6, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(u, (f, a))


def test_an_unknown_without_an_equation_is_refused():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 2:5] = mask[7, 7] = True
    with pytest.raises(ValueError, match=r"`mask` must leave no unknown without an equation.*first \(7, 7\)"):
        solve(np.zeros((9, 9)), mask=mask, mask_bc="neumann")
    assert solve(np.ones((9, 9)), mask=mask, mask_bc="neumann", c=1.0).u[7, 7] == pytest.approx(1)
    assert solve(np.ones((9, 9)), mask=mask).converged


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


def test_an_end_holds_a_part():
    mask = ~disc((40, 40), 0.3)
    assert solve(np.ones((40, 40)), mask=mask, mask_bc="neumann").converged
    ring = Poisson(Grid((40, 40), bc=Robin(1.0)), mask=mask, mask_bc="neumann")
    assert not ring.singular
    assert Solver(ring).solve(np.ones((40, 40))).converged


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("garbage", [0.0, -1.0, np.nan, np.inf, 1e300])
def test_values_outside_do_not_matter(garbage, mask_bc):
    """The matrix and b are those of inside values alone: a face of the cut takes the inside neighbour's a."""
    rng = np.random.default_rng(3)
    mask, a, c, f = rng.random((6, 7)) < 0.7, *rng.uniform(1, 2, (3, 6, 7))
    grid = Grid((6, 7), upper=(7.0, 8.0))
    problem = Poisson(grid, *(np.where(mask, v, garbage) for v in (a, c)), mask=mask, mask_bc=mask_bc)
    matrix, index = problem.to_scipy().toarray(), np.arange(42).reshape(6, 7)
    for i, j in np.argwhere(mask):
        row = np.zeros(42)
        row[index[i, j]] = c[i, j]
        for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            end = not (0 <= p < 6 and 0 <= q < 7)
            if not end and mask[p, q]:
                k = 2 / (1 / a[i, j] + 1 / a[p, q])
                row[index[p, q]] = -k
            else:
                k = a[i, j] if end or mask_bc == "dirichlet" else 0.0
            row[index[i, j]] += k
        np.testing.assert_allclose(matrix[index[i, j]], row, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(problem.rhs(np.where(mask, f, garbage)), np.where(mask, f, 0.0))


def test_a_face_of_no_flux_may_have_any_a():
    grid = Grid((8,), bc=[("neumann", "dirichlet")], centering="cell")
    expected = Poisson(grid, a=lambda r: np.where(r == 0, 1.0, r)).to_scipy().toarray()
    for value in (0.0, np.nan):
        A = Poisson(grid, a=lambda r, value=value: np.where(r == 0, value, r))
        np.testing.assert_array_equal(A.to_scipy().toarray(), expected)


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_gradients_outside_are_zero(mask_bc):
    mask = torch.rand((6, 7), generator=torch.Generator().manual_seed(0)) < 0.7
    a = torch.where(mask, 1.0, torch.nan).double().requires_grad_()
    A = Poisson(Grid((6, 7)), a=a, mask=mask, mask_bc=mask_bc, like=a).A
    (gradient,) = torch.autograd.grad(sum(k.square().sum() for k in A.base.k) + A.base.c[mask].sum(), a)
    assert torch.isfinite(gradient).all()
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] > 0).any()
