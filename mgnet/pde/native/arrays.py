"""Products, shifts and sums of whole tensors on the CPU, on the threads that the kernels use.

torch has them too, but its threads keep spinning for a while after each, on the processors that the next
kernel needs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import four, kernels, padded, threads
from mgnet.pde.native.memory import pool
from mgnet.pde.problem import plain


def product(v: Tensor, w: Tensor) -> Tensor:
    """v w for v of shape (*batch, *grid) and w of shape (*grid)."""
    numbers = _numbers(v)
    out = pool(tuple(v.shape), numbers.dtype.str).empty()
    kernels.product(numbers, _numbers(w), out, threads())
    return torch.from_numpy(out)


def shift_(v: Tensor, by: np.ndarray) -> Tensor:
    """v += by[member], in place; v (batch, *grid) and contiguous, by (batch,) or (1,)."""
    kernels.shift(v.detach().numpy(), np.ascontiguousarray(np.broadcast_to(by, len(v)), float), threads())
    return v


def weighted_sums(v: Tensor, weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(batch,) w^T v and the sums of |v| for v of shape (batch, *grid); w: a vector per axis, whose product it is."""
    numbers = _numbers(v)
    w = [np.ascontiguousarray(each, numbers.dtype) for each in padded(weights, np.ones(1))]
    total, size = kernels.weighted_sums(numbers.reshape(len(v), *four(v.shape[1:])), w, threads()).T
    return total, size


def minus_products_of_differences(v: Tensor, u: Tensor, dim: int, wraps: bool) -> Tensor:
    """- (differences of v) (differences of u) across the faces of an axis: how v^T A u depends on the conductances.

    For v, u of one shape, a new tensor with one number more along ``dim`` (negative); beside the ends is 0, or u's
    other end. One pass, where torch would take six and as many fresh arrays.
    """
    a, axis = _numbers(v), v.ndim + dim
    out = pool(tuple(n + (d == axis) for d, n in enumerate(v.shape)), a.dtype.str).empty()
    kernels.difference_products(a, _numbers(u), out, axis, wraps, threads())
    return torch.from_numpy(out)


def components(inside: np.ndarray, opens: Sequence[np.ndarray], wraps: Sequence[bool]) -> np.ndarray:
    """(members, *grid) the number of the first unknown of each one's connected part of ``inside``; -1 elsewhere.

    Parameters
    ----------
    opens : per axis (members, *grid with n_d + 1) the faces that connect; () for all
    """

    def boxed(v: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(v).reshape(len(v), *four(v.shape[1:]))

    label = np.empty(inside.shape, np.int64)
    faces = padded([boxed(v) for v in opens] or [None] * len(wraps), None)
    kernels.components(boxed(inside), faces, padded(wraps, False), boxed(label))
    return label


def change(u: Tensor, before: Tensor) -> np.ndarray:
    """(batch,) ||u - before|| / ||u||, for u (batch, *grid)."""
    moved, size = np.sqrt(kernels.changes(_numbers(u), _numbers(before), len(u), threads())).T
    return np.divide(moved, size, out=np.zeros_like(moved), where=moved != 0)


def _numbers(v: Tensor) -> np.ndarray:
    return np.ascontiguousarray(plain.numbers(v))
