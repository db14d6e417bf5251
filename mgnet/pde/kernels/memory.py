"""Arrays that are handed out, and whose memory is used again once nobody holds them.

A fresh large array costs a page fault per page, as much as a third of a solve.
"""

import weakref
from collections.abc import Sequence
from functools import lru_cache

import numpy as np


class _Owner:
    """What a handed-out array and all views of it keep alive."""

    def __init__(self, raw: np.ndarray):
        self.__array_interface__ = raw.__array_interface__


class Pool:
    """Arrays of one shape and dtype; keeps the memory of at most one that came back."""

    def __init__(self, shape: Sequence[int], dtype: np.dtype):
        self._shape, self._dtype = tuple(shape), dtype
        self._free: list[np.ndarray] = []

    def empty(self) -> np.ndarray:
        try:
            raw = self._free.pop()
        except IndexError:
            raw = np.empty(self._shape, self._dtype)
        owner = _Owner(raw)
        weakref.finalize(owner, self._take_back, raw).atexit = False
        return np.asarray(owner)

    def _take_back(self, raw: np.ndarray) -> None:
        if not self._free:
            self._free.append(raw)


@lru_cache(maxsize=2)
def pool(shape: tuple[int, ...], dtype: str) -> Pool:
    """The pool for arrays that live as long as one solve."""
    return Pool(shape, np.dtype(dtype))
