# mypy: ignore-errors
"""Stencils of any coefficients, and operator-induced transfers, each a kernel that reads what it needs.

    product     A v,  (A v)_i = d_i v_i - sum_o s_o(i) v_{i+o} + s_o(i-o) v_{i-o}      over positive offsets o
    differences the same as (A 1)_i v_i - sum_o s_o(i) (v_{i+o} - v_i) + s_o(i-o) (v_{i-o} - v_i), which rounds nothing away
    residual    f - A v
    step        v + omega (f - A v)

A program computes a tile of one plane of (batch, n0, n1, n2); two dimensions have n0 = 1. Neighbours
come from the cache; axes wrap around, and where one does not, the stencil holds a 0. Instructions, not
memory, bound these kernels: what an axis adds to a neighbour's address is found once for rows and columns.
"""

import triton
import triton.language as tl

PRODUCT, RESIDUAL, STEP, TWO_STEPS, DIFFERENCES = (tl.constexpr(k) for k in range(5))


@triton.jit
def tile_of(sizes, TILE: tl.constexpr):
    """(member, (plane, rows, columns), where they lie in an array, which are in it, shape) of this program's tile."""
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    across, along = (n2 + TILE[1] - 1) // TILE[1], (n1 + TILE[0] - 1) // TILE[0]
    program = tl.program_id(0)
    x0, lane = program % across * TILE[1], tl.arange(0, TILE[1])[None, :]
    y = program // across % along * TILE[0] + tl.arange(0, TILE[0])[:, None]
    plane = program // (across * along)
    i = plane % n0 + 0 * y
    here = (i.to(tl.int64) * n1 + y) * n2 + x0 + lane.to(tl.int64)
    inside = (y < n1) & (x0 + lane < n2)
    return (plane // n0).to(tl.int64), (i, y, x0 + lane), here, inside, (n0, n1, n2)


@triton.jit
def unknowns(shape):
    """How many there are."""
    return shape[0].to(tl.int64) * shape[1] * shape[2]


@triton.jit
def beside(i, n, O: tl.constexpr):
    """How far from i lies i + O, wrapped."""
    if O > 0:
        return tl.where(i == n - 1, 1 - n, 1)
    elif O < 0:
        return tl.where(i == 0, n - 1, -1)
    else:
        return 0


@triton.jit
def neighbour(place, shape, O0: tl.constexpr, O1: tl.constexpr, O2: tl.constexpr):
    """How far from the unknowns ``place`` lie ``place`` + O in an array."""
    n0, n1, n2 = shape
    rows = beside(place[0], n0, O0) * n1.to(tl.int64) + beside(place[1], n1, O1)
    return rows * n2 + beside(place[2], n2, O2)


@triton.jit
def apply(
    v, f, out, D, S, omegas, sizes, members,
    OFFSETS: tl.constexpr, WHAT: tl.constexpr, UNIT: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Product, residual or step.

    Parameters
    ----------
    v, f, out : (batch, *grid);   D : (members, *grid), A 1 of DIFFERENCES; not read if UNIT (a diagonal of ones)
    S : (offsets, members, *grid);   members : 1 or batch;   OFFSETS : the positive ones, three numbers each
    omegas : (1,) of a step; (2,) of TWO_STEPS, which begin with zero: v is f then
    """
    member, place, here, inside, shape = tile_of(sizes, TILE)
    size = unknowns(shape)
    own, here = member % members * size + here, member * size + here
    centre = tl.load(v + here, mask=inside, other=0.0)
    total = centre if UNIT else centre * tl.load(D + own, mask=inside, other=0.0)
    origin = centre if WHAT == DIFFERENCES else tl.zeros_like(centre)
    for k in tl.static_range(len(OFFSETS)):
        s = S + k * members * size + own
        after = neighbour(place, shape, OFFSETS[k][0], OFFSETS[k][1], OFFSETS[k][2])
        before = neighbour(place, shape, -OFFSETS[k][0], -OFFSETS[k][1], -OFFSETS[k][2])
        total -= tl.load(s, mask=inside, other=0.0) * (tl.load(v + here + after, mask=inside, other=0.0) - origin)
        total -= tl.load(s + before, mask=inside, other=0.0) * (
            tl.load(v + here + before, mask=inside, other=0.0) - origin
        )
    if WHAT == RESIDUAL:
        total = tl.load(f + here, mask=inside, other=0.0) - total
    elif WHAT == STEP:
        total = centre + tl.load(omegas) * (tl.load(f + here, mask=inside, other=0.0) - total)
    elif WHAT == TWO_STEPS:
        first, second = tl.load(omegas), tl.load(omegas + 1)
        total = (first + second) * centre - first * second * total
    tl.store(out + here, total, mask=inside)


@triton.jit
def moved(i, o, n, WRAPS: tl.constexpr):
    """(i + o, whether there is such an unknown); at most n beyond the ends."""
    j = i + o
    if WRAPS:
        j = tl.where(j < 0, j + n, tl.where(j >= n, j - n, j))
    return j, (j >= 0) & (j < n)


@triton.jit
def fine_of(place, first, HALVED: tl.constexpr):
    """The fine indices of coarse unknowns."""
    i = place[0] * 2 + tl.load(first) if HALVED[0] else place[0]
    y = place[1] * 2 + tl.load(first + 1) if HALVED[1] else place[1]
    x = place[2] * 2 + tl.load(first + 2) if HALVED[2] else place[2]
    return i, y, x


@triton.jit
def coarse_of(i, first, n_c, HALVED: tl.constexpr, SIDE: tl.constexpr, WRAPS: tl.constexpr):
    """(coarse index, delta + 1, whether there is one) of the coarse unknown at or before (SIDE 0) or after i."""
    if not HALVED:
        return i, 0 * i, i >= 0
    odd = (i - first) & 1
    I, there = moved((i - first) >> 1, SIDE, n_c, WRAPS)
    if SIDE == 1:
        return I, 0 * odd, there & (odd == 1)
    else:
        return I, odd + 1, there


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
    member, place, here, inside, shape = tile_of(sizes, TILE)
    n0, n1, n2 = tl.load(coarse), tl.load(coarse + 1), tl.load(coarse + 2)
    here += member * unknowns(shape)
    coarse_size = unknowns((n0, n1, n2))
    e += member * coarse_size
    W += member % members * coarse_size
    total = tl.zeros(TILE, dtype=e.dtype.element_ty)
    if PLUS:
        total = tl.load(base + here, mask=inside, other=0.0)
    for p in tl.static_range(2 if HALVED[0] else 1):
        I, d0, there0 = coarse_of(place[0], tl.load(first), n0, HALVED[0], p, WRAPS[0])
        for q in tl.static_range(2 if HALVED[1] else 1):
            J, d1, there1 = coarse_of(place[1], tl.load(first + 1), n1, HALVED[1], q, WRAPS[1])
            for k in tl.static_range(2 if HALVED[2] else 1):
                K, d2, there2 = coarse_of(place[2], tl.load(first + 2), n2, HALVED[2], k, WRAPS[2])
                delta = (d0 * (3 if HALVED[1] else 1) + d1) * (3 if HALVED[2] else 1) + d2
                there = inside & there0 & there1 & there2
                at = (I.to(tl.int64) * n1 + J) * n2 + K
                w = tl.load(W + delta * (members * coarse_size) + at, mask=there, other=0.0)
                total += w * tl.load(e + at, mask=there, other=0.0)
    tl.store(out + here, total, mask=inside)


@triton.jit
def restrict(r, out, W, first, sizes, coarse, members, HALVED: tl.constexpr, TILE: tl.constexpr):
    """out = P^T r; arrays as for ``interpolate``."""
    member, place, here, inside, shape = tile_of(coarse, TILE)
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    coarse_size = unknowns(shape)
    fine = fine_of(place, first, HALVED)
    r += member * unknowns((n0, n1, n2)) + (fine[0].to(tl.int64) * n1 + fine[1]) * n2 + fine[2]
    W += member % members * coarse_size + here
    total = tl.zeros(TILE, dtype=out.dtype.element_ty)
    for p in tl.static_range(3 if HALVED[0] else 1):
        for q in tl.static_range(3 if HALVED[1] else 1):
            for k in tl.static_range(3 if HALVED[2] else 1):
                delta = (p * (3 if HALVED[1] else 1) + q) * (3 if HALVED[2] else 1) + k
                w = tl.load(W + delta * members * coarse_size, mask=inside, other=0.0)
                d = neighbour(
                    fine, (n0, n1, n2),
                    p - 1 if HALVED[0] else 0, q - 1 if HALVED[1] else 0, k - 1 if HALVED[2] else 0,
                )  # fmt: skip
                total += w * tl.load(r + d, mask=inside, other=0.0)
    tl.store(out + member * coarse_size + here, total, mask=inside)
