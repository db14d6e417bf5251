"""How many threads a network is worth: little work takes longer to share out than to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mgnet.vision.costs import count
from mgnet.vision.weights import Card

# Multiply-adds of a step's forward pass for one thread. On two cores of an AMD EPYC the second made a step 0.3 to 1.06
# times as fast up to 450 million; from 1,200 million on 1.28 to 1.69 times, and 0.92 to 1.04 times on 8x8 images.
_WORTH = 600e6


def worth(card: Card, batch: int) -> int:
    """Threads that a step of training can use, one at least.

    Parameters
    ----------
    batch : images a step
    """
    with torch.device("meta"):
        model = card.build().eval()
        x = torch.empty(1, card.in_channels, *card.image_size)
    return max(1, int(batch * sum(part.multiply_adds for part in count(model, model.forward, x)) / _WORTH))


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
