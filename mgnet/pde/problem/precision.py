"""Arithmetic in the precision of the tensors, whatever the caller has allowed for networks; and where that ends."""

from collections.abc import Callable, Sequence
from functools import wraps
from math import pi
from typing import Any, TypeVar

import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Axis

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


LOSS = 1e-5  # of u, that a sum with the diagonal in it may cost


def held_by_little(axes: Sequence[Axis], a: Sequence[float], c: float, dtype: torch.dtype) -> bool:
    """Whether sums with the diagonal in them lose more than LOSS of u, so that differences have to do."""
    return torch.finfo(dtype).eps > LOSS * hold(axes, a, c)


def hold(axes: Sequence[Axis], a: Sequence[float], c: float) -> float:
    """lambda / d: the smallest eigenvalue of A, but for a zero, over its diagonal, constant coefficients.

    What is summed with the diagonal loses eps / hold of the smoothest part of u. Robin ends count as free ones.
    """
    halves = [(axis.low == DIRICHLET) + (axis.high == DIRICHLET) for axis in axes]  # of a wave between the ends
    waves = [a_d * (pi / (axis.upper - axis.lower)) ** 2 for axis, a_d in zip(axes, a, strict=True)]
    held = c + sum(wave * (half / 2) ** 2 for wave, half in zip(waves, halves, strict=True))
    return (held or min(waves)) / (c + sum(2 * a_d / axis.h**2 for axis, a_d in zip(axes, a, strict=True)))
