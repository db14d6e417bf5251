"""Exact solves along the lines of a grid, by cyclic reduction: all lines at once, in log2(n) steps.

    m_i x_i + s_{i-1} (x_i - x_{i-1}) + s_i (x_i - x_{i+1}) = r_i,      m, s >= 0

Every other unknown is eliminated; what is left is a system of the same form for the others,

    P_- = s_{i-1} / d_{i-1},   P_+ = s_i / d_{i+1},   d_i = m_i + s_{i-1} + s_i,
    m_i <- m_i + P_- m_{i-1} + P_+ m_{i+1},    s_i <- s_{i+1} P_+,    r_i <- r_i + P_- r_{i-1} + P_+ r_{i+1}:

multigrid whose interpolation is exact. Nothing is subtracted, so that each m, s and d keeps all its
digits whatever the contrast of the coefficients. A periodic line is opened at its last unknown.

Source: Hockney 1965, J. ACM 12, 95 (cyclic reduction); Alfa, Xue & Ye 2002 (elimination without
subtraction).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from mgnet.pde.problem.operators import Diffusion


class Tridiagonal:
    """r -> x on the last axis.

    Parameters
    ----------
    m : (..., n) the row sums
    s : (..., n) s_i couples i and i + 1; the last one couples the last and the first unknown, or is 0
    """

    def __init__(self, m: Tensor, s: Tensor):
        d = m + s + _before(s)
        self.inverse = _reciprocal(d)
        self.coarse: Tridiagonal | None = None
        if m.shape[-1] == 1:
            return
        gone = self.inverse[..., 0::2]  # 1 / d of the eliminated unknowns 0, 2, ...; 1, 3, ... are kept
        kept = m.shape[-1] // 2
        inner = s[..., :-1] if m.shape[-1] % 2 else s  # couplings in pairs: to the left, to the right of the kept
        left, right = s[..., 0::2][..., :kept], inner[..., 1::2]
        self.left, self.right = left * gone[..., :kept], right * _after(gone, kept)
        self.coarse = Tridiagonal(self._reduced(m), self.right * _after(left, kept))

    def __call__(self, r: Tensor) -> Tensor:
        if self.coarse is None:
            return self.inverse * r
        kept = self.left.shape[-1]
        x = self.coarse(self._reduced(r))
        out = torch.empty(np.broadcast_shapes(r.shape, self.inverse.shape), dtype=r.dtype, device=r.device)
        out[..., 1::2] = x
        out[..., 0::2] = self.inverse[..., 0::2] * r[..., 0::2]
        out[..., 0 : 2 * kept : 2] += self.left * x
        out[..., 2::2] += (self.right * x)[..., : (r.shape[-1] - 1) // 2]
        return out

    def _reduced(self, v: Tensor) -> Tensor:
        """v at the kept unknowns, with what the eliminated ones pass on."""
        gone, kept = v[..., 0::2], self.left.shape[-1]
        return v[..., 1::2] + self.left * gone[..., :kept] + self.right * _after(gone, kept)


class Ring:
    """r -> x on the last axis, closed to a ring by the last s; opened at the last unknown."""

    def __init__(self, m: Tensor, s: Tensor):
        v = torch.zeros_like(m[..., :-1])  # the couplings to the last unknown
        v[..., 0] += s[..., -1]
        v[..., -1] += s[..., -2]
        self.open = Tridiagonal(m[..., :-1] + v, torch.cat([s[..., :-2], torch.zeros_like(s[..., :1])], dim=-1))
        self.w = self.open(v)
        self.inverse = _reciprocal(m[..., -1:] + (self.w * m[..., :-1]).sum(-1, keepdim=True))

    def __call__(self, r: Tensor) -> Tensor:
        last = self.inverse * (r[..., -1:] + (self.w * r[..., :-1]).sum(-1, keepdim=True))
        return torch.cat([self.open(r[..., :-1]) + self.w * last, last], dim=-1)


def along_lines(m: Tensor, s: Tensor, dim: int) -> Callable[[Tensor], Tensor]:
    """The solver r -> x along an axis, counted from the last; m, s as for ``Tridiagonal``, on a whole grid."""
    m, s = (v.movedim(dim, -1) for v in torch.broadcast_tensors(m, s))
    closed = m.shape[-1] > 1 and bool((s[..., -1] != 0).any())
    solve = Ring(m, s) if closed else Tridiagonal(m, s)
    return lambda r: solve(r.movedim(dim, -1)).movedim(-1, dim)


def lines_of(A: Diffusion, d: int) -> Callable[[Tensor], Tensor]:
    """The inverse of A's part along axis d: all other unknowns fixed."""
    one = torch.ones([axis.n for axis in A.axes], dtype=A.k[0].dtype, device=A.k[0].device)
    return along_lines(A.row_sums(d) * one, A.couplings(d) * one, d - A.ndim)


class LineLevel:
    """The only grid of a line: u = A^-1 f."""

    def __init__(self, A: Diffusion):
        self._solve = lines_of(A, 0)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._solve(f)


def _before(s: Tensor) -> Tensor:
    """s_{i-1}."""
    return torch.roll(s, 1, dims=-1)


def _after(v: Tensor, n: int) -> Tensor:
    """v_1, v_2, ..., n of them, 0 beyond the last."""
    return pad(v[..., 1:], (0, 1))[..., :n]


def _reciprocal(d: Tensor) -> Tensor:
    """1 / d, 0 where d is 0."""
    return torch.where(d > 0, 1 / torch.where(d > 0, d, 1.0), 0.0)
