"""Stretched grids, and polar, cylindrical and spherical ones.

1  The matrix, the weights and the boundary data are those of an assembly cell by cell, to 1e-10, for every geometry,
   centring and end; equal distances are the uniform grid, to the last bit.
2  The error is O(h^2), fitted order 2.0 +- 0.15, on smooth stretchings and around r = 0 and the poles, and one full
   multigrid pass reaches it.
3  Stretching by up to 1000, along one, two or three axes, costs at most 12 cycles to 1e-8, whatever the ends; so do
   poles; polar and axisymmetric grids at most 10.
4  Batches, float32, masks, tensors and gradients work as on uniform grids.
5  What is wrong with positions is said.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from tests.pde.grids_and_data import order, random
from tests.pde.stretched import Cells, graded, polar, smooth

PI = np.pi
MIXED = ["dirichlet", ("neumann", Robin(1.7)), (Robin(0.6), "dirichlet")]
ROUND = {  # geometry: points per axis
    "polar": [smooth(7, 0.2, 1.3), smooth(6, 0.1, 2.0)],
    "axisymmetric": [smooth(7, 0.2, 1.3), smooth(6, -1.0, 2.0)],
    "cylindrical": [smooth(5, 0.2, 1.3), smooth(4, 0.1, 2.0), smooth(4, 0.0, 0.7)],
    "spherical": [smooth(5, 0.2, 1.3), smooth(4, 0.3, 2.9), smooth(4, 0.0, 1.7)],
    "sphere": [smooth(7, 0.0, 1.0), smooth(6, -1.4, 1.1)],
}
AROUND = {  # the whole of it: periodic, with natural ends
    "polar": ([np.linspace(0, 1, 6), np.linspace(0, 2 * PI, 8)], ["neumann", "periodic"]),
    "axisymmetric": ([smooth(6, 0.0, 1.0), smooth(5)], [("neumann", Robin(2.0)), "dirichlet"]),
    "cylindrical": (
        [np.linspace(0, 1, 5), np.linspace(0, 2 * PI, 6), smooth(3)],
        [("neumann", "dirichlet"), "periodic", "neumann"],
    ),
    "spherical": (
        [smooth(4, 0, 1), np.linspace(0, PI, 5), np.linspace(0, 2 * PI, 6)],
        [("neumann", Robin(0.4)), "neumann", "periodic"],
    ),
    "sphere": ([smooth(6, 0, 2 * PI), np.linspace(-PI / 2, PI / 2, 6)], ["periodic", "neumann"]),
}


def cases():
    for centering in ("faces", "nodes"):
        for ndim in (1, 2, 3):
            points = [smooth(7, -1.0, 2.0), smooth(6, steep=3.0), graded(5, 30.0)][:ndim]
            yield f"cartesian-{ndim}-{centering}", "cartesian", points, MIXED[:ndim], centering
        yield f"ring-{centering}", "cartesian", [graded(7, 9.0), smooth(6)], ["periodic", "neumann"], centering
        for geometry, points in ROUND.items():
            yield f"{geometry}-{centering}", geometry, points, MIXED[: len(points)], centering
        yield f"radial-{centering}", "spherical", [smooth(7, 0.2, 1.0)], [("dirichlet", Robin(2.0))], centering
        ends = [("neumann", "dirichlet"), ("dirichlet", "neumann")]
        yield f"meridian-{centering}", "spherical", [smooth(6, 0.1, 1.0), smooth(5, 0.2, 2.0)], ends, centering
    for geometry, (points, bc) in AROUND.items():
        yield f"{geometry}-whole", geometry, points, bc, "faces"


CASES = {name: case for name, *case in cases()}


def a_of(*x):
    return 1.5 + np.sin(sum((d + 1.0) * t for d, t in enumerate(x)))


def c_of(*x):
    return 1.0 + sum(t**2 for t in x)


def datum(d, side, *x):
    return 1.0 + d + side * np.cos(sum(x))


@pytest.mark.parametrize("name", CASES)
def test_the_system_is_that_of_an_independent_assembly(name):
    geometry, points, bc, centering = CASES[name]
    grid = getattr(Grid, f"from_{centering}")(points, bc, geometry)
    pairs = [(ends, ends) if isinstance(ends, (str, Robin)) else ends for ends in bc]
    A, volumes, b = Cells(points, pairs, geometry, cell=centering == "faces").assemble(a_of, c_of, datum)
    unit = np.prod(grid.spacing)  # a share is a volume over the mean one of a Cartesian cell
    problem = Poisson(grid, a_of, c_of)
    f = random(grid.shape)
    data = [tuple((lambda *x, d=d, s=s: datum(d, s, *x)) for s in (0, 1)) for d in range(grid.ndim)]
    ours = problem.to_scipy() * unit
    assert abs(ours - A).max() <= 1e-10 * abs(A).max()
    np.testing.assert_allclose(problem.rhs(np.ones(grid.shape)).ravel() * unit, volumes, rtol=1e-10)
    np.testing.assert_allclose(
        problem.rhs(f, data).ravel() * unit, f.ravel() * volumes + b, rtol=1e-10, atol=1e-10 * abs(b).max()
    )
    u = Solver(problem).solve(f, boundary=data, tol=1e-11).u
    np.testing.assert_allclose(u.ravel(), splinalg.spsolve(A.tocsc(), f.ravel() * volumes + b), atol=1e-9)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic", ("dirichlet", Robin(1.0))], ids=str)
def test_equal_distances_are_the_uniform_grid(bc):
    for centering, name in (("cell", "faces"), ("node", "nodes")):
        grid = Grid((20, 13), bc=[bc, bc], lower=-1.0, upper=2.0, centering=centering)
        placed = getattr(Grid, f"from_{name}")([np.linspace(-1, 2, axis.intervals + 1) for axis in grid.axes], [bc, bc])
        assert placed.axes == grid.axes
        assert placed.uniform
        assert (
            Solver(Poisson(placed)).solve(random(grid.shape) * 0).method
            == Solver(Poisson(grid)).solve(random(grid.shape) * 0).method
        )


# Accuracy


class Known:
    """u, f = -lap u and du/dx_d over lengths, of functions of the coordinates."""

    def __init__(self, u, f, *slopes):
        self.u, self.f, self.slopes = u, f, slopes

    def boundary(self, grid):
        def datum(d, side):
            end = grid.bc[d][side]
            if end in ("dirichlet", "periodic"):
                return self.u
            if not self.slopes:
                return None  # a pole
            alpha, sign = (end.alpha if isinstance(end, Robin) else 0.0), 2 * side - 1
            return lambda *x: alpha * self.u(*x) + sign * self.slopes[d](*x)

        return [(datum(d, 0), datum(d, 1)) for d in range(grid.ndim)]


PLANE = Known(
    lambda x, y: np.cos(2 * x + 0.3) * np.sin(1.5 * y + 0.4),
    lambda x, y: 6.25 * np.cos(2 * x + 0.3) * np.sin(1.5 * y + 0.4),
    lambda x, y: -2 * np.sin(2 * x + 0.3) * np.sin(1.5 * y + 0.4),
    lambda x, y: 1.5 * np.cos(2 * x + 0.3) * np.cos(1.5 * y + 0.4),
)
DISC = Known(  # x^2 - y^2 + y + cos(r^2)
    lambda r, t: r**2 * np.cos(2 * t) + r * np.sin(t) + np.cos(r**2),
    lambda r, t: 4 * np.sin(r**2) + 4 * r**2 * np.cos(r**2),
    lambda r, t: 2 * r * np.cos(2 * t) + np.sin(t) - 2 * r * np.sin(r**2),
)
SECTOR = Known(  # exp(x)
    lambda r, t: np.exp(r * np.cos(t)),
    lambda r, t: -np.exp(r * np.cos(t)),
    lambda r, t: np.cos(t) * np.exp(r * np.cos(t)),
    lambda r, t: -np.sin(t) * np.exp(r * np.cos(t)),
)
TUBE = Known(
    lambda r, z: np.cos(r**2) * np.cos(z),
    lambda r, z: (4 * np.sin(r**2) + 4 * r**2 * np.cos(r**2) + np.cos(r**2)) * np.cos(z),
    lambda r, z: -2 * r * np.sin(r**2) * np.cos(z),
    lambda r, z: -np.cos(r**2) * np.sin(z),
)
BALL = Known(  # exp(x) cos(y + z / 2)
    lambda r, t, p: np.exp(r * np.sin(t) * np.cos(p)) * np.cos(r * (np.sin(t) * np.sin(p) + np.cos(t) / 2)),
    lambda r, t, p: 0.25 * BALL.u(r, t, p),
)
GLOBE = Known(  # x + x y of the unit sphere, of degree 1 and 2
    lambda lon, lat: np.cos(lat) * np.cos(lon) * (1 + np.cos(lat) * np.sin(lon)),
    lambda lon, lat: np.cos(lat) * np.cos(lon) * (2 + 6 * np.cos(lat) * np.sin(lon)),
)


def boxes(centering):
    return lambda bc: lambda n: getattr(Grid, f"from_{centering}")([smooth(n), smooth(n, -1, 1, 2.5, -0.2)], bc)


def sectors(centering):
    ends = ["dirichlet", ("neumann", Robin(1.5))]
    points = lambda n: [smooth(n, 0.3, 1.0), smooth(n, 0.1, 1.3)]  # noqa: E731
    return lambda n: getattr(Grid, f"from_{centering}")(points(n), ends, "polar")


ACCURATE = {
    **{f"box-{c}-{k}": (PLANE, boxes(c)(bc), (32, 64, 128)) for c in ("faces", "nodes")
       for k, bc in enumerate(["dirichlet", "neumann", ("dirichlet", ("neumann", Robin(2.0)))])},
    "disc": (DISC, lambda n: polar(n, [("neumann", Robin(2.0)), "periodic"]), (16, 32, 64)),
    "sector-faces": (SECTOR, sectors("faces"), (32, 64, 128)),
    "sector-nodes": (SECTOR, sectors("nodes"), (32, 64, 128)),
    "tube": (TUBE, lambda n: Grid.from_faces([smooth(n), smooth(n, 0, 2)], [("neumann", "dirichlet"),
             ("dirichlet", "neumann")], "axisymmetric"), (32, 64, 128)),
    "ball": (BALL, lambda n: Grid.from_faces([np.linspace(0, 1, n + 1), np.linspace(0, PI, n + 1),
             np.linspace(0, 2 * PI, 2 * n + 1)], [("neumann", "dirichlet"), "neumann", "periodic"], "spherical"),
             (10, 16, 24)),
    "globe": (GLOBE, lambda n: Grid.from_faces([np.linspace(0, 2 * PI, 2 * n + 1), np.linspace(-PI / 2, PI / 2, n + 1)],
              ["periodic", "neumann"], "sphere"), (16, 32, 64)),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCURATE)
def test_second_order_and_one_pass_reaches_it(name):
    known, grid_of, sizes = ACCURATE[name]
    errors = []
    for n in sizes:
        grid = grid_of(n)
        x, c = grid.coordinates(), 1.0 if grid.closed else None
        f = known.f(*x) + (0.0 if c is None else known.u(*x))
        with_levels = np.full(grid.shape, c or 0.0) + 1e-9 * np.exp(random(grid.shape))  # c of numbers needs none
        more = {"grid": grid, "boundary": known.boundary(grid)}
        two = [solve(f, c=c, tol=1e-10, **more).u, solve(f, c=with_levels, tol=None, **more).u]
        errors.append([np.sqrt(((u - known.u(*x)) ** 2).mean()) for u in two])
    errors = np.array(errors)
    assert order(sizes, errors[:, 0]) == pytest.approx(2.0, abs=0.15), errors
    assert (errors[:, 1] <= 1.2 * errors[:, 0]).all()


# Cycles


def cycles(grid, **keywords):
    """In the plane with a little of a coefficient: numbers need no levels there."""
    given = {"a": 1 + 1e-6 * random(grid.shape, 1)} if grid.ndim == 2 else {}
    s = solve(random(grid.shape), grid=grid, tol=1e-8, project=True, **given | keywords)
    assert s.reached_tol
    assert grid.ndim == 3 or "V(2,2)-cycles" in s.method
    return s.cycles


@pytest.mark.parametrize("ratio", [5, 30, 150, 1000])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_cycles_on_stretched_grids(axes, ratio, both):
    points = [graded(m, ratio, both=both) if d < axes else np.linspace(0, 1, m + 1) for d, m in enumerate((128, 101))]
    for make in (Grid.from_faces, Grid.from_nodes):
        assert cycles(make(points)) <= 10
    assert cycles(Grid.from_faces(points, ["neumann", "periodic"])) <= 12


@pytest.mark.parametrize("ratio", [5, 30, 1000])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True])
def test_cycles_on_stretched_grids_in_space(axes, ratio, both):
    points = [graded(m, ratio, both=both) if d < axes else np.linspace(0, 1, m + 1) for d, m in enumerate((33, 40, 36))]
    for bc in ("dirichlet", "neumann", ["dirichlet", "neumann", "periodic"]):
        assert cycles(Grid.from_faces(points, bc)) <= 12


@pytest.mark.parametrize("n", [45, 128])
def test_cycles_around_the_axis(n):
    for inner in (0.0, 0.1):
        for outer in ("dirichlet", "neumann", Robin(3.0)):
            assert cycles(polar(n, [("neumann", outer), "periodic"], inner)) <= 8
    for z in (0.1, 1.0, 20.0):
        tube = Grid.from_faces([np.linspace(0, 1, n + 1), np.linspace(0, z, n)], "neumann", "axisymmetric")
        assert cycles(tube) <= 10
        assert cycles(tube, a=lambda r, z: 1 + r + 0.1 * np.sin(z)) <= 10


@pytest.mark.parametrize("n", [45, 128])
def test_cycles_to_the_poles(n):
    lon = np.linspace(0, 2 * PI, 2 * n + 1)
    for bc in ("dirichlet", "neumann"):
        assert cycles(Grid.from_nodes([lon, np.radians(np.linspace(-89, 89, n + 1))], ["periodic", bc], "sphere")) <= 10
    assert cycles(Grid.from_faces([lon, np.linspace(-PI / 2, PI / 2, n + 1)], ["periodic", "neumann"], "sphere")) <= 10


def test_cycles_in_a_ball():
    r, theta, phi = np.linspace(0, 1, 25), np.linspace(0, PI, 25), np.linspace(0, 2 * PI, 49)
    assert (
        cycles(Grid.from_faces([r, theta, phi], [("neumann", "dirichlet"), "neumann", "periodic"], "spherical")) <= 10
    )
    assert cycles(Grid.from_faces([r, phi, r], [("neumann", "dirichlet"), "periodic", "neumann"], "cylindrical")) <= 8


def test_lines_of_both_axes_are_told():
    grid = Grid.from_faces([graded(64, 100), graded(64, 100)])
    s = solve(np.ones((64, 64)), grid=grid, a=lambda x, y: 1 + x + y)
    assert "zebra" in s.method
    assert "V(" in s.method


# As on uniform grids


def test_members_of_a_batch():
    grid, f = Grid.from_faces([graded(40, 20), smooth(31)], ["neumann", "dirichlet"]), random((2, 3, 40, 31))
    a = np.exp(random((3, 40, 31)) * 0.3)
    s = solve(f, grid=grid, a=a, tol=1e-10)
    for i in range(2):
        for j in range(3):
            one = solve(f[i, j], grid=grid, a=a[j], tol=1e-10)
            np.testing.assert_allclose(s.u[i, j], one.u, atol=1e-8 * abs(one.u).max())


@pytest.mark.parametrize("geometry", ["cartesian", "polar"])
def test_single_precision(geometry):
    grid = Grid.from_faces([graded(64, 50, 0.1, 1.1), np.linspace(0, 1, 64)], geometry=geometry)
    f = random(grid.shape)
    s, exact = solve(f.astype(np.float32), grid=grid), solve(f, grid=grid, tol=1e-12)
    assert s.converged
    assert s.u.dtype == np.float32
    assert abs(s.u - exact.u).max() < 1e-4 * abs(exact.u).max()


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_masks_cut_stretched_grids(mask_bc):
    grid = Grid.from_faces([graded(50, 20, both=True), smooth(41)], ["dirichlet", "neumann"])
    x, y = grid.coordinates()
    mask = (x - 0.5) ** 2 + (y - 0.6) ** 2 > 0.04
    problem = Poisson(grid, mask=mask, mask_bc=mask_bc)
    f = random(grid.shape)
    s = Solver(problem).solve(f, tol=1e-11)
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(grid.shape)
    np.testing.assert_allclose(s.u, exact, atol=1e-9 * abs(exact).max())
    assert s.cycles <= 20


def test_means_are_of_volumes():
    grid = polar(20, ["neumann", "periodic"])
    r, t = grid.coordinates()
    s = solve(r * np.cos(t), grid=grid)
    assert abs((r * s.u).sum()) < 1e-10
    with pytest.raises(ValueError, match="`f` must have mean zero"):
        solve(r, grid=grid)


@pytest.mark.parametrize("geometry", ["cartesian", "polar"])
def test_gradients(geometry):
    grid = Grid.from_faces([graded(6, 9, 0.2, 1.2), smooth(5)], ["dirichlet", ("neumann", Robin(2.0))], geometry)
    f, a = (torch.from_numpy(np.exp(random(grid.shape, s))).requires_grad_() for s in (0, 1))
    g = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f, a, g: solve(f, grid=grid, a=a, boundary=lambda x, y: g * x, tol=1e-13).u,
        (f, a, g),
        atol=1e-6,
        fast_mode=True,
    )


# What is wrong

WRONG = {
    "decreasing": (([0.0, 2.0, 1.0, 3.0],), {}, ValueError, "`faces` of axis 0 must increase; number 1 is 2 and"),
    "immense": (([0.0, 1e-300, 1.0, 1e300],), {}, ValueError, "`faces` of axis 0 must lie 1e-100 to 1e100 apart"),
    "equal": (([0.0, 1.0, 1.0, 3.0],), {}, ValueError, "`faces` of axis 0 must increase"),
    "NaN": (([0.0, np.nan, 1.0],), {}, ValueError, "`faces` of axis 0 must be finite; number 1 is not"),
    "one": (([0.0],), {}, ValueError, "`faces` of axis 0 must hold at least two numbers; it holds 1"),
    "text": ((["a", "b"],), {}, TypeError, "`faces` of axis 0 must be a vector of real numbers"),
    "matrix": ((np.ones((2, 2)),), {}, TypeError, "`faces` of axis 0 must be a vector of real numbers"),
    "numbers": ((0.0, 1.0, 2.0, 3.0), {}, ValueError, r"must have one to three axes; .* In 1-D that is \[x\], not x"),
    "four axes": (([0.0, 1.0],) * 4, {}, ValueError, "must have one to three axes; it has 4"),
    "geometry": (([0.0, 1.0],), {"geometry": "sphericl"}, ValueError, "Did you mean 'spherical'"),
    "axes": (([0.0, 1.0],), {"geometry": "polar"}, ValueError, r"'polar' has the axes \(r, theta\); there are 1"),
    "too many": (([0.1, 1.0],) * 3, {"geometry": "sphere"}, ValueError, r"has the axes \(lon, lat\); there are 3"),
    "r < 0": (([-0.1, 1.0], [0.0, 1.0]), {"geometry": "polar"}, ValueError, r"axis 0 \(r\) must lie between 0 and inf"),
    "beyond the pole": (
        ([0.1, 1.0], [0.1, 4.0]), {"geometry": "spherical"}, ValueError, r"axis 1 \(theta\) must lie between 0 and 3.14"
    ),
    "degrees": (([0.0, 360.0], [-1.0, 1.0]), {"geometry": "sphere"}, ValueError, "must not go around more than once"),
    "held at r = 0": (
        ([0.0, 1.0], [0.0, 1.0]), {"geometry": "polar"}, ValueError, '`bc` must be "neumann" at 0, where faces have no'
    ),
    "periodic r": (
        ([0.1, 1.0], [0.0, 1.0]), {"geometry": "polar", "bc": "periodic"}, ValueError, "`bc` must not be periodic there"
    ),
    "bc": (([0.0, 1.0],), {"bc": ["dirichlet"] * 2}, ValueError, r"`bc` must have one entry per axis \(1\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_positions_that_are_refused(case):
    faces, keywords, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        Grid.from_faces(faces, **keywords)


def test_nodes_that_are_refused():
    with pytest.raises(ValueError, match=r"must not hold 0, where cells have no volume. Use Grid\.from_faces"):
        Grid.from_nodes([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], ["neumann", "neumann"], "polar")
    with pytest.raises(ValueError, match="must leave an unknown beside the Dirichlet ends; there are 2"):
        Grid.from_nodes([[0.0, 1.0]])
    with pytest.raises(TypeError, match="asks for a gradient, and positions have none"):
        Grid.from_nodes([torch.linspace(0, 1, 5).requires_grad_()])


def test_a_grid_says_all():
    grid = Grid.from_faces([graded(20, 5), graded(10, 5)])
    with pytest.raises(ValueError, match="`grid` takes the place of `bc`; both were given"):
        solve(np.ones((20, 10)), grid=grid, bc="neumann")
    with pytest.raises(TypeError, match=r"`grid` must be a mgnet\.pde\.Grid; it is tuple"):
        solve(np.ones((20, 10)), grid=(20, 10))
    with pytest.raises(ValueError, match="`ndim` must be that of `grid`, 2"):
        solve(np.ones((20, 10)), grid=grid, ndim=1)
    with pytest.raises(ValueError, match=r"`f` must have the grid's shape \(20, 10\)"):
        solve(np.ones((10, 20)), grid=grid)
    with pytest.raises(ValueError, match="`order` = 4 needs equal mesh widths"):
        solve(np.ones((20, 10)), grid=grid, order=4)
    assert "stretched" in repr(grid)
