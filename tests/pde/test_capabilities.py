"""The table of what works is true: every row's problem is what the words say, and is solved as they say.

1  The table has each combination of dimensions, coefficients, domain, boundary and grid once.
2  The words for boundary, grid, domain and coefficients describe the matrix, looked at from outside.
3  Each row is solved, by the iteration and the levels that it names: by arrays, tensors, order 4, transforms and
   gradients.
"""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import spsolve

from mgnet.pde import Robin, Solver, capabilities
from mgnet.pde.capabilities import Row, rows
from mgnet.pde.levels.alternating import Alternating
from tests.pde.grids_and_data import random

COEFFICIENTS = [
    "numbers",
    "one per axis",
    "array",
    "callable",
    "faces",
    "array per member",
    "jumps of 1e6",
    "jumps of 1e6 in one axis",
]
ELSEWHERE = ["numbers", "array", "jumps of 1e6"]
VELOCITIES = ["velocity, upwind", "velocity, central"]
AROUND = [("spherical", 1), ("polar", 2), ("axisymmetric", 2), ("spherical", 2), ("sphere", 2), ("cylindrical", 3),
          ("spherical", 3)]  # fmt: skip
DOMAINS = ["mask", "mask without flux", "mask per member", "fixed unknowns", "mask with fixed unknowns"]
BOXES = [row for row in rows() if row.centering in ("node", "cell") and row.domain == "box"]
WITHIN = [row for row in rows() if row.domain != "box"]
BOUNDARIES = ["dirichlet", "neumann", "periodic", "mixed faces", "robin"]


@pytest.fixture(scope="module")
def table() -> dict[Row, list[str]]:
    """(iteration, levels, order, method) of each row, read from the table."""
    found: dict[Row, list[str]] = {}
    for line in capabilities().splitlines()[2:]:
        ndim, coefficients, domain, boundaries, grids, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        for boundary, grid in product(boundaries.split(", "), grids.split(", ")):
            row = Row(boundary, grid, coefficients, int(ndim), domain)
            assert row not in found
            found[row] = rest
    return found


def test_the_table_is_whole(table):
    whole = {Row(*row) for row in product(BOUNDARIES, ["node", "cell"], COEFFICIENTS, [1, 2, 3])}
    whole |= {Row(*row) for row in product(BOUNDARIES, ["stretched node", "stretched cell"], ELSEWHERE, [1, 2, 3])}
    places = ["node", "cell", "stretched node", "stretched cell"]
    whole |= {Row(*row) for row in product(["varying robin"], places, ELSEWHERE, [1, 2, 3])}
    outer = ("dirichlet", "neumann", "robin")
    whole |= {Row(end, kind, a, ndim) for (kind, ndim), a, end in product(AROUND, ELSEWHERE, outer)}
    small = product(BOUNDARIES, ["node", "cell"], ["array", "jumps of 1e6"], [1, 2, 3], DOMAINS)
    whole |= {Row(*row) for row in small}
    tensors = product([*BOUNDARIES, "varying robin"], places, ["full tensor"], [2, 3])
    whole |= {Row(*row) for row in tensors if "robin" not in row[0] or "node" in row[1]}
    whole |= {Row(*row) for row in product([*BOUNDARIES, "varying robin"], places, VELOCITIES, [1, 2, 3])}
    whole |= {Row(end, kind, v, ndim) for (kind, ndim), v, end in product(AROUND, VELOCITIES, outer)}
    carried = product(["dirichlet", "neumann"], ["node", "cell"], VELOCITIES, [1, 2, 3], DOMAINS)
    whole |= {Row(*row) for row in carried}
    tensors = product(["dirichlet", "neumann"], ["node", "cell"], ["full tensor"], [2, 3], DOMAINS)
    whole |= {Row(*row) for row in tensors if row[3:] != (3, "mask without flux")}
    assert set(table) == whole
    assert set(table) == set(rows())


def stiffness(problem, u):
    """-div(a grad u), as the matrix has it; (2, *grid)."""
    u = np.broadcast_to(u, (2, *problem.grid.shape)).copy()
    return problem.apply(u) - problem.rhs(u)


def along_first_axis(problem, u):
    """The stiffness' action, far from the ends of the other axes; (2, n)."""
    return stiffness(problem, u)[(slice(None), slice(None), *(n // 2 for n in problem.grid.shape[1:]))]


@pytest.mark.parametrize("row", BOXES, ids=str)
def test_the_words_describe_the_matrix(row):
    problem = row.problem()
    grid, first = problem.grid, np.zeros(problem.grid.shape)
    first[0] = 1
    h = grid.spacing[0]
    action = along_first_axis(problem, np.ones(grid.shape)) * h
    round_off = 1e-9 * np.abs(along_first_axis(problem, first) * h).max()
    assert np.abs(action[:, 1:-1]).max() < max(round_off, 1e-4)
    low, high = action[:, 0], action[:, -1]
    held = {"dirichlet": (low > 3, high > 3), "mixed faces": (low > 3, abs(high) < 1e-3)}
    held |= {"robin": ((low > 0.9) & (low < 1.01), abs(high) < 1e-3)}
    middle = 1.0 if row.ndim == 1 else 1 + grid.coordinates()[-1].flat[grid.shape[-1] // 2]
    held |= {"varying robin": (abs(low / middle - 1) < 0.1, abs(high) < 1e-3)}
    free = abs(low) < 1e-3, abs(high) < 1e-3
    assert all(side.all() for side in held.get(row.boundary, free))
    assert (abs(along_first_axis(problem, first)[:, -1]) > 0.1).all() == (row.boundary == "periodic")
    assert (grid.coordinates()[0].flat[0] / h % 1 == pytest.approx(0.5)) == (row.centering == "cell")


def mean_coefficients(problem):
    """Of the two faces of every second unknown, along each axis, away from the ends; each (2, ...)."""
    grid, found = problem.grid, []
    inner = tuple(slice(2, -2) for _ in grid.shape)
    for d, h in enumerate(grid.spacing):
        even = np.arange(grid.shape[d]).reshape([-1 if k == d else 1 for k in range(grid.ndim)]) % 2 == 0
        both = -stiffness(problem, np.broadcast_to(even, grid.shape) * 1.0)[(slice(None), *inner)] * h**2 / 2
        found.append(both[(slice(None),) * (d + 1) + (slice(1, None, 2),)])
    return found


@pytest.mark.parametrize("row", [row for row in BOXES if row.boundary == "neumann"], ids=str)
def test_the_words_describe_the_coefficients(row):
    problem = row.problem()
    means = mean_coefficients(problem)
    spread = [a.max() / a.min() for a in means]
    if row.coefficients in ("numbers", "one per axis"):
        a = (2.0,) * row.ndim if row.coefficients == "numbers" else (1.0, 0.1, 3.0)
        assert all(np.allclose(mean, one) for mean, one in zip(means, a, strict=False))
    elif row.coefficients == "full tensor":
        assert all(np.allclose(mean, one) for mean, one in zip(means, (1.0, 2.0, 3.0), strict=False))
        one, here = np.zeros(problem.grid.shape), tuple(n // 2 for n in problem.grid.shape)
        one[here] = 1
        for d, e in combinations(range(row.ndim), 2):
            there = tuple(i + (f in (d, e)) for f, i in enumerate(here))
            h, a = problem.grid.spacing, {(0, 1): 0.4, (0, 2): 0.2, (1, 2): -0.3}[d, e]
            assert np.allclose(stiffness(problem, one)[(0, *there)] * h[d] * h[e], -a / 2)
    elif row.coefficients in VELOCITIES:
        for d, (mean, x, h) in enumerate(zip(means, problem.grid.coordinates(), problem.grid.spacing, strict=True)):
            v = 40 * np.sin(2 * np.pi * x) if d == 0 else np.full(problem.grid.shape, -20.0)
            inner, steep = (slice(None), *(slice(2, -2) for _ in problem.grid.shape)), 40 * (2 * np.pi * h) ** 2
            assert np.allclose(stiffness(problem, x)[inner], v[inner[1:]], atol=steep + 20 * h * 2 * np.pi)
            if "upwind" in row.coefficients:
                assert mean.max() == pytest.approx(1 + abs(v).max() * h / 2, rel=0.1)
            else:
                assert abs(mean - 1).max() <= 20 * np.pi * h**2 + 1e-9  # what v changes in a cell
    elif row.coefficients == "array per member":
        assert all(np.allclose(mean[0] * mean[1], 1, rtol=0.1) and not np.allclose(*mean) for mean in means)
    elif "jumps" in row.coefficients:
        assert all(s > 1e5 if d == 0 or "one axis" not in row.coefficients else s < 1.001 for d, s in enumerate(spread))
        assert max(a.max() for a in means) == pytest.approx(1e6)
    else:
        assert all(1.5 < s < 50 and np.array_equal(*mean) for s, mean in zip(spread, means, strict=True))
        assert callable(row._a(problem.grid)) == (row.coefficients == "callable")


@pytest.mark.parametrize("row", WITHIN, ids=str)
def test_the_words_describe_the_domain(row):
    """By what becomes of a datum at each unknown: nothing, its value, or what its neighbours make of it."""
    problem = row.problem()
    shape, x = problem.grid.shape, problem.grid.coordinates()
    f = random((2, *shape))
    both = Solver(problem).solve(f).u
    assert ((both[0] == 0) == (both[1] == 0)).all() == ("per member" not in row.domain)
    u = both[0]
    outside, fixed = u == 0, u == 1 + x[0]
    assert outside.any() == ("mask" in row.domain)
    assert fixed.any() == ("fixed" in row.domain)
    assert 0.5 < (~outside & ~fixed).mean() < 1
    if "mask" in row.domain:  # what flows through the cut: beside it a constant solves, or not
        flux = abs(stiffness(problem, ~outside * 1.0)[0])
        near = np.zeros(shape, bool)
        for d, n in enumerate(shape):
            for step in (1, -1):
                inner = np.moveaxis(np.roll(outside, step, d), d, 0)
                np.moveaxis(near, d, 0)[1 : n - 1] |= inner[1 : n - 1]
        near &= ~outside & ~fixed & (np.indices(shape).min(0) > 0)
        near &= np.all([i < n - 1 for i, n in zip(np.indices(shape), shape, strict=True)], axis=0)
        if "fixed" not in row.domain:
            most = 0.5 if row.coefficients in VELOCITIES else 1.0  # what v carries in may be as much as diffuses out
            if "without" in row.domain:
                assert (flux[near] < 1e-3).all()
            else:
                assert (flux[near] > 10).mean() >= most


@pytest.mark.parametrize("row", [row for row in rows() if row not in BOXES and row not in WITHIN], ids=str)
def test_the_words_describe_the_grid(row):
    grid = row.problem().grid
    widths = [np.diff(axis.x) for axis in grid.axes]
    if row.centering.startswith("stretched"):
        assert row.centering == f"stretched {grid.centering}"
        assert all(w.max() > 4 * w.min() for w in widths)
    else:
        assert row.centering == grid.geometry
        assert all(np.allclose(w, w[0]) for w in widths)
        assert grid.bc[-1 if row.centering == "sphere" else 0][1] == {"robin": Robin(1.0)}.get(
            row.boundary, row.boundary
        )


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_row(row, table):
    problem, (iteration, levels, orders, methods) = row.problem(), table[row]
    f = random((2, *problem.grid.shape))
    solver = Solver(problem)
    data = {"mask_boundary": lambda *x: 1 + x[0]} if "mask" in row.domain else {}
    data = {} if row.coefficients == "full tensor" and "without flux" in row.domain else data
    s = solver.solve(f, tol=1e-8, **data)
    assert s.converged
    either = "zebra or row Gauss-Seidel"  # which the velocity decides; or the whole grid is the coarsest one
    assert (either in iteration) == (row.coefficients in VELOCITIES and row.ndim > 1)
    ways = {iteration.replace(either, way) for way in ("zebra", "row Gauss-Seidel")}
    assert s.method in ways or (row.coefficients in VELOCITIES and s.method.endswith(("elimination", "alone")))
    (lease,) = solver._multigrid.levels._leases.values()
    made = lease.levels.levels if isinstance(lease.levels, Alternating) else lease.levels
    fused = type(made).__module__.split(".")[2] in ("kernels", "native")
    assert fused == (levels == "fused kernels"), type(made)
    r = problem.rhs(f, **data) - problem.apply(s.u)
    assert np.linalg.norm(r) <= 2e-8 * np.linalg.norm(problem.rhs(f, **data)) or s.status == "round-off"
    assert s.cycles <= 25
    assert solver.solve(f, tol=None).converged
    assert (orders == "2, 4") == (
        row in BOXES and row.coefficients in ("numbers", "one per axis") and row.boundary != "varying robin"
    )
    if orders == "2, 4":
        assert Solver(row.problem(order=4)).solve(f, tol=1e-8).converged
    assert ("transform" in methods) == (orders == "2, 4" and row.boundary != "robin")
    if "transform" in methods:
        direct = Solver(problem, method="transform").solve(f, tol=1e-12)
        np.testing.assert_allclose(direct.u, s.u, rtol=0, atol=1e-6 * abs(direct.u).max())
    zero = {"fixed": 0.0} if "fixed" in row.domain else {}
    g, w = torch.as_tensor(f).requires_grad_(), torch.as_tensor(problem.rhs(np.ones(f.shape), **zero))
    s = solver.solve(f, tol=1e-8, **zero) if row.domain != "box" else s
    u = solver.solve(g, tol=1e-8).u
    (gradient,) = torch.autograd.grad((w * u * g.detach()).sum(), g)  # w A^-T w f
    expected = s.u
    if row.coefficients in VELOCITIES and "per member" in row.domain:
        return  # two matrices
    if row.coefficients in VELOCITIES:
        b = (w.numpy() * f).reshape(2, -1).T
        expected = spsolve(problem.to_scipy().T.tocsc(), b).T.reshape(f.shape)
    np.testing.assert_allclose(gradient.numpy(), w.numpy() * expected, rtol=0, atol=1e-5 * abs(expected).max())
