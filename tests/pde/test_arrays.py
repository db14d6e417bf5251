"""Products, shifts, changes and products of differences of arrays are those of numpy, on one thread or three; the
connected components of masks with walls are those that scipy finds in the graph of their open faces.
"""

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from mgnet.pde.native import kernels
from mgnet.pde.native.arrays import components

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


def graph_components(inside, opens, wraps):
    """The same from a graph with an edge for each open face between two unknowns of a member."""
    number = np.arange(inside.size).reshape(inside.shape)
    pairs = []
    for d, wrap in enumerate(wraps):
        n = inside.shape[d + 1]
        through = np.ones((*inside.shape[: d + 1], n + 1, *inside.shape[d + 2 :]), bool) if not opens else opens[d]
        after = np.roll(number, -1, d + 1)
        both = inside & np.roll(inside, -1, d + 1) & np.take(through, range(1, n + 1), d + 1)
        if not wrap:
            np.moveaxis(both, d + 1, 0)[-1] = False
        pairs.append(np.stack([number[both], after[both]]))
    rows, columns = np.concatenate(pairs, 1)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), (inside.size, inside.size))
    return connected_components(graph, directed=False)[1].reshape(inside.shape)


@pytest.mark.parametrize("walls", [False, True])
@pytest.mark.parametrize("shape", [(1, 9), (3, 1), (2, 12, 17), (1, 1, 6), (2, 5, 7, 6)], ids=str)
def test_components(shape, walls):
    rng = np.random.default_rng(0)
    for wraps in np.ndindex(*[2] * (len(shape) - 1)):
        inside = rng.random(shape) < 0.6
        shapes = [tuple(n + (e == d + 1) for e, n in enumerate(shape)) for d in range(len(wraps))]
        opens = [rng.random(faces) < 0.8 for faces in shapes] if walls else []
        label = components(inside, opens, [bool(w) for w in wraps])
        assert (label[~inside] == -1).all()
        expected = graph_components(inside, opens, wraps)[inside]
        pairs = np.unique(np.stack([label[inside], expected]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_wrong_arrays_are_refused():
    v = np.ones((2, 6))
    flags, label = np.ones((1, 3, 1, 4), bool), np.empty((1, 3, 1, 4), np.int64)
    no, faces = [None] * 3, np.ones((1, 4, 1, 4), bool)
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
        (kernels.components, (flags, no, [False] * 3, label[:, :2])),
        (kernels.components, (flags, no, [False] * 3, label.astype(np.int32))),
        (kernels.components, (flags.astype(float), no, [False] * 3, label)),
        (kernels.components, (flags[..., ::2], no, [False] * 3, label[..., ::2])),
        (kernels.components, (flags, [None, faces, None], [False] * 3, label)),
        (kernels.components, (flags, [faces], [False] * 3, label)),
        (kernels.components, (flags[:, :0], no, [False] * 3, label[:, :0])),
    ]
    for function, arguments in wrong:
        with pytest.raises((ValueError, TypeError)):
            function(*arguments)
