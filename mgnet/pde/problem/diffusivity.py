"""The coefficient a, one entry per axis: from what a user may give to -div(a grad u); see ``operators``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mgnet.pde.problem.checks import batches
from mgnet.pde.problem.coefficients import Kind, array_betas, check, is_number, on_faces, plain_conductance
from mgnet.pde.problem.conductances import conductance
from mgnet.pde.problem.faces import Faces, OnFaces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.operators import Diffusion

Betas = tuple[Tensor, Tensor] | None  # the weights of the data on an axis' ends; None where k tells them


def per_axis(a: Any, grid: Grid) -> tuple[Any, ...]:
    """One entry for each, 1 where there is none."""
    a = a.per_axis(grid) if isinstance(a, Faces) else a
    a = tuple(a) if isinstance(a, (tuple, list)) else (a,) * grid.ndim
    if len(a) != grid.ndim:
        raise ValueError(f"`a` as a tuple must have one entry per axis ({grid.ndim}); it has {len(a)}.")
    return tuple(1.0 if a_d is None else a_d for a_d in a)


class Diffusivity:
    """An ``a`` of entries that are numbers, arrays at the unknowns, callables, or what ``Faces`` hold.

    Parameters
    ----------
    alphas : per axis those of its Robin ends that are no numbers
    mask : what lies outside is not looked at;   held : whether its cut holds u
    all_ends : whether equations use what lies on Neumann ends, too
    """

    def __init__(
        self,
        a: Sequence[Any],
        grid: Grid,
        kind: Kind,
        alphas: Sequence[Sequence[Tensor | None]],
        mask: Tensor | None,
        held: bool,
        all_ends: bool,
    ):
        self.a, self.grid, self._kind, self._alphas = a, grid, kind, alphas
        self._domain = mask, held, all_ends

    def operator(self) -> tuple[Diffusion, list[Betas]]:
        """-div(a grad u), and per axis the weights of its data."""
        k, betas = zip(*(self._conductance(d) for d in range(self.grid.ndim)), strict=True)
        return Diffusion(self.grid.axes, k, None), list(betas)

    def plain_conductances(self) -> list[Tensor] | None:
        """k per axis, where plain numbers are all that it takes."""
        each = [self._plain_conductance(d) for d in range(self.grid.ndim)]
        k = [v for v in each if v is not None]
        return k if len(k) == self.grid.ndim else None

    def on_faces(self) -> list[Tensor]:
        """a on the faces of each axis, positive; 0 where ``Faces`` have walls."""
        return [self._on_faces(d) for d in range(self.grid.ndim)]

    def _conductance(self, d: int) -> tuple[Tensor, Betas]:
        axis, k = self.grid.axes[d], self._plain_conductance(d)
        if k is None:
            return conductance(self.grid.axes, self._on_faces(d), d, self._alphas[d])
        return k, array_betas(self.a[d], axis, d - self.grid.ndim) if axis.has_through_ends else None

    def _plain_conductance(self, d: int) -> Tensor | None:
        a = self.a[d]
        an_array = isinstance(a, (np.ndarray, Tensor))
        if (self._domain[0] is not None and not is_number(a)) or (self.grid.axes[d].has_through_ends and not an_array):
            return None
        return plain_conductance(a, self.grid, d, self._kind)

    def _on_faces(self, d: int) -> Tensor:
        a = self.a[d]
        if isinstance(a, OnFaces):
            faces = a.tensor(self.grid, d, self._kind)
        else:
            faces = on_faces("a", a, self.grid, d, self._kind, *self._domain)
            faces = check("a", faces, positive=True, h=self.grid.axes[d].h, place=self.grid.place)
        for alpha in self._alphas[d]:
            if alpha is not None:
                batches(self.grid.ndim, "alpha", alpha, "`a`", [faces])
        return faces
