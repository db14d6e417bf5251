"""What is known by its cycles from zero alone: a hierarchy of tensors (batch, *grid)."""

from abc import ABC, abstractmethod

from torch import Tensor

from mgnet.pde.levels.hierarchy import OnTensors
from mgnet.pde.problem.members import norm_of


class Preconditioner(OnTensors, ABC):
    """A hierarchy whose cycles from zero are all that is asked for."""

    _last: tuple[Tensor, Tensor]

    @abstractmethod
    def apply(self, u: Tensor) -> Tensor:
        """A u."""

    @abstractmethod
    def precondition(self, r: Tensor) -> Tensor:
        """A cycle from zero for A e = r."""

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        return self.cycle(None, b)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        new = self.precondition(b) if u is None else u + self.precondition(b - self.apply(u))
        self._last = new, b
        return new

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return norm_of(b if u is None else b - self.apply(u))

    def measured(self) -> Tensor:
        return self.norms(*self._last)
