"""Order 4 for every boundary kind and centring.

0  The kernel is its readable twin, on any number of threads; arrays that do not fit are refused.
1  The largest error is O(h^4): fitted order 4.0 +- 0.2 in 1-, 2- and 3-D, corners included, with inhomogeneous data.
2  to_scipy is the operator; the solution is spsolve's; round-off bounds, transposes and residuals belong to it.
3  A few more cycles than order 2, flat in n; gradients are those of the fourth-order system.
4  What is not to be had is refused.
"""

from itertools import product

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.native import kernels
from mgnet.pde.native.applied import AppliedFourthOrder
from tests.pde.grids_and_data import CENTERINGS, ENDS, Manufactured, order, random, reaction_for, shape_of

MORE_ENDS = [*ENDS, ("dirichlet", Robin(2.0)), (Robin(0.5), "neumann")]


def operator(shape, ends, centering, dtype):
    bc, a = [ends, ("neumann", "dirichlet"), "periodic"][: len(shape)], (1.0, 0.3, 2.0)[: len(shape)]
    like = torch.zeros((), dtype=dtype)
    return Poisson(Grid(shape, bc=bc, centering=centering), a, abs(random(shape)), order=4, like=like).A


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("ends", MORE_ENDS, ids=str)
@pytest.mark.parametrize("shape", [(9,), (40,), (7, 8), (23, 40), (7, 17, 20)], ids=str)
def test_the_kernel_is_its_twin(shape, ends, dtype):
    for centering in CENTERINGS:
        A, u = operator(shape, ends, centering, dtype), torch.as_tensor(random((3, *shape))).to(dtype)
        for B in (A.flattened(()), A.T.flattened(())):
            bound = (4 * torch.finfo(dtype).eps * B.magnitude(u)).clamp(min=torch.finfo(dtype).tiny)
            assert ((AppliedFourthOrder(B)(u) - B(u)).abs() <= bound).all()


def test_threads_give_equal_bits():
    A, u = operator((120, 130), "dirichlet", "node", torch.float64), torch.as_tensor(random((2, 120, 130)))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(AppliedFourthOrder(A)(u))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(v, found[0]) for v in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [8]}, "each list must have one entry an axis"),
        ({"shape": [8, 4]}, "at least 5 unknowns"),
        ({"shares": [np.ones(8), np.ones(8)]}, "`shares` must be of shape"),
        ({"beside": [np.zeros((2, 1, 6)), np.zeros((2, 2, 6))]}, "`beside` must have 2 rows at least"),
        ({"beside": [np.zeros((2, 2, 9)), np.zeros((2, 2, 6))]}, "as many columns as rows"),
        ({"excess": [np.zeros((2, 3)), np.zeros((2, 2))]}, "`excess` must be of shape"),
        ({"c": np.ones((8, 8))}, "`c` must broadcast"),
        ({"u": np.ones((1, 8, 9), np.float32)[:, :, ::-1]}, "`u` must be contiguous"),
        ({"u": np.ones((1, 9, 8))}, "`u` must be of shape"),
        ({"out": np.ones((1, 8, 9), np.float32)}, "`out` must be float64"),
    ],
    ids=lambda v: v if isinstance(v, str) else next(iter(v)),
)
def test_arrays_that_do_not_fit_the_kernel_are_refused(change, message):
    given = {
        "shape": [8, 9], "wraps": [False, False], "stencils": [(1.0, 2.0)] * 2, "beside": [np.zeros((2, 2, 6))] * 2,
        "excess": [np.zeros((2, 2))] * 2, "shares": [np.ones(8), np.ones(9)], "c": None,
        "u": np.ones((1, 8, 9)), "out": np.empty((1, 8, 9)),
    } | change  # fmt: skip
    u, out = given.pop("u"), given.pop("out")
    with pytest.raises(ValueError, match=message):
        kernels.WideDifferences(**given).apply(u, out, 1)


def error(shape, bc, centering, a=None, upper=1.0, **keywords):
    """The largest."""
    grid = Grid(shape, bc=bc, centering=centering, upper=upper)
    known = Manufactured(grid, a, reaction_for(grid), k=4.0)  # k = 3: the leading term nearly cancels on a mixed line
    s = solve(known.datum(), bc=bc, centering=centering, upper=upper, a=a, c=known.c, boundary=known.boundary(),
              tol=1e-13, **keywords)  # fmt: skip
    assert s.converged
    return abs(s.u - known.exact()).max()


# in space an end goes with one centring
SPACE = [(3, ends, CENTERINGS[k % 2]) for k, ends in enumerate(MORE_ENDS)]


@pytest.mark.parametrize(("ndim", "ends", "centering"), [*product([1, 2], MORE_ENDS, CENTERINGS), *SPACE], ids=str)
def test_fourth_order(ndim, ends, centering):
    bc = [ends, ("neumann", "dirichlet"), "periodic"][:ndim]
    sizes = {1: (45, 90, 180), 2: (40, 80, 160), 3: (27, 40, 60)}[ndim]
    errors = [error(shape_of(n, bc, centering), bc, centering, order=4) for n in sizes]
    assert order(sizes, errors) == pytest.approx(4.0, abs=0.2), errors


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_fourth_order_with_one_kind_of_end_all_around(ndim, bc, centering):
    sizes = {2: (40, 80, 160), 3: (27, 40, 60)}[ndim]
    errors = [error(shape_of(n, [bc] * ndim, centering), [bc] * ndim, centering, order=4) for n in sizes]
    assert order(sizes, errors) == pytest.approx(4.0, abs=0.2), errors


@pytest.mark.parametrize("centering", CENTERINGS)
def test_fourth_order_with_anisotropy_and_unequal_axes(centering):
    bc, a, upper = ["dirichlet", "neumann", "periodic"], (1.0, 0.3, 2.0), (1.0, 1.5, 0.8)
    sizes = (20, 32, 52)
    errors = [error(shape_of(n, bc, centering), bc, centering, a, upper, order=4) for n in sizes]
    assert order(sizes, errors) == pytest.approx(4.0, abs=0.2), errors


def test_fourth_order_with_a_variable_reaction():
    errors, sizes = [], (31, 63, 127)
    for n in sizes:
        x, y = Grid((n, n)).coordinates()
        u, c = np.sin(3 * x) * np.cos(2 * y), np.exp(x * y)
        s = solve((13 + c) * u, c=c, boundary=lambda x, y: np.sin(3 * x) * np.cos(2 * y), order=4, tol=1e-12)
        errors.append(abs(s.u - u).max())
    assert order([n + 1 for n in sizes], errors) == pytest.approx(4.0, abs=0.2)


def test_a_hundred_times_closer_for_a_few_cycles():
    """MUDPACK's mud24 reports two digits at 49 x 97."""
    second, fourth = (error((49, 97), "dirichlet", "node", order=k) for k in (2, 4))
    assert fourth < second / 100
    cycles = []
    for n in (63, 127, 255):
        x, y = Grid((n, n)).coordinates()
        once, twice = (solve(np.sin(3 * x) * np.cos(2 * y), order=k, tol=1e-6) for k in (2, 4))
        assert once.cycles < twice.cycles <= 2 * once.cycles + 2
        assert twice.work > once.work
        assert "order 4" in twice.method
        cycles.append(twice.cycles)
    assert max(cycles) - min(cycles) <= 3


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", MORE_ENDS, ids=str)
@pytest.mark.parametrize("shape", [(9,), (8, 11), (7, 9, 8)], ids=str)
def test_the_matrix_is_the_operator(shape, ends, centering):
    bc, a = [ends, ("neumann", "dirichlet"), "periodic"][: len(shape)], (1.0, 0.3, 2.0)[: len(shape)]
    problem = Poisson(Grid(shape, bc=bc, centering=centering), a, abs(random(shape)) + 0.1, order=4)
    A, u, v = problem.to_scipy(), random(shape), random(shape, 1)
    np.testing.assert_allclose(problem.apply(u).ravel(), A @ u.ravel(), rtol=0, atol=1e-13 * abs(A).max())
    L = Solver(problem).aslinearoperator()
    np.testing.assert_allclose(L.rmatvec(v.ravel()), A.T @ v.ravel(), rtol=0, atol=1e-13 * abs(A).max())
    bound = abs(A) @ abs(u).ravel()
    np.testing.assert_allclose(problem.A.magnitude(torch.as_tensor(u)).numpy().ravel(), bound, rtol=1e-12)
    boundary = [(1.0, -2.0)] * len(shape)
    b = problem.rhs(v, boundary)
    s = Solver(problem).solve(v, boundary=boundary, tol=1e-12)
    exact = splinalg.spsolve(A.tocsc(), b.ravel()).reshape(shape)
    np.testing.assert_allclose(s.u, exact, rtol=0, atol=1e-9 * abs(exact).max())
    residual = np.linalg.norm(b - problem.apply(s.u)) / np.linalg.norm(b)
    assert residual == pytest.approx(s.residuals[-1], rel=0.1, abs=1e-15)


def test_a_second_order_cycle_preconditions_gmres():
    solver, steps = Solver(Poisson(Grid((60, 50), bc=["neumann", "dirichlet"]), order=4)), []
    b = random(3000)
    x, info = splinalg.gmres(solver.aslinearoperator(), b, M=solver.aspreconditioner(), rtol=1e-10,
                             callback=steps.append, callback_type="pr_norm")  # fmt: skip
    assert (info, len(steps) < 25) == (0, True)
    np.testing.assert_allclose(solver.problem.to_scipy() @ x, b, rtol=0, atol=1e-6)


def test_batches_and_singular_problems():
    grid = Grid((40, 50), bc="periodic")
    x, y = (2 * np.pi * t for t in grid.coordinates())
    exact = np.stack([np.sin(x) * np.cos(y), np.cos(2 * x)])
    f = exact * np.array([2.0, 4.0])[:, None, None] * (2 * np.pi) ** 2
    u = solve(f, bc="periodic", ndim=2, order=4, tol=1e-11).u
    assert abs(u - exact).max() < 2e-4
    assert abs(solve(f, bc="periodic", ndim=2, tol=1e-11).u - exact).max() > 2e-3


@pytest.mark.parametrize("centering", CENTERINGS)
def test_pure_neumann_is_solved_in_the_mean(centering):
    """-Lap u = f with zero flux around, f of discrete mean zero; u up to a constant."""
    errors, sizes = [], (20, 40, 80)
    for n in sizes:
        grid = Grid(shape_of(n, ["neumann"] * 2, centering), bc="neumann", centering=centering)
        x, y = (np.pi * t for t in grid.coordinates())
        exact = np.cos(x) * np.cos(2 * y)
        w = Poisson(grid).rhs(np.ones(grid.shape))
        u = solve(5 * np.pi**2 * exact, bc="neumann", centering=centering, order=4, tol=1e-12).u
        assert abs((w * u).sum()) < 1e-12 * w.sum()
        errors.append(abs(u - exact + (w * exact).sum() / w.sum()).max())
    assert order(sizes, errors) == pytest.approx(4.0, abs=0.2), errors


@pytest.mark.parametrize("ends", ["dirichlet", "neumann", "periodic"])
def test_gradients(ends):
    """gradcheck and gradgradcheck by f, c, and boundary values; the adjoint system is the transposed one."""

    def u(f, c, g):
        boundary = [(None, None), (0.0, lambda x, y: g * x)]
        return solve(f, c=c, order=4, tol=1e-13, bc=[ends, "dirichlet"], boundary=boundary).u

    f, c = (torch.as_tensor(abs(random((8, 7), k)) + 0.5).requires_grad_() for k in (0, 1))
    g = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(u, (f, c, g), fast_mode=True)
    assert torch.autograd.gradgradcheck(u, (f, c, g), fast_mode=True)


def test_gradient_of_a_singular_problem():
    def u(f):
        return solve(f - f.mean(), order=4, tol=1e-13, bc="neumann", centering="cell").u

    assert torch.autograd.gradcheck(u, torch.as_tensor(random((8, 7))).requires_grad_(), fast_mode=True)


def test_vmap():
    f, c = torch.as_tensor(random((3, 9, 8))), torch.as_tensor(abs(random((3, 9, 8), 1)))
    ours = torch.func.vmap(lambda f, c: solve(f, c=c, order=4, tol=1e-12).u)(f, c)
    for i in range(3):
        torch.testing.assert_close(ours[i], solve(f[i], c=c[i], order=4, tol=1e-12).u, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"order": 3}, "`order` must be 2 or 4; it is 3"),
        ({"order": "4"}, "`order` must be 2 or 4"),
        ({"order": True}, "`order` must be 2 or 4"),
        ({"order": 4, "a": lambda x, y: 1 + x}, "`order` = 4 needs an `a` of numbers"),
        ({"order": 4, "mask": np.eye(20) < 1}, "`order` = 4 needs the whole box; there is a `mask`"),
        ({"order": 4, "tol": None}, "`order` = 4 needs a tolerance"),
    ],
)
def test_where_it_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        solve(np.ones((20, 20)), **keywords)


def test_a_short_axis_is_refused():
    with pytest.raises(ValueError, match="`order` = 4 needs at least 7 unknowns on each axis; axis 1 has 6"):
        Poisson(Grid((20, 6)), order=4)


def test_a_penalty_on_nodes_is_refused():
    """Its data hid the inside from the residual: u was wrong, or did not converge. On cells it fixes no unknown."""
    bc = [(Robin(1e12), "neumann"), "dirichlet"]
    with pytest.raises(ValueError, match=r'alpha h / a of Robin of at most 100000 on .* axis 0 .* Say "dirichlet"'):
        solve(np.ones((16, 16)), bc=bc, order=4)
    x = Grid((16, 16), centering="cell").coordinates()[0]
    bc = [(Robin(1e12), "neumann"), "periodic"]
    s = solve(-np.exp(x), bc=bc, centering="cell", boundary=[(1e12, np.e), None], order=4, tol=1e-10)
    assert abs(s.u - np.exp(x)).max() < 1e-6
