"""The restricted residual of an interpolant, on the coarse grid alone: see ``mgnet.pde.levels.interpolant``."""

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from mgnet.pde.cuda import LAUNCH
from mgnet.pde.problem.axis import Table

BLOCK = 64  # unknowns of a row that a program computes


@triton.jit
def residual(f, u, out, sizes, starts, M, K, blocks, W: tl.constexpr, BLOCK: tl.constexpr):
    """out = f - (K0 x M1 x M2 + M0 x K1 x M2 + M0 x M1 x K2) u.

    Parameters
    ----------
    f, u, out : (batch, n0, n1, n2);   sizes : n0 n1 n2;   blocks : programs of a row
    starts, M, K : per axis (n,), (n, W), (n, W): row i of both matrices begins at column start[i], wrapped
    """
    width: tl.constexpr = W[2]
    n0, n1, n2 = tl.load(sizes), tl.load(sizes + 1), tl.load(sizes + 2)
    program = tl.program_id(0)
    x = program % blocks * BLOCK + tl.arange(0, BLOCK)
    valid = x < n2
    row = (program // blocks).to(tl.int64)
    j, i, first = row % n1, row // n1 % n0, row // (n1 * n0) * n0 * n1 * n2
    total = tl.load(f + row * n2 + x, mask=valid, other=0.0)
    x_start = tl.load(starts[2] + x, mask=valid, other=0)
    for p in range(W[0]):
        plane = (tl.load(starts[0] + i) + p + n0) % n0
        m0, k0 = tl.load(M[0] + i * W[0] + p), tl.load(K[0] + i * W[0] + p)
        for q in range(W[1]):
            line = first + (plane * n1 + (tl.load(starts[1] + j) + q + n1) % n1) * n2
            m1, k1 = tl.load(M[1] + j * W[1] + q), tl.load(K[1] + j * W[1] + q)
            for k in tl.static_range(width):
                m2 = tl.load(M[2] + x * W[2] + k, mask=valid, other=0.0)
                k2 = tl.load(K[2] + x * W[2] + k, mask=valid, other=0.0)
                v = tl.load(u + line + (x_start + k + n2) % n2, mask=valid, other=0.0)
                total -= ((k0 * m1 + m0 * k1) * m2 + m0 * m1 * k2) * v
    tl.store(out + row * n2 + x, total, mask=valid)


class InterpolantResidual:
    """(R f, u_c) -> R (f - A Q u_c), arrays (batch, *coarse grid); tables as ``InterpolantOperator`` has them."""

    def __init__(self, mass: Sequence[Table], stiffness: Sequence[Table], like: Tensor):
        pairs = [aligned(M, K) for M, K in zip(mass, stiffness, strict=True)]
        if len(pairs) == 2:
            pairs.insert(1, (np.zeros(1, int), np.ones((1, 1)), np.zeros((1, 1))))
        self._starts, self._M, self._K = (
            tuple(torch.as_tensor(v, device=like.device).to(dtype).contiguous() for v in values)
            for values, dtype in zip(zip(*pairs, strict=True), (torch.int32, like.dtype, like.dtype), strict=True)
        )
        self._n = [len(start) for start, _, _ in pairs]
        self._sizes = torch.tensor(self._n, dtype=torch.int32, device=like.device)
        self._widths = tuple(M.shape[1] for _, M, _ in pairs)

    def __call__(self, f: Tensor, u: Tensor, out: Tensor) -> None:
        blocks = -(-self._n[2] // BLOCK)
        residual[(blocks * (f.numel() // self._n[2]),)](
            f, u, out, self._sizes, self._starts, self._M, self._K, blocks, W=self._widths, BLOCK=BLOCK, num_warps=1,
            **LAUNCH,
        )  # fmt: skip


def aligned(M: Table, K: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(start, weights of M, weights of K) of both in the same windows."""
    start = np.minimum(M.start, K.start)
    width = int(max((T.start - start).max() + T.weights.shape[1] for T in (M, K)))
    weights = []
    for T in (M, K):
        w = np.zeros((len(start), width))
        columns = (T.start - start)[:, None] + np.arange(T.weights.shape[1])
        np.put_along_axis(w, columns, T.weights, axis=1)
        weights.append(w)
    return start, weights[0], weights[1]
