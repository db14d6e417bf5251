"""What operators have alike that are linear in the tensors they are made of, and levels are made of themselves."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
from torch import Tensor

from mgnet.pde.problem.members import batch_of, norm_of
from mgnet.pde.problem.plain import plain, values


def norms(v: Tensor) -> np.ndarray:
    """(batch,) of (batch, *grid)."""
    return norm_of(v).cpu().numpy()


class OfTensors(ABC):
    """An ``Operator`` A: (*batch, *grid) -> (*batch, *grid), linear in ``tensors``."""

    @property
    @abstractmethod
    def ndim(self) -> int:
        """Of the grid."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What A u may be differentiated by."""

    @abstractmethod
    def made_of(self, tensors: Sequence[Tensor]) -> Self:
        """The operator with other ``tensors``."""

    @abstractmethod
    def __call__(self, u: Tensor) -> Tensor:
        """A u."""

    @abstractmethod
    def magnitude(self, u: Tensor) -> Tensor:
        """|A| |u|, the scale of the round-off in A u."""

    @property
    def base(self) -> Self:
        """The operator that the levels are made of."""
        return self

    @property
    def spectrum(self) -> tuple[float, float]:
        """All but 1, where nothing flows."""
        return 1.0, 1.0

    def change(self, tangents: Sequence[Tensor], u: Tensor) -> Tensor:
        """dA u, where ``tensors`` change by ``tangents``: A is linear in them."""
        return self.made_of(tangents)(u)

    def detached(self) -> Self:
        """The operator without a graph; itself where it has none."""
        return self if all(plain(v) for v in self.tensors) else self.made_of([values(v) for v in self.tensors])

    def like(self, v: Tensor) -> Self:
        """The operator in v's dtype, on its device."""
        own = self.tensors[0]
        alike = own.dtype == v.dtype and own.device == v.device
        return self if alike else self.made_of([t.to(v) for t in self.tensors])

    def flattened(self, batch: Sequence[int]) -> Self:
        """The operator with its batch axes, broadcast to ``batch``, made one; itself where it has none."""

        def flat(v: Tensor) -> Tensor:
            own = v.shape[max(v.ndim - self.ndim, 0) :]
            return v if v.ndim <= self.ndim else v.expand(*batch, *own).reshape(-1, *own)

        return self if all(v.ndim <= self.ndim for v in self.tensors) else self.made_of([flat(v) for v in self.tensors])

    def with_one_batch_axis(self) -> Self:
        """The operator whose tensors have one at most."""
        several = any(v.ndim > self.ndim + 1 for v in self.tensors)
        return self.flattened(batch_of(self.tensors, self.ndim)) if several else self

    def rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """(batch,) || |A||u| + |b| || for u, b (batch, *grid): times 2 eps what rounding alone leaves of b - A u."""
        return norms(self.magnitude(u) + b.abs())
