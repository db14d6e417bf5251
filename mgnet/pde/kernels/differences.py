"""- (differences of v) (differences of u) across the faces of one axis: how v^T A u depends on the conductances.

One pass over v and u, where torch would take six and as many fresh arrays.
"""

from functools import cache
from math import prod

import numpy as np
import torch
from numba import carray, cfunc, njit
from torch import Tensor

from mgnet.pde.kernels.launch import FAST, SIGNATURE, launch, threads
from mgnet.pde.kernels.pointwise import difference_product
from mgnet.pde.kernels.vectors import load, store
from mgnet.pde.memory import pool


@njit(fastmath=FAST, nogil=True)
def _along(out, v, u, n, wraps, one, size):
    """One row whose faces lie along it: n unknowns, n + 1 faces."""
    zero = one - one
    first, last = load(u, 0, one), load(u, n - 1, one)
    low, high = (last, first) if wraps else (zero, zero)
    store(out, 0, -load(v, 0, one) * (first - low))
    store(out, n, load(v, n - 1, one) * (high - last))
    difference_product(out + size, n - 1, v + size, v, u + size, u, one)


@njit(fastmath=FAST, nogil=True)
def _across(out, v, u, j, n, post, wraps, zeros, one, size):
    """The faces j between two rows of ``post`` unknowns; v, u: where the first of n rows lies."""
    row = post * size
    v0, v1 = v + (j - 1) * row if j > 0 else zeros, v + j * row if j < n else zeros
    if wraps:
        u0, u1 = u + (j - 1 if j > 0 else n - 1) * row, u + (j if j < n else 0) * row
    else:
        u0, u1 = u + (j - 1) * row if j > 0 else zeros, u + j * row if j < n else zeros
    difference_product(out, post, v1, v0, u1, u0, one)


@cache
def _kernel(dtype: np.dtype) -> int:
    """The address; task t takes its part of the rows. Arguments: addresses of v, u, out; pre, n, post, wraps, parts."""

    def task(t, arguments):
        a = carray(arguments, 8)
        v, u, out, pre, n, post, wraps, parts = a[0], a[1], a[2], a[3], a[4], a[5], a[6] != 0, a[7]
        nothing = np.zeros(post, dtype)
        zeros = np.int64(nothing.ctypes.data)
        rows = pre if post == 1 else pre * (n + 1)
        for r in range(t * rows // parts, (t + 1) * rows // parts):
            if post == 1:
                _along(out + r * (n + 1) * size, v + r * n * size, u + r * n * size, n, wraps, one, size)
            else:
                p, j = r // (n + 1), r % (n + 1)
                at = p * n * post * size
                _across(out + r * post * size, v + at, u + at, j, n, post, wraps, zeros, one, size)
        nothing[0] = 0  # alive until here

    one, size = np.dtype(dtype).type(1), np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


def minus_products_of_differences(v: Tensor, u: Tensor, dim: int, wraps: bool) -> Tensor:
    """For v, u of one shape, a new tensor with one number more along ``dim`` (negative); beside the ends is 0, or u's
    other end."""
    a, b = (w.contiguous().numpy() for w in (v, u))
    shape = list(v.shape)
    pre, n, post = prod(shape[:dim]), shape[dim], prod(shape[v.ndim + dim + 1 :])
    shape[dim] += 1
    out = pool(tuple(shape), a.dtype.str).empty()
    parts = 4 * threads()
    arguments = [a.ctypes.data, b.ctypes.data, out.ctypes.data, pre, n, post, wraps, parts]
    launch(_kernel(a.dtype), parts, np.array(arguments, np.int64), threads() == 1)
    return torch.from_numpy(out)
