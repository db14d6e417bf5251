"""Black-box multigrid in Triton equals its readable twin: products, transfers, every verb, cycles and solves.

Over boundary kinds, centrings, dimensions, semicoarsening, precisions, and batches of coefficients. Where there
is no GPU the kernels run in Triton's interpreter (``conftest.py``).
"""

from math import prod

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import ReadableBlackBox, coarse_operators, from_diffusion
from mgnet.pde.blackbox.hierarchy import coarsen, readable_levels
from mgnet.pde.cuda import tiles
from mgnet.pde.cuda.blackbox import CudaBlackBox, CudaInterpolation, CudaStencil, cuda_levels
from mgnet.pde.outer.iterate import iterate
from mgnet.pde.outer.krylov import ConjugateGradients
from tests.pde.grids_and_data import random

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS = {torch.float64: 1e-13, torch.float32: 1e-5}
# shape, bc, centring, batch of coefficients, dtype, nu
CASES = [
    ((10, 66), "dirichlet", "node", (), torch.float64, (2, 2)),
    ((18, 21), ["neumann", "periodic"], "node", (), torch.float32, (1, 3)),
    ((15, 20), ["periodic", ("dirichlet", "neumann")], "cell", (2,), torch.float64, (3, 1)),
    ((40, 6), "neumann", "cell", (), torch.float64, (2, 1)),
    ((6, 7, 5), ["dirichlet", "periodic", "neumann"], "node", (), torch.float64, (2, 2)),
    ((7, 5, 6), ["periodic", "neumann", "dirichlet"], "cell", (2,), torch.float32, (1, 1)),
]


@pytest.fixture(autouse=True)
def _several_grids(monkeypatch):
    """Small problems would be one grid; ``test_cuda_setup.py`` alone waits for the set-up's kernels."""
    monkeypatch.setattr(CudaBlackBox, "forms", CudaBlackBox.forms._replace(entries=0, coarsen=coarsen))


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def problem(shape, bc, centering, batch):
    rng = np.random.default_rng(0)
    a, c = np.exp(rng.standard_normal((*batch, *shape))), rng.random(shape)
    return Poisson(Grid(shape, bc=bc, centering=centering), a, c)


def tensor(shape, k, dtype):
    return torch.as_tensor(random((2, *shape), k)).to(DEVICE, dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_verb(case):
    *which, dtype, nu = case
    A = problem(*which).A.flattened(which[-1])
    like = torch.zeros((), dtype=dtype, device=DEVICE)
    grids, _ = coarse_operators(from_diffusion(A).to(like.double()), A.axes)
    plain, fused = readable_levels(grids, like, nu, "chebyshev"), cuda_levels(grids, like, nu, "chebyshev")
    errors = []
    for grid, ours, theirs in zip(grids[:-1], fused, plain, strict=False):
        shape, coarse = grid.A.shape, tuple(axis.coarse for axis in grid.P.axes)
        u, f, e = tensor(shape, 0, dtype), tensor(shape, 1, dtype), tensor(coarse, 2, dtype)
        for v in (None, u):
            (v_ours, _, f_ours), (v_theirs, _, f_theirs) = ours.down(v, f, None), theirs.down(v, f, None)
            errors += [relative(v_ours, v_theirs), relative(f_ours, f_theirs)]
        errors += [relative(ours.up(u, f, None, e), theirs.up(u, f, None, e))]
        errors += [relative(ours.smooth(u, f), theirs.smooth(u, f))]
    assert len(errors) >= 6
    assert max(errors) < PRECISIONS[dtype]


@pytest.mark.parametrize("case", CASES[1:5], ids=str)
def test_operators(case):
    """The finest operator, whose diagonal is not 1, and P and R between all grids."""
    *which, dtype, _ = case
    A = problem(*which).A.flattened(which[-1])
    S = from_diffusion(A).to(torch.zeros((), dtype=dtype, device=DEVICE))
    grids, _ = coarse_operators(S, A.axes)
    v = tensor(S.shape, 0, dtype)
    errors = [relative(CudaStencil(S)(v), S(v))]
    for grid in grids[:-1]:
        r, e = tensor(grid.A.shape, 1, dtype), tensor([axis.coarse for axis in grid.P.axes], 2, dtype)
        ours = CudaInterpolation(grid.P)
        errors += [relative(ours.P(e), grid.P.P(e)), relative(ours.R(r), grid.P.R(r))]
    assert max(errors) < PRECISIONS[dtype]


@pytest.mark.parametrize("gamma", [1, 2, "F"])
def test_cycles_and_full_multigrid(gamma):
    A = problem((18, 21), ["neumann", "periodic"], "node", ()).A
    f = tensor((18, 21), 0, torch.float64)
    plain, fused = (kind(A, f, gamma=gamma, precision=f.dtype) for kind in (ReadableBlackBox, CudaBlackBox))
    assert relative(fused.cycle(None, f), plain.cycle(None, f)) < 1e-12
    assert relative(fused.full_multigrid(f), plain.full_multigrid(f)) < 1e-12


@pytest.mark.parametrize(("bc", "batch"), [("dirichlet", (2,)), ("periodic", ())])
def test_large_coarsest_grid(bc, batch, monkeypatch):
    """As many unknowns as the inverses of all members leave room for, singular or not."""
    monkeypatch.setattr(CudaBlackBox, "forms", CudaBlackBox.forms._replace(entries=2**16))
    a = np.exp(np.random.default_rng(0).standard_normal((*batch, 28, 26)))
    A = Poisson(Grid((28, 26), bc=bc), a).A.flattened(batch)
    f = tensor((28, 26), 0, torch.float64)
    f = f - f.mean((1, 2), keepdim=True)
    system = CudaBlackBox(A.like(f), f)
    assert system.sizes[-1] == (7 * 6 if batch else 14 * 13)
    outcome = iterate(ConjugateGradients(system, 1e-9), f, None, 1e-9, 12, lambda u: 0 * u.flatten(1)[:, 0], None)
    assert outcome.status == "tolerance"
    assert torch.linalg.vector_norm(f - A.like(f)(outcome.u)) <= 1.1e-9 * torch.linalg.vector_norm(f)


@pytest.mark.parametrize("shape", [(6, 300), (3, 5, 66)])
def test_large_tiles(shape, monkeypatch):
    monkeypatch.setattr(tiles, "LARGE", 0)
    A = problem(shape, "periodic" if len(shape) == 2 else "dirichlet", "node", ()).A
    f = tensor(shape, 0, torch.float64)
    f = f - f.mean()
    plain, fused = (kind(A, f, precision=f.dtype) for kind in (ReadableBlackBox, CudaBlackBox))
    assert relative(fused.cycle(None, f), plain.cycle(None, f)) < 1e-12
    ones = torch.ones(2, device=DEVICE)
    numbers = [(s.begin(None, f), s.precondition(), s.direct(ones), *s.step(ones), s.x) for s in (plain, fused)]
    for ours, theirs in zip(*numbers, strict=True):
        assert relative(ours, theirs) < 1e-11


@pytest.mark.parametrize("transposed", [False, True])
def test_conjugate_gradients(transposed):
    """The same residuals, step by step, for two right-hand sides in any order and coefficients that jump."""
    shape = (14, 13)
    x, y = np.indices(shape) // 4
    A = Poisson(Grid(shape, bc=["dirichlet", "neumann"]), np.where((x + y) % 2 == 0, 1.0, 1e3)).A
    f = tensor(shape, 1, torch.float64)
    f = tensor(shape[::-1], 1, torch.float64).mT if transposed else f
    histories = []
    for kind in (ReadableBlackBox, CudaBlackBox):
        system = kind(A.like(f), f, precision=f.dtype)
        cg, b = ConjugateGradients(system, 1e-8), system.data(f)
        outcome = iterate(cg, b, None, 1e-8, 12, lambda u: 0 * u.flatten(1)[:, 0], None)
        assert outcome.status == "tolerance"
        assert torch.linalg.vector_norm(f - A.like(f)(outcome.u)) <= 1.1e-8 * torch.linalg.vector_norm(f)
        histories.append(outcome.residuals)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(
    ("case", "precision"),
    [(case, (torch.float64, torch.float32)[k % 2]) for k, case in enumerate(CASES)] + [(CASES[1], torch.float64)],
    ids=str,
)
def test_steps_of_conjugate_gradients(case, precision):
    """Every quantity of two steps, for each member of a batch, one of which is left alone at first."""
    *which, dtype, nu = case
    A = problem(*which).A.flattened(which[-1])
    members = torch.tensor([1.0, 10.0], device=DEVICE, dtype=dtype).reshape(2, *[1] * len(which[0]))
    b, beta = tensor(which[0], 1, dtype) * members, torch.tensor([0.3, 0.7], device=DEVICE).double()
    seen = []
    for kind in (ReadableBlackBox, CudaBlackBox):
        system = kind(A.like(b), b, nu[:1] * 2, precision=precision)
        numbers = [system.begin(None, b)]
        for k in range(2):
            rz, pAp = system.precondition(), system.direct(k * beta)
            norms, rp = system.step(torch.tensor([1.0, k], device=DEVICE) * rz / pAp)
            sizes = (torch.linalg.vector_norm(v.double().flatten(1), dim=1) for v in (system.r, system.p))
            numbers += [rz, pAp, norms, 1 + rp / prod(sizes)]
        seen.append([*numbers, system.x, system.r, system.p])
    for ours, theirs in zip(*seen, strict=True):
        assert ours.dtype == theirs.dtype
        for one, other in zip(ours, theirs, strict=True):
            assert relative(one, other) < (1e-11 if dtype == precision == torch.float64 else 1e-3)
