"""Where a fused pass finds what it works on: the two grids, their tables, and the rows in flight."""

from collections import namedtuple

import numpy as np

from mgnet.pde.kernels.launch import inlined
from mgnet.pde.kernels.rows import Line, wrap
from mgnet.pde.kernels.tables import HEADER, rows_of

AXIS_HEADER = 10  # numbers per axis in ``reals``
INTS, REALS = 6, 5  # where the tables' headers begin, and the axes

# the fine grid: its axes, a / h^2 per axis, the diagonal of L and c in it, bytes of a row and of a plane, whether n1 = 1;
# whether its data are raw, w^-1 f
Fine = namedtuple("Fine", "a0 a1 a2 x0 x1 x2 d c row plane flat raw")
# the coarse grid: its sizes, bytes of a row and of a plane; where ``ints`` and ``reals`` with the tables lie
Coarse = namedtuple("Coarse", "n0 n1 n2 row plane ints reals")
# the planes in flight: three a stage, rows base1, base1 + 1, ... of each, planes count from base0; the last step's go
# to ``out`` unless that is 0, the residual's to ``residuals``: ``depth`` planes from r0 on, ``across`` rows from s0 on
Ring = namedtuple("Ring", "at rows stride base0 base1 nu out residuals r0 depth s0 across")


@inlined
def _line(ints, reals, axis):
    g = reals[REALS + AXIS_HEADER * axis : REALS + AXIS_HEADER * (axis + 1)]
    return Line(ints[axis], g[3] != 0, g[0], int(g[1]), g[2], g[5], int(g[6]), g[7], g[4], reals.itemsize)


@inlined
def fine_of(ints, reals, raw):
    a0, a1, a2 = _line(ints, reals, np.int64(0)), _line(ints, reals, np.int64(1)), _line(ints, reals, np.int64(2))
    row = a2.n * a2.size
    return Fine(a0, a1, a2, reals[0], reals[1], reals[2], reals[3], reals[4], row, a1.n * row, a1.n == 1, raw)


@inlined
def coarse_of(ints, reals):
    row = ints[5] * reals.itemsize
    return Coarse(ints[3], ints[4], ints[5], row, ints[4] * row, ints.ctypes.data, reals.ctypes.data)


@inlined
def table_of(c, which, line):
    """A table: 0 to 2 are P along the axes, 3 to 5 Q, 6 to 8 R."""
    return rows_of(c.ints, c.reals, INTS + HEADER * which, line.one, line.size)


@inlined
def reach(lo, hi, halo, line):
    """[lo, hi) widened by a halo, inside the grid unless it wraps."""
    if line.wraps:
        return lo - halo, hi + halo
    return max(lo - halo, 0), min(hi + halo, line.n)


@inlined
def row_before(p, line):
    """(plane before p, its sign)."""
    if p == 0 and not line.wraps:
        return line.index_lo, line.sign_lo
    return p - 1, line.one


@inlined
def row_after(p, line):
    """(plane after p, its sign)."""
    if p == line.n - 1 and not line.wraps:
        return line.index_hi, line.sign_hi
    return p + 1, line.one


@inlined
def share_of(p, line):
    """Share of a cell of plane p."""
    if p == 0:
        return line.share_lo * (line.share_hi if line.n == 1 else line.one)
    return line.share_hi if p == line.n - 1 else line.one


@inlined
def slot(ring, stage, p):
    """Where row base1 of plane p lies, as stage ``stage`` left it."""
    return ring.at + (3 * stage + (p - ring.base0) % 3) * ring.rows * ring.stride


@inlined
def home(g, ring, s, p, j):
    """Where row (p, j) of stage s goes."""
    if s > ring.nu:
        return ring.residuals + ((p - ring.r0) % ring.depth * ring.across + j - ring.s0) * ring.stride
    if s == ring.nu and ring.out != 0:
        return ring.out + wrap(p, g.a0.n) * g.plane + wrap(j, g.a1.n) * g.row
    return slot(ring, s, p) + (j - ring.base1) * ring.stride


@inlined
def member_of(address, size):
    """Where the member's part of an array begins; 0 where there is none."""
    return address + size if address != 0 else 0
