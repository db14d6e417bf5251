"""Which tensors are plain numbers, whatever transforms surround a solve."""

import torch
from torch import Tensor
from torch.autograd import forward_ad


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
