"""a = ((a11, a12), (a12, a22)): full symmetric tensors as 9- and 19-point operators.

1  The matrix is that of an assembly by hand, unknown by unknown: energies of faces and corners, every end and centring.
2  It is symmetric and positive definite whatever jumps there are, and its order is 2 for callables and arrays.
3  Compiled levels are the readable ones. Axes of a ratio of 100, turned by any angle, take 20 cycles at most, with
   Dirichlet ends 13.
4  The tensor, grid and solution of MUDPACK's example of a cross derivative (tmud2cr), whose error is 6.3e-4.
5  Batches, few unknowns, nonlinear problems, singular problems, boundary data, gradients both ways.
6  What is no symmetric positive definite tensor, or has no operator here, is refused; M-matrix or not is told.
"""

from itertools import product

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve, solve_nonlinear
from mgnet.pde.blackbox import ReadableBlackBox
from mgnet.pde.native.blackbox import NativeBlackBox
from tests.pde.grids_and_data import CENTERINGS, ENDS, order, random

pi = np.pi


def turned(angle, ratio=100.0):
    """A tensor with principal values 1 and 1 / ratio, the first along a direction."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return (c * c + s * s / ratio, (1 - 1 / ratio) * c * s), ((1 - 1 / ratio) * c * s, s * s + c * c / ratio)


def rough(shape, seed=0):
    """A positive definite matrix at each unknown, (*shape, d, d), of eigenvalues between 1e-3 and 10."""
    rng, d = np.random.default_rng(seed), len(shape)
    Q = np.linalg.qr(rng.normal(size=(*shape, d, d)))[0]
    M = (Q * 10.0 ** rng.uniform(-3, 1, size=(*shape, 1, d))) @ np.swapaxes(Q, -1, -2)
    return (M + np.swapaxes(M, -1, -2)) / 2


def rows(M):
    """The nested tuples of matrices (*shape, d, d)."""
    return tuple(tuple(np.ascontiguousarray(M[..., i, j]) for j in range(M.shape[-1])) for i in range(M.shape[-1]))


def assembled(grid, M):
    """The matrix of energies, summed over faces and corners of a two-dimensional grid, for M at the unknowns."""
    n, h, A = grid.shape, grid.spacing, np.zeros((grid.size, grid.size))
    cell = grid.centering == "cell"

    def number(i, j):
        """Of an unknown; None beyond an end."""
        at = [k % m if grid.bc[d][0] == "periodic" else k for d, (k, m) in enumerate(zip((i, j), n, strict=True))]
        return at[0] * n[1] + at[1] if 0 <= at[0] < n[0] and 0 <= at[1] < n[1] else None

    def near(i, j):
        """M at an unknown, or at the nearest one beyond an end."""
        return M[tuple(k % m if grid.bc[d][0] == "periodic" else min(max(k, 0), m - 1)
                       for d, (k, m) in enumerate(zip((i, j), n, strict=True)))]  # fmt: skip

    def add(ends, weight):
        """weight (sum of +-u)^2."""
        for (p, a), (q, b) in product(ends, ends):
            if p is not None and q is not None:
                A[p, q] += weight * a * b

    def end(d, k):
        """The condition at face k of axis d; None inside."""
        if grid.bc[d][0] == "periodic":
            return None
        return grid.bc[d][0] if k == 0 else grid.bc[d][1] if k == n[d] else None

    def harmonic(v, w):
        return 2 * v * w / (v + w)

    def faces(d, i, j):
        """a_dd on the face below unknown (i, j) along axis d."""
        return harmonic(near(i, j)[d, d], near(i - (d == 0), j - (d == 1))[d, d])

    for d in (0, 1):
        e = 1 - d
        for at in product(range(n[0] + (d == 0)), range(n[1] + (d == 1))):
            if grid.bc[d][0] == "periodic" and at[d] == 0:
                continue  # the same face as the last one
            weight = faces(d, *at) / h[d] ** 2
            if end(d, at[d]) == "neumann":
                continue
            if end(d, at[d]) == "dirichlet" and cell:
                weight *= 2
            for k in (at[e], at[e] + 1):  # the ends of the row
                if end(e, k) == "neumann" and cell:
                    M0, M1 = near(*at), near(at[0] - (d == 0), at[1] - (d == 1))
                    mean = (M0 + M1) / 2
                    weight *= 1 - mean[0, 1] ** 2 / mean[0, 0] / mean[1, 1] / 2
                if end(e, k) == "neumann" and not cell:
                    weight /= 2
            low = (at[0] - (d == 0), at[1] - (d == 1))
            add([(number(*at), 1), (number(*low), -1)], weight)
    for i, j in product(range(n[0] + 1), range(n[1] + 1)):
        if any(grid.bc[d][0] == "periodic" and k == 0 for d, k in ((0, i), (1, j))):
            continue
        if "neumann" in (end(0, i), end(1, j)):
            continue
        mean = (near(i, j) + near(i - 1, j) + near(i, j - 1) + near(i - 1, j - 1)) / 4
        rho = mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1])
        i0, i1 = (min(i, n[0] - 1), max(i - 1, 0)) if end(0, i) else (i, i - 1)
        j0, j1 = (min(j, n[1] - 1), max(j - 1, 0)) if end(1, j) else (j, j - 1)
        a = [harmonic(faces(0, i, j0), faces(0, i, j1)), harmonic(faces(1, i0, j), faces(1, i1, j))]
        s = rho * np.sqrt(a[0] * a[1]) / (2 * h[0] * h[1])
        s *= 2 ** (cell * sum(end(d, k) == "dirichlet" for d, k in ((0, i), (1, j))))
        add([(number(i, j), 1), (number(i - 1, j - 1), -1)], s)
        add([(number(i, j - 1), 1), (number(i - 1, j), -1)], -s)
    return A


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("second", ENDS, ids=str)
@pytest.mark.parametrize("first", ENDS, ids=str)
def test_matrix(first, second, centering):
    grid = Grid((5, 4), bc=[first, second], centering=centering, upper=(1.0, 1.3))
    for M in (rough(grid.shape), np.broadcast_to(np.array(turned(33)), (5, 4, 2, 2))):
        A, expected = Poisson(grid, rows(M)).to_scipy().toarray(), assembled(grid, M)
        np.testing.assert_allclose(A, expected, rtol=0, atol=1e-10 * abs(expected).max())
    u = random((3, 5, 4))
    problem = Poisson(grid, rows(M), 0.3)
    A = problem.to_scipy().toarray()
    np.testing.assert_allclose(problem.apply(u).reshape(3, -1), u.reshape(3, -1) @ A, rtol=0, atol=1e-12 * abs(A).max())
    bound = abs(A) @ abs(u[0]).ravel()
    np.testing.assert_allclose(problem.A.magnitude(torch.as_tensor(u[0])).numpy().ravel(), bound, rtol=1e-12)
    w = problem.rhs(np.ones(grid.shape)).ravel()
    excess = A.sum(1) - 0.3 * w
    np.testing.assert_allclose(problem.A.excess.numpy().ravel(), excess + 0.3 * w, rtol=0, atol=1e-11 * abs(A).max())


def test_the_inner_stencil_is_the_textbooks():
    (a11, a12), (_, a22) = a = turned(30)
    A = Poisson(Grid((5, 5), upper=6.0), a).to_scipy().toarray()[12].reshape(5, 5)[1:4, 1:4]
    expected = [[-a12 / 2, -a11, a12 / 2], [-a22, 2 * (a11 + a22), -a22], [a12 / 2, -a11, -a12 / 2]]
    np.testing.assert_allclose(A, expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(7, 6), (4, 5, 3)], ids=str)
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
def test_positive(bc, centering, shape):
    grid = Grid(shape, bc=bc, centering=centering)
    M = rough(shape) if len(shape) == 2 else rough((1, 1, 1)) + np.zeros((*shape, 3, 3))
    A = Poisson(grid, rows(M)).to_scipy().toarray()
    np.testing.assert_allclose(A, A.T, rtol=0, atol=1e-13 * abs(A).max())
    lam = np.linalg.eigvalsh(A)
    assert lam[0] > -1e-13 * lam[-1]
    assert (lam[0] < 1e-12 * lam[-1]) == (bc != "dirichlet")
    assert lam[1] > 1e-6 * lam[-1]


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("solved", [(), (0, 1)], ids=str)
@pytest.mark.parametrize("shape", [(37, 52), (36, 53), (12, 9, 14)], ids=str)
@pytest.mark.parametrize("bc", ["dirichlet", ("neumann", "dirichlet"), "periodic"], ids=str)
def test_compiled_levels_are_the_readable_ones(bc, shape, solved, precision):
    grid = Grid(shape, bc=[bc, "dirichlet", "neumann"][: len(shape)])
    M = np.stack([rough(shape, seed) + 0.1 * np.eye(len(shape)) for seed in (0, 1)])
    A = Poisson(grid, rows(M), 0.1).A.detached()
    b, x = torch.as_tensor(random((2, *shape))), torch.as_tensor(random((2, *shape), 1))
    ours = NativeBlackBox(A, b, (2, 2), 2, "chebyshev", precision, 2, solved)
    theirs = ReadableBlackBox(A, b, (2, 2), 2, "chebyshev", precision, solved)
    assert ours.sizes == theirs.sizes
    tolerance = 1e-9 if precision == torch.float64 else 2e-4
    for start in (None, x):
        u = ours.tensor(ours.cycle(None if start is None else ours.data(start), ours.data(b)))
        v = theirs.cycle(start, b)
        torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))
    torch.testing.assert_close(ours.norms(ours.data(x), ours.data(b)), theirs.norms(x, b), rtol=1e-12, atol=0)
    for system in (ours, theirs):
        system.begin(system.data(x.clone()), system.data(b))
        system.advance()
    for one, other in zip(ours.state[:2], theirs.state[:2], strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, rtol=tolerance * 10, atol=0)
    u, v = (s.tensor(s.full_multigrid(s.data(b))) for s in (ours, theirs))
    torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))


class Sheared:
    """u and a tensor that varies, -div(a grad u) + c u = f and its boundary data by automatic differentiation."""

    c = 0.3

    def __init__(self, grid):
        self.grid = grid

    def a(self, d, e):
        def entry(*x):
            wave = np.sin if isinstance(x[0], np.ndarray) else torch.sin
            t = 2 * pi * sum(x)
            if d == e:
                return 1.5 + 0.3 * wave(t + d)
            return {(0, 1): 0.6, (0, 2): -0.4, (1, 2): 0.3}[min(d, e), max(d, e)] + 0.2 * wave(t + d + e)

        return entry

    @property
    def callables(self):
        n = self.grid.ndim
        kept = {(d, e): self.a(d, e) for d in range(n) for e in range(d, n)}
        return tuple(tuple(kept[min(d, e), max(d, e)] for e in range(n)) for d in range(n))

    @property
    def arrays(self):
        return tuple(tuple(entry(*self.grid.coordinates()) for entry in row) for row in self.callables)

    def w(self, *x):
        out = 1.0
        for axis, t in zip(self.grid.axes, x, strict=True):
            out = out * (torch.sin(2 * pi * t + 0.3) + 1.5 if axis.periodic else torch.cos(1.3 * t + 0.4) + 0.5)
        return out

    def leaves(self, x):
        return [torch.as_tensor(np.array(t, float)).requires_grad_() for t in np.broadcast_arrays(*x)]

    def u(self, *x):
        return self.w(*self.leaves(x)).detach().numpy()

    def flux(self, x):
        slope = torch.autograd.grad(self.w(*x).sum(), x, create_graph=True)
        return [sum(self.a(d, e)(*x) * slope[e] for e in range(len(x))) for d in range(len(x))]

    def f(self):
        x = self.leaves(self.grid.coordinates())
        flux = self.flux(x)
        div = sum(torch.autograd.grad(flux[d].sum(), x, retain_graph=True)[d] for d in range(len(x)))
        return (self.c * self.w(*x) - div).detach().numpy()

    def boundary(self):
        return [tuple(self.end(d, side) for side in (0, 1)) for d in range(self.grid.ndim)]

    def end(self, d, side):
        end = self.grid.bc[d][side]
        if end in ("dirichlet", "periodic"):
            return self.u
        alpha = end.alpha if isinstance(end, Robin) else 0.0

        def datum(*x):
            x = self.leaves(x)
            return (alpha * self.w(*x) + (1 if side else -1) * self.flux(x)[d]).detach().numpy()

        return datum

    def error(self, a):
        """The root mean square, relative."""
        s = Solver(Poisson(self.grid, a, self.c)).solve(self.f(), boundary=self.boundary(), tol=1e-10)
        exact = self.u(*self.grid.coordinates())
        return np.linalg.norm(s.u - exact) / np.linalg.norm(exact)


def grid_of(intervals, bc, centering):
    axes = Grid((intervals,) * len(bc), bc=bc, centering=centering).axes
    return Grid(tuple(2 * intervals - axis.intervals for axis in axes), bc=bc, centering=centering)


PLACES = [*product(ENDS, CENTERINGS), (("dirichlet", Robin(2.0)), "node")]


@pytest.mark.parametrize("kind", ["callables", "arrays"])
@pytest.mark.parametrize(("ends", "centering"), PLACES, ids=str)
def test_order(ends, centering, kind):
    sizes = (16, 32, 64)
    for second in (("dirichlet", "neumann"), "periodic"):
        cases = [Sheared(grid_of(n, [ends, second], centering)) for n in sizes]
        p = order(sizes, [case.error(getattr(case, kind)) for case in cases])
        assert abs(p - 2) < 0.15, (second, p)


@pytest.mark.parametrize("centering", CENTERINGS)
def test_order_in_space(centering):
    sizes = (8, 12, 18)
    bc = [("dirichlet", "neumann"), ("neumann", "dirichlet"), "neumann"]
    cases = [Sheared(grid_of(n, bc, centering)) for n in sizes]
    assert abs(order(sizes, [case.error(case.callables) for case in cases]) - 2) < 0.15


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", [["dirichlet", "dirichlet"], ["neumann", ("neumann", "dirichlet")]], ids=str)
def test_order_on_stretched_grids(bc, centering):
    sizes, errors = (20, 40, 80), []
    for n in sizes:
        t = np.linspace(0, 1, n + 1)
        points = [t + 0.1 * np.sin(2 * pi * t), t**1.3 * 0.5 + t * 0.5]
        grid = (Grid.from_faces if centering == "cell" else Grid.from_nodes)(points, bc)
        case = Sheared(grid)
        errors.append(case.error(case.callables))
    assert abs(order(sizes, errors) - 2) < 0.15


ANGLES = (5, 20, 30, 45, 60, 75, 100, 120, 135, 150, 170)


@pytest.mark.parametrize(
    ("bc", "centering", "most"),
    [
        ("dirichlet", "node", 13),
        ("dirichlet", "cell", 13),
        ("periodic", "node", 14),
        ("neumann", "node", 20),
        ("neumann", "cell", 20),
        (["periodic", ("neumann", Robin(1.0))], "node", 20),
    ],
    ids=str,
)
def test_axes_turned_by_any_angle(bc, centering, most):
    for angle, n in zip(ANGLES, (64, 65, 100) * 4, strict=False):
        grid = Grid((n, n), bc=bc, centering=centering)
        s = Solver(Poisson(grid, turned(angle))).solve(random(grid.shape), project=True)
        assert s.cycles <= most, (angle, n, s)


def test_an_angle_that_varies():
    """Along circles, ratio 100."""
    grid = Grid((100, 90), lower=-1.0, upper=1.0)
    x, y = grid.coordinates()
    angle = np.rad2deg(np.arctan2(y, x)) + 90
    s = Solver(Poisson(grid, turned(angle))).solve(np.ones(grid.shape))
    assert s.cycles <= 20, s


@pytest.mark.parametrize(("bc", "most"), [("dirichlet", 11), ("neumann", 20)])
def test_space(bc, most):
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    for principal in ((1, 1, 0.01), (1, 0.01, 0.01)):
        M = (Q * principal) @ Q.T
        a = tuple(tuple(float((M[d, e] + M[e, d]) / 2) for e in range(3)) for d in range(3))
        s = Solver(Poisson(Grid((16, 15, 17), bc=bc), a)).solve(random((16, 15, 17)), project=True)
        assert s.cycles <= most, s


@pytest.mark.parametrize(("top", "most"), [("dirichlet", 2.2e-4), ("neumann", 8.8e-4)])
def test_mudpack(top, most):
    """tmud2cr's tensor, c, grid of 49 x 65 and solution (x y)^5, in divergence form; published error .623E-03.

    That has other first derivatives, and an oblique condition at y = 1: values, or fluxes n . a grad u, are given here.
    """
    a = ((lambda x, y: 1 + y**2, xy), (xy, lambda x, y: 1 + x**2))

    def u(x, y):
        return (x * y) ** 5

    grid = Grid((47, 64 - (top == "dirichlet")), bc=["dirichlet", ("dirichlet", top)])
    x, y = grid.coordinates()
    second = 20 * (x * y) ** 3 * ((1 + y**2) * y**2 + (1 + x**2) * x**2) + 2 * x * y * 25 * (x * y) ** 4
    first = x * 5 * (x * y) ** 4 * y + y * 5 * (x * y) ** 4 * x  # div a = (x, y)
    f = -(second + first) + x * y * u(x, y)

    def flux(x, y):
        return xy(x, y) * 5 * (x * y) ** 4 * y + (1 + x**2) * 5 * (x * y) ** 4 * x

    s = solve(f, grid=grid, a=a, c=xy, boundary=[(u, u), (u, u if top == "dirichlet" else flux)])
    assert grid.spacing == pytest.approx((1 / 48, 1 / 64))
    assert abs(s.u - u(x, y)).max() < most


def xy(x, y):
    return x * y


@pytest.mark.parametrize("centering", CENTERINGS)
def test_linear_functions_are_solved_exactly(centering):
    """Whose flux is constant, with arrays for boundary data."""
    grid = Grid((6, 7), bc=[("dirichlet", "neumann"), ("neumann", "dirichlet")], centering=centering)
    a, (x, y) = ((2.0, 0.7), (0.7, 1.0)), grid.coordinates()
    u = 1 + 2 * x - 3 * y
    ends = [(1 - 3 * y[0], np.full(7, 2 * 2 - 0.7 * 3)), (np.full(6, -(0.7 * 2 - 3)), 1 + 2 * x[:, 0] - 3)]
    s = solve(np.zeros(grid.shape), grid=grid, a=a, boundary=ends, tol=1e-12)
    np.testing.assert_allclose(s.u, u, rtol=0, atol=1e-10)


def test_zero_off_the_diagonal_is_one_entry_per_axis():
    f = random((20, 24))
    s = solve(f, a=((2.0, 0.0), (None, 0.3)))
    np.testing.assert_array_equal(s.u, solve(f, a=(2.0, 0.3)).u)
    assert s.method == solve(f, a=(2.0, 0.3)).method


def test_batches_of_tensors():
    M = np.stack([np.array(turned(angle, 10.0)) + np.zeros((12, 13, 2, 2)) for angle in (20, 50, 110)])
    f = random((3, 12, 13))
    together = solve(f, a=rows(M), ndim=2, tol=1e-11)
    for k in range(3):
        alone = solve(f[k], a=rows(M[k]), tol=1e-11)
        np.testing.assert_allclose(together.u[k], alone.u, rtol=0, atol=1e-9 * abs(alone.u).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_and_one_pass(dtype):
    f = random((60, 70)).astype(dtype)
    exact = solve(f.astype(float), a=turned(30), tol=1e-10).u
    for tol, most in ((1e-8, 2e-5), (None, 2e-2)):
        s = solve(f, a=turned(30), tol=tol)
        assert s.u.dtype == dtype
        assert abs(s.u - exact).max() < most * abs(exact).max()


@pytest.mark.parametrize(
    ("bc", "centering"), [("dirichlet", "cell"), (["periodic", "neumann"], "node"), ("neumann", "cell")]
)
def test_gradients(bc, centering):
    def u(f, a, b, c, g):
        box = {"bc": bc, "centering": centering, "boundary": [(None, None), (g, None)]}
        return solve(f, a=((1 + a**2, b), (b, 2.0 + a)), c=c, tol=1e-13, **box).u

    def tensor(*shape, seed=0, scale=1.0):
        return (scale * torch.as_tensor(random(shape, seed))).abs().requires_grad_()

    inputs = tensor(5, 4), tensor(5, 4, seed=1), tensor(5, 4, seed=2, scale=0.2), tensor(seed=3), tensor(5, seed=4)
    assert gradcheck(u, inputs, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(u, inputs, fast_mode=True)


def test_vmap_over_an_angle():
    def u(angle):
        c, s = torch.cos(angle), torch.sin(angle)
        off = 0.9 * c * s
        return solve(f, a=((c**2 + 0.1 * s**2, off), (off, s**2 + 0.1 * c**2)), tol=1e-11).u

    f, angles = torch.as_tensor(random((9, 8))), torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    ours = torch.func.vmap(u)(angles)
    for k in range(3):
        torch.testing.assert_close(ours[k], u(angles[k]), rtol=0, atol=1e-9)


def test_m_matrix():
    grid = Grid((9, 8))
    assert Poisson(grid, 2.0).m_matrix().all()
    M = np.where((grid.coordinates()[0] > 0.5)[..., None, None], np.array(turned(30)), np.eye(2))
    told = Poisson(grid, rows(M)).m_matrix()
    assert told.shape == (9, 8)
    assert told[:3].all()
    assert not told[6:-1, 1:-1].any()


def test_symmetric_halves_share_a_gradient():
    M = torch.as_tensor(np.array(turned(30, 4.0)) + np.zeros((5, 4, 2, 2))).requires_grad_()
    f = torch.ones(5, 4, dtype=torch.float64)
    solve(f, a=((M[..., 0, 0], M[..., 0, 1]), (M[..., 1, 0], M[..., 1, 1])), tol=1e-12).u.sum().backward()
    torch.testing.assert_close(M.grad[..., 0, 1], M.grad[..., 1, 0])
    assert abs(M.grad[..., 0, 1]).min() > 0


INDEFINITE = np.ones((9, 8))
INDEFINITE[3, 4] = 5.0
ROUND = Grid.from_faces([np.linspace(0.5, 1, 10), np.linspace(0, 1, 9)], geometry="polar")


@pytest.mark.parametrize(
    ("a", "more", "message"),
    [
        (((1.0, 2.0), (2.0, 1.0)), {}, r"must be positive definite; it is not at .*: its determinant, .* is -3 times"),
        (((2.0, INDEFINITE), (INDEFINITE, 2.0)), {}, r"it is not at \(3, 4\), the point \(0.4, 0.555556\)"),
        (((1.0, lambda x, y: 2 * x), (0.0, 1.0)), {}, r"must be symmetric; a\[0\]\[1\] is not a\[1\]\[0\]"),
        (((1.0, 0.1), (0.2, 1.0)), {}, "must be symmetric"),
        (((1.0, INDEFINITE), (INDEFINITE.T.copy().T + 1, 1.0)), {}, "must be symmetric"),
        (((1.0, 0.1, 0.0), (0.1, 1.0, 0.0)), {}, "must have 2 rows of 2 entries"),
        (((1.0, 0.1), (0.1, -1.0)), {}, "`a` must be positive"),
        (((1.0, 0.1), (0.1, 1.0)), {"order": 4}, "`order` = 4 needs an `a` of numbers"),
        (((1.0, 0.1), (0.1, 1.0)), {"grid": ROUND}, "needs Cartesian coordinates; `grid` is polar"),
        (((1.0, 0.1), (0.1, 1.0)), {"method": "transform"}, "needs an `a` and a `c` of numbers"),
        (((1.0, 0.1), (0.1, 1.0)), {"bc": [Robin(1.0)] * 2, "centering": "cell"}, "needs nodes at Robin ends; axis 0"),
        (((1.0, np.full((9, 8), np.nan)),) * 2, {}, "must be symmetric|must be finite"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)  # fmt: skip
def test_refused(a, more, message):
    with pytest.raises(ValueError, match=message):
        solve(np.ones((9, 8)), a=a, **more)


@pytest.mark.parametrize("off", [0.7, 0.9, lambda x, y: 0.7 + 0.2 * x])
@pytest.mark.parametrize("centering", CENTERINGS)
def test_nonlinear(centering, off):
    a, bc = ((1.0, off), (off, 1.0)), [("neumann", "dirichlet"), "dirichlet"]
    f = 100 * random((31, 32))
    given = {"bc": bc, "centering": centering, "boundary": 0.3, "tol": 1e-9}
    s = solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, a=a, **given)
    problem = Poisson(Grid(f.shape, bc=bc, centering=centering), a)
    r = problem.apply(s.u) + problem.rhs(s.u**3) - problem.rhs(f, 0.3)
    assert np.linalg.norm(r) < 1e-7 * np.linalg.norm(f)
    if not callable(off):
        array = np.full(f.shape, off)
        t = solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, a=((1.0, array), (array, 1.0)), **given)
        np.testing.assert_allclose(t.u, s.u, rtol=0, atol=1e-6 * abs(s.u).max())


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", ["periodic", ("dirichlet", "neumann")]], ids=str)
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 2), (3, 2)], ids=str)
def test_few_unknowns(shape, bc, centering):
    if centering == "node" and bc == "neumann" and 1 in shape:
        pytest.skip("both ends are unknowns")
    problem, f = Poisson(Grid(shape, bc=bc, centering=centering), ((2.0, 0.7), (0.7, 1.0)), 0.5), random(shape)
    expected = np.linalg.solve(problem.to_scipy().toarray(), problem.rhs(f).ravel()).reshape(shape)
    u = Solver(problem).solve(f, tol=1e-12).u
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-9 * abs(expected).max())


@pytest.mark.parametrize("held", ["c", "robin"])
@pytest.mark.parametrize("amount", [1e-9, 1e-13])
def test_what_hardly_holds_u(held, amount):
    """All equations summed: what c, or the two Robin ends, hold is what f and the boundary data give."""
    bc = ["neumann", (Robin(amount), Robin(2 * amount)) if held == "robin" else "neumann"]
    problem = Poisson(Grid((40, 37), bc=bc), ((2.0, 0.7), (0.7, 1.0)), amount if held == "c" else None)
    f = 1 + random((40, 37))
    u = Solver(problem).solve(f).u
    w, h = problem.rhs(np.ones(f.shape)), problem.grid.spacing
    given = (w * f).sum() * h[0] * h[1]
    ends = amount * (w[:, 0] * u[:, 0] + 2 * w[:, -1] * u[:, -1]).sum() * 2 * h[0]
    taken = amount * (w * u).sum() * h[0] * h[1] if held == "c" else ends
    assert taken == pytest.approx(given, rel=1e-9)


def test_entries_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="`a` must be a number, an array or a callable"):
        solve(np.ones((9, 8)), a=((Faces(1.0), 0.1), (0.1, 1.0)))
    nan = np.full((9, 8), np.nan)
    with pytest.raises(ValueError, match="`a` must be finite; it has 72 NaN"):
        solve(np.ones((9, 8)), a=((1.0, nan), (nan, 1.0)))
