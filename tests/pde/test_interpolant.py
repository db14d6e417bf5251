"""The restricted residual of an interpolant: the tables' product, and what the fine grid would give."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid
from mgnet.pde.levels.constant import operator
from mgnet.pde.levels.interpolant import InterpolantOperator
from mgnet.pde.levels.transfers import Transfer
from tests.pde.native_levels import Interpolant, NativeLevel

STEPS = ([(1.0, -1)], [(1.0, -1)])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic", ("neumann", "dirichlet")], ids=str)
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("shape", [(63, 32), (64, 129), (13, 300), (33, 32, 31), (16, 21, 48)], ids=str)
def test_it_is_what_the_fine_grid_gives(shape, centering, bc, dtype):
    """R (b - A Q u), by way of the fine grid and without it, on tables that repeat and tables that do not."""
    rng, batch, c = np.random.default_rng(0), 2, 0.7
    axes = Grid(shape, bc=[bc] * len(shape), centering=centering).axes
    transfer, a = Transfer(axes, tuple(axis.coarsen() for axis in axes)), (1.0, 2.0, 0.5)[: len(shape)]
    u, b = (torch.as_tensor(rng.normal(size=(batch, *(axis.n for axis in grid)))) for grid in (transfer.coarse, axes))
    fine = transfer.R(b - operator(axes, a, c, b)(transfer.Q(u)))
    assert torch.allclose(
        transfer.R(b) - InterpolantOperator.of(transfer, a, c)(u), fine, atol=1e-9 * float(fine.abs().max())
    )
    level = NativeLevel(transfer, a, c, STEPS, np.dtype(str(dtype).removeprefix("torch.")), batch)
    held = Interpolant(*(v.to(dtype).numpy().reshape(level.coarse_shape) for v in (u, transfer.R(b))))
    _, _, ours = level.down(held, b.to(dtype).numpy().reshape(level.shape), None)
    assert np.abs(ours.reshape(fine.shape) - fine.numpy()).max() < 100 * torch.finfo(dtype).eps * float(
        fine.abs().max()
    )
