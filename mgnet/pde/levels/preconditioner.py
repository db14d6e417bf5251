"""What is known by its cycles from zero alone: a hierarchy of tensors (batch, *grid)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Preconditioner(ABC):
    """A hierarchy whose cycles from zero are all that is asked for."""

    _last: tuple[Tensor, Tensor]

    @abstractmethod
    def apply(self, u: Tensor) -> Tensor:
        """A u."""

    @abstractmethod
    def precondition(self, r: Tensor) -> Tensor:
        """A cycle from zero for A e = r."""

    def data(self, b: Tensor) -> Tensor:
        return b

    def tensor(self, u: Tensor) -> Tensor:
        return u

    release = tensor

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        return self.cycle(None, b)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        new = self.precondition(b) if u is None else u + self.precondition(b - self.apply(u))
        self._last = new, b
        return new

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return torch.linalg.vector_norm((b if u is None else b - self.apply(u)).flatten(1), dim=1)

    def measured(self) -> Tensor:
        return self.norms(*self._last)
