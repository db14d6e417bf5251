"""How the kernels for any coefficients share out a grid: a program computes a tile of one plane."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

TILE, LARGE_TILE = (8, 64), (4, 256)  # rows and columns of a program, 128 threads; the latter has fewer instructions
LARGE = 2**18  # unknowns of a grid that fills a device with large tiles


def three(v: Sequence, missing: object) -> tuple:
    """Per grid axis to per array axis (n0, n1, n2); missing ones come first."""
    return (missing,) * (3 - len(v)) + tuple(v)


def tile(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a program's part of a grid."""
    return LARGE_TILE if prod(shape) >= LARGE and shape[-1] > TILE[1] else TILE


def programs(shape: Sequence[int]) -> int:
    """How many tiles a grid has."""
    n0, n1, n2 = three(shape, 1)
    rows, columns = tile(shape)
    return n0 * -(-n1 // rows) * -(-n2 // columns)


@lru_cache(maxsize=256)
def integers(v: tuple[int, ...], device: torch.device) -> Tensor:
    """A few numbers on a device, sent there once."""
    return torch.tensor(v, dtype=torch.int32, device=device)
