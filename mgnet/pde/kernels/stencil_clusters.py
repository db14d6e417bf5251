"""Corrections of clusters on padded fields, u += B (f - A u): see ``blackbox.clusters``."""

from functools import cache

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from mgnet.pde.blackbox.clusters import NOTHING, Clusters
from mgnet.pde.kernels.emitter import INT, Vector
from mgnet.pde.kernels.launch import FAST, SIGNATURE, launch, part, pointer, share_out
from mgnet.pde.kernels.stencil_fields import Operator, wrapped
from mgnet.pde.kernels.stencil_rows import LEFT

SUM, ADD = range(2)
ARGUMENTS = 19
AHEAD = 64  # numbers to ask for before they are needed: clusters lie in many rows, which no processor foresees


@intrinsic
def _ask(typingctx, address):
    """Fetch what lies at an address, which will be needed soon."""

    def codegen(context, builder, signature, values):
        Vector(context, builder, types.uint8, 1).prefetch(values[0], ir.Constant(INT, 0))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@part
def _add(q, v, u, n2, stride, wraps):
    """u += v at number q of a member's field, and at its ghosts."""
    u[q] += v
    x = q % stride - LEFT
    if wraps:
        if x == 0:
            u[q + n2] = u[q]
        if x == 1 % n2:
            u[q - x + n2 + 1] = u[q]
        if x == n2 - 1:
            u[q - n2] = u[q]
        if x == (n2 - 2) % n2:
            u[q - x - 2] = u[q]


@part
def _sum(begin, end, w, places, v, address, itemsize):
    """The sum of w v[places] over [begin, end); v lies at an address."""
    total = 0.0
    for m in range(begin, end):
        _ask(address + itemsize * places[m + AHEAD])
        total += np.float64(w[m]) * np.float64(v[places[m]])
    return total


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of a half of the correction; task t is block t of (fields, clusters).

    SUM: values = ((z, f) - (A z, u)) / (z, A z), for every cluster. ADD: u += z values.
    Its arguments: which; addresses of u, f; of z and of A z their numbers, where these lie in a member's field,
    and where each cluster's begin; of inverse, members, values, bounds; the size of a field, n2, stride, whether
    rows wrap, the clusters, the blocks.
    """

    def task(t, arguments):
        v = carray(arguments, ARGUMENTS)
        size, n2, stride, wraps, K, blocks = v[13], v[14], v[15], v[16] != 0, v[17], v[18]
        field, block = t // blocks, t % blocks
        begins, begins_A = carray(pointer(v[5]), (K + 1,), np.int64), carray(pointer(v[8]), (K + 1,), np.int64)
        z, at = carray(pointer(v[3]), (begins[K],), dtype), carray(pointer(v[4]), (begins[K] + AHEAD,), np.int32)
        Az = carray(pointer(v[6]), (begins_A[K],), dtype)
        at_A = carray(pointer(v[7]), (begins_A[K] + AHEAD,), np.int32)
        inverse, members = carray(pointer(v[9]), (K,), np.float64), carray(pointer(v[10]), (K,), np.int64)
        values = carray(pointer(v[11] + 8 * field * K), (K,), np.float64)
        bounds = carray(pointer(v[12]), (blocks + 1,), np.int64)
        for k in range(bounds[block], bounds[block + 1]):
            own = (field + members[k]) * size * itemsize
            u, f = carray(pointer(v[1] + own), (size,), dtype), carray(pointer(v[2] + own), (size,), dtype)
            if v[0] == SUM:
                total = _sum(begins[k], begins[k + 1], z, at, f, v[2] + own, itemsize)
                total -= _sum(begins_A[k], begins_A[k + 1], Az, at_A, u, v[1] + own, itemsize)
                values[k] = inverse[k] * total
            else:
                for m in range(begins[k], begins[k + 1]):
                    _ask(v[1] + own + itemsize * at[m + AHEAD])
                    _add(at[m], z[m] * values[k], u, n2, stride, wraps)

    itemsize = np.int64(np.dtype(dtype).itemsize)
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


class FusedClusters:
    """u += B (f - A u) in place, where (z, f - A u) = (z, f) - (A z, u): A z is zero but at a cluster's edge."""

    def __init__(self, B: Clusters, A: Operator, dtype: np.dtype, batch: int):
        K, fields = len(B.inverse), batch // A.batch
        at, begin = B.at.numpy(), np.searchsorted(B.cluster.numpy(), np.arange(K + 1))
        at_A, v, begin_A = _products(at, begin, A.D, A.S, A.R, np.array(A.couplings), A.n, A.wraps)
        work = begin + begin_A
        blocks, self._alone = share_out(fields, K, fields * int(work[-1]))
        bounds = np.searchsorted(work, np.linspace(0, work[-1], blocks + 1))
        bounds[-1] = K
        member = at[begin[:-1]] // int(np.prod(A.n))
        self._arrays = [
            *(B.z.numpy().astype(dtype), _places(at, A), begin, v.astype(dtype), _places(at_A, A), begin_A),
            *(B.inverse.numpy(), member, np.empty((fields, K)), bounds),
        ]
        addresses = [array.ctypes.data for array in self._arrays]
        sizes = [A.n[0] * A.n[1] * A.stride, A.n[2], A.stride, A.wraps[2], K, blocks]
        self._kernel, self._tasks = kernel(dtype), fields * blocks
        self._arguments = np.array([0, 0, 0, *addresses, *sizes], np.int64)

    def __call__(self, u: np.ndarray, f: np.ndarray) -> np.ndarray:
        for what in (SUM, ADD):
            self._arguments[:3] = what, u.ctypes.data, f.ctypes.data
            launch(self._kernel, self._tasks, self._arguments, self._alone)
        return u


@njit(nogil=True, cache=True)
def _products(at, begin, D, S, R, couplings, n, wraps):
    """(where, how much, where each cluster's begin) A z is in the unit form, cluster by cluster.

    In physical unknowns z is 1 on a cluster, and A z the diagonal there less all couplings with it.
    """
    n0, n1, n2 = n
    rows, K = n0 * n1, len(begin) - 1
    size, most = rows * n2, len(at) * (1 + 2 * len(couplings))
    places, values, begins = np.empty(most, np.int64), np.empty(most), np.zeros(K + 1, np.int64)
    sums, touched_by, count = np.zeros(len(D) * size), np.full(len(D) * size, -1), 0
    for c in range(K):
        first = count
        for at_c in at[begin[c] : begin[c + 1]]:
            m, row, x = at_c // size, at_c % size // n2, at_c % n2
            for k in range(-1, 2 * len(couplings)):
                p, v = at_c, D[m, row, LEFT + x]
                if k >= 0:
                    sign = 1 - k % 2 * 2
                    o0, o1, o2 = couplings[k // 2]
                    i = wrapped(row // n1 + sign * o0, n0, wraps[0])
                    j = wrapped(row % n1 + sign * o1, n1, wraps[1])
                    y = wrapped(x + sign * o2, n2, wraps[2])
                    if i < 0 or j < 0 or y < 0:
                        continue
                    other = i * n1 + j
                    p = m * size + other * n2 + y
                    v = -S[k // 2, m, row, LEFT + x] if sign > 0 else -S[k // 2, m, other, LEFT + y]
                if touched_by[p] != c:
                    touched_by[p], sums[p], places[count] = c, 0.0, p
                    count += 1
                sums[p] += v
        end, count = count, first
        for p in places[first:end]:
            m, row, x = p // size, p % size // n2, p % n2
            if abs(sums[p]) > NOTHING * D[m, row, LEFT + x]:
                places[count], values[count] = p, R[m, row, LEFT + x] * sums[p]
                count += 1
        begins[c + 1] = count
    return places[:count], values[:count], begins


def _places(at: np.ndarray, A: Operator) -> np.ndarray:
    """Numbers of (members, *grid) as those of a member's padded field; AHEAD more for the last ones to ask for."""
    row, x = np.divmod(at % int(np.prod(A.n)), A.n[2])
    return np.append(row * A.stride + LEFT + x, np.zeros(AHEAD)).astype(np.int32)
