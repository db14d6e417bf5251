"""The solution as a differentiable function of the data and of the coefficients.

    A u = b       =>      grad b = lambda,   A^T lambda = grad u,      dA:  - lambda^T dA u      (reverse)
                          A du = db - dA u                                                       (forward)

The second-order A is symmetric and the fourth-order one has the same levels, so the same fast solver
solves the adjoint and the tangent system; no graph runs through the cycles. With conductances k_j on the faces and the
differences of u across them, lambda^T A u = sum_j k_j (difference of lambda) (difference of u)
+ sum_i c_i lambda_i u_i.

Source: implicit function theorem; Giles & Pierce 2000, "An introduction to the adjoint approach".
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mgnet.pde.problem.forward_mode import nested
from mgnet.pde.problem.operators import Operator

Run = Callable[..., Tensor]  # (A, b, guess or None, *boundary parts of b on every grid) -> u, without a graph


class Solve(torch.autograd.Function):
    """u = A^-1 b.

    Inputs: how to solve for u and for its derivatives, A, b of shape (*batch, *grid), a guess of u or None, A's
    tensors, and the boundary's part of b on every grid (like the guess it only helps the first iterate); batch axes
    of the coefficients broadcast with b's.
    """

    @staticmethod
    def forward(run: Run, derivative: Run, A: Operator, b: Tensor, guess: Tensor | None, *rest: Tensor) -> Tensor:
        m = len(A.tensors)
        return run(A.made_of(rest[:m]), b, guess, *rest[m:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _, ctx.derivative, ctx.A, _, _, *rest = inputs
        m = len(ctx.A.tensors)
        ctx.unused = [None] * (len(rest) - m)
        ctx.save_for_backward(output, *rest[:m])
        ctx.save_for_forward(output, *rest[:m])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        u, *tensors = ctx.saved_tensors
        A, needs = ctx.A.made_of(tensors), ctx.needs_input_grad
        adjoint = Solve.apply(ctx.derivative, ctx.derivative, A.T, gradients[0], None, *tensors)
        grads = [
            A.derivative(k, adjoint, u).sum_to_size(v.shape) if needs[5 + k] else None for k, v in enumerate(tensors)
        ]
        return None, None, None, adjoint if needs[3] else None, None, *grads, *ctx.unused

    @staticmethod
    @nested
    def jvp(ctx: Any, saved: Any, *tangents: Any) -> Tensor:
        u, *tensors = saved
        db, dA, parts = tangents[3], tangents[5 : 5 + len(tensors)], tangents[5 + len(tensors) :]
        A = ctx.A.made_of(tensors)
        return Solve.apply(ctx.derivative, ctx.derivative, A, db - A.change(dA, u), None, *tensors, *parts)

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, run: Run, derivative: Run, A: Operator, *tensors: Tensor | None
    ) -> tuple[Tensor, int]:
        """The mapped axis becomes the first batch axis of everything that has it."""
        dims = in_dims[3:]
        rank = max(v.ndim - (dim is not None) for v, dim in zip(tensors, dims, strict=True) if v is not None)
        moved = [v if v is None else _lead(v, dim, rank) for v, dim in zip(tensors, dims, strict=True)]
        b = moved[0]
        if dims[0] is None and b is not None:
            moved[0] = b.expand(info.batch_size, *[-1] * b.ndim)
        return Solve.apply(run, derivative, A, *moved), 0


def _lead(v: Tensor, dim: int | None, rank: int) -> Tensor:
    """v with the axis ``dim`` first, and ones after it up to ``rank`` further axes."""
    if dim is None:
        return v
    v = v.movedim(dim, 0)
    return v.reshape(v.shape[0], *[1] * (rank - v.ndim + 1), *v.shape[1:])
