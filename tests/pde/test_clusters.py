"""Corrections of clusters: what they are, the kernels against plain torch, and what they are for.

Two materials at random, from unknown to unknown, are the hardest coefficients for multigrid on regular grids.
"""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.sparse import coo_array, csgraph
from scipy.sparse import linalg as splinalg

from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.blackbox import ReadableBlackBox, coarse_operators, from_diffusion
from mgnet.pde.blackbox.clusters import DAMPING, LOCKED, SLOW, STRONG, components, slow_clusters
from mgnet.pde.blackbox.hierarchy import coarsen, readable_levels
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.native.blackbox import NativeBlackBox

SHAPES = [
    ((20, 30), "dirichlet", "node", ()),
    ((21, 24), ["periodic", "neumann"], "cell", ()),
    ((18, 23), ["dirichlet", "periodic"], "node", (2,)),
    ((9, 10, 12), ["neumann", "periodic", "dirichlet"], "node", ()),
    ((7, 9, 8), "periodic", "cell", (2,)),
]


def two_materials(shape, contrast, size=0.0, share=0.5, seed=0):
    """1 and ``contrast`` at random, in grains of about ``size`` unknowns."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    noise = ndimage.gaussian_filter(noise, size) if size else noise
    return np.where(noise > np.quantile(noise, share), contrast, 1.0)


def problem(shape, bc, centering, own, contrast=1e4):
    return Poisson(Grid(shape, bc=bc, centering=centering), two_materials((*own, *shape), contrast, share=0.6), 1.0)


def two_grids(shape, bc, centering, own):
    """The stencil, unit and physical, how it is coarsened, and the coarse grid."""
    P = problem(shape, bc, centering, own)
    A = from_diffusion(P.A.flattened(own))
    axes = [Coarsening(axis.n, axis.periodic, int(axis.centering == "node")) for axis in P.grid.axes]
    unit, scale = A.unit()
    return P, unit, scale, axes, coarsen(A, scale, axes, masked=False)


@pytest.mark.parametrize(("shape", "bc", "centering", "own"), SHAPES, ids=str)
def test_components_are_those_of_scipy(shape, bc, centering, own):
    _, unit, *_ = two_grids(shape, bc, centering, own)
    for label, A in zip(components(unit), -unit.dense().numpy(), strict=True):
        np.fill_diagonal(A, 0.0)
        largest = A.max(axis=1)
        strong = A > STRONG * np.maximum(largest, largest[:, None])
        count, theirs = csgraph.connected_components(coo_array(strong), directed=False)
        assert len({*zip(label.flatten().tolist(), theirs.tolist(), strict=True)}) == count == len(label.unique())


@pytest.mark.parametrize(("shape", "bc", "centering", "own"), SHAPES, ids=str)
def test_a_correction_is_what_its_equation_says(shape, bc, centering, own):
    _, unit, scale, axes, coarse = two_grids(shape, bc, centering, own)
    B = slow_clusters(unit, scale, coarse.unit, coarse.scale, axes)
    batch, N = 2, int(np.prod(shape))
    r = torch.randn(batch, *shape, dtype=torch.float64)
    expected, chosen = torch.zeros(batch, N, dtype=torch.float64), 0
    label = components(unit).flatten(1)
    at_coarse = torch.zeros(shape, dtype=torch.bool)
    at_coarse[np.ix_(*(axis.index for axis in axes))] = True
    A, A_c = unit.dense(), coarse.unit.dense()
    for m in range(len(A)):
        for k in label[m].unique():
            there = label[m] == k
            z = torch.where(there, 1 / scale[m].flatten(), 0.0)
            e = torch.where(there[at_coarse.flatten()], 1 / coarse.scale[m].flatten(), 0.0)
            energy, coarse_energy = z @ A[m] @ z, e @ A_c[m] @ e
            if energy < SLOW * z @ z and (not e.any() or coarse_energy > LOCKED * energy):
                chosen += 1
                for b in range(batch) if len(A) == 1 else [m]:
                    expected[b] += DAMPING * z * (z @ r[b].flatten()) / energy
    assert chosen == len(B.inverse) > 0
    torch.testing.assert_close(B(r).flatten(1), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("own", [(), (2,)])
def test_every_verb_in_triton(own):
    pytest.importorskip("triton", reason="needs Triton")
    from mgnet.pde.cuda.blackbox import cuda_levels

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape, like = (21, 24), torch.zeros((), dtype=torch.float64, device=device)
    A = problem(shape, ["periodic", "neumann"], "cell", own).A.flattened(own)
    grids, _ = coarse_operators(from_diffusion(A).to(like), A.axes, jumps=True)
    assert grids[0].clusters is not None
    ours, theirs = (make(grids, like, (2, 1), "chebyshev")[0] for make in (cuda_levels, readable_levels))
    u, f, e = (torch.randn(2, *s, dtype=like.dtype).to(like) for s in (shape, shape, grids[1].A.shape))
    for v in (None, u):
        for one, other in zip(ours.down(v, f, None), theirs.down(v, f, None), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.up(u, f, None, e), theirs.up(u, f, None, e), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gamma", [1, 2, "F"])
def test_a_cycle_is_symmetric_and_positive(gamma):
    shape = (33, 40)
    A = problem(shape, ["periodic", "neumann"], "cell", (), 1e6).A.flattened(())
    levels = NativeBlackBox(A, torch.zeros(1, dtype=torch.float64), gamma=gamma, precision=torch.float64, jumps=True)
    v, w = np.random.default_rng(5).standard_normal((2, 1, shape[0], 1, shape[1]))
    Mv, Mw = levels.cycle(None, v).copy(), levels.cycle(None, w)
    assert (v * Mw).sum() == pytest.approx((w * Mv).sum(), rel=1e-8)
    assert (v * Mv).sum() > 0 < (w * Mw).sum()


def readable_levels_for(A, b, nu, gamma, smoother, precision, batch, solved, jumps, faces, lone):
    return ReadableBlackBox(A, b, nu, gamma, smoother, precision, solved, jumps)


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize(
    ("shape", "size", "share", "contrast", "most"),
    [
        ((127, 127), 0.0, 0.5, 1e4, 42),  # 179 without
        ((127, 127), 0.7, 0.6, 1e4, 25),  # 107
        ((127, 127), 1.0, 0.5, 1e4, 17),  # 48
        ((127, 127), 2.0, 0.6, 1e4, 13),  # 26
        ((127, 127), 0.0, 0.5, 1e2, 18),  # 20
        ((24, 24, 24), 0.0, 0.5, 1e4, 20),  # 60
        ((24, 24, 24), 0.0, 0.6, 1e4, 30),  # 115
    ],
    ids=str,
)
def test_two_materials(shape, size, share, contrast, most, readable, monkeypatch):
    """In the compiled levels, and in the readable ones as well."""
    if readable:
        monkeypatch.setattr("mgnet.pde.outer.backends.NativeBlackBox", readable_levels_for)
    P, f = Poisson(Grid(shape), two_materials(shape, contrast, size, share)), np.random.default_rng(1).random(shape)
    s = Solver(P).solve(f)
    assert s.cycles <= most
    A = P.to_scipy()
    assert np.linalg.norm(f.ravel() - A @ s.u.ravel()) <= 1.1e-8 * np.linalg.norm(f)


def test_a_batch_of_materials():
    """Each member has clusters of its own, one has none."""
    a = np.stack([two_materials((63, 63), 1e4), np.ones((63, 63)), two_materials((63, 63), 1e3, 1.0, seed=3)])
    f = np.random.default_rng(1).random((3, 63, 63))
    s = Solver(Poisson(Grid((63, 63)), a)).solve(f)
    assert s.cycles <= 30
    for k in range(3):
        exact = splinalg.spsolve(Poisson(Grid((63, 63)), a[k]).to_scipy().tocsc(), f[k].ravel())
        assert np.abs(s.u[k].ravel() - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize(("size", "contrast"), [(0.0, 1e6), (1.0, 1e6), (1.0, 1e8), (4.0, 1e6), (2.0, 1e10)])
def test_a_contrast_beyond_what_float64_resolves_ends_at_round_off(size, contrast):
    """Conjugacy is lost on the way; without beginning anew, residuals of 1e-5 become 1e3."""
    P, f = (
        Poisson(Grid((127, 127)), two_materials((127, 127), contrast, size)),
        np.random.default_rng(1).random((127,) * 2),
    )
    s = Solver(P).solve(f)
    assert s.cycles <= 70
    A = P.to_scipy()
    rounded = np.finfo(float).eps * np.linalg.norm(abs(A) @ abs(s.u.ravel()) + abs(f.ravel()))
    assert np.linalg.norm(f.ravel() - A @ s.u.ravel()) <= max(2.5 * rounded, 1.1e-8 * np.linalg.norm(f))


def test_noise_takes_no_lines():
    """What dominates by chance, a few unknowns side by side, is no region."""
    P = Poisson(Grid((255, 255)), two_materials((255, 255), 1e6))
    assert "zebra" not in Solver(P).solve(np.ones((255, 255)), throw=False).method


def test_smooth_coefficients_have_none():
    A = Poisson(Grid((63, 63)), lambda x, y: 1 + x * y).A
    grids, _ = coarse_operators(from_diffusion(A), A.axes, jumps=True)
    assert all(grid.clusters is None for grid in grids)
