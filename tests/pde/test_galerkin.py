"""Claims: the readable hierarchy is the Galerkin one, matrix by matrix, and keeps a null space."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import coarse_operators, from_diffusion

SHAPES = [
    ((400,), "dirichlet", "node"),
    ((333,), "periodic", "node"),
    ((37, 52), "dirichlet", "node"),
    ((36, 53), "neumann", "cell"),
    ((37, 53), "periodic", "node"),
    ((52, 37), ["neumann", "periodic"], "node"),
    ((6, 300), "neumann", "node"),
    ((13, 12, 11), ["periodic", "neumann", "periodic"], "node"),
]


def problem(shape, bc, centering, batch=()):
    rng = np.random.default_rng(0)
    a, c = np.exp(rng.standard_normal((*batch, *shape))), rng.random(shape)
    return Poisson(Grid(shape, bc=bc, centering=centering), a, c)


@pytest.mark.parametrize(("shape", "bc", "centering"), SHAPES)
def test_coarse_operators_are_galerkin_products(shape, bc, centering):
    P = problem(shape, bc, centering)
    grids, scale = coarse_operators(from_diffusion(P.A), P.grid.axes)
    unit = grids[0].A.dense()[0].numpy()
    d = scale.flatten().numpy()
    np.testing.assert_allclose(unit, d[:, None] * P.to_scipy().toarray() * d, atol=1e-13)
    for fine, coarse in zip(grids[:-1], grids[1:], strict=True):
        e = torch.eye(coarse.A.diagonal[0].numel(), dtype=torch.float64).reshape(-1, *coarse.A.shape)
        interpolation = fine.P.P(e).flatten(1).T
        restriction = fine.P.R(torch.eye(fine.A.diagonal[0].numel(), dtype=torch.float64).reshape(-1, *fine.A.shape))
        np.testing.assert_allclose(restriction.flatten(1).T, interpolation.T, atol=1e-14)
        product = interpolation.T @ fine.A.dense()[0] @ interpolation
        np.testing.assert_allclose(coarse.A.dense()[0], product, atol=1e-12)


def test_coarse_operators_are_singular_where_the_finest_is():
    """On a disc with no flux the constants stay in the null space, however strong one axis is."""
    x, y = np.meshgrid(*[np.linspace(0, 1, 33)] * 2, indexing="ij")
    for a in (1.0, (1e4, 1.0)):
        disc = Poisson(Grid((33, 33)), a, mask=(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.2, mask_bc="neumann")
        grids, _ = coarse_operators(from_diffusion(disc.A), disc.grid.axes)
        assert len(grids) > 2
        for grid in grids:
            eigenvalues = np.linalg.eigvalsh(grid.A.dense()[0].numpy())
            assert abs(eigenvalues[0]) < 1e-14
            assert eigenvalues[1] > 1e-8
