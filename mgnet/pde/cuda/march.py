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

AHEAD = tl.constexpr(2)  # planes that are on their way from memory
TURNS = tl.constexpr(64)  # indices reach at most this many turns below zero


@triton.jit
def wrap(i, n):
    """i modulo n."""
    return (i + TURNS * n) % n


@triton.jit
def place(t, n, WRAPS: tl.constexpr):
    """The plane for t: around, or the nearest one (whose values then meet a coupling 0)."""
    if WRAPS:
        return wrap(t, n)
    else:
        return tl.minimum(tl.maximum(t, 0), n - 1)


@triton.jit
def at_and_weights(table, i, n_c, WIDTH: tl.constexpr):
    """(columns, weights) of the rows i of a table, each a tuple as long as a row."""
    start = tl.load(table[0] + i)
    at, w = (wrap(start, n_c),), (tl.load(table[1] + i * WIDTH),)
    for k in tl.static_range(1, WIDTH):
        at = at + (wrap(start + k, n_c),)
        w = w + (tl.load(table[1] + i * WIDTH + k),)
    return at, w


@triton.jit
def coarse_plane(v, I, nc, rows, columns, dtype: tl.constexpr):
    """Coarse plane I interpolated along the other two axes; v begins at this member of the batch."""
    plane = v + wrap(I, nc[0]).to(tl.int64) * nc[1] * nc[2]
    total = tl.zeros([rows[1][0].shape[0], columns[1][0].shape[1]], dtype=dtype)
    for j in tl.static_range(len(rows[0])):
        line = columns[1][0] * tl.load(plane + rows[0][j] * nc[2] + columns[0][0]).to(dtype)
        for k in tl.static_range(1, len(columns[0])):
            line += columns[1][k] * tl.load(plane + rows[0][j] * nc[2] + columns[0][k]).to(dtype)
        total += rows[1][j] * line
    return total


@triton.jit
def window(v, start, nc, rows, columns, WIDTH: tl.constexpr, dtype: tl.constexpr):
    """The WIDTH coarse planes from start on, interpolated."""
    planes = (coarse_plane(v, start, nc, rows, columns, dtype),)
    for k in tl.static_range(1, WIDTH):
        planes = planes + (coarse_plane(v, start + k, nc, rows, columns, dtype),)
    return planes


@triton.jit
def moved_on(planes, v, before, start, nc, rows, columns, WIDTH: tl.constexpr, dtype: tl.constexpr):
    """The window, moved on by one plane where its start has moved."""
    if start > before:
        planes = planes[1:] + (coarse_plane(v, start + WIDTH - 1, nc, rows, columns, dtype),)
    return planes


@triton.jit
def interpolated(planes, table, p, WIDTH: tl.constexpr):
    """The window combined for plane p."""
    total = tl.load(table[1] + p * WIDTH) * planes[0]
    for k in tl.static_range(1, WIDTH):
        total += tl.load(table[1] + p * WIDTH + k) * planes[k]
    return total


@triton.jit
def starts(table, t, n, n_c, WRAPS: tl.constexpr):
    """The first coarse plane that plane t needs, going on beyond the ends."""
    p = place(t, n, WRAPS)
    start = tl.load(table[0] + p)
    if WRAPS:
        start += (t - p) // n * n_c
    return start


@triton.jit
def row_of(line, p, n):
    """(lower and upper coupling, centre, share, sum) of plane p."""
    return (
        tl.load(line + p), tl.load(line + n + p), tl.load(line + 2 * n + p), tl.load(line + 3 * n + p),
        tl.load(line + 4 * n + p),
    )  # fmt: skip


@triton.jit
def differences_beside(v, couplings, places):
    """The differences of the neighbours in a plane from v, weighted by their couplings."""
    total = couplings[0] * (tl.gather(v, places[0], 1) - v) + couplings[1] * (tl.gather(v, places[1], 1) - v)
    if v.shape[0] > 1:
        total += couplings[2] * (tl.gather(v, places[2], 0) - v) + couplings[3] * (tl.gather(v, places[3], 0) - v)
    return total


@triton.jit
def beside(v, couplings, places):
    """The neighbours in a plane, weighted by their couplings."""
    total = couplings[0] * tl.gather(v, places[0], 1) + couplings[1] * tl.gather(v, places[1], 1)
    if v.shape[0] > 1:
        total += couplings[2] * tl.gather(v, places[2], 0) + couplings[3] * tl.gather(v, places[3], 0)
    return total


@triton.jit
def contract(v, table, I, I_hi, base, AXIS: tl.constexpr, WIDTH: tl.constexpr):
    """R along axis 0 or 1 of a tile whose first index is base, for the coarse indices I < I_hi."""
    I = tl.minimum(I, I_hi - 1)
    at = tl.load(table[0] + I) - base
    rows: tl.constexpr = v.shape[0] if AXIS == 1 else I.shape[0]
    columns: tl.constexpr = I.shape[1] if AXIS == 1 else v.shape[1]
    zero = tl.zeros([rows, columns], dtype=tl.int32)
    total = tl.load(table[1] + I * WIDTH) * tl.gather(v, at + zero, AXIS)
    for k in tl.static_range(1, WIDTH):
        total += tl.load(table[1] + I * WIDTH + k) * tl.gather(v, at + k + zero, AXIS)
    return total


@triton.jit
def restricted(ring, R, I, block1, block2, WIDTHS: tl.constexpr):
    """Plane I of R r, a coarse tile, from the residual's last planes."""
    r = interpolated(ring, R[0], I, WIDTHS[0])
    r = contract(r, R[2], block2[2], block2[1], block2[0], 1, WIDTHS[2])
    if r.shape[0] > 1:
        r = contract(r, R[1], block1[2], block1[1], block1[0], 0, WIDTHS[1])
    return r


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
    steps : (NU, 2) scale and colour of each step;   sizes : n0 n1 n2 nc0 nc1 nc2, blocks along each axis
    COLOURED : each step works on the unknowns of its colour only
    WEIGHTED : some shares are not 1
    OWN : a step's scale is divided by the diagonal of L (else it holds a constant one already)
    WRAPS : axis 0 is periodic;   PW, QW, RW : widths of the tables
    """
    dtype: tl.constexpr = f.dtype.element_ty
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    nc = (tl.load(sizes + 3), tl.load(sizes + 4), tl.load(sizes + 5))
    blocks0, blocks1, blocks2 = tl.load(sizes + 6), tl.load(sizes + 7), tl.load(sizes + 8)
    program = tl.program_id(0)
    part0 = parts[0] + program // (blocks1 * blocks2) % blocks0 * 6
    part1, part2 = parts[1] + program // blocks2 % blocks1 * 6, parts[2] + program % blocks2 * 6
    member = (program // (blocks0 * blocks1 * blocks2)).to(tl.int64)
    u += member * n0 * n1 * n2
    f += member * n0 * n1 * n2
    out += member * n0 * n1 * n2
    begun += member * n0 * n1 * n2
    guess += member * nc[0] * nc[1] * nc[2]
    e += member * nc[0] * nc[1] * nc[2]
    f_c += member * nc[0] * nc[1] * nc[2]

    # The tile: its indices, which of them are this program's own, and the operator's rows for them.
    i, j = tl.arange(0, TILE[0])[:, None], tl.arange(0, TILE[1])[None, :]
    base1, base2 = tl.load(part1), tl.load(part2)
    own = (base1 + i >= tl.load(part1 + 1)) & (base1 + i < tl.load(part1 + 2))
    own = own & (base2 + j >= tl.load(part2 + 1)) & (base2 + j < tl.load(part2 + 2))
    y, x = wrap(base1 + i, n1), wrap(base2 + j, n2)
    inside = y * n2 + x
    size = n1.to(tl.int64) * n2
    zero = tl.zeros(TILE, dtype=tl.int32)
    places = (
        tl.maximum(j - 1, 0) + zero, tl.minimum(j + 1, TILE[1] - 1) + zero,
        tl.maximum(i - 1, 0) + zero, tl.minimum(i + 1, TILE[0] - 1) + zero,
    )  # fmt: skip
    couplings = (
        tl.load(lines[2] + x), tl.load(lines[2] + n2 + x), tl.load(lines[1] + y), tl.load(lines[1] + n1 + y)
    )  # fmt: skip
    centre = tl.load(lines[1] + 2 * n1 + y) + tl.load(lines[2] + 2 * n2 + x)
    share = tl.load(lines[1] + 3 * n1 + y) * tl.load(lines[2] + 3 * n2 + x)
    excess = tl.load(lines[1] + 4 * n1 + y) + tl.load(lines[2] + 4 * n2 + x)

    base0, lo0, hi0 = tl.load(part0), tl.load(part0 + 1), tl.load(part0 + 2)
    I, I_hi, end0 = tl.load(part0 + 3), tl.load(part0 + 4), tl.load(part0 + 5)
    empty = tl.zeros(TILE, dtype=dtype)
    nothing: tl.constexpr = not (FROM_U or FROM_Q or PLUS_P)
    before, middle, fs, ring, total = (empty,), (empty,), (empty,), (empty,), empty
    rows = (row_of(lines[0], place(base0, n0, WRAPS), n0),)
    for _ in tl.static_range(NU):
        before, middle, fs, rows = before + (empty,), middle + (empty,), fs + (empty,), rows + (rows[0],)
    for _ in tl.static_range(RW[0] - 1):
        ring = ring + (empty,)
    f_ahead, u_ahead = (), ()
    for k in tl.static_range(AHEAD):
        f_ahead = f_ahead + (tl.load(f + place(base0 + k, n0, WRAPS) * size + inside),)
        if FROM_U:
            u_ahead = u_ahead + (tl.load(u + place(base0 + k, n0, WRAPS) * size + inside),)
    if PLUS_P:
        P1, P2 = at_and_weights(P[1], y, nc[1], PW[1]), at_and_weights(P[2], x, nc[2], PW[2])
        Ps = starts(P[0], base0, n0, nc[0], WRAPS)
        Pe = window(e, Ps, nc, P1, P2, PW[0], dtype)
    if FROM_Q:
        Q1, Q2 = at_and_weights(Q[1], y, nc[1], QW[1]), at_and_weights(Q[2], x, nc[2], QW[2])
        Qs = starts(Q[0], base0, n0, nc[0], WRAPS)
        Qg = window(guess, Qs, nc, Q1, Q2, QW[0], dtype)
    if RESTRICT:
        block1 = (base1, tl.load(part1 + 4), tl.load(part1 + 3) + tl.arange(0, COARSE[0])[:, None])
        block2 = (base2, tl.load(part2 + 4), tl.load(part2 + 3) + tl.arange(0, COARSE[1])[None, :])

    for t in range(base0, end0):
        # The source's plane t; memory is asked for plane t + AHEAD.
        p, later = place(t, n0, WRAPS), place(t + AHEAD, n0, WRAPS) * size + inside
        datum = f_ahead[0]
        f_ahead = f_ahead[1:] + (tl.load(f + later),)
        row = row_of(lines[0], p, n0)
        if WEIGHTED:
            datum = datum / (share * row[3])
        v = empty
        if FROM_U:
            v = u_ahead[0]
            u_ahead = u_ahead[1:] + (tl.load(u + later),)
        if FROM_Q:
            start = starts(Q[0], t, n0, nc[0], WRAPS)
            Qg = moved_on(Qg, guess, Qs, start, nc, Q1, Q2, QW[0], dtype)
            Qs = start
            v += interpolated(Qg, Q[0], p, QW[0])
        if PLUS_P:
            start = starts(P[0], t, n0, nc[0], WRAPS)
            Pe = moved_on(Pe, e, Ps, start, nc, P1, P2, PW[0], dtype)
            Ps = start
            v += interpolated(Pe, P[0], p, PW[0])

        # Step s + 1 works on plane t - s - 1, between before[s] and v.
        befores, middles, data, lasts = (middle[0],), (v,), (datum,), (row,)
        for s in tl.static_range(NU):
            diagonal, scale = centre + rows[s][2], tl.load(steps + 2 * s)
            if OWN:
                scale = scale / diagonal
            if COLOURED:
                colour = tl.load(steps + 2 * s + 1).to(tl.int32)
                scale = tl.where((place(t - s - 1, n0, WRAPS) + y + x) % 2 == colour, scale, 0.0)
            if s == 0 and nothing:
                v = scale * fs[0]
            else:
                around = rows[s][0] * before[s] + rows[s][1] * v + beside(middle[s], couplings, places)
                v = middle[s] + scale * (fs[s] - diagonal * middle[s] + around)
            befores, middles = befores + (middle[s + 1],), middles + (v,)
            data, lasts = data + (fs[s],), lasts + (rows[s],)
        if RELAX:
            at_0 = begun + place(t - NU, n0, WRAPS) * size + inside
            if TILE[0] == 1:
                v_0 = tl.load(at_0)
            else:  # what others own, they may be writing; nobody asks for it here
                v_0 = tl.load(at_0, mask=own, other=0.0)
            v = v_0 + omega * (v - v_0)
            middles = middles[:NU] + (v,)
        if OUT and (t - NU >= lo0) & (t - NU < hi0):
            tl.store(out + (t - NU) * size + inside, v, mask=own)

        # The residual's plane t - NU - 1.
        if RESTRICT or NORM:
            m, r = t - NU - 1, fs[NU]
            if NU > 0 or not nothing:
                m_u = middle[NU]
                fluxes = rows[NU][0] * (before[NU] - m_u) + rows[NU][1] * (v - m_u)
                r += fluxes + differences_beside(m_u, couplings, places)
                r -= (excess + rows[NU][4]) * m_u
            if WEIGHTED:
                r = r * (share * rows[NU][3])
            if NORM:
                total += tl.where(own & (m >= lo0) & (m < hi0), r * r, 0.0)
            if RESTRICT:
                ring = ring[1:] + (r,)
                if (I < I_hi) & (m == tl.load(R[0][0] + tl.minimum(I, nc[0] - 1)) + RW[0] - 1):
                    coarse = restricted(ring, R, I, block1, block2, RW)
                    to = I * nc[1].to(tl.int64) * nc[2] + block1[2] * nc[2] + block2[2]
                    tl.store(f_c + to, coarse, mask=(block1[2] < block1[1]) & (block2[2] < block2[1]))
                    I += 1
        before, middle, fs, rows = befores, middles, data, lasts
    if NORM:
        tl.store(sums + program, tl.sum(total.to(tl.float64)))
