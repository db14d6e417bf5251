"""Running a kernel's tasks on this thread or on all threads.

A kernel is a compiled C function ``kernel(task, arguments)``; ``arguments`` is one array of
addresses and integers. The drivers call it by its address, so they are compiled once and for all
kernels, and the kernel itself once per dtype.
"""

import os
import threading

import numba
import numpy as np
from numba import carray, njit, prange, types
from numba.extending import intrinsic

FAST = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning
SIGNATURE = types.void(types.int64, types.CPointer(types.int64))

_launching = threading.Lock()  # numba's threading layers need not allow two launches at once
_forked = False  # a forked child cannot use its parent's threads


def _after_fork() -> None:
    global _forked, _launching
    _forked, _launching = True, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def threads() -> int:
    """How many threads a launch uses."""
    return 1 if _forked else numba.get_num_threads()


def launch(address: int, tasks: int, arguments: np.ndarray, alone: bool) -> None:
    """Run tasks 0, 1, ... of the kernel at an address.

    Parameters
    ----------
    arguments : int64, passed to the kernel as a pointer
    alone : on this thread only; worth it for small grids
    """
    if alone or _forked:
        _serial(address, tasks, arguments)
        return
    with _launching:
        _parallel(address, tasks, arguments)


@intrinsic
def _call(typingctx, address, task, arguments):
    """address(task, arguments) in C."""
    from llvmlite import ir

    def codegen(context, builder, signature, values):
        integer, pointer = ir.IntType(64), ir.IntType(64).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [integer, pointer])
        callee = builder.inttoptr(values[0], function.as_pointer())
        builder.call(callee, [values[1], builder.inttoptr(values[2], pointer)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def pointer(typingctx, address):
    """An integer address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@njit(nogil=True, cache=True)
def _serial(address, tasks, arguments):
    for task in range(tasks):
        _call(address, task, arguments.ctypes.data)


@njit(nogil=True, parallel=True, cache=True)
def _parallel(address, tasks, arguments):
    data = arguments.ctypes.data
    for task in prange(tasks):
        _call(address, task, data)


@njit(nogil=True, cache=True)
def address_all(into, a, b, c, d, e, f):
    """Write the addresses of six arrays of one kind into an array; 0 for an empty one."""
    into[0] = a.ctypes.data if a.size else 0
    into[1] = b.ctypes.data if b.size else 0
    into[2] = c.ctypes.data if c.size else 0
    into[3] = d.ctypes.data if d.size else 0
    into[4] = e.ctypes.data if e.size else 0
    into[5] = f.ctypes.data if f.size else 0


@njit(fastmath=FAST, nogil=True)
def borrow(v):
    """The same array without a reference count: slicing rows off it then costs nothing.

    Whoever borrows keeps the owner alive.
    """
    return carray(pointer(v.ctypes.data), v.shape, v.dtype)


@njit(fastmath=FAST, nogil=True)
def workspace(planes, rows, n, like):
    """(owner, (planes, rows, n)) whose rows start one number before a cache line, as inner loops do at 1."""
    itemsize = like.itemsize
    per_line = 64 // itemsize
    stride = (n + per_line - 1) // per_line * per_line + per_line
    if stride * itemsize % 4096 < 512:  # rows a page apart would fight for the same cache sets
        stride += 8 * per_line
    flat = np.empty(planes * rows * stride + 2 * per_line, like.dtype)
    skip = (64 - flat.ctypes.data % 64) // itemsize + per_line - 1
    return flat, borrow(flat[skip : skip + planes * rows * stride].reshape((planes, rows, stride)))
