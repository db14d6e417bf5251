"""What the black-box kernels do to one row, vectorised along the last axis.

Rows are padded: a row of n unknowns has them at [LEFT, LEFT + n), and two ghosts on either side, which
hold the wrapped values where the axis is periodic and 0 elsewhere. Couplings across an end are 0, so no
loop asks where it is. Loops read few arrays each: more than eight would keep the compiler from
vectorising them.
"""

from numba import njit

from mgnet.pde.kernels.launch import FAST

LEFT = 16  # numbers before the first unknown of a row: a cache line at least
RIGHT = 3  # numbers after the last one at least


def stride_of(n: int) -> int:
    """Numbers from one row to the next: whole cache lines, and no power of two."""
    stride = LEFT + -(-(n + RIGHT) // 16) * 16
    return stride + 16 if stride % 512 == 0 else stride


@njit(fastmath=FAST, nogil=True)
def fill(row, n, wraps):
    """The ghosts of a row."""
    zero = row[LEFT] - row[LEFT] if wraps else row.dtype.type(0)
    row[LEFT - 1] = row[LEFT + n - 1] if wraps else zero
    row[LEFT + n] = row[LEFT] if wraps else zero
    row[LEFT - 2] = row[LEFT + (n - 2) % n] if wraps else zero
    row[LEFT + n + 1] = row[LEFT + 1 % n] if wraps else zero


@njit(fastmath=FAST, nogil=True)
def five(out, a, w, v, f, m, p, E, Nm, Np, n):
    """out = a v + w (f + sum_o s_o u_{i+o}) for the five-point stencil; m, p are the rows before and after."""
    for j in range(LEFT, LEFT + n):
        out[j] = a * v[j] + w * (f[j] + E[j] * v[j + 1] + E[j - 1] * v[j - 1] + Np[j] * p[j] + Nm[j] * m[j])


@njit(fastmath=FAST, nogil=True)
def own(out, a, w, v, f, E, n):
    """out = a v + w (f + the couplings along the row)."""
    for j in range(LEFT, LEFT + n):
        out[j] = a * v[j] + w * (f[j] + E[j] * v[j + 1] + E[j - 1] * v[j - 1])


@njit(fastmath=FAST, nogil=True)
def across(out, w, v, S, n):
    """out += w S v."""
    for j in range(LEFT, LEFT + n):
        out[j] += w * S[j] * v[j]


@njit(fastmath=FAST, nogil=True)
def ahead(out, w, v, Sm, S0, Sp, n):
    """out += w times the three couplings to a later row v; the couplings are this row's."""
    for j in range(LEFT, LEFT + n):
        out[j] += w * (S0[j] * v[j] + Sp[j] * v[j + 1] + Sm[j] * v[j - 1])


@njit(fastmath=FAST, nogil=True)
def behind(out, w, v, Sm, S0, Sp, n):
    """out += w times the three couplings to an earlier row v; the couplings are that row's."""
    for j in range(LEFT, LEFT + n):
        out[j] += w * (S0[j] * v[j] + Sp[j - 1] * v[j - 1] + Sm[j + 1] * v[j + 1])


@njit(fastmath=FAST, nogil=True)
def prolong_halved(row, e, Wm, W0, Wp, first, n):
    """row += P e along a halved axis; n coarse unknowns."""
    o = row[LEFT - first :]
    c, m, z, p = e[LEFT - first :], Wm[LEFT - first :], W0[LEFT - first :], Wp[LEFT - first :]
    for K in range(n + first):
        o[2 * K] += z[K] * c[K]
        o[2 * K + 1] += p[K] * c[K] + m[K + 1] * c[K + 1]


@njit(fastmath=FAST, nogil=True)
def restrict_halved(out, r, Wm, W0, Wp, first, n):
    """out += R r along a halved axis; n coarse unknowns."""
    o, m, z, p, s = out[LEFT:], Wm[LEFT:], W0[LEFT:], Wp[LEFT:], r[LEFT + first - 1 :]
    for K in range(n):
        o[K] += m[K] * s[2 * K] + z[K] * s[2 * K + 1] + p[K] * s[2 * K + 2]


@njit(fastmath=FAST, nogil=True)
def scale_row(out, w, v, n):
    """out = w v."""
    for j in range(LEFT, LEFT + n):
        out[j] = w * v[j]


@njit(fastmath=FAST, nogil=True)
def combine(out, v, w, p, n):
    """out = v + w p."""
    for j in range(LEFT, LEFT + n):
        out[j] = v[j] + w * p[j]


@njit(fastmath=FAST, nogil=True)
def dot(v, w, n):
    """(v, w) in float64."""
    total = 0.0
    for j in range(LEFT, LEFT + n):
        total += float(v[j]) * float(w[j])
    return total


@njit(fastmath=FAST, nogil=True, inline="always")
def apply_row(out, a, w, f, src, cur, bef, aft, S, hs, at, before, q, n1, wraps1, n, stride, kind, zeros):
    """out = a v + w (f + sum_o s_o u_{i+o}) on row q of a plane.

    Parameters
    ----------
    src : flat, holds the planes at cur, bef and aft (offsets; -1 where there is none)
    S, hs, at, before : flat couplings, numbers between two of them, offsets of this and the earlier plane
    kind : 0 five points (2-D), 1 nine points (2-D), 2 seven points (3-D), 3 twenty-seven points
    """
    v, own_at = src[cur + q * stride :], at + q * stride
    if kind == 0:
        m = src[bef:] if bef >= 0 else zeros
        p = src[aft:] if aft >= 0 else zeros
        Nm = S[hs + before :] if bef >= 0 else zeros
        five(out, a, w, v, f, m, p, S[own_at:], Nm, S[hs + own_at :], n)
        return
    own(out, a, w, v, f, S[own_at:], n)
    if kind == 1:
        if aft >= 0:
            ahead(out, w, src[aft:], S[hs + own_at :], S[2 * hs + own_at :], S[3 * hs + own_at :], n)
        if bef >= 0:
            behind(out, w, src[bef:], S[hs + before :], S[2 * hs + before :], S[3 * hs + before :], n)
        return
    for d1 in range(-1, 2):
        qa, qb = q + d1, q - d1
        if wraps1:
            qa, qb = qa % n1, qb % n1
        ok_a, ok_b = 0 <= qa < n1, 0 <= qb < n1
        va, vb = qa * stride, qb * stride
        if kind == 2:
            if d1 == 0:
                if aft >= 0:
                    across(out, w, src[aft + va :], S[2 * hs + own_at :], n)
                if bef >= 0:
                    across(out, w, src[bef + vb :], S[2 * hs + before + vb :], n)
            elif d1 == 1:
                if ok_a:
                    across(out, w, src[cur + va :], S[hs + own_at :], n)
                if ok_b:
                    across(out, w, src[cur + vb :], S[hs + at + vb :], n)
            continue
        h = (7 + 3 * d1) * hs
        if aft >= 0 and ok_a:
            ahead(out, w, src[aft + va :], S[h + own_at :], S[h + hs + own_at :], S[h + 2 * hs + own_at :], n)
        if bef >= 0 and ok_b:
            o = before + vb
            behind(out, w, src[bef + vb :], S[h + o :], S[h + hs + o :], S[h + 2 * hs + o :], n)
        if d1 == 1:
            if ok_a:
                ahead(out, w, src[cur + va :], S[hs + own_at :], S[2 * hs + own_at :], S[3 * hs + own_at :], n)
            if ok_b:
                o = at + vb
                behind(out, w, src[cur + vb :], S[hs + o :], S[2 * hs + o :], S[3 * hs + o :], n)
