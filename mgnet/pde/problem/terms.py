"""What a problem is made of as it was given, a, c and v, and the operator of all equations on a grid."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mgnet.pde.problem.checks import batches
from mgnet.pde.problem.coefficients import Kind, at_unknowns, in_words, is_number, is_scalar
from mgnet.pde.problem.data import alphas_of
from mgnet.pde.problem.diffusivity import Betas, Diffusivity, per_axis
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.plain import ours
from mgnet.pde.problem.tensor import full_tensor
from mgnet.pde.problem.velocity import velocity_of


class Terms:
    """-div(a grad u), v . grad u and c u.

    Parameters
    ----------
    given : a, c and the velocity, as for ``Poisson``;   scheme : as there
    mask : (*batch, *grid) True inside, or None;   held : whether what is outside holds u

    Attributes
    ----------
    A : the operator;   c : at the unknowns, None where it is 0;   alphas : of Robin's ends, per axis
    """

    def __init__(
        self, grid: Grid, kind: Kind, given: tuple[Any, Any, Any], scheme: Any, mask: Tensor | None, held: bool
    ):
        a, c, velocity = given
        self._grid, self._kind, self._mask, self._held = grid, kind, mask, held
        a, self.tensor = full_tensor(a, grid, kind, mask, held)
        self._a, self._c = per_axis(a, grid), 0.0 if c is None else c
        if velocity is not None and self.tensor is not None:
            raise ValueError("`velocity` does not go with a full tensor `a`. Leave one of them out.")
        self.velocity = velocity_of(velocity, scheme, grid, kind, mask)
        self._velocity, self._scheme = velocity, scheme
        self._betas: list[Betas] = []  # with a velocity found when they are asked for
        self.alphas = [alphas_of(grid, d, kind, mask) for d in range(grid.ndim)]
        A = self._without_c()
        k = A.tensors
        self.c = None if self.has_no_c else at_unknowns("c", self._c, grid, kind, mask)
        for k_d in k if any(v.ndim > grid.ndim for v in k) else ():
            batches(grid.ndim, "a", k_d, "its other entries", k)
        if self.c is not None:
            batches(grid.ndim, "c", self.c, "`a`", k)
        self.A = A if self.c is None else A.with_c(self.c)

    def _without_c(self) -> Any:
        """All but c: diffusion, along the axes or by a full tensor, and convection."""
        if self.tensor is not None:
            self._betas = [None] * self._grid.ndim
            return self.tensor.operator(self.alphas)
        if self.velocity is None:
            A, self._betas = self._diffusivity(self._a).operator()
            return A
        self._own_a = [ours(a_d) for a_d in self._a]
        k = self._diffusivity(self._own_a).plain_conductances() if self.velocity.is_plain else None
        plain = None if k is None else self.velocity.of_plain(k)
        return self._with_velocity() if plain is None else plain

    def _with_velocity(self) -> Any:
        """The same of diffusion and convection, of anything that they may be."""
        assert self.velocity is not None
        A, self._betas = self.velocity.operator(self._diffusivity(self._own_a).on_faces(), self.alphas)
        return A

    def _diffusivity(self, a: Sequence[Any]) -> Diffusivity:
        flows = self.velocity is not None and self._grid.centering == "cell"  # by data at Neumann ends, and by a
        return Diffusivity(a, self._grid, self._kind, self.alphas, self._mask, self._held, flows)

    @property
    def betas(self) -> list[Betas]:
        """Per axis the weights of the data on its ends."""
        if not self._betas:
            self._with_velocity()
        return self._betas

    @property
    def along_axes(self) -> bool:
        """Whether there is nothing but diffusion along the axes, and reaction."""
        return self.tensor is None and self.velocity is None

    @property
    def are_scalars(self) -> bool:
        """Whether a and c are numbers, or tensors of no axes."""
        return all(is_scalar(v) for v in (*self._a, self._c))

    @property
    def numbers_a(self) -> tuple[float, ...] | None:
        """a per axis if it is made of numbers, and there is nothing but ``along_axes``."""
        numbers = self.along_axes and all(is_number(v) for v in self._a)
        return tuple(float(v) for v in self._a) if numbers else None

    @property
    def number_c(self) -> float | None:
        """c if it is a number."""
        return float(self._c) if is_number(self._c) else None

    @property
    def c_varies(self) -> bool:
        """Whether c was given as an array or a callable."""
        return not is_scalar(self._c)

    @property
    def has_no_c(self) -> bool:
        return self.number_c == 0

    def in_words(self) -> list[str]:
        """What was given."""
        a = self._a[0] if len(set(map(str, self._a))) == 1 else self._a
        a_said = "a full tensor" if self.tensor is not None else in_words(a)
        flow = [] if self.velocity is None else [f"velocity={in_words(self._velocity)}, scheme={self._scheme!r}"]
        return [f"a={a_said}", f"c={in_words(self._c)}", *flow]
