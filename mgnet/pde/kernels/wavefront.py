"""One pass through memory: source -> nu Jacobi steps -> iterate -> residual -> restriction.

The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the
stages as a wavefront: when plane p enters, step s works on plane p - s, the residual on plane
p - nu - 1, so only three planes a stage live in cache and every array is read or written once.
A task owns a block of planes and of rows; the few planes around it are computed again, so tasks
share nothing. Grids are (batch, n0, n1, n2); two dimensions have n1 = 1, one has n0 = n1 = 1.

    source     u, or the interpolant Q guess, or zero;  plus P e
    step       u <- u + omega / d (f / w - L u)           A = w L, d the diagonal of L
    residual   r = f - w L u
    restrict   f_c = R r

Boundaries are reflections (``Axis.ghost``), so no kernel asks which one it meets.
"""

import numpy as np
from numba import njit, prange

from mgnet.pde.kernels.rows import FAST, GHOSTS, contract, expand, weighted_sum


@njit(fastmath=FAST, nogil=True, cache=True)
def _reach(lo, hi, halo, n, periodic):
    """[lo, hi) widened by a halo, inside the grid unless it wraps."""
    if periodic:
        return lo - halo, hi + halo
    return max(lo - halo, 0), min(hi + halo, n)


@njit(fastmath=FAST, nogil=True, cache=True)
def _neighbour(p, side, n, ghost):
    """(plane, sign) of the plane before (side 0) or after (side 1) plane p."""
    if side == 0:
        return (int(ghost[0, 1]), ghost[0, 0]) if p == 0 and ghost[0, 3] == 0 else (p - 1, ghost[0, 4])
    return (int(ghost[1, 1]), ghost[1, 0]) if p == n - 1 and ghost[0, 3] == 0 else (p + 1, ghost[0, 4])


@njit(fastmath=FAST, nogil=True, cache=True)
def _share(p, n, ghost):
    """Share of a cell of plane p."""
    if p == 0:
        return ghost[0, 2] * (ghost[1, 2] if n == 1 else ghost[0, 4])
    return ghost[1, 2] if p == n - 1 else ghost[0, 4]


@njit(fastmath=FAST, nogil=True, cache=True)
def _add_interpolated(row, coarse, pad, p, j, t0, w0, t1, w1, t2, w2, lo, hi, wraps):
    """row += (P coarse)[p, j, :], coarse of shape (nc0, nc1, nc2)."""
    nc0, nc1, nc2 = coarse.shape
    line = pad[GHOSTS : GHOSTS + nc2]
    line[:] = 0
    for a in range(w0.shape[1]):
        for b in range(w1.shape[1]):
            w = w0[p, a] * w1[j, b]
            if w != 0:
                source = coarse[(t0[p] + a) % nc0, (t1[j] + b) % nc1]
                for i in range(nc2):
                    line[i] += w * source[i]
    if wraps:
        for k in range(GHOSTS):
            pad[k] = line[(k - GHOSTS) % nc2]
            pad[GHOSTS + nc2 + k] = line[k % nc2]
    expand(row, pad, t2, w2, lo, hi)


@njit(fastmath=FAST, nogil=True, cache=True)
def _table(ints, reals, which, axis):
    """(start, weights, lo, hi) of table ``which`` (0 P, 1 Q, 2 R) along an axis."""
    at = 16 + 6 * (3 * which + axis)
    s, w, rows, width = ints[at], ints[at + 1], ints[at + 2], ints[at + 3]
    return ints[s : s + rows], reals[w : w + rows * width].reshape((rows, width)), ints[at + 4], ints[at + 5]


@njit(fastmath=FAST, nogil=True, cache=True)
def _task(u, guess, e, f, out, f_c, omegas, ints, reals, I0, I1, J0, J1):
    """The pass over one block: coarse planes [I0, I1) and rows [J0, J1) and the fine ones they own.

    Returns the sum of the squared residuals of the block's own unknowns.
    """
    n0, n1, n2 = f.shape
    nc0, nc1, nc2 = ints[3], ints[4], ints[5]
    residual, restricts = ints[6] != 0, f_c.shape[0] > 0
    x0, x1, x2, diagonal = reals[0], reals[1], reals[2], reals[3]
    ghost0, ghost1, ghost2 = reals[4:14].reshape((2, 5)), reals[14:24].reshape((2, 5)), reals[24:34].reshape((2, 5))
    one = ghost0[0, 4]
    wraps0, wraps1, wraps2 = ghost0[0, 3] != 0, ghost1[0, 3] != 0, ghost2[0, 3] != 0
    lo2 = (ghost2[0, 0], ghost2[0, 1], ghost2[0, 2])
    hi2 = (ghost2[1, 0], ghost2[1, 1], ghost2[1, 2])
    flat = n1 == 1
    p0, z0, _, _ = _table(ints, reals, 0, 0)
    p1, z1, _, _ = _table(ints, reals, 0, 1)
    p2, z2, plo, phi = _table(ints, reals, 0, 2)
    q0, y0, _, _ = _table(ints, reals, 1, 0)
    q1, y1, _, _ = _table(ints, reals, 1, 1)
    q2, y2, qlo, qhi = _table(ints, reals, 1, 2)
    R0, W0, _, _ = _table(ints, reals, 2, 0)
    R1, W1, _, _ = _table(ints, reals, 2, 1)
    R2, W2, rlo, rhi = _table(ints, reals, 2, 2)

    # what this block owns, and what each stage must compute for it
    nu = omegas.shape[0]
    i0, i1, j0, j1 = I0 * n0 // nc0, I1 * n0 // nc0, J0 * n1 // nc1, J1 * n1 // nc1
    r0, r1, s0, s1 = i0, i1, j0, j1  # planes and rows of the residual
    if restricts:
        r0, r1 = min(i0, R0[I0]), max(i1, R0[I1 - 1] + W0.shape[1])
        s0, s1 = min(j0, R1[J0]), max(j1, R1[J1 - 1] + W1.shape[1])
        if not wraps0:
            r0, r1 = max(r0, 0), min(r1, n0)
        if not wraps1:
            s0, s1 = max(s0, 0), min(s1, n1)
    h0 = 1 if residual else 0
    h1 = 0 if flat else h0
    grow = 0 if flat else 1
    base0, top0 = _reach(r0, r1, h0 + nu, n0, wraps0)
    base1, top1 = _reach(s0, s1, h1 + nu * grow, n1, wraps1)
    rows = top1 - base1

    zero = u.shape[0] == 0 and guess.shape[0] == 0 and e.shape[0] == 0
    depth = W0.shape[1] + 1 if restricts else 1
    ring = np.empty((nu + 1, 3, rows, n2), f.dtype)
    rring = np.empty((depth, s1 - s0, n2), f.dtype)
    line, pad = np.empty(n2, f.dtype), np.zeros(max(nc2, ints[5]) + 2 * GHOSTS, f.dtype)
    total = 0.0
    first = 1 if zero and nu > 0 else 0
    next_coarse = I0
    last = nu + (1 if residual else 0)

    for t in range(base0, top0 + last):
        for s in range(first, nu + 1):
            p = t - s
            lo, hi = _reach(r0, r1, h0 + nu - s, n0, wraps0)
            if p < lo or p >= hi:
                continue
            jlo, jhi = _reach(s0, s1, h1 + (nu - s) * grow, n1, wraps1)
            pm = p % n0
            plane = ring[s, (p - base0) % 3]
            if s == 0:
                for j in range(jlo, jhi):
                    row, jm = plane[j - base1], j % n1
                    if u.shape[0] > 0:
                        row[:] = u[pm, jm]
                    else:
                        row[:] = 0
                    if guess.shape[0] > 0:
                        _add_interpolated(row, guess, pad, pm, jm, q0, y0, q1, y1, q2, y2, qlo, qhi, wraps2)
                    if e.shape[0] > 0:
                        _add_interpolated(row, e, pad, pm, jm, p0, z0, p1, z1, p2, z2, plo, phi, wraps2)
            elif s == 1 and zero:
                for j in range(jlo, jhi):
                    g = omegas[0] / (diagonal * _share(pm, n0, ghost0) * _share(j % n1, n1, ghost1))
                    row, source = plane[j - base1], f[pm, j % n1]
                    for i in range(n2):
                        row[i] = g * source[i]
                    row[0] /= lo2[2]
                    row[n2 - 1] /= hi2[2]
            else:
                before, a = _neighbour(p, 0, n0, ghost0)
                after, b = _neighbour(p, 1, n0, ghost0)
                old, down, up = (
                    ring[s - 1, (p - base0) % 3],
                    ring[s - 1, (before - base0) % 3],
                    ring[s - 1, (after - base0) % 3],
                )
                w = omegas[s - 1] / diagonal
                a, b = a * w * x0, b * w * x0
                for j in range(jlo, jhi):
                    q = j - base1
                    g = w / (_share(pm, n0, ghost0) * _share(j % n1, n1, ghost1))
                    jb, c = _neighbour(j, 0, n1, ghost1)
                    ja, d = _neighbour(j, 1, n1, ghost1)
                    kb, ka = (q, q) if flat else (jb - base1, ja - base1)
                    weighted_sum(
                        plane[q], old[q], down[q], up[q], old[kb], old[ka], f[pm, j % n1],
                        one - omegas[s - 1], g, w * x2, a, b, c * w * x1, d * w * x1, lo2, hi2, flat,
                    )  # fmt: skip
        p = t - nu
        if out.shape[0] > 0 and i0 <= p < i1:
            for j in range(j0, j1):
                out[p, j] = ring[nu, (p - base0) % 3, j - base1]
        p = t - nu - 1
        if residual and r0 <= p < r1:
            pm = p % n0
            before, a = _neighbour(p, 0, n0, ghost0)
            after, b = _neighbour(p, 1, n0, ghost0)
            old, down, up = (
                ring[nu, (p - base0) % 3],
                ring[nu, (before - base0) % 3],
                ring[nu, (after - base0) % 3],
            )
            plane = rring[(p - r0) % depth]
            for j in range(s0, s1):
                q, w = j - base1, _share(pm, n0, ghost0) * _share(j % n1, n1, ghost1)
                row, source = plane[j - s0], f[pm, j % n1]
                if zero and nu == 0:
                    row[:] = source
                else:
                    jb, c = _neighbour(j, 0, n1, ghost1)
                    ja, d = _neighbour(j, 1, n1, ghost1)
                    kb, ka = (q, q) if flat else (jb - base1, ja - base1)
                    weighted_sum(
                        row, old[q], down[q], up[q], old[kb], old[ka], source, -diagonal * w, one, w * x2,
                        a * w * x0, b * w * x0, c * w * x1, d * w * x1, lo2, hi2, flat,
                    )  # fmt: skip
                    row[0] *= lo2[2]
                    row[n2 - 1] *= hi2[2]
                if i0 <= p < i1 and j0 <= j < j1:
                    square = one - one
                    for i in range(n2):
                        square += row[i] * row[i]
                    total += square
            while restricts and next_coarse < I1 and R0[next_coarse] + W0.shape[1] - 1 <= p:
                I = next_coarse
                for J in range(J0, J1):
                    line[:] = 0
                    for k in range(W0.shape[1]):
                        for m in range(W1.shape[1]):
                            w = W0[I, k] * W1[J, m]
                            if w != 0:
                                row = rring[(R0[I] + k - r0) % depth, R1[J] + m - s0]
                                for i in range(n2):
                                    line[i] += w * row[i]
                    contract(f_c[I, J], line, R2, W2, rlo, rhi, n2)
                next_coarse += 1
    return total


@njit(fastmath=FAST, nogil=True, cache=True)
def _block(task, blocks0, blocks1, nc0, nc1):
    """(batch member, I0, I1, J0, J1) of a task."""
    b, rest = task // (blocks0 * blocks1), task % (blocks0 * blocks1)
    p, q = rest // blocks1, rest % blocks1
    return b, p * nc0 // blocks0, (p + 1) * nc0 // blocks0, q * nc1 // blocks1, (q + 1) * nc1 // blocks1


@njit(fastmath=FAST, nogil=True, cache=True)
def _run(task, u, guess, e, f, out, f_c, omegas, ints, reals, squares, blocks0, blocks1):
    b, I0, I1, J0, J1 = _block(task, blocks0, blocks1, ints[3], ints[4])
    squares[task] = _task(
        u[min(b, u.shape[0] - 1)] if u.shape[0] > 0 else u.reshape((0, 0, 0)),
        guess[b] if guess.shape[0] > 0 else guess.reshape((0, 0, 0)),
        e[b] if e.shape[0] > 0 else e.reshape((0, 0, 0)),
        f[b],
        out[b] if out.shape[0] > 0 else out.reshape((0, 0, 0)),
        f_c[b] if f_c.shape[0] > 0 else f_c.reshape((0, 0, 0)),
        omegas, ints, reals, I0, I1, J0, J1,
    )  # fmt: skip


@njit(fastmath=FAST, nogil=True, cache=True)
def serial(u, guess, e, f, out, f_c, omegas, ints, reals, squares, blocks0, blocks1):
    """The pass over all blocks, one after the other."""
    for task in range(f.shape[0] * blocks0 * blocks1):
        _run(task, u, guess, e, f, out, f_c, omegas, ints, reals, squares, blocks0, blocks1)


@njit(fastmath=FAST, nogil=True, parallel=True, cache=True)
def parallel(u, guess, e, f, out, f_c, omegas, ints, reals, squares, blocks0, blocks1):
    """The pass over all blocks, on all threads."""
    for task in prange(f.shape[0] * blocks0 * blocks1):
        _run(task, u, guess, e, f, out, f_c, omegas, ints, reals, squares, blocks0, blocks1)
