"""Claims: a masked problem is the matrix of inside values alone, u = 0 outside, whatever lies there, also in gradients;
a part that nothing holds is solved in the mean; coefficients are read where an equation uses them."""

from itertools import product

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve


def disc(shape, radius=0.4):
    x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return sum((v - 0.5) ** 2 for v in x) < radius**2


def at_end(end, centering, a, h):
    """The coupling to the boundary value 0, and the weight of the datum."""
    half = 2 * a / h
    if end == "dirichlet":
        return (half / h,) * 2 if centering == "cell" else (a / h**2,) * 2
    alpha = end.alpha if isinstance(end, Robin) else 0.0
    if centering == "node":
        return alpha / h, 1 / h
    return alpha * half / (alpha + half) / h, half / (alpha + half) / h


def assembled(grid, mask, a, c, f, boundary, mask_bc):
    """A and b of the inside unknowns, one after the other, from inside values alone; boundary: arrays per axis."""
    number = np.full(grid.shape, -1)
    number[mask] = np.arange(mask.sum())
    A, b, h = np.zeros((mask.sum(),) * 2), np.zeros(mask.sum()), grid.spacing
    halves = [[grid.centering == "node" and end not in ("dirichlet", "periodic") for end in pair] for pair in grid.bc]
    for i in map(tuple, np.argwhere(mask)):
        me = number[i]
        share = [0.5 if (p == 0 and low) or (p == n - 1 and high) else 1.0
                 for p, n, (low, high) in zip(i, grid.shape, halves, strict=True)]  # fmt: skip
        A[me, me] += np.prod(share) * c[i]
        b[me] += np.prod(share) * f[i]
        for d, side in product(range(grid.ndim), (0, 1)):
            across, end, p = np.prod(share) / share[d], grid.bc[d][side], i[d] + 2 * side - 1
            other = (*i[:d], p % grid.shape[d], *i[d + 1 :])
            if not 0 <= p < grid.shape[d] and end != "periodic":
                k, beta = at_end(end, grid.centering, a[i], h[d])
                b[me] += across * beta * boundary[d][side][(*i[:d], *i[d + 1 :])]
            elif mask[other]:
                k = 2 / (1 / a[i] + 1 / a[other]) / h[d] ** 2
                A[me, number[other]] -= across * k
            else:
                k = a[i] / h[d] ** 2 if mask_bc == "dirichlet" else 0.0
            A[me, me] += across * k
    return A, b


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("bc", "centering"), [("dirichlet", "node"), ("neumann", "node"), ("periodic", "cell")])
@pytest.mark.parametrize("shape", [(61,), (45, 52), (14, 15, 13)])
def test_equals_the_matrix_of_inside_values(shape, bc, centering, mask_bc):
    rng = np.random.default_rng(0)
    mask = ~disc(shape, 0.2) & (rng.random(shape) > 0.05)
    a, c = np.exp(rng.standard_normal(shape)), np.ones(shape)
    grid = Grid(shape, bc=bc, centering=centering)
    problem = Poisson(grid, a, 1.0, mask=mask, mask_bc=mask_bc)
    f = rng.standard_normal(shape)
    u = Solver(problem).solve(np.where(mask, f, np.nan), tol=1e-11).u
    assert (u[~mask] == 0).all()
    at = np.flatnonzero(mask)
    A, b = assembled(grid, mask, a, c, f, np.zeros((grid.ndim, 2, *(max(shape),) * (grid.ndim - 1))), mask_bc)
    exact = np.linalg.solve(A, b)
    np.testing.assert_allclose(u[mask], exact, rtol=0, atol=1e-9 * np.abs(exact).max())
    matrix, v = problem.to_scipy(), rng.standard_normal(shape)
    np.testing.assert_allclose((matrix @ v.ravel()).reshape(shape), problem.apply(v), atol=1e-9 * matrix.max())
    np.testing.assert_allclose(matrix.toarray()[np.ix_(at, at)], A, atol=1e-9 * matrix.max())


@pytest.mark.parametrize("shape", [(61,), (45, 52), (14, 15, 13)])
def test_a_callable_is_evaluated_on_the_cut(shape):
    """With u = 0 on the cut the matrix is the box's, of the inside unknowns."""
    rng = np.random.default_rng(0)
    mask = ~disc(shape, 0.2) & (rng.random(shape) > 0.05)
    problem, box = (
        Poisson(Grid(shape), lambda *x: np.exp(2 * np.sin(40 * sum(x))), 1.0, mask=m).to_scipy().toarray()
        for m in (mask, None)
    )
    at = np.ix_(*[np.flatnonzero(mask)] * 2)
    np.testing.assert_allclose(problem[at], box[at], rtol=1e-13)


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


def test_a_part_of_one_unknown_is_a_part_like_others():
    """An isolated pore of one voxel: f has to be 0 there, and so is u."""
    mask = np.zeros((9, 9), bool)
    mask[2:5, 2:5] = mask[7, 7] = True
    lone, f = np.zeros((9, 9)), np.random.default_rng(0).normal(size=(9, 9))
    lone[7, 7] = 1.0
    f = np.where(mask, f - f[2:5, 2:5].mean(), 0.0) * (1 - lone)
    how = {"mask_bc": "neumann", "tol": 1e-12}
    rest = solve(f, mask=mask & (lone == 0), **how).u
    for given in ({"mask": mask}, {"mask": np.stack([mask, mask & (lone == 0)]), "ndim": 2}):
        assert abs(solve(f, **given, **how).u - rest).max() < 1e-13
    with pytest.raises(ValueError, match=r"`f` must have mean zero on each part.*one has \(7, 7\)"):
        solve(f + 1e-3 * lone, mask=mask, **how)
    assert abs(solve(f + lone, mask=mask, project=True, **how).u - rest).max() < 1e-13
    solver = Solver(Poisson(Grid((9, 9)), mask=mask, mask_bc="neumann"))
    assert solver.problem.singular
    assert solver.cycle(None, f)[7, 7] == 0
    assert abs(2 * solver.update(a=2.0).solve(f, tol=1e-12).u - rest).max() < 1e-13
    assert solve(np.ones((9, 9)), mask=mask, mask_bc="neumann", c=1.0).u[7, 7] == pytest.approx(1)
    assert solve(np.ones((9, 9)), mask=mask).converged


def test_gradients_beside_a_part_of_one_unknown():
    mask = torch.zeros(7, 7, dtype=torch.bool)
    mask[1:4, 1:4] = mask[5, 5] = True

    def u(f, a):
        return solve(f, a=a, mask=mask, mask_bc="neumann", project=True, tol=1e-13).u

    f, a = (torch.rand(7, 7, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(u, (f, a))
    assert (torch.autograd.grad(u(f, a).square().sum(), a)[0][5, 5] == 0).all()


@pytest.mark.parametrize("given", [{"c": np.zeros((9, 9))}, {"velocity": (1.0, 0.0)}, {"a": ((2.0, 0.5), (0.5, 1.0))}])
def test_an_unknown_without_an_equation_is_refused(given):
    mask = np.zeros((9, 9), bool)
    mask[2:5, 2:5] = mask[7, 7] = True
    with pytest.raises(ValueError, match=r"`mask` must leave no unknown without an equation.*first \(7, 7\)"):
        solve(np.zeros((9, 9)), mask=mask, mask_bc="neumann", **given)


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


GARBAGE = [0.0, -1.0, np.nan, np.inf, 1e300]
ENDS = ["dirichlet", "neumann", Robin(0.0), Robin(2.0)]


def random_problem(seed):
    """A grid of any kind, a mask, and (a, c, f, guess, boundary) with sane values everywhere."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(*[(5, 40), (4, 12), (3, 7)][seed % 3], size=seed % 3 + 1))
    bc = ["periodic" if rng.random() < 0.3 else tuple(rng.choice(np.array(ENDS, object), 2)) for _ in shape]
    grid = Grid(shape, bc=bc, centering=["node", "cell"][rng.integers(2)], upper=rng.uniform(0.5, 2.0, len(shape)))
    mask = rng.random(shape) < rng.uniform(0.5, 0.9)
    mask.flat[0] = True
    a, c, f, guess = np.exp(rng.standard_normal((4, *shape)))
    boundary = [tuple(rng.standard_normal((2, *shape[:d], *shape[d + 1 :]))) for d in range(len(shape))]
    return grid, mask, (a, c, f, guess, boundary)


def spoilt(mask, data, garbage):
    """The data with garbage outside of the mask."""
    *fields, boundary = data
    ends = [tuple(np.where(mask.take(at, d), g, garbage) for at, g in zip((0, -1), pair, strict=True))
            for d, pair in enumerate(boundary)]  # fmt: skip
    return [*(np.where(mask, v, garbage) for v in fields), ends]


def solved(grid, mask, mask_bc, data, as_kind=lambda v: v, **options):
    a, c, f, guess, boundary = data
    boundary = [tuple(as_kind(np.asarray(g)) for g in pair) for pair in boundary]
    f, a, c, guess = (as_kind(v) for v in (f, a, c, guess))
    problem = Poisson(grid, a, c, mask=mask, mask_bc=mask_bc, like=f)
    return Solver(problem).solve(f, guess=guess, boundary=boundary, **options).u


@pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_values_outside_do_not_matter(seed, mask_bc):
    """Any kind of grid and mask: u is that of the inside values, to the last bit."""
    grid, mask, data = random_problem(seed)
    kinds = [lambda v: v, lambda v: v.astype(np.float32), torch.from_numpy, lambda v: torch.from_numpy(v).float()]
    kind, single = kinds[seed % 4], seed % 2 == 1
    sane = solved(grid, mask, mask_bc, data, kind, tol=1e-6 if single else 1e-12)
    with np.errstate(over="ignore"):
        for garbage in GARBAGE:
            u = solved(grid, mask, mask_bc, spoilt(mask, data, garbage), kind, tol=1e-6 if single else 1e-12)
            np.testing.assert_array_equal(u, sane)
    a, c, f, _, boundary = spoilt(mask, data, np.nan)
    A, b = assembled(grid, mask, a, c, f, boundary, mask_bc)
    exact = np.linalg.solve(A, b)
    np.testing.assert_allclose(
        np.asarray(sane)[mask], exact, rtol=0, atol=(1e-4 if single else 1e-10) * abs(exact).max()
    )


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_operator_rhs_and_cycle_agree(garbage, mask_bc):
    grid, mask, (a, c, f, guess, _) = random_problem(4)
    (_, _, f2, guess2, _) = spoilt(mask, (a, c, f, guess, []), garbage)
    problem = Poisson(grid, *(np.where(mask, v, garbage) for v in (a, c)), mask=mask, mask_bc=mask_bc)
    sane = Poisson(grid, a, c, mask=mask, mask_bc=mask_bc)
    np.testing.assert_array_equal(problem.to_scipy().toarray(), sane.to_scipy().toarray())
    np.testing.assert_array_equal(problem.rhs(f2), sane.rhs(f))
    np.testing.assert_array_equal(problem.apply(guess2)[mask], sane.apply(guess)[mask])
    np.testing.assert_array_equal(Solver(problem).cycle(guess2, f2), Solver(sane).cycle(guess, f))


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_batches_of_coefficients_with_values_outside(mask_bc):
    grid, mask, (a, c, f, _, _) = random_problem(7)
    a, c = np.stack([a, 2 * a, a * a]), np.stack([c, c * c, 3 * c])
    u = solve_on(grid, np.where(mask, f, np.nan), *(np.where(mask, v, np.nan) for v in (a, c)), mask, mask_bc)
    for k in range(3):
        one = solve_on(grid, f, a[k], c[k], mask, mask_bc)
        np.testing.assert_allclose(u[k], one, atol=1e-9 * abs(one).max())


def solve_on(grid, f, a, c, mask, mask_bc):
    return Solver(Poisson(grid, a, c, mask=mask, mask_bc=mask_bc)).solve(f, tol=1e-11).u


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("seed", [1, 2, 4])
def test_gradients_outside_are_zero_and_inside_what_they_are(seed, garbage, mask_bc):
    grid, mask, sane = random_problem(seed)

    def gradients(data):
        a, c, f, guess, boundary = data
        leaves = [torch.from_numpy(v).requires_grad_() for v in (a, c, f, *(g for pair in boundary for g in pair))]
        pairs = list(zip(leaves[3::2], leaves[4::2], strict=True))
        problem = Poisson(grid, leaves[0], leaves[1], mask=mask, mask_bc=mask_bc, like=leaves[0])
        u = Solver(problem).solve(leaves[2], boundary=pairs, guess=torch.from_numpy(guess), tol=1e-12).u
        return torch.autograd.grad(u.square().sum(), leaves, allow_unused=True)

    for got, want in zip(gradients(spoilt(mask, sane, garbage)), gradients(sane), strict=True):
        assert (got is None) == (want is None)
        if got is not None:
            np.testing.assert_array_equal(got, want)
    for gradient in gradients(spoilt(mask, sane, garbage))[:3]:
        assert (gradient[~torch.from_numpy(mask)] == 0).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e300])
def test_a_callable_that_has_no_value_on_the_cut(bad):
    """There the inside neighbour's is taken, and other faces that no equation uses may have any."""
    mask = np.ones((6, 7), bool)
    mask[3:] = False

    def a(x, y):
        return np.where(x > 3.4, bad, 1 + x)  # the cut is at x = 3.5, the last inside unknown at 3

    A = Poisson(Grid((6, 7), upper=(7.0, 8.0)), a, mask=mask).to_scipy().toarray().reshape(6, 7, 6, 7)
    np.testing.assert_allclose(A[2, 3, 2, 3], 3.5 + 4 + 2 * 4, rtol=1e-14)
    closed = Poisson(Grid((6, 7), upper=(7.0, 8.0)), a, mask=mask, mask_bc="neumann").to_scipy().toarray()
    np.testing.assert_allclose(closed.reshape(6, 7, 6, 7)[2, 3, 2, 3], 3.5 + 2 * 4, rtol=1e-14)


def test_bad_values_inside_are_refused_where_they_are():
    mask = disc((9, 9))
    for bad, match in ((np.nan, r"finite; it has 1 NaN, first at \(4, 5\)"), (-1.0, "positive everywhere; its .* -1")):
        a = np.where(mask, 1.0, np.nan)
        a[4, 5] = bad
        with pytest.raises(ValueError, match=f"`a` must be {match}"):
            Poisson(Grid((9, 9)), a, mask=mask)
    with pytest.raises(ValueError, match=r"`a` must be finite; it has 2 NaN, first at the point \(0.5, 0.45\)"):
        Poisson(Grid((9, 9)), (lambda x, y: np.where(abs(x - 0.5) + abs(y - 0.5) < 0.06, np.nan, 1.0), None)[::-1])
    with pytest.raises(ValueError, match="`a` must be positive"):
        Poisson(Grid((9, 9)), lambda x, y: 0 * x, mask=mask)


@pytest.mark.parametrize("end", ["neumann", Robin(0.0)], ids=str)
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("centering", ["node", "cell"])
def test_a_face_of_no_flux_may_have_any_a(centering, value, end):
    grid = Grid((8,), bc=[(end, "dirichlet")], centering=centering)
    expected = Poisson(grid, a=lambda r: np.where(r == 0, 1.0, r))
    problem = Poisson(grid, a=lambda r: np.where(r == 0, value, r))
    np.testing.assert_array_equal(problem.to_scipy().toarray(), expected.to_scipy().toarray())
    np.testing.assert_array_equal(problem.rhs(np.ones(8), [(2.0, 3.0)]), expected.rhs(np.ones(8), [(2.0, 3.0)]))


def test_faces_that_are_used_may_not():
    for end, centering in ((Robin(1.0), "cell"), ("dirichlet", "cell")):
        with pytest.raises(ValueError, match="`a` must be positive everywhere"):
            Poisson(Grid((8,), bc=[(end, "dirichlet")], centering=centering), a=lambda r: r)
    Poisson(Grid((8,), bc=[(Robin(1.0), "dirichlet")]), a=lambda r: r)  # the flux there is alpha u


def test_gradient_beside_a_face_of_no_flux():
    theta = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    f = torch.ones(16, dtype=torch.float64)
    u = solve(f, a=lambda r: theta * r, bc=[("neumann", "dirichlet")], centering="cell", tol=1e-12).u
    (gradient,) = torch.autograd.grad(u.sum(), theta)
    assert float(gradient) == pytest.approx(-float(u.detach().sum()) / 2, rel=1e-9)
