# mypy: ignore-errors
# ruff: noqa: RUF005
"""From grid to grid, plane by plane: what a pass interpolates, and what it restricts to. Tables as in ``march``."""

import triton
import triton.language as tl

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
def interpolant(
    v, table, base, y, x, n, nc,
    WIDTHS: tl.constexpr, THERE: tl.constexpr, WRAPS: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """(rows, columns, start, window) of a coarse v for the plane base, if it is there."""
    if THERE:
        rows, columns = at_and_weights(table[1], y, nc[1], WIDTHS[1]), at_and_weights(table[2], x, nc[2], WIDTHS[2])
        start = starts(table[0], base, n, nc[0], WRAPS)
        return rows, columns, start, window(v, start, nc, rows, columns, WIDTHS[0], dtype)
    else:
        return ()


@triton.jit
def added(
    of, u, v, table, t, p, n, nc,
    WIDTH: tl.constexpr, THERE: tl.constexpr, WRAPS: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """(the interpolant of v for plane t, by one plane on where its start has moved; u plus that plane)."""
    if THERE:
        rows, columns, before, planes = of[0], of[1], of[2], of[3]
        start = starts(table, t, n, nc[0], WRAPS)
        if start > before:
            planes = planes[1:] + (coarse_plane(v, start + WIDTH - 1, nc, rows, columns, dtype),)
        return (rows, columns, start, planes), u + interpolated(planes, table, p, WIDTH)
    else:
        return of, u


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
def restricted(ring, R, I, to, WIDTHS: tl.constexpr):
    """Plane I of R r, a coarse tile, from the residual's last planes."""
    r = interpolated(ring, R[0], I, WIDTHS[0])
    r = contract(r, R[2], to[1][2], to[1][1], to[1][0], 1, WIDTHS[2])
    if r.shape[0] > 1:
        r = contract(r, R[1], to[0][2], to[0][1], to[0][0], 0, WIDTHS[1])
    return r


@triton.jit
def restrict(f_c, ring, R, I, I_hi, m, nc, to, WIDTHS: tl.constexpr):
    """Write plane I of R r once m is the last plane of the residual that it needs; the next one to write."""
    if (I < I_hi) & (m == tl.load(R[0][0] + tl.minimum(I, nc[0] - 1)) + WIDTHS[0] - 1):
        y, x = to[0][2], to[1][2]
        at = f_c + I * nc[1].to(tl.int64) * nc[2] + y * nc[2] + x
        tl.store(at, restricted(ring, R, I, to, WIDTHS), mask=(y < to[0][1]) & (x < to[1][1]))
        I += 1
    return I
