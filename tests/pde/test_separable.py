"""Separation of variables, where a stretched or curvilinear grid has coefficients of numbers, or of layers:

1  The solution is that of an elimination of all unknowns, for every end, centring and order of the axes, in space and
   in the plane, by matrices and by waves.
2  Cells whose widths change by 1000 along one, two and three axes take one cycle to 1e-8, and two to 1e-12, whatever
   the ends.
3  What hardly holds u, c or alpha of 1e-9, is not lost.
4  Batches, float32, one pass, gradients and reactions work; coefficients that vary along two axes, walls, and axes that
   are too long for a matrix, go to the levels.
5  The compiled solve is the readable one, on every instruction set, whichever axis the lines lie along; any number of
   threads gives equal bits; arrays that do not fit are refused.
6  Modes are waves where those are fast: on long, even axes whose transforms have no large prime length.
"""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.levels.modes import Matrix, Transform
from mgnet.pde.levels.separable import MATRIX, SeparableLevel, parts_of, separation
from mgnet.pde.native import kernels, machine, machines
from mgnet.pde.native.separable import NativeSeparable
from tests.pde.stretched import graded, smooth

PI = np.pi
MIXED = ("neumann", Robin(2.0))
SEPARATED = "separation of variables"


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def eliminated(problem, f):
    return sparse.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(f.shape)


def separated(problem, f, most=2, **keywords):
    s = Solver(problem).solve(f, **keywords)
    assert s.method == SEPARATED
    assert s.cycles <= most
    return s


# 1


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("bc", list(permutations(["dirichlet", "periodic", MIXED])), ids=str)
def test_every_end(make, bc):
    grid = make([graded(15, 40.0), smooth(12), graded(13, 5.0, both=True)], list(bc))
    problem, f = Poisson(grid, a=(1.0, 30.0, 0.2), c=0.5), random(grid.shape)
    np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


@pytest.mark.parametrize("c", [None, 2.0])
def test_all_axes_periodic(c):
    grid = Grid.from_nodes([graded(15, 40.0), smooth(12), graded(13, 5.0)], "periodic")
    problem, f = Poisson(grid, c=c), random(grid.shape)
    s = separated(problem, f, tol=1e-12, project=True)
    if c is not None:
        np.testing.assert_allclose(s.u, eliminated(problem, f), rtol=0, atol=1e-10)


@pytest.mark.parametrize("inner", [0.0, 0.2])
def test_cylinders(inner):
    r, theta = graded(14, 30.0, inner, 1.0), np.linspace(0, 2 * PI, 17)
    grid = Grid.from_faces([r, theta, smooth(12)], [MIXED, "periodic", "dirichlet"], "cylindrical")
    problem, f = Poisson(grid, a=3.0, c=0.1), random(grid.shape)
    np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


WORDS = ["dirichlet", "neumann", ("dirichlet", "neumann"), ("neumann", "dirichlet"), "periodic"]


def even(n, upper=1.0):
    return np.linspace(0, upper, n + 1)


def kinds(problem):
    """How the modes of each axis but t are known, and t."""
    parts = parts_of(problem.A)
    return [type(V) for V in parts.V], parts.dim


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("bc", [*WORDS, MIXED], ids=str)
def test_every_end_in_the_plane(make, bc):
    for points, ends, modes in (
        ([graded(30, 40.0), even(105)], [MIXED, bc], [Matrix if bc == MIXED else Transform]),
        ([even(110), smooth(37)], [bc, ("dirichlet", "neumann")], [Matrix if bc == MIXED else Transform]),
        ([graded(36, 100.0), smooth(41)], [bc, "dirichlet"], [Matrix]),
    ):
        problem = Poisson(make(points, ends), a=(1.0, 3.0), c=0.5)
        f = random(problem.grid.shape)
        assert kinds(problem)[0] == modes
        np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


@pytest.mark.parametrize("other", [even(104), graded(38, 10.0)], ids=["waves", "matrix"])
def test_both_axes_periodic(other):
    problem = Poisson(Grid.from_faces([graded(40, 40.0), other], "periodic"))
    f = random(problem.grid.shape)
    w = problem.rhs(np.ones(f.shape))
    f -= (w * f).sum() / w.sum()
    u = separated(problem, f, tol=1e-11).u
    assert abs(problem.apply(u) - problem.rhs(f)).max() < 1e-9 * abs(f).max()
    assert abs((w * u).sum()) < 1e-12


ROUND = {  # t, and how the other axis' modes are known
    "disc": (([even(40), even(120, 2 * PI)], [("neumann", MIXED[1]), "periodic"], "polar"), -2, Transform),
    "sector": (([smooth(40, 0.2), smooth(50)], ["dirichlet", ("neumann", "dirichlet")], "polar"), -2, Matrix),
    "tube": (([even(40), even(108)], [("neumann", "dirichlet"), "neumann"], "axisymmetric"), -2, Transform),
    "globe": (([even(128, 2 * PI), even(40, PI) - PI / 2], ["periodic", "neumann"], "sphere"), -1, Transform),
    "meridian": (([even(40), even(45, PI)], [("neumann", "dirichlet"), "neumann"], "spherical"), -2, Matrix),
    "cylinder": (([even(6), even(128, 2 * PI), smooth(7)], [MIXED, "periodic", "dirichlet"], "cylindrical"), -3, None),
}


@pytest.mark.parametrize("name", ROUND)
def test_around_an_axis(name):
    grid, t, modes = ROUND[name]
    problem = Poisson(Grid.from_faces(*grid), a=3.0, c=0.1)
    f = random(problem.grid.shape)
    assert kinds(problem) == ([modes] if modes else [Transform, Matrix], t)
    np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


# 2


@pytest.mark.parametrize("bc", WORDS, ids=str)
def test_one_cycle_in_the_plane(bc):
    for widths in (graded(70, 1000.0), graded(70, 1000.0, both=True), graded(70, 1e-3, both=True)):
        for points in ([widths, graded(50, 1e-3)], [widths, even(110)]):
            problem = Poisson(Grid.from_faces(points, [bc] * 2))
            f = random(problem.grid.shape)
            s = separated(problem, f, project=True)
            assert s.reached_tol
            assert s.cycles == 1
            assert Solver(problem).solve(f, tol=1e-11, project=True).cycles <= 2


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("bc", WORDS, ids=str)
def test_one_cycle(make, axes, bc):
    for widths in (graded(21, 1000.0), graded(21, 1000.0, both=True), graded(21, 1e-3, both=True)):
        points = [widths if d < axes else np.linspace(0, 1, 22) for d in range(3)]
        grid = make(points, [bc] * 3)
        s = separated(Poisson(grid), random(grid.shape), project=True)
        assert s.reached_tol
        assert s.cycles == 1
        assert Solver(Poisson(grid)).solve(random(grid.shape), tol=1e-11, project=True).cycles <= 2


# 3


IN_SPACE = [graded(18, 300.0), graded(17, 1000.0, both=True), smooth(16)]
MATRICES, WAVES = [graded(60, 1000.0, both=True), graded(50, 300.0)], [graded(60, 1000.0), even(120)]


@pytest.mark.parametrize("points", [IN_SPACE, MATRICES, WAVES], ids=["space", "matrices", "waves"])
@pytest.mark.parametrize("held", [{"c": 1e-9}, {"high": 1}, {"low": 0}], ids=str)
def test_what_hardly_holds(points, held):
    bc = ["neumann"] * len(points)
    if "high" in held:
        bc[1] = ("neumann", Robin(1e-9))
    if "low" in held:
        bc[0] = (Robin(1e-9), "neumann")
    grid = Grid.from_faces(points, bc)
    problem = Poisson(grid, c=held.get("c"))
    ones = np.ones(grid.shape)
    b = problem.apply(2.0 * ones)  # of nothing but what holds it
    s = separated(problem, b / problem.rhs(ones), most=3, tol=1e-10)
    assert abs(s.u - 2.0).max() < 1e-9


# 4


@pytest.mark.parametrize(
    "points",
    [[graded(16, 100.0), smooth(15), smooth(14)], [graded(37, 100.0), smooth(40)], [graded(24, 100.0), even(112)]],
)
def test_batches_precisions_and_passes(points):
    grid = Grid.from_faces(points, ["dirichlet", "neumann", MIXED][: len(points)])
    f, problem = random((2, 3, *grid.shape)), Poisson(grid)
    s = separated(problem, f)
    for k in np.ndindex(2, 3):
        np.testing.assert_allclose(s.u[k], eliminated(problem, f[k]), rtol=0, atol=1e-10)
    single = separated(problem, f.astype(np.float32), tol=1e-4)
    assert single.u.dtype == np.float32
    assert abs(single.u - s.u).max() < 1e-4 * abs(s.u).max()
    np.testing.assert_allclose(Solver(problem).solve(f, tol=None).u, s.u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("points", [[graded(13, 100.0), smooth(12), smooth(11)], [graded(24, 100.0), even(112)]])
def test_gradients(points):
    grid = Grid.from_faces(points, ["dirichlet", "neumann", MIXED][: len(points)])
    f = torch.from_numpy(random(grid.shape)).requires_grad_()
    a, c = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.5, 0.3))

    def loss(a, c, f):
        s = solve(f, grid=grid, a=a, c=c, tol=1e-12)
        assert s.method == SEPARATED
        return (s.u**2).sum()

    direction = torch.from_numpy(random(grid.shape, 1))
    loss(a, c, f).backward()
    with torch.no_grad():
        for slope, one in (
            (a.grad, (1.0, 0.0, 0.0)),
            (c.grad, (0.0, 1.0, 0.0)),
            ((f.grad * direction).sum(), (0.0, 0.0, 1.0)),
        ):
            step = [1e-5 * v for v in one]
            up, down = (loss(a + q * step[0], c + q * step[1], f + q * step[2] * direction) for q in (1, -1))
            assert float(slope) == pytest.approx(float(up - down) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("t", [0, 1])
def test_layers(t):
    """a and c that change along one axis."""
    for geometry, ndim in (("cartesian", 2), ("axisymmetric", 2), ("cartesian", 3)):
        points = [[graded(46, 30.0), smooth(40)], [graded(16, 30.0), smooth(15), smooth(14)]][ndim - 2]
        grid = Grid.from_faces(points, [("neumann", "dirichlet")] * ndim, geometry)
        layered = lambda *x: 1 + 5 * (x[t] > 0.4) + np.sin(x[t])  # noqa: E731
        problem, f = Poisson(grid, a=layered, c=layered), random(grid.shape)
        np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "keywords",
    [{"a": lambda x, y, *z: 1 + x + y}, {"c": lambda x, y, *z: x * y}, {"fixed": (lambda x, y, *z: x * y > 0.5, 1.0)}],
    ids=["a", "c", "fixed"],
)
def test_others_have_levels(keywords):
    for points in ([graded(16, 100.0), smooth(15), smooth(14)], [graded(45, 100.0), smooth(40)]):
        grid = Grid.from_faces(points)
        assert "cycles" in solve(random(grid.shape), grid=grid, **keywords).method


def test_long_axes_have_levels():
    long = graded(MATRIX + 1, 10.0)
    assert separation(Poisson(Grid.from_faces([long, long])).A) is None
    assert separation(Poisson(Grid.from_faces([long, long], "periodic")).A) is None
    assert separation(Poisson(Grid.from_faces([graded(MATRIX, 10.0), long])).A).t == 1
    assert separation(Poisson(Grid.from_faces([even(1000), long])).A).t == 1


# 5


@pytest.mark.parametrize("shape", [(19, 16, 17), (4, 33, 9), (7, 3, 40), (21, 8, 8)], ids=str)
@pytest.mark.parametrize("t", range(3))
def test_compiled_solve_is_the_readable_one(shape, t):
    bc = ["periodic" if d != t else MIXED for d in range(3)]
    grid = Grid.from_faces([graded(n, 30.0) for n in shape], bc)
    parts, f = parts_of(Poisson(grid, c=0.3).A), torch.from_numpy(random((2, *shape)))
    assert parts.dim == t - 3
    theirs = SeparableLevel(parts).smooth(None, f)
    ours = NativeSeparable(parts).smooth(None, f)
    assert ours.dtype == torch.float64
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


IN_THE_PLANE = [[graded(50, 30.0), smooth(61)], [graded(50, 30.0), even(100)], [smooth(3), even(1250)],
                [smooth(700), graded(37, 3.0)]]  # fmt: skip


@pytest.mark.parametrize("points", IN_THE_PLANE, ids=lambda points: f"{len(points[0]) - 1} x {len(points[1]) - 1}")
@pytest.mark.parametrize("bc", [["dirichlet", "neumann"], ["neumann", "periodic"]], ids=str)
def test_compiled_solve_is_the_readable_one_in_the_plane(points, bc):
    grid = Grid.from_faces(points, bc)
    parts, f = parts_of(Poisson(grid, c=0.3).A), torch.from_numpy(random((2, *grid.shape)))
    ours, theirs = (level(parts).smooth(None, f) for level in (NativeSeparable, SeparableLevel))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


def arrays(parts):
    return [v.contiguous().numpy() for v in (parts.m, parts.s, *(V.V for V in parts.V))]


def kernel(parts, on=None, threads=1, without=()):
    m, s, *V = arrays(parts)
    one, two = (None if d in without else v for d, v in enumerate(V))
    return kernels.Separable(on or machine(), m, s, one, two, threads)


def parts_and_data(batch=1):
    grid = Grid.from_faces([graded(31, 30.0), smooth(23), smooth(26)], "dirichlet")  # lines along the longest axis
    return parts_of(Poisson(grid).A), random((batch, *grid.shape))


@pytest.mark.parametrize("on", machines())
def test_every_instruction_set(on):
    parts, f = parts_and_data(2)
    for without in ((), (0,), (1,), (0, 1)):  # an axis whose modes f is in already
        u, others = np.empty_like(f), [V for d, V in enumerate(parts.V) if d not in without]
        kernel(parts, on, without=without).solve(f, u)
        v, dims = torch.from_numpy(f), [d - 2 for d in (0, 1) if d not in without]
        for V, dim in zip(others, dims, strict=True):
            v = V.forth(v, dim)
        v = SeparableLevel(replace(parts, V=[])).smooth(None, v.contiguous())
        for V, dim in zip(others, dims, strict=True):
            v = V.back(v, dim)
        np.testing.assert_allclose(u, v, rtol=0, atol=1e-12 * float(v.abs().max()))


def test_threads_give_equal_bits():
    parts, f = parts_and_data()
    assert f.size > 6_000  # else there is one thread
    for without in ((), (0,), (0, 1)):
        one, two, three = (np.empty_like(f) for _ in range(3))
        for threads, u in enumerate((one, two, three), 1):
            kernel(parts, threads=threads, without=without).solve(f, u)
        np.testing.assert_array_equal(two, one)
        np.testing.assert_array_equal(three, one)


def test_arrays_that_do_not_fit_are_refused():
    parts, f = parts_and_data()
    m, s, one, two = arrays(parts)
    for wrong, name in (((m[0], s, one, two), "m"), ((m, s[1:], one, two), "s"), ((m, s, two, two), "one"),
                        ((m, s, one, one), "two")):  # fmt: skip
        with pytest.raises(ValueError, match=f"`{name}` must"):
            kernels.Separable(machine(), *(v.copy() for v in wrong), 1)
    with pytest.raises(ValueError, match="`threads` must"):
        kernels.Separable(machine(), m, s, one, two, 0)
    solver = kernel(parts)
    for wrong in (f[:, :-1].copy(), f.astype(np.float32), f[0]):
        with pytest.raises(ValueError, match="`f` must be"):
            solver.solve(wrong, np.empty_like(f))
    with pytest.raises(ValueError, match="`u` must be"):
        solver.solve(f, f[:, :-1].copy())
    with pytest.raises(ValueError, match="`u` must be other memory"):
        solver.solve(f, f)


# 6


@pytest.mark.parametrize(
    ("n", "bc", "modes"),
    [(99, "periodic", Matrix), (100, "periodic", Transform), (127, "periodic", Matrix), (127, "dirichlet", Matrix),
     (128, "dirichlet", Transform), (509, "periodic", Transform), (128, Robin(0), Transform), (128, MIXED, Matrix)],
)  # fmt: skip
def test_waves_where_they_are_fast(n, bc, modes):
    assert kinds(Poisson(Grid.from_faces([graded(16, 10.0), even(n)], ["dirichlet", bc])))[0] == [modes]


def test_nodes_count_otherwise():
    """127 of them between two held ends are waves of length 128, and no number is a layer of another one."""
    grid = Grid.from_nodes([graded(16, 10.0), even(128)], "dirichlet")
    assert grid.shape[1] == 127
    assert kinds(Poisson(grid))[0] == [Transform]
    layered = Poisson(grid, a=lambda x, y: 1 + y)
    assert kinds(layered) == ([Matrix], -1)
