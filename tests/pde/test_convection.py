"""velocity=(v0, v1, ...): -div(a grad u) + v . grad u + c u = f, by upwind and central differences.

1  The matrix and b are those of an assembly by hand, cell by cell: every end, centring, stretched axes, numbers,
   arrays, callables, values on faces. Upwind differences make an M-matrix. In one dimension u is the textbook's.
2  The order is 1 (upwind) and 2 (central), with a velocity that has a divergence, and data on all ends.
3  20 cycles at most to 1e-8 from cell Peclet numbers of 0.01 to 1e4 (central: 16): flows at any angle, and
   recirculating ones; u is elimination's.
4  Singular problems: f is to be orthogonal to what A^T maps to zero, by eigenvectors of the dense matrix.
5  Batches, precisions, what little holds, few unknowns, three dimensions, scipy's GMRES, updates, gradients both ways.
6  What is no velocity, or has no operator here, is refused.
"""

import copy
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as splinalg
import torch
from torch.autograd import gradcheck, gradgradcheck

from mgnet.pde import Faces, Grid, NotConverged, Poisson, Robin, Solver, solve, solve_nonlinear
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import DEFAULT
from mgnet.pde.outer.stopping import Stop
from tests.pde.grids_and_data import CENTERINGS, ENDS, Manufactured, order, random, shape_of

pi = np.pi
SCHEMES = ["upwind", "central"]


def graded(n, centering, bc):
    """An axis whose mesh widths differ by ten, on [0, 1], with n unknowns."""
    intervals = Grid((n,), bc=[bc], centering=centering).axes[0].intervals
    return (10.0 ** np.linspace(0, 1, intervals + 1) - 1) / 9


class Functional:
    """weights of the unknowns, and of the datum of an end: a number that depends on u linearly."""

    def __init__(self, weights=(), datum=0.0):
        self.weights, self.datum = dict(weights), datum

    def __add__(self, other):
        keys = {*self.weights, *other.weights}
        sums = {k: self.weights.get(k, 0) + other.weights.get(k, 0) for k in keys}
        return Functional(sums, self.datum + other.datum)

    def __rmul__(self, s):
        return Functional({k: s * w for k, w in self.weights.items()}, s * self.datum)

    def __sub__(self, other):
        return self + (-1.0) * other


def assembled(grid, a, v, scheme):
    """(A, b for data 1 on all ends): fluxes v u_f - v u_i - a du/dn out of each cell, over h_0 h_1."""
    A, b, x = np.zeros((grid.size, grid.size)), np.zeros(grid.size), [axis.x for axis in grid.axes]
    span = [axis.upper - axis.lower for axis in grid.axes]

    def number(at):
        return at[0] * grid.shape[1] + at[1]

    def edge(d, i, side):
        """Where the cell of unknown i of axis d ends."""
        n, other = grid.shape[d], i + side
        if grid.centering == "cell" and grid.axes[d].points is not None:
            return grid.axes[d].points[i + (side > 0)]
        if grid.centering == "cell":
            return x[d][i] + side * grid.spacing[d] / 2
        if grid.bc[d][0] == "periodic" and not 0 <= other < n:
            return (x[d][i] + x[d][other % n] + side * span[d]) / 2
        if 0 <= other < n:
            return (x[d][i] + x[d][other]) / 2
        end, kind = (0.0, 1.0)[side > 0], grid.bc[d][side > 0]
        return (x[d][i] + end) / 2 if kind == "dirichlet" else end

    def flux(d, at, side):
        i, n, here = at[d], grid.shape[d], Functional({number(at): 1.0})
        face = edge(d, i, side)
        place = [x[0][at[0]], x[1][at[1]]]
        place[d] = face % span[d] if grid.bc[d][0] == "periodic" and face % span[d] else face
        if grid.bc[d][0] == "periodic" and grid.centering == "cell" and face in (0.0, 1.0):
            place[d] = 1.0
        a_f, out = a(*place), side * v[d](*place)
        wraps = grid.bc[d][0] == "periodic"
        if 0 <= i + side < n or wraps:
            there = list(at)
            there[d] = (i + side) % n
            beside = Functional({number(there): 1.0})
            own, next_ = abs(face - x[d][i]), abs(edge(d, there[d], -side) - x[d][there[d]])
            mean = (next_ / (own + next_)) * here + (own / (own + next_)) * beside
            diffusion = (a_f / (own + next_)) * (here - beside)
            u_f = mean if scheme == "central" else here if out > 0 else beside
            return diffusion + out * (u_f - here)
        kind, datum = grid.bc[d][side > 0], Functional(datum=1.0)
        distance = abs((0.0, 1.0)[side > 0] - x[d][i])
        alpha = kind.alpha if isinstance(kind, Robin) else 0.0
        if grid.centering == "node" and kind != "dirichlet":
            return alpha * here - datum
        if kind == "dirichlet":
            u_end = datum
            u_face = 0.5 * here + 0.5 * datum if grid.centering == "node" else datum
        else:
            u_end = u_face = (1 / (alpha + a_f / distance)) * (datum + (a_f / distance) * here)
        u_f = u_face if scheme == "central" else here if out > 0 else u_end
        return (a_f / distance) * (here - u_end) + out * (u_f - here)

    for at in product(*(range(n) for n in grid.shape)):
        width = [edge(d, at[d], 1) - edge(d, at[d], -1) for d in (0, 1)]
        total = Functional()
        for d, side in product((0, 1), (-1, 1)):
            total = total + width[1 - d] * flux(d, at, side)
        for k, w in total.weights.items():
            A[number(at), k] += w / (grid.spacing[0] * grid.spacing[1])
        b[number(at)] = -total.datum / (grid.spacing[0] * grid.spacing[1])
    return A, b


def flow(x, y):
    """Strong, with a divergence, of either sign."""
    return 40 * np.sin(3 * x - 1 + y), 30 * np.cos(5 * x * y) - 9


V = (lambda x, y: flow(x, y)[0], lambda x, y: flow(x, y)[1])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("second", ["dirichlet", ("neumann", "dirichlet"), "periodic"], ids=str)
@pytest.mark.parametrize("first", [*ENDS, (Robin(2.0), "dirichlet"), ("neumann", Robin(0.5))], ids=str)
def test_matrix(first, second, centering, scheme):
    def a(x, y):
        return 1 + x + y * y

    uniform = Grid((5, 4), bc=[first, second], centering=centering)
    points = [graded(n, centering, bc) for n, bc in ((5, first), (4, second))]
    stretched = (Grid.from_faces if centering == "cell" else Grid.from_nodes)(points, [first, second])
    for grid in (uniform, stretched):
        problem = Poisson(grid, a, velocity=V, scheme=scheme)
        A, b = assembled(grid, a, V, scheme)
        np.testing.assert_allclose(problem.to_scipy().toarray(), A, rtol=0, atol=1e-10 * abs(A).max())
        data = problem.rhs(np.zeros(grid.shape), 1.0).ravel()
        np.testing.assert_allclose(data, b, rtol=0, atol=1e-10 * max(abs(b).max(), 1))
        assert problem.m_matrix().all() or scheme == "central"
    u = random((3, 5, 4))
    problem = Poisson(grid, a, 0.3, velocity=V, scheme=scheme)
    A = problem.to_scipy().toarray()
    v, rows, tiny = torch.as_tensor(u), u.reshape(3, -1), 1e-12 * abs(A).max()
    np.testing.assert_allclose(problem.apply(u).reshape(3, -1), rows @ A.T, rtol=0, atol=tiny)
    np.testing.assert_allclose(problem.A.T(v).reshape(3, -1), rows @ A, rtol=0, atol=tiny)
    np.testing.assert_allclose(problem.A.T.to_scipy().toarray(), A.T, rtol=0, atol=0)
    bound = abs(A) @ abs(u[0]).ravel()
    np.testing.assert_allclose(problem.A.magnitude(v[0]).numpy().ravel(), bound, rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
def test_what_a_velocity_may_be(bc, centering, scheme):
    grid = Grid((5, 4), bc=[bc, "neumann"], centering=centering)
    x, y = grid.coordinates()

    def matrix(*velocity):
        velocity = velocity[0] if isinstance(velocity[0], Faces) else velocity
        return Poisson(grid, velocity=velocity, scheme=scheme).to_scipy().toarray()

    expected = matrix(lambda x, y: 3.0 + 0 * x, lambda x, y: -2.0)
    np.testing.assert_array_equal(matrix(3.0, -2), expected)
    np.testing.assert_allclose(matrix(3.0 + 0 * x, -2.0 + 0 * y), expected, rtol=1e-14)
    np.testing.assert_allclose(matrix(torch.tensor(3.0), np.array(-2.0)), expected, rtol=1e-14)
    np.testing.assert_allclose(matrix(Faces(np.full((6, 4), 3.0), -2.0)), expected, rtol=1e-14)
    linear = matrix(lambda x, y: 0 * x, lambda x, y: 1 + 2 * y)
    np.testing.assert_allclose(matrix(0.0, 1 + 2 * y)[5], linear[5], rtol=1e-13, atol=1e-12)  # between two faces


@pytest.mark.parametrize("peclet", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_dimension_is_the_textbooks(scheme, peclet):
    """u_i = (r^i - 1) / (r^n - 1), r = (2 + p) / (2 - p) for central differences and 1 + p for upwind ones."""
    n = 24
    r = (2 + peclet) / (2 - peclet) if scheme == "central" else 1 + peclet
    expected = (r ** np.arange(1, n) - 1) / (r**n - 1.0)
    s = solve(np.zeros(n - 1), a=1 / n, velocity=(peclet,), scheme=scheme, boundary=[(0.0, 1.0)], tol=1e-12)
    np.testing.assert_allclose(s.u, expected, rtol=0, atol=1e-11 * abs(expected).max())
    assert s.method == "cyclic reduction"
    assert (s.u >= 0).all() == (scheme == "upwind" or peclet < 2)


class Carried(Manufactured):
    """Of v . grad u, too, div v != 0."""

    def velocity(self):
        return tuple(self._component(d) for d in range(self.grid.ndim))

    def _component(self, d):
        """Its own period on a periodic axis."""
        axes = self.grid.axes
        k = [2 * pi / (axis.upper - axis.lower) if axis.periodic else 1.1 for axis in axes]

        def v(*x):
            return 1.5 * np.cos(sum(k_e * (t - axis.lower) for k_e, t, axis in zip(k, x, axes, strict=True)) + d) + 0.5

        return v

    def f(self, *x):
        return super().f(*x) + sum(v(*x) * self.u(*x, d=d, derivative=1) for d, v in enumerate(self.velocity()))

    def error(self, scheme):
        problem = Poisson(self.grid, self.a, self.c, velocity=self.velocity(), scheme=scheme)
        s = Solver(problem).solve(self.datum(), boundary=self.boundary(), tol=1e-10)
        return np.linalg.norm(s.u - self.exact()) / np.linalg.norm(self.exact())


PLACES = [*product(ENDS, CENTERINGS), *product([("dirichlet", Robin(2.0)), (Robin(1.0), "neumann")], CENTERINGS)]


@pytest.mark.parametrize(("ends", "centering"), PLACES, ids=str)
def test_order(ends, centering):
    bc = [ends, ("neumann", "dirichlet")]
    for scheme, p, sizes in (("central", 2, (12, 20, 32)), ("upwind", 1, (24, 40, 64))):
        cases = [Carried(Grid(shape_of(n, bc, centering), bc=bc, centering=centering), (1.0, 1.5), 0.4) for n in sizes]
        assert abs(order(sizes, [case.error(scheme) for case in cases]) - p) < 0.15


@pytest.mark.parametrize("centering", CENTERINGS)
def test_order_on_stretched_grids_and_in_space(centering):
    sizes, errors = (16, 24, 40), {scheme: [] for scheme in SCHEMES}
    for n in sizes:
        t = np.linspace(0, 1, n + 1)
        points = [t + 0.1 * np.sin(2 * pi * t), t**1.3 * 0.5 + t * 0.5]
        bc = [("neumann", "dirichlet"), "dirichlet"]
        grid = (Grid.from_faces if centering == "cell" else Grid.from_nodes)(points, bc)
        for scheme in SCHEMES:
            errors[scheme].append(Carried(grid, (1.0, 1.5)).error(scheme))
    assert abs(order(sizes, errors["central"]) - 2) < 0.15
    assert abs(order(sizes, errors["upwind"]) - 1) < 0.15
    bc, sizes = [("neumann", "dirichlet"), "periodic", "dirichlet"], (8, 11, 15)
    cases = [Carried(Grid(shape_of(n, bc, centering), bc=bc, centering=centering), (1.0, 1.5, 0.7)) for n in sizes]
    assert abs(order(sizes, [case.error("central") for case in cases]) - 2) < 0.15


def at_angle(degrees):
    return float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))


def whirl(k):
    """curl of sin(k pi x) sin(k pi y) / (k pi): k^2 vortices."""
    return (
        lambda x, y: np.sin(k * pi * x) * np.cos(k * pi * y),
        lambda x, y: -np.cos(k * pi * x) * np.sin(k * pi * y),
    )


BOX_VORTEX = (lambda x, y: 4 * x * (x - 1) * (1 - 2 * y), lambda x, y: -4 * y * (y - 1) * (1 - 2 * x))
FLOWS = {
    **{f"{angle} degrees": at_angle(angle) for angle in (0, 7, 22, 45, 63, 90, 135, 200)},
    "vortex": whirl(1),
    "four vortices": whirl(2),
    "box": BOX_VORTEX,
    "sink": (lambda x, y: 0.5 - x, lambda x, y: 0.5 - y),
}
PECLETS = {"upwind": (1e-2, 1.0, 10.0, 1e2, 1e4), "central": (1e-2, 1.0, 4.0, 8.0, 16.0)}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_cycles(scheme, name):
    for k, peclet in enumerate(PECLETS[scheme]):
        shape = ((95, 95), (80, 96), (95, 90))[k % 3]  # too many for elimination alone
        grid = Grid(shape, centering=CENTERINGS[k % 2])
        problem = Poisson(grid, max(grid.spacing) / peclet, velocity=FLOWS[name], scheme=scheme)
        f = random(shape, k)
        s = Solver(problem).solve(f)
        assert s.cycles <= 20, (peclet, s)
        assert s.status == "tolerance"
        exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(shape)
        assert abs(s.u - exact).max() < 1e-5 * abs(exact).max()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bc", [["periodic", "neumann"], "periodic", [(Robin(3.0), "neumann"), "dirichlet"]], ids=str)
def test_cycles_with_other_ends(bc, scheme):
    flow = (lambda x, y: np.sin(2 * pi * x) * np.cos(2 * pi * y), lambda x, y: -np.cos(2 * pi * x) * np.sin(2 * pi * y))
    for peclet, centering in product((1.0, 8.0, 1e3 if scheme == "upwind" else 4.0), CENTERINGS):
        grid = Grid((80, 93), bc=bc, centering=centering)
        problem = Poisson(grid, max(grid.spacing) / peclet, 0.1, velocity=flow, scheme=scheme)
        s = Solver(problem).solve(random(grid.shape))
        assert s.cycles <= 20, (peclet, centering, s)


@pytest.mark.parametrize("nu", [(1, 1), (3, 1), (2, 1), (1, 2), (0, 2)], ids=str)
def test_cycles_of_any_sweeps(nu):
    grid = Grid((118, 64), bc=[("neumann", "dirichlet"), "periodic"], upper=(1.0, 3.0))
    problem = Poisson(grid, (1.4, 0.04), 1.0, velocity=(1e5, 1e5))  # corrections of coarse grids are far off
    s = Solver(problem, nu=nu).solve(random(grid.shape))
    assert s.cycles <= 10, s


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize(
    ("shape", "bc"),
    [
        ((12, 11), "neumann"),
        ((12, 11), ["periodic", "neumann"]),
        ((17,), "neumann"),
        ((16,), ["periodic"]),
        ((1, 9), ["periodic", "neumann"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_singular(scheme, shape, bc, centering):
    """A 1 = 0, and pi^T A = 0 for another pi where v has a divergence."""
    grid = Grid(shape, bc=bc, centering=centering)
    velocity = [lambda *x: 2 + np.cos(2 * pi * x[0])] * grid.ndim
    problem = Poisson(grid, 0.7, velocity=velocity, scheme=scheme)
    assert problem.singular
    A, w = problem.to_scipy().toarray(), problem.rhs(np.ones(shape)).ravel()
    U, sizes, _ = np.linalg.svd(A)
    assert sizes[-1] < 1e-13 * sizes[0] < sizes[-2]
    left = U[:, -1] / U[:, -1].sum()
    assert np.ptp(left) > 1e-3 * left.max()
    solver, f = Solver(problem), random(shape)
    b = problem.rhs(f).ravel()
    s = solver.solve(f, project=True, tol=1e-11)
    expected = np.linalg.lstsq(A, b - w * (left @ b) / (left @ w), rcond=1e-12)[0]
    expected -= (w @ expected) / w.sum()
    np.testing.assert_allclose(s.u.ravel(), expected, rtol=0, atol=1e-7 * abs(expected).max())
    with pytest.raises(ValueError, match="`f` must be orthogonal to the density that `velocity` carries together"):
        solver.solve(f)
    good = problem.apply(f) / w.reshape(shape)
    f = f - (w @ f.ravel()) / w.sum()
    np.testing.assert_allclose(solver.solve(good, tol=1e-11).u, f, rtol=0, atol=1e-7 * abs(f).max())


@pytest.mark.parametrize(
    ("shape", "bc", "peclet"),
    [
        ((36,), "neumann", 3e3),
        ((45,), [("neumann", "neumann")], 1e6),
        ((11, 4), ["neumann", "periodic"], 1e5),
        ((57, 7), "neumann", 3e5),
        ((100, 96), "neumann", 1.0),
        ((100, 96), ["periodic", "neumann"], 1e4),
        ((7, 3, 13), "neumann", 3e5),
        ((20, 19, 21), "neumann", 10.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("centering", CENTERINGS)
def test_singular_where_all_flows_to_one_place(shape, bc, peclet, centering):
    """pi falls by 1 + peclet with each cell against v. u and its gradient are those of A with a row and column more."""
    grid = Grid(shape, bc=bc, centering=centering)
    problem = Poisson(grid, max(grid.spacing) / peclet, velocity=(1.0, 0.6, -0.8)[: grid.ndim])
    A, w = problem.to_scipy(), problem.rhs(np.ones(shape)).reshape(-1, 1)
    w *= abs(A).max()
    bordered = splinalg.splu(sparse.bmat([[A, w], [w.T, None]], format="csc"))
    f, g = tensor(*shape), random(shape, 1)
    s = Solver(problem).solve(f, project=True)
    assert s.cycles <= 20, s
    (s.u * torch.as_tensor(g)).sum().backward()
    data = [np.append(v, 0.0) for v in (problem.rhs(f.detach().numpy()), g)]
    weights = problem.rhs(np.ones(shape))
    for ours, theirs in (
        (s.u.detach().numpy(), bordered.solve(data[0])[:-1].reshape(shape)),
        (f.grad.numpy(), weights * bordered.solve(data[1], trans="T")[:-1].reshape(shape)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * abs(theirs).max())


@pytest.mark.parametrize("seed", range(6))
def test_densities_of_either_sign(seed):
    """Central differences of a wild v: pi has negative numbers, and 1 is far from it."""
    grid = Grid((9, 8), bc=["periodic", "neumann"], centering="cell")
    v = random((2, 9, 8), seed) * 10 ** (1.6 + seed / 6)
    problem = Poisson(grid, velocity=tuple(v), scheme="central")
    A, w, f = problem.to_scipy().toarray(), problem.rhs(np.ones((9, 8))).ravel(), random((9, 8), 7)
    pi, b = np.linalg.svd(A)[0][:, -1], problem.rhs(f).ravel()
    assert pi.min() < -1e-3 * abs(pi).max() < 1e-3 * abs(pi).max() < pi.max()
    u = Solver(problem).solve(f, project=True, tol=1e-9, max_cycles=200).u.ravel()
    b -= w * (pi @ b) / (pi @ w)
    assert np.linalg.norm(A @ u - b) < 1e-8 * np.linalg.norm(b)


def test_where_nothing_flows_together_f_is_of_mean_zero():
    """v = (sin y, cos x): of no divergence on the grid either."""
    grid = Grid((24, 20), bc="periodic", upper=2 * pi)
    problem = Poisson(grid, 0.1, velocity=(lambda x, y: np.sin(y), lambda x, y: np.cos(x)), scheme="central")
    f = random(grid.shape)
    f -= f.mean()
    s = Solver(problem).solve(f)
    np.testing.assert_allclose(problem.apply(s.u), f, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="`f` must have mean zero"):
        Solver(problem).solve(f + 1)


def tensor(*shape, seed=0, scale=1.0):
    return (scale * torch.as_tensor(random(shape, seed))).requires_grad_()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("bc", "centering"),
    [("dirichlet", "cell"), (["periodic", ("neumann", "dirichlet")], "node"), ([("neumann", "dirichlet")] * 2, "cell")],
    ids=str,
)
def test_gradients(bc, centering, scheme):
    def u(f, a, c, v, w, g):
        box = {"bc": bc, "centering": centering, "boundary": [(None, None), (g, None)], "scheme": scheme}
        return solve(f, a=1 + a**2, c=c**2, velocity=(v, lambda x, y: w * x), tol=1e-13, **box).u

    v, numbers = tensor(5, 4, seed=2, scale=9.0), [tensor(seed=3), tensor(seed=5)]
    inputs = tensor(5, 4), tensor(5, 4, seed=1), numbers[0], v, numbers[1], tensor(5)
    assert gradcheck(u, inputs, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(u, inputs, fast_mode=True)


@pytest.mark.parametrize("bc", [["periodic", "neumann"], "neumann"], ids=str)
def test_gradients_of_singular_problems(bc):
    def u(f, v):
        return solve(f, bc=bc, centering="cell", velocity=(v, 1.0), tol=1e-13, project=True).u

    assert gradcheck(u, (tensor(5, 4), tensor(5, 4, seed=2, scale=9.0)), fast_mode=True)


def test_gradients_of_lines():
    def u(f, a, v, alpha):
        bc = [(Robin(alpha**2), "neumann")]
        return solve(f, bc=bc, a=1 + a**2, velocity=(v,), centering="cell", tol=1e-13).u

    assert gradcheck(u, (tensor(6), tensor(6, seed=1), tensor(6, seed=2, scale=9.0), tensor(seed=3)), fast_mode=True)


def test_batches_of_velocities():
    v = np.stack([np.full((21, 22), s) for s in (-30.0, 0.0, 50.0)])
    f = random((3, 21, 22))
    together = solve(f, velocity=(v, -v), ndim=2, tol=1e-11)
    for k in range(3):
        alone = solve(f[k], velocity=(v[k], -v[k]), tol=1e-11)
        np.testing.assert_allclose(together.u[k], alone.u, rtol=0, atol=1e-9 * abs(alone.u).max())
    none = solve(f[1], tol=1e-11)
    np.testing.assert_allclose(together.u[1], none.u, rtol=0, atol=1e-9 * abs(none.u).max())
    several = solve(f, velocity=(3.0, 5.0), ndim=2, tol=1e-11).u
    np.testing.assert_allclose(several[2], solve(f[2], velocity=(3.0, 5.0), tol=1e-11).u, rtol=0, atol=1e-9)


def test_vmap_over_a_velocity():
    def u(v):
        return solve(f, velocity=(v, 1 - v), tol=1e-11).u

    f, speeds = torch.as_tensor(random((9, 8))), torch.tensor([-9.0, 0.5, 20.0], dtype=torch.float64)
    ours = torch.func.vmap(u)(speeds)
    for k in range(3):
        torch.testing.assert_close(ours[k], u(speeds[k]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_and_one_pass(dtype):
    f = random((60, 70)).astype(dtype)
    exact = solve(f.astype(float), velocity=whirl(1), a=1e-3, tol=1e-10).u
    for tol, most in ((1e-8, 2e-4), (None, 1e-2)):
        s = solve(f, velocity=whirl(1), a=1e-3, tol=tol)
        assert s.u.dtype == dtype
        assert abs(s.u - exact).max() < most * abs(exact).max()


@pytest.mark.parametrize("c", [1e-3, 1e-6])
def test_what_little_holds_in_single_precision(c):
    """Residuals of float32 are rounding here, and lead nowhere: u is found in float64."""
    f = random((40, 30)).astype(np.float32) + np.float32(0.3)
    exact, u = (solve(v, velocity=whirl(1), a=1e-2, c=c, bc="neumann").u for v in (f.astype(float), f))
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-6 * abs(exact).max())


def test_a_line_that_little_holds_in_single_precision():
    """The same of a line without a flow, whose residuals are rounding of a / h^2 u."""
    rng, widths = np.random.default_rng(0), 1000.0 ** np.linspace(0, 1, 129)
    f, a = rng.normal(size=130), 1e4 ** rng.uniform(-0.5, 0.5, 130)
    grid = Grid.from_nodes([np.concatenate([[0], np.cumsum(widths)]) / widths.sum()], "neumann")
    f, a = (v.astype(np.float32) for v in (f, a))
    exact, u = (solve(v, grid=grid, a=a.astype(v.dtype), c=1e-4).u for v in (f.astype(float), f))
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-6 * abs(exact).max())


@pytest.mark.parametrize(("seed", "c"), [(0, 1e-17), (4, 1e-15), (6, 1e-17)])
def test_what_rounding_decides_is_no_answer(seed, c):
    rng = np.random.default_rng(seed)
    velocity = tuple(5 * rng.normal(size=(4, 3)) for _ in range(2))
    with pytest.raises(NotConverged, match="is held by less than float64 shows"):
        solve(random((4, 3), seed), bc="neumann", c=c, velocity=velocity)


@pytest.mark.parametrize("seed", [0, 4, 6])
def test_a_constant_that_c_alone_holds_is_found(seed):
    """A 1 = c, which products in differences show, however little it is."""
    velocity = tuple(5 * np.random.default_rng(seed).normal(size=(4, 3)) for _ in range(2))
    u = solve(np.ones((4, 3)), bc="neumann", c=1e-14, velocity=velocity).u
    np.testing.assert_allclose(u, 1e14, rtol=1e-8)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bc", ["dirichlet", ["periodic", ("neumann", "dirichlet"), "neumann"]], ids=str)
def test_space(bc, scheme):
    across, along = whirl(2)
    turning = (lambda x, y, z: across(x, y), lambda x, y, z: along(x, y), 0.1)
    oblique, fast = (0.5, -0.7, 0.3), 5.0 if scheme == "central" else 1e3
    for peclet, velocity in ((1.0, oblique), (fast, oblique), (5.0, turning)):
        problem = Poisson(Grid((14, 15, 13), bc=bc), 1 / 14 / peclet, 0.1, velocity=velocity, scheme=scheme)
        f = random((14, 15, 13))
        s = Solver(problem).solve(f)
        exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(f.shape)
        assert s.cycles <= 20, (peclet, s)
        assert abs(s.u - exact).max() < 1e-5 * abs(exact).max()


@pytest.mark.parametrize("peclet", [4.0, 8.0, 12.0])
@pytest.mark.parametrize("flow", ["oblique", "first", "last", "vortex", "toroid"])
def test_central_differences_in_space(flow, peclet):
    grid = Grid((31, 30, 32))
    x, y, z = (pi * x for x in grid.coordinates())
    s, c = np.sin, np.cos
    velocity = {
        "oblique": (1.0, 0.5, 0.2),
        "first": (1.0, 0.0, 0.0),
        "last": (0.0, 0.0, 1.0),
        "vortex": (s(x) * c(y), -c(x) * s(y), 0.0),
        "toroid": (s(x) * c(y) * c(z) / 2, c(x) * s(y) * c(z) / 2, -c(x) * c(y) * s(z)),
    }[flow]
    problem = Poisson(grid, max(grid.spacing) / peclet, velocity=velocity, scheme="central")
    solution = Solver(problem).solve(random(grid.shape))
    assert solution.cycles <= 20, solution


@pytest.mark.parametrize("axis", range(3))
def test_vortices_in_layers(axis):
    """Nothing flows from layer to layer across an axis: their coarse grids are of layers, too."""
    for k, peclet in ((1, 1e2), (1, 1e4), (2, 1e4)):
        grid = Grid((24, 25, 26))
        x, y = (grid.coordinates()[d] for d in range(3) if d != axis)
        velocity = [np.zeros(grid.shape) + v(x, y) for v in whirl(k)]
        velocity.insert(axis, np.zeros(grid.shape))
        s = Solver(Poisson(grid, max(grid.spacing) / peclet, velocity=tuple(velocity))).solve(random(grid.shape))
        assert s.cycles <= 11, (k, peclet, s)


@pytest.mark.parametrize("axis", range(3))
def test_vortices_in_layers_on_closed_axes(axis):
    """Across the layers, or within."""
    others = [d for d in range(3) if d != axis]
    for closed in (axis, others[0]):
        grid = Grid((32, 33, 34), bc=["periodic" if d == closed else "dirichlet" for d in range(3)])
        x, y = (grid.coordinates()[d] for d in others)
        velocity = [np.zeros(grid.shape) + v(x, y) for v in whirl(2)]
        velocity.insert(axis, np.zeros(grid.shape))
        s = Solver(Poisson(grid, max(grid.spacing) / 1e4, velocity=tuple(velocity))).solve(random(grid.shape))
        assert s.cycles <= 16, (closed, s)


APART = (lambda x, y: x - 0.5, lambda x, y: y - 0.5)
OUTLET = ("neumann", "dirichlet")


@pytest.mark.parametrize(
    ("shape", "bc", "velocity", "peclet"),
    [
        ((300,), [OUTLET], (1.0,), 5.0),
        ((56, 56), [OUTLET, "neumann"], (1.0, 0.5), 1.0),
        ((90, 90), [OUTLET, "neumann"], (1.0, 0.5), 1e4),
        ((150, 150), [OUTLET, OUTLET], (1.0, 0.5), 0.5),
        ((60, 60), "dirichlet", APART, 100.0),
        ((20, 20, 20), [("dirichlet", "neumann"), "neumann", "neumann"], (-1.0, 0.5, 0.2), 5.0),
    ],
    ids=["line", "outlet", "fast", "two outlets", "apart", "space"],
)
def test_what_flows_from_where_nothing_gives_it_is_told(shape, bc, velocity, peclet):
    """There (1 + peclet)^-n holds u; what holds it a little more is found."""
    grid, f = Grid(shape, bc=bc), random(shape)
    solver = Solver(Poisson(grid, max(grid.spacing) / peclet, velocity=velocity))
    with pytest.raises(NotConverged, match="u is held by less than float64 shows: `velocity` carries it from where"):
        solver.solve(f)
    assert not solver.solve(f, throw=False).converged
    for number, c in ((peclet, 1e-2), (5.0 / max(shape), 0.0)):
        s = Solver(Poisson(grid, max(grid.spacing) / number, c, velocity=velocity)).solve(f)
        assert s.cycles <= 20, s
        assert s.reached_tol


def test_many_places_that_v_flows_away_from():
    """A line of traps, of which some hold more than others."""
    v = random((302,))
    with pytest.raises(NotConverged, match="u is held by less than float64 shows"):
        solve(random((302,), 1), upper=10.0, a=10 / 302 / 6.7e3, velocity=(v,))


def test_more_is_eliminated_where_cycles_hardly_help():
    """A velocity without order, from cell to cell: coarse grids know nothing of it."""
    bc = [(Robin(2.0), "neumann"), ("dirichlet", Robin(0.5))]
    grid = Grid((102, 132), bc=bc, upper=(1.0, 0.1), centering="cell")
    velocity = tuple(random(grid.shape, k) for k in (1, 2))
    solver, f = Solver(Poisson(grid, 1 / 102 / 5e2, 1e-3, velocity=velocity)), random(grid.shape, 3)
    assert solver.solve(f).cycles <= 25
    assert solver.solve(f).cycles <= 3  # from then on


INLETS = [("neumann", "dirichlet"), "neumann", ("dirichlet", "neumann")]


@pytest.mark.parametrize(("c", "bc"), [(1.0, "neumann"), (0.0, INLETS)], ids=str)
def test_what_flows_in_through_neumann_ends(bc, c):
    """There coarse equations are nearly nothing."""
    grid = Grid((56, 56, 56), bc=bc)
    s = Solver(Poisson(grid, max(grid.spacing) / 5, c, velocity=(1.0, 0.5, 0.2))).solve(random(grid.shape))
    assert s.cycles <= 10, s


@pytest.mark.parametrize(
    ("shape", "bc", "c"),
    [((127, 120), "neumann", 0.1), ((127, 120), INLETS[1:], 0.0), ((32, 33, 34), "neumann", 1e-3)],
    ids=str,
)
@pytest.mark.parametrize("peclet", [2.0, 10.0, 100.0])
def test_adjoints_take_no_more_cycles(peclet, shape, bc, c):
    """Gradients are theirs; what flows in through Neumann ends flows out of them there."""
    grid = Grid(shape, bc=bc)
    A = Poisson(grid, max(grid.spacing) / peclet, c, velocity=(1.0, 0.4, 0.7)[: len(shape)]).A
    b = torch.as_tensor(random((1, *shape)))
    cycles = [len(Multigrid(B, None, None, DEFAULT).run(B, b, None, Stop()).residuals) - 1 for B in (A, A.T)]
    assert cycles[1] <= min(cycles[0] + 1, 11), cycles


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"], ids=str)
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 2), (3, 2), (1, 200), (130, 2)], ids=str)
def test_few_unknowns(shape, bc, centering):
    if centering == "node" and bc == "neumann" and 1 in shape:
        pytest.skip("both ends are unknowns")
    problem, f = Poisson(Grid(shape, bc=bc, centering=centering), 1.0, 0.5, velocity=(7.0, -3.0)), random(shape)
    expected = np.linalg.solve(problem.to_scipy().toarray(), problem.rhs(f).ravel()).reshape(shape)
    s = Solver(problem).solve(f, tol=1e-12)
    np.testing.assert_allclose(s.u, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert s.cycles <= 20


def test_scipy_and_other_doors():
    problem = Poisson(Grid((40, 40)), 1e-2, velocity=whirl(1))
    solver, f = Solver(problem), np.ones((40, 40))
    A, M = solver.aslinearoperator(), solver.aspreconditioner()
    counted = []
    u, info = splinalg.gmres(A, f.ravel(), M=M, rtol=1e-8, callback=counted.append, callback_type="pr_norm")
    assert info == 0
    assert len(counted) <= 20
    np.testing.assert_allclose(u.reshape(40, 40), solver.solve(f, tol=1e-10).u, rtol=0, atol=1e-6)
    v, w = random(1600), random(1600, 1)
    assert w @ (A @ v) == pytest.approx(v @ (A.rmatvec(w)), rel=1e-10)
    cycled = solver.cycle(None, f)
    assert np.linalg.norm(f - problem.apply(solver.cycle(cycled, f))) < np.linalg.norm(f - problem.apply(cycled))
    assert "velocity=(<lambda>, <lambda>), scheme='upwind'" in repr(problem)
    np.testing.assert_array_equal(copy.deepcopy(solver).solve(f).u, solver.solve(f).u)
    moved = solver.update(1e-2, velocity=(1.0, 2.0)).solve(f)
    np.testing.assert_allclose(moved.u, solve(f, a=1e-2, velocity=(1.0, 2.0)).u, rtol=0, atol=1e-9)
    np.testing.assert_allclose(solver.update(1e-2).solve(f).u, solve(f, a=1e-2).u, rtol=0, atol=1e-6)


def test_upwind_differences_keep_signs():
    """f >= 0 makes u >= 0 across any front; central ones may oscillate."""
    f = np.zeros((50, 50))
    f[10:14, 10:14] = 1
    upwind, central = (solve(f, a=1e-3, velocity=at_angle(30), scheme=scheme).u for scheme in SCHEMES)
    assert upwind.min() > -1e-9 * upwind.max()
    assert central.min() < -1e-3 * central.max()


def test_what_central_differences_do_not_bear_is_told():
    with pytest.raises(NotConverged, match='Pass scheme="upwind", or refine the grid'):
        solve(random((30, 30)), a=1e-6, velocity=whirl(2), scheme="central", max_cycles=20)


BAD = np.ones((9, 8))
BAD[3, 4] = np.nan


@pytest.mark.parametrize(
    ("velocity", "more", "error", "message"),
    [
        (3.0, {}, TypeError, r"`velocity` must be a tuple with one entry per axis \(2\); it is a float"),
        (np.ones((2, 9, 8)), {}, TypeError, r"it is a ndarray. An array of components is tuple\(velocity\)"),
        ((1.0,), {}, ValueError, r"`velocity` must have one entry per axis \(2\); it has 1"),
        ((1.0, 2.0, 3.0), {}, ValueError, "it has 3"),
        ((1.0, np.ones((8, 9))), {}, ValueError, r"`velocity\[1\]` must have the grid's shape \(9, 8\)"),
        ((1.0, BAD), {}, ValueError, r"`velocity\[1\]` must be finite; it has 2 NaN, first at \(3, 4\)"),
        ((lambda x, y: np.inf, 0.0), {}, ValueError, r"`velocity\[0\]` must be finite; .* first at the point"),
        ((float("nan"), 0.0), {}, ValueError, r"`velocity\[0\]` must be finite"),
        ((1j * np.ones((9, 8)), 0.0), {}, TypeError, r"`velocity\[0\]` must be real"),
        (("east", 0.0), {}, TypeError, r"`velocity\[0\]` must be a number, an array or a callable; it is str"),
        ((lambda x, y: "no", 0.0), {}, TypeError, r"`velocity\[0\]` must return a number or an array"),
        (Faces(1.0), {}, ValueError, "`velocity` = Faces must have one array per axis"),
        (Faces(np.ones((9, 8)), 1.0), {}, ValueError, r"must have the shape \(10, 8\) on axis 0"),
        (Faces(np.arange(80.0).reshape(10, 8), 1.0), {"bc": "periodic"}, ValueError, "the first and the last face of"),
        ((1.0, 0.0), {"scheme": "centrl"}, ValueError, "Did you mean 'central'"),
        ((1.0, 0.0), {"scheme": None}, TypeError, "`scheme` must be one of 'upwind', 'central'"),
        ((1.0, 0.0), {"a": ((1.0, 0.1), (0.1, 1.0))}, ValueError, "`velocity` does not go with a full tensor `a`"),
        ((1.0, 0.0), {"order": 4}, ValueError, "`order` = 4 has no convection; there is a `velocity`"),
        ((1.0, 0.0), {"method": "transform"}, ValueError, "needs a symmetric operator; there is a `velocity`"),
        ((np.ones((3, 9, 8)), np.ones((2, 9, 8))), {}, ValueError, "must have batch axes that broadcast"),
        ((torch.ones(9, 8, requires_grad=True), 0.0), {}, TypeError, "`velocity` is made of tensors that ask for"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)  # fmt: skip
def test_refused(velocity, more, error, message):
    with pytest.raises(error, match=message):
        solve(np.ones((9, 8)), velocity=velocity, **more)


def test_nonlinear_problems_and_partitions_have_no_velocity():
    with pytest.raises(TypeError, match="unexpected keyword argument 'velocity'"):
        solve_nonlinear(np.ones((9, 8)), lambda u: u, lambda u: 1, velocity=(1.0, 0.0))
