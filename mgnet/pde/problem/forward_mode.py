"""Forward mode through our own autograd functions, at every level of nested transforms.

torch calls ``jvp`` of a ``torch.autograd.Function`` with forward mode turned off, for all levels: the jvp of a jvp
would come out as zero, without a word (torch 2.14). So it is turned on again for the levels around, and what was
saved enters without its tangent of this level, which ``jvp`` itself accounts for.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor
from torch.autograd import forward_ad


def nested(jvp: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``jvp(ctx, saved, *tangents)`` as the jvp(ctx, *tangents) that torch asks for, which may be differentiated."""

    @wraps(jvp)
    def call(ctx: Any, *tangents: Any) -> Tensor:
        with forward_ad._set_fwd_grad_enabled(True):
            return jvp(ctx, [forward_ad.unpack_dual(v).primal for v in ctx.saved_tensors], *tangents)

    return call
