"""Sums and products over whole arrays, on the threads that the solver uses.

torch has them too, but its threads keep spinning for a while after each, on the processors that the next
kernel needs.
"""

from functools import cache

import numpy as np
import torch
from numba import carray, cfunc, njit
from torch import Tensor

from mgnet.pde.kernels.launch import FAST, SIGNATURE, launch, pointer, threads
from mgnet.pde.kernels.memory import pool
from mgnet.pde.kernels.vectors import absolute, multiply, shift, summed

CHUNK = 4096  # numbers that a step of a task works on
SMALL = 20_000  # numbers below which threads cost more than they bring
PRODUCT, SUMS, SHIFT = range(3)


@njit(fastmath=FAST, nogil=True)
def _work(what, v, w, out, sums, n, one, size):
    """An operation on n numbers at v, with those at w; ``sums`` are two numbers, added to or read."""
    for k in range(0, n, CHUNK):
        m, at = min(CHUNK, n - k), k * size
        if what == PRODUCT:
            multiply(out + at, m, v + at, w + at, one)
        elif what == SUMS:
            sums[0] += summed(v + at, m, one)
            sums[1] += absolute(v + at, m, one)
        else:
            shift(v + at, m, one * sums[0])


@cache
def _kernel(dtype: np.dtype) -> int:
    """The address of the operations; task t is part t % parts of member t // parts.

    Its arguments: what; addresses of v, w, out, sums (tasks, 2); numbers a member, parts, tasks.
    """

    def task(t, arguments):
        v = carray(arguments, 8)
        n, parts = v[5], v[6]
        member, part = t // parts, t % parts
        begin, end = part * n // parts, (part + 1) * n // parts
        own, shared = (member * n + begin) * itemsize, begin * itemsize
        sums = carray(pointer(v[4]), (v[7], 2), np.float64)
        _work(v[0], v[1] + own, v[2] + shared, v[3] + own, sums[t], end - begin, one, itemsize)

    itemsize, one = np.dtype(dtype).itemsize, np.dtype(dtype).type(1)
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


def _run(what: int, v: np.ndarray, w: np.ndarray, out: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Do it to the members v (batch, n), and return the sums (batch, 2)."""
    batch, n = v.shape
    alone = v.size <= SMALL or threads() == 1
    parts = 1 if alone or batch >= 4 * threads() else 2 * threads()
    sums = np.repeat(sums, parts, axis=0)
    addresses = (a.ctypes.data for a in (v, w, out, sums))
    launch(_kernel(v.dtype), len(sums), np.array([what, *addresses, n, parts, len(sums)], np.int64), alone)
    return sums.reshape(batch, parts, 2).sum(axis=1)


def _members(v: Tensor, ndim: int) -> np.ndarray:
    """v, (*batch, *grid), as (batch, n)."""
    return v.detach().contiguous().numpy().reshape(-1, v[(0,) * (v.ndim - ndim)].numel())


def product(v: Tensor, w: Tensor) -> Tensor:
    """v w for v of shape (*batch, *grid) and w of shape (*grid)."""
    members = _members(v, w.ndim)
    out = pool(tuple(v.shape), members.dtype.str).empty()
    _run(PRODUCT, members, _members(w, w.ndim)[0], out, np.zeros((len(members), 2)))
    return torch.from_numpy(out)


def sums(v: Tensor, ndim: int) -> tuple[Tensor, Tensor]:
    """(batch,) the sums of v and of |v| over the grid, in float64."""
    members = _members(v, ndim)
    both = torch.from_numpy(_run(SUMS, members, members, members, np.zeros((len(members), 2))))
    return both[:, 0], both[:, 1]


def shift_(v: Tensor, by: Tensor, ndim: int) -> Tensor:
    """v += by[member], in place; v contiguous, by (batch,)."""
    members = _members(v, ndim)
    _run(SHIFT, members, members, members, np.stack([by.numpy(), 0 * by.numpy()], axis=1))
    return v


def runs_here(v: Tensor, ndim: int) -> bool:
    """Whether v, (*batch, *grid), holds plain numbers that these loops may read, and enough of them to be worth it."""
    if torch.compiler.is_compiling() or type(v) is not Tensor or torch._C._functorch.is_functorch_wrapped_tensor(v):
        return False
    plain = v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64) and not v.requires_grad
    return plain and v.ndim >= ndim and v.numel() > SMALL
