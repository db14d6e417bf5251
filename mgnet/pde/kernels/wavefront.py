"""One pass through memory: source -> nu steps -> iterate -> residual -> restriction.

The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the
stages as a wavefront: when plane p enters, step s works on plane p - s and the residual on plane
p - nu - 1, so three planes a stage live in cache and every array is read or written once. A task
owns a block of planes and of rows; the few planes around it are computed again, so tasks share
nothing. Arrays are (batch, n0, n1, n2); two dimensions have n1 = 1, one has n0 = n1 = 1.

    source     u, or the interpolant Q guess, or zero;  plus P e
    step       u <- u + omega / d (f / w - L u)          A = w L, d the diagonal of L, w the shares
    residual   r = f - w L u
    restrict   f_c = R r

Boundaries are reflections (``Axis.ghost``), so no stage asks which one it meets.
"""

from collections import namedtuple
from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc, njit

from mgnet.pde.kernels.launch import FAST, SIGNATURE, pointer, workspace
from mgnet.pde.kernels.rows import (
    GHOSTS,
    assign,
    coloured_sum,
    contract,
    expand,
    expand_both,
    square,
    sum2,
    sum4,
    weighted_sum,
)

AXIS_HEADER, TABLE_HEADER = 10, 6  # numbers per axis in ``reals``, per table in ``ints``
INTS, REALS = 8, 4  # where they begin

# an axis: its size and its ends (sign, index, share of a cell); a table: Axis.interpolation
Line = namedtuple("Line", "n wraps sign_lo index_lo share_lo sign_hi index_hi share_hi one")
Rows = namedtuple("Rows", "start weights lo hi")


@njit(fastmath=FAST, nogil=True)
def _line(ints, reals, axis):
    g = reals[REALS + AXIS_HEADER * axis : REALS + AXIS_HEADER * (axis + 1)]
    return Line(ints[axis], g[3] != 0, g[0], int(g[1]), g[2], g[5], int(g[6]), g[7], g[4])


@njit(fastmath=FAST, nogil=True)
def _table(ints, reals, which, axis):
    """Table ``which`` (0 P, 1 Q, 2 R) along an axis."""
    at = INTS + TABLE_HEADER * (3 * which + axis)
    s, w, rows, width = ints[at], ints[at + 1], ints[at + 2], ints[at + 3]
    weights = reals[w : w + rows * width].reshape((rows, width))
    return Rows(ints[s : s + rows], weights, ints[at + 4], ints[at + 5])


@njit(fastmath=FAST, nogil=True)
def _reach(lo, hi, halo, line):
    """[lo, hi) widened by a halo, inside the grid unless it wraps."""
    if line.wraps:
        return lo - halo, hi + halo
    return max(lo - halo, 0), min(hi + halo, line.n)


@njit(fastmath=FAST, nogil=True)
def _wrap(p, n):
    """p modulo n; a division only where p is outside."""
    return p if 0 <= p < n else p % n


@njit(fastmath=FAST, nogil=True)
def _before(p, line):
    """(plane before p, its sign)."""
    if p == 0 and not line.wraps:
        return line.index_lo, line.sign_lo
    return p - 1, line.one


@njit(fastmath=FAST, nogil=True)
def _after(p, line):
    """(plane after p, its sign)."""
    if p == line.n - 1 and not line.wraps:
        return line.index_hi, line.sign_hi
    return p + 1, line.one


@njit(fastmath=FAST, nogil=True)
def _share(p, line):
    """Share of a cell of plane p."""
    if p == 0:
        return line.share_lo * (line.share_hi if line.n == 1 else line.one)
    return line.share_hi if p == line.n - 1 else line.one


@njit(fastmath=FAST, nogil=True)
def _combine(line, zeros, rows, first, period, w, others, other_period, v, scale):
    """line = the sum of rows[first + a, others + b] weighted by scale w[a] v[b] (numbers modulo the periods)."""
    width = w.shape[0]
    base = zeros
    for b in range(v.shape[0]):
        factor = scale * v[b]
        if factor == 0:
            continue
        m = others + b
        m = m - other_period if m >= other_period else (m + other_period if m < 0 else m)
        a = 0
        while a < width:
            k0 = first + a
            k0 = k0 - period if k0 >= period else (k0 + period if k0 < 0 else k0)
            k1 = k0 + 1 if k0 + 1 < period else 0
            k2 = k1 + 1 if k1 + 1 < period else 0
            k3 = k2 + 1 if k2 + 1 < period else 0
            if width - a >= 3:
                w3 = w[a + 3] if width - a > 3 else w[a] - w[a]
                k3 = k3 if width - a > 3 else k0
                sum4(
                    line, base, factor * w[a], rows[k0, m], factor * w[a + 1], rows[k1, m],
                    factor * w[a + 2], rows[k2, m], factor * w3, rows[k3, m],
                )  # fmt: skip
                a += 4
            elif width - a == 2:
                sum2(line, base, factor * w[a], rows[k0, m], factor * w[a + 1], rows[k1, m])
                a += 2
            else:
                sum2(line, base, factor * w[a], rows[k0, m], factor - factor, rows[k0, m])
                a += 1
            base = line


@njit(fastmath=FAST, nogil=True, inline="always")
def _gather(pad, zeros, coarse, t0, t1, p, j, wraps):
    """pad = the coarse rows around fine row (p, j), weighted along the first two axes, ghosts filled."""
    nc0, nc1, nc2 = coarse.shape
    line = pad[GHOSTS : GHOSTS + nc2]
    one = t0.weights.dtype.type(1)
    _combine(line, zeros, coarse, t0.start[p], nc0, t0.weights[p], t1.start[j], nc1, t1.weights[j], one)
    if wraps:
        for k in range(GHOSTS):
            pad[k] = line[(k - GHOSTS) % nc2]
            pad[GHOSTS + nc2 + k] = line[k % nc2]


@njit(fastmath=FAST, nogil=True, inline="always")
def _source_row(row, zeros, u, guess, e, pad, pad2, P0, P1, P2, Q0, Q1, Q2, p, j, wraps):
    """row = u[p, j] or (Q guess)[p, j] or 0, plus (P e)[p, j]."""
    if e.shape[0] > 0:
        _gather(pad, zeros, e, P0, P1, p, j, wraps)
    if guess.shape[0] > 0:
        _gather(pad2, zeros, guess, Q0, Q1, p, j, wraps)
        lo, hi = max(P2.lo, Q2.lo), min(P2.hi, Q2.hi)
        if e.shape[0] > 0 and Q2.weights.shape[1] == 4 and P2.weights.shape[1] == 2 and (P2.lo - Q2.lo) % 2 == 0:
            expand_both(row, pad2, pad, Q2.start, Q2.weights, P2.start, P2.weights, lo, hi)
        else:
            expand(row, zeros, pad2, Q2.start, Q2.weights, Q2.lo, Q2.hi)
            if e.shape[0] > 0:
                expand(row, row, pad, P2.start, P2.weights, P2.lo, P2.hi)
    else:
        expand(row, u[p, j] if u.shape[0] > 0 else zeros, pad, P2.start, P2.weights, P2.lo, P2.hi)


@njit(fastmath=FAST, nogil=True)
def _task(u, guess, e, f, out, f_c, steps, ints, reals, I0, I1, J0, J1):
    """The pass over one block: coarse planes [I0, I1) and rows [J0, J1) and the fine ones they own.

    Returns the sum of the squared residuals of the block's own unknowns.
    """
    a0, a1, a2 = _line(ints, reals, 0), _line(ints, reals, 1), _line(ints, reals, 2)
    P0, P1, P2 = _table(ints, reals, 0, 0), _table(ints, reals, 0, 1), _table(ints, reals, 0, 2)
    Q0, Q1, Q2 = _table(ints, reals, 1, 0), _table(ints, reals, 1, 1), _table(ints, reals, 1, 2)
    R0, R1, R2 = _table(ints, reals, 2, 0), _table(ints, reals, 2, 1), _table(ints, reals, 2, 2)
    x0, x1, x2, d = reals[0], reals[1], reals[2], reals[3]
    n0, n1, n2 = f.shape
    lo2, hi2 = (a2.sign_lo, a2.index_lo, a2.share_lo), (a2.sign_hi, a2.index_hi, a2.share_hi)
    one, flat, nu = f.dtype.type(1), n1 == 1, steps.shape[0]
    residual, restricts = ints[6] != 0, f_c.shape[0] > 0
    given = u.shape[0] > 0 and e.shape[0] == 0  # the source is u itself: read it where it lies
    zero = u.shape[0] == 0 and guess.shape[0] == 0 and e.shape[0] == 0
    untouched = zero and nu == 0  # the residual is f

    # what this block owns, and what each stage computes for it
    m0, m1 = R0.weights.shape[1], R1.weights.shape[1]
    i0, i1 = I0 * n0 // ints[3], I1 * n0 // ints[3]
    j0, j1 = J0 * n1 // ints[4], J1 * n1 // ints[4]
    r0, r1, s0, s1 = i0, i1, j0, j1  # planes and rows of the residual
    if restricts:
        r0, r1 = min(i0, R0.start[I0]), max(i1, R0.start[I1 - 1] + m0)
        s0, s1 = min(j0, R1.start[J0]), max(j1, R1.start[J1 - 1] + m1)
    r0, r1 = (r0, r1) if a0.wraps else (max(r0, 0), min(r1, n0))
    s0, s1 = (s0, s1) if a1.wraps else (max(s0, 0), min(s1, n1))
    halo = 1 if residual else 0
    wide = 0 if flat else 1
    base0, top0 = _reach(r0, r1, halo + nu, a0)
    base1, top1 = _reach(s0, s1, (halo + nu) * wide, a1)

    rows = top1 - base1
    owner0, ring = workspace(3 * (nu + 1), rows, n2, f)
    depth = m0 + 1 if restricts else 1
    owner1, rring = workspace(depth, s1 - s0, n2, f)
    owner2, lines = workspace(5, 1, max(n2, ints[5]) + 2 * GHOSTS, f)
    line, pad, zeros, checkers, pad2 = lines[0, 0, :n2], lines[1, 0], lines[2, 0], lines[3, 0], lines[4, 0]
    lines[:] = 0
    checkers[::2] = 1
    total, next_coarse = 0.0, I0
    first = 1 if given or (zero and nu > 0) else 0

    for t in range(base0, top0 + nu + halo):
        for s in range(first, nu + 1):
            p = t - s
            lo, hi = _reach(r0, r1, halo + nu - s, a0)
            if p < lo or p >= hi:
                continue
            jlo, jhi = _reach(s0, s1, (halo + nu - s) * wide, a1)
            pm, plane = _wrap(p, n0), ring[3 * s + (p - base0) % 3]
            into = s == nu and not residual and out.shape[0] > 0  # the iterate goes straight to memory
            if s == 0:
                for j in range(jlo, jhi):
                    row = out[pm, _wrap(j, n1)] if into else plane[j - base1, :n2]
                    _source_row(row, zeros, u, guess, e, pad, pad2, P0, P1, P2, Q0, Q1, Q2, pm, _wrap(j, n1), a2.wraps)
                continue
            omega, colour = steps[s - 1, 0], int(steps[s - 1, 1])
            w = omega / d
            before, a = _before(p, a0)
            after, b = _after(p, a0)
            a, b = a * w * x0, b * w * x0
            kp, kb, ka = (
                3 * (s - 1) + (p - base0) % 3,
                3 * (s - 1) + (before - base0) % 3,
                3 * (s - 1) + (after - base0) % 3,
            )
            for j in range(jlo, jhi):
                jm, q = _wrap(j, n1), j - base1
                row, source = out[pm, jm] if into else plane[q, :n2], f[pm, jm]
                g = w / (_share(pm, a0) * _share(jm, a1))
                mask = checkers[(pm + jm + colour) % 2 :]
                if s == 1 and zero:
                    if colour < 0:
                        assign(row, g, source)
                    else:
                        for i in range(n2):
                            row[i] = g * mask[i] * source[i]
                    row[0] /= a2.share_lo
                    row[n2 - 1] /= a2.share_hi
                    continue
                jb, c = _before(j, a1)
                ja, dd = _after(j, a1)
                c, dd = c * w * x1, dd * w * x1
                if s == 1 and given:
                    v, vb, va = u[pm, jm], u[_wrap(before, n0), jm], u[_wrap(after, n0), jm]
                    wb, wa = (v, v) if flat else (u[pm, _wrap(jb, n1)], u[pm, _wrap(ja, n1)])
                else:
                    v, vb, va = ring[kp, q, :n2], ring[kb, q, :n2], ring[ka, q, :n2]
                    wb, wa = (v, v) if flat else (ring[kp, jb - base1, :n2], ring[kp, ja - base1, :n2])
                if colour < 0:
                    weighted_sum(row, v, vb, va, wb, wa, source, one - omega, g, w * x2, a, b, c, dd, lo2, hi2, flat)
                else:
                    coloured_sum(row, mask, v, vb, va, wb, wa, source, g, w * x2, a, b, c, dd, lo2, hi2, flat)

        p = t - nu
        if residual and out.shape[0] > 0 and i0 <= p < i1:
            for j in range(j0, j1):
                assign(out[p, j], one, ring[3 * nu + (p - base0) % 3, j - base1, :n2])
        p = t - nu - 1
        if not residual or p < r0 or p >= r1:
            continue
        pm, plane = _wrap(p, n0), rring[(p - r0) % depth]
        before, a = _before(p, a0)
        after, b = _after(p, a0)
        kp, kb, ka = 3 * nu + (p - base0) % 3, 3 * nu + (before - base0) % 3, 3 * nu + (after - base0) % 3
        for j in range(s0, s1):
            jm, q = _wrap(j, n1), j - base1
            row, source = plane[j - s0, :n2], f[pm, jm]
            w = _share(pm, a0) * _share(jm, a1)
            if untouched:
                row = source
            else:
                jb, c = _before(j, a1)
                ja, dd = _after(j, a1)
                if nu == 0 and given:
                    v, vb, va = u[pm, jm], u[_wrap(before, n0), jm], u[_wrap(after, n0), jm]
                    wb, wa = (v, v) if flat else (u[pm, _wrap(jb, n1)], u[pm, _wrap(ja, n1)])
                else:
                    v, vb, va = ring[kp, q, :n2], ring[kb, q, :n2], ring[ka, q, :n2]
                    wb, wa = (v, v) if flat else (ring[kp, jb - base1, :n2], ring[kp, ja - base1, :n2])
                weighted_sum(
                    row, v, vb, va, wb, wa, source, -d * w, one, w * x2,
                    a * w * x0, b * w * x0, c * w * x1, dd * w * x1, lo2, hi2, flat,
                )  # fmt: skip
                row[0] *= a2.share_lo
                row[n2 - 1] *= a2.share_hi
            if ints[7] != 0 and i0 <= p < i1 and j0 <= j < j1:
                total += square(row)
        while restricts and next_coarse < I1 and R0.start[next_coarse] + m0 - 1 <= p:
            I = next_coarse
            for J in range(J0, J1):
                if untouched:
                    _combine(line, zeros, f, R0.start[I], n0, R0.weights[I], R1.start[J], n1, R1.weights[J], one)
                else:
                    k = R0.start[I] - r0
                    _combine(
                        line,
                        zeros,
                        rring,
                        k % depth,
                        depth,
                        R0.weights[I],
                        R1.start[J] - s0,
                        s1 - s0,
                        R1.weights[J],
                        one,
                    )
                contract(f_c[I, J], line, R2.start, R2.weights, R2.lo, R2.hi)
            next_coarse += 1
    owner0[0] = owner1[0] = owner2[0] = 0  # alive until here
    return total


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the pass for float32 or float64; task t is block t of (batch, planes, rows).

    Its arguments, see ``arguments``: addresses of u, guess, e, f, out, f_c (0 where there is none), of
    steps, ints, reals and squares; the sizes batch, n0, n1, n2, nc0, nc1, nc2, steps, ints, reals;
    the blocks of planes and of rows.
    """

    def task(t, arguments):
        v = carray(arguments, 22)
        batch, n0, n1, n2, nc0, nc1, nc2 = v[10], v[11], v[12], v[13], v[14], v[15], v[16]
        blocks0, blocks1 = v[20], v[21]
        b, p, q = t // (blocks0 * blocks1), t // blocks1 % blocks0, t % blocks1
        size, size_c = n0 * n1 * n2 * itemsize, nc0 * nc1 * nc2 * itemsize
        ints = carray(pointer(v[7]), (v[18],), np.int64)
        squares = carray(pointer(v[9]), (batch * blocks0 * blocks1,), np.float64)
        squares[t] = _task(
            carray(pointer(v[0] + b * size), (n0 if v[0] != 0 else 0, n1, n2), dtype),
            carray(pointer(v[1] + b * size_c), (nc0 if v[1] != 0 else 0, nc1, nc2), dtype),
            carray(pointer(v[2] + b * size_c), (nc0 if v[2] != 0 else 0, nc1, nc2), dtype),
            carray(pointer(v[3] + b * size), (n0, n1, n2), dtype),
            carray(pointer(v[4] + b * size), (n0 if v[4] != 0 else 0, n1, n2), dtype),
            carray(pointer(v[5] + b * size_c), (nc0 if v[5] != 0 else 0, nc1, nc2), dtype),
            carray(pointer(v[6]), (v[17], 2), dtype),
            ints,
            carray(pointer(v[8]), (v[19],), dtype),
            p * nc0 // blocks0, (p + 1) * nc0 // blocks0, q * nc1 // blocks1, (q + 1) * nc1 // blocks1,
        )  # fmt: skip

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


def arguments(
    fine: Sequence[int],
    coarse: Sequence[int],
    blocks: tuple[int, int],
    steps: np.ndarray,
    ints: np.ndarray,
    reals: np.ndarray,
    squares: np.ndarray,
) -> np.ndarray:
    """The arguments of the kernel; the addresses of u, guess, e, f, out, f_c (first) are yet to come."""
    fixed = [v.ctypes.data for v in (steps, ints, reals, squares)]
    return np.array([0] * 6 + [*fixed, *fine, *coarse[1:], len(steps), len(ints), len(reals), *blocks], np.int64)
