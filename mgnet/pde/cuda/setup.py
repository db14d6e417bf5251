# mypy: ignore-errors
"""The set-up of the black-box hierarchy, from one grid to the next, in float64.

    weights     W_delta(I) = sum_part a_part(i) W_{delta + part}(I) / (m + sum a_o),     i = I + delta
    product     A_c(I, I + O) = sum W_delta(I) A(i, j) W_epsilon(I + O)
    unit        s_o(i) / sqrt(d_i d_{i+o})
    scaled      W_delta(I) sqrt(d_i / D_I)

A program computes one W, entry of A_c, s or W for a tile of one plane. What it sums is a list of steps, made from
the equations by ``kernels.stencil_tables``; so one kernel serves every dimension, stencil and choice of halved
axes. Triples are of the array axes (n0, n1, n2), two dimensions have n0 = 1.
"""

import triton
import triton.language as tl

from mgnet.pde.cuda.stencil import fine_of, moved, neighbour, tile_of, unknowns
from mgnet.pde.cuda.steps import WIDTH as _WIDTH

WIDTH = tl.constexpr(_WIDTH)


@triton.jit
def triple(at):
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def all_moved(place, o, shape, WRAPS: tl.constexpr):
    """(where the unknowns ``place`` + o lie in an array, whether there are such)."""
    i, there0 = moved(place[0], o[0], shape[0], WRAPS[0])
    y, there1 = moved(place[1], o[1], shape[1], WRAPS[1])
    x, there2 = moved(place[2], o[2], shape[2], WRAPS[2])
    return (i.to(tl.int64) * shape[1] + y) * shape[2] + x, there0 & there1 & there2


@triton.jit
def between(i, delta, n, SEAM: tl.constexpr):
    """Whether i + delta, beside the coarse unknown i, is not coarse itself: across a seam it is."""
    if SEAM:
        return (i + delta >= 0) & (i + delta < n)
    else:
        return i >= 0


@triton.jit
def crosses(I, o, n_c, SEAM: tl.constexpr):
    """Whether the way from the coarse unknown I to I + o leads across a seam."""
    if SEAM:
        return ((o > 0) & (I == n_c - 1)) | ((o < 0) & (I == 0))
    else:
        return I < 0


@triton.jit
def weights(
    D, S, W, steps, begin, neighbours, sizes, coarse, first, members,
    HALVED: tl.constexpr, WRAPS: tl.constexpr, SEAMS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Those W whose deltas have as many steps; those with fewer are there.

    Parameters
    ----------
    D, S, W : (members, *grid), (offsets, members, *grid), (deltas, members, *coarse grid)
    steps : of ``weight_steps`` without the first, neighbours + 2 a delta;   begin : the first delta's number there
    SEAMS : whether the last and the first coarse unknown of an axis are neighbours on the fine grid
    """
    member, place, here, inside, shape = tile_of(coarse, TILE)
    n = triple(sizes)
    N, N_c = unknowns(n), unknowns(shape)
    D, S, W = D + member * N, S + member * N, W + member * N_c + here
    step = steps + (begin + tl.program_id(1)) * (neighbours + 2) * WIDTH
    delta, fine = triple(step + 2), fine_of(place, first, HALVED)
    at, there = all_moved(fine, delta, n, WRAPS)
    there &= between(fine[0], delta[0], n[0], SEAMS[0]) & between(fine[1], delta[1], n[1], SEAMS[1])
    there &= between(fine[2], delta[2], n[2], SEAMS[2]) & inside
    m = tl.load(D + at, mask=there, other=0.0)
    total, ways = 0.0 * m, 0.0 * m
    for k in range(1, neighbours + 1):
        op = step + k * WIDTH
        at, stored = all_moved(fine, triple(op + 2), n, WRAPS)
        s = tl.load(S + tl.load(op + 1) * members * N + at, mask=there & stored, other=0.0)
        leads, positive = tl.load(op + 5), tl.maximum(s, 0.0)
        m -= s
        ways += tl.where(leads > 0, positive, 0.0)
        w = tl.load(W + tl.load(op + 6) * members * N_c, mask=inside, other=0.0)
        total += tl.where(leads == 2, positive * w, 0.0)
    d = tl.maximum(m, 0.0) + ways
    w = tl.where(there & (d > 0), total / tl.where(d > 0, d, 1.0), 0.0)
    tl.store(W + tl.load(step + 1) * members * N_c, w, mask=inside)


@triton.jit
def product(
    A, W, out, steps, bounds, sizes, coarse, first, members,
    HALVED: tl.constexpr, WRAPS: tl.constexpr, SEAMS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """The diagonal of A_c and its couplings.

    Parameters
    ----------
    A, out : (1 + offsets, members, *grid), the diagonal and minus the couplings
    steps, bounds : of ``product_steps``, and where the steps of each entry begin
    """
    member, place, here, inside, shape = tile_of(coarse, TILE)
    n = triple(sizes)
    N, N_c = unknowns(n), unknowns(shape)
    A, W = A + member * N, W + member * N_c
    fine, entry = fine_of(place, first, HALVED), tl.program_id(1)
    total = tl.zeros(TILE, dtype=tl.float64)
    for k in range(tl.load(bounds + entry), tl.load(bounds + entry + 1)):
        op = steps + k * WIDTH
        O, bits = triple(op + 7), tl.load(op + 10)
        at, there = all_moved(fine, triple(op + 2), n, WRAPS)
        other, neighbours = all_moved(place, O, shape, WRAPS)
        ways = crosses(place[0], O[0], shape[0], SEAMS[0]).to(tl.int32)
        ways += 2 * crosses(place[1], O[1], shape[1], SEAMS[1]).to(tl.int32)
        ways = ways + 4 * crosses(place[2], O[2], shape[2], SEAMS[2]).to(tl.int32)
        there &= inside & neighbours & (ways == bits)
        a = tl.load(A + (tl.load(op + 1) + 1) * members * N + at, mask=there, other=0.0)
        w = tl.load(W + tl.load(op + 5) * members * N_c + here, mask=there, other=0.0)
        total += w * a * tl.load(W + tl.load(op + 6) * members * N_c + other, mask=there, other=0.0)
    tl.store(out + (entry * members + member) * N_c + here, total, mask=inside)


@triton.jit
def unit(S, R, out, sizes, members, OFFSETS: tl.constexpr, TILE: tl.constexpr):
    """The couplings of D^-1/2 A D^-1/2, where R = D^-1/2."""
    member, place, here, inside, shape = tile_of(sizes, TILE)
    size = unknowns(shape)
    here += member * size
    r = tl.load(R + here, mask=inside, other=0.0)
    for k in tl.static_range(len(OFFSETS)):
        d = neighbour(place, shape, OFFSETS[k][0], OFFSETS[k][1], OFFSETS[k][2])
        s = tl.load(S + k * members * size + here, mask=inside, other=0.0)
        tl.store(out + k * members * size + here, r * s * tl.load(R + here + d, mask=inside, other=0.0), mask=inside)


@triton.jit
def scaled(
    W, R, R_c, out, deltas, sizes, coarse, first, members,
    HALVED: tl.constexpr, WRAPS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """The weights between the unit forms; deltas : three numbers each."""
    member, place, here, inside, shape = tile_of(coarse, TILE)
    n = triple(sizes)
    coarse_size = unknowns(shape)
    at, there = all_moved(fine_of(place, first, HALVED), triple(deltas + 3 * tl.program_id(1)), n, WRAPS)
    R += member * unknowns(n)
    r = tl.load(R + at, mask=inside & there, other=1.0)
    here += member * coarse_size
    own = tl.program_id(1) * members * coarse_size + here
    w = tl.load(W + own, mask=inside, other=0.0) * tl.load(R_c + here, mask=inside, other=0.0)
    tl.store(out + own, w / r, mask=inside)
