"""Samples are what they say.

1  The same seed gives the same samples, whatever else is asked for, on every grid the same functions.
2  Fields are sums of cosines with the published variances; a grid that cannot carry a cosine sees its alias.
3  Darcy's u solves the discrete equation, and its error is measured against a finer grid and falls with the mesh.
4  recipe="fno" equals the published recipe, written out as matrices and solved directly, to 1e-10.
5  Poisson's and the heat equation's samples equal the series.
6  Wrong arguments are named.
"""

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as splinalg
from scipy.interpolate import CubicSpline

from mgnet.operators import Samples, darcy, fields, heat, load, poisson, save
from mgnet.operators.data import relative


def test_the_same_seed_gives_the_same_samples():
    data = darcy(5, 24, seed=3, reference=0)
    assert data.hash == darcy(5, 24, seed=3, reference=0).hash
    later = darcy(2, 24, seed=3, first=3, reference=0)
    np.testing.assert_array_equal(later.a, data.a[3:])
    np.testing.assert_allclose(later.u, data.u[3:], rtol=1e-12)
    assert not np.array_equal(darcy(5, 24, seed=4, reference=0).a, data.a)
    assert len({a.tobytes() for a in data.a}) == 5


def test_samples_are_shown_by_their_size():
    assert repr(poisson(2, 8, ndim=1, seed=3)) == "Samples(2 on 8, problem='poisson', bc='dirichlet', seed=3)"


def test_samples_at_two_sizes_are_of_the_same_functions():
    coarse, fine = (darcy(2, n, cells=48, reference=0) for n in (24, 48))
    np.testing.assert_allclose(fine.averaged(2).a, coarse.a, rtol=1e-14)
    np.testing.assert_allclose(fine.averaged(2).u, coarse.u, rtol=1e-12)


def test_a_function_can_be_asked_for_on_coarser_and_finer_grids():
    """From 24 cells on: the field at 8 and 72 cells is that of 24 modes, whose centres are among those of 72."""
    coarse, same, fine = (darcy(3, n, modes=24, seed=2, reference=0).a for n in (8, 24, 72))
    np.testing.assert_array_equal(same, darcy(3, 24, seed=2, reference=0).a)
    np.testing.assert_array_equal(fine[:, 1::3, 1::3], same)
    np.testing.assert_array_equal(same[:, 1::3, 1::3], coarse)


def test_more_modes_change_no_lower_ones():
    few, many = (fields.gaussian(0, range(2), n, 2.0, 3.0) for n in (5, 9))
    np.testing.assert_array_equal(many[:, :5, :5], few)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("n", [4, 7, 12])
def test_fields_are_sums_of_cosines_on_any_grid(n, ndim):
    modes, rng = 7, np.random.default_rng(0)
    c = rng.standard_normal((2, *(modes,) * ndim))
    x = (np.arange(n) + 0.5) / n
    line = np.sqrt(np.where(np.arange(modes) == 0, 1, 2)) * np.cos(np.pi * np.outer(x, np.arange(modes)))
    expected = c
    for d in range(ndim):
        expected = np.moveaxis(np.tensordot(line, expected, (1, d + 1)), 0, d + 1)
    np.testing.assert_allclose(fields.on_cells(c, n), expected, atol=1e-12)


def test_fields_have_the_published_variances():
    """Of sqrt(2) cos(pi k x) sqrt(2) cos(pi l y): tau^(2 alpha - 2) (pi^2 (k^2 + l^2) + tau^2)^-alpha."""
    alpha, tau, count = 1.5, 4.0, 4000
    c = fields.gaussian(1, range(count), 3, alpha, tau)
    k = np.arange(3)
    expected = tau ** (2 * alpha - 2) * (np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** -alpha
    expected[0, 0] = 0
    np.testing.assert_allclose((c**2).mean(0), expected, rtol=5 * np.sqrt(2 / count), atol=1e-300)
    scaled = fields.gaussian(1, range(count), 3, alpha, tau, normalise=True)
    assert abs((scaled**2).sum((1, 2)).mean() - 1) < 0.1


@pytest.mark.parametrize(("kind", "values"), [("smooth", {3.0, 12.0}), ("rough", {2.0, 12.0})])
def test_two_materials_have_two_values(kind, values):
    assert set(np.unique(darcy(3, 16, kind=kind, reference=0).a)) == values
    assert set(np.unique(darcy(3, 16, kind=kind, a=(1, 5), reference=0).a)) == {1.0, 5.0}


def test_the_multiscale_coefficient_is_its_product():
    data = darcy(1, 20, kind="multiscale", seed=2, reference=0)
    rng, x = np.random.default_rng((2, 0)), (np.arange(20) + 0.5) / 20
    low = np.array([1.0, 2, 4, 8, 16, 32])
    expected = np.ones((20, 20))
    for a in rng.uniform(low, 1.5 * low):
        for i in range(20):
            for j in range(20):
                plus, minus = x[i] + x[j], x[j] - 3 * x[i]
                expected[i, j] *= (1 + np.cos(a * np.pi * plus) / 2) * (1 + np.sin(a * np.pi * minus) / 2)
    np.testing.assert_allclose(data.a[0], expected, rtol=1e-12)


def cells_matrix(a):
    """Harmonic means between cells; half a cell to the boundary, where u = 0."""
    n = len(a)
    index = np.arange(n * n).reshape(n, n)
    A = sparse.lil_matrix((n * n, n * n))
    for i in range(n):
        for j in range(n):
            for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                if 0 <= i + di < n and 0 <= j + dj < n:
                    k = 2 * a[i, j] * a[i + di, j + dj] / (a[i, j] + a[i + di, j + dj])
                    A[index[i, j], index[i + di, j + dj]] -= k * n**2
                else:
                    k = 2 * a[i, j]
                A[index[i, j], index[i, j]] += k * n**2
    return A.tocsc()


@pytest.mark.parametrize("kind", ["smooth", "rough", "multiscale"])
def test_u_solves_the_discrete_equation(kind):
    data = darcy(2, 21, kind=kind, reference=0)
    for a, u in zip(data.a, data.u, strict=True):
        exact = splinalg.spsolve(cells_matrix(a), np.ones(a.size)).reshape(a.shape)
        assert np.linalg.norm(u - exact) < 1e-8 * np.linalg.norm(exact)


def test_the_error_is_measured_against_a_finer_grid():
    data = darcy(2, 24, cells=24)
    c = fields.gaussian(0, range(2), 24, 2.0, 3.0)
    for i, a in enumerate(np.where(fields.on_cells(c, 48) >= 0, 12.0, 3.0)):
        finer = splinalg.spsolve(cells_matrix(a), np.ones(a.size)).reshape(1, 48, 48)
        assert abs(data.error[i] / relative(data.u[i][None], fields.averaged(finer, 2, 2))[0] - 1) < 1e-3
    assert darcy(4, 64).error.mean() < darcy(4, 32).error.mean() / 1.5
    assert np.isnan(darcy(2, 16, reference=0).error).all()


def published(a):
    """The published script with matrices: splines to vertices, 5-point differences, a direct solve, splines back."""
    s = len(a)
    centres, vertices = (np.arange(s) + 0.5) / s, np.linspace(0, 1, s)
    v = CubicSpline(centres, CubicSpline(centres, a)(vertices).T)(vertices).T
    m = s - 2
    index = np.arange(m * m).reshape(m, m)
    A = sparse.lil_matrix((m * m, m * m))
    for i in range(1, s - 1):
        for j in range(1, s - 1):
            row = index[i - 1, j - 1]
            for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                k = (v[i, j] + v[i + di, j + dj]) / 2 * (s - 1) ** 2
                A[row, row] += k
                if 1 <= i + di < s - 1 and 1 <= j + dj < s - 1:
                    A[row, index[i + di - 1, j + dj - 1]] -= k
    u = np.zeros((s, s))
    u[1:-1, 1:-1] = splinalg.spsolve(A.tocsc(), np.ones(m * m)).reshape(m, m)
    return CubicSpline(vertices, CubicSpline(vertices, u)(centres).T)(centres).T, (v, A)


def test_the_published_recipe():
    data = darcy(6, 31, recipe="fno", reference=0, tol=1e-11)
    negative = 0
    for a, u in zip(data.a, data.u, strict=True):
        exact, (v, _) = published(a)
        negative += ((v[0, 1:-1] + v[1, 1:-1]) <= 0).sum() + ((v[1:-1, 0] + v[1:-1, 1]) <= 0).sum()
        assert np.linalg.norm(u - exact) < 1e-10 * np.linalg.norm(exact)
    assert negative  # faces that no diffusion coefficient has are among them


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_poissons_samples_are_the_discrete_series(ndim):
    """Between insulated walls: each cosine divided by the eigenvalue (2 n sin(k pi / 2 n))^2 of each axis."""
    n = 12
    data = poisson(2, n, bc="neumann", ndim=ndim, seed=1, reference=0)
    c = fields.gaussian(1, range(2), n, 2.0, 3.0, ndim, normalise=True)
    eigen = (2 * n * np.sin(np.arange(n) * np.pi / (2 * n))) ** 2
    total = sum(np.meshgrid(*[eigen] * ndim, indexing="ij"))
    total.flat[0] = 1
    np.testing.assert_allclose(data.f, fields.on_cells(c, n), atol=1e-12)
    assert relative(data.u, fields.on_cells(c / total, n)).max() < 1e-8


def test_heats_samples_are_the_discrete_series():
    """Each cosine of eigenvalue e times R(-dt e) a step, R(z) = (1 + (1 - 2 g) z) / (1 - g z)^2."""
    n, time, steps, g = 16, 0.02, 3, 1 - 0.5**0.5
    data = heat(2, n, time=time, steps=steps, seed=1)
    c = fields.gaussian(1, range(2), n, 2.0, 3.0, 2, normalise=True)
    eigen = (2 * n * np.sin(np.arange(n) * np.pi / (2 * n))) ** 2
    z = -time / steps * (eigen[:, None] + eigen)
    factor = ((1 + (1 - 2 * g) * z) / (1 - g * z) ** 2) ** steps
    np.testing.assert_allclose(data.before, fields.on_cells(c, n), atol=1e-12)
    assert relative(data.u, fields.on_cells(c * factor, n)).max() < 1e-7


def test_heats_error_is_that_of_time_and_space():
    c = fields.gaussian(1, range(2), 32, 3.0, 3.0, 2, normalise=True)
    fine = fields.on_cells(c * np.exp(-0.02 * np.pi**2 * fields.wave_numbers(32, 2)), 256)
    exact = fields.averaged(fine, 8, 2)
    for steps in (1, 8):
        data = heat(2, 32, time=0.02, steps=steps, seed=1, alpha=3.0, reference=4)
        np.testing.assert_allclose(data.error, relative(data.u, exact), rtol=0.3)


@pytest.mark.parametrize("make", [darcy, poisson, heat])
def test_means_of_a_finer_solution(make):
    fine, coarse = make(2, 32, reference=0), make(2, 16, cells=32, reference=0)
    np.testing.assert_allclose(coarse.u, fine.averaged(2).u, rtol=1e-9, atol=1e-14)


def test_samples_are_cut_and_thinned_and_say_so():
    data = poisson(4, 16, ndim=1)
    assert data.f is data.inputs
    assert data.u is data.outputs
    part = data[1:3].every(2)
    np.testing.assert_array_equal(part.u, data.u[1:3, ::2])
    np.testing.assert_array_equal(part.error, data.error[1:3])
    assert part.settings["changed"] == [["taken", [1, 3, 1]], ["every", 2]]
    assert len({s.hash for s in (data, data[1:3], part)}) == 3
    with pytest.raises(AttributeError, match="no 'a'"):
        _ = data.a
    with pytest.raises(TypeError, match="by slices"):
        _ = data[0]
    with pytest.raises(ValueError, match="`factor` must divide"):
        data.averaged(3)
    for thinned in (data.every, data.averaged):
        with pytest.raises(ValueError, match="must be a whole number of at least 1; it is 0"):
            thinned(0)


def test_a_batch_of_any_size_gives_the_same(monkeypatch):
    whole = darcy(3, 16)
    monkeypatch.setattr("mgnet.operators.data._UNKNOWNS", 2 * 32**2)
    parts = darcy(3, 16)
    np.testing.assert_allclose(parts.u, whole.u, rtol=1e-9)
    np.testing.assert_allclose(parts.error, whole.error, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"samples": 0}, ValueError, "`samples` must be a whole number of at least 1; it is 0"),
        ({"size": 3}, ValueError, "`size` must be a whole number of at least 4; it is 3"),
        ({"size": 16.0}, TypeError, "`size` must be a whole number"),
        ({"kind": "rouhg"}, ValueError, "Did you mean 'rough'"),
        ({"recipe": "exact"}, ValueError, "`recipe` must be one of cells, fno"),
        ({"recipe": "fno", "cells": 32}, ValueError, "`cells` must be `size` where"),
        ({"cells": 24}, ValueError, "`cells` must be a multiple of `size` 16; it is 24"),
        ({"reference": 1}, ValueError, "`reference` must be 0"),
        ({"a": 3}, ValueError, "`a` must be the two values"),
        ({"a": (3, -12)}, ValueError, "`a` must be a positive number; it is -12"),
        ({"kind": "multiscale", "a": (3, 12)}, ValueError, "`a` must be None where `kind` is 'multiscale'"),
        ({"seed": -1}, ValueError, "`seed` must be a whole number of at least 0"),
        ({"seed": 1.5}, TypeError, "`seed` must be a whole number of at least 0"),
        ({"tau": 0}, ValueError, "`tau` must be a positive number"),
        ({"tol": "1e-8"}, TypeError, "`tol` must be a positive number"),
        ({"first": -1}, ValueError, "`first`"),
        ({"device": "gpu"}, ValueError, "`device` must be"),
    ],
)
def test_wrong_arguments_are_named(given, error, message):
    with pytest.raises(error, match=message):
        darcy(**({"samples": 2, "size": 16} | given))


def test_samples_need_no_more_than_arrays():
    assert Samples(np.ones((2, 3, 8, 8)), np.ones((2, 8, 8)), np.zeros(2)).grid == (8, 8)


@pytest.mark.parametrize("problem", [darcy, poisson, heat])
def test_numbers_of_numpy_are_numbers(problem, tmp_path):
    """The same samples, which can be saved."""
    n = np.int64
    samples = problem(n(2), n(8), seed=n(1), cells=n(8), first=n(3), reference=n(0), tau=np.float32(3.0))
    assert samples.hash == problem(2, 8, seed=1, cells=8, first=3, reference=0, tau=3.0).hash
    assert load(save(samples, tmp_path / "data.npz")).every(n(2)).grid == (4, 4)
