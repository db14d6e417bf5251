"""FAS through core.cycle: -div(a grad u) + g(u) = f.

1  Bratu's problem has its published maxima; -Lap u + u^3 = f is solved to second order.
2  The number of cycles does not depend on the mesh, the boundary kind, or the centring.
3  Pi is information: with Pi = 0 the iteration stalls.
4  For a linear g, FAS has solve's solution.
5  g may take the coordinates of the grid it is asked on; one that closes over an array is told to.
6  Steep growing reactions (p-n junctions, Poisson-Boltzmann up to 1e10) converge from zero and from guesses far off, in
   a bounded number of cycles that the mesh does not change, to the solution of an independent damped Newton's method.
"""

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as splinalg
import torch

from mgnet.core import cycle
from mgnet.pde import Grid, NotConverged, Poisson, solve, solve_nonlinear
from mgnet.pde.levels.fas import NonlinearHierarchy, chain
from mgnet.pde.outer.backends import applied
from mgnet.pde.outer.linearised import linearised
from tests.pde.grids_and_data import CENTERINGS, ENDS, Manufactured, order, random


def bratu(n, lam, ndim=2, **keywords):
    def g(u):
        return -lam * np.exp(u)

    return solve_nonlinear(np.zeros((n,) * ndim), g, g, **keywords)


def cube(u):
    return u**3


def three_squares(u):
    return 3 * u**2


def test_bratu_in_one_dimension():
    """u(1/2) = 2 log cosh(theta / 4), theta = sqrt(2 lambda) cosh(theta / 4); lambda = 1: 0.1405392."""
    assert bratu(1023, 1.0, ndim=1, tol=1e-10).u.max() == pytest.approx(0.1405392, abs=1e-6)


def test_bratu_in_two_dimensions():
    """lambda = 6.8 lies just below the fold at 6.80812; lambda = 1: max u = 0.0781 (0.07810)."""
    s = bratu(127, 1.0)
    assert s.u.max() == pytest.approx(0.0781, abs=1e-4)
    assert (s.method[:3], bratu(9, 1.0).method) == ("FAS", "damped Newton")
    assert bratu(63, 6.5).u.max() == pytest.approx(bratu(127, 6.5).u.max(), abs=3e-3)


@pytest.mark.parametrize("lam", [1.0, 5.0])
def test_cycles_do_not_depend_on_the_mesh(lam):
    cycles = [bratu(n, lam, tol=1e-9).cycles for n in (31, 64, 127, 255)]
    assert max(cycles) <= 10
    assert max(cycles) - min(cycles) <= 2


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("ndim", [1, 2])
def test_cubic_reaction_is_second_order_with_any_boundary(ndim, ends, centering):
    bc, errors, cycles, sizes = [ends, ("neumann", "dirichlet")][:ndim], [], [], (32, 64, 128)
    for n in sizes:
        grid = Grid((n, n - 2)[:ndim], bc=bc, centering=centering)
        known = Manufactured(grid)
        f = known.datum() + known.exact() ** 3
        s = solve_nonlinear(f, cube, three_squares, bc=bc, centering=centering, boundary=known.boundary(), tol=1e-8)
        errors.append(np.sqrt(((s.u - known.exact()) ** 2).mean()))
        cycles.append(s.cycles)
    assert order(sizes, errors) == pytest.approx(2.0, abs=0.15)
    assert max(cycles) <= 12


def test_in_space_in_batches_of_tensors():
    f = torch.as_tensor(100 * random((2, 20, 24, 22)))
    s = solve_nonlinear(f, cube, three_squares, ndim=3, tol=1e-9, a=(1.0, 2.0, 1.0))
    assert s.u.shape == f.shape
    A = Poisson(Grid((20, 24, 22)), a=(1.0, 2.0, 1.0), like=f)
    assert float((A.apply(s.u) + s.u**3 - f).norm() / f.norm()) <= 2e-9
    alone = solve_nonlinear(f[1], cube, three_squares, tol=1e-9, a=(1.0, 2.0, 1.0)).u
    torch.testing.assert_close(s.u[1], alone, rtol=0, atol=1e-7)


def test_variable_coefficient_and_warm_start():
    f = 50 * random((100, 90))

    def a(x, y):
        return 1 + x * y

    s = solve_nonlinear(f, cube, three_squares, a=a, tol=1e-9)
    residual = Poisson(Grid((100, 90)), a=a).apply(s.u) + s.u**3 - f
    assert np.linalg.norm(residual) <= 2e-9 * np.linalg.norm(f)
    assert solve_nonlinear(f, cube, three_squares, a=a, tol=1e-8, guess=s.u).cycles == 0


def test_a_linear_reaction_is_solves():
    f = random((70, 80))
    ours = solve_nonlinear(f, lambda u: 3 * u, lambda u: 3 + 0 * u, bc="neumann", tol=1e-10).u
    np.testing.assert_allclose(ours, solve(f, c=3.0, bc="neumann", tol=1e-10).u, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_reaction_of_the_coordinates_has_the_dense_solution(kind, dtype):
    f = kind(random((2, 30, 33)).astype(dtype))

    def g(u, x, y):
        assert type(x) is type(u) is type(f)
        assert x.dtype == u.dtype == f.dtype
        assert x.shape == u.shape[1:]
        return (1 + x + 50 * y) * u

    def dg(u, x, y, scale=1.0):  # one with a default is no coordinate
        return scale * (1 + x + 50 * y)[None] + 0 * u

    tol = 1e-9 if dtype == "float64" else 1e-4
    ours = solve_nonlinear(f, g, dg, ndim=2, tol=tol).u
    grid = Grid((30, 33))
    x, y = grid.coordinates()
    A = Poisson(grid).to_scipy().toarray() + np.diag((1 + x + 50 * y).ravel())
    known = np.linalg.solve(A, np.asarray(f, dtype=float).reshape(2, -1).T).T.reshape(f.shape)
    np.testing.assert_allclose(np.asarray(ours), known, rtol=0, atol=100 * tol * abs(known).max())


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_an_array_inside_g_is_told_to_use_the_coordinates(kind):
    f, k = kind(np.ones((31, 31))), kind(np.ones((31, 31)))
    with pytest.raises(ValueError, match=r"compute what varies in space from the coordinates, as g\(u, x, y\)"):
        solve_nonlinear(f, lambda u: k * u, lambda u: 1 + 0 * u)


def two_sinh(u):
    return 2 * np.sinh(np.asarray(u))


def two_cosh(u):
    return 2 * np.cosh(np.asarray(u))


def junction(n, N):
    """f and the boundary data of a p-n junction: -u'' + 2 sinh u = -N for x < 1/2, N for x > 1/2."""
    (x,) = Grid((n,)).coordinates()
    end = float(np.arcsinh(N / 2))
    return N * np.sign(x - 0.5), [(-end, end)]


def newton(A, b, u, g, dg):
    """A u + g(u) = b by Newton's method with sparse matrices, an exponential's steps made log(1 + |e|)."""
    for _ in range(300):
        e = splinalg.spsolve((A + sparse.diags_array(dg(u))).tocsc(), b - A @ u - g(u))
        u = u + np.sign(e) * np.log1p(abs(e))
        if abs(e).max() <= 1e-10 * abs(u).max():
            return u
    raise AssertionError("the reference did not converge")


def reference(f, g, dg, boundary=None):
    problem = Poisson(Grid(f.shape))
    b = np.asarray(problem.rhs(f, boundary)).ravel()
    return newton(problem.to_scipy(), b, np.arcsinh(f.ravel() / 2), g, dg).reshape(f.shape)


@pytest.mark.parametrize("N", [1e4, 1e6, 1e8, 1e10])
def test_a_junction_converges_from_zero_on_any_mesh(N):
    cycles = []
    for n in (63, 255, 1023):
        f, boundary = junction(n, N)
        s = solve_nonlinear(f, two_sinh, two_cosh, boundary=boundary)
        np.testing.assert_allclose(s.u, reference(f, two_sinh, two_cosh, boundary), rtol=0, atol=1e-6)
        cycles.append(s.cycles)
    assert max(cycles) <= 10


@pytest.mark.parametrize(("shape", "Q"), [((65, 65), 1e6), ((65, 65), 1e8), ((65, 65), 1e10), ((129, 129), 1e8)])
def test_point_charges_in_a_plane(shape, Q):
    f, where = np.zeros(shape), np.random.default_rng(0).integers(5, 60, (8, 2))
    f[where[:, 0], where[:, 1]] = [Q, -Q] * 4
    s = solve_nonlinear(f, np.sinh, np.cosh, tol=1e-13)  # relative to charges beside which all else is small
    assert s.cycles <= 12
    np.testing.assert_allclose(s.u, reference(f, np.sinh, np.cosh), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "Q"), [(17, 1e6), (17, 1e10), (33, 1e8)])
def test_a_tilted_junction_in_space(n, Q):
    x, y, _ = np.broadcast_arrays(*Grid((n,) * 3).coordinates())
    f = Q * np.sign(x - 0.5 + 0.2 * y)
    s = solve_nonlinear(f, two_sinh, two_cosh)
    assert s.cycles <= 10
    A, r = Poisson(Grid(f.shape)), two_sinh(s.u) - f
    assert np.linalg.norm(A.apply(s.u) + r) <= 2e-8 * np.linalg.norm(f)
    if n == 17:
        np.testing.assert_allclose(s.u, reference(f, two_sinh, two_cosh), rtol=0, atol=1e-6)


@pytest.mark.parametrize("contrast", [40.0, 1e6])
@pytest.mark.parametrize("shape", [(33, 33), (40, 61), (14, 15, 13)], ids=str)
def test_charges_in_materials(shape, contrast):
    """Poisson and Boltzmann's equation with an array of permittivities."""
    x = Grid(shape).coordinates()
    a, f = np.where(np.hypot(x[0] - 0.4, x[1] - 0.6) < 0.23, 1.0, contrast), np.zeros(np.prod(shape))
    f[np.random.default_rng(0).integers(0, f.size, 6)] = [1e5, -1e5] * 3
    s = solve_nonlinear(f.reshape(shape), two_sinh, two_cosh, a=a, tol=1e-10)
    assert s.cycles <= 6
    exact = newton(Poisson(Grid(shape), a).to_scipy(), f, np.arcsinh(f / 2), two_sinh, two_cosh)
    np.testing.assert_allclose(s.u.ravel(), exact, rtol=0, atol=1e-6 * abs(exact).max())


def test_an_array_where_g_falls():
    x, y = Grid((64, 64)).coordinates()
    a = 1 + x * y
    ours, theirs = (bratu(64, 1.0, a=v) for v in (a, lambda x, y: 1 + x * y))
    np.testing.assert_allclose(ours.u, theirs.u, rtol=0, atol=2 / 65**2 * theirs.u.max())  # of order h^2
    assert ours.cycles <= theirs.cycles + 1


@pytest.mark.parametrize("bc", ["neumann", "periodic"])
def test_where_g_alone_holds_u(bc):
    """From u = 0, where g' = 0 leaves the first linear problem singular."""
    (x,) = Grid((96,), bc=bc).coordinates()
    f = 1 + np.cos(2 * np.pi * x)
    s = solve_nonlinear(f, cube, three_squares, bc=bc, tol=1e-10)
    A = Poisson(Grid((96,), bc=bc))
    assert np.linalg.norm(A.apply(s.u) + A.rhs(cube(s.u)) - A.rhs(f)) <= 1e-9 * np.linalg.norm(A.rhs(f))


STEEP = {
    "exp": (np.exp, np.exp, 1e10),
    "kappa^2 sinh": (lambda u: 1e6 * np.sinh(u), lambda u: 1e6 * np.cosh(u), 1e8),
    "sinh(u / V)": (lambda u: 1e6 * np.sinh(u / 0.026), lambda u: 1e6 / 0.026 * np.cosh(u / 0.026), 1e10),
    "cube": (cube, three_squares, 1e10),
    "u|u|": (lambda u: u * abs(u), lambda u: 2 * abs(u), 1e10),
    "u exp u^2": (lambda u: u * np.exp(u * u), lambda u: (1 + 2 * u * u) * np.exp(u * u), 1e8),
}


@pytest.mark.parametrize("name", STEEP)
@pytest.mark.parametrize(("bc", "centering"), [("dirichlet", "node"), (("dirichlet", "neumann"), "cell")])
def test_steep_reactions_of_several_junctions(name, bc, centering):
    g, dg, Q = STEEP[name]
    for n in (64, 300):
        grid = Grid((n,), bc=[bc], centering=centering)
        (x,) = grid.coordinates()
        f = Q * np.sign(np.sin(9 * x + 1))
        f = np.maximum(f, 0) if name == "exp" else f
        with np.errstate(over="ignore"):
            s = solve_nonlinear(f, g, dg, bc=[bc], centering=centering)
        assert s.cycles <= 20
        assert np.linalg.norm(Poisson(grid).apply(s.u) + g(s.u) - f) <= 2e-8 * np.linalg.norm(f - g(0 * f))


@pytest.mark.parametrize("far", [50.0, -50.0, 300.0, 5000.0])
def test_guesses_far_off(far):
    f, boundary = junction(255, 1e8)
    s = solve_nonlinear(f, two_sinh, two_cosh, boundary=boundary, guess=np.full(255, far))
    assert s.cycles <= 20
    np.testing.assert_allclose(s.u, reference(f, two_sinh, two_cosh, boundary), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tol", "atol"), [("float64", 1e-8, 1e-6), ("float32", 1e-4, 1e-2)])
def test_members_that_differ_wildly(dtype, tol, atol):
    f = np.array([0.0, 1.0, 1e3, 1e6, 1e8])[:, None] * junction(300, 1.0)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        s = solve_nonlinear(f.astype(dtype), two_sinh, two_cosh, ndim=1, tol=tol)
    assert s.cycles <= 15
    for u, each in zip(s.u, f, strict=True):
        np.testing.assert_allclose(u, reference(each, two_sinh, two_cosh), rtol=0, atol=atol)


def factor(inject):
    """Reduction per cycle of Bratu's residual, from zero."""
    grids = chain(Grid((63, 63)))
    problems = [Poisson(grid) for grid in grids]
    b = [torch.zeros(1, *grid.shape, dtype=torch.float64) for grid in grids]

    def g(u):
        return -5.0 * u.exp()

    hierarchy = NonlinearHierarchy(problems, g, g, b, applied, linearised, inject)
    u, norms = torch.zeros_like(b[0]), []
    for _ in range(12):
        u = cycle(hierarchy.levels, u, b[0])
        norms.append(float(hierarchy.norms(u, b[0])))
    return (norms[-1] / norms[3]) ** (1 / 8)


def test_Pi_is_information():
    assert factor(inject=True) < 0.25
    assert not factor(inject=False) < 0.8


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"g": 3.0}, TypeError, "`g` must be a function of u; it is float"),
        ({"dg": None}, TypeError, "`dg` must be a function of u"),
        ({"g": lambda u: u[..., :2]}, ValueError, "`g` must return one value per unknown"),
        (
            {"g": lambda u: None},
            TypeError,
            "`g` must return real numbers, an array or one for all; it returned NoneType",
        ),
        ({"dg": lambda u: np.sqrt(u + 0j)}, TypeError, "`dg` must return real numbers, .* it returned complex128"),
        ({"g": lambda u: np.power(u, 3, out=u)}, ValueError, "read-only"),
        ({"g": lambda u: u.pow_(3), "f": torch.ones(20, 20)}, TypeError, "`g` .* changes it in place"),
        ({"g": lambda u, x, y: x.mul_(2), "f": torch.ones(20, 20)}, TypeError, "`g` .* changes it in place"),
        ({"g": lambda u, x: u}, TypeError, "`g` must take u, or u and 2 coordinates; it takes 2 arguments"),
        ({"a": np.ones((2, 20, 20))}, ValueError, r"`a` must have the grid's shape \(20, 20\) for a nonlinear problem"),
        ({"a": np.full((20, 20), np.nan)}, ValueError, "`a` must be finite"),
        ({"a": torch.ones(20, 20, requires_grad=True)}, TypeError, "`a` asks for a gradient"),
        ({"boundary": [(np.ones(20), 0.0), (0.0, 0.0)]}, TypeError, "`boundary` must be a number or a callable"),
        ({"tol": None}, ValueError, "`tol` must be a number between 0 and 1"),
        ({"guess": np.ones(3)}, ValueError, "`guess` must have the solution's shape"),
        ({"f": np.full((20, 20), np.nan)}, ValueError, "`f` must be finite"),
        ({"f": [1.0]}, TypeError, "`f` must be a numpy array"),
    ],
)
def test_errors(keywords, error, message):
    arguments = {"f": np.ones((20, 20)), "g": cube, "dg": three_squares} | keywords
    with pytest.raises(error, match=message):
        solve_nonlinear(**arguments)


def test_no_solution_is_no_answer():
    """Beyond the fold Bratu's problem has no solution."""
    with pytest.raises((NotConverged, FloatingPointError), match="check that a solution exists"):
        bratu(63, 20.0)


def test_data_whose_squares_underflow_are_told():
    """Beside them a residual of 0 says nothing; data that g(0) balances are solved by u = 0."""
    with pytest.raises(FloatingPointError, match="squares of `f` underflow"):
        solve_nonlinear(np.full((20, 20), 1e-200), lambda u: u**3, lambda u: 3 * u**2)
    assert not solve_nonlinear(np.ones((20, 20)), lambda u: 1 + u**3, lambda u: 3 * u**2).u.any()
