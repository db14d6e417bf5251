"""Levels that outlive their solver: who solves the same problem again finds them ready, as FFTs find their plans.

The levels of a small grid take ten times as long to make as to solve with, and fresh memory costs a large
one as much again; without this, ``solve`` in a loop would do little else.
"""

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any

ROOM = 2**22  # unknowns of all levels that are kept, some 30 bytes each
MOST = 16


class Lease:
    """Levels for one user, who returns them by letting go of the lease.

    Attributes
    ----------
    levels : what ``make`` made, now or for somebody before
    """

    def __init__(self, levels: Any):
        self.levels = levels


class Cache:
    """What nobody uses now, oldest first; at most MOST levels of ROOM unknowns in all.

    Example
    -------
    >>> cache = Cache()
    >>> lease = cache.lease("the key", 100, make=lambda: ["levels"])
    >>> levels = lease.levels
    >>> del lease
    >>> cache.lease("the key", 100, make=lambda: ["others"]).levels is levels
    True
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, with nothing."""
        self._idle: list[tuple[Hashable, int, Any]] = []
        self._lock = threading.RLock()  # a lease may end wherever Python collects garbage, here too

    def lease(self, key: Hashable, size: int, make: Callable[[], Any]) -> Lease:
        """The levels of that key and number of unknowns, for the caller alone."""
        levels = self._take(key)
        lease = Lease(make() if levels is None else levels)
        if size <= ROOM:
            weakref.finalize(lease, self._return, key, size, lease.levels).atexit = False
        return lease

    def _take(self, key: Hashable) -> Any:
        with self._lock:
            found = next((entry for entry in reversed(self._idle) if entry[0] == key), None)
            if found is None:
                return None
            self._idle = [entry for entry in self._idle if entry is not found]
            return found[2]

    def _return(self, key: Hashable, size: int, levels: Any) -> None:
        with self._lock:
            self._idle.append((key, size, levels))
            while len(self._idle) > MOST or sum(size for _, size, _ in self._idle) > ROOM:
                self._idle.pop(0)


cache = Cache()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=cache.forget)  # another thread may have been here
