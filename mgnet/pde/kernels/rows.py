"""What the fused kernels do to one row of a grid.

Rows are addresses (``vectors``). A row of a workspace has room for a ghost value on either side and for
``SLACK`` bytes beyond; a row of the caller's has not.
"""

from collections import namedtuple

import numpy as np

from mgnet.pde.kernels.emitter import REGISTER
from mgnet.pde.kernels.launch import inlined, part
from mgnet.pde.kernels.sums import dotted, dotted_few
from mgnet.pde.kernels.vectors import (
    blend,
    combine,
    combine_many,
    convolve,
    decimate,
    interleave,
    load,
    load_index,
    store,
)
from mgnet.pde.kernels.waves import relaxing_wave, residual_wave, wave

GHOSTS = 8  # wrapped numbers on either side of a row
SLACK = 4 * REGISTER  # bytes around a row of a workspace that may be read

# an axis: its size and its ends (sign and index of the ghost value, share of a cell); the number 1 and its bytes
Line = namedtuple("Line", "n wraps sign_lo index_lo share_lo sign_hi index_hi share_hi one size")


@inlined
def wrap(p, n):
    """p modulo n; a division only where p is outside."""
    return p if 0 <= p < n else p % n


@inlined
def row_bytes(n, size):
    """Bytes from one row of a workspace to the next: whole cache lines, and not a page apart."""
    stride = (n * size + REGISTER - 1) // REGISTER * REGISTER + SLACK
    return stride + 8 * REGISTER if stride % 4096 < 512 else stride


@inlined
def first_row(workspace):
    """The address of the first row of a workspace, an array of bytes."""
    return (workspace.ctypes.data + REGISTER - 1) // REGISTER * REGISTER + 2 * REGISTER


@inlined
def clear(row, n, one):
    """row = 0."""
    for i in range(n):
        store(row, i, one - one)


@part
def clear_beyond(row, n, stride, count, one, size):
    """Zeros after the n numbers of each of ``count`` rows, and before the first.

    What lies there goes into sums that nobody reads, where subnormal numbers are slow.
    """
    clear(row - 2 * REGISTER, 2 * REGISTER // size, one)
    for k in range(count):
        clear(row + k * stride + n * size, (stride - n * size) // size, one)


@inlined
def fill_ghosts(row, line):
    """The two values beyond the ends of a row."""
    n = line.n
    store(row, -1, line.sign_lo * load(row, line.index_lo, line.one))
    store(row, n, line.sign_hi * load(row, line.index_hi, line.one))


@inlined
def sweep(outs, stencils, line, flat, raw, ahead):
    """Stencils one after the other, see ``wave``; at an end f counts 1 / share times, unless it is raw."""
    wave(outs, line.n, stencils, flat, ahead)
    if not raw:
        _weigh_ends_of(outs, stencils, 0, line.one, line)


@inlined
def rest(out, stencil, line, flat, raw, ahead):
    """The residual of a row, see ``residual_wave``; at an end f counts 1 / share times, unless it is raw."""
    residual_wave((out,), line.n, (stencil,), flat, ahead)
    if not raw:
        _weigh_ends_of((out,), (stencil,), 0, line.one, line)


@inlined
def sweep_and_rest(outs, stencils, line, flat, raw, ahead, row, copy, omega):
    """The last step and the residual, see ``relaxing_wave``; returns the residual's sum of squares."""
    squares = relaxing_wave(outs, line.n, stencils, flat, ahead, row, copy, omega)
    if line.share_lo == line.one and line.share_hi == line.one:
        return squares
    if not raw:
        _weigh_ends_of(outs, stencils, copy, omega, line)
    share_ends(outs[1], line)
    return dotted(outs[1], outs[1], line.n, line.one)


@part
def _weigh_ends_of(outs, stencils, copy, omega, line):
    """At the ends f has counted once in each; let it count 1 / share times there, and in what followed from it."""
    for i, share in ((0, line.share_lo), (line.n - 1, line.share_hi)):
        if share != line.one:
            more = share - share
            for s in range(len(outs)):
                at = stencils[s]
                last = at.w_after
                if s > 0 and at.before == outs[s - 1]:  # reflected: the row after is the one before, too
                    last += at.w_before
                more = (line.one / share - line.one) * at.w_f * load(at.f, i, line.one) + last * more
                if s == len(outs) - 2:
                    more *= omega
                    if copy != 0 and copy != outs[s]:
                        store(copy, i, load(copy, i, line.one) + more)
                store(outs[s], i, load(outs[s], i, line.one) + more)


@part
def coloured(out, parity, s, line, flat, raw):
    """A stencil where i + parity is even, the row as it was elsewhere: a Gauss-Seidel half-sweep."""
    l, r = s.row - line.size, s.row + line.size
    if flat:
        blend(
            out,
            line.n,
            parity,
            (s.row,),
            (l, r, s.before, s.after, s.f),
            (s.side, s.side, s.w_before, s.w_after, s.w_f),
        )
    else:
        rows = (l, r, s.before, s.after, s.left, s.right, s.f)
        blend(out, line.n, parity, (s.row,), rows, (s.side, s.side, s.w_before, s.w_after, s.w_left, s.w_right, s.w_f))
    if not raw:
        _weigh_ends(out, s.f, s.w_f, parity, np.int64(2), line)


@part
def first_step(out, parity, f, g, line, raw):
    """out = g f, over the shares along the row unless f is raw; with a parity, where i + parity is even, else 0."""
    if parity < 0:
        combine(out, line.n, (f,), (g,))
    else:
        blend(out, line.n, parity, (), (f,), (g,))
    if not raw:
        _weigh_ends(out, f, g, max(parity, 0), 1 if parity < 0 else 2, line)


@inlined
def _weigh_ends(out, f, g, parity, period, line):
    """At the ends f has counted once; let it count 1 / share times."""
    one, last = line.one, line.n - 1
    share_lo = line.share_lo * (line.share_hi if last == 0 else one)
    if share_lo != one and parity % period == 0:
        store(out, 0, load(out, 0, one) + (one / share_lo - one) * g * load(f, 0, one))
    if last > 0 and line.share_hi != one and (last + parity) % period == 0:
        store(out, last, load(out, last, one) + (one / line.share_hi - one) * g * load(f, last, one))


@inlined
def share_ends(row, line):
    """The ends of a row times their shares of a cell."""
    one, last = line.one, line.n - 1
    if line.share_lo != one:
        store(row, 0, load(row, 0, one) * line.share_lo)
    if line.share_hi != one:
        store(row, last, load(row, last, one) * line.share_hi)


@part
def gather(out, n, begun, rows, plane, row, first, i, origin, period, second, j, other_origin, other_period):
    """out (+)= row (i, j) of the product of two tables: the weighted sum of rows[start_i + a, start_j + b].

    ``plane``, ``row``: bytes from one plane, one row to the next. Planes and rows are kept from the origins
    on, modulo the periods. ``begun``: add to what is there.
    """
    one = first.one
    zero = one - one
    p0, p1, p2, p3 = out, out, out, out
    w0, w1, w2, w3 = zero, zero, zero, zero
    i0 = wrap(load_index(first.start, i) - origin, period)
    j0 = wrap(load_index(second.start, j) - other_origin, other_period)
    count = np.int64(0)
    for b in range(second.width):
        m, v = wrap(j0 + b, other_period), load(second.weights, j * second.width + b, one)
        for a in range(first.width):
            weight = v * load(first.weights, i * first.width + a, one)
            if weight != zero:
                p3, p2, p1, p0 = p2, p1, p0, rows + wrap(i0 + a, period) * plane + m * row
                w3, w2, w1, w0 = w2, w1, w0, weight
                count += 1
            if count == 4:
                _accumulate(out, n, begun, count, one, p0, p1, p2, p3, w0, w1, w2, w3)
                count, begun = np.int64(0), np.bool_(True)
    if count > 0 or not begun:
        _accumulate(out, n, begun, count, one, p0, p1, p2, p3, w0, w1, w2, w3)


@part
def _accumulate(out, n, begun, count, one, p0, p1, p2, p3, w0, w1, w2, w3):
    """out = (out, once begun) + the sum of ``count`` rows."""
    if begun and count == 4:
        combine(out, n, (out, p0, p1, p2, p3), (one, w0, w1, w2, w3))
    elif begun and count == 3:
        combine(out, n, (out, p0, p1, p2), (one, w0, w1, w2))
    elif begun and count == 2:
        combine(out, n, (out, p0, p1), (one, w0, w1))
    elif begun:
        combine(out, n, (out, p0), (one, w0))
    elif count == 4:
        combine(out, n, (p0, p1, p2, p3), (w0, w1, w2, w3))
    elif count == 3:
        combine(out, n, (p0, p1, p2), (w0, w1, w2))
    elif count == 2:
        combine(out, n, (p0, p1), (w0, w1))
    elif count == 1:
        combine(out, n, (p0,), (w0,))
    else:
        clear(out, n, one)


@inlined
def wrap_ghosts(row, n, line):
    """GHOSTS numbers on either side of a row of n, where the axis is periodic."""
    if line.wraps:
        for k in range(GHOSTS):
            store(row, -1 - k, load(row, (n - 1 - k) % n, line.one))
            store(row, n + k, load(row, k % n, line.one))


@part
def expand(out, n, base, c, P, ahead):
    """out = base + P c along the last axis; base 0: zero. c is a row of a workspace, with its ghosts.

    ahead: a row that will be needed soon.
    """
    one, size, lo, hi = P.one, P.size, P.lo, P.hi
    if P.width == 1:  # the axis is the same on both grids
        if base != 0:
            combine(out, n, (base, c), (one, one))
        else:
            combine(out, n, (c,), (one,))
        return
    for i in range(0, lo):
        store(out, i, dot(P, i, c) + (load(base, i, one) if base != 0 else one - one))
    for i in range(max(lo, hi), n):
        store(out, i, dot(P, i, c) + (load(base, i, one) if base != 0 else one - one))
    if hi > lo:
        at, pairs, row = out + lo * size, (hi - lo) // 2, c + load_index(P.start, lo) * size
        if P.width == 4:
            interleave(at, pairs, (), (row,), (four_weights_of(P, lo),), (four_weights_of(P, lo + 1),), ahead)
        elif base != 0:
            even, odd = (two_weights_of(P, lo),), (two_weights_of(P, lo + 1),)
            interleave(at, pairs, (base + lo * size,), (row,), even, odd, ahead)
        else:
            interleave(at, pairs, (), (row,), (two_weights_of(P, lo),), (two_weights_of(P, lo + 1),), ahead)


@part
def expand_both(out, n, q, Q, c, P, ahead):
    """out = Q q + P c along the last axis."""
    one, size = P.one, P.size
    if P.width == 1:
        combine(out, n, (q, c), (one, one))
        return
    lo, hi = max(P.lo, Q.lo), min(P.hi, Q.hi)
    if Q.width != 4 or P.width != 2 or (P.lo - Q.lo) % 2 != 0 or hi <= lo:
        lo, hi = 0, 0
    for i in range(0, lo):
        store(out, i, dot(Q, i, q) + dot(P, i, c))
    for i in range(hi, n):
        store(out, i, dot(Q, i, q) + dot(P, i, c))
    if hi > lo:
        rows = (q + load_index(Q.start, lo) * size, c + load_index(P.start, lo) * size)
        even, odd = (
            (four_weights_of(Q, lo), two_weights_of(P, lo)),
            (four_weights_of(Q, lo + 1), two_weights_of(P, lo + 1)),
        )
        interleave(out + lo * size, (hi - lo) // 2, (), rows, even, odd, ahead)


@part
def contract(out, n, r, R):
    """out = R r along the last axis, n numbers; r is a row of a workspace, with its ghosts."""
    one, size, lo, hi = R.one, R.size, R.lo, R.hi
    if R.width == 1:
        combine(out, n, (r,), (one,))
        return
    for i in range(0, lo):
        store(out, i, dot(R, i, r))
    for i in range(max(lo, hi), n):
        store(out, i, dot(R, i, r))
    if hi > lo:
        at = r + load_index(R.start, lo) * size
        if R.width == 3:
            decimate(out + lo * size, hi - lo, at, three_weights_of(R, lo))
        else:
            decimate(out + lo * size, hi - lo, at, four_weights_of(R, lo))


@part
def add_tables(out, n, base, r, R, q, Q):
    """out = base + R r + Q q along the last axis.

    The tables repeat every row, one column further; r and q are rows of a workspace, with their ghosts.
    """
    one, size, lo, hi = R.one, R.size, max(R.lo, Q.lo), min(R.hi, Q.hi)
    for i in range(0, lo):
        store(out, i, load(base, i, one) + dot(R, i, r) + dot(Q, i, q))
    for i in range(max(lo, hi), n):
        store(out, i, load(base, i, one) + dot(R, i, r) + dot(Q, i, q))
    if hi > lo:
        r, q = r + load_index(R.start, lo) * size, q + load_index(Q.start, lo) * size
        out, base = out + lo * size, base + lo * size
        if R.width == 5 and Q.width == 3:
            convolve(out, hi - lo, base, (r, q), (five_weights_of(R, lo), three_weights_of(Q, lo)))
        else:
            combine_many((out,), hi - lo, (base,), r, size, (R.weights + lo * R.width * size,), R.width, one)
            combine_many((out,), hi - lo, (out,), q, size, (Q.weights + lo * Q.width * size,), Q.width, one)


@inlined
def two_weights_of(table, i):
    """The two weights of a row."""
    w, k, one = table.weights, 2 * i, table.one
    return load(w, k, one), load(w, k + 1, one)


@inlined
def three_weights_of(table, i):
    """The three weights of a row."""
    w, k, one = table.weights, 3 * i, table.one
    return load(w, k, one), load(w, k + 1, one), load(w, k + 2, one)


@inlined
def four_weights_of(table, i):
    """The four weights of a row."""
    w, k, one = table.weights, 4 * i, table.one
    return load(w, k, one), load(w, k + 1, one), load(w, k + 2, one), load(w, k + 3, one)


@inlined
def five_weights_of(table, i):
    """The five weights of a row."""
    w, k, one = table.weights, 5 * i, table.one
    return load(w, k, one), load(w, k + 1, one), load(w, k + 2, one), load(w, k + 3, one), load(w, k + 4, one)


@inlined
def dot(table, i, v):
    """Row i of a table times v."""
    width, size = table.width, table.size
    return dotted_few(table.weights + i * width * size, v + load_index(table.start, i) * size, width, table.one)
