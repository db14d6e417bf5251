"""The set-up of black-box multigrid in Triton equals its readable twin, from each grid to the next.

Over boundary kinds, centrings, dimensions, semicoarsening, seams, and batches of coefficients.
"""

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import from_diffusion
from mgnet.pde.blackbox.hierarchy import Coarsening, coarsen, first_coarse
from mgnet.pde.cuda import coarsening, tiles
from tests.pde.triton_loops import DEVICE, loops  # noqa: F401

# shape, bc, centring, batch of coefficients, halved axes; two coarsenings each, the last one
CASES = [
    ((10, 13), "dirichlet", "node", (), (True, True)),
    ((9, 11), ["neumann", "periodic"], "node", (2,), (True, True)),  # the second coarsening has no seam
    ((10, 21), "periodic", "cell", (), (True, True)),
    ((9, 14), ["periodic", ("dirichlet", "neumann")], "node", (), (False, True)),
    ((4, 4, 5), ["dirichlet", "periodic", "neumann"], "node", (), (True, True, True)),
    ((2, 6, 11), ["neumann", "dirichlet", "periodic"], "cell", (2,), (False, True, True)),
]


def difference(ours, theirs):
    assert set(ours) == set(theirs)
    return max(float((ours[key] - theirs[key]).abs().max()) for key in theirs)


@pytest.mark.parametrize(("shape", "bc", "centering", "batch", "halved"), CASES, ids=str)
def test_coarsening(shape, bc, centering, batch, halved, monkeypatch):
    if shape == (10, 13):
        monkeypatch.setattr(tiles, "LARGE", 0)  # large tiles
        monkeypatch.setattr(tiles, "TILE", (8, 4))
    rng = np.random.default_rng(0)
    a, c = np.exp(rng.standard_normal((*batch, *shape))), rng.random(shape)
    problem = Poisson(Grid(shape, bc=bc, centering=centering), a, c)
    A = from_diffusion(problem.A.flattened(batch)).to(torch.zeros((), dtype=torch.float64, device=DEVICE))
    axes = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in problem.A.axes]
    for _ in range(1 if shape == (2, 6, 11) else 2):
        axes = [Coarsening(axis.n, axis.periodic, axis.first, h) for axis, h in zip(axes, halved, strict=True)]
        (unit, scale), (unit_other, scale_other) = coarsening.unit(A), A.unit()
        assert difference(unit.couplings, unit_other.couplings) < 1e-15
        assert torch.equal(scale, scale_other)
        ours, theirs = (function(A, scale, axes, False) for function in (coarsening.coarsen, coarsen))
        assert ours.P.axes == theirs.P.axes
        assert difference(ours.P.weights, theirs.P.weights) < 1e-13
        assert difference(ours.unit.couplings, theirs.unit.couplings) < 1e-13
        for one, two in ((ours.A.diagonal, theirs.A.diagonal), (ours.scale, theirs.scale)):
            assert float(((one - two) / two).abs().max()) < 1e-13
        A, axes = theirs.A, [Coarsening(axis.coarse, axis.periodic, axis.first) for axis in axes]


def test_masks_keep_to_the_twin():
    x, y = np.meshgrid(*[np.linspace(0, 1, 13)] * 2, indexing="ij")
    disc = Poisson(Grid((13, 13)), mask=np.hypot(x - 0.5, y - 0.5) < 0.4, mask_bc="neumann")
    A = from_diffusion(disc.A.flattened(())).to(torch.zeros((), dtype=torch.float64, device=DEVICE))
    axes = [Coarsening(13, False, 1)] * 2
    ours, theirs = (function(A, A.unit()[1], axes, True) for function in (coarsening.coarsen, coarsen))
    assert difference(ours.P.weights, theirs.P.weights) == 0
