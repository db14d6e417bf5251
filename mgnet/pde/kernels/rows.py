"""What the fused kernel does to one row of a grid, vectorised along the last axis.

A row knows its neighbours: ``m0, p0`` before and after it along the first axis, ``m1, p1`` along
the second (three dimensions only). ``ends`` are the ghost values of the last axis by reflection:
(sign, index) on either side.
"""

from numba import njit

FAST = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning
GHOSTS = 3  # wrapped values on either side of a padded coarse row


@njit(fastmath=FAST, nogil=True)
def weighted_sum(out, v, m0, p0, m1, p1, f, q, g, x, a, b, c, d, lo, hi, flat):
    """out = q v + g f + x (left + right) + a m0 + b p0 (+ c m1 + d p1).

    Both a Jacobi step and a residual are of this form. ``lo``, ``hi``: (sign, index, share) of the
    ends, where f counts 1 / share times.
    """
    n = v.shape[0]
    if flat:
        for j in range(1, n - 1):
            out[j] = q * v[j] + g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j]
    else:
        for j in range(1, n - 1):
            out[j] = (
                q * v[j] + g * f[j] + x * (v[j - 1] + v[j + 1]) + a * m0[j] + b * p0[j] + c * m1[j] + d * p1[j]
            )
    for j in (0, n - 1):
        left = lo[0] * v[int(lo[1])] if j == 0 else v[j - 1]
        right = hi[0] * v[int(hi[1])] if j == n - 1 else v[j + 1]
        share = (lo[2] if j == 0 else 1) * (hi[2] if j == n - 1 else 1)
        s = q * v[j] + g / share * f[j] + x * (left + right) + a * m0[j] + b * p0[j]
        out[j] = s if flat else s + c * m1[j] + d * p1[j]


@njit(fastmath=FAST, nogil=True)
def expand(out, c, start, weights, lo, hi):
    """out += P c along the last axis; ``c`` is padded by GHOSTS. On [lo, hi) P repeats every 2 rows."""
    n, width = weights.shape
    for i in range(0, lo):
        for k in range(width):
            out[i] += weights[i, k] * c[start[i] + GHOSTS + k]
    if hi > lo:
        pairs, o = (hi - lo) // 2, out[lo:]
        s, t = c[start[lo] + GHOSTS :], c[start[lo + 1] + GHOSTS :]
        if width == 2:
            a0, a1, b0, b1 = weights[lo, 0], weights[lo, 1], weights[lo + 1, 0], weights[lo + 1, 1]
            for J in range(pairs):
                o[2 * J] += a0 * s[J] + a1 * s[J + 1]
                o[2 * J + 1] += b0 * t[J] + b1 * t[J + 1]
        else:
            a0, a1, a2, a3 = weights[lo, 0], weights[lo, 1], weights[lo, 2], weights[lo, 3]
            b0, b1, b2, b3 = weights[lo + 1, 0], weights[lo + 1, 1], weights[lo + 1, 2], weights[lo + 1, 3]
            for J in range(pairs):
                o[2 * J] += a0 * s[J] + a1 * s[J + 1] + a2 * s[J + 2] + a3 * s[J + 3]
                o[2 * J + 1] += b0 * t[J] + b1 * t[J + 1] + b2 * t[J + 2] + b3 * t[J + 3]
    for i in range(hi, n):
        for k in range(width):
            out[i] += weights[i, k] * c[start[i] + GHOSTS + k]


@njit(fastmath=FAST, nogil=True)
def contract(out, r, start, weights, lo, hi, n):
    """out = R r along the last axis, r of length n. On [lo, hi) R repeats with stride 2."""
    rows, width = weights.shape
    for I in range(rows):
        if I == lo and hi > lo:
            break
        _contract_one(out, r, start, weights, I, n)
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
            _contract_one(out, r, start, weights, I, n)


@njit(fastmath=FAST, nogil=True)
def _contract_one(out, r, start, weights, I, n):
    total = weights[I, 0] * r[start[I] % n]
    for k in range(1, weights.shape[1]):
        total += weights[I, k] * r[(start[I] + k) % n]
    out[I] = total
