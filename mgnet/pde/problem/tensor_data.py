"""What data on an end add to b by a full tensor, beside what goes along the end's axis; see ``tensor``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.conductances import at_end
from mgnet.pde.problem.cross import CrossDiffusion, pairs
from mgnet.pde.problem.ends import DIRICHLET
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import beside
from mgnet.pde.problem.tensor import FullTensor, between_ends, end_face


@dataclass(frozen=True)
class EndData:
    """The data on one end.

    Parameters
    ----------
    A : the tensor's operator
    value, g : as they were given; on the end, in full, (*batch, *grid with 1 along d)
    d, side : which end it is
    """

    tensor: FullTensor
    A: CrossDiffusion
    value: Any
    g: Tensor
    d: int
    side: int

    @property
    def grid(self) -> Grid:
        return self.tensor.grid

    def of_b(self) -> Tensor | float:
        """What they add to b, beside what goes along axis d."""
        end = (self.grid.axes[self.d].low, self.grid.axes[self.d].high)[self.side]
        others = [e for e in range(self.grid.ndim) if e != self.d]
        if end == DIRICHLET:
            rows = [self._through_corners(e) for e in others]
        elif self.grid.centering == "cell":
            rows = [self._along_end(e) for e in others]
        else:
            return 0.0
        return sum(at_end(row, self.grid.axes, self.d, self.side) for row in rows)

    def _through_corners(self, e: int) -> Tensor:
        """What ghost values g give to the unknowns beside, by the corners of axes d and e."""
        d, side, g, axes = self.d, self.side, self.g, self.grid.axes
        pair, dim, n = (min(d, e), max(d, e)), e - self.grid.ndim, axes[e].n
        s = self.A.s[pairs(len(axes)).index(pair)].narrow(d - len(axes), (0, axes[d].n)[side], 1).to(g)
        around = self._beyond(e)
        below, above = around.narrow(dim, 0, n), around.narrow(dim, 2, n)
        if self.grid.centering == "cell":
            below, above = (below + g) / 2, (above + g) / 2
        rows = s.narrow(dim, 0, n) * below - s.narrow(dim, 1, n) * above
        for f, share in enumerate(self.A.like(g).shares):
            rows = rows if share is None or f in pair else rows * share
        return rows if side == 0 else -rows

    def _beyond(self, e: int) -> Tensor:
        """g with one value more at either end of axis e; of that at a node on a Dirichlet end half is e's."""
        g, axis, dim = self.g, self.grid.axes[e], e - self.grid.ndim
        first, last = g.narrow(dim, 0, 1), g.narrow(dim, axis.n - 1, 1)
        if axis.periodic:
            return torch.cat([last, g, first], dim)
        low, high = torch.zeros_like(first), torch.zeros_like(last)
        nodes = self.grid.centering == "node"
        if axis.low == DIRICHLET and nodes:
            low = self._corner(e, 0) / 2
        if axis.high == DIRICHLET and nodes:
            high = self._corner(e, 1) / 2
        return torch.cat([low, g, high], dim)

    def _corner(self, e: int, other: int) -> Tensor:
        """The datum where an end of axis e meets this one: a callable's own, else on the line through the next two."""
        d, g, axis, dim = self.d, self.g, self.grid.axes[e], e - self.grid.ndim
        there = (axis.lower, axis.upper)[other]
        if callable(self.value):
            ends = {d: (self.grid.axes[d].lower, self.grid.axes[d].upper)[self.side], e: there}
            points = [np.array([ends[f]]) if f in ends else a.x for f, a in enumerate(self.grid.axes)]
            return self.tensor.kind.evaluate("boundary", self.value, points).to(g)
        at = (0, min(1, axis.n - 1)) if other == 0 else (axis.n - 1, max(axis.n - 2, 0))
        near, far = (g.narrow(dim, i, 1) for i in at)
        if axis.n == 1:
            return near
        x = axis.x
        return near + float((there - x[at[0]]) / (x[at[0]] - x[at[1]])) * (near - far)

    def _along_end(self, e: int) -> Tensor:
        """What the flux g through this cell-centred end adds to fluxes along axis e beside it."""
        d, side, g, axis, dim = self.d, self.side, self.g, self.grid.axes[e], e - self.grid.ndim
        ratio = (self.tensor.at(min(d, e), max(d, e), (e, d)) / self.tensor.at(d, d, (e, d))).to(g)
        left, right = beside(g, axis, dim)
        flux = end_face(ratio, d - self.grid.ndim, side) * (left + right) / 2
        if not axis.periodic:  # a Neumann end's flux is given
            flux = flux * between_ends([int(end == DIRICHLET) for end in (axis.low, axis.high)], axis, dim).to(g)
        rows = torch.diff(flux, dim=dim) / (2 * axis.h) * (-1 if side == 0 else 1)
        for f, share in enumerate(self.A.like(g).shares):
            at = None if share is None else share.narrow(f, (0, share.shape[f] - 1)[side], 1) if f == d else share
            rows = rows if at is None or f == e else rows * at
        return rows
