"""The solver as operators of scipy.sparse.linalg, on vectors in C order."""

from collections.abc import Callable

import numpy as np
import scipy.sparse.linalg as splinalg
import torch
from torch import Tensor

from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.problem.checks import real
from mgnet.pde.problem.operators import Operator
from mgnet.pde.problem.poisson import Poisson


def linear_operator(problem: Poisson) -> splinalg.LinearOperator:
    """v -> A v."""
    A, shape = problem.single("aslinearoperator"), problem.grid.shape

    def product(B: Operator) -> Callable[[np.ndarray], np.ndarray]:
        return lambda v: _flat(B.like(_grid(v, shape))(_grid(v, shape)))

    return splinalg.LinearOperator(problem.shape, matvec=product(A), rmatvec=product(A.T), dtype=np.dtype(np.float64))


def preconditioner(multigrid: Multigrid, problem: Poisson) -> splinalg.LinearOperator:
    """v -> one cycle for A u = v from zero, symmetric where A is."""
    problem.single("aspreconditioner")
    shape = problem.grid.shape

    def matvec(v: np.ndarray) -> np.ndarray:
        return _flat(multigrid.precondition(_grid(v, shape)))

    rmatvec = matvec if multigrid.base.symmetric else None
    return splinalg.LinearOperator(problem.shape, matvec=matvec, rmatvec=rmatvec, dtype=np.dtype(np.float64))


def _grid(v: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    return real("v", v).to(torch.float64).reshape(1, *shape)


def _flat(u: Tensor) -> np.ndarray:
    return u.numpy().ravel()
