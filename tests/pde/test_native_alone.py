"""Claims: a level alone is the first level of all, and its coarse operator that of the second; the steps of conjugate
gradients on the caller's fields are those of plain torch, and sums are over the planes that count."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox.hierarchy import choose_axes, coarsen, first_coarse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import excess, from_diffusion
from mgnet.pde.blackbox.traits import strengths
from mgnet.pde.native import four, kernels, machine
from tests.pde.blackbox_levels import field, plain

SHAPES = [((37, 52), "dirichlet", 1), ((36, 53), ["neumann", "periodic"], 2), ((11, 12, 13), "dirichlet", 1)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


class Alone:
    """A level of a random operator, as the kernels and as torch have it."""

    def __init__(self, shape, bc, members, counted=None):
        a = np.exp(np.random.default_rng(0).normal(size=(members, *shape)))
        A = Poisson(Grid(shape, bc=bc), a, 1.0).A.flattened((members,))
        self.A, self.shape, self.members = from_diffusion(A), shape, members
        self.unit, self.scale = self.A.unit()
        lines = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in A.axes]
        self.axes = choose_axes(strengths(self.unit), lines)
        self.coarse = coarsen(self.A, self.scale, self.axes, False)
        self.wraps, wraps = A.axes[-1].periodic, [axis.periodic for axis in A.axes]
        arrays = [(o, s.contiguous().numpy()) for o, s in self.A.couplings.items()]
        self.excess = excess(A)
        self.hierarchy = kernels.StencilHierarchy(
            machine(), False, shape, wraps, [line.first for line in lines], self.A.diagonal.contiguous().numpy(),
            arrays, self.excess.contiguous().numpy(), False, False, [0.5, 1.4], [1.4, 0.5], [], 1, True,
            [axis.halved for axis in self.axes],
        )  # fmt: skip
        self.kernels = kernels.BlackBox(machine(), self.hierarchy, False, 1, members, 1, counted)

    def field(self, v: torch.Tensor) -> np.ndarray:
        """With room behind it."""
        of = field(v, self.wraps, float)
        to = np.zeros(of.size + 64)[: of.size].reshape(of.shape)
        to[...] = of
        return to

    def four(self, v: torch.Tensor) -> np.ndarray:
        return v.numpy().reshape(self.members, *four(self.shape))


@pytest.mark.parametrize(("shape", "bc", "members"), SHAPES)
def test_the_coarse_operator(shape, bc, members):
    level = Alone(shape, bc, members)
    diagonal, couplings = level.hierarchy.coarse()
    expected = level.coarse.A
    np.testing.assert_allclose(diagonal, expected.diagonal, rtol=1e-12)
    for o, s in couplings:
        theirs = expected.couplings[tuple(o)].expand(expected.diagonal.shape)
        np.testing.assert_allclose(s, theirs, atol=1e-12 * float(expected.diagonal.max()), err_msg=str(o))
    with pytest.raises(ValueError, match="it has been taken"):
        level.hierarchy.coarse()


@pytest.mark.parametrize(("shape", "bc", "members"), SHAPES)
def test_the_verbs(shape, bc, members):
    level = Alone(shape, bc, members)
    P, coarse = level.coarse.P, tuple(axis.coarse for axis in level.axes)
    u, f, e = random(members, *shape, seed=1), random(members, *shape, seed=2), random(members, *coarse, seed=3)
    out, f_c = level.field(0 * u), level.field(0 * e)

    def stepped(v: torch.Tensor, omegas: tuple[float, ...]) -> torch.Tensor:
        for omega in omegas:
            v = v + omega * (f - level.unit(v))
        return v

    def same(found: np.ndarray, theirs: torch.Tensor) -> None:
        np.testing.assert_allclose(plain(found, theirs.shape[1:]), theirs, atol=1e-11)

    level.kernels.smooth(0, level.field(u), level.field(f), out, True)
    same(out, stepped(u, (1.4, 0.5)))
    level.kernels.restrict(0, level.field(f), f_c, level.field(u))
    same(f_c, P.R(f - level.unit(u)))
    level.kernels.interpolate(0, level.field(e), out, level.field(u))
    same(out, u + P.P(e))
    level.kernels.down(0, level.field(u), level.field(f), out, f_c)
    v = stepped(u, (0.5, 1.4))
    same(out, v)
    same(f_c, P.R(f - level.unit(v)))
    level.kernels.up(0, level.field(u), level.field(f), level.field(e), out)
    same(out, stepped(u + P.P(e), (1.4, 0.5)))
    with pytest.raises(ValueError, match="a level alone has no cycles"):
        level.kernels.begin(None, out)


@pytest.mark.parametrize("counted", [None, (3, 9)])
@pytest.mark.parametrize(("shape", "bc", "members"), SHAPES)
def test_steps_of_conjugate_gradients(shape, bc, members, counted):
    level = Alone(shape, bc, members, counted)
    x, b, z, p = (random(members, *shape, seed=seed) for seed in range(4))
    ones, planes = np.arange(1.0, members + 1), slice(*(counted or (0, shape[0])))
    each = torch.from_numpy(ones).reshape(-1, *[1] * len(shape))

    def sums(v: torch.Tensor) -> torch.Tensor:
        return v[:, planes].flatten(1).sum(1)

    np.testing.assert_allclose(level.kernels.dot(level.field(z), level.field(p)), sums(z * p), rtol=1e-12)
    turned = level.field(0 * p)
    energy = level.kernels.turn(level.field(z), level.field(p), ones, turned)
    q = z + each * p
    np.testing.assert_allclose(plain(turned, shape), q, atol=1e-12)
    np.testing.assert_allclose(energy, sums(q * level.unit(q)), rtol=1e-11)
    out, r = np.empty_like(level.four(x)), level.field(0 * p)
    squares, rp = level.kernels.move(level.four(x), level.field(p), ones, out, level.four(b), 1 / ones, r)
    y = x + each * level.scale * p
    left = b - level.A(y)
    np.testing.assert_allclose(out.reshape(y.shape), y, atol=1e-12)
    np.testing.assert_allclose(plain(r, shape), level.scale * left / each, atol=1e-9)
    np.testing.assert_allclose(squares, sums(left**2), rtol=1e-10)
    np.testing.assert_allclose(rp, sums(level.scale * left / each * p), rtol=1e-9, atol=1e-9)
    alone, _ = level.kernels.move(level.four(x), None, ones, None, level.four(b), ones, None)
    np.testing.assert_allclose(alone, sums((b - level.A(x)) ** 2), rtol=1e-10)
