"""Every row loop does what numpy does, on rows shorter and longer than a register, and writes nothing else."""

import numpy as np
import pytest
from numba import njit

from mgnet.pde.kernels.pointwise import multiply, shift
from mgnet.pde.kernels.sums import absolute, dotted, dotted_few
from mgnet.pde.kernels.vectors import (
    blend,
    combine,
    combine_ahead,
    combine_both,
    combine_many,
    convolve,
    decimate,
    interleave,
    load,
    store,
    stream,
)
from mgnet.pde.kernels.waves import Stencil, relaxing_wave, wave

LENGTHS = (1, 2, 7, 8, 9, 16, 31, 33, 100)


@njit
def _combine(out, n, a, b, w):
    combine(out, n, (a, b), (w, w))
    combine_ahead(out, n, (out, b), (w, w), a)


@njit
def _combine_many(out, n, a, stride, weights, count, w):
    combine_many((out,), n, (), a, stride, (weights,), count, w)
    combine_many((out,), n, (out,), a, stride, (weights,), count, w)


@njit
def _combine_two(out, other, n, a, b, stride, weights, more, count, w):
    combine_many((out, other), n, (), a, stride, (weights, more), count, w)
    combine_both((out, a), n, (out, other, b), ((w, w + w, w), (w, w, w + w)))


@njit
def _convolve(out, n, base, a, b, w):
    convolve(out, n, base, (a, b), ((w, w + w, w), (w + w, w)))


@njit
def _blend(out, n, parity, a, b, w):
    blend(out, n, parity, (a,), (b,), (w + w,))


@njit
def _interleave(out, n, base, a, b, w):
    interleave(out, n, (base,), (a, b), ((w, w + w), (w + w,)), ((w + w + w, w), (w,)), a)


@njit
def _stencils(row, before, after, left, right, f, w):
    first = Stencil(row, before, after, left, right, f, w, w + w, w, w + w + w, w, w, w + w)
    second = Stencil(before, after, 0, left, right, row, w + w, w, w, w, w, w + w, w)
    return first, second


@njit
def _wave(out, out2, n, row, before, after, left, right, f, w, flat):
    wave((out, out2), n, _stencils(row, before, after, left, right, f, w), flat, (row, f))


@njit
def _relaxing_wave(out, out2, n, row, before, after, left, right, f, w, flat, begun, copy, omega):
    both = _stencils(row, before, after, left, right, f, w)
    return relaxing_wave((out, out2), n, both, flat, (row, f), begun, copy, omega)


@njit
def _stream(out, n, row, w):
    stream(out, n, row, w)


@njit
def _decimate(out, n, a, w):
    decimate(out, n, a, (w, w + w, w + w + w))


@njit
def _multiply(out, n, a, b, w):
    multiply(out, n, a, b, w)


@njit
def _few(a, b, n, w):
    return dotted_few(a, b, n, w)


@njit
def _sums(a, b, n, w):
    return absolute(a, n, w), dotted(a, b, n, w)


@njit
def _shift(a, n, by, w):
    shift(a, n, by, w)


@njit
def _move(out, a, i, w):
    store(out, i, load(a, i, w))


@pytest.fixture(params=[np.float64, np.float32], ids=["f64", "f32"])
def rows(request):
    """The number 1, three rows of numbers and one of -1, and their addresses."""
    a, b, c = np.random.default_rng(0).random((3, 400)).astype(request.param)
    out = np.full(400, -1, request.param)
    return request.param(1), (a, b, c, out), tuple(v.ctypes.data for v in (a, b, c, out))


def assert_wrote(out, expected):
    np.testing.assert_allclose(out[: len(expected)], expected, rtol=1e-6)
    assert (out[len(expected) :] == -1).all()


@pytest.mark.parametrize("n", LENGTHS)
def test_combine(rows, n):
    one, (a, b, _, out), (A, B, _, O) = rows
    _combine(O, n, A, B, one)
    assert_wrote(out, a[:n] + 2 * b[:n])


@pytest.mark.parametrize("n", LENGTHS)
def test_combine_many(rows, n):
    one, (a, b, _, out), (A, B, _, O) = rows
    _combine_many(O, n, A, 3 * a.itemsize, B, 5, one)
    assert_wrote(out, 2 * sum(b[k] * a[3 * k : 3 * k + n] for k in range(5)))


@pytest.mark.parametrize("n", LENGTHS)
def test_two_at_once(rows, n):
    one, (a, b, c, out), (A, B, C, O) = rows
    first, second = (sum(w[k] * a[3 * k : 3 * k + n] for k in range(5)) for w in (b, b[1:]))
    expected, third, rest = first + 2 * second + c[:n], first + second + 2 * c[:n], a[n:].copy()
    other = np.full_like(out, -1)
    _combine_two(O, other.ctypes.data, n, A, C, 3 * a.itemsize, B, B + b.itemsize, 5, one)
    assert_wrote(other, second)
    assert_wrote(out, expected)
    np.testing.assert_allclose(a, np.concatenate([third, rest]), rtol=1e-6)


@pytest.mark.parametrize("n", LENGTHS)
def test_convolve(rows, n):
    one, (a, b, c, out), (A, B, C, O) = rows
    _convolve(O, n, C, A, B, one)
    assert_wrote(out, c[:n] + a[:n] + 2 * a[1 : n + 1] + a[2 : n + 2] + 2 * b[:n] + b[1 : n + 1])


@pytest.mark.parametrize("n", range(1, 9))
def test_a_short_sum(rows, n):
    one, (a, b, *_), (A, B, *_) = rows
    assert _few(A, B, n, one) == pytest.approx((a[:n] * b[:n]).sum(), rel=1e-6)


def test_combine_in_place(rows):
    one, (a, b, _, _), (A, B, _, _) = rows
    expected = a[:33] + 2 * b[:33]
    _combine(A, 33, A, B, one)
    np.testing.assert_allclose(a[:33], expected, rtol=1e-6)


@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize("n", LENGTHS)
def test_blend(rows, n, parity):
    one, (a, b, _, out), (A, B, _, O) = rows
    _blend(O, n, parity, A, B, one)
    assert_wrote(out, np.where((np.arange(n) + parity) % 2 == 0, 2 * b[:n], a[:n]))


@pytest.mark.parametrize("n", LENGTHS)
def test_interleave(rows, n):
    one, (a, b, c, out), (A, B, C, O) = rows
    _interleave(O, n, C, A, B, one)
    expected = c[: 2 * n].copy()
    expected[::2] += a[:n] + 2 * a[1 : n + 1] + 2 * b[:n]
    expected[1::2] += 3 * a[:n] + a[1 : n + 1] + b[:n]
    assert_wrote(out, expected)


def stencils_of(rows, n, flat):
    """What two stencils one after the other give: the first one's row, and the second one's for a first one."""
    before, after, row, f, left, right = rows
    at = slice(16, 16 + n)
    beside = {k: v[15 : 15 + n] + v[17 : 17 + n] for k, v in (("row", row), ("before", before))}
    sides = 0 if flat else 1
    first = beside["row"] + 2 * row[at] + before[at] + 3 * after[at] + sides * (left[at] + right[at]) + 2 * f[at]

    def second(u):
        return 2 * beside["before"] + before[at] + after[at] + u + sides * (left[at] + 2 * right[at]) + row[at]

    return first, second


@pytest.mark.parametrize("flat", [True, False], ids=["plane", "space"])
@pytest.mark.parametrize("n", LENGTHS)
def test_waves(n, flat):
    """Each row as the formulas say, relaxed or not; nothing beyond it is written."""
    rng, size = np.random.default_rng(0), 160
    rows = rng.random((6, size))
    begun, outs = rng.random(size), np.full((3, size), -1.0)
    before, after, row, f, left, right, begin, out, out2, copy = (v[16:].ctypes.data for v in (*rows, begun, *outs))
    _wave(out, out2, n, row, before, after, left, right, f, 1.0, flat)
    first, second = stencils_of(rows, n, flat)
    assert_wrote(outs[0][16:], first)
    assert_wrote(outs[1][16:], second(first))
    squares = _relaxing_wave(out, out2, n, row, before, after, left, right, f, 1.0, flat, begin, copy, 1.25)
    relaxed = 1.25 * first - 0.25 * begun[16 : 16 + n]
    assert_wrote(outs[0][16:], relaxed)
    assert_wrote(outs[2][16:], relaxed)
    assert_wrote(outs[1][16:], second(relaxed))
    assert squares == pytest.approx(float(np.sum(second(relaxed) ** 2)), rel=1e-6)
    assert (outs[:, :16] == -1).all()


@pytest.mark.parametrize("begin", range(8))
@pytest.mark.parametrize("n", LENGTHS)
def test_stream(rows, n, begin):
    """From wherever a cache line is begun."""
    one, (a, _, _, out), (A, _, _, O) = rows
    _stream(O + begin * a.itemsize, n, A, one)
    assert (out[:begin] == -1).all()
    assert_wrote(out[begin:], a[:n])


@pytest.mark.parametrize("n", LENGTHS)
def test_decimate(rows, n):
    one, (a, _, _, out), (A, _, _, O) = rows
    _decimate(O, n, A, one)
    assert_wrote(out, a[: 2 * n : 2] + 2 * a[1 : 2 * n : 2] + 3 * a[2 : 2 * n + 1 : 2])


@pytest.mark.parametrize("n", LENGTHS)
def test_multiply(rows, n):
    one, (a, b, _, out), (A, B, _, O) = rows
    _multiply(O, n, A, B, one)
    assert_wrote(out, a[:n] * b[:n])


@pytest.mark.parametrize("n", LENGTHS)
def test_sums(rows, n):
    one, (a, b, *_), (A, B, *_) = rows
    a -= one / 2
    expected = np.abs(a[:n]).sum(), (a[:n] * b[:n]).sum()
    assert _sums(A, B, n, one) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("n", LENGTHS)
def test_shift(rows, n):
    """By a float64, whatever the row is of."""
    one, (*_, out), (*_, O) = rows
    _shift(O, n, 1.0, one)
    assert_wrote(out, np.zeros(n))


def test_load_and_store(rows):
    one, (a, _, _, out), (A, _, _, O) = rows
    _move(O, A, 3, one)
    assert out[3] == a[3]
    assert (np.delete(out, 3) == -1).all()
