"""The two passes of conjugate gradients over the finest grid.

    direct     p <- z + beta p;  (p, A p)                         in the precision of the levels
    step       x <- x + alpha s p,  r = s (b - A x);  ||b - A x||^2, (r, p)    x, b in the data's; s = D^-1/2

p and x are written to other memory than they are read from, because neighbouring tasks read them too.
"""

from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, borrow, part, pointer
from mgnet.pde.kernels.pointwise import add_scaled, convert
from mgnet.pde.kernels.stencil_rows import apply_row, at, clear, combine, differences_row, dot, fill, scale_row
from mgnet.pde.kernels.sums import dotted

ARGUMENTS = 26


@part
def _advance(row, x, p, s, alpha, given, moved, n):
    """row = x + alpha s p; x without padding."""
    one, other, small = row.dtype.type(1), x.dtype.type(1), p.dtype.type(1)
    if given and moved:
        add_scaled(at(row, 0), one, n, (x.ctypes.data,), other, alpha, at(s, 0), small, at(p, 0), small)
    elif given:
        convert(at(row, 0), one, n, x.ctypes.data, other)
    elif moved:
        add_scaled(at(row, 0), one, n, (), other, alpha, at(s, 0), small, at(p, 0), small)
    else:
        clear(row, n)


@part
def _keep(out, row, n):
    convert(out.ctypes.data, out.dtype.type(1), n, at(row, 0), row.dtype.type(1))


@part
def _subtract(out, excess, row, n):
    """out -= (A 1) x, what is left of A x beside the differences of x; small, so it comes last."""
    one, o = out.dtype.type(1), at(out, 0)
    add_scaled(o, one, n, (o,), one, -one, at(excess, 0), one, at(row, 0), one)


@part
def _residual(r, s, scale, row, n):
    """r = scale s row in r's precision; ||row||^2."""
    one, small = row.dtype.type(1), r.dtype.type(1)
    add_scaled(at(r, 0), small, n, (), one, scale, at(s, 0), small, at(row, 0), one)
    return dotted(at(row, 0), at(row, 0), n, one)


@part
def _direct(z, p, out, S, hs, beta, n, stride, kind, wraps, i0, i1, like):
    """(p, A p) over planes [i0, i1)."""
    n0, n1, n2 = n
    plane, total, one = n1 * stride, 0.0, like.dtype.type(1)
    owner = np.zeros(3 * plane + 2 * stride, like.dtype)
    ring = borrow(owner)
    line, zeros = ring[3 * plane :], ring[3 * plane + stride :]
    for t in range(i0 - 1, i1 + 2):
        if t <= i1 and (wraps[0] or 0 <= t < n0):
            for q in range(n1):
                k, row = t % n0 * plane + q * stride, ring[(t - i0 + 1) % 3 * plane + q * stride :]
                combine(row, z[k:], beta, p[k:], n2)
                fill(row, n2, wraps[2])
                if i0 <= t < i1:
                    scale_row(out[k:], one, row, n2)
                    fill(out[k:], n2, wraps[2])
        i = t - 1
        if i < i0 or i >= i1:
            continue
        pb = (i - 1) % n0 if wraps[0] or i > 0 else -1
        pa = (i + 1) % n0 if wraps[0] or i < n0 - 1 else -1
        cur = (i - i0 + 1) % 3 * plane
        bef, aft = (i - i0) % 3 * plane if pb >= 0 else -1, (i - i0 + 2) % 3 * plane if pa >= 0 else -1
        for q in range(n1):
            apply_row(
                line, one, -one, zeros, ring, cur, bef, aft, S, hs, i * plane, pb * plane, q, n1, wraps[1],
                n2, stride, kind, zeros,
            )  # fmt: skip
            total += dot(line, ring[cur + q * stride :], n2)
    owner[0] = 0
    return total


@part
def _step(x, p, out, b, r, s, excess, S, hs, alpha, scale, has, n, stride, kind, wraps, i0, i1, like):
    """||b - A x||^2 and (r, p) over planes [i0, i1)."""
    given, moved, writes = has
    n0, n1, n2 = n
    plane, total, along, one = n1 * stride, 0.0, 0.0, like.dtype.type(1)
    owner = np.zeros(3 * plane + 4 * stride, like.dtype)
    ring = borrow(owner)
    f, line, zeros = ring[3 * plane :], ring[3 * plane + stride :], ring[3 * plane + 2 * stride :]
    kept = at(ring[3 * plane + 3 * stride :], 0)
    for t in range(i0 - 1, i1 + 2):
        if t <= i1 and (wraps[0] or 0 <= t < n0):
            for q in range(n1):
                m = t % n0 * n1 + q
                row = ring[(t - i0 + 1) % 3 * plane + q * stride :]
                _advance(row, x[m * n2 :], p[m * stride :], s[m * stride :], alpha, given, moved, n2)
                if writes and x.itemsize < row.itemsize:  # the residual is of what is kept
                    convert(kept, x.dtype.type(1), n2, at(row, 0), one)
                    convert(at(row, 0), one, n2, kept, x.dtype.type(1))
                fill(row, n2, wraps[2])
                if writes and i0 <= t < i1:
                    _keep(out[m * n2 :], row, n2)
        i = t - 1
        if i < i0 or i >= i1:
            continue
        pb = (i - 1) % n0 if wraps[0] or i > 0 else -1
        pa = (i + 1) % n0 if wraps[0] or i < n0 - 1 else -1
        cur = (i - i0 + 1) % 3 * plane
        bef, aft = (i - i0) % 3 * plane if pb >= 0 else -1, (i - i0 + 2) % 3 * plane if pa >= 0 else -1
        for q in range(n1):
            m = i * n1 + q
            convert(at(f, 0), one, n2, b[m * n2 :].ctypes.data, x.dtype.type(1))
            differences_row(
                line, f, ring, cur, bef, aft, S, hs, i * plane, pb * plane, q, n1, wraps[1], n2, stride, kind, zeros
            )
            _subtract(line, excess[m * stride :], ring[cur + q * stride :], n2)
            total += _residual(r[m * stride :], s[m * stride :], scale, line, n2)
            if moved:
                along += dot(r[m * stride :], p[m * stride :], n2)
            fill(r[m * stride :], n2, wraps[2])
    owner[0] = 0
    return total, along


@cache
def kernel(data: np.dtype, levels: np.dtype) -> int:
    """The address of both passes, for a dtype of x and one of the levels; task t is block t of (batch, planes)."""
    like, small = np.zeros(1, data), np.zeros(1, levels)

    def task(t, arguments):
        v = carray(arguments, ARGUMENTS)
        batch, n, stride, kind, own, blocks = v[0], (v[1], v[2], v[3]), v[4], v[5], v[6], v[7]
        wraps = (v[8] != 0, v[9] != 0, v[10] != 0)
        k, m = t // blocks, t % blocks
        size, plain = n[0] * n[1] * stride, n[0] * n[1] * n[2]
        hs, bs = own * size, k * size if own > 1 else 0
        factors = carray(pointer(v[12]), (batch,), np.float64)
        scales = carray(pointer(v[13]), (batch,), np.float64)
        sums = carray(pointer(v[14]), (2 * batch * blocks,), np.float64)
        i0, i1 = m * n[0] // blocks, (m + 1) * n[0] // blocks
        p = carray(pointer(v[15] + k * size * short), (size,), levels)
        if v[11] == 0:
            sums[t] = _direct(
                carray(pointer(v[16] + k * size * short), (size,), levels), p,
                carray(pointer(v[17] + k * size * short), (size,), levels),
                carray(pointer(v[18] + bs * short), (14 * hs,), levels), hs,
                small.dtype.type(factors[k]), n, stride, kind, wraps, i0, i1, small,
            )  # fmt: skip
        else:
            sums[t], sums[batch * blocks + t] = _step(
                carray(pointer(v[19] + k * plain * long), (plain,), data), p,
                carray(pointer(v[20] + k * plain * long), (plain,), data),
                carray(pointer(v[21] + k * plain * long), (plain,), data),
                carray(pointer(v[22] + k * size * short), (size,), levels),
                carray(pointer(v[23] + bs * short), (size,), levels),
                carray(pointer(v[24] + bs * 8), (size,), np.float64),
                carray(pointer(v[25] + bs * 8), (14 * hs,), np.float64), hs,
                factors[k], scales[k], (v[19] != 0, v[15] != 0, v[20] != 0),
                n, stride, kind, wraps, i0, i1, wide,
            )  # fmt: skip

    wide = np.zeros(1, np.float64)
    long, short = like.itemsize, small.itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
