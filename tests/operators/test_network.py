"""MgNO is mgnet.core's cycle with learned kernels.

1  The parameters are as many as published; the multigrid form has about as many at width 26.
2  The published form equals the published equations, written out with torch.nn.functional; any dimension, any size.
3  The multigrid form equals equations (1)-(3) word for word, outputs and gradients.
4  With stencils as kernels W is the solver's V-cycle: periodic, reflecting (Neumann) and zero (Dirichlet) ends.
5  Every grid size gives its own grid back; too small ones, and other shapes, are refused with what to do.
"""

import json
from functools import reduce
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mgnet.core import ConvLevel, cycle
from mgnet.operators import CycleMap, MgNO
from mgnet.pde import Grid, Poisson, conv_levels
from mgnet.pde.levels.constant import readable_levels
from mgnet.pde.levels.smoothers import omegas

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_T = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MODES = {"zero": "constant", "periodic": "circular", "reflecting": "reflect"}
SIZES = {1: (21,), 2: (18, 13), 3: (9, 12, 10)}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def small(ndim=2, **given):
    torch.manual_seed(0)
    return MgNO(2, 3, **({"width": 4, "layers": 2, "grids": 3, "ndim": ndim} | given)).double()


def field(shape, channels=2, seed=1):
    return torch.randn(2, channels, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_parameters_are_as_many_as_published():
    assert parameters(MgNO(1, 1, width=24, layers=4, grids=6)) == 572_661
    assert parameters(MgNO(1, 1, width=24, layers=5, grids=6, up=(3, 4, 3, 3, 4))) == 678_093


def test_parameters_of_the_multigrid_form():
    """c^2 (9 (7 B + 6 A + 5 R) + 16 (5 P) + 1) + c a layer, with c_f = 1 for c in the first; then the head."""
    c = 26
    inner, first = 243 * c**2 + c, 9 * (7 * c + 6 * c + 5) + 80 * c**2 + c + c
    assert parameters(MgNO(1, 1, width=c, form="multigrid")) == 3 * inner + first + c
    assert 3 * inner + first + c == 550_127


def published(model, x):
    """The equations of He, Liu & Xu 2024, for nu = (1, 2, 2) and kernels 4 of P."""
    conv, conv_t, ones = CONV[model.ndim], CONV_T[model.ndim], [1] * 2 * model.ndim

    def convolved(v, op, stride=1):
        weight = next(op.parameters())
        return conv(F.pad(v, ones, MODES[model.padding[0]]), weight, stride=stride)

    def prolonged(v, op, shape):
        wide = conv_t(F.pad(v, ones, MODES[model.padding[0]]), next(op.parameters()), stride=2)
        return wide[(..., *(slice(3, 3 + n) for n in shape))]

    def linear(levels, f):
        us, fs = [convolved(f, levels[0].Bs[0])], [f]
        for fine, coarse in zip(levels[:-1], levels[1:], strict=True):
            f, u = convolved(fs[-1], fine.R, 2), convolved(us[-1], fine.Pi, 2)
            for A, S in zip(coarse.As, coarse.Bs, strict=True):
                u = u + convolved(f - convolved(u, A), S)
            us.append(u)
            fs.append(f)
        u = us.pop()
        for level in list(levels)[-2::-1]:
            finer = us.pop()
            u = finer + prolonged(u, level.P, finer.shape[2:])
        return u

    for layer in model.layers:
        x = F.gelu(linear(layer.W.levels, x) + conv(x, layer.C.weight, layer.b))
    return conv(x, model.head.weight)


@pytest.mark.parametrize("padding", list(MODES))
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_published_form_equals_the_published_equations(ndim, padding):
    model = small(ndim, nu=(1, 2, 2), padding=padding)
    torch.nn.init.normal_(model.layers[0].b)
    x = field(SIZES[ndim])
    torch.testing.assert_close(model(x), published(model, x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("padding", ["zero", "periodic", ("reflecting", "zero")])
@pytest.mark.parametrize("nu", [(1, 1, 2), (2, 1, 1)])
def test_multigrid_form_equals_the_equations(nu, padding):
    model, x = small(form="multigrid", nu=nu, padding=padding, up=3), field((18, 13))
    W = model.layers[0].W
    assert all(isinstance(level, ConvLevel) for level in W.levels)
    results = []
    for forward in (W, W.plain):
        y = forward(x)
        results.append((y.detach(), torch.autograd.grad(y.sin().sum(), list(W.parameters()))))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-13)


def stencil(line, other, ndim):
    """sum_d (x)_e (line if e == d else other)"""
    terms = [
        reduce(lambda a, b: a[..., None] * b, [line if e == d else other for e in range(ndim)]) for d in range(ndim)
    ]
    return torch.stack(terms).sum(0)[None, None]


def fill(W, h, ndim, nu):
    """Poisson's equation: damped Jacobi, full weighting, linear interpolation."""
    line = [torch.tensor(v, dtype=torch.float64) for v in ([-1.0, 2, -1], [0.0, 1, 0], [0.25, 0.5, 0.25])]
    weighting = stencil(line[2], line[2], ndim) / ndim
    for l, level in enumerate(W.levels):
        weights = {level.A: stencil(line[0], line[1], ndim) / (h * 2**l) ** 2}
        for B, omega in zip(level.Bs, omegas("jacobi", nu, ndim), strict=True):
            weights[B] = omega * (h * 2**l) ** 2 / (2 * ndim) * stencil(line[1], line[1], ndim) / ndim
        if level.R is not None:
            weights |= {level.R: weighting, level.P: 2**ndim * weighting}
        for op, weight in weights.items():
            next(op.parameters()).data.copy_(weight)


@pytest.mark.parametrize(("padding", "bc"), [("periodic", "periodic"), ("reflecting", "neumann")])
@pytest.mark.parametrize(("ndim", "n"), [(1, 64), (2, 32), (3, 16)])
def test_with_stencils_the_map_is_the_solvers_cycle(ndim, n, padding, bc):
    grid = Grid((n + (bc == "neumann"),) * ndim, bc=bc)
    model = MgNO(1, width=1, layers=1, grids=3, ndim=ndim, nu=(2, 2, 2), form="multigrid", padding=padding, up=3)
    W = model.double().layers[0].W
    fill(W, grid.spacing[0], ndim, 2)
    chain = [grid.axes]
    for _ in range(3):
        chain.append(tuple(axis.coarsen() for axis in chain[-1]))
    levels, _ = readable_levels(chain, (1.0,) * ndim, 0.0, torch.zeros((), dtype=torch.float64), "jacobi", (2, 0))
    f = field(grid.shape, 1)
    expected = cycle([*levels[:2], _LastGrid(levels[2])], None, Poisson(grid).rhs(f[:, 0]))
    with torch.no_grad():
        difference = (W(f)[:, 0] - expected).abs().max() / expected.abs().max()
    assert difference < 1e-14


class _LastGrid:
    """A level on which the cycle turns round after smoothing."""

    def __init__(self, level):
        self.smooth = level.smooth


@pytest.mark.parametrize(("ndim", "n"), [(1, 63), (2, 31), (3, 15)])
def test_the_solvers_own_convolutions_make_a_map(ndim, n):
    """Zero ends, nodes between them, sweeps on both ways: W is any cycle of convolutions."""
    problem = Poisson(Grid((n,) * ndim))
    chain = [problem.grid.axes]
    for _ in range(2):
        chain.append(tuple(axis.coarsen() for axis in chain[-1]))
    levels, _ = readable_levels(
        [*chain, tuple(axis.coarsen() for axis in chain[-1])], (1.0,) * ndim, 0.0, torch.zeros((), dtype=torch.float64)
    )
    W, f = CycleMap(conv_levels(problem)[:3]), field(problem.grid.shape, 1)
    expected = cycle([*levels[:2], _LastGrid(levels[2])], None, f[:, 0])
    assert (W(f)[:, 0] - expected).abs().max() < 1e-14 * expected.abs().max()


@pytest.mark.parametrize(("form", "up"), list(product(["published", "multigrid"], [3, 4, (3, 4, 4)])))
@pytest.mark.parametrize("shape", [(5, 5), (16, 9), (31, 32), (33, 21)])
def test_any_size_comes_back(shape, form, up):
    assert small(grids=4, form=form, up=up)(field(shape)).shape == (2, 3, *shape)


def test_the_high_end_of_an_odd_grid_is_as_the_low_one():
    """Kernels that are their own mirror images make a map that commutes with the mirror, where `up` is 3."""
    model, x = small(1, up=3), field((33,))
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 3:
                p.add_(p.flip(2).clone())
    torch.testing.assert_close(model(x.flip(2)), model(x).flip(2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("nu", [(1, 1, 1), (1, 1, 2), (2, 1, 3)])
@pytest.mark.parametrize("form", ["published", "multigrid"])
def test_every_parameter_learns(form, nu):
    model = small(form=form, nu=nu)
    model(field((12, 12))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_Pi_changes_nothing_in_the_multigrid_form():
    """Why it has none: u_c = Pi(u), f_c = R(f - A u) + A_c Pi(u), u <- u + P(u_c - Pi(u)) with random Pi."""
    W = small(form="multigrid").layers[0].W
    without = W(field((18, 13)))
    for level in W.levels[:-1]:
        level.Pi = torch.nn.Conv2d(4, 4, 3, 2, 1, bias=False, dtype=torch.float64)
    for forward in (W, W.plain):
        torch.testing.assert_close(forward(field((18, 13))), without, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("padding", list(MODES))
@pytest.mark.parametrize("grids", [1, 2, 4])
def test_the_smallest_size_is_told(grids, padding):
    model = small(grids=grids, padding=padding)
    n = model.smallest
    assert model(field((n, n))).shape[2:] == (n, n)
    if n > 1:
        with pytest.raises(ValueError, match=f"`x` must have {n} points or more along each axis for {grids} grids"):
            model(field((n + 4, n - 1)))


@pytest.mark.parametrize("x", [field((12,)), field((12, 12, 12)), field((12, 12), 1), field((12, 12))[0]])
def test_other_shapes_are_refused(x):
    with pytest.raises(ValueError, match=r"`x` must be \(N, 2, x, y\); its shape is"):
        small()(x)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"width": 0}, ValueError, "`width` must be a whole number of at least 1; it is 0"),
        ({"layers": 2.0}, TypeError, "`layers` must be a whole number of at least 1; it is 2.0"),
        ({"ndim": 4}, ValueError, "`ndim` must be a whole number from 1 to 3; it is 4"),
        ({"nu": (1, 2)}, ValueError, "`nu` must be a whole number, at least 1, or 3 of them"),
        ({"nu": (1, 0, 2)}, ValueError, "`nu` must be a whole number, at least 1, or 3 of them"),
        ({"up": 5}, ValueError, "`up` must be a whole number, 3 or 4, or 2 of them"),
        ({"padding": "reflect"}, ValueError, "`padding` must be one of .* Did you mean 'reflecting'?"),
        ({"padding": ["zero"]}, ValueError, "one for each of the 2 axes"),
        ({"form": "fas"}, ValueError, "`form` must be one of published, multigrid; it is 'fas'"),
    ],
)
def test_wrong_arguments_are_named(given, error, message):
    with pytest.raises(error, match=message):
        MgNO(**({"grids": 3} | given))


def test_numbers_of_numpy_are_numbers():
    n = np.int64
    model = MgNO(n(1), width=n(4), layers=n(1), grids=n(2), ndim=n(1), nu=(n(1), n(2)), up=n(4))
    assert model.arguments == MgNO(1, width=4, layers=1, grids=2, ndim=1, nu=(1, 2), up=4).arguments
    assert json.loads(json.dumps(model.arguments)) == model.arguments
