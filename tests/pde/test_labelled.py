"""DataArrays in, DataArrays out.

1  The box is the one that puts the unknowns at the coordinates, for each end and centring; u has f's coordinates.
2  Coordinates that fall are put in order, and back; other DataArrays come to f's order of dimensions; plain arrays lie
   as f does, and are refused where that says too little.
3  Batches keep their dimensions, and meet by their names; arrays and tensors go through untouched.
4  Coordinates that cannot make a box, and coefficients that lie elsewhere, are named.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, NotConverged, Poisson, Robin, Solver, solve

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
    assert many.u.dims == ("sample", "y", "x")
    np.testing.assert_array_equal(many.u.sample, a.sample)
    assert solve(f[0], a=a.values).u.dims == ("member_0", "y", "x")


def test_batches_meet_by_their_names():
    """As everywhere in xarray, and as values of a coordinate do; sizes say nothing."""
    numbers = np.random.default_rng(0).normal(size=(2, 2, *SHAPE))
    square = xarray.DataArray(numbers, dict(array_on(GRID).coords), ("time", "member", "y", "x"))
    a = np.exp(square[:, 0].assign_coords(time=[1, 0]))
    s = solve(square.assign_coords(time=[0, 1]), a=a, ndim=2, tol=1e-11)
    for i, j in np.ndindex(2, 2):
        expected = solve(square[i, j], a=a[1 - i], tol=1e-11).u
        np.testing.assert_allclose(s.u[i, j], expected, rtol=0, atol=1e-10 * abs(expected).max())
    each = solve(square[0], a=a.rename(time="sample"), ndim=2, tol=1e-11).u
    assert each.dims == ("sample", "member", "y", "x")
    np.testing.assert_allclose(each[1, 0], solve(square[0, 0], a=a[1], tol=1e-11).u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("order", [slice(None, None, -1), [3, 1, 2, 0, *range(4, 12)]], ids=["falling", "mixed"])
def test_plain_arrays_lie_as_f_does(order):
    f, turned = array_on(GRID), array_on(GRID).isel(x=order)
    a, end = np.exp(array_on(GRID, 1).values), array_on(GRID, 2)[0]
    known = f.values > 1.5
    how = {"a": a, "fixed": (known, a), "velocity": (a, 1.0)}
    expected = solve(f, boundary=[(end, 0.0), None], tol=1e-11, **how).u
    np.testing.assert_allclose(
        expected, solve(f.values, grid=GRID, tol=1e-11, boundary=[(end.values, 0.0), None], **how).u
    )
    how = {"a": a[:, order], "fixed": (torch.as_tensor(known[:, order].copy()), f.copy(data=a))}
    s = solve(turned, boundary=[(end, 0.0), None], velocity=(turned.copy(data=a[:, order]), 1.0), tol=1e-11, **how)
    np.testing.assert_allclose(s.u.sortby("x"), expected, rtol=0, atol=1e-10)
    blank = turned.copy(data=a[:, order]).drop_vars("x")  # no coordinates: as f, too
    np.testing.assert_array_equal(solve(turned, a=blank).u, solve(turned, a=a[:, order]).u)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("alpha", {"bc": [Robin(np.ones(12)), "dirichlet"]}),
        ("boundary", {"boundary": [(np.ones(12), 0.0), None]}),
        ("a", {"a": Faces(np.ones((10, 12)), 1.0)}),
    ],
)
def test_plain_arrays_elsewhere_need_coordinates_that_rise(name, how):
    f = array_on(GRID)
    assert solve(f, **how).converged
    with pytest.raises(ValueError, match=rf"`{name}` must not be an array .* 'x' does not\. Sort both"):
        solve(f.isel(x=slice(None, None, -1)), **how)


def test_what_did_not_converge_is_labelled():
    f = xarray.DataArray(np.random.default_rng(0).normal(size=(70, 60)), dims=("y", "x"))
    with pytest.raises(NotConverged, match="in 1 cycles") as error:
        solve(f, tol=1e-12, max_cycles=1)
    assert error.value.solution.u.dims == ("y", "x")


def test_without_coordinates_and_with_a_box_of_ones_own():
    f = xarray.DataArray(np.ones((7, 9)))
    np.testing.assert_array_equal(solve(f).u.values, solve(f.values).u)
    f = array_on(GRID)
    np.testing.assert_array_equal(solve(f, lower=0, upper=3).u, solve(f.values, upper=3).u)


def test_what_lacks_a_dimension_is_the_same_along_it():
    """A layered medium, a stripe that is fixed, and a coefficient for each member."""
    f = array_on(GRID)
    layers, stripe = np.exp(f.y), abs(f.x - f.x.mean()) < 0.5
    whole = solve(f, a=layers + 0 * f, c=f.x**2 + 0 * f, fixed=(stripe & (f == f), 1.0 * f.y + 0 * f)).u
    s = solve(f, a=layers, c=f.x**2, fixed=(stripe, 1.0 * f.y))
    xarray.testing.assert_equal(s.u, whole)
    xarray.testing.assert_equal(solve(f.sortby("y", ascending=False), a=layers).u.sortby("y"), solve(f, a=layers).u)
    members = xarray.DataArray([1.0, 2.0], dims="time")
    s = solve(f.expand_dims(time=2), ndim=2, a=members)
    np.testing.assert_allclose(s.u[1], s.u[0] / 2, atol=1e-12)


def test_elsewhere_values_are_asked_for():
    f = array_on(GRID)
    with pytest.raises(TypeError, match=r"`a` must be .*; it is DataArray\. Pass its values"):
        Poisson(GRID, a=f)
    with pytest.raises(TypeError, match=r"`f` must be .*; it is DataArray\. Pass its values"):
        Solver(Poisson(GRID)).solve(f)


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        (lambda f: f.assign_coords(x=f.x**2), {}, "`f`'s coordinate 'x' must be evenly spaced"),
        (lambda f: f.assign_coords(x=[str(v) for v in f.x.values]), {}, "'x' must be numbers that differ"),
        (lambda f: f.assign_coords(y=0 * f.y), {}, "'y' must be numbers that differ"),
        (lambda f: f[:1], {}, "'y' is one number"),
        (lambda f: f, {"a": lambda f: np.exp(f).assign_coords(x=f.x + 1)}, "`a` must lie where f does"),
        (
            lambda f: f,
            {"c": lambda f: np.exp(f[0]).rename(x="r")},
            r"dimensions y, x, or some.* has \('r',\). Rename",
        ),
    ],
)
def test_what_makes_no_box_is_named(change, how, said):
    f = change(array_on(Grid(SHAPE, lower=(0, 1), upper=(1, 5))))
    with pytest.raises(ValueError, match=said):
        solve(f, **{name: make(f) for name, make in how.items()})
