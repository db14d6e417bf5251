"""What the fused kernel does to one row of a grid, vectorised along the last axis.

A row knows its neighbours: ``m0, p0`` before and after it along the first axis, ``m1, p1`` along
the second (three dimensions only). ``lo, hi`` are the ends of the last axis: (sign, index) of the
ghost value by reflection, and the end's share of a cell.
"""

from numba import njit

from mgnet.pde.kernels.launch import FAST

GHOSTS = 3  # wrapped values on either side of a padded coarse row


@njit(fastmath=FAST, nogil=True)
def weighted_sum(out, v, m0, p0, m1, p1, f, q, g, x, a, b, c, d, lo, hi, flat):
    """out = q v + g f + x (left + right) + a m0 + b p0 (+ c m1 + d p1).

    Both a Jacobi step and a residual are of this form. At an end f counts 1 / share times.
    """
    n = v.shape[0]
    if flat:
        for j in range(1, n - 1):
            out[j] = q * v[j] + g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j]
    else:
        for j in range(1, n - 1):
            out[j] = q * v[j] + g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j] + c * m1[j] + d * p1[j]
    for j in (0, n - 1):
        out[j] = _end(j, v, m0, p0, m1, p1, f, q, g, x, a, b, c, d, lo, hi)


@njit(fastmath=FAST, nogil=True)
def coloured_sum(out, mask, v, m0, p0, m1, p1, f, g, x, a, b, c, d, lo, hi, flat):
    """out = the same sum with q = 0 where the mask is 1, v where it is 0: a Gauss-Seidel half-sweep."""
    n = v.shape[0]
    q = g - g
    if flat:
        for j in range(1, n - 1):
            out[j] = v[j] + mask[j] * (g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j] - v[j])
    else:
        for j in range(1, n - 1):
            s = g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j] + c * m1[j] + d * p1[j]
            out[j] = v[j] + mask[j] * (s - v[j])
    for j in (0, n - 1):
        s = _end(j, v, m0, p0, m1, p1, f, q, g, x, a, b, c, d, lo, hi)
        out[j] = v[j] + mask[j] * (s - v[j])


@njit(fastmath=FAST, nogil=True)
def _end(j, v, m0, p0, m1, p1, f, q, g, x, a, b, c, d, lo, hi):
    """The sum at the first or the last unknown of a row."""
    n = v.shape[0]
    left = lo[0] * v[int(lo[1])] if j == 0 else v[j - 1]
    right = hi[0] * v[int(hi[1])] if j == n - 1 else v[j + 1]
    share = (lo[2] if j == 0 else 1) * (hi[2] if j == n - 1 else 1)
    return q * v[j] + g / share * f[j] + x * (left + right) + a * m0[j] + b * p0[j] + c * m1[j] + d * p1[j]


@njit(fastmath=FAST, nogil=True)
def expand(out, base, c, start, weights, lo, hi):
    """out = base + P c along the last axis; ``c`` is padded by GHOSTS.

    On [lo, hi) P repeats every two rows, one column further.
    """
    n, width = weights.shape
    for i in range(0, lo):
        _expand_one(out, base, c, start, weights, i)
    if hi > lo:
        o, v = out[lo:], base[lo:]
        s, t = c[start[lo] + GHOSTS :], c[start[lo + 1] + GHOSTS :]
        if width == 2:
            a0, a1, b0, b1 = weights[lo, 0], weights[lo, 1], weights[lo + 1, 0], weights[lo + 1, 1]
            for J in range((hi - lo) // 2):
                o[2 * J] = v[2 * J] + a0 * s[J] + a1 * s[J + 1]
                o[2 * J + 1] = v[2 * J + 1] + b0 * t[J] + b1 * t[J + 1]
        else:
            a0, a1, a2, a3 = weights[lo, 0], weights[lo, 1], weights[lo, 2], weights[lo, 3]
            b0, b1, b2, b3 = weights[lo + 1, 0], weights[lo + 1, 1], weights[lo + 1, 2], weights[lo + 1, 3]
            for J in range((hi - lo) // 2):
                o[2 * J] = v[2 * J] + a0 * s[J] + a1 * s[J + 1] + a2 * s[J + 2] + a3 * s[J + 3]
                o[2 * J + 1] = v[2 * J + 1] + b0 * t[J] + b1 * t[J + 1] + b2 * t[J + 2] + b3 * t[J + 3]
    for i in range(hi, n):
        _expand_one(out, base, c, start, weights, i)


@njit(fastmath=FAST, nogil=True)
def expand_both(out, q, c, qstart, qweights, pstart, pweights, lo, hi):
    """out = Q q + P c along the last axis; on [lo, hi) both repeat every two rows."""
    n = out.shape[0]
    for i in range(0, lo):
        _expand_two(out, q, c, qstart, qweights, pstart, pweights, i)
    if hi > lo:
        o = out[lo:]
        s, t = q[qstart[lo] + GHOSTS :], q[qstart[lo + 1] + GHOSTS :]
        y, z = c[pstart[lo] + GHOSTS :], c[pstart[lo + 1] + GHOSTS :]
        a0, a1, a2, a3 = qweights[lo, 0], qweights[lo, 1], qweights[lo, 2], qweights[lo, 3]
        b0, b1, b2, b3 = qweights[lo + 1, 0], qweights[lo + 1, 1], qweights[lo + 1, 2], qweights[lo + 1, 3]
        c0, c1, d0, d1 = pweights[lo, 0], pweights[lo, 1], pweights[lo + 1, 0], pweights[lo + 1, 1]
        for J in range((hi - lo) // 2):
            o[2 * J] = a0 * s[J] + a1 * s[J + 1] + a2 * s[J + 2] + a3 * s[J + 3] + c0 * y[J] + c1 * y[J + 1]
            o[2 * J + 1] = b0 * t[J] + b1 * t[J + 1] + b2 * t[J + 2] + b3 * t[J + 3] + d0 * z[J] + d1 * z[J + 1]
    for i in range(hi, n):
        _expand_two(out, q, c, qstart, qweights, pstart, pweights, i)


@njit(fastmath=FAST, nogil=True)
def _expand_two(out, q, c, qstart, qweights, pstart, pweights, i):
    total = out.dtype.type(0)
    for k in range(qweights.shape[1]):
        total += qweights[i, k] * q[qstart[i] + GHOSTS + k]
    for k in range(pweights.shape[1]):
        total += pweights[i, k] * c[pstart[i] + GHOSTS + k]
    out[i] = total


@njit(fastmath=FAST, nogil=True)
def _expand_one(out, base, c, start, weights, i):
    total = base[i]
    for k in range(weights.shape[1]):
        total += weights[i, k] * c[start[i] + GHOSTS + k]
    out[i] = total


@njit(fastmath=FAST, nogil=True)
def contract(out, r, start, weights, lo, hi):
    """out = R r along the last axis. On [lo, hi) R repeats, two columns further a row."""
    rows, width = weights.shape
    for I in range(0, lo if hi > lo else rows):
        _contract_one(out, r, start, weights, I)
    if hi > lo:
        w0, w1, w2 = weights[lo, 0], weights[lo, 1], weights[lo, 2]
        o, s = out[lo:], r[start[lo] :]
        if width == 3:
            for J in range(hi - lo):
                o[J] = w0 * s[2 * J] + w1 * s[2 * J + 1] + w2 * s[2 * J + 2]
        else:
            w3 = weights[lo, 3]
            for J in range(hi - lo):
                o[J] = w0 * s[2 * J] + w1 * s[2 * J + 1] + w2 * s[2 * J + 2] + w3 * s[2 * J + 3]
        for I in range(hi, rows):
            _contract_one(out, r, start, weights, I)


@njit(fastmath=FAST, nogil=True)
def _contract_one(out, r, start, weights, I):
    n = r.shape[0]
    total = weights[I, 0] * r[start[I] % n]
    for k in range(1, weights.shape[1]):
        total += weights[I, k] * r[(start[I] + k) % n]
    out[I] = total


@njit(fastmath=FAST, nogil=True)
def assign(out, w, v):
    """out = w v."""
    for i in range(v.shape[0]):
        out[i] = w * v[i]


@njit(fastmath=FAST, nogil=True)
def sum2(out, base, w0, v0, w1, v1):
    """out = base + w0 v0 + w1 v1."""
    for i in range(out.shape[0]):
        out[i] = base[i] + w0 * v0[i] + w1 * v1[i]


@njit(fastmath=FAST, nogil=True)
def sum4(out, base, w0, v0, w1, v1, w2, v2, w3, v3):
    """out = base + w0 v0 + w1 v1 + w2 v2 + w3 v3."""
    for i in range(out.shape[0]):
        out[i] = base[i] + w0 * v0[i] + w1 * v1[i] + w2 * v2[i] + w3 * v3[i]


@njit(fastmath=FAST, nogil=True)
def square(v):
    """The sum of the squares."""
    total = v[0] * v[0]
    for i in range(1, v.shape[0]):
        total += v[i] * v[i]
    return total
