"""Claims: the readable hierarchy is the Galerkin one, matrix by matrix; each fused kernel equals it."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import ReadableBlackBox, coarse_operators, from_diffusion
from mgnet.pde.kernels.blackbox import FusedBlackBox
from mgnet.pde.kernels.stencil_rows import LEFT

SHAPES = [
    ((400,), "dirichlet", "node"),
    ((333,), "periodic", "node"),
    ((37, 52), "dirichlet", "node"),
    ((36, 53), "neumann", "cell"),
    ((37, 53), "periodic", "node"),
    ((52, 37), ["neumann", "periodic"], "node"),
    ((400, 6), "dirichlet", "node"),
    ((6, 300), "neumann", "node"),
    ((20, 17, 24), "dirichlet", "node"),
    ((19, 16, 23), ["periodic", "neumann", "periodic"], "node"),
    ((300, 270), "dirichlet", "node"),  # on all threads
]


def problem(shape, bc, centering, batch=()):
    rng = np.random.default_rng(0)
    a, c = np.exp(rng.standard_normal((*batch, *shape))), rng.random(shape)
    return Poisson(Grid(shape, bc=bc, centering=centering), a, c)


@pytest.mark.parametrize(("shape", "bc", "centering"), [s for s in SHAPES if np.prod(s[0]) < 2000])
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


def masked_problem(shape, bc, centering, mask_bc, c):
    """A box without a ball and without some unknowns anywhere."""
    rng = np.random.default_rng(1)
    x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    mask = (sum((v - 0.5) ** 2 for v in x) > 0.04) & (rng.random(shape) > 0.03)
    a, grid = np.exp(rng.standard_normal(shape)), Grid(shape, bc=bc, centering=centering)
    return Poisson(grid, a, c, mask=mask, mask_bc=mask_bc)


MASKED = [((150,), "neumann", "cell"), ((37, 45), ["neumann", "periodic"], "node"), ((14, 15, 13), "dirichlet", "node")]


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("shape", "bc", "centering"), MASKED)
def test_masked_hierarchies_are_the_same(shape, bc, centering, mask_bc):
    A = masked_problem(shape, bc, centering, mask_bc, 0.1).A
    f = torch.from_numpy(np.random.default_rng(2).standard_normal((1, *shape)))
    readable = ReadableBlackBox(A, f, precision=torch.float64)
    fused = FusedBlackBox(A, f, (2, 2), 1, "chebyshev", torch.float64, 1)
    ours = fused.tensor(fused.cycle(None, fused.data(f)))
    torch.testing.assert_close(ours, readable.cycle(None, f), rtol=0, atol=1e-10 * float(ours.abs().max()))


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


class Padded:
    """Plain tensors to the fields of a fused level, and back."""

    def __init__(self, operator, batch, dtype):
        self.A, self.batch, self.dtype = operator, batch, dtype

    def field(self, v):
        A = self.A
        w = np.zeros((self.batch, A.n[0] * A.n[1], A.stride), self.dtype)
        w[:, :, LEFT : LEFT + A.n[2]] = v.reshape(self.batch, -1, A.n[2]).numpy()
        if A.wraps[2]:
            w[:, :, LEFT - 1], w[:, :, LEFT + A.n[2]] = w[:, :, LEFT + A.n[2] - 1], w[:, :, LEFT]
        return w

    def plain(self, w):
        return torch.from_numpy(w[:, :, LEFT : LEFT + self.A.n[2]].reshape(self.batch, *self.A.shape).copy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nu", [(2, 2), (1, 3)])
@pytest.mark.parametrize(("shape", "bc", "centering"), SHAPES)
def test_every_verb(shape, bc, centering, nu, dtype):
    A, batch = problem(shape, bc, centering).A, 2
    like = torch.zeros((), dtype=torch.float64)
    readable = ReadableBlackBox(A, like, nu=nu, precision=dtype)
    fused = FusedBlackBox(A, like, nu, 1, "chebyshev", dtype, batch)
    assert len(readable.levels) == len(fused.levels)
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype]

    def check(v, w):
        torch.testing.assert_close(w, v, rtol=0, atol=tolerance * float(v.abs().max() + 1))

    operators = [level.A for level in fused.levels[:-1]]
    pads = [Padded(o, batch, fused.levels[0].S.dtype) for o in operators]
    pairs = list(zip(readable.levels[:-1], fused.levels[:-1], pads, strict=True))
    for k, (level, kernel, at) in enumerate(pairs):
        u, f = (torch.randn(batch, *at.A.shape, dtype=dtype) for _ in range(2))
        for start in (None, u):
            given = None if start is None else at.field(start)
            check(level.smooth(start, f), at.plain(kernel.smooth(given, at.field(f))))
            v, _, f_c = level.down(start, f, None)
            w, _, g_c = kernel.down(given, at.field(f), None)
            check(v, at.plain(w))
        if k + 1 < len(pairs):
            below = pads[k + 1]
            check(f_c, below.plain(g_c))
            e = torch.randn(f_c.shape, dtype=dtype)
            check(level.up(u, f, None, e), at.plain(kernel.up(at.field(u), at.field(f), None, below.field(e))))
            check(level.P(e), at.plain(kernel.interpolate(below.field(e))))


@pytest.mark.parametrize("data", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("own", [(), (2,)])
@pytest.mark.parametrize(("shape", "bc", "centering"), [SHAPES[2], SHAPES[4], SHAPES[9]])
def test_conjugate_gradient_steps(shape, bc, centering, own, dtype, data):
    A, batch = problem(shape, bc, centering, own).A, 2
    b = torch.randn(batch, *shape, dtype=data)
    readable = ReadableBlackBox(A, b, precision=dtype)
    fused = FusedBlackBox(A, b, (2, 2), 1, "chebyshev", dtype, batch)
    x, y = readable.start(b), fused.start(fused.data(b))
    assert x.dtype == data
    close = 1e-10 if dtype == data == torch.float64 else 1e-4
    torch.testing.assert_close(fused.tensor(y), x, rtol=0, atol=close * float(x.abs().max()))
    for system, start in ((readable, x), (fused, y)):
        system.begin(start, system.data(b))
    alpha, beta = torch.tensor([0.5, 0.7], dtype=torch.float64), torch.tensor([0.2, 0.1], dtype=torch.float64)
    for _ in range(2):
        ours, theirs = ((s.precondition(), s.direct(beta), *s.step(alpha)) for s in (readable, fused))
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(other, one, rtol=100 * close, atol=0, check_dtype=False)
    torch.testing.assert_close(fused.tensor(fused.x), readable.x, rtol=0, atol=close * float(x.abs().max()))
