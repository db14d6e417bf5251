"""Laws of every cycle over ConvLevels.

1  Fixed point: cycle(u, A(u)) == u, for nonlinear A as well (FAS).
2  Dot test: <R f, v> == <f, P v> where P is the transpose of R.
3  A V-cycle whose way up is its way down reversed is a symmetric operator; otherwise it is not.
4  For linear A and B the iterate does not depend on Pi.
5  V-, W- and F-cycles visit the grids in the textbook's order.
6  Full multigrid is nested iteration, and reaches the discretisation error in one pass.
"""

from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mgnet.core import ConvLevel, Level, convolution, cycle, full_multigrid, transposed_convolution
from tests.core.hierarchies import outer, poisson, random_field, random_kernel, random_levels

GAMMAS = [1, 2, 3, "F"]
WIDTHS = [(3, 2), (4, 3), (2, 5)]


class Curved(nn.Module):
    """A nonlinear A with A(0) = 0."""

    def __init__(self, A: nn.Module):
        super().__init__()
        self.A = A

    def forward(self, u):
        return self.A(u + 0.3 * u**3)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_solution_is_a_fixed_point_of_every_cycle(ndim, gamma):
    levels = random_levels(ndim, WIDTHS, nn.ReLU())
    for level in levels:
        level.A = Curved(level.A)
    u = random_field(ndim, 3, 9)
    torch.testing.assert_close(cycle(levels, u, levels[0].A(u), gamma), u, rtol=0, atol=1e-13)


@given(ndim=st.sampled_from([1, 2, 3]), c=st.integers(1, 4), c_c=st.integers(1, 4), m=st.integers(1, 5))
def test_transposed_convolution_is_the_transpose(ndim, c, c_c, m):
    weight = random_kernel(ndim, c, c_c)
    for padding, n in ((0, 2 * m + 1), (1, 2 * m - 1)):
        R = convolution(weight, stride=2, padding=padding)
        P = transposed_convolution(weight, stride=2, padding=padding)
        f, v = random_field(ndim, c, n), random_field(ndim, c_c, m)
        torch.testing.assert_close((R(f) * v).sum(), (f * P(v)).sum(), rtol=1e-12, atol=1e-12)


def red_black(levels: list[ConvLevel], mirrored: bool) -> list[ConvLevel]:
    """The same levels with a red and then a black half sweep, which do not commute."""
    for k, level in enumerate(levels[:-1]):
        n = 2 ** (len(levels) - k) - 1
        red = (torch.arange(n)[:, None] + torch.arange(n)) % 2 == 0
        Bs = [lambda r, m=m, D=4 * (n + 1) ** 2: m * r / D for m in (red, ~red)]
        levels[k] = ConvLevel(level.A, Bs, level.R, None, level.P, Bs_up=None if mirrored else Bs)
    return levels


@pytest.mark.parametrize("gamma", [1, 2])
def test_cycle_is_symmetric_where_the_way_up_mirrors_the_way_down(gamma):
    f, g = random_field(2, 1, 15), random_field(2, 1, 15)

    def asymmetry(mirrored: bool) -> float:
        levels = red_black(poisson(15, 2), mirrored)
        Mf, Mg = cycle(levels, None, f, gamma), cycle(levels, None, g, gamma)
        return (((Mf * g).sum() - (f * Mg).sum()).abs() / (Mf * f).sum()).item()

    assert asymmetry(mirrored=True) < 1e-13
    assert asymmetry(mirrored=False) > 1e-4


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_linear_cycles_do_not_depend_on_Pi(ndim, gamma):
    levels, u, f = poisson(7, ndim), random_field(ndim, 1, 7), random_field(ndim, 1, 7)
    results = []
    for line in (None, [0.0, 1.0, 0.0], [0.7, -2.0, 1.1]):
        for level in levels[:-1]:
            level.Pi = None if line is None else convolution(outer(*[line] * ndim), stride=2, padding=0)
        results.append(cycle(levels, u, f, gamma))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-11, atol=1e-13)


def test_nonlinear_cycles_do_depend_on_Pi():
    levels = random_levels(2, WIDTHS, nn.ReLU())
    for level in levels:
        level.A = Curved(level.A)
    u, f = random_field(2, 3, 9), random_field(2, 2, 9)
    with_Pi = cycle(levels, u, f)
    for level in levels:
        level.Pi = None
    assert (cycle(levels, u, f) - with_Pi).abs().max() > 1e-3


class Recorder:
    """A level that only writes down which verb was called on which grid."""

    def __init__(self, l: int, calls: list[tuple[str, int]]):
        self.l, self.calls = l, calls

    def smooth(self, u, f):
        self.calls.append(("smooth", self.l))

    def down(self, u, f, coarse):
        self.calls.append(("down", self.l))
        return None, None, None

    def up(self, u, f, before, after):
        self.calls.append(("up", self.l))


def calls_of_a_cycle(depth: int, gamma: int | str) -> list[tuple[str, int]]:
    calls: list[tuple[str, int]] = []
    levels = [Recorder(l, calls) for l in range(depth)]
    assert all(isinstance(level, Level) for level in levels)
    cycle(levels, None, None, gamma)
    return calls


@pytest.mark.parametrize(
    ("gamma", "order"), [(1, "0123210"), (2, "012323212323210"), ("F", "0123232123210")], ids=["V", "W", "F"]
)
def test_cycles_visit_the_grids_in_the_textbooks_order(gamma, order):
    grids = [l for _, l in calls_of_a_cycle(4, gamma)]
    assert "".join(str(l) for l, _ in groupby(grids)) == order


@given(depth=st.integers(2, 6), gamma=st.integers(1, 3))
def test_grid_l_is_entered_gamma_to_the_l_times(depth, gamma):
    calls = calls_of_a_cycle(depth, gamma)
    assert calls.count(("smooth", depth - 1)) == gamma ** (depth - 2)  # solved, not cycled
    for l in range(depth - 1):
        assert calls.count(("down", l)) == calls.count(("up", l)) == gamma**l


@given(depth=st.integers(2, 6))
def test_an_F_cycle_enters_grid_l_l_plus_one_times(depth):
    calls = calls_of_a_cycle(depth, "F")
    assert [calls.count(("down", l)) for l in range(depth - 1)] == list(range(1, depth))


def test_full_multigrid_is_nested_iteration():
    levels = poisson(7, 2)
    fs = [random_field(2, 1, n) for n in (7, 3, 1)]
    P = [level.P for level in levels]
    u = levels[2].smooth(None, fs[2])
    u = cycle(levels[1:], P[1](u), fs[1])
    u = cycle(levels, P[0](u), fs[0])
    assert torch.equal(full_multigrid(levels, fs, lambda l, v: P[l](v)), u)


def cubic(v: torch.Tensor) -> torch.Tensor:
    """Interpolation of order 4 on nodes with zero ends, extended as an odd function."""
    zero = torch.zeros_like(v[..., :1])
    w = torch.cat([-v[..., :1], zero, v, zero, -v[..., -1:]], -1)
    between = (9 * (w[..., 1:-2] + w[..., 2:-1]) - w[..., :-3] - w[..., 3:]) / 16
    return torch.cat([torch.stack([between[..., :-1], v], -1).flatten(-2), between[..., -1:]], -1)


def test_full_multigrid_reaches_the_discretisation_error():
    """-u'' = f, u = sin(3 pi x): one pass ends closer to the discrete solution than that is to u."""
    n, levels = 127, poisson(127, 1)
    sines = [
        torch.sin(3 * torch.pi * torch.arange(1, m, dtype=torch.float64) / m)[None, None]
        for m in (128, 64, 32, 16, 8, 4, 2)
    ]
    fs = [(3 * torch.pi) ** 2 * sine for sine in sines]
    A = levels[0].A(torch.eye(n, dtype=torch.float64)[:, None])[:, 0]
    discrete = torch.linalg.solve(A, fs[0][0, 0])[None, None]
    u = full_multigrid(levels, fs, lambda l, v: cubic(v))
    assert (u - discrete).abs().max() < 0.5 * (discrete - sines[0]).abs().max()
