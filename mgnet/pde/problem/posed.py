"""What is asked of a problem by what makes its data and chooses its order: ``poisson.Poisson`` has more."""

from typing import Any, Protocol

from torch import Tensor

from mgnet.pde.problem.coefficients import Kind
from mgnet.pde.problem.diffusivity import Betas
from mgnet.pde.problem.fixed import Fixed
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.operators import Operator


class Posed(Protocol):
    """Attributes as of ``Poisson``."""

    grid: Grid
    kind: Kind
    A: Operator
    whole: Any
    mask: Tensor | None
    mask_bc: Any
    fixed: Fixed | None
    tensor: Any
    velocity: Any

    @property
    def betas(self) -> list[Betas]: ...

    @property
    def constant_a(self) -> tuple[float, ...] | None: ...

    def on_grid(self, name: str, v: Any) -> Tensor: ...

    def inside(self, v: Tensor) -> Tensor: ...
