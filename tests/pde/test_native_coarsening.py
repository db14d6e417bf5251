"""The compiled set-up makes the levels of ``coarse_operators``.

- every dimension, end and centring, seams, anisotropy, clusters, masks with holes, batches: in both precisions, on one
  thread and on two;
- sizes from two unknowns up; axes along which lines are smoothed are halved;
- the coarsest grid's inverse, or the matrix where there is none;
- wrong arguments are refused.
"""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import coarse_operators, from_diffusion
from mgnet.pde.blackbox.coarsest import dense_inverse, inverse
from mgnet.pde.blackbox.hierarchy import first_coarse, step_lengths
from mgnet.pde.blackbox.stencil import excess
from mgnet.pde.levels.smoothers import omegas
from mgnet.pde.native import kernels, machine, machines

LEFT = 16
NU = (2, 3)
TOLERANCE = {True: 3e-7, False: 1e-12}


def set_up(A, single=False, lines=(), jumps=False, threads=1, on=None, **changes):
    """The compiled hierarchy of an operator."""
    stencil = from_diffusion(A)
    down, up = (list(omegas("chebyshev", n, A.ndim)) for n in NU)
    arguments = {
        "machine": on or machine(),
        "single": single,
        "shape": stencil.shape,
        "wraps": [axis.periodic for axis in A.axes],
        "first": [first_coarse(axis) for axis in A.axes],
        "diagonal": stencil.diagonal.contiguous().numpy(),
        "couplings": [(o, s.contiguous().numpy()) for o, s in stencil.couplings.items()],
        "excess": excess(A).contiguous().numpy(),
        "masked": not bool(stencil.coupled.all()),
        "jumps": jumps,
        "down": down,
        "up": up[::-1],
        "lines": lines,
        "threads": threads,
    }
    return kernels.StencilHierarchy(**(arguments | changes))


def three(v):
    """Of each axis, as (planes, rows, columns)."""
    return tuple(v) if len(v) == 3 else (v[0], None, v[1]) if len(v) == 2 else (None, None, v[0])


def plain(field, n, shape):
    """A padded field (members, rows, stride) without padding; its ghosts are right."""
    return field[:, :, LEFT : LEFT + n[2]].reshape(len(field), *shape)


def assert_ghosts(fields, n, wraps):
    wrapped = fields[..., [LEFT + k % n[2] for k in (-2, -1, n[2], n[2] + 1)]] * wraps[2]
    np.testing.assert_array_equal(fields[..., [LEFT - 2, LEFT - 1, LEFT + n[2], LEFT + n[2] + 1]], wrapped)


def assert_stencil(S, A, n, wraps, tolerance):
    """The couplings S are those of A, a stencil of unit diagonal."""
    offsets = [o for o in product((-1, 0, 1), repeat=A.ndim) if o > (0,) * A.ndim]
    stored = sorted(A.couplings) if len(A.couplings) == A.ndim else offsets
    assert len(S) == max(len(stored), 2)
    for s, o in zip(S, stored, strict=False):
        np.testing.assert_allclose(plain(s, n, A.shape), A.couplings[o].numpy(), rtol=0, atol=tolerance)
    assert A.ndim > 1 or not S[1].any()
    assert_ghosts(S, n, wraps)


def assert_weights(W, P, n, wraps, tolerance):
    largest = max(float(w.abs().max()) for w in P.weights.values())
    for ours, theirs in zip(W, P.weights.values(), strict=True):
        w = theirs.numpy()
        np.testing.assert_allclose(plain(ours, n, w.shape[1:]), w, rtol=tolerance, atol=tolerance * largest)
    assert_ghosts(W, n, wraps)


def assert_clusters(ours, theirs, n, stride, tolerance):
    if theirs is None:
        assert ours is None
        return
    row, x = np.divmod(ours["at"], stride)
    member = ours["member"][np.repeat(np.arange(len(ours["member"])), np.diff(ours["begin"]))]
    np.testing.assert_array_equal(member * n[0] * n[1] * n[2] + row * n[2] + x - LEFT, theirs.at.numpy())
    begin = np.searchsorted(theirs.cluster.numpy(), np.arange(len(theirs.inverse) + 1))
    np.testing.assert_array_equal(ours["begin"], begin)
    np.testing.assert_allclose(ours["z"], theirs.z.numpy(), rtol=tolerance)
    np.testing.assert_allclose(ours["inverse"], theirs.inverse.numpy(), rtol=1e-6)  # z A z loses digits


def assert_products(ours, A, shape, n, stride, tolerance):
    """A z is the product of the readable stencil with each cluster's z."""
    size = n[0] * n[1] * stride
    for k, member in enumerate(ours["member"]):
        z, Az = np.zeros((2, size))
        for v, at, values, begin in ((z, "at", "z", "begin"), (Az, "at_A", "Az", "begin_A")):
            inner = slice(ours[begin][k], ours[begin][k + 1])
            v[ours[at][inner]] = ours[values][inner]
        z, Az = (plain(v.reshape(1, -1, stride), n, shape) for v in (z, Az))
        members = torch.zeros(A.diagonal.shape, dtype=torch.float64)
        members[member if len(members) > 1 else 0] = torch.from_numpy(z[0])
        product = A(members)[member if len(members) > 1 else 0].numpy()
        np.testing.assert_allclose(Az[0], product, rtol=0, atol=tolerance * np.abs(z).max())


def assert_same(A, single=False, lines=(), jumps=False, threads=1, on=None, contrast=1.0):
    """Level by level what ``coarse_operators`` makes; returns the number of grids.

    contrast : that of the coefficients, by which round-off grows
    """
    native = set_up(A, single, lines, jumps, threads, on)
    grids, scale = coarse_operators(from_diffusion(A), A.axes, lines, jumps=jumps)
    assert len(native) == len(grids) - 1
    tolerance = TOLERANCE[single] + 1e-14 * contrast
    for l, grid in enumerate(grids[:-1]):
        level = native.level(l)
        n, wraps, coarse = level["n"], level["wraps"], level["coarse"]
        halved = [axis.halved for axis in grid.P.axes]
        assert [h for h, axis in zip(level["halved"], three(halved), strict=True) if axis is not None] == halved
        assert_stencil(level["S"], grid.A, n, wraps, tolerance)
        assert_weights(level["W"], grid.P, coarse, wraps, tolerance)
        assert_clusters(level["clusters"], grid.clusters, n, level["S"].shape[-1], tolerance)
        if grid.clusters is not None:
            assert_products(level["clusters"], grid.A, grid.A.shape, n, level["S"].shape[-1], 10 * tolerance)
        smallest = min(float(s.min()) for s in grid.A.couplings.values())
        if not lines and (l == 0 or smallest >= -0.45):
            down, up = step_lengths(grid.A, l, NU, "chebyshev")
            np.testing.assert_allclose(level["down"], down, rtol=1e-6)
            np.testing.assert_allclose(level["up"], up, rtol=1e-6)
    assert_finest(native.finest(), A, scale, tolerance)
    assert_coarsest(native.coarsest(), grids[-1].A, single)
    return len(grids)


def assert_finest(finest, A, scale, tolerance):
    n, stencil = finest["n"], from_diffusion(A)
    for v, w in ((finest["scale"], scale), (finest["excess"], excess(A))):
        np.testing.assert_allclose(plain(v[0], n, stencil.shape), w.numpy(), rtol=1e-15)
    np.testing.assert_allclose(plain(finest["s"][0], n, stencil.shape), scale.numpy(), rtol=tolerance)
    for s, o in zip(finest["couplings"], sorted(stencil.couplings), strict=False):
        np.testing.assert_array_equal(plain(s, n, stencil.shape), stencil.couplings[o].numpy())


def assert_coarsest(coarsest, A, single):
    if coarsest["inverse"] is None:
        np.testing.assert_allclose(coarsest["dense"], A.dense().numpy(), rtol=0, atol=1e-12)
        return
    theirs = inverse(A).numpy()
    largest = np.abs(theirs).max()
    close = 1e-11 * largest**2 + (1e-7 * largest if single else 0.0)  # a change of A makes A^-1 (change) A^-1 here
    np.testing.assert_allclose(coarsest["inverse"], theirs, rtol=0, atol=close)


def problem(shape, bc, centering="node", a=None, c=0.1, batch=()):
    rng = np.random.default_rng(0)
    a = np.exp(rng.standard_normal((*batch, *shape))) if a is None else a
    return Poisson(Grid(shape, bc=bc, centering=centering), a, c).A


ENDS = ["dirichlet", "neumann", ("dirichlet", "neumann"), ("neumann", "dirichlet"), "periodic"]
SHAPES = [(300,), (333,), (37, 52), (36, 53), (12, 9, 14), (13, 8, 11)]


@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels(shape, ends, centering):
    for bc in ([ends, "neumann", "dirichlet"], [*["dirichlet", "periodic"][: len(shape) - 1], ends]):
        assert assert_same(problem(shape, bc[: len(shape)], centering)) > 2


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("on", machines())
@pytest.mark.parametrize("shape", [(333,), (37, 53), (13, 16, 11)], ids=str)
def test_every_instruction_set(shape, on, single):
    assert_same(problem(shape, "periodic"), single, on=on)
    assert_same(problem(shape, "dirichlet", "cell"), single, on=on)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
@pytest.mark.parametrize("shape", [(20_000,), (150, 130), (23, 21, 25)], ids=str)
def test_threads(shape, batch, bc):
    A = problem(shape, bc, batch=batch)
    assert_same(A, threads=2)
    one, two = (set_up(A, threads=threads) for threads in (1, 2))
    for l in range(len(one)):
        for field in ("S", "W"):
            np.testing.assert_array_equal(one.level(l)[field], two.level(l)[field])


@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
@pytest.mark.parametrize("eps", [1e-1, 1e-2, 1e-4])
@pytest.mark.parametrize("shape", [(45, 53), (13, 16, 15)], ids=str)
def test_semicoarsening(shape, eps, bc):
    for axis in range(len(shape)):
        assert_same(problem(shape, bc, a=tuple(eps if d == axis else 1.0 for d in range(len(shape)))))


@pytest.mark.parametrize("lines", [(0,), (1,), (0, 1)], ids=str)
def test_lines_halve_their_axes(lines):
    shape = (37, 45)
    A = problem(shape, "dirichlet", a=(1.0, 1e-3))
    assert_same(A, lines=lines)
    native = set_up(A, lines=lines)
    assert native.level(0)["lines"] == [(0, 2)[axis] for axis in lines]
    assert native.level(1)["down"] == native.level(0)["down"]


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic", ("periodic", "neumann"), ("neumann", "periodic")])
@pytest.mark.parametrize("shape", [(64, 44), (41, 57), (3, 40), (40, 3), (2, 60)], ids=str)
def test_weights_across_solved_lines(shape, bc):
    """Weights are a solve along each line: of rows and of columns, open and closed, and of a batch."""
    r = 10.0 ** np.random.default_rng(1).uniform(-0.5, 0.5, (2, *shape))
    strong = np.where(np.linspace(0, 1, shape[0])[:, None] > 0.5, 100.0, 1.0)
    A = Poisson(Grid(shape, bc=bc), (strong * r, r), 1.0).A.flattened((2,))
    for lines, threads, single in (((0,), 1, False), ((1,), 2, True), ((0, 1), 1, True), ((0, 1), 2, False)):
        assert_same(A, single, lines, threads=threads, contrast=1e3)


@pytest.mark.parametrize("bc", ["dirichlet", "periodic", ("periodic", "neumann", ("dirichlet", "neumann"))], ids=str)
@pytest.mark.parametrize("shape", [(12, 14, 17), (3, 8, 20), (64, 5, 6)], ids=str)
def test_weights_across_solved_lines_in_space(shape, bc):
    r = 10.0 ** np.random.default_rng(1).uniform(-0.5, 0.5, (2, *shape))
    strong = np.where(np.linspace(0, 1, shape[0])[:, None, None] > 0.5, 100.0, 1.0)
    A = Poisson(Grid(shape, bc=bc), (strong * r, r, r), 1.0).A.flattened((2,))
    for lines, threads, single in (((0,), 1, False), ((1,), 2, True), ((2,), 2, False)):
        assert_same(A, single, lines, threads=threads, contrast=1e4)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize(("shape", "bc"), [((400,), "periodic"), ((63, 61), "dirichlet"), ((62, 61), "periodic"),
                                           ((11, 12, 9), "neumann")], ids=str)  # fmt: skip
def test_clusters(shape, bc, batch, single):
    a = np.where(np.random.default_rng(0).random((*batch, *shape)) < 0.5, 1.0, 1e4)
    A = problem(shape, bc, a=a)
    assert_same(A, single, jumps=True, threads=2, contrast=1e4)
    native = set_up(A, single, jumps=True)
    assert len(shape) == 1 or any(native.level(l)["clusters"] is not None for l in range(len(native)))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("shape", "bc"), [((131, 122), "dirichlet"), ((130, 121), "periodic"),
                                           ((23, 26, 25), "neumann"), ((24, 25, 23), "periodic")], ids=str)  # fmt: skip
def test_clusters_across_blocks(shape, bc, threads):
    """Grains, of which clusters and strands are made that several threads find parts of."""
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(shape), 0.8)
    A = problem(shape, bc, a=np.where(noise > np.quantile(noise, 0.55), 1e4, 1.0))
    assert_same(A, jumps=True, threads=threads, contrast=1e4)
    one, several = (set_up(A, jumps=True, threads=n).level(0)["clusters"] for n in (1, threads))
    for part in one:
        np.testing.assert_array_equal(one[part], several[part])


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("shape", "bc", "centering"), [
    ((300,), "neumann", "cell"), ((37, 45), ["neumann", "periodic"], "node"), ((45, 38), "dirichlet", "node"),
    ((9, 10, 8), "dirichlet", "node"), ((9, 7, 11), "periodic", "cell")], ids=str)  # fmt: skip
@pytest.mark.parametrize("jumps", [False, True])
def test_masks(shape, bc, centering, mask_bc, jumps):
    rng = np.random.default_rng(1)
    x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    mask = (sum((v - 0.5) ** 2 for v in x) > 0.04) & (rng.random(shape) > 0.05)
    a = np.exp(rng.standard_normal(shape))
    A = Poisson(Grid(shape, bc=bc, centering=centering), a, 0.1, mask=mask, mask_bc=mask_bc).A
    assert_same(A, jumps=jumps, contrast=1e4)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
def test_small_and_thin_grids(bc):
    shapes = [(2,), (3,), (5,), (101,), (102,), (2, 2), (2, 60), (101, 2), (3, 40), (5, 21), (1, 130), (2, 3, 2)]
    for shape in [*shapes, (2, 2, 40), (40, 2, 3), (5, 5, 5), (2, 51, 1)]:
        assert_same(problem(shape, bc, "cell", c=0.5))


def white_noise(shape):
    return np.exp(2 * np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_spectrum_of_rough_coefficients(batch):
    """Where couplings are very negative, omega is at most 2 over the spectrum's upper end, and not half of that."""
    A = problem((63, 63), "dirichlet", a=white_noise((*batch, 63, 63)))
    native, found = set_up(A), 0
    grids, _ = coarse_operators(from_diffusion(A), A.axes)
    for l, grid in enumerate(grids[1:-1], 1):
        if min(float(s.min()) for s in grid.A.couplings.values()) < -0.5:
            largest = float(np.linalg.eigvalsh(grid.A.dense().numpy())[:, -1].max())
            spectrum = 2 * omegas("chebyshev", NU[0], 2)[0] / native.level(l)["down"][0]
            assert max(2.0, 0.95 * largest) <= spectrum <= max(2.0, 1.1 * largest)
            found += 1
    assert found > 0


def test_singular_coarsest_grids_are_handed_out():
    A = problem((21, 21), "neumann", a=np.ones((21, 21)), c=0.0)
    native = set_up(A)
    coarsest = native.coarsest()
    assert coarsest["inverse"] is None
    pseudo = dense_inverse(torch.tensor(coarsest["dense"])).numpy()
    native.set_inverse(pseudo)
    np.testing.assert_array_equal(native.coarsest()["inverse"], pseudo)
    assert native.coarsest()["dense"] is None
    with pytest.raises(ValueError, match="already"):
        native.set_inverse(pseudo)


def test_arrays_outlive_the_hierarchy():
    native = set_up(problem((37, 52), "dirichlet"))
    S, copy = native.level(1)["S"], native.level(1)["S"].copy()
    del native
    np.testing.assert_array_equal(S, copy)
    with pytest.raises(ValueError, match="read-only"):
        S[:] = 0


WRONG = [
    ({"shape": (7, 7, 7, 7)}, "1, 2 or 3 axes"),
    ({"wraps": [False]}, "one entry an axis"),
    ({"first": [2, 0]}, "0 or 1"),
    ({"diagonal": np.ones((1, 37, 51))}, r"`diagonal` must be of shape \(1, 37, 52\)"),
    ({"excess": np.ones((2, 37, 52))}, "`excess` must be of shape"),
    ({"couplings": [((0, 1), np.ones((1, 37, 52)))]}, "one array an axis"),
    ({"couplings": [((0, 1), np.ones((1, 37, 52)))] * 2}, "one array an offset"),
    ({"couplings": [((1, 1), np.ones((1, 37, 52)))]}, "one array an axis"),
    ({"couplings": [((0, 2), np.ones((1, 37, 52)))]}, "a positive one of 3"),
    ({"couplings": [((-1, 1), np.ones((1, 37, 52)))]}, "a positive one of 3"),
    ({"lines": [2]}, "no axis 2"),
    ({"lines": [1, 1]}, "name an axis once"),
    ({"down": [np.nan]}, "finite"),
    ({"up": [1.0] * 65}, "64 steps"),
    ({"threads": 0}, "at least 1"),
    ({"machine": "abacus"}, "no instruction set"),
    ({"diagonal": np.full((1, 37, 52), np.nan)}, "must be finite"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        set_up(problem((37, 52), "dirichlet"), **changes)


def test_wrong_inverses_and_levels_are_refused():
    native = set_up(problem((21, 21), "neumann", a=np.ones((21, 21)), c=0.0))
    with pytest.raises(ValueError, match="shape"):
        native.set_inverse(np.ones((1, 2, 2)))
    with pytest.raises(ValueError, match="no such level"):
        native.level(len(native))
