"""Problems that fix u up to a constant, and how far from zero the mean of their data may be.

1  E b has mean zero on every part, E is a projection, and E^T its transpose: <E b, u> = <b, E^T u>.
2  A mean of up to ROUNDOFF = 100 eps times the mean size is round-off; four times that is refused, and said where,
   for data too large to be round-off of a divergence (``test_compatibility``).
3  A b that is compatible to the last digit comes back as it is.
4  Where something fixes u, nothing is taken away.
5  Of an unknown alone nothing is left; residuals of float32 are those of the data that are solved for.
6  A mean that is far larger than the rest is taken out to the rest's last digit; of constants nothing is left.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver
from tests.pde.grids_and_data import random

SHAPE = (33, 20)


def halves():
    """Two parts, of which the right one is held at the lower end of its second axis."""
    mask = np.ones(SHAPE, bool)
    mask[15:17] = False
    return mask


PROBLEMS = {
    "neumann": lambda: Poisson(Grid(SHAPE, bc="neumann")),
    "cells": lambda: Poisson(Grid(SHAPE, bc="neumann", centering="cell")),
    "periodic": lambda: Poisson(Grid(SHAPE, bc="periodic")),
    "two parts": lambda: Poisson(Grid(SHAPE, bc="neumann"), mask=halves(), mask_bc="neumann"),
    "three axes": lambda: Poisson(Grid((9, 8, 7), bc="neumann")),
}


def null_space(problem):
    return problem.null_space(problem.A.flattened((1,)))


def inside(problem, v):
    """v, zero outside of the mask."""
    return torch.as_tensor(v) * (null_space(problem).w > 0)


def parts(problem):
    """The unknowns of each part."""
    space = null_space(problem)
    part = torch.zeros(problem.grid.shape) if space.part is None else space.part[0]
    return [part == k for k in range(int(part.max()) + 1)]


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=list(PROBLEMS))
def test_E_is_a_projection_and_its_transpose_centres(make):
    problem = make()
    space, shape = null_space(problem), (2, *problem.grid.shape)
    b, u = inside(problem, random(shape, 1)), inside(problem, random(shape, 2))
    Eb, Eu = space.compatible(b), space.centred(u.clone())
    for unknowns in parts(problem):
        for mean in (Eb[:, unknowns].sum(1), (space.w * Eu)[:, unknowns].sum(1)):
            assert mean.abs().max() < 1e-12 * b.abs().sum()
    torch.testing.assert_close(space.compatible(Eb), Eb, rtol=0, atol=1e-13)
    torch.testing.assert_close((Eb * u).sum(), (b * Eu).sum(), rtol=1e-12, atol=1e-12)
    assert len(parts(problem)) == (2 if space.part is not None else 1)


def off_by(problem, share):
    """Data whose mean on the last part is ``share`` of its mean size there, and zero elsewhere; (1, *grid)."""
    b = null_space(problem).compatible(inside(problem, 1e4 * random((1, *problem.grid.shape))))
    last = parts(problem)[-1]
    b[:, last] += share * b[:, last].abs().mean()
    return b


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("name", ["neumann", "periodic", "two parts"])
def test_how_far_from_zero_a_mean_may_be(name, dtype):
    problem = PROBLEMS[name]()
    space, eps = null_space(problem), torch.finfo(dtype).eps
    space = space.to(torch.empty(0, dtype=dtype))
    assert space.w.dtype == dtype
    space.compatible(off_by(problem, 25 * eps).to(dtype), check=True)
    with pytest.raises(ValueError, match="`f` must have mean zero") as told:
        space.compatible(off_by(problem, 400 * eps).to(dtype), check=True)
    if name == "two parts":
        assert "one has (17, 0)" in str(told.value)


def test_the_part_that_is_named_is_the_one_that_is_off():
    """Another part of large data is off by more, but by round-off only."""
    problem = PROBLEMS["two parts"]()
    b = off_by(problem, 1e-3)
    large = parts(problem)[0]
    b[:, large] *= 1e14
    sums = null_space(problem).sums(b).abs()[0]
    b[0][large.nonzero()[0].unbind()] += 3 - sums[0]  # the sum of the large one is about 3, that of its sizes 1e16
    with pytest.raises(ValueError, match=r"one has \(17, 0\)"):
        null_space(problem).compatible(b, check=True)


def test_data_of_mean_zero_come_back_as_they_are():
    problem = PROBLEMS["neumann"]()
    space = null_space(problem)
    b = space.compatible(inside(problem, random((1, *SHAPE))))
    assert space.compatible(b) is b
    nearly = off_by(problem, 25 * torch.finfo(b.dtype).eps)
    assert space.compatible(nearly, exact=False) is nearly
    assert space.compatible(nearly) is not nearly
    u = space.centred(b.clone())
    assert space.centred(u) is u


def test_with_a_reaction_data_keep_their_mean():
    """c > 0 fixes u: b is left alone, whatever its mean."""
    problem = Poisson(Grid(SHAPE, bc="neumann"), c=1.0)
    f = random(SHAPE) + 3
    s = Solver(problem).solve(f, tol=1e-10)
    assert s.converged
    np.testing.assert_allclose(problem.apply(s.u), problem.rhs(f), atol=1e-8)


# 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_unknown_alone(dtype):
    for at in np.linspace(0.1, 1.7, 15):
        grid = Grid.from_faces([[at, 1.3 * at]], "neumann", "spherical")
        s = Solver(Poisson(grid)).solve(np.array([at], dtype), project=True)
        assert (s.status, s.cycles, s.u[0]) == ("tolerance", 0, 0.0)


@pytest.mark.parametrize("more", [{}, {"velocity": (lambda x, y: 1 + x, 2.0)}], ids=["line", "velocity"])
def test_residuals_of_float32_are_of_what_is_solved(more):
    grid = Grid((9, 8) if more else (30,), bc="neumann")
    f = random(grid.shape)
    s = Solver(Poisson(grid, a=1 + f**2, **more)).solve(f.astype(np.float32), tol=1e-4, project=True)
    assert s.status == "tolerance"


# 6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("make", PROBLEMS.values(), ids=list(PROBLEMS))
def test_a_mean_that_is_far_larger_than_the_rest(make, dtype):
    problem = make()
    space = null_space(problem).to(torch.empty(0, dtype=dtype))
    large, eps = 0.3 * space.w[None], torch.finfo(dtype).eps
    assert not space.sums(space.compatible(large).abs()).any()
    b = large + 1e4 * eps * torch.as_tensor(random((1, *problem.grid.shape))).to(dtype)
    rest = space.compatible(b)
    assert space.balanced(space.sums(rest).numpy(), space.sums(rest.abs()).numpy(), dtype)
    assert space.sums(rest.abs()).min() > 1e3 * eps * large.mean()


@pytest.mark.parametrize("share", [1e-10, 1e-12])
@pytest.mark.parametrize("how", [{}, {"velocity": (lambda x, y: 2 + np.sin(2 * np.pi * x), 0.3)}], ids=["", "velocity"])
@pytest.mark.parametrize("a", [1.0, np.where(random((35, 63)) > 0, 1.0, 70.0)], ids=["number", "array"])
def test_a_wave_on_a_large_mean(a, how, share):
    grid = Grid((35, 63), bc="periodic")
    wave = np.cos(2 * np.pi * grid.coordinates()[0])
    solver = Solver(Poisson(grid, a, **how))
    u, alone = (solver.solve(f, project=True, tol=1e-8).u for f in (0.3 + share * wave, share * wave))
    np.testing.assert_allclose(u, alone, rtol=0, atol=1e-15 / share * abs(alone).max())
