"""The solution as a differentiable function of the data and of the coefficients.

    A(k, c) u = b       =>      grad b = lambda,   A lambda = grad u        (A is symmetric)
                                dA:  - lambda^T dA u

The adjoint system has the same matrix, so the same fast solver solves it; no graph runs through
the cycles. With conductances k_j on the faces and the differences of u across them,
lambda^T A u = sum_j k_j (difference of lambda) (difference of u) + sum_i c_i lambda_i u_i.

Source: implicit function theorem; Giles & Pierce 2000, "An introduction to the adjoint approach".
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mgnet.pde.operators import Diffusion

Run = Callable[..., Tensor]  # (A, b, *boundary parts of b on every grid) -> u, without a graph


class Solve(torch.autograd.Function):
    """u = A^-1 b.

    Inputs: how to solve forward and backward, A (for its axes), b of shape (*batch, *grid), c or
    None, the conductances of each axis, and the boundary's part of b on every grid (it only helps
    the first iterate); batch axes of the coefficients broadcast with b's.
    """

    @staticmethod
    def forward(run: Run, adjoint: Run, A: Diffusion, b: Tensor, c: Tensor | None, *k: Tensor) -> Tensor:
        return run(A.having(k[: A.ndim], c), b, *k[A.ndim :])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        _, ctx.adjoint, ctx.A, _, c, *rest = inputs
        k, ctx.unused = rest[: ctx.A.ndim], [None] * (len(rest) - ctx.A.ndim)
        ctx.reaction = c is not None
        ctx.save_for_backward(output, *([c] if ctx.reaction else []), *k)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        u, *tensors = ctx.saved_tensors
        c = tensors.pop(0) if ctx.reaction else None
        A = ctx.A.having(tensors, c)
        adjoint = Solve.apply(ctx.adjoint, ctx.adjoint, A, gradients[0], c, *tensors)
        needs = ctx.needs_input_grad
        grad_c = -A.weigh(adjoint * u).sum_to_size(c.shape) if c is not None and needs[4] else None
        grads = [-_across(A, adjoint, u, d).sum_to_size(k.shape) if needs[5 + d] else None
                 for d, k in enumerate(tensors)]  # fmt: skip
        return None, None, None, adjoint if needs[3] else None, grad_c, *grads, *ctx.unused

    @staticmethod
    def vmap(info: Any, in_dims: Any, run: Run, adjoint: Run, A: Diffusion, b: Tensor, c: Tensor | None,
             *k: Tensor) -> tuple[Tensor, int]:  # fmt: skip
        """The mapped axis becomes the first batch axis of everything that has it."""
        dims = in_dims[3:]
        tensors = (b, c, *k)
        rank = max(v.ndim - (dim is not None) for v, dim in zip(tensors, dims, strict=True) if v is not None)
        moved = [_lead(v, dim, rank) for v, dim in zip(tensors, dims, strict=True)]
        if dims[0] is None:
            moved[0] = moved[0].expand(info.batch_size, *[-1] * moved[0].ndim)
        return Solve.apply(run, adjoint, A, *moved), 0


def _lead(v: Tensor | None, dim: int | None, rank: int) -> Any:
    """v with the axis ``dim`` first, and ones after it up to ``rank`` further axes."""
    if v is None or dim is None:
        return v
    v = v.movedim(dim, 0)
    return v.reshape(v.shape[0], *[1] * (rank - v.ndim + 1), *v.shape[1:])


def _across(A: Diffusion, adjoint: Tensor, u: Tensor, d: int) -> Tensor:
    """d (adjoint^T A u) / d k on the faces of axis d."""
    return A.face_differences(u, d) * A.transposed_face_differences(adjoint, d)
