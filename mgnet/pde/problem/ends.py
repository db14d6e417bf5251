"""What may be said of u at an end of an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

DIRICHLET, NEUMANN, PERIODIC = "dirichlet", "neumann", "periodic"


@dataclass(frozen=True, eq=False)
class Robin:
    """The boundary condition alpha u + a du/dn = g with alpha >= 0 (n points outward).

    An entry of ``bc``; g comes by ``boundary``. A node-centred Robin end belongs to the grid, as a
    Neumann end does.

    Parameters
    ----------
    alpha : a number, an array (*batch, *end) of the end's shape, the grid's without its axis (a tensor may ask for a
        gradient), or a callable alpha(x, y, ...) evaluated on the end

    Raises
    ------
    ValueError, TypeError : a negative alpha; once it is used with a grid, another shape

    Example
    -------
    >>> from mgnet.pde import Grid
    >>> Grid((4,), bc=[(Robin(2.0), "dirichlet")], upper=4.0).spacing
    (1.0,)
    """

    alpha: Any

    def __post_init__(self) -> None:
        if callable(self.alpha) or isinstance(self.alpha, (np.ndarray, Tensor)):
            return
        number = isinstance(self.alpha, (int, float, np.integer, np.floating)) and not isinstance(self.alpha, bool)
        if not (number and np.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(
                f"`alpha` of Robin must be a finite number >= 0, an array or a callable; it is {self.alpha!r:.80}."
            )

    @property
    def varies(self) -> bool:
        """Whether it is no number."""
        return callable(self.alpha) or isinstance(self.alpha, (np.ndarray, Tensor))

    @property
    def holds(self) -> bool:
        """Whether it may fix the level of u."""
        return self.varies or self.alpha > 0

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Robin) and not (self.varies or other.varies) and self.alpha == other.alpha

    def __hash__(self) -> int:
        return id(self) if self.varies else hash(self.alpha)

    def __repr__(self) -> str:
        if isinstance(self.alpha, (np.ndarray, Tensor)):
            return f"Robin({'x'.join(map(str, self.alpha.shape))} array)"
        return "Robin(a callable)" if callable(self.alpha) else f"Robin(alpha={self.alpha!r})"


End = Literal["dirichlet", "neumann", "periodic"] | Robin
Ends = End | Sequence[End | Sequence[End]]  # one for all axes, one for each, or (low, high) pairs of them
