"""Products and shifts of whole arrays, on the threads that the solver uses.

torch has them too, but its threads keep spinning for a while after each, on the processors that the next
kernel needs.
"""

from functools import cache

import numpy as np
import torch
from numba import carray, cfunc
from torch import Tensor
from torch.autograd import forward_ad

from mgnet.pde.kernels import COMPILES
from mgnet.pde.kernels.launch import FAST, SIGNATURE, SMALL, launch, pointer, share_out
from mgnet.pde.kernels.pointwise import multiply, shift
from mgnet.pde.memory import pool

CHUNK = 4096  # numbers that a step of a task works on
PRODUCT, SHIFT = range(2)


@cache
def _kernel(dtype: np.dtype) -> int:
    """The address of the operations; task t is part t % parts of member t // parts.

    PRODUCT: out = v w. SHIFT: v += by. Its arguments: what; addresses of v (batch, n), w (n,), out (batch, n),
    by (batch,); batch, n, parts.
    """

    def task(t, arguments):
        v = carray(arguments, 8)
        n, parts = v[6], v[7]
        member, part = t // parts, t % parts
        begin, end = part * n // parts, (part + 1) * n // parts
        by = carray(pointer(v[4]), (v[5],), np.float64)
        for k in range(begin, end, CHUNK):
            m, own = min(CHUNK, end - k), (member * n + k) * itemsize
            if v[0] == PRODUCT:
                multiply(v[3] + own, m, v[1] + own, v[2] + k * itemsize, one)
            else:
                shift(v[1] + own, m, by[member], one)

    itemsize, one = np.dtype(dtype).itemsize, np.dtype(dtype).type(1)
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


def _run(what: int, v: np.ndarray, w: np.ndarray, out: np.ndarray, by: np.ndarray) -> None:
    """Do it to the members v (batch, n)."""
    batch, n = v.shape
    parts, alone = share_out(batch, n, v.size)
    addresses = (a.ctypes.data for a in (v, w, out, by))
    launch(_kernel(v.dtype), batch * parts, np.array([what, *addresses, batch, n, parts], np.int64), alone)


def _members(v: Tensor, ndim: int) -> np.ndarray:
    """v, (*batch, *grid), as (batch, n)."""
    return v.detach().contiguous().numpy().reshape(-1, v[(0,) * (v.ndim - ndim)].numel())


def product(v: Tensor, w: Tensor) -> Tensor:
    """v w for v of shape (*batch, *grid) and w of shape (*grid)."""
    members = _members(v, w.ndim)
    out = pool(tuple(v.shape), members.dtype.str).empty()
    _run(PRODUCT, members, _members(w, w.ndim)[0], out, np.zeros(len(members)))
    return torch.from_numpy(out)


def shift_(v: Tensor, by: np.ndarray, ndim: int) -> Tensor:
    """v += by[member], in place; v contiguous, by (batch,)."""
    members = _members(v, ndim)
    by = np.ascontiguousarray(np.broadcast_to(by, len(members)), np.float64)
    _run(SHIFT, members, members, members, by)
    return v


def plain(v: Tensor) -> bool:
    """Whether v is numbers, and nothing follows what becomes of them."""
    if torch.compiler.is_compiling() or type(v) is not Tensor or v.requires_grad:
        return False
    return not transformed(v)


def transformed(v: Tensor) -> bool:
    """Whether a transform of torch.func, or a tangent of torch.autograd.forward_ad, belongs to v."""
    if torch._C._functorch.is_functorch_wrapped_tensor(v):
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(v).tangent is not None


def values(v: Tensor) -> Tensor:
    """v without a graph or a tangent, out of the levels of torch.func that differentiate."""
    while torch._C._functorch.is_gradtrackingtensor(v):
        v = torch._C._functorch.get_unwrapped(v)
    return v if plain(v) else v.detach()  # which would wrap it again


def runs_here(v: Tensor, ndim: int) -> bool:
    """Whether v, (*batch, *grid), holds plain numbers that these loops may read, and enough of them to be worth it."""
    here = COMPILES and plain(v) and v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64)
    return here and v.ndim >= ndim and v.numel() > SMALL
