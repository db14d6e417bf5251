"""Products, shifts, changes and products of differences of arrays are those of numpy, on one thread or three."""

import numpy as np
import pytest

from mgnet.pde.native import kernels

SHAPES = [(2, 1), (1, 7), (3, 40, 9), (2, 200, 150), (2, 13, 1, 5), (1, 20, 31, 42)]


@pytest.fixture(params=[np.float64, np.float32], ids=["f64", "f32"])
def dtype(request):
    return request.param


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_and_shifts(shape, dtype, threads):
    v, w, by = random(shape, dtype), random(shape[1:], dtype, 1), np.arange(1.0, shape[0] + 1)
    out = np.full_like(v, np.nan)
    kernels.product(v, w, out, threads)
    np.testing.assert_array_equal(out, v * w)
    moved = v.copy()
    kernels.shift(moved, by, threads)
    np.testing.assert_array_equal(moved, v + by.astype(dtype).reshape(-1, *[1] * w.ndim))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_changes(shape, dtype):
    """(batch, 2): ||u - v||^2 and ||u||^2, to the same bit on any number of threads."""
    u, v = random(shape, dtype), random(shape, dtype, 1)
    one, three = (kernels.changes(u, v, len(u), threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)
    expected = [[(w.astype(float) ** 2).reshape(len(u), -1).sum(1)] for w in (u - v, u)]
    np.testing.assert_allclose(one, np.concatenate(expected).T, rtol=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_differences(shape, dtype, wraps):
    """-(v_i - v_{i-1})(u_i - u_{i-1}); beside the ends v is 0, and u 0 or its other end."""
    v, u = random(shape, dtype), random(shape, dtype, 1)
    for axis in range(1, len(shape)):
        rows, none = [(0, 0)] * len(shape), [(0, 0)] * len(shape)
        rows[axis] = (1, 1)
        around = np.pad(u, rows, mode="wrap") if wraps else np.pad(u, rows)
        expected = -np.diff(np.pad(v, rows), axis=axis) * np.diff(around, axis=axis)
        for threads in (1, 3):
            out = np.full_like(np.pad(v, [*none[:axis], (0, 1), *none[axis + 1 :]]), np.nan)
            kernels.difference_products(v, u, out, axis, wraps, threads)
            np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)


def test_wrong_arrays_are_refused():
    v = np.ones((2, 6))
    wrong = [
        (kernels.product, (v, np.ones(5), v.copy(), 1)),
        (kernels.product, (v, np.ones(0), v.copy(), 1)),
        (kernels.product, (v, np.ones(6), np.ones((2, 5)), 1)),
        (kernels.product, (v, np.ones(6, np.float32), v.copy(), 1)),
        (kernels.product, (v[:, ::2], np.ones(3), np.ones((2, 3)), 1)),
        (kernels.product, (v.astype(int), np.ones(6, int), v.astype(int), 1)),
        (kernels.shift, (v, np.ones(5), 1)),
        (kernels.shift, (v, np.ones(0), 1)),
        (kernels.changes, (v, np.ones((2, 5)), 2, 1)),
        (kernels.changes, (v, v, 5, 1)),
        (kernels.changes, (v, v, 0, 1)),
        (kernels.weighted_sums, (v, [np.ones(1), np.ones(1), np.ones(5)], 1)),
        (kernels.weighted_sums, (v, [np.ones(1), np.ones(0), np.ones(6)], 1)),
        (kernels.difference_products, (v, v, v.copy(), 1, False, 1)),
        (kernels.difference_products, (v, v[:1], np.ones((2, 7)), 1, False, 1)),
        (kernels.difference_products, (v, v, np.ones((2, 7)), 2, False, 1)),
    ]
    for function, arguments in wrong:
        with pytest.raises((ValueError, TypeError)):
            function(*arguments)
