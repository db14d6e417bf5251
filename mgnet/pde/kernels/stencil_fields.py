"""A stencil in padded fields, as the black-box kernels read it."""

from collections.abc import Sequence

import numpy as np
import torch
from numba import njit
from torch import Tensor

from mgnet.pde.blackbox.stencil import Stencil, excess, from_diffusion
from mgnet.pde.blackbox.steps import Offset, three
from mgnet.pde.kernels.stencil_rows import LEFT, stride_of
from mgnet.pde.native import four
from mgnet.pde.problem.operators import Diffusion


def three_flags(v: Sequence[bool]) -> tuple[bool, bool, bool]:
    """A flag per grid axis as (planes, rows, columns)."""
    return (False, False, v[0]) if len(v) == 1 else (v[0], False, v[1]) if len(v) == 2 else (v[0], v[1], v[2])


@njit(nogil=True, cache=True)
def wrapped(i, n, wraps):
    """Number i along an axis of n, or -1 where there is none."""
    if 0 <= i < n:
        return i
    return i % n if wraps else -1


class Operator:
    """A stencil in padded float64 fields: D (batch, rows, stride), S (couplings, batch, rows, stride).

    masked : whether some unknowns are coupled to nothing, on it or the grid it is coarsened from
    """

    def __init__(
        self, shape: Sequence[int], wraps: Sequence[bool], couplings: Sequence[Offset], batch: int, masked: bool
    ):
        self.masked = masked
        self.ndim, self.shape, self.n = len(shape), tuple(shape), four(shape)
        self.wraps, self.couplings, self.batch = three_flags(wraps), list(couplings), batch
        self.stride = stride_of(self.n[2])
        rows = self.n[0] * self.n[1]
        self.D = np.empty((batch, rows, self.stride))
        self.S = np.empty((len(couplings), batch, rows, self.stride))
        self.R = np.zeros_like(self.D)
        self.excess = np.empty((0, 0, 0))  # A 1, of the finest grid's

    @classmethod
    def of(cls, A: Stencil, wraps: Sequence[bool]) -> "Operator":
        offsets = sorted(A.couplings)
        own = cls(A.shape, wraps, [three(o) for o in offsets], len(A.diagonal), not bool(A.coupled.all()))
        own._set(own.D, A.diagonal)
        for S, o in zip(own.S, offsets, strict=True):
            own._set(S, A.couplings[o])
        return own

    def _set(self, into: np.ndarray, v: Tensor) -> None:
        n, wraps = self.n[2], self.wraps[2]
        into[:, :, LEFT : LEFT + n] = v.reshape(into.shape[0], -1, n).numpy()
        for k, j in ((-2, (n - 2) % n), (-1, n - 1), (n, 0), (n + 1, 1 % n)):
            into[:, :, LEFT + k] = into[:, :, LEFT + j] if wraps else 0.0

    def stencil(self) -> Stencil:
        """Without padding."""
        inner = slice(LEFT, LEFT + self.n[2])

        def plain(v: np.ndarray) -> Tensor:
            return torch.from_numpy(v[:, :, inner].reshape(self.batch, *self.shape).copy())

        own = {_own(o, self.ndim): plain(S) for o, S in zip(self.couplings, self.S, strict=True)}
        return Stencil(plain(self.D), own)

    def unit(self) -> Stencil:
        """With a unit diagonal, without padding."""
        return self.stencil().unit()[0]

    def let_go(self) -> None:
        """Free the fields; the grid is still known."""
        self.D = self.R = np.empty((0, 0, 0))
        self.S = np.empty((0, 0, 0, 0))

    @property
    def kind(self) -> int:
        """Which row function applies it, see ``stencil_rows.apply_row``."""
        return {2: 0, 4: 1, 3: 2, 13: 3}[len(self.couplings)]


def _own(o: Offset, ndim: int) -> tuple[int, ...]:
    return o if ndim == 3 else (o[0], o[2]) if ndim == 2 else (o[2],)


def padded(A: Diffusion, wraps: Sequence[bool]) -> Operator:
    """The finest grid's operator."""
    operator = Operator.of(from_diffusion(A), wraps)
    operator.excess = np.empty_like(operator.D)
    operator._set(operator.excess, excess(A))
    if A.ndim == 1:  # the row function of two dimensions serves one
        operator.couplings.append((1, 0, 0))
        operator.S = np.concatenate([operator.S, np.zeros_like(operator.S)])
    return operator
