"""One pass of a black-box level through memory: source -> nu steps -> iterate -> residual -> restriction.

As in ``wavefront``: planes (2-D: rows) travel through the stages, a task owns a block of planes and
computes the few around it again. Stencils have a unit diagonal, and vary from unknown to unknown.

    source     u, or zero;  plus P e
    step       u <- u + omega (f - A u)
    residual   r = f - A u
    restrict   f_c = P^T r
"""

from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, borrow, part, pointer
from mgnet.pde.kernels.stencil_rows import (
    LEFT,
    add_product,
    apply_row,
    clear,
    dot,
    fill,
    prolong_halved,
    restrict_halved,
    scale_row,
)

ARGUMENTS = 34


@part
def _parents(i, first, halved, wraps, n_c):
    """(coarse, 1 + delta) of the one or two coarse planes that fine plane i is interpolated from; -1: none."""
    if not halved:
        return i, 0, -1, 0
    d = i - first
    if d % 2 == 0:
        return d // 2, 1, -1, 0
    low, high = (d - 1) // 2, (d + 1) // 2
    if high >= n_c:
        high = 0 if wraps else -1
    return low, 2, high, 0


@part
def _prolong(row, e, W, ws, p, q, first, halved, wraps, n_c, stride_c):
    """row += (P e)[p, q]."""
    w1, w2 = 3 if halved[1] else 1, 3 if halved[2] else 1
    a0, d0, b0, f0 = _parents(p, first[0], halved[0], wraps[0], n_c[0])
    a1, d1, b1, f1 = _parents(q, first[1], halved[1], wraps[1], n_c[1])
    for k in range(4):
        I, delta0 = (a0, d0) if k < 2 else (b0, f0)
        J, delta1 = (a1, d1) if k % 2 == 0 else (b1, f1)
        if I < 0 or J < 0:
            continue
        at = (I * n_c[1] + J) * stride_c
        h = (delta0 * w1 + delta1) * w2 * ws + at
        if halved[2]:
            prolong_halved(row, e[at:], W[h:], W[h + ws :], W[h + 2 * ws :], first[2], n_c[2])
        else:
            add_product(row, W[h:], e[at:], n_c[2])


@part
def _restrict(out, ring, depth, base, plane, W, ws, I, first, halved, wraps, n, n_c, stride, stride_c):
    """out = (P^T r)[I] from the residual planes in a ring; zero weights reach outside."""
    w0, w1, w2 = 3 if halved[0] else 1, 3 if halved[1] else 1, 3 if halved[2] else 1
    i = 2 * I + first[0] if halved[0] else I
    for J in range(n_c[1]):
        row, at = out[J * stride_c :], (I * n_c[1] + J) * stride_c
        clear(row, n_c[2])
        for k0 in range(w0):
            p = i + k0 - 1 if halved[0] else i
            if not wraps[0] and (p < 0 or p >= n[0]):
                continue
            for k1 in range(w1):
                q = 2 * J + first[1] + k1 - 1 if halved[1] else J
                if wraps[1]:
                    q = q % n[1]
                if q < 0 or q >= n[1]:
                    continue
                r = ring[((p - base) % depth) * plane + q * stride :]
                h = (k0 * w1 + k1) * w2 * ws + at
                if halved[2]:
                    restrict_halved(row, r, W[h:], W[h + ws :], W[h + 2 * ws :], first[2], n_c[2])
                else:
                    add_product(row, W[h:], r, n_c[2])
        fill(row, n_c[2], wraps[2])


@part
def _task(
    u, e, f, out, f_c, S, W, steps, has, n, n_c, stride, stride_c, hs, ws, kind, first, halved, wraps, I0, I1, like
):
    """The pass over coarse planes [I0, I1) and the fine ones they own; returns (f, u) on those."""
    given, corrects, writes, restricts, sums = has
    n0, n1, n2 = n
    plane, nu, one = n1 * stride, steps.shape[0], like.dtype.type(1)
    zero = not given and not corrects
    i0, i1 = I0 * n0 // n_c[0], I1 * n0 // n_c[0]
    r0, r1 = i0, i1
    if restricts and halved[0]:
        r0, r1 = min(i0, 2 * I0 + first[0] - 1), max(i1, 2 * (I1 - 1) + first[0] + 2)
        if not wraps[0]:
            r0, r1 = max(r0, 0), min(r1, n0)
    halo = 1 if restricts else 0
    base, depth = r0 - halo - nu, 4
    owner = np.zeros((3 * (nu + 1) + depth) * plane + 3 * LEFT, like.dtype)
    ring = borrow(owner)
    rring = ring[3 * (nu + 1) * plane :]
    nothing = np.zeros(stride, like.dtype)
    zeros = borrow(nothing)
    direct = given and not corrects
    begin = 1 if direct or (zero and nu > 0) else 0
    total, next_coarse = 0.0, I0
    for t in range(base, r1 + halo + nu):
        for s in range(begin, nu + 1):
            p, reach = t - s, halo + nu - s
            lo, hi = r0 - reach, r1 + reach
            if not wraps[0]:
                lo, hi = max(lo, 0), min(hi, n0)
            if p < lo or p >= hi:
                continue
            pm, to = p % n0, (3 * s + (p - base) % 3) * plane
            into = s == nu and not restricts and writes
            pb = (p - 1) % n0 if wraps[0] or p > 0 else -1
            pa = (p + 1) % n0 if wraps[0] or p < n0 - 1 else -1
            src = u if s == 1 and direct else ring
            if s == 1 and direct:
                cur, bef, aft = pm * plane, pb * plane if pb >= 0 else -1, pa * plane if pa >= 0 else -1
            else:
                r = 3 * (s - 1)
                cur = (r + (p - base) % 3) * plane
                bef = (r + (p - 1 - base) % 3) * plane if pb >= 0 else -1
                aft = (r + (p + 1 - base) % 3) * plane if pa >= 0 else -1
            for q in range(n1):
                row = out[pm * plane + q * stride :] if into else ring[to + q * stride :]
                at = pm * plane + q * stride
                if s == 0:
                    if given:
                        scale_row(row, one, u[at:], n2)
                    else:
                        clear(row, n2)
                    if corrects:
                        _prolong(row, e, W, ws, pm, q, first, halved, wraps, n_c, stride_c)
                elif s == 1 and zero:
                    scale_row(row, steps[0], f[at:], n2)
                else:
                    omega = steps[s - 1]
                    apply_row(
                        row, one - omega, omega, f[at:], src, cur, bef, aft, S, hs,
                        pm * plane, pb * plane, q, n1, wraps[1], n2, stride, kind, zeros,
                    )  # fmt: skip
                fill(row, n2, wraps[2])
                if s == nu and i0 <= p < i1:
                    if writes and not into:
                        scale_row(out[at:], one, row, n2)
                        fill(out[at:], n2, wraps[2])
                    if sums:
                        total += dot(f[at:], row, n2)
        p = t - nu - 1
        if not restricts or p < r0 or p >= r1:
            continue
        pm, to = p % n0, ((p - r0) % depth) * plane
        pb = (p - 1) % n0 if wraps[0] or p > 0 else -1
        pa = (p + 1) % n0 if wraps[0] or p < n0 - 1 else -1
        src = u if direct and nu == 0 else ring
        if direct and nu == 0:
            cur, bef, aft = pm * plane, pb * plane if pb >= 0 else -1, pa * plane if pa >= 0 else -1
        else:
            cur = (3 * nu + (p - base) % 3) * plane
            bef = (3 * nu + (p - 1 - base) % 3) * plane if pb >= 0 else -1
            aft = (3 * nu + (p + 1 - base) % 3) * plane if pa >= 0 else -1
        for q in range(n1):
            row, at = rring[to + q * stride :], pm * plane + q * stride
            if zero and nu == 0:
                scale_row(row, one, f[at:], n2)
            else:
                apply_row(
                    row, -one, one, f[at:], src, cur, bef, aft, S, hs,
                    pm * plane, pb * plane, q, n1, wraps[1], n2, stride, kind, zeros,
                )  # fmt: skip
            fill(row, n2, wraps[2])
        while next_coarse < I1:
            last = 2 * next_coarse + first[0] + 1 if halved[0] else next_coarse
            if not wraps[0]:
                last = min(last, n0 - 1)
            if last > p:
                break
            to_c = f_c[next_coarse * n_c[1] * stride_c :]
            _restrict(to_c, rring, depth, r0, plane, W, ws, next_coarse, first, halved, wraps, n, n_c, stride, stride_c)
            next_coarse += 1
    owner[0] = nothing[0] = 0  # alive until here
    return total


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the pass; task t is block t of (batch, planes). Arguments: see ``blackbox.FusedStencilLevel``."""
    like = np.zeros(1, dtype)

    def task(t, arguments):
        v = carray(arguments, ARGUMENTS)
        n, n_c = (v[10], v[11], v[12]), (v[14], v[15], v[16])
        stride, stride_c, blocks, own = v[13], v[17], v[31], v[20]
        b, k = t // blocks, t % blocks
        size, size_c = n[0] * n[1] * stride, n_c[0] * n_c[1] * stride_c
        hs, ws, bs = own * size, own * size_c, b if own > 1 else 0
        sums = carray(pointer(v[8]), (v[9] * blocks,), np.float64)
        whole = 27 * (own * size + own * size_c)
        sums[t] = _task(
            carray(pointer(v[0] + b * size * itemsize), (size,), dtype),
            carray(pointer(v[1] + b * size_c * itemsize), (size_c,), dtype),
            carray(pointer(v[2] + b * size * itemsize), (size,), dtype),
            carray(pointer(v[3] + b * size * itemsize), (size,), dtype),
            carray(pointer(v[4] + b * size_c * itemsize), (size_c,), dtype),
            carray(pointer(v[5] + bs * size * itemsize), (whole,), dtype),
            carray(pointer(v[6] + bs * size_c * itemsize), (whole,), dtype),
            carray(pointer(v[7]), (v[18],), dtype),
            (v[0] != 0, v[1] != 0, v[3] != 0, v[4] != 0, v[30] != 0),
            n, n_c, stride, stride_c, hs, ws, v[19],
            (v[24], v[25], v[26]), (v[21] != 0, v[22] != 0, v[23] != 0), (v[27] != 0, v[28] != 0, v[29] != 0),
            k * n_c[0] // blocks, (k + 1) * n_c[0] // blocks, like,
        )  # fmt: skip

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
