"""What conjugate gradients ask of a hierarchy, and one of their steps; see ``outer.krylov``."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.hierarchy import Hierarchy

LOST = 0.03  # of (r, z)
HALVED = 0.5  # the part of a residual that is left where a step gives nothing to think about


class System(Protocol):
    """What conjugate gradients need of a hierarchy; it keeps x, r, z and p in its own format.

    Attributes
    ----------
    x : the last iterate;   state : what the last step left for the next one
    """

    x: Any
    state: "State"

    def data(self, b: Tensor) -> Any:
        """b, (batch, *grid), in the system's format."""
        ...

    def tensor(self, x: Any) -> Tensor:
        """x as a tensor (batch, *grid)."""
        ...

    def norms(self, x: Any, b: Any) -> Tensor:
        """(batch,) ||b - A x||; x None for zero."""
        ...

    def full_multigrid(self, b: Any, measure: bool = True) -> Any:
        """One full multigrid pass, x."""
        ...

    def begin(self, x: Any, b: Any, tol: float = 0.0) -> Tensor:
        """Take x over (None: zero), which will be overwritten; r = b - A x; (batch,) ||r||.

        tol : of ||b||, down to which a member's ||r|| lets its x be
        """
        ...

    def advance(self) -> None:
        """One step of conjugate gradients."""
        ...

    def several(self, size: np.ndarray, tol: float, most: int) -> tuple[Any, np.ndarray]:
        """Steps between which there is nothing to decide: the x before the last, (steps, batch) ||r||.

        At least one and at most ``most``; no more once every member's ||r|| is down to tol size, or one's, above that,
        is not HALVED.
        """
        ...


class State(NamedTuple):
    """What a step of conjugate gradients leaves for the next one, (batch,) each: ||r||, (r, z), (r, p).

    (r, z) is of the r before the step, negative where the next p is to be z alone. Members whose ||r|| is no more than
    the floor keep their x.
    """

    norms: Any  # tensors or arrays, as the system has them
    rz: Any
    rp: Any
    floor: Any

    @classmethod
    def first(cls, norms: Tensor, floor: Tensor) -> "State":
        """Before the first step."""
        return cls(norms, torch.zeros_like(norms), torch.zeros_like(norms), floor)


class Parts(System, Protocol):
    """A system whose steps are made of parts, of tensors."""

    def precondition(self) -> Tensor:
        """z = M r; (batch,) (r, z)."""
        ...

    def direct(self, beta: Tensor) -> Tensor:
        """p <- z + beta p; (batch,) (p, A p)."""
        ...

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """x <- x + alpha p, r = b - A x; (batch,) ||r|| and (r, p)."""
        ...


def advance(system: Parts) -> None:
    """One step of conjugate gradients, of its parts."""
    before = system.state
    rz = system.precondition()
    beta = _quotient(rz, before.rz)
    left = beta * before.rp  # what the old direction leaves of (r, p) - (r, z)
    alpha = _quotient(rz + left, system.direct(beta))
    norms, rp = system.step(torch.where(before.norms > before.floor, alpha, 0.0))
    system.state = State(norms, torch.where(left.abs() > LOST * rz, -rz, rz), rp, before.floor)


def one(system: System) -> tuple[Any, np.ndarray]:
    """``several`` of a system that asks after each step."""
    x = system.x
    system.advance()
    return x, system.state.norms.cpu().numpy()[None]


class Robust(System, Hierarchy, Protocol):
    """A hierarchy whose stationary cycles and conjugate gradients both work."""

    sizes: tuple[int, ...]


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, 0 where b is not positive (NaN stays)."""
    return torch.where(b <= 0, 0.0, a / b)
