"""One pass through memory: source -> nu steps -> iterate -> residual -> restriction.

The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the
stages as a wavefront: when plane p enters, step s works on plane p - s and the residual on plane
p - nu - 1, so three planes a stage live in cache and every array is read or written once. A task
owns a block of planes and of rows; the few planes around it are computed again, so tasks share
nothing. Arrays are (batch, n0, n1, n2); two dimensions have n1 = 1, one has n0 = n1 = 1.

    source     u, or the interpolant Q guess, or zero;  plus P e
    step       u <- u + omega / d (f / w - L u)          A = w L, d the diagonal of L, w the shares
    relax      u <- omega u + (1 - omega) u_0, where u_0 is the iterate that the pass began with
    residual   r = f - w L u, in differences of neighbours
    restrict   f_c = R r

Boundaries are reflections (``Axis.ghost``), so no stage asks which one it meets.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, inlined, pointer
from mgnet.pde.kernels.layout import (
    Ring,
    coarse_of,
    fine_of,
    home,
    member_of,
    reach,
    row_after,
    row_before,
    share_of,
    slot,
    table_of,
)
from mgnet.pde.kernels.rows import (
    SLACK,
    clear_beyond,
    coloured,
    contract,
    expand,
    expand_both,
    fill_ghosts,
    first_row,
    first_step,
    gather,
    rest,
    row_bytes,
    share_ends,
    sweep,
    sweep_and_rest,
    wrap,
    wrap_ghosts,
)
from mgnet.pde.kernels.sums import dotted
from mgnet.pde.kernels.vectors import combine, combine_ahead, combine_twice, load_index, stream
from mgnet.pde.kernels.waves import Stencil

STREAMED = 2**24  # bytes of an array beyond which it is written past the caches


@inlined
def _source(g, c, row, u, guess, e, pad, pad2, p, j, ahead):
    """row = row (p, j) of u, or of Q guess, or 0; plus that of P e."""
    n2, at, none = g.a2.n, p * g.plane + j * g.row, np.int64(0)
    for k in range(2):
        coarse, into = (e, pad) if k == 0 else (guess, pad2)
        if coarse != 0:
            first, second = table_of(c, 3 * k, g.a2), table_of(c, 3 * k + 1, g.a2)
            gather(into, c.n2, np.bool_(False), coarse, c.plane, c.row, first, p, none, c.n0, second, j, none, c.n1)
            wrap_ghosts(into, c.n2, g.a2)
    if guess != 0 and e != 0:
        expand_both(row, n2, pad2, table_of(c, np.int64(5), g.a2), pad, table_of(c, np.int64(2), g.a2), ahead)
    elif guess != 0:
        expand(row, n2, none, pad2, table_of(c, np.int64(5), g.a2), ahead)
    elif e != 0:
        expand(row, n2, u + at if u != 0 else none, pad, table_of(c, np.int64(2), g.a2), ahead)
    else:
        combine_ahead(row, n2, (u + at,), (g.a2.one,), ahead)


@inlined
def _neighbours(g, ring, stage, p, j):
    """Row (p, j) as a stage left it, its neighbours along the first two axes, and their signs."""
    before, a = row_before(p, g.a0)
    after, b = row_after(p, g.a0)
    at, q = slot(ring, stage, p), (j - ring.base1) * ring.stride
    v, m0, p0 = at + q, slot(ring, stage, before) + q, slot(ring, stage, after) + q
    if g.flat:
        return v, m0, p0, v, v, a, b, g.a1.one, g.a1.one
    jm = wrap(j, g.a1.n)
    left, c = row_before(jm, g.a1)
    right, d = row_after(jm, g.a1)
    return v, m0, p0, at + q + (left - jm) * ring.stride, at + q + (right - jm) * ring.stride, a, b, c, d


@inlined
def _datum(g, f, p, j):
    """(row (p, j) of f, its unknowns' share of a cell along the first two axes)."""
    pm, jm = wrap(p, g.a0.n), wrap(j, g.a1.n)
    return f + pm * g.plane + jm * g.row, share_of(pm, g.a0) * share_of(jm, g.a1)


@inlined
def _stencil(g, ring, steps, f, s, p, j):
    """Stage s of row (p, j): a step, or after the last one the residual."""
    v, m0, p0, m1, p1, a, b, c, d = _neighbours(g, ring, s - 1, p, j)
    datum, share = _datum(g, f, p, j)
    if s <= ring.nu:
        w, own = steps[s - 1, 2], g.a2.one - steps[s - 1, 0]
        w_f = w if share == g.a2.one or g.raw else w / share
    else:
        two = g.a2.one + g.a2.one  # what the ends hold u by: their ghost values are sign times a value
        w, own, w_f = share, -share * (g.c + (two - a - b) * g.x0 + (two - c - d) * g.x1), share if g.raw else g.a2.one
    x, y, z = w * g.x0, w * g.x1, w * g.x2
    return Stencil(v, m0, p0, m1, p1, datum, z, own, a * x, b * x, c * y, d * y, w_f)


@inlined
def _first_step(g, steps, f, p, j, row):
    """row = row (p, j) after step 1 from zero."""
    datum, share = _datum(g, f, p, j)
    first_step(
        row, _parity(g, steps, np.int64(1), p, j), datum, steps[0, 2] / (g.a2.one if g.raw else share), g.a2, g.raw
    )


@inlined
def _parity(g, steps, s, p, j):
    """Step s works on the unknowns i of row (p, j) with i + parity even; -1: on all."""
    colour = int(steps[s - 1, 1])
    return (wrap(p, g.a0.n) + wrap(j, g.a1.n) + colour) % 2 if colour >= 0 else -1


@inlined
def _advance(g, ring, steps, f, s, p, j, count, ahead):
    """Stages s, s + 1, ... of rows (p, j), (p - 1, j), ...: ``count`` of them, 1 to 3, in one loop."""
    row, first = home(g, ring, s, p, j), _stencil(g, ring, steps, f, s, p, j)
    if count == 1:
        sweep((row,), (first,), g.a2, g.flat, g.raw, ahead)
        return
    row2, second = home(g, ring, s + 1, p - 1, j), _stencil(g, ring, steps, f, s + 1, p - 1, j)
    if count == 2:
        sweep((row, row2), (first, second), g.a2, g.flat, g.raw, ahead)
        return
    row3, third = home(g, ring, s + 2, p - 2, j), _stencil(g, ring, steps, f, s + 2, p - 2, j)
    sweep((row, row2, row3), (first, second, third), g.a2, g.flat, g.raw, ahead)


@inlined
def _finish(g, ring, steps, f, p, j, begun, kept, omega, ahead):
    """The last step on row (p, j), relaxed and kept as by ``_keep``, and the residual's row before it.

    Returns the residual's sum of squares.
    """
    row, step = home(g, ring, ring.nu, p, j), _stencil(g, ring, steps, f, ring.nu, p, j)
    under, residual = home(g, ring, ring.nu + 1, p - 1, j), _stencil(g, ring, steps, f, ring.nu + 1, p - 1, j)
    begun, kept = begun if omega != g.a2.one else step.row, kept if kept != 0 else row
    return sweep_and_rest((row, under), (step, residual), g.a2, g.flat, g.raw, ahead, begun, kept, omega)


@inlined
def _keep(row, n, begun, out, omega, one):
    """Relax a finished row of the iterate, and keep it: out = row = omega row + (1 - omega) begun; out 0: nowhere."""
    if omega == one:
        if out != 0:
            combine(out, n, (row,), (one,))
    elif out != 0:
        combine_twice(row, out, n, (row, begun), (omega, one - omega))
    else:
        combine(row, n, (row, begun), (omega, one - omega))


@inlined
def _ahead(g, f, u, out, zero, nu, t, j, row):
    """Two rows j that come from memory, or go there, when the next plane enters; ``row`` where there is none."""
    jm = wrap(j, g.a1.n) * g.row
    result = out + wrap(t + 1 - nu, g.a0.n) * g.plane + jm if out != 0 else row
    if zero:
        return result, f + wrap(t + 1, g.a0.n) * g.plane + jm
    return result, u + wrap(t + 2, g.a0.n) * g.plane + jm if u != 0 else row


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the pass for float32 or float64; task t is block t of (batch, planes, rows).

    Its arguments, see ``arguments``: addresses of u, guess, e, f, out, f_c (0 where there is none), of
    relaxed (omega), steps, ints, reals and squares; the sizes batch, n0, n1, n2, nc0, nc1, nc2, steps, ints,
    reals; the blocks of planes and of rows; whether there is a residual, whether its norm is wanted, and
    whether f is raw, not weighted by the shares yet.
    A block is some coarse planes and rows, and the fine ones that go with them.
    """

    # One function: numba would compile a part that is no intrinsic, and all that it calls, a second time.
    def task(number, arguments):
        v = carray(arguments, 26)
        batch, n0, n1, n2, nc0, nc1, nc2 = v[11], v[12], v[13], v[14], v[15], v[16], v[17]
        blocks0, blocks1 = v[21], v[22]
        b, k0, k1 = number // (blocks0 * blocks1), number // blocks1 % blocks0, number % blocks1
        size, size_c = b * n0 * n1 * n2 * itemsize, b * nc0 * nc1 * nc2 * itemsize
        u, guess, e = member_of(v[0], size), member_of(v[1], size_c), member_of(v[2], size_c)
        f, out, f_c = member_of(v[3], size), member_of(v[4], size), member_of(v[5], size_c)
        relaxed, steps = carray(pointer(v[6]), (1,), dtype), carray(pointer(v[7]), (v[18], 3), dtype)
        ints, reals = carray(pointer(v[8]), (v[19],), np.int64), carray(pointer(v[9]), (v[20],), dtype)
        squares = carray(pointer(v[10]), (batch * blocks0 * blocks1,), np.float64)
        residual, watches, raw = v[23] != 0, v[24] != 0, v[25] != 0
        I0, I1, J0, J1 = k0 * nc0 // blocks0, (k0 + 1) * nc0 // blocks0, k1 * nc1 // blocks1, (k1 + 1) * nc1 // blocks1
        g, c, nu = fine_of(ints, reals, raw), coarse_of(ints, reals), steps.shape[0]
        one = g.a2.one
        R0, R1 = table_of(c, np.int64(6), g.a2), table_of(c, np.int64(7), g.a2)
        R2 = table_of(c, np.int64(8), g.a2)
        restricts = f_c != 0
        streams = out != 0 and n0 * g.plane >= STREAMED
        zero = u == 0 and guess == 0 and e == 0
        bare = zero and nu == 0  # the residual is f,
        untouched = bare and not raw  # and it is there already
        coloured_steps = False
        for s in range(nu):
            coloured_steps = coloured_steps or steps[s, 1] >= 0

        # the stages, what this block owns, and the planes and rows of its last stage
        begin, end = 1 if zero else 0, nu + 1 if residual else nu
        i0, i1 = I0 * n0 // c.n0, I1 * n0 // c.n0
        j0, j1 = J0 * n1 // c.n1, J1 * n1 // c.n1
        r0, r1, s0, s1 = i0, i1, j0, j1
        if restricts:
            r0, r1 = min(i0, load_index(R0.start, I0)), max(i1, load_index(R0.start, I1 - 1) + R0.width)
            s0, s1 = min(j0, load_index(R1.start, J0)), max(j1, load_index(R1.start, J1 - 1) + R1.width)
        r0, r1 = (r0, r1) if g.a0.wraps else (max(r0, 0), min(r1, n0))
        s0, s1 = (s0, s1) if g.a1.wraps else (max(s0, 0), min(s1, n1))
        base0, _ = reach(r0, r1, end, g.a0)
        base1, top1 = reach(s0, s1, 0 if g.flat else end, g.a1)

        stride = row_bytes(max(n2, c.n2), g.a2.size)
        rows, depth = top1 - base1, R0.width + 1 if restricts else 1
        in_flight, kept_rows = 3 * (nu + 1) * rows, depth * (s1 - s0)
        workspace = np.empty((in_flight + kept_rows + 3) * stride + 4 * SLACK, np.uint8)
        at = first_row(workspace)
        residuals, into = at + in_flight * stride, out if not residual and not streams else 0
        ring = Ring(at, rows, stride, base0, base1, nu, into, residuals, r0, depth, s0, s1 - s0)
        line = residuals + kept_rows * stride
        pad, pad2 = line + stride, line + 2 * stride
        clear_beyond(at, n2, stride, in_flight + kept_rows + 1, one, g.a2.size)
        clear_beyond(pad, c.n2, stride, np.int64(2), one, g.a2.size)
        total, next_coarse = 0.0, I0

        # what is restricted: where it lies, bytes from plane to plane and row to row, and which of them there are
        down, down_plane, down_row, o0, d0, o1, d1 = residuals, (s1 - s0) * stride, stride, r0, depth, s0, s1 - s0
        if untouched:
            down, down_plane, down_row, o0, d0, o1, d1 = f, g.plane, g.row, 0, n0, 0, n1
        for t in range(base0, r1 + end):
            # stage s works on plane t - s: the stages that have one now
            oldest, newest = begin, min(end, (t - r0 + end) // 2) if not untouched else 0
            if untouched and watches and i0 <= t < i1:
                rows_of_f = f + t * g.plane + j0 * g.row
                total += dotted(rows_of_f, rows_of_f, (j1 - j0) * n2, one)
            if not g.a0.wraps:
                oldest, newest = max(begin, t - n0 + 1), min(newest, t)
            for j in range(base1, top1):
                last = newest if g.flat else min(newest, end - max(s0 - j, j - s1 + 1, 0))
                # the row that the last step finishes, in memory, and whether it is this block's
                finished, owned = wrap(t - nu, n0) * g.plane + wrap(j, n1) * g.row, i0 <= t - nu < i1 and j0 <= j < j1
                begun, kept = u + finished, out + finished if out != 0 and owned and not streams else 0
                watched = watches and i0 <= t - nu - 1 < i1 and j0 <= j < j1
                s = oldest
                while s <= last:
                    p, row = t - s, home(g, ring, s, t - s, j)
                    ahead = (
                        _ahead(g, f, u, out if not streams else 0, zero, nu, t, j, row)
                        if s == begin + 1
                        else (row, row)
                    )
                    due = last > nu  # the residual
                    count, keeps = 1, residual and s == nu
                    if bare:
                        datum, share = _datum(g, f, p, j)
                        combine(row, n2, (datum,), (share,))
                        share_ends(row, g.a2)
                        total += dotted(row, row, n2, one) if watched else 0.0
                    elif s == 0:
                        next_f = f + wrap(t + 1, n0) * g.plane + wrap(j, n1) * g.row
                        _source(g, c, row, u, guess, e, pad, pad2, wrap(p, n0), wrap(j, n1), next_f)
                    elif s == 1 and zero:
                        _first_step(g, steps, f, p, j, row)
                    elif s <= nu and coloured_steps:
                        parity = _parity(g, steps, s, p, j)
                        coloured(row, parity, _stencil(g, ring, steps, f, s, p, j), g.a2, g.flat, g.raw)
                    elif s == nu and due:
                        square = _finish(g, ring, steps, f, p, j, begun, kept, relaxed[0], ahead)
                        total += square if watched else 0.0
                        count, keeps = 2, False
                    else:
                        count = min(3, nu - s if due else last - s + 1) if s <= nu else 1
                        keeps = residual and s + count - 1 == nu
                        if s > nu:
                            rest(row, _stencil(g, ring, steps, f, s, p, j), g.a2, g.flat, g.raw, ahead)
                            share_ends(row, g.a2)
                            total += dotted(row, row, n2, one) if watched else 0.0
                        else:
                            _advance(g, ring, steps, f, s, p, j, count, ahead)
                    if keeps:
                        _keep(home(g, ring, nu, t - nu, j), n2, begun, kept, relaxed[0], one)
                    if streams and owned and s <= nu < s + count:
                        stream(out + finished, n2, home(g, ring, nu, t - nu, j), one)
                    for k in range(s, min(s + count, nu + 1)):
                        if k < nu or into == 0:
                            fill_ghosts(home(g, ring, k, t - k, j), g.a2)
                    s += count
            p = t - nu - 1
            while restricts and next_coarse < I1 and load_index(R0.start, next_coarse) + R0.width - 1 <= p:
                for J in range(J0, J1):
                    I = next_coarse
                    gather(line, n2, np.bool_(False), down, down_plane, down_row, R0, I, o0, d0, R1, J, o1, d1)
                    wrap_ghosts(line, n2, g.a2)
                    contract(f_c + I * c.plane + J * c.row, c.n2, line, R2)
                next_coarse += 1
        workspace[0] = 0  # alive until here
        squares[number] = total

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
    """The arguments of the kernel; the addresses (first six) and what is wanted (last three) are yet to come."""
    fixed = [v.ctypes.data for v in (relaxed, steps, ints, reals, squares)]
    return np.array(
        [0] * 6 + [*fixed, *fine, *coarse[1:], len(steps), len(ints), len(reals), *blocks, 0, 0, 0], np.int64
    )
