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

    def start(self, b: Any, watch: bool = True) -> Any:
        """One full multigrid pass."""
        ...

    def cycle(self, u: Any, b: Any, watch: bool = True) -> Any:
        """One cycle; u None for zero. Memory of u stays as it is until the next one."""
        ...

    def norms(self, u: Any, b: Any) -> Tensor:
        """(batch,) ||b - A u||; u None for zero: then b may be made ready for ``start``."""
        ...

    def watched(self) -> Tensor:
        """(batch,) the same for what the last watched ``start`` or ``cycle`` returned."""
        ...


class Nested(Hierarchy, Protocol):
    """Levels for constant coefficients: full passes know more of their data, and cycles have varying lengths.

    Attributes
    ----------
    centres : whether an unwatched ``start`` returns an iterate of mean zero where one is to be chosen
    richardson : the lengths of watched cycles
    """

    centres: bool
    richardson: Lengths

    def start(self, b: Any, watch: bool = True, parts: Sequence[Tensor] = (), raw: bool = False) -> Any:
        """One full multigrid pass.

        Parameters
        ----------
        parts : a part of the datum of each grid that is known there, and not restricted
        raw : b is not weighted by the shares of a cell yet (only without a watch, where ``takes_raw``)
        """
        ...

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 1) the sums of the last ``start``'s data, and of their sizes, where ``centres``."""
        ...
