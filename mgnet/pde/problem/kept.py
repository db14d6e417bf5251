"""Coefficients that ask for a gradient, in a problem that is kept: a later backward pass says what to do.

A problem is made of its coefficients once. The first backward pass frees the graph behind them, and an optimiser's
step does not reach the problem. torch then advises to retain the graph, which would train with the old numbers.
"""

from typing import Any

import torch
from torch import Tensor

from mgnet.pde.problem.plain import transformed


class _Kept(torch.autograd.Function):
    """A copy, whose backward pass tells where the graph behind it is gone."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v.new_zeros(()))  # freed with all else
        return v.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        try:
            ctx.saved_tensors  # noqa: B018
        except RuntimeError:
            raise RuntimeError(
                "the problem's coefficients were followed backwards before, which freed their graph; nor does an "
                "optimiser's step reach a problem, which keeps the numbers that it was made of. Make it anew in each "
                "step of a training: solver.update(a=...), or mgnet.pde.solve(f, a=...). Several backward passes of "
                "one step need retain_graph=True, but the last."
            ) from None
        return gradient


def kept(A: Any) -> Any:
    """The operator, with those of its tensors that have a graph behind them watched."""
    if torch._C._are_functorch_transforms_active() or not any(v.requires_grad for v in A.tensors):
        return A
    return A.made_of([_Kept.apply(v) if v.requires_grad and not transformed(v) else v for v in A.tensors])
