"""How many threads a network is worth: little work takes longer to share out than to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Multiply-adds of a step's forward pass for one thread. On two cores of an AMD EPYC the second made a step 0.3 to 1.06
# times as fast up to 450 million; from 1,200 million on 1.28 to 1.69 times, and 0.92 to 1.04 times on 8x8 images.
_WORTH = 600e6


def worth(multiply_adds: float) -> int:
    """Threads that a step of training can use, one at least.

    Parameters
    ----------
    multiply_adds : of the step's forward pass

    Example
    -------
    >>> worth(1e6), worth(2e9)
    (1, 3)
    """
    return max(1, int(multiply_adds / _WORTH))


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """torch uses no more threads inside; after it as many as before.

    Example
    -------
    >>> before = torch.get_num_threads()
    >>> with at_most(1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
