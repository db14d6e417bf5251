"""Exact solves along the lines of an unsymmetric operator, by cyclic reduction; see ``lines``, their twin.

    m_i x_i + l_i (x_i - x_{i-1}) + h_i (x_i - x_{i+1}) = r_i

Every other unknown is eliminated; what is left is a system of the same form for the others,

    P_- = l_i / d_{i-1},   P_+ = h_i / d_{i+1},   d_i = m_i + l_i + h_i,
    m_i <- m_i + P_- m_{i-1} + P_+ m_{i+1},    l_i <- P_- l_{i-1},    h_i <- P_+ h_{i+1},
    r_i <- r_i + P_- r_{i-1} + P_+ r_{i+1}.

Upwind differences make m, l, h >= 0, and nothing is subtracted. A periodic line is opened at its last unknown.
"""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor
from torch.nn.functional import pad

from mgnet.pde.problem.convection import Convection


class Stream:
    """r -> x on the last axis.

    Parameters
    ----------
    m : (..., n) the row sums
    l, h : (..., n) what couples an unknown to the one below and above; those of the first and the last one are 0
    """

    def __init__(self, m: Tensor, l: Tensor, h: Tensor):
        self.inverse = _reciprocal(m + l + h)
        self.coarse: Stream | None = None
        if m.shape[-1] == 1:
            return
        gone = self.inverse[..., 0::2]  # 1 / d of the eliminated unknowns 0, 2, ...; 1, 3, ... are kept
        kept = m.shape[-1] // 2
        self.left, self.right = l[..., 1::2] * gone[..., :kept], h[..., 1::2] * _after(gone, kept)
        self.below, self.above = _after(l[..., 0::2] * gone, kept), (h[..., 0::2] * gone)[..., :kept]
        low, high = self.left * l[..., 0::2][..., :kept], self.right * _after(h[..., 0::2], kept)
        self.coarse = Stream(self._reduced(m), low, high)

    def __call__(self, r: Tensor) -> Tensor:
        if self.coarse is None:
            return self.inverse * r
        x = self.coarse(self._reduced(r))
        out = torch.empty(torch.broadcast_shapes(r.shape, self.inverse.shape), dtype=r.dtype, device=r.device)
        out[..., 1::2] = x
        out[..., 0::2] = self.inverse[..., 0::2] * r[..., 0::2]
        out[..., 0 : 2 * x.shape[-1] : 2] += self.above * x
        out[..., 2::2] += (self.below * x)[..., : (r.shape[-1] - 1) // 2]
        return out

    @property
    def T(self) -> "Stream":
        """r -> x of the transpose: what reduces and what substitutes change places."""
        other = copy(self)
        if self.coarse is not None:
            other.left, other.right, other.above, other.below = self.above, self.below, self.left, self.right
            other.coarse = self.coarse.T
        return other

    def _reduced(self, v: Tensor) -> Tensor:
        """v at the kept unknowns, with what the eliminated ones pass on."""
        gone, kept = v[..., 0::2], self.left.shape[-1]
        return v[..., 1::2] + self.left * gone[..., :kept] + self.right * _after(gone, kept)


class Whirl:
    """r -> x on the last axis, closed to a ring by the first l and the last h; opened at the last unknown."""

    def __init__(self, m: Tensor, l: Tensor, h: Tensor):
        v, z = torch.zeros_like(m[..., :-1]), torch.zeros_like(m[..., :-1])  # what couples to the last unknown, and it
        v[..., 0] += l[..., 0]
        v[..., -1] += h[..., -2]
        z[..., 0] += h[..., -1]
        z[..., -1] += l[..., -1]
        zero = torch.zeros_like(l[..., :1])
        inner = torch.cat([zero, l[..., 1:-1]], dim=-1), torch.cat([h[..., :-2], zero], dim=-1)
        self.open = Stream(m[..., :-1] + v, *inner)
        self.v, self.z, self.w = v, z, self.open(v)  # 1 - w solves the open line for m
        self.inverse = _reciprocal(m[..., -1:] + (z * self.open(m[..., :-1])).sum(-1, keepdim=True))

    def __call__(self, r: Tensor) -> Tensor:
        y = self.open(r[..., :-1])
        last = self.inverse * (r[..., -1:] + (self.z * y).sum(-1, keepdim=True))
        return torch.cat([y + self.w * last, last], dim=-1)

    @property
    def T(self) -> "Whirl":
        """r -> x of the transpose."""
        other = copy(self)
        other.open, other.v, other.z = self.open.T, self.z, self.v
        other.w = other.open(self.z)
        return other


def along_streams(m: Tensor, l: Tensor, h: Tensor, dim: int, transposed: bool = False) -> Callable[[Tensor], Tensor]:
    """The solver r -> x along an axis, counted from the last; m, l, h as for ``Stream``, on a whole grid."""
    m, l, h = (v.movedim(dim, -1) for v in torch.broadcast_tensors(m, l, h))
    closed = m.shape[-1] > 1 and bool(((l[..., 0] != 0) | (h[..., -1] != 0)).any())
    solve: Whirl | Stream = Whirl(m, l, h) if closed else Stream(m, l, h)
    solve = solve.T if transposed else solve
    return lambda r: solve(r.movedim(dim, -1)).movedim(-1, dim)


class StreamLevel:
    """The only grid of a line: u = A^-1 f."""

    def __init__(self, A: Convection):
        forth = A.T if A.transposed else A  # whose row sums nothing is lost of
        self._solve = along_streams(forth.excess, forth.couplings[(-1,)], forth.couplings[(1,)], -1, A.transposed)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._solve(f)


def _after(v: Tensor, n: int) -> Tensor:
    """v_1, v_2, ..., n of them, 0 beyond the last."""
    return pad(v[..., 1:], (0, 1))[..., :n]


def _reciprocal(d: Tensor) -> Tensor:
    """1 / d, 0 where d is 0."""
    return torch.where(d != 0, 1 / torch.where(d != 0, d, 1.0), 0.0)
