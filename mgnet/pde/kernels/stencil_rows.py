"""What the black-box kernels do to one row, vectorised along the last axis.

Rows are padded: a row of n unknowns has them at [LEFT, LEFT + n), and two ghosts on either side, which
hold the wrapped values where the axis is periodic and 0 elsewhere. Couplings across an end are 0, so no
loop asks where it is.
"""

from mgnet.pde.kernels.launch import part
from mgnet.pde.kernels.sums import dotted
from mgnet.pde.kernels.vectors import collect, couple, couple_differences, spread
from mgnet.pde.kernels.vectors import combine as weighted

LEFT = 16  # numbers before the first unknown of a row: a cache line at least
RIGHT = 3  # numbers after the last one at least


def stride_of(n: int) -> int:
    """Numbers from one row to the next: whole cache lines, and no power of two."""
    stride = LEFT + -(-(n + RIGHT) // 16) * 16
    return stride + 16 if stride % 512 == 0 else stride


@part
def fill(row, n, wraps):
    """The ghosts of a row."""
    zero = row[LEFT] - row[LEFT] if wraps else row.dtype.type(0)
    row[LEFT - 1] = row[LEFT + n - 1] if wraps else zero
    row[LEFT + n] = row[LEFT] if wraps else zero
    row[LEFT - 2] = row[LEFT + (n - 2) % n] if wraps else zero
    row[LEFT + n + 1] = row[LEFT + 1 % n] if wraps else zero


@part
def at(row, k):
    """The address of number k of a row, counted from its first unknown."""
    return row.ctypes.data + (LEFT + k) * row.itemsize


@part
def clear(row, n):
    """row = 0, ghosts too."""
    for j in range(LEFT - 2, LEFT + n + 2):
        row[j] = 0


@part
def add_product(out, S, v, n):
    """out += S v."""
    one, o = out.dtype.type(1), at(out, 0)
    couple(o, n, one - one, o, one, o, (at(S, 0),), (at(v, 0),))


@part
def prolong_halved(row, e, Wm, W0, Wp, first, n):
    """row += P e along a halved axis; n coarse unknowns."""
    k = -first
    spread(at(row, k), n + first, at(e, k), at(Wm, k), at(W0, k), at(Wp, k), row.dtype.type(1))


@part
def restrict_halved(out, r, Wm, W0, Wp, first, n):
    """out += R r along a halved axis; n coarse unknowns."""
    collect(at(out, 0), n, at(r, first - 1), at(Wm, 0), at(W0, 0), at(Wp, 0), out.dtype.type(1))


@part
def scale_row(out, w, v, n):
    """out = w v."""
    weighted(at(out, 0), n, (at(v, 0),), (w,))


@part
def combine(out, v, w, p, n):
    """out = v + w p."""
    weighted(at(out, 0), n, (at(v, 0), at(p, 0)), (out.dtype.type(1), w))


@part
def dot(v, w, n):
    """(v, w)."""
    return float(dotted(at(v, 0), at(w, 0), n, v.dtype.type(1)))


@part
def _three(S, between, v, size, ahead):
    """The three couplings to a row v: (where they are, their neighbours).

    ahead: v is a later row and the couplings, ``between`` bytes apart, are stored with this one; else they
    are stored with v.
    """
    if ahead:
        return (S, S + between, S + 2 * between), (v - size, v, v + size)
    return (S + size, S + between, S + 2 * between - size), (v + size, v, v - size)


@part
def _six(between, S_a, v_a, ahead, S_b, v_b, behind, size, zero):
    """The couplings to a later row v_a and to the earlier one opposite, v_b; a row that is not there is zero."""
    s_a, x_a = (zero, zero, zero), (zero, zero, zero)
    s_b, x_b = s_a, x_a
    if ahead:
        s_a, x_a = _three(S_a, between, v_a, size, True)
    if behind:
        s_b, x_b = _three(S_b, between, v_b, size, False)
    return s_a + s_b, x_a + x_b


@part
def differences_row(out, f, src, cur, bef, aft, S, hs, plane, before, q, n1, wraps1, n, stride, kind, zeros):
    """out = f + sum_o s_o (u_{i+o} - u_i) on row q of a plane, five points (kind 0) or seven; as ``apply_row``."""
    one, size = out.dtype.type(1), out.itemsize
    o, f0, zero, s, x = at(out, 0), at(f, 0), at(zeros, 0), at(S, 0), at(src, 0)
    between, row = hs * size, stride * size
    here, early, v = s + plane * size, s + before * size, x + cur * size + q * row
    E, planes = here + q * row, between if kind == 0 else 2 * between
    A, p = (here + planes + q * row, x + aft * size + q * row) if aft >= 0 else (zero, zero)
    B, m = (early + planes + q * row, x + bef * size + q * row) if bef >= 0 else (zero, zero)
    if kind == 0:
        couple_differences(o, n, v, f0, (E, E - size, A, B), (v + size, v - size, p, m), one)
        return
    lower, upper = (q - 1) % n1 if wraps1 else q - 1, (q + 1) % n1 if wraps1 else q + 1
    U, u = (here + between + q * row, x + cur * size + upper * row) if upper < n1 else (zero, zero)
    L, l = (here + between + lower * row, x + cur * size + lower * row) if lower >= 0 else (zero, zero)
    couple_differences(o, n, v, f0, (E, E - size, U, L, A, B), (v + size, v - size, u, l, p, m), one)


@part
def apply_row(out, a, w, f, src, cur, bef, aft, S, hs, plane, before, q, n1, wraps1, n, stride, kind, zeros):
    """out = a v + w (f + sum_o s_o u_{i+o}) on row q of a plane.

    Parameters
    ----------
    src : flat, holds the planes at cur, bef and aft (offsets; -1 where there is none)
    S, hs, plane, before : flat couplings, numbers between two of them, offsets of this and the earlier plane
    kind : 0 five points (2-D), 1 nine points (2-D), 2 seven points (3-D), 3 twenty-seven points
    """
    one, size = out.dtype.type(1), out.itemsize
    o, f0, zero, s, x = at(out, 0), at(f, 0), at(zeros, 0), at(S, 0), at(src, 0)
    between, row = hs * size, stride * size
    v, E = x + cur * size + q * row, s + plane * size + q * row
    has_a, has_b = aft >= 0, bef >= 0
    v_a, v_b = x + aft * size, x + bef * size
    own, beside = (E, E - size), (v + size, v - size)
    if kind == 0:
        N, before_N = s + between + plane * size + q * row, s + between + before * size
        couple(
            o, n, a, v, w, f0, (E, E - size, N if has_a else zero, before_N if has_b else zero),
            (v + size, v - size, v_a if has_a else zero, v_b if has_b else zero),
        )  # fmt: skip
        return
    if kind == 1:
        S6, x6 = _six(between, E + between, v_a, has_a, s + between + before * size, v_b, has_b, size, zero)
        couple(o, n, a, v, w, f0, own + S6, beside + x6)
        return
    lower, upper = q - 1, q + 1
    if wraps1:
        lower, upper = lower % n1, upper % n1
    has_l, has_u = lower >= 0, upper < n1
    here, early = s + plane * size, s + before * size
    if kind == 2:
        U, L = here + between + q * row if has_u else zero, here + between + lower * row if has_l else zero
        A, B = here + 2 * between + q * row if has_a else zero, early + 2 * between + q * row if has_b else zero
        u, l = x + cur * size + upper * row if has_u else zero, x + cur * size + lower * row if has_l else zero
        p, m = v_a + q * row if has_a else zero, v_b + q * row if has_b else zero
        couple(o, n, a, v, w, f0, (E, E - size, U, L, A, B), (v + size, v - size, u, l, p, m))
        return
    couple(o, n, a, v, w, f0, own, beside)
    up, low = x + cur * size + upper * row, x + cur * size + lower * row
    S6, x6 = _six(between, E + between, up, has_u, here + between + lower * row, low, has_l, size, zero)
    couple(o, n, one, o, w, zero, S6, x6)
    for d in range(-1, 2):
        ahead, behind = (upper, lower) if d == 1 else (lower, upper) if d == -1 else (q, q)
        in_a, in_b = has_a, has_b
        if d != 0:
            in_a, in_b = (has_a and has_u, has_b and has_l) if d == 1 else (has_a and has_l, has_b and has_u)
        h = (7 + 3 * d) * between
        S6, x6 = _six(
            between, E + h, v_a + ahead * row, in_a, early + h + behind * row, v_b + behind * row, in_b, size, zero
        )
        couple(o, n, one, o, w, zero, S6, x6)
