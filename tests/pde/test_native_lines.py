"""Claims: compiled line smoothing is the readable one, colour by colour, on every stencil, grid and instruction set.

- every kind of stencil in two and three dimensions, ends of all kinds, odd rings, lines shorter than a vector;
- members of a batch, float32 and float64, down and up, from zero without reading it;
- any number of threads gives equal bits;
- a line that nothing holds gives numbers, and what is solved along it stays solved.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import Stencil, coarse_operators, from_diffusion
from mgnet.pde.blackbox.hierarchy import first_coarse
from mgnet.pde.blackbox.lines import line_steps
from mgnet.pde.blackbox.stencil import shift
from mgnet.pde.native import kernels, machine, machines
from tests.pde.blackbox_levels import field, plain, with_room
from tests.pde.grids_and_data import random

SHAPES = [
    ((37, 52), "dirichlet"),
    ((36, 53), ["neumann", "periodic"]),
    ((53, 36), ["periodic", "dirichlet"]),
    ((45, 67), "periodic"),
    ((2, 70), "dirichlet"),
    ((90, 3), ["neumann", "periodic"]),
    ((3, 53), "periodic"),
    ((18, 17, 24), "dirichlet"),
    ((13, 16, 11), ["periodic", "neumann", "periodic"]),
    ((12, 9, 13), ["dirichlet", "periodic", "periodic"]),
    ((5, 3, 7), "periodic"),
    ((70, 131), "dirichlet"),
    ((90, 2), "dirichlet"),
    ((9, 17, 9), "neumann"),
    ((20, 18, 21), "neumann"),
]


def stencils(shape, bc, batch=(), c=0.3):
    """The unit-diagonal stencils of two grids: five (seven) points, and nine (twenty-seven)."""
    rng = np.random.default_rng(0)
    problem = Poisson(Grid(shape, bc=bc, centering="cell"), np.exp(rng.standard_normal((*batch, *shape))), c)
    stencil = from_diffusion(problem.A)
    return problem.grid.axes, stencil


class Lines:
    """Compiled line smoothing on the grids of a stencil along axes ``lines``, by the verbs of the cycles."""

    def __init__(self, axes, A: Stencil, lines, dtype=torch.float64, on=None, batch=1, threads=1):
        self.kind, self.wraps = (np.float32 if dtype == torch.float32 else np.float64), axes[-1].periodic
        self.levels = kernels.StencilHierarchy(
            on or machine(), dtype == torch.float32, A.shape, [axis.periodic for axis in axes],
            [first_coarse(axis) for axis in axes], A.diagonal.contiguous().numpy(),
            [(o, s.contiguous().numpy()) for o, s in A.couplings.items()], None, not bool(A.coupled.all()), False,
            [1.0], [1.0], lines, threads,
        )  # fmt: skip
        if (dense := self.levels.coarsest()["dense"]) is not None:
            self.levels.set_inverse(np.zeros(dense.shape))  # never asked for here
        self.cycles = kernels.BlackBox(on or machine(), self.levels, False, 1, batch, threads)

    def sweep(self, u, f, reverse=False, l=0):
        """From u, or from zero; reverse: the way up, which begins with u + P 0."""
        to = field(torch.as_tensor(f), self.wraps, self.kind)
        out = np.full_like(to, np.nan)
        if not reverse:
            self.cycles.smooth(l, None if u is None else field(torch.as_tensor(u), self.wraps, self.kind), to, out)
        else:
            e = self._zero(l + 1, len(f))
            self.cycles.up(l, field(torch.as_tensor(0 * f if u is None else u), self.wraps, self.kind), to, e, out)
        return plain(out, f.shape[1:]).numpy()

    def _zero(self, l, batch):
        of = self.levels.level(l) if l < len(self.levels) else self.levels.coarsest()
        n0, n1, n2 = of["n"]
        stride = field(torch.zeros(1, n2), False, float).shape[-1]
        return with_room((batch, n0 * n1, stride), 0.0, self.kind)


def readable(A, lines, u, f, reverse=False):
    """The same in torch: u <- u + B (f - A u) for the B of each colour."""
    u, f = torch.as_tensor(u), torch.as_tensor(f)
    Bs = [B for d in lines for B in line_steps(A, d)]
    for B in Bs[::-1] if reverse else Bs:
        u = u + B(f - A(u))
    return u.numpy()


def compare(shape, bc, lines, tolerance=1e-12, members=(), batch=1, **options):
    """On the finest grid and the one below."""
    axes, A = stencils(shape, bc, members)
    grids, _ = coarse_operators(A, axes, lines)
    native = Lines(axes, A, lines, batch=batch, **options)
    assert len(native.levels) == len(grids) - 1 >= 1
    for l, grid in enumerate(grids[:-1][:2]):
        u, f = (random((batch, *grid.A.shape), seed) for seed in (1, 2))
        for begin in (u, None):
            for reverse in (False, True):
                theirs = readable(grid.A, lines, np.zeros_like(f) if begin is None else begin, f, reverse)
                ours = native.sweep(begin, f, reverse, l)
                assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize(("shape", "bc"), SHAPES, ids=str)
def test_equals_the_readable_sweep_along_each_axis(shape, bc):
    for d in range(len(shape)):
        compare(shape, bc, [d])
    compare(shape, bc, list(range(len(shape))))


@pytest.mark.parametrize("on", machines())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "bc"), [SHAPES[3], SHAPES[1], SHAPES[9], SHAPES[8]], ids=str)
def test_every_instruction_set_and_precision(shape, bc, dtype, on):
    compare(shape, bc, list(range(len(shape))), 1e-12 if dtype == torch.float64 else 2e-4, dtype=dtype, on=on)


@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize(("shape", "bc"), [((37, 41), "periodic"), ((12, 9, 13), "dirichlet")])
def test_members_of_a_batch(shape, bc, members):
    compare(shape, bc, list(range(len(shape))), members=members, batch=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "bc"), [((90, 210), "dirichlet"), ((91, 141), "periodic"), SHAPES[9], SHAPES[-1]])
def test_threads_give_equal_bits(shape, bc, dtype):
    (axes, A), f = stencils(shape, bc), random((1, *shape), 2)
    one, *others = (Lines(axes, A, list(range(len(shape))), dtype, threads=threads) for threads in (1, 2, 3))
    for begin in (random((1, *shape), 1), None):
        for reverse in (False, True):
            first = one.sweep(begin, f, reverse)
            for other in others:
                np.testing.assert_array_equal(other.sweep(begin, f, reverse), first)


def test_lines_so_long_that_tiles_are_narrow():
    """Three tiles, by one thread and by a thread each."""
    (axes, A), f = stencils((32800, 70), "neumann"), random((1, 32800, 70), 2)
    together, apart = (Lines(axes, A, [0], threads=threads).sweep(None, f, True) for threads in (1, 3))
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize(("shape", "bc"), [((40, 30), "periodic"), ((41, 33), "periodic"), ((20, 14, 9), "neumann")])
def test_down_then_up_is_symmetric(shape, bc):
    """The inverse that a sweep and its reverse approximate is a symmetric one."""
    lines, (v, w) = Lines(*stencils(shape, bc), list(range(len(shape)))), random((2, 1, *shape), 3)
    Bv, Bw = (lines.sweep(lines.sweep(None, f), f, True) for f in (v, w))
    assert (v * Bw).sum() == pytest.approx((w * Bv).sum(), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bc", ["neumann", "periodic"])
@pytest.mark.parametrize("d", [0, 1])
def test_lines_that_nothing_holds(d, bc, dtype):
    """Uncoupled rings and lines without flux: singular one by one."""
    shape = (37, 37)
    problem = Poisson(Grid(shape, bc=bc, centering="cell"), np.exp(random(shape)))
    s = from_diffusion(problem.A).couplings
    along, other = (int(d == 0), int(d == 1)), (int(d == 1), int(d == 0))
    alone = {along: s[along], other: torch.zeros_like(s[other])}
    A = Stencil(s[along] + shift(s[along], [-step for step in along]), alone)
    unit, _ = A.unit()
    f = unit(torch.as_tensor(random((1, *shape), 4)))
    u = torch.as_tensor(Lines(problem.grid.axes, A, [d], dtype).sweep(None, f.numpy())).double()
    assert torch.isfinite(u).all()
    assert (f - unit(u)).abs().max() <= (1e-10 if dtype == torch.float64 else 1e-3)


def test_what_lies_outside_a_mask_is_its_datum():
    mask = np.random.default_rng(0).random((40, 41)) > 0.3
    problem = Poisson(Grid(mask.shape, bc="neumann"), c=1.0, mask=mask, mask_bc="neumann")
    A = from_diffusion(problem.A)
    f = random((1, *mask.shape), 5)
    u = Lines(problem.grid.axes, A, [0, 1]).sweep(None, f)
    assert np.isfinite(u).all()
    assert (u[0][~A.coupled[0].numpy()] == f[0][~A.coupled[0].numpy()]).all()
