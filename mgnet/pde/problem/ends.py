"""What may be said of u at an end of an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from mgnet.pde.problem.checks import meant

DIRICHLET, NEUMANN, PERIODIC = WORDS = "dirichlet", "neumann", "periodic"


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
BoundaryType = str | Robin  # of one that was looked at


def pairs_of(bc: Any, ndim: int) -> list[tuple[BoundaryType, BoundaryType]]:
    """(low, high) of each axis, from what ``bc`` may be."""
    bc = bc.tolist() if isinstance(bc, np.ndarray) else bc
    entries = [bc] * ndim if isinstance(bc, (str, Robin)) else bc
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"`bc` must be a word, Robin(alpha) or a sequence with one entry per axis; it is {bc!r:.80}.")
    if len(entries) != ndim:
        hint = ' In 1-D a mixed axis is [("dirichlet", "neumann")].' if ndim == 1 else ""
        raise ValueError(
            f"`bc` must have one entry per axis ({ndim}), each a word or a (low, high) pair; "
            f"it has {len(entries)}: {bc!r:.80}.{hint}"
        )
    return [_pair(entry, d) for d, entry in enumerate(entries)]


def _pair(entry: Any, d: int) -> tuple[BoundaryType, BoundaryType]:
    entry = entry.tolist() if isinstance(entry, np.ndarray) else entry
    pair = (entry, entry) if isinstance(entry, (str, Robin)) else entry
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise TypeError(f"`bc` of axis {d} must be a word, Robin(alpha) or a (low, high) pair; it is {entry!r:.80}.")
    for end in pair:
        if not isinstance(end, (Robin, str)):
            raise TypeError(
                f"`bc` of axis {d} must be a word, Robin(alpha) or a (low, high) pair of these; "
                f"it has a {type(end).__name__}."
            )
        if end not in WORDS and not isinstance(end, Robin):
            raise ValueError(
                f'`bc` must be "dirichlet", "neumann", "periodic" or Robin(alpha); axis {d} has {end!r:.80}.'
                f"{meant(end, WORDS)}"
            )
    if (pair[0] == PERIODIC) != (pair[1] == PERIODIC):
        raise ValueError(f"`bc` of axis {d} must be periodic at both ends or at neither; it is {tuple(pair)!r:.80}.")
    return pair[0], pair[1]
