"""Arithmetic in the precision of the tensors, whatever the caller has allowed for networks."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def unaffected(function: Function) -> Function:
    """The function outside of ``torch.autocast``, whose bfloat16 products would end at three digits."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not (torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")):
            return function(*arguments, **named)
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*arguments, **named)

    return call  # type: ignore[return-value]


def wide_enough(v: Tensor) -> torch.dtype:
    """The dtype in which matrix products have v's precision: TensorFloat-32 has three digits of float32's seven."""
    backend = torch.backends.cuda if v.is_cuda else torch.backends.mkldnn
    reduced = v.dtype == torch.float32 and backend.matmul.fp32_precision not in ("none", "ieee")
    return torch.float64 if reduced else v.dtype
