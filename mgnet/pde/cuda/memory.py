"""An error that helps where a device's memory runs out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor

ARRAYS = 4.0  # of the finest size that a solve holds beside f: two iterates, the coarser grids, and the caller's u
STENCIL = {2: 200.0, 3: 300.0}  # bytes per unknown where coefficients vary, most of them the set-up's, in float64


@contextmanager
def on_device(b: Tensor, ndim: int, constant: bool) -> Iterator[None]:
    """Work on b's device; out of memory inside becomes a MemoryError with what is needed and what would fit.

    Parameters
    ----------
    b : (batch, *grid) the right-hand side
    constant : whether the coefficients are
    """
    if b.device.type != "cuda":
        yield
        return
    try:
        with torch.cuda.device_of(b):
            yield
    except torch.OutOfMemoryError:
        held = torch.cuda.memory_reserved(b.device) - torch.cuda.memory_allocated(b.device)
        free = torch.cuda.mem_get_info(b.device)[0] + held
        bytes_each = ARRAYS * b.element_size() if constant else STENCIL.get(ndim, STENCIL[2])
        raise MemoryError(message(b.shape, ndim, b.element_size(), bytes_each, free, str(b.device))) from None


def message(shape: Sequence[int], ndim: int, itemsize: int, bytes_each: float, free: int, device: str) -> str:
    """What is needed for (batch, *grid) at ``bytes_each`` per unknown beside f, and the largest size that fits.

    Example
    -------
    >>> print(message((1, 4000, 4000), 2, 8, 32, 2**27, "cuda:0"))
    `f` of 1 x 4000 x 4000 unknowns needs about 512,000,000 bytes beside itself; cuda:0 has 134,217,728 free.
    About 2560 x 2560 unknowns fit, f included. Solve a smaller grid or batch, use float32, or the CPU: f.cpu().
    """
    batch, *grid = shape
    needed = int(bytes_each * prod(shape))
    fits = int((free + itemsize * prod(shape)) / (bytes_each + itemsize))
    ratio = min(1.0, (fits / prod(grid)) ** (1 / ndim))
    largest = " x ".join(str(int(n * ratio)) for n in grid)
    members = f" ({fits // prod(grid)} of them at once)" if batch > 1 and fits >= prod(grid) else ""
    return (
        f"`f` of {' x '.join(map(str, shape))} unknowns needs about {needed:,} bytes beside itself; {device} has "
        f"{free:,} free.\nAbout {largest} unknowns{members} fit, f included. Solve a smaller grid or batch, use "
        "float32, or the CPU: f.cpu()."
    )
