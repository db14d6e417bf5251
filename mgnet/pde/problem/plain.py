"""Which tensors are plain numbers, whatever transforms surround a solve."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

Door = TypeVar("Door", bound=Callable[..., Any])
SMALL = 10_000  # numbers below which a torch operation costs less than a kernel of ours


def plain(v: Tensor) -> bool:
    """Whether v is numbers, and nothing follows what becomes of them."""
    if torch.compiler.is_compiling() or type(v) is not Tensor or v.requires_grad:
        return False
    return not transformed(v)


def transformed(v: Tensor) -> bool:
    """Whether a transform of torch.func, or a tangent of torch.autograd.forward_ad, belongs to v."""
    if torch._C._functorch.is_functorch_wrapped_tensor(v):
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(v).tangent is not None


def values(v: Tensor) -> Tensor:
    """v without a graph or a tangent, out of the levels of torch.func that differentiate."""
    while torch._C._functorch.is_gradtrackingtensor(v):
        v = torch._C._functorch.get_unwrapped(v)
    return v if plain(v) else v.detach()  # which would wrap it again


def numbers(v: Tensor) -> np.ndarray:
    """Of a ``plain`` tensor on the CPU; within torch.func.grad, too, where none shows its numbers."""
    with torch._C._DisableFuncTorch():
        return v.detach().numpy()


def runs_here(v: Tensor, ndim: int) -> bool:
    """Whether v, (*batch, *grid), is numbers on the CPU that ``native.arrays`` may read, and enough to be worth it."""
    here = plain(v) and v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64)
    return here and v.ndim >= ndim and v.numel() > SMALL


def ours(v: Any) -> Any:
    """A copy of numbers, so that the caller's later changes do not reach what is made of them; all else as it is."""
    if isinstance(v, np.ndarray):
        return v.copy()
    return v.clone() if isinstance(v, Tensor) and plain(v) else v


def outside_inference(door: Door) -> Door:
    """The door as without ``torch.inference_mode``, whose tensors take part in no later gradient."""

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        if not torch.is_inference_mode_enabled():
            return door(*arguments, **named)
        with torch.inference_mode(False), torch.no_grad():
            return door(*arguments, **named)

    return call  # type: ignore[return-value]
