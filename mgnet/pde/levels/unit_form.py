"""The steps of conjugate gradients on tensors, around levels whose diagonal is 1."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.system import State, advance, one
from mgnet.pde.problem.members import each, norm_of


class UnitForm(ABC):
    """A ``System`` of tensors (batch, *grid), and what it has in common with a ``Hierarchy``.

    Residuals and directions live in the unit-diagonal form and in the levels' precision: r = D^-1/2 (b - A x) / ||b||,
    x = ||b|| D^-1/2 v. b - A x is computed in the data's precision, by an A in differences of x: D would round away
    c and weak ends, and with them what little holds u.

    A : x -> A x of the data;   unit : v -> D^-1/2 A D^-1/2 v;   scale : D^-1/2 in the data's precision
    small : a number of the levels' dtype, on their device
    """

    A: Any
    unit: Any
    scale: Tensor
    small: Tensor
    x: Tensor | None = None
    state: State

    @abstractmethod
    def correction(self, r: Tensor) -> Tensor:
        """One cycle from zero in the unit form."""

    @abstractmethod
    def data(self, b: Tensor) -> Tensor: ...

    @abstractmethod
    def tensor(self, u: Tensor) -> Tensor: ...

    @abstractmethod
    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor: ...

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return self._norms(b if u is None else b - self.A(u))

    def measured(self) -> Tensor:
        return self.norms(*self._last)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        self.begin(u, b)
        self.precondition()
        return self._moved(u, self.z, b)

    def _moved(self, x: Tensor | None, z: Tensor, b: Tensor) -> Tensor:
        """x, or zero, plus a correction in the unit form."""
        v = (self._size * self.scale * z).to(b)
        self._last = v if x is None else x + v, b
        return self._last[0]

    def begin(self, x: Tensor | None, b: Tensor, tol: float = 0.0) -> Tensor:
        self.x, self.b = x, b
        self.p = torch.zeros_like(b, dtype=self.small.dtype)
        size = self.norms(None, b)
        self._size = self._each(torch.where(size > 0, size, 1.0)).to(b)  # float32 has a narrow range
        norms = self._residual()
        self.state = State.first(norms, tol * size)
        return norms

    def _residual(self) -> Tensor:
        r = self.b if self.x is None else self.b - self.A(self.x)
        self.r = (self.scale * r / self._size).to(self.small)
        return self._norms(r)

    def precondition(self) -> Tensor:
        self.z = self.correction(self.r)
        return self._dot(self.r, self.z)

    def direct(self, beta: Tensor) -> Tensor:
        self.p = self.z + self._each(beta).to(self.small) * self.p
        return self._dot(self.p, self.unit(self.p))

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        moved = (self._each(alpha).to(self.b) * self._size * self.scale * self.p).to(self.b)
        self.x = moved if self.x is None else self.x + moved  # the iterate before stays
        norms = self._residual()
        return norms, self._dot(self.r, self.p)

    def advance(self) -> None:
        advance(self)

    def several(self, size: np.ndarray, tol: float, most: int) -> tuple[Any, np.ndarray]:
        return one(self)

    def _each(self, v: Tensor) -> Tensor:
        """A number a member, beside a grid."""
        return each(v, self.scale).to(self.scale.device)

    def _norms(self, r: Tensor) -> Tensor:
        return norm_of(r)

    def _dot(self, v: Tensor, w: Tensor) -> Tensor:
        """(batch,) in float64."""
        return (v.double() * w).sum(tuple(range(1, v.ndim)))
