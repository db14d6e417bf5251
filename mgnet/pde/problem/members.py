"""The members of a batch: a number or a flag of each, (batch,), beside tensors (batch, *grid)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def batch_of(tensors: Iterable[Tensor], ndim: int) -> tuple[int, ...]:
    """The batch axes of tensors (*batch, *grid) on a grid of so many axes, broadcast."""
    return np.broadcast_shapes(*(v.shape[: max(v.ndim - ndim, 0)] for v in tensors))


def norm_of(v: Tensor) -> Tensor:
    """(batch,) ||v||."""
    return torch.linalg.vector_norm(v.flatten(1), dim=1)


def each(values: Tensor, like: Tensor) -> Tensor:
    """(batch, 1, ...) a value per member."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def where(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` for the members ``which``."""
    return torch.where(each(which, old), new, old)
