"""One pass through memory: source -> nu steps -> iterate -> residual -> restriction.

The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the
stages as a wavefront: when plane p enters, step s works on plane p - s and the residual on plane
p - nu - 1, so three planes a stage live in cache and every array is read or written once. A task
owns a block of planes and of rows; the few planes around it are computed again, so tasks share
nothing. Arrays are (batch, n0, n1, n2); two dimensions have n1 = 1, one has n0 = n1 = 1.

    source     u, or the interpolant Q guess, or zero;  plus P e
    step       u <- u + omega / d (f / w - L u)          A = w L, d the diagonal of L, w the shares
    relax      u <- omega u + (1 - omega) u_0, where u_0 is the iterate that the pass began with
    residual   r = f - w L u
    restrict   f_c = R r

Boundaries are reflections (``Axis.ghost``), so no stage asks which one it meets.
"""

from collections import namedtuple
from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc, njit

from mgnet.pde.kernels.launch import FAST, SIGNATURE, pointer
from mgnet.pde.kernels.rows import (
    SLACK,
    Line,
    coloured,
    contract,
    expand,
    expand_both,
    fill_ghosts,
    first_row,
    first_step,
    gather,
    row_bytes,
    share_ends,
    stencil,
    wrap,
    wrap_ghosts,
)
from mgnet.pde.kernels.tables import HEADER, rows_of
from mgnet.pde.kernels.vectors import combine, combine_ahead, combine_twice, dotted, load_index

AXIS_HEADER = 10  # numbers per axis in ``reals``
INTS, REALS = 6, 4  # where the tables' headers begin, and the axes

# the fine grid: its axes, a / h^2 per axis, the diagonal of L, bytes of a row and of a plane, whether n1 = 1
Fine = namedtuple("Fine", "a0 a1 a2 x0 x1 x2 d row plane flat")
# the coarse grid: its sizes, bytes of a row and of a plane; tables per axis
Coarse = namedtuple("Coarse", "n0 n1 n2 row plane P0 P1 P2 Q0 Q1 Q2 R0 R1 R2")
# the planes in flight: three a stage, rows base1, base1 + 1, ... of each; planes count from base0
Ring = namedtuple("Ring", "at rows stride base0 base1")


@njit(fastmath=FAST, nogil=True)
def _line(ints, reals, axis):
    g = reals[REALS + AXIS_HEADER * axis : REALS + AXIS_HEADER * (axis + 1)]
    return Line(ints[axis], g[3] != 0, g[0], int(g[1]), g[2], g[5], int(g[6]), g[7], g[4], reals.itemsize)


@njit(fastmath=FAST, nogil=True)
def _table(ints, reals, which, axis):
    """Table ``which`` (0 P, 1 Q, 2 R) along an axis."""
    return rows_of(ints, reals, INTS + HEADER * (3 * which + axis), reals[REALS + 4])


@njit(fastmath=FAST, nogil=True)
def _fine(ints, reals):
    a0, a1, a2 = _line(ints, reals, 0), _line(ints, reals, 1), _line(ints, reals, 2)
    row = a2.n * a2.size
    return Fine(a0, a1, a2, reals[0], reals[1], reals[2], reals[3], row, a1.n * row, a1.n == 1)


@njit(fastmath=FAST, nogil=True)
def _coarse(ints, reals):
    row = ints[5] * reals.itemsize
    P0, P1, P2 = _table(ints, reals, 0, 0), _table(ints, reals, 0, 1), _table(ints, reals, 0, 2)
    Q0, Q1, Q2 = _table(ints, reals, 1, 0), _table(ints, reals, 1, 1), _table(ints, reals, 1, 2)
    R0, R1, R2 = _table(ints, reals, 2, 0), _table(ints, reals, 2, 1), _table(ints, reals, 2, 2)
    return Coarse(ints[3], ints[4], ints[5], row, ints[4] * row, P0, P1, P2, Q0, Q1, Q2, R0, R1, R2)


@njit(fastmath=FAST, nogil=True)
def _reach(lo, hi, halo, line):
    """[lo, hi) widened by a halo, inside the grid unless it wraps."""
    if line.wraps:
        return lo - halo, hi + halo
    return max(lo - halo, 0), min(hi + halo, line.n)


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
def _slot(ring, stage, p):
    """Where row base1 of plane p lies, as stage ``stage`` left it."""
    return ring.at + (3 * stage + (p - ring.base0) % 3) * ring.rows * ring.stride


@njit(fastmath=FAST, nogil=True)
def _source(g, c, row, u, guess, e, pad, pad2, p, j, ahead):
    """row = row (p, j) of u, or of Q guess, or 0; plus that of P e."""
    n2, at = g.a2.n, p * g.plane + j * g.row
    for k in range(2):
        coarse, into, first, second = (e, pad, c.P0, c.P1) if k == 0 else (guess, pad2, c.Q0, c.Q1)
        if coarse != 0:
            gather(into, c.n2, False, coarse, c.plane, c.row, first, p, 0, c.n0, second, j, 0, c.n1)
            wrap_ghosts(into, c.n2, g.a2)
    if guess != 0 and e != 0:
        expand_both(row, n2, pad2, c.Q2, pad, c.P2, ahead)
    elif guess != 0:
        expand(row, n2, 0, pad2, c.Q2, ahead)
    elif e != 0:
        expand(row, n2, u + at if u != 0 else 0, pad, c.P2, ahead)
    else:
        combine_ahead(row, n2, (u + at,), (g.a2.one,), ahead)


@njit(fastmath=FAST, nogil=True)
def _neighbours(g, ring, stage, p, j):
    """Row (p, j) as a stage left it, its neighbours along the first two axes, and their signs."""
    before, a = _before(p, g.a0)
    after, b = _after(p, g.a0)
    at, q = _slot(ring, stage, p), (j - ring.base1) * ring.stride
    v, m0, p0 = at + q, _slot(ring, stage, before) + q, _slot(ring, stage, after) + q
    if g.flat:
        return v, m0, p0, v, v, a, b, g.a1.one, g.a1.one
    jm = wrap(j, g.a1.n)
    left, c = _before(jm, g.a1)
    right, d = _after(jm, g.a1)
    return v, m0, p0, at + q + (left - jm) * ring.stride, at + q + (right - jm) * ring.stride, a, b, c, d


@njit(fastmath=FAST, nogil=True)
def _step(g, ring, s, p, j, row, f, omega, colour, zero, ahead):
    """row = row (p, j) after step s; colour -1: all unknowns; zero: the iterate before was 0."""
    pm, jm = wrap(p, g.a0.n), wrap(j, g.a1.n)
    source, w = f + pm * g.plane + jm * g.row, omega / g.d
    weight = w / (_share(pm, g.a0) * _share(jm, g.a1))
    parity = (pm + jm + colour) % 2 if colour >= 0 else -1
    if zero:
        first_step(row, parity, source, weight, g.a2)
        return
    v, m0, p0, m1, p1, a, b, c, d = _neighbours(g, ring, s - 1, p, j)
    a, b, c, d, x = a * w * g.x0, b * w * g.x0, c * w * g.x1, d * w * g.x1, w * g.x2
    if parity < 0:
        stencil(row, v, m0, p0, m1, p1, source, g.a2.one - omega, weight, x, a, b, c, d, g.a2, g.flat, ahead)
    else:
        coloured(row, parity, v, m0, p0, m1, p1, source, weight, x, a, b, c, d, g.a2, g.flat)


@njit(fastmath=FAST, nogil=True)
def _residual(g, ring, nu, p, j, row, f, ahead):
    """row = row (p, j) of f - w L u."""
    pm, jm = wrap(p, g.a0.n), wrap(j, g.a1.n)
    w = _share(pm, g.a0) * _share(jm, g.a1)
    v, m0, p0, m1, p1, a, b, c, d = _neighbours(g, ring, nu, p, j)
    a, b, c, d = a * w * g.x0, b * w * g.x0, c * w * g.x1, d * w * g.x1
    source = f + pm * g.plane + jm * g.row
    stencil(row, v, m0, p0, m1, p1, source, -g.d * w, g.a2.one, w * g.x2, a, b, c, d, g.a2, g.flat, ahead)
    share_ends(row, g.a2)


@njit(fastmath=FAST, nogil=True)
def _keep(row, n, begun, out, omega, one):
    """Relax a finished row of the iterate, and keep it: out = row = omega row + (1 - omega) begun; out 0: nowhere."""
    if omega == one:
        if out != 0:
            combine(out, n, (row,), (one,))
    elif out != 0:
        combine_twice(row, out, n, (row, begun), (omega, one - omega))
    else:
        combine(row, n, (row, begun), (omega, one - omega))


@njit(fastmath=FAST, nogil=True)
def _ahead(g, turn, t, nu, u, f, out, j, row):
    """Row j that will come from memory, or go there, when the next planes enter; ``row`` itself if there is none.

    Each stage fetches for one array, so that the memory works while the stages compute.
    """
    if turn == 0:
        return f + wrap(t + 1, g.a0.n) * g.plane + j * g.row
    if turn == 1 and out != 0:
        return out + wrap(t + 1 - nu, g.a0.n) * g.plane + j * g.row
    if turn == 2 and u != 0:
        return u + wrap(t + 2, g.a0.n) * g.plane + j * g.row
    return row


@njit(fastmath=FAST, nogil=True)
def _task(u, guess, e, f, out, f_c, relaxed, steps, ints, reals, residual, watches, I0, I1, J0, J1):
    """The pass over one block: coarse planes [I0, I1) and rows [J0, J1) and the fine ones they own.

    u, guess, e, f, out, f_c are addresses, 0 where there is none. Returns the sum of the squared
    residuals of the block's own unknowns.
    """
    g, c, nu = _fine(ints, reals), _coarse(ints, reals), steps.shape[0]
    n0, n1, n2, one = g.a0.n, g.a1.n, g.a2.n, g.a2.one
    restricts = f_c != 0
    zero = u == 0 and guess == 0 and e == 0
    untouched = zero and nu == 0  # the residual is f

    # what this block owns, and what each stage computes for it
    m0, m1 = c.R0.width, c.R1.width
    i0, i1 = I0 * n0 // c.n0, I1 * n0 // c.n0
    j0, j1 = J0 * n1 // c.n1, J1 * n1 // c.n1
    r0, r1, s0, s1 = i0, i1, j0, j1  # planes and rows of the residual
    if restricts:
        r0, r1 = min(i0, load_index(c.R0.start, I0)), max(i1, load_index(c.R0.start, I1 - 1) + m0)
        s0, s1 = min(j0, load_index(c.R1.start, J0)), max(j1, load_index(c.R1.start, J1 - 1) + m1)
    r0, r1 = (r0, r1) if g.a0.wraps else (max(r0, 0), min(r1, n0))
    s0, s1 = (s0, s1) if g.a1.wraps else (max(s0, 0), min(s1, n1))
    halo = 1 if residual else 0
    wide = 0 if g.flat else 1
    base0, top0 = _reach(r0, r1, halo + nu, g.a0)
    base1, top1 = _reach(s0, s1, (halo + nu) * wide, g.a1)

    stride = row_bytes(max(n2, c.n2), g.a2.size)
    rows, depth = top1 - base1, m0 + 1 if restricts else 1
    workspace = np.empty((3 * (nu + 1) * rows + depth * (s1 - s0) + 3) * stride + 4 * SLACK, np.uint8)
    begin = first_row(workspace)
    ring = Ring(begin, rows, stride, base0, base1)
    residuals = begin + 3 * (nu + 1) * rows * stride
    line = residuals + depth * (s1 - s0) * stride
    pad, pad2 = line + stride, line + 2 * stride
    total, next_coarse = 0.0, I0

    # what is restricted: where it lies, bytes from plane to plane and row to row, and which of them there are
    down, down_plane, down_row, o0, d0, o1, d1 = residuals, (s1 - s0) * stride, stride, r0, depth, s0, s1 - s0
    if untouched:
        down, down_plane, down_row, o0, d0, o1, d1 = f, g.plane, g.row, 0, n0, 0, n1
    first = 2 if zero else 0  # the first stage that has time to fetch rows for later ones
    for t in range(base0, top0 + nu + halo):
        for s in range(nu + 1 if untouched else (1 if zero else 0), nu + 1):
            p = t - s
            lo, hi = _reach(r0, r1, halo + nu - s, g.a0)
            if p < lo or p >= hi:
                continue
            jlo, jhi = _reach(s0, s1, (halo + nu - s) * wide, g.a1)
            into = s == nu and not residual and out != 0  # the iterate goes straight to memory
            for j in range(jlo, jhi):
                pm, jm = wrap(p, n0), wrap(j, n1)
                row = out + pm * g.plane + jm * g.row if into else _slot(ring, s, p) + (j - base1) * stride
                ahead = _ahead(g, s - first, t, nu, u, f, out, jm, row)
                if s == 0:
                    _source(g, c, row, u, guess, e, pad, pad2, pm, jm, ahead)
                else:
                    _step(g, ring, s, p, j, row, f, steps[s - 1, 0], int(steps[s - 1, 1]), zero and s == 1, ahead)
                if s == nu and residual:
                    at = pm * g.plane + jm * g.row
                    owned = i0 <= p < i1 and j0 <= j < j1
                    _keep(row, n2, u + at, out + at if out != 0 and owned else 0, relaxed[0], one)
                if not into:
                    fill_ghosts(row, g.a2)
        p = t - nu - 1
        if not residual or p < r0 or p >= r1:
            continue
        for j in range(s0, s1):
            row = residuals + ((p - r0) % depth * (s1 - s0) + j - s0) * stride
            if untouched:
                row = f + wrap(p, n0) * g.plane + wrap(j, n1) * g.row
            else:
                _residual(g, ring, nu, p, j, row, f, _ahead(g, nu + 1 - first, t, nu, u, f, out, wrap(j, n1), row))
            if watches and i0 <= p < i1 and j0 <= j < j1:
                total += dotted(row, row, n2, one)
        while restricts and next_coarse < I1 and load_index(c.R0.start, next_coarse) + m0 - 1 <= p:
            for J in range(J0, J1):
                I = next_coarse
                gather(line, n2, False, down, down_plane, down_row, c.R0, I, o0, d0, c.R1, J, o1, d1)
                wrap_ghosts(line, n2, g.a2)
                contract(f_c + I * c.plane + J * c.row, c.n2, line, c.R2)
            next_coarse += 1
    workspace[0] = 0  # alive until here
    return total


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the pass for float32 or float64; task t is block t of (batch, planes, rows).

    Its arguments, see ``arguments``: addresses of u, guess, e, f, out, f_c (0 where there is none), of
    relaxed (omega), steps, ints, reals and squares; the sizes batch, n0, n1, n2, nc0, nc1, nc2, steps, ints,
    reals; the blocks of planes and of rows; whether there is a residual, and whether its norm is wanted.
    """

    def task(t, arguments):
        v = carray(arguments, 25)
        batch, n0, n1, n2, nc0, nc1, nc2 = v[11], v[12], v[13], v[14], v[15], v[16], v[17]
        blocks0, blocks1 = v[21], v[22]
        b, p, q = t // (blocks0 * blocks1), t // blocks1 % blocks0, t % blocks1
        size, size_c = b * n0 * n1 * n2 * itemsize, b * nc0 * nc1 * nc2 * itemsize
        squares = carray(pointer(v[10]), (batch * blocks0 * blocks1,), np.float64)
        squares[t] = _task(
            v[0] + size if v[0] != 0 else 0,
            v[1] + size_c if v[1] != 0 else 0,
            v[2] + size_c if v[2] != 0 else 0,
            v[3] + size,
            v[4] + size if v[4] != 0 else 0,
            v[5] + size_c if v[5] != 0 else 0,
            carray(pointer(v[6]), (1,), dtype),
            carray(pointer(v[7]), (v[18], 2), dtype),
            carray(pointer(v[8]), (v[19],), np.int64),
            carray(pointer(v[9]), (v[20],), dtype),
            v[23] != 0, v[24] != 0,
            p * nc0 // blocks0, (p + 1) * nc0 // blocks0, q * nc1 // blocks1, (q + 1) * nc1 // blocks1,
        )  # fmt: skip

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


def arguments(
    fine: Sequence[int],
    coarse: Sequence[int],
    blocks: tuple[int, int],
    relaxed: np.ndarray,
    steps: np.ndarray,
    ints: np.ndarray,
    reals: np.ndarray,
    squares: np.ndarray,
) -> np.ndarray:
    """The arguments of the kernel; the addresses (first six) and what is wanted (last two) are yet to come."""
    fixed = [v.ctypes.data for v in (relaxed, steps, ints, reals, squares)]
    return np.array([0] * 6 + [*fixed, *fine, *coarse[1:], len(steps), len(ints), len(reals), *blocks, 0, 0], np.int64)
