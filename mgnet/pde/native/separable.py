"""Separable operators, told to the kernels; their levels are in ``levels.separable_levels``."""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.direct import NULL
from mgnet.pde.levels.separable import AxisOperator, Separable
from mgnet.pde.levels.separable_levels import Chain, SeparableTransfer, dampings
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.levels.transfers import identity
from mgnet.pde.native import four, kernels, padded
from mgnet.pde.native.describe import Steps, kernel_table
from mgnet.pde.native.hierarchy import SHORTEST, NativeHierarchy


def fits(chain: Chain, device: torch.device) -> bool:
    """Whether the kernels do every grid."""
    A = chain.operators[0]
    alike = A.ndim == 2 or bool(torch.equal(A.axes[-1].w[0], A.axes[-1].w[1]))
    return device.type == "cpu" and len(chain.shapes) > 1 and alike and min(A.shape) >= SHORTEST


def separable_hierarchy(
    chain: Chain, dtype: torch.dtype, batch: int, smoother: Smoother, nu: tuple[int, int], gamma: int | str
) -> NativeHierarchy:
    """The levels of a separable operator."""
    down, up = ([(omega, -1) for omega in way] for way in dampings(chain, smoother, nu))
    pairs = zip(chain.transfers, chain.operators[1:], strict=True)
    grids = [separable_grid(transfer, A, (down, up)) for transfer, A in pairs]
    A = chain.operators[-1]
    last = separable_grid(SeparableTransfer(A, (False,) * A.ndim), A, ([], [])) if chain.lines else None
    coarsest = None if chain.lines else direct(A)
    return NativeHierarchy(grids, coarsest, 0.0, chain.shapes, dtype, batch, nu[0], gamma, last=last)


def separable_grid(transfer: SeparableTransfer, coarse: Separable, steps: tuple[Steps, Steps]) -> kernels.Grid:
    """A fine grid and its transfers; ``steps`` of the way down and of the way up."""
    A, one = transfer.fine, identity(1)
    P, Q, R = ([t or identity(axis.n) for t, axis in zip(kind, A.axes, strict=True)] for kind in transfer.tables)
    axes = padded([(axis.n, axis.periodic) for axis in A.axes], (1, False))
    none = kernels.Factor(np.zeros(2), np.zeros(1), [np.ones(1)] * 3)
    factors = padded([_factor(axis) for axis in A.axes], none)
    Ps, Qs = ([kernel_table(t, 2, 1) for t in padded(kind, one)] for kind in (P, Q))
    Rs = [kernel_table(t, 1, 2) for t in padded(R, one)]
    return kernels.separable_grid(A.ndim, axes, factors, four(coarse.shape), Ps, Qs, Rs, *steps)


def _factor(axis: AxisOperator) -> kernels.Factor:
    w = [_numbers(v) for v in axis.w]
    return kernels.Factor(_numbers(axis.k), _numbers(axis.m), padded(w, w[0]))


def _numbers(v: Tensor) -> np.ndarray:
    return np.ascontiguousarray(v.detach().cpu().numpy(), float)


def direct(A: Separable) -> kernels.Direct:
    """The coarsest grid: K_d V_d = W_d V_d L_d along each axis, V_d^T W_d V_d = 1.

    Then A^-1 = (V_0 x V_1 x ...) (sum of the L_d)^-1 (V_0 x V_1 x ...)^T; W_d are the weights that
    axis d has in all other terms.
    """
    Vs, total = [], np.zeros(())
    for d, axis in enumerate(A.axes):
        scale = _numbers(axis.w[(d + 1) % A.ndim]) ** -0.5
        _, U = np.linalg.eigh(scale[:, None] * _matrix(axis) * scale)
        V = scale[:, None] * U
        Vs.append(np.ascontiguousarray(V))
        total = np.add.outer(total, _energies(axis, V))
    held = total > NULL * total.max()
    D = np.where(held, 1 / np.where(held, total, 1.0), 0.0)
    return kernels.Direct(padded(Vs, np.ones((1, 1))), np.ascontiguousarray(D.reshape(four(D.shape))))


def _matrix(axis: AxisOperator) -> np.ndarray:
    """K, dense."""
    return axis.apply(torch.eye(axis.n, dtype=axis.k.dtype), -1).numpy().astype(float)


def _energies(axis: AxisOperator, V: np.ndarray) -> np.ndarray:
    """v^T K v of the columns, a sum of squares: exact to the last digits where v is almost constant."""
    ghosts = np.pad(V, ((1, 1), (0, 0)), mode="wrap" if axis.periodic else "constant")
    faces = _numbers(axis.k)[:, None] * np.diff(ghosts, axis=0) ** 2
    return faces[int(axis.periodic) :].sum(0) + (_numbers(axis.m)[:, None] * V**2).sum(0)
