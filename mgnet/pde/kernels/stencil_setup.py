"""The set-up of the black-box hierarchy, a coarse row at a time, in float64.

What a row does is a list of small steps, made by ``blackbox`` from the equations of
``mgnet.pde.blackbox``: which coupling of which row, which weights. So one kernel serves every dimension,
stencil and choice of halved axes. Fields are padded as in ``stencil_rows``.

    weights     W_delta(I) = sum_part a_part(i) W_{delta + part}(I) / (m + sum a_o),     i = I + delta
    product     A_c(I, I + O) = sum W_delta(I) A(i, j) W_epsilon(I + O)
    unit        s <- s / sqrt(d_i d_j),  W <- W sqrt(d_i / D_I)
"""

from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, borrow, part, pointer
from mgnet.pde.kernels.stencil_rows import LEFT, fill

HEAD = 24


@part
def _row(i, j, n0, n1, wraps0, wraps1):
    """The number of row (i, j), -1 outside."""
    if wraps0:
        i = i % n0
    if wraps1:
        j = j % n1
    return i * n1 + j if 0 <= i < n0 and 0 <= j < n1 else -1


@part
def _seam(n, halved, wraps):
    """Whether the last and the first coarse unknown are neighbours on the fine grid."""
    return halved and wraps and n % 2 == 1


@part
def _between(i, n, seam):
    """Whether a plane beside a coarse one lies between coarse ones."""
    return not (seam and (i == -1 or i == n))


@part
def _leads(delta, i0, wraps):
    """Whether i0 is the first coarse unknown in reach of i0 + delta: back from it, or forth from the very first."""
    return delta >= 0 or (i0 + delta == 0 and not wraps)


@part
def _crosses(I, o, n_c, seam):
    """Whether the way from coarse plane I to I + o leads across the seam."""
    return seam and ((o > 0 and I == n_c - 1) or (o < 0 and I == 0))


@part
def _add_positive(total, out, s, w, n, step, weigh):
    """total += s+;  out += s+ w (if weigh)."""
    if weigh:
        for K in range(n):
            positive = max(s[step * K], 0.0)
            total[K] += positive
            out[K] += positive * w[K]
    else:
        for K in range(n):
            total[K] += max(s[step * K], 0.0)


@part
def _add_inside(total, out, s, inside, w, n, step, weigh):
    """``_add_positive`` where the unknown that s leads to is inside a mask."""
    for K in range(n):
        positive = max(s[step * K], 0.0) * inside[step * K]
        total[K] += positive
        if weigh:
            out[K] += positive * w[K]


@part
def _subtract(out, s, n, step):
    for K in range(n):
        out[K] -= s[step * K]


@part
def _assign(out, s, n, step):
    for K in range(n):
        out[K] = s[step * K]


@part
def _weigh(W, out, total, m, n):
    """W = out / (total + m+), 0 where that is 0."""
    for K in range(n):
        d = total[K] + max(m[K], 0.0)
        W[K] = out[K] / d if d > 0 else 0.0


@part
def _weigh_inside(W, out, total, others, m, n, first, column):
    """``_weigh``; where nothing is led to, others / (others + m+) if this is the first coarse unknown in reach."""
    for K in range(n):
        if total[K] == 0:
            d = others[K] + max(m[K], 0.0)
            W[K] = others[K] / d if d > 0 and first and (column < 0 or column == K) else 0.0
        else:
            W[K] = out[K] / (total[K] + max(m[K], 0.0))


@part
def _phantoms(W, inside, ops, ws, here, n, step, wraps):
    """No weight for a coarse unknown in itself where it lies outside and stands for others."""
    owner = np.zeros((1, n), np.float64)
    around = borrow(owner)[0]
    for k in range(ops.shape[0]):
        if ops[k, 0] == 2 and ops[k, 2] == 0:
            w = W[ops[k, 1] * ws + here :]
            for K in range(n):
                around[K] += w[K]
    for k in range(ops.shape[0]):
        if ops[k, 0] == 2 and ops[k, 2] != 0:
            w = W[ops[k, 1] * ws + here :]
            for K in range(n):
                if inside[step * K] == 0 and around[K] > 0:
                    w[K] = 0.0
            fill(W[ops[k, 1] * ws + here - LEFT :], n, wraps)
    owner[0, 0] = 0


@part
def _product(out, sign, s, w, v, n, step):
    for K in range(n):
        out[K] += sign * s[step * K] * w[K] * v[K]


@part
def _weights_row(D, S, W, inside, masked, hs, ws, ops, I, J, n, n_c, stride, stride_c, first, halved, wraps):
    """All W_delta of coarse row (I, J). An op: (0, delta, row shifts, column) begins a weight at fine unknown
    I + delta; (1, coupling, row shifts, column, weigh, W, row shifts, column) is a neighbour, and the unknown that
    it leads to; (2, delta, valid) ends it."""
    nc = n_c[2]
    step = 2 if halved[2] else 1
    owner = np.zeros((4, nc), np.float64)
    buffer = borrow(owner)
    out, total, m, others = buffer[0], buffer[1], buffer[2], buffer[3]
    i0 = 2 * I + first[0] if halved[0] else I
    j0 = 2 * J + first[1] if halved[1] else J
    here = (I * n_c[1] + J) * stride_c + LEFT
    exists, lead = False, False
    seam0, seam1 = _seam(n[0], halved[0], wraps[0]), _seam(n[1], halved[1], wraps[1])
    ends = not wraps[2] or _seam(n[2], halved[2], wraps[2])
    for k in range(ops.shape[0]):
        op = ops[k]
        if op[0] == 0:
            row = _row(i0 + op[2], j0 + op[3], n[0], n[1], wraps[0], wraps[1])
            exists = row >= 0 and _between(i0 + op[2], n[0], seam0) and _between(j0 + op[3], n[1], seam1)
            lead = _leads(op[2], i0, wraps[0]) and _leads(op[3], j0, wraps[1])
            for K in range(nc):
                out[K] = 0
                total[K] = 0
                others[K] = 0
            if exists:
                _assign(m, D[row * stride + LEFT + first[2] + op[4] :], nc, step)
        elif op[0] == 1:
            row = _row(i0 + op[2], j0 + op[3], n[0], n[1], wraps[0], wraps[1])
            if exists and row >= 0:
                s = S[op[1] * hs + row * stride + LEFT + first[2] + op[4] :]
                _subtract(m, s, nc, step)
                if masked and op[5] > 0:
                    to = _row(i0 + op[7], j0 + op[8], n[0], n[1], wraps[0], wraps[1])
                    if to >= 0:
                        at = to * stride + LEFT + first[2] + op[9]
                        _add_inside(total, out, s, inside[at:], W[op[6] * ws + here :], nc, step, op[5] == 2)
                elif masked:
                    _add_positive(others, others, s, s, nc, step, False)
                elif op[5] > 0:
                    _add_positive(total, out, s, W[op[6] * ws + here :], nc, step, op[5] == 2)
        elif op[0] == 2:
            w = W[op[1] * ws + here :]
            if op[2] != 0:
                for K in range(nc):
                    w[K] = 1.0
            elif exists:
                if masked:
                    column = -1 if op[4] >= 0 else 0 if first[2] == 1 and not wraps[2] else nc
                    _weigh_inside(w, out, total, others, m, nc, lead, column)
                else:
                    _weigh(w, out, total, m, nc)
                if ends and op[4] != 0:  # no fine unknown beyond an end or a seam
                    at = first[2] + op[4]
                    if at < 0:
                        w[0] = 0.0
                    if at + 2 * (nc - 1) >= n[2]:
                        w[nc - 1] = 0.0
            else:
                for K in range(nc):
                    w[K] = 0.0
            fill(W[op[1] * ws + here - LEFT :], nc, wraps[2])
    if masked:
        at = _row(i0, j0, n[0], n[1], wraps[0], wraps[1]) * stride + LEFT + first[2]
        _phantoms(W, inside[at:], ops, ws, here, nc, step, wraps[2])
    owner[0, 0] = 0


@part
def _product_row(D, S, W, D_c, S_c, hs, ws, hs_c, ops, I, J, n, n_c, stride, stride_c, first, halved, wraps):
    """All entries of A_c in coarse row (I, J). An op: (0, entry) begins one; (1, coupling or -1, row shifts, column,
    delta, epsilon, O) adds W_delta A W_epsilon(I + O); (2, entry) ends it."""
    nc = n_c[2]
    step = 2 if halved[2] else 1
    i0 = 2 * I + first[0] if halved[0] else I
    j0 = 2 * J + first[1] if halved[1] else J
    here = (I * n_c[1] + J) * stride_c + LEFT
    out, sign = D_c[here:], 1.0
    seam0, seam1 = _seam(n[0], halved[0], wraps[0]), _seam(n[1], halved[1], wraps[1])
    seam2 = _seam(n[2], halved[2], wraps[2])
    for k in range(ops.shape[0]):
        op = ops[k]
        if op[0] == 0:
            out = D_c[here:] if op[1] < 0 else S_c[op[1] * hs_c + here :]
            sign = -1.0 if op[1] < 0 else 1.0
            for K in range(nc):
                out[K] = 0
            continue
        if op[0] == 2:
            fill((D_c if op[1] < 0 else S_c[op[1] * hs_c :])[here - LEFT :], nc, wraps[2])
            continue
        row = _row(i0 + op[2], j0 + op[3], n[0], n[1], wraps[0], wraps[1])
        other = _row(I + op[7], J + op[8], n_c[0], n_c[1], wraps[0], wraps[1])
        crossed = _crosses(I, op[7], n_c[0], seam0) + 2 * _crosses(J, op[8], n_c[1], seam1)
        if row < 0 or other < 0 or crossed != op[10] % 4:
            continue
        begin, end = 0, nc
        if seam2 and op[9] != 0:  # the last (first) column alone crosses the seam
            if op[10] >= 4:
                begin, end = (nc - 1, nc) if op[9] > 0 else (0, 1)
            else:
                begin, end = (0, nc - 1) if op[9] > 0 else (1, nc)
        w = W[op[5] * ws + here + begin :]
        v = W[op[6] * ws + other * stride_c + LEFT + op[9] + begin :]
        at = row * stride + LEFT + first[2] + op[4] + step * begin
        if op[1] < 0:
            _product(out[begin:], -sign, D[at:], w, v, end - begin, step)
        else:
            _product(out[begin:], sign, S[op[1] * hs + at :], w, v, end - begin, step)


@part
def _root_row(out, D, n, wraps):
    """out = D^-1/2, 0 where D is not positive."""
    for j in range(LEFT, LEFT + n):
        out[j] = 1 / np.sqrt(D[j]) if D[j] > 0 else 0.0
    fill(out, n, wraps)


@part
def _scale(out, S, v, w, n, step):
    """out = S v w, in out's precision."""
    for j in range(n):
        out[j] = S[j] * v[j] * w[step * j]


@part
def _unscale(out, W, v, w, n, step):
    """out = W v / w, in out's precision, 0 where w is."""
    for K in range(n):
        d = w[step * K]
        out[K] = W[K] * v[K] / d if d != 0 else 0.0


WEIGHTS, PRODUCT, ROOT, UNIT, SCALED = range(5)


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the set-up kernel; task t is one block of rows of one member of a batch.

    Arguments: see ``blackbox.arguments``; the first says what to do. WEIGHTS: W of a pair of grids; PRODUCT: D_c, S_c;
    ROOT: D^-1/2 of a grid into R; UNIT: the couplings of a grid in unit form; SCALED: the weights in unit form.
    """

    def task(t, arguments):
        v = carray(arguments, HEAD + 12)
        what, blocks, batch = v[0], v[1], v[2]
        n, n_c, stride, stride_c = (v[3], v[4], v[5]), (v[6], v[7], v[8]), v[9], v[10]
        first, halved = (v[11], v[12], v[13]), (v[14] != 0, v[15] != 0, v[16] != 0)
        wraps = (v[17] != 0, v[18] != 0, v[19] != 0)
        b, k = t // blocks, t % blocks
        a = v[HEAD:]
        size, size_c = n[0] * n[1] * stride, n_c[0] * n_c[1] * stride_c
        hs, ws, hs_c = batch * size, batch * size_c, batch * size_c
        whole = 27 * (hs + ws)
        D = carray(pointer(a[0] + 8 * b * size), (size,), np.float64)
        S = carray(pointer(a[1] + 8 * b * size), (whole,), np.float64)
        W = carray(pointer(a[2] + 8 * b * size_c), (whole,), np.float64)
        D_c = carray(pointer(a[3] + 8 * b * size_c), (size_c,), np.float64)
        S_c = carray(pointer(a[4] + 8 * b * size_c), (whole,), np.float64)
        R = carray(pointer(a[5] + 8 * b * size), (size,), np.float64)
        R_c = carray(pointer(a[6] + 8 * b * size_c), (size_c,), np.float64)
        small = carray(pointer(a[7] + itemsize * b * (size_c if what == SCALED else size)), (whole,), dtype)
        ops = carray(pointer(a[8]), (a[9], 11), np.int64)
        inside = carray(pointer(a[10] + 8 * b * size), (size,), np.float64)
        coarse = what != ROOT and what != UNIT
        rows = n_c[0] * n_c[1] if coarse else n[0] * n[1]
        for r in range(k * rows // blocks, (k + 1) * rows // blocks):
            if what == WEIGHTS:
                _weights_row(
                    D, S, W, inside, a[10] != 0, hs, ws, ops, r // n_c[1], r % n_c[1], n, n_c, stride, stride_c,
                    first, halved, wraps,
                )  # fmt: skip
            elif what == PRODUCT:
                _product_row(
                    D, S, W, D_c, S_c, hs, ws, hs_c, ops, r // n_c[1], r % n_c[1], n, n_c, stride, stride_c,
                    first, halved, wraps,
                )  # fmt: skip
            elif what == ROOT:
                _root_row(R[r * stride :], D[r * stride :], n[2], wraps[2])
            elif what == UNIT:
                for m in range(ops.shape[0]):
                    op, at = ops[m], r * stride + LEFT
                    other = _row(r // n[1] + op[2], r % n[1] + op[3], n[0], n[1], wraps[0], wraps[1])
                    out = small[op[1] * hs + at :]
                    w = R[(other if other >= 0 else r) * stride + LEFT + op[4] :]
                    _scale(out, S[op[1] * hs + at :], R[at:], w, n[2], 1)
                    fill(small[op[1] * hs + at - LEFT :], n[2], wraps[2])
            else:
                for m in range(ops.shape[0]):
                    op, at = ops[m], r * stride_c + LEFT
                    I, J = r // n_c[1], r % n_c[1]
                    i = (2 * I + first[0] if halved[0] else I) + op[2]
                    j = (2 * J + first[1] if halved[1] else J) + op[3]
                    row = _row(i, j, n[0], n[1], wraps[0], wraps[1])
                    out = small[op[1] * ws + at :]
                    w = R[(row if row >= 0 else 0) * stride + LEFT + first[2] + op[4] :]
                    _unscale(out, W[op[1] * ws + at :], R_c[at:], w, n_c[2], 2 if halved[2] else 1)
                    fill(small[op[1] * ws + at - LEFT :], n_c[2], wraps[2])

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
