# mypy: ignore-errors
"""Stencils of any coefficients, and operator-induced transfers, each a kernel that reads what it needs.

    product     A v,  (A v)_i = d_i v_i - sum_o s_o(i) v_{i+o} + s_o(i-o) v_{i-o}      over positive offsets o
    residual    f - A v
    step        v + omega (f - A v)

A program computes a tile of one plane of (batch, n0, n1, n2); two dimensions have n0 = 1. Neighbours
come from the cache. Indices wrap around; where an axis does not, the stencil holds a 0.
"""

import triton
import triton.language as tl

PRODUCT, RESIDUAL, STEP, TWO_STEPS = (tl.constexpr(k) for k in range(4))


@triton.jit
def tile_of(sizes, TILE: tl.constexpr):
    """(member, plane, rows, columns, shape) of this program's tile."""
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    across, along = (n2 + TILE[1] - 1) // TILE[1], (n1 + TILE[0] - 1) // TILE[0]
    program = tl.program_id(0)
    x = program % across * TILE[1] + tl.arange(0, TILE[1])[None, :]
    y = program // across % along * TILE[0] + tl.arange(0, TILE[0])[:, None]
    plane = program // (across * along)
    return (plane // n0).to(tl.int64), plane % n0 + 0 * y, y, x, (n0, n1, n2)


@triton.jit
def place(i, y, x, shape, o0, o1, o2):
    """Where (i + o0, y + o1, x + o2) lies in an array, wrapped."""
    i = (i + o0 + shape[0]) % shape[0]
    y = (y + o1 + shape[1]) % shape[1]
    return (i.to(tl.int64) * shape[1] + y) * shape[2] + (x + o2 + shape[2]) % shape[2]


@triton.jit
def apply(
    v, f, out, D, S, omegas, sizes, members,
    OFFSETS: tl.constexpr, WHAT: tl.constexpr, UNIT: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Product, residual or step.

    Parameters
    ----------
    v, f, out : (batch, *grid);   D : (members, *grid), not read if UNIT (a diagonal of ones)
    S : (offsets, members, *grid);   members : 1 or batch;   OFFSETS : the positive ones, three numbers each
    omegas : (1,) of a step; (2,) of TWO_STEPS, which begin with zero: v is f then
    """
    member, i, y, x, shape = tile_of(sizes, TILE)
    inside = (y < shape[1]) & (x < shape[2])
    size = shape[0].to(tl.int64) * shape[1] * shape[2]
    here = place(i, y, x, shape, 0, 0, 0)
    v += member * size
    own = member % members * size
    centre = tl.load(v + here, mask=inside, other=0.0)
    total = centre if UNIT else centre * tl.load(D + own + here, mask=inside, other=0.0)
    for k in tl.static_range(len(OFFSETS)):
        after = place(i, y, x, shape, OFFSETS[k][0], OFFSETS[k][1], OFFSETS[k][2])
        before = place(i, y, x, shape, -OFFSETS[k][0], -OFFSETS[k][1], -OFFSETS[k][2])
        s = S + k * members * size + own
        total -= tl.load(s + here, mask=inside, other=0.0) * tl.load(v + after, mask=inside, other=0.0)
        total -= tl.load(s + before, mask=inside, other=0.0) * tl.load(v + before, mask=inside, other=0.0)
    if WHAT == RESIDUAL:
        total = tl.load(f + member * size + here, mask=inside, other=0.0) - total
    elif WHAT == STEP:
        total = centre + tl.load(omegas) * (tl.load(f + member * size + here, mask=inside, other=0.0) - total)
    elif WHAT == TWO_STEPS:
        first, second = tl.load(omegas), tl.load(omegas + 1)
        total = (first + second) * centre - first * second * total
    tl.store(out + member * size + here, total, mask=inside)


@triton.jit
def coarse_of(i, first, n_c, HALVED: tl.constexpr, SIDE: tl.constexpr, WRAPS: tl.constexpr):
    """(coarse index, delta + 1, whether there is one) of the coarse unknown at or before (SIDE 0) or after i."""
    if HALVED:
        ahead = i - first + 2  # not negative
        odd = ahead % 2
        I = ahead // 2 - 1 + SIDE
        if WRAPS:
            I = (I + n_c) % n_c
        there = (I >= 0) & (I < n_c)
        if SIDE == 1:
            there, delta = there & (odd == 1), 0 * odd
        else:
            delta = odd + 1
    else:
        I, delta, there = i, 0 * i, i >= 0
    return I, delta, there


@triton.jit
def interpolate(
    base, e, out, W, first, sizes, coarse, members,
    HALVED: tl.constexpr, WRAPS: tl.constexpr, PLUS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """out = base + P e: a fine unknown has up to two coarse neighbours along each halved axis.

    Parameters
    ----------
    base, out : (batch, *grid);   e : (batch, *coarse grid);   W : (deltas, members, *coarse grid)
    first : the first coarse unknown of each axis;   sizes, coarse : of the grids;   PLUS : there is a base
    """
    member, i, y, x, shape = tile_of(sizes, TILE)
    n0, n1, n2 = tl.load(coarse), tl.load(coarse + 1), tl.load(coarse + 2)
    inside = (y < shape[1]) & (x < shape[2])
    size, coarse_size = shape[0].to(tl.int64) * shape[1] * shape[2], n0.to(tl.int64) * n1 * n2
    here = place(i, y, x, shape, 0, 0, 0)
    total = tl.zeros(TILE, dtype=e.dtype.element_ty)
    if PLUS:
        total = tl.load(base + member * size + here, mask=inside, other=0.0)
    for p in tl.static_range(2 if HALVED[0] else 1):
        I, d0, there0 = coarse_of(i, tl.load(first), n0, HALVED[0], p, WRAPS[0])
        for q in tl.static_range(2 if HALVED[1] else 1):
            J, d1, there1 = coarse_of(y, tl.load(first + 1), n1, HALVED[1], q, WRAPS[1])
            for k in tl.static_range(2 if HALVED[2] else 1):
                K, d2, there2 = coarse_of(x, tl.load(first + 2), n2, HALVED[2], k, WRAPS[2])
                delta = (d0 * (3 if HALVED[1] else 1) + d1) * (3 if HALVED[2] else 1) + d2
                there = inside & there0 & there1 & there2
                at = (I.to(tl.int64) * n1 + J) * n2 + K
                w = tl.load(W + (delta * members + member % members) * coarse_size + at, mask=there, other=0.0)
                total += w * tl.load(e + member * coarse_size + at, mask=there, other=0.0)
    tl.store(out + member * size + here, total, mask=inside)


@triton.jit
def restrict(r, out, W, first, sizes, coarse, members, HALVED: tl.constexpr, TILE: tl.constexpr):
    """out = P^T r; arrays as for ``interpolate``."""
    member, I, J, K, shape = tile_of(coarse, TILE)
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    inside = (J < shape[1]) & (K < shape[2])
    size, coarse_size = n0.to(tl.int64) * n1 * n2, shape[0].to(tl.int64) * shape[1] * shape[2]
    here = place(I, J, K, shape, 0, 0, 0)
    i = I * 2 + tl.load(first) if HALVED[0] else I
    y = J * 2 + tl.load(first + 1) if HALVED[1] else J
    x = K * 2 + tl.load(first + 2) if HALVED[2] else K
    total = tl.zeros(TILE, dtype=r.dtype.element_ty)
    for p in tl.static_range(3 if HALVED[0] else 1):
        for q in tl.static_range(3 if HALVED[1] else 1):
            for k in tl.static_range(3 if HALVED[2] else 1):
                delta = (p * (3 if HALVED[1] else 1) + q) * (3 if HALVED[2] else 1) + k
                w = tl.load(W + (delta * members + member % members) * coarse_size + here, mask=inside, other=0.0)
                o0, o1, o2 = p - 1 if HALVED[0] else 0, q - 1 if HALVED[1] else 0, k - 1 if HALVED[2] else 0
                at = place(i, y, x, (n0, n1, n2), o0, o1, o2)
                total += w * tl.load(r + member * size + at, mask=inside, other=0.0)
    tl.store(out + member * coarse_size + here, total, mask=inside)
