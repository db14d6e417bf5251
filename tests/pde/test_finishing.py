"""tol=None where a full multigrid pass and the steps after it are not enough: it is seen, and gone on from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, NotConverged, Poisson, solve
from mgnet.pde.blackbox import ReadableBlackBox
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.outer.finishing import UNFINISHED, unfinished
from mgnet.pde.outer.krylov import ConjugateGradients
from tests.pde.box import Box
from tests.pde.test_hidden import Lacking

TWO = np.random.default_rng(0)
ROUGH, F = 10.0 ** TWO.uniform(-0.5, 0.5, (48, 40)), TWO.normal(size=(48, 40))
THIN = {"a": ROUGH, "c": 1.0, "bc": ("periodic", ("dirichlet", "neumann")), "upper": (0.001, 1.0)}


def off(u, v):
    return np.linalg.norm(u - v) / np.linalg.norm(v)


def test_strong_periodic_couplings_with_noise():
    s = solve(F, tol=None, **THIN)
    box = Box(F.shape, THIN["bc"], centering="node", upper=THIN["upper"])
    assert off(s.u, box.solve(F, a=ROUGH, c=1.0)) < 1e-5
    assert s.status == "full multigrid"
    assert s.converged
    assert s.cycles > 5
    assert s.residuals[-1] < 1e-8


@pytest.mark.parametrize("shape", [(68, 68), (48, 50)])
def test_strong_periodic_couplings_that_jump(shape):
    a = 10.0 ** (4 * np.random.default_rng(1).uniform(size=shape) - 2)
    f, how = np.ones(shape), {"bc": ("dirichlet", "periodic"), "upper": (1.0, 0.01), "c": 1.0, "a": a}
    assert off(solve(f, tol=None, **how).u, solve(f, tol=1e-12, throw=False, **how).u) < 1e-2


@pytest.mark.parametrize(("shape", "upper"), [((12, 17, 22), (0.47, 3.35, 0.0049)), ((34, 48), (0.0036, 2.98))])
def test_boxes_that_are_hardly_held(shape, upper):
    x = sum((d + 1) * v for d, v in enumerate(np.ogrid[tuple(slice(0, 1, n * 1j) for n in shape)]))
    f, how = np.random.default_rng(2).normal(size=shape), {"a": 1 + 0.5 * np.sin(2 * x), "c": 1e-3, "upper": upper}
    for bc in ("neumann", ("periodic", *["neumann"] * (len(shape) - 1)), (*["neumann"] * (len(shape) - 1), "periodic")):
        assert off(solve(f, tol=None, bc=bc, **how).u, solve(f, tol=1e-12, bc=bc, **how).u) < 2e-3


@pytest.mark.parametrize(
    ("shape", "speed", "c"), [((59, 56), 577529.5666, 584.6117), ((58, 58), 407875.3736, 13.559218)]
)
def test_a_flow_into_a_sink(shape, speed, c):
    """Steps from what is solved already, of a matrix that is nearly singular, may lead anywhere."""
    x, y = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    v = (speed * np.sin(3 * y), speed * np.sin(3 * x + 1))
    once, exact = (solve(np.ones(shape), tol=tol, velocity=v, c=c, a=1 + x).u for tol in (None, 1e-11))
    assert off(once, exact) < 1e-3


def test_members_of_a_batch_and_gradients():
    f = torch.from_numpy(np.stack([F, 1 + 0 * F]))
    a = torch.from_numpy(ROUGH).requires_grad_()
    how = THIN | {"a": a, "ndim": 2}
    grads = []
    for tol in (None, 1e-12):
        (solve(f, tol=tol, **how).u ** 2).sum().backward()
        grads.append(a.grad.clone())
        a.grad = None
    assert off(grads[0].numpy(), grads[1].numpy()) < 1e-4


@pytest.mark.parametrize(("part", "seen"), [(1e-3, False), (1.0, True)])
def test_a_residual_tells_of_what_no_energy_does(part, seen):
    """Of a few unknowns, whose part of b is given, M knows next to nothing, of the others all."""
    system, b = Lacking(), torch.ones(1, 40, dtype=torch.float64)
    system._mu[:] = 1.0
    system._mu[0, -6:], b[0, -6:] = 0.01 ** torch.arange(4, 10), part
    system.A, system.scale, system.small = (lambda x: x), torch.ones_like(b), torch.ones(()).double()
    cg = ConjugateGradients(system, None)
    energy = (b * cg.full_multigrid(cg.data(b))).sum(1)
    size = b.norm(dim=1)
    assert cg.system.state.rz.abs() * size**2 < UNFINISHED**2 * energy
    assert unfinished(cg, size, lambda: energy) == seen


def test_too_few_cycles_are_told():
    with pytest.raises(NotConverged, match="not converged to 1e-08 in 2 cycles"):
        solve(F, tol=None, max_cycles=2, **THIN)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_good_enough_has_no_residual(dtype):
    a = np.exp(np.sin(3 * np.linspace(0, 1, 127)[:, None] + np.linspace(0, 1, 127)))
    for bc in ("dirichlet", ("periodic", "neumann")):
        f = np.random.default_rng(3).normal(size=a.shape)
        s = solve(f.astype(dtype), a=a.astype(dtype), c=1.0, bc=bc, tol=None)
        assert s.cycles == 1
        assert s.residuals == []
        assert s.status == "full multigrid"


@pytest.mark.parametrize("make", [ReadableBlackBox, NativeBlackBox])
def test_steps_that_begin_anew_keep_what_they_know(make):
    """(r, M r), negative where the next direction is to be M r alone: of this r, not 0."""
    A = Poisson(Grid(F.shape), a=ROUGH).A.flattened((1,))
    b = torch.from_numpy(F)[None].contiguous()
    system, twin = make(A, b, precision=torch.float64), ReadableBlackBox(A, b, precision=torch.float64)
    system.begin(None, system.data(b)), twin.begin(None, b)
    rz = [float(twin.precondition()[0])]
    twin.advance()
    rz.append(float(twin.precondition()[0]))
    system.advance()
    kept = system.state
    system.state = kept._replace(rp=kept.rp + 10 * kept.rz)
    system.advance()
    np.testing.assert_allclose([float(kept.rz[0]), float(system.state.rz[0])], [rz[0], -rz[1]], rtol=1e-10)
