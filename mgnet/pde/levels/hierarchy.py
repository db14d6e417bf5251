"""What a set of levels offers the iterations around it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor


class Lengths(Protocol):
    """The length of each cycle."""

    rho: float | None


class Hierarchy(Protocol):
    """What a set of levels offers the outer loops; iterates and data are in its own format."""

    def data(self, b: Tensor) -> Any:
        """b, (batch, *grid), in the format of the levels."""
        ...

    def tensor(self, u: Any) -> Tensor:
        """An iterate as a tensor (batch, *grid); it holds until the next cycle."""
        ...

    def release(self, u: Any) -> Tensor:
        """An iterate as a tensor that is the caller's to keep."""
        ...

    def full_multigrid(self, b: Any, measure: bool = True) -> Any:
        """One full multigrid pass; ``measure``: the norm of its residual is wanted, see ``measured``."""
        ...

    def cycle(self, u: Any, b: Any, measure: bool = True) -> Any:
        """One cycle; u None for zero. Memory of u stays as it is until the next one."""
        ...

    def norms(self, u: Any, b: Any) -> Tensor:
        """(batch,) ||b - A u||; u None for zero: then b may be made ready for ``full_multigrid``."""
        ...

    def measured(self) -> Tensor:
        """(batch,) ||b - A u|| of what the last measured ``full_multigrid`` or ``cycle`` returned."""
        ...


class OnTensors:
    """A hierarchy whose format is tensors (batch, *grid)."""

    def data(self, b: Tensor) -> Tensor:
        return b

    def tensor(self, u: Tensor) -> Tensor:
        return u

    release = tensor


class Nested(Hierarchy, Protocol):
    """Levels for constant coefficients: full passes know more of their data, and cycles have varying lengths.

    Attributes
    ----------
    centres : whether an unmeasured ``full_multigrid`` returns an iterate of mean zero where one is to be chosen
    richardson : the lengths of measured cycles
    """

    centres: bool
    richardson: Lengths

    def full_multigrid(
        self, b: Any, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> Any:
        """One full multigrid pass.

        Parameters
        ----------
        parts : a part of the datum of each grid that is known there, and not restricted
        unweighted : b is not weighted by the shares of a cell yet (only unmeasured, where ``takes_unweighted``)
        """
        ...

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 1) the sums of the last ``full_multigrid``'s data, and of their sizes, where ``centres``."""
        ...
