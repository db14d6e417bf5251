"""Padded fields as the compiled stencils have them, for the tests that call their verbs."""

from collections.abc import Sequence

import numpy as np
import torch

LEFT = 16  # numbers before the first unknown of a row
BEYOND = 64  # numbers behind a field, where whole vectors may be read


def with_room(shape: Sequence[int], value: float, dtype) -> np.ndarray:
    """A field of a number, with room behind it."""
    return np.full(int(np.prod(shape)) + BEYOND, value, dtype)[:-BEYOND].reshape(shape)


def field(v: torch.Tensor, wraps: bool, dtype) -> np.ndarray:
    """(members, *grid) -> (members, rows, stride); what is beyond the ghosts is not a number."""
    n = v.shape[-1]
    stride = LEFT + -(-(n + 3) // 16) * 16
    to = with_room((len(v), int(np.prod(v.shape[1:-1])), stride + 16 * (stride % 512 == 0)), np.nan, dtype)
    to[:, :, LEFT - 2 : LEFT + n + 2] = 0
    to[:, :, LEFT : LEFT + n] = v.reshape(*to.shape[:2], n).numpy()
    if wraps:
        for ghost in (-2, -1, n, n + 1):
            to[:, :, LEFT + ghost] = to[:, :, LEFT + ghost % n]
    return to


def plain(w: np.ndarray, shape: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(w[:, :, LEFT : LEFT + shape[-1]].reshape(len(w), *shape).copy())
