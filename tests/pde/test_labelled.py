"""DataArrays in, DataArrays out.

1  The box is the one that puts the unknowns at the coordinates, for each end and centring; u has f's coordinates.
2  Coordinates that fall are put in order, and back; other DataArrays come to f's order of dimensions.
3  Batches keep their dimensions; arrays and tensors go through untouched.
4  Coordinates that cannot make a box, and coefficients that lie elsewhere, are named.
"""

import numpy as np
import pytest

from mgnet.pde import Grid, solve

xarray = pytest.importorskip("xarray")
SHAPE = (9, 12)
BOXES = [
    {"lower": (0, -2), "upper": (1, 5)},
    {"bc": ["neumann", ("dirichlet", "neumann")], "lower": -1, "upper": (1, 2)},
    {"bc": ["periodic", "neumann"], "upper": (2, 3), "centering": "cell"},
]
GRID = Grid(SHAPE, **BOXES[0])


def array_on(grid, seed=0):
    f = np.random.default_rng(seed).standard_normal(grid.shape)
    points = [axis.x for axis in grid.axes]
    return xarray.DataArray(f, dict(zip("yx", points, strict=True)), ("y", "x"), name="source")


@pytest.mark.parametrize("box", BOXES)
def test_the_box_is_that_of_the_coordinates(box):
    f = array_on(Grid(SHAPE, **box))
    s = solve(f, c=1.0, **{name: value for name, value in box.items() if name not in ("lower", "upper")})
    expected = solve(f.values, c=1.0, **box).u
    np.testing.assert_allclose(s.u.values, expected, rtol=1e-9, atol=1e-12)
    xarray.testing.assert_equal(s.u.coords.to_dataset(), f.coords.to_dataset())
    assert s.u.dims == f.dims
    assert s.u.name == "u"


def test_falling_coordinates_and_other_orders():
    grid = GRID
    f = array_on(grid)
    a = np.exp(array_on(grid, 1))
    expected = solve(f.values, grid=grid, a=a.values, tol=1e-11).u
    s = solve(f.isel(y=slice(None, None, -1)), a=a.transpose("x", "y"), tol=1e-11)
    np.testing.assert_allclose(s.u.sortby("y").values, expected, atol=1e-10)
    np.testing.assert_array_equal(s.u.y, f.y[::-1])


def test_batches():
    grid = GRID
    f = xarray.concat([array_on(grid, k) for k in range(3)], "time").assign_coords(time=[3, 1, 2])
    s = solve(f, ndim=2)
    assert s.u.dims == ("time", "y", "x")
    np.testing.assert_array_equal(s.u.time, [3, 1, 2])
    np.testing.assert_allclose(s.u[1], solve(f[1]).u, atol=1e-9)
    a = np.exp(f.rename(time="sample"))
    many = solve(f[0], a=a)
    assert many.u.dims == ("member_0", "y", "x")


def test_without_coordinates_and_with_a_box_of_ones_own():
    f = xarray.DataArray(np.ones((7, 9)))
    np.testing.assert_array_equal(solve(f).u.values, solve(f.values).u)
    f = array_on(GRID)
    np.testing.assert_array_equal(solve(f, lower=0, upper=3).u, solve(f.values, upper=3).u)


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        (lambda f: f.assign_coords(x=f.x**2), {}, "`f`'s coordinate 'x' must be evenly spaced"),
        (lambda f: f.assign_coords(x=[str(v) for v in f.x.values]), {}, "'x' must be numbers that differ"),
        (lambda f: f.assign_coords(y=0 * f.y), {}, "'y' must be numbers that differ"),
        (lambda f: f[:1], {}, "'y' is one number"),
        (lambda f: f, {"a": lambda f: np.exp(f).assign_coords(x=f.x + 1)}, "`a` must lie where f does"),
        (lambda f: f, {"c": lambda f: np.exp(f[0])}, "`c` must have f's dimensions y, x"),
    ],
)
def test_what_makes_no_box_is_named(change, how, said):
    f = change(array_on(Grid(SHAPE, lower=(0, 1), upper=(1, 5))))
    with pytest.raises(ValueError, match=said):
        solve(f, **{name: make(f) for name, make in how.items()})
