"""Conjugate gradients preconditioned by one symmetric multigrid cycle from zero.

    z = M r,   p <- z + beta p,   x <- x + alpha p,   r = b - A x
    beta = (r, z) / (r, z)_before,   alpha = (r, z) / (p, A p)

The residual is computed anew from x in each step, so it is the true one, and z, p and the products
with p may be of lower precision than x. Each member of a batch has its own alpha and beta.

Source: Hestenes & Stiefel 1952; Tatebe 1993 (multigrid as the preconditioner).
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from mgnet.pde.iterate import Hierarchy

FINISHING_STEPS = 2  # steps after a full multigrid pass that is to end at the discretisation error


class System(Protocol):
    """What conjugate gradients need of a hierarchy; it keeps x, r, z and p in its own format."""

    x: Any

    def data(self, b: Tensor) -> Any:
        """b, (batch, *grid), in the system's format."""
        ...

    def tensor(self, x: Any) -> Tensor:
        """x as a tensor (batch, *grid)."""
        ...

    def norms(self, x: Any, b: Any) -> Tensor:
        """(batch,) ||b - A x||; x None for zero."""
        ...

    def start(self, b: Any, watch: bool = True) -> Any:
        """One full multigrid pass, x."""
        ...

    def begin(self, x: Any, b: Any) -> Tensor:
        """Take x over (None: zero), which will be overwritten; r = b - A x; (batch,) ||r||."""
        ...

    def precondition(self) -> Tensor:
        """z = M r; (batch,) (r, z)."""
        ...

    def direct(self, beta: Tensor) -> Tensor:
        """p <- z + beta p; (batch,) (p, A p)."""
        ...

    def step(self, alpha: Tensor) -> Tensor:
        """x <- x + alpha p, r = b - A x; (batch,) ||r||."""
        ...


class Robust(System, Hierarchy, Protocol):
    """A hierarchy whose stationary cycles and conjugate gradients both work."""

    sizes: list[int]


class ConjugateGradients:
    """The iteration as a hierarchy whose cycle is one step; ``iterate`` drives it.

    Parameters
    ----------
    system : what it works on
    tol : relative residual at which a member of the batch is left alone; None: none is
    """

    def __init__(self, system: System, tol: float | None):
        self.system, self._tol = system, 0.0 if tol is None else tol
        self._x: Any = None
        self._norms = self._rz = self._scale = torch.zeros(0)

    def data(self, b: Tensor) -> Any:
        return self.system.data(b)

    def tensor(self, u: Any) -> Tensor:
        return self.system.tensor(u)

    def release(self, u: Any) -> Tensor:
        return self.system.tensor(u).clone() if u is not self._x else self.system.tensor(u)

    def norms(self, u: Any, b: Any) -> Tensor:
        return self.system.norms(u, b)

    def watched(self) -> Tensor:
        return self._norms

    def start(self, b: Any, watch: bool = True) -> Any:
        """The first step, from zero; unwatched: a full multigrid pass and FINISHING_STEPS steps.

        A full pass costs as much as two steps, and gains less than they do unless f is smooth.
        """
        if watch:
            return self._step(self._begin(None, b))
        x = self._begin(self.system.start(b, watch=False), b)
        for _ in range(FINISHING_STEPS):
            x = self._step(x)
        return x

    def cycle(self, u: Any, b: Any, watch: bool = True) -> Any:
        if u is None:
            return self.start(b)
        if u is not self._x:
            self._begin(self.system.data(self.system.tensor(u).clone()), b)
        return self._step(u)

    def _step(self, x: Any) -> Any:
        rz = self.system.precondition()
        pAp = self.system.direct(_quotient(rz, self._rz))
        active = self._norms > self._tol * self._scale
        self._norms = self.system.step(torch.where(active, _quotient(rz, pAp), 0.0))
        self._rz, self._x = rz, self.system.x
        return self._x

    def _begin(self, x: Any, b: Any) -> Any:
        self._scale = self.system.norms(None, b)
        self._norms = self.system.begin(x, b)
        self._x, self._rz = x, torch.zeros_like(self._norms)
        return x


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, 0 where b is not positive (NaN stays)."""
    return torch.where(b <= 0, 0.0, a / torch.where(b <= 0, 1.0, b))
