# mypy: ignore-errors
# ruff: noqa: RUF005
# (Triton compiles what it can read: no unpacking of tuples, and tuples that grow)
"""One pass through memory: source -> nu steps -> iterate -> residual -> restriction.

The three verbs of a level are this pass with stages left out. A program owns a block of the grid, and
marches through its planes (2-D: rows): when plane t enters, step s works on plane t - s and the
residual on plane t - nu - 1. A plane is a tile in registers, three of them a stage, so every array is
read or written once; what a program needs around its block it computes again, and programs share
nothing. Arrays are (batch, n0, n1, n2); two dimensions have n1 = 1.

    source     u, or the interpolant Q guess, or zero;  plus P e
    step       u <- u + scale (f / w - L u)              A = w L, w the shares of a cell
    relax      u <- omega u + (1 - omega) u_0, where u_0 is the iterate that the cycle began with
    residual   r = f - w L u, in differences of neighbours
    restrict   f_c = R r

No stage knows a boundary. L is a sum of three-point rows, one table an axis, and at an end its couplings
already hold the ghost values; all indices wrap around, and meet a coupling 0 where the axis does not.

Tables, each a tuple with an entry per axis: ``lines`` (5, n) lower and upper coupling, centre, share, and the
row's sum, what c and an end add (the centre would round it away beside 2 a / h^2);
``P``, ``Q``, ``R`` (start, weights) as ``Table``; ``parts`` (blocks, 6) as ``tables.parts``.
"""

import triton
import triton.language as tl

from mgnet.pde.cuda.planes import added, interpolant, place, restrict, wrap

AHEAD = tl.constexpr(2)  # planes that are on their way from memory


@triton.jit
def row_of(line, p, n):
    """(lower and upper coupling, centre, share, sum) of plane p."""
    return (
        tl.load(line + p), tl.load(line + n + p), tl.load(line + 2 * n + p), tl.load(line + 3 * n + p),
        tl.load(line + 4 * n + p),
    )  # fmt: skip


@triton.jit
def differences_beside(v, near):
    """The differences of the neighbours in a plane from v, weighted by their couplings."""
    k, at = near[0], near[1]
    total = k[0] * (tl.gather(v, at[0], 1) - v) + k[1] * (tl.gather(v, at[1], 1) - v)
    if v.shape[0] > 1:
        total += k[2] * (tl.gather(v, at[2], 0) - v) + k[3] * (tl.gather(v, at[3], 0) - v)
    return total


@triton.jit
def beside(v, near):
    """The neighbours in a plane, weighted by their couplings."""
    k, at = near[0], near[1]
    total = k[0] * tl.gather(v, at[0], 1) + k[1] * tl.gather(v, at[1], 1)
    if v.shape[0] > 1:
        total += k[2] * tl.gather(v, at[2], 0) + k[3] * tl.gather(v, at[3], 0)
    return total


@triton.jit
def copies(v, N: tl.constexpr):
    """N times v."""
    out = (v,)
    for _ in tl.static_range(N - 1):
        out = out + (v,)
    return out


@triton.jit
def shapes(sizes):
    """n0, n1, n2 of the fine grid, and those of the coarse one."""
    nc = (tl.load(sizes + 3), tl.load(sizes + 4), tl.load(sizes + 5))
    return tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2), nc


@triton.jit
def part_of(parts, sizes):
    """(member, per axis what ``parts`` says of the block) of this program."""
    blocks0, blocks1, blocks2 = tl.load(sizes + 6), tl.load(sizes + 7), tl.load(sizes + 8)
    program = tl.program_id(0)
    part0 = parts[0] + program // (blocks1 * blocks2) % blocks0 * 6
    part1, part2 = parts[1] + program // blocks2 % blocks1 * 6, parts[2] + program % blocks2 * 6
    return (program // (blocks0 * blocks1 * blocks2)).to(tl.int64), (part0, part1, part2)


@triton.jit
def indices(part, i, n):
    """(the indices i of a tile along an axis, around it, and which of them are this program's own)."""
    at = tl.load(part) + i
    return wrap(at, n), (at >= tl.load(part + 1)) & (at < tl.load(part + 2))


@triton.jit
def planes_of(part):
    """(first plane, this program's own from and to, coarse ones from and to, end of the march)."""
    return (
        tl.load(part), tl.load(part + 1), tl.load(part + 2), tl.load(part + 3), tl.load(part + 4), tl.load(part + 5)
    )  # fmt: skip


@triton.jit
def coarse_tile(part, COARSE: tl.constexpr):
    """Per axis of a plane (first index of the tile, end of this program's coarse indices, these)."""
    return (
        (tl.load(part[1]), tl.load(part[1] + 4), tl.load(part[1] + 3) + tl.arange(0, COARSE[0])[:, None]),
        (tl.load(part[2]), tl.load(part[2] + 4), tl.load(part[2] + 3) + tl.arange(0, COARSE[1])[None, :]),
    )


@triton.jit
def neighbours(lines, y, x, i, j, n1, n2, TILE: tl.constexpr):
    """(couplings, places in the tile) of an unknown's neighbours along the axes of a plane."""
    zero = tl.zeros(TILE, dtype=tl.int32)
    left, right = tl.maximum(j - 1, 0) + zero, tl.minimum(j + 1, TILE[1] - 1) + zero
    low, high = tl.maximum(i - 1, 0) + zero, tl.minimum(i + 1, TILE[0] - 1) + zero
    couplings = (
        tl.load(lines[2] + x), tl.load(lines[2] + n2 + x), tl.load(lines[1] + y), tl.load(lines[1] + n1 + y)
    )  # fmt: skip
    return couplings, (left, right, low, high)


@triton.jit
def in_planes(lines, y, x, n1, n2):
    """(centre, share, sum) of a tile's unknowns along the axes of a plane."""
    centre = tl.load(lines[1] + 2 * n1 + y) + tl.load(lines[2] + 2 * n2 + x)
    share = tl.load(lines[1] + 3 * n1 + y) * tl.load(lines[2] + 3 * n2 + x)
    return centre, share, tl.load(lines[1] + 4 * n1 + y) + tl.load(lines[2] + 4 * n2 + x)


@triton.jit
def ahead(v, base, n, size, inside, THERE: tl.constexpr, WRAPS: tl.constexpr):
    """The AHEAD planes of v from base on, if it is there."""
    planes = ()
    if THERE:
        for k in tl.static_range(AHEAD):
            planes = planes + (tl.load(v + place(base + k, n, WRAPS) * size + inside),)
    return planes


@triton.jit
def arrived(planes, at, empty, THERE: tl.constexpr):
    """(the planes from the next one on, with that from ``at``; the first one), or zero."""
    if THERE:
        return planes[1:] + (tl.load(at),), planes[0]
    else:
        return planes, empty


@triton.jit
def stepped(
    befores, middles, fs, rows, v, t, parity, n, centre, near, steps,
    NU: tl.constexpr, ZERO: tl.constexpr, OWN: tl.constexpr, COLOURED: tl.constexpr, WRAPS: tl.constexpr,
):  # fmt: skip
    """The steps after plane t has entered as v: step s + 1 works on plane t - s - 1, between befores[s] and v.

    Returns what the last one leaves, and all of them, each the middle plane of the next.
    """
    now = (v,)
    for s in tl.static_range(NU):
        diagonal, scale = centre + rows[s][2], tl.load(steps + 2 * s)
        if OWN:
            scale = scale / diagonal
        if COLOURED:
            colour = tl.load(steps + 2 * s + 1).to(tl.int32)
            scale = tl.where((place(t - s - 1, n, WRAPS) + parity) % 2 == colour, scale, 0.0)
        if s == 0 and ZERO:
            v = scale * fs[0]
        else:
            around = rows[s][0] * befores[s] + rows[s][1] * v + beside(middles[s], near)
            v = middles[s] + scale * (fs[s] - diagonal * middles[s] + around)
        now = now + (v,)
    return v, now


@triton.jit
def relaxed(v, begun, at, omega, own, TILE: tl.constexpr):
    """omega v + (1 - omega) u_0; of several rows those of others are not asked for, who may be writing them."""
    if TILE[0] == 1:
        v_0 = tl.load(begun + at)
    else:
        v_0 = tl.load(begun + at, mask=own, other=0.0)
    return v_0 + omega * (v - v_0)


@triton.jit
def residual_of(r, v, before, middle, row, excess, share, near, ZERO: tl.constexpr, WEIGHTED: tl.constexpr):
    """f - A u of a plane between ``before`` and v for r = f / w, in differences of neighbours; ZERO: u is."""
    if not ZERO:
        fluxes = row[0] * (before - middle) + row[1] * (v - middle)
        r += fluxes + differences_beside(middle, near)
        r -= (excess + row[4]) * middle
    if WEIGHTED:
        r = r * (share * row[3])
    return r


@triton.jit
def counted(sizes, own, y, x, lo, hi):
    """(which of a tile's own unknowns, the first plane, behind the last) have a residual that counts."""
    counts = own & (y >= tl.load(sizes + 11)) & (y < tl.load(sizes + 12))
    counts = counts & (x >= tl.load(sizes + 13)) & (x < tl.load(sizes + 14))
    return counts, tl.maximum(lo, tl.load(sizes + 9)), tl.minimum(hi, tl.load(sizes + 10))


@triton.jit
def march(
    u, guess, e, f, out, f_c, begun, sums, steps, omega, sizes, lines, P, Q, R, parts,
    TILE: tl.constexpr, COARSE: tl.constexpr, NU: tl.constexpr,
    FROM_U: tl.constexpr, FROM_Q: tl.constexpr, PLUS_P: tl.constexpr,
    OUT: tl.constexpr, RESTRICT: tl.constexpr, NORM: tl.constexpr, RELAX: tl.constexpr,
    COLOURED: tl.constexpr, WEIGHTED: tl.constexpr, OWN: tl.constexpr, WRAPS: tl.constexpr,
    PW: tl.constexpr, QW: tl.constexpr, RW: tl.constexpr,
):  # fmt: skip
    """The pass over one block.

    Parameters
    ----------
    u, f, out, begun : fine arrays, ``begun`` u_0;   guess, e, f_c : coarse ones
    sums : (programs,) of squared residuals;   omega : of relaxing
    steps : (NU, 2) scale and colour of each step;   sizes : n0 n1 n2 nc0 nc1 nc2, blocks along each axis, and per axis
        the unknowns [from, to) whose residual counts
    COLOURED : each step works on the unknowns of its colour only
    WEIGHTED : some shares are not 1
    OWN : a step's scale is divided by the diagonal of L (else it holds a constant one already)
    WRAPS : axis 0 is periodic;   PW, QW, RW : widths of the tables
    """
    dtype: tl.constexpr = f.dtype.element_ty
    n0, n1, n2, nc = shapes(sizes)
    member, part = part_of(parts, sizes)
    fine, coarse = member * n0 * n1 * n2, member * nc[0] * nc[1] * nc[2]
    u, f, out, begun = u + fine, f + fine, out + fine, begun + fine
    guess, e, f_c = guess + coarse, e + coarse, f_c + coarse
    i, j = tl.arange(0, TILE[0])[:, None], tl.arange(0, TILE[1])[None, :]
    y, own_y = indices(part[1], i, n1)
    x, own_x = indices(part[2], j, n2)
    own, inside, size = own_y & own_x, y * n2 + x, n1.to(tl.int64) * n2
    near = neighbours(lines, y, x, i, j, n1, n2, TILE)
    centre, share, excess = in_planes(lines, y, x, n1, n2)
    base0, lo0, hi0, I, I_hi, end0 = planes_of(part[0])
    empty = tl.zeros(TILE, dtype=dtype)
    zero: tl.constexpr = not (FROM_U or FROM_Q or PLUS_P)
    before, middle, fs, ring = copies(empty, NU + 1), copies(empty, NU + 1), copies(empty, NU + 1), copies(empty, RW[0])
    rows, total = copies(row_of(lines[0], place(base0, n0, WRAPS), n0), NU + 1), empty
    f_ahead = ahead(f, base0, n0, size, inside, True, WRAPS)
    u_ahead = ahead(u, base0, n0, size, inside, FROM_U, WRAPS)
    Pe = interpolant(e, P, base0, y, x, n0, nc, PW, PLUS_P, WRAPS, dtype)
    Qg = interpolant(guess, Q, base0, y, x, n0, nc, QW, FROM_Q, WRAPS, dtype)
    counts, first, last = counted(sizes, own, y, x, lo0, hi0)
    to = coarse_tile(part, COARSE)

    for t in range(base0, end0):  # plane t enters; memory is asked for plane t + AHEAD
        p, later = place(t, n0, WRAPS), place(t + AHEAD, n0, WRAPS) * size + inside
        f_ahead, datum = arrived(f_ahead, f + later, empty, True)
        u_ahead, v = arrived(u_ahead, u + later, empty, FROM_U)
        Qg, v = added(Qg, v, guess, Q[0], t, p, n0, nc, QW[0], FROM_Q, WRAPS, dtype)
        Pe, v = added(Pe, v, e, P[0], t, p, n0, nc, PW[0], PLUS_P, WRAPS, dtype)
        row = row_of(lines[0], p, n0)
        if WEIGHTED:
            datum = datum / (share * row[3])
        m = t - NU
        v, now = stepped(before, middle, fs, rows, v, t, y + x, n0, centre, near, steps, NU, zero, OWN, COLOURED, WRAPS)
        if RELAX:
            v = relaxed(v, begun, place(m, n0, WRAPS) * size + inside, omega, own, TILE)
            now = now[:NU] + (v,)
        if OUT and (m >= lo0) & (m < hi0):
            tl.store(out + m * size + inside, v, mask=own)
        if RESTRICT or NORM:  # of plane m - 1
            nothing: tl.constexpr = NU == 0 and zero
            r = residual_of(fs[NU], v, before[NU], middle[NU], rows[NU], excess, share, near, nothing, WEIGHTED)
            if NORM:
                total += tl.where(counts & (m > first) & (m <= last), r * r, 0.0)
            if RESTRICT:
                ring = ring[1:] + (r,)
                I = restrict(f_c, ring, R, I, I_hi, m - 1, nc, to, RW)
        before, middle, fs, rows = middle, now, (datum,) + fs[:NU], (row,) + rows[:NU]
    if NORM:
        tl.store(sums + tl.program_id(0), tl.sum(total.to(tl.float64)))
