"""Arrays that are handed out, and whose memory is used again once nobody holds them.

A fresh large array costs a page fault per page, as much as a third of a solve.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache

import numpy as np


class _Owner:
    """What a handed-out array and all views of it keep alive; calls ``over`` with the memory after the last."""

    def __init__(self, raw: np.ndarray, over: Callable[[np.ndarray], None]):
        self.__array_interface__ = raw.__array_interface__
        self._raw, self._over = raw, over

    def __del__(self) -> None:
        self._over(self._raw)


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
        return np.asarray(_Owner(raw, self._take_back))

    def _take_back(self, raw: np.ndarray) -> None:
        if not self._free:
            self._free.append(raw)


@lru_cache(maxsize=2)
def pool(shape: tuple[int, ...], dtype: str) -> Pool:
    """The pool for arrays that live as long as one solve."""
    return Pool(shape, np.dtype(dtype))


def give_back() -> None:
    """What this process has free goes back to the system, as far as it can; not where the C library has no word for it.

    Arrays of up to 32 MB lie in one heap with everything else, and what is freed of it stays with the process.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # of a library other than glibc
            ctypes.CDLL(None).malloc_trim(0)
