# mypy: ignore-errors
"""The passes of conjugate gradients over the finest grid; sums are of each program, in float64.

    direct     out = z + beta p;  (out, A out)                           in the precision of the levels
    step       out = x + alpha s p,  r = s (b - A out) / size;  ||b - A out||^2, (r, p)    x, b, A in the data's;
               s = D^-1/2
    dot        (v, w)

Programs are as those of ``stencil.py``. What is written lies elsewhere than what its neighbours read.
"""

import triton
import triton.language as tl

from mgnet.pde.cuda.stencil import neighbour, tile_of, unknowns


@triton.jit
def direct(
    z, p, out, beta, S, sums, sizes, members,
    OFFSETS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """The next direction; A has a unit diagonal.

    Parameters
    ----------
    z, p, out : (batch, *grid);   beta : (batch,);   S : (offsets, members, *grid);   members : 1 or batch
    sums : (batch, programs of a member)
    """
    member, place, here, inside, shape = tile_of(sizes, TILE)
    size = unknowns(shape)
    own, here = member % members * size + here, member * size + here
    b = tl.load(beta + member)
    centre = tl.load(z + here, mask=inside, other=0.0) + b * tl.load(p + here, mask=inside, other=0.0)
    total = centre
    for k in tl.static_range(len(OFFSETS)):
        s = S + k * members * size + own
        d = neighbour(place, shape, OFFSETS[k][0], OFFSETS[k][1], OFFSETS[k][2])
        v = tl.load(z + here + d, mask=inside, other=0.0) + b * tl.load(p + here + d, mask=inside, other=0.0)
        total -= tl.load(s, mask=inside, other=0.0) * v
        d = neighbour(place, shape, -OFFSETS[k][0], -OFFSETS[k][1], -OFFSETS[k][2])
        v = tl.load(z + here + d, mask=inside, other=0.0) + b * tl.load(p + here + d, mask=inside, other=0.0)
        total -= tl.load(s + d, mask=inside, other=0.0) * v
    tl.store(out + here, centre, mask=inside)
    tl.store(sums + tl.program_id(0), tl.sum(centre.to(tl.float64) * total))


@triton.jit
def advanced(x, p, s, alpha, inside, kind: tl.constexpr, GIVEN: tl.constexpr):
    """x + alpha s p, rounded to a dtype, as it is kept."""
    v = alpha * tl.load(s, mask=inside, other=0.0) * tl.load(p, mask=inside, other=0.0)
    return (tl.load(x, mask=inside, other=0.0) + v if GIVEN else v).to(kind)


@triton.jit
def step(
    x, p, out, r, b, alpha, size, scale, excess, S, sums, sizes, members,
    GIVEN: tl.constexpr, OFFSETS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """The next iterate and its residual, b - (A 1) x + the couplings times differences of x.

    Parameters
    ----------
    x, p, out, r, b : (batch, *grid);   x is not read unless GIVEN;   alpha, size : (batch,)
    scale, excess : (members, *grid), D^-1/2 and A 1;   S : (offsets, members, *grid);   members : 1 or batch
    sums : (2, batch, programs of a member)
    """
    member, place, here, inside, shape = tile_of(sizes, TILE)
    N = unknowns(shape)
    own, here = member % members * N + here, member * N + here
    a, s = tl.load(alpha + member), scale + own
    x, p = x + here, p + here
    kind: tl.constexpr = out.dtype.element_ty
    centre = advanced(x, p, s, a, inside, kind, GIVEN)
    fluxes = tl.zeros_like(centre)
    for k in tl.static_range(len(OFFSETS)):
        coupling = S + k * members * N + own
        d = neighbour(place, shape, OFFSETS[k][0], OFFSETS[k][1], OFFSETS[k][2])
        v = advanced(x + d, p + d, s + d, a, inside, kind, GIVEN)
        fluxes += tl.load(coupling, mask=inside, other=0.0) * (v - centre)
        d = neighbour(place, shape, -OFFSETS[k][0], -OFFSETS[k][1], -OFFSETS[k][2])
        v = advanced(x + d, p + d, s + d, a, inside, kind, GIVEN)
        fluxes += tl.load(coupling + d, mask=inside, other=0.0) * (v - centre)
    total = tl.load(b + here, mask=inside, other=0.0) + fluxes - tl.load(excess + own, mask=inside, other=0.0) * centre
    tl.store(out + here, centre, mask=inside)
    residual = (tl.load(s, mask=inside, other=0.0) * total / tl.load(size + member)).to(r.dtype.element_ty)
    tl.store(r + here, residual, mask=inside)
    along = residual.to(tl.float64) * tl.load(p, mask=inside, other=0.0)
    tl.store(sums + tl.program_id(0), tl.sum(total.to(tl.float64) * total))
    tl.store(sums + tl.num_programs(0) + tl.program_id(0), tl.sum(along))


@triton.jit
def dot(v, w, sums, N, BLOCK: tl.constexpr):
    """Inner products of the members, (batch, N) each; sums : (batch, blocks of a member)."""
    blocks = (N + BLOCK - 1) // BLOCK
    program = tl.program_id(0)
    i = program % blocks * BLOCK + tl.arange(0, BLOCK)
    at = (program // blocks).to(tl.int64) * N + i
    total = tl.load(v + at, mask=i < N, other=0.0).to(tl.float64) * tl.load(w + at, mask=i < N, other=0.0)
    tl.store(sums + program, tl.sum(total))
