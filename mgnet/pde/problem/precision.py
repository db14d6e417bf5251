"""Arithmetic in the precision of the tensors, whatever the caller has allowed for networks; and where that ends."""

from collections.abc import Callable, Sequence
from functools import wraps
from math import pi, prod
from typing import Any, TypeVar

import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.ends import Robin

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


CLAMPED = 1e9, 1e11  # alpha h / a of a node: where there are levels, or elimination in 1-D; where modes are found
DIRECT_WORK = 300_000  # multiply-adds of a direct solve that is cheaper than another level
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


def work_of(axes: Sequence[Axis]) -> int:
    """Multiply-adds of a direct solve with coefficients that are numbers."""
    return prod(axis.n for axis in axes) * sum(axis.n for axis in axes)


def clamps(axes: Sequence[Axis], a: Sequence[float]) -> bool:
    """Whether an alpha, of a penalty, say, is so large that it fixes the unknowns on its end.

    Corrections of levels whose coefficients are numbers move these, the more the larger it is: cycles grow, and from
    1e20 on do not converge, and one full pass is wrong; of a direct solve's modes all lose digits to the largest.
    Black-box interpolation leaves them where they are.
    """
    most = CLAMPED[len(axes) > 1 and work_of(axes) <= DIRECT_WORK]
    return any(
        isinstance(end, Robin) and axis.centering == "node" and not end.varies and end.alpha * axis.h > most * a_d
        for axis, a_d in zip(axes, a, strict=True)
        for end in (axis.low, axis.high)
    )
