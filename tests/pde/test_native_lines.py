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
from mgnet.pde.blackbox.lines import line_steps
from mgnet.pde.blackbox.stencil import shift
from mgnet.pde.native import kernels, machine, machines
from tests.pde.grids_and_data import random

SHAPES = [
    ((37, 52), "dirichlet"),
    ((36, 53), ["neumann", "periodic"]),
    ((53, 36), ["periodic", "dirichlet"]),
    ((45, 67), "periodic"),
    ((2, 70), "dirichlet"),
    ((90, 3), ["neumann", "periodic"]),
    ((3, 33), "periodic"),
    ((1, 40), "neumann"),
    ((18, 17, 24), "dirichlet"),
    ((13, 16, 11), ["periodic", "neumann", "periodic"]),
    ((12, 9, 13), ["dirichlet", "periodic", "periodic"]),
    ((5, 3, 7), "periodic"),
    ((70, 131), "dirichlet"),
    ((20, 18, 21), "neumann"),
]


def stencils(shape, bc, batch=(), c=0.3):
    """The unit-diagonal stencils of two grids: five (seven) points, and nine (twenty-seven)."""
    rng = np.random.default_rng(0)
    problem = Poisson(Grid(shape, bc=bc, centering="cell"), np.exp(rng.standard_normal((*batch, *shape))), c)
    grids, _ = coarse_operators(from_diffusion(problem.A), problem.grid.axes)
    return [grid.A for grid in grids[:2]]


def slots(ndim):
    """Where the axes of a grid lie among (planes, rows, columns)."""
    return {1: (2,), 2: (0, 2), 3: (0, 1, 2)}[ndim]


def wraps(A, bc):
    bcs = [bc] * A.ndim if isinstance(bc, str) else bc
    out = [False] * 3
    for d, end in zip(slots(A.ndim), bcs, strict=True):
        out[d] = end == "periodic"
    return out


def three(shape):
    return (1, 1, *shape)[-3:] if len(shape) != 2 else (shape[0], 1, shape[1])


class Lines:
    """Compiled line smoothing of a stencil along its axes ``lines``."""

    def __init__(self, A: Stencil, bc, lines, dtype=torch.float64, on=None, batch=1, threads=1):
        S = torch.stack([A.couplings[o] for o in sorted(A.couplings)]).double()
        S = S.reshape(len(S), len(A.diagonal), *three(A.shape)).numpy()
        single, at = dtype == torch.float32, [slots(A.ndim)[d] for d in lines]
        self.kernels = kernels.Lines(on or machine(), single, wraps(A, bc), np.ascontiguousarray(S), at, batch, threads)

    def sweep(self, u, f, reverse=False, sweeps=1):
        out = np.full(f.shape, np.nan) if u is None else np.array(u, dtype=float)
        self.kernels.sweep(reverse, u is None, sweeps, np.ascontiguousarray(f, dtype=float), out)
        return out


def readable(A, lines, u, f, reverse=False):
    """The same in torch: u <- u + B (f - A u) for the B of each colour."""
    u, f = torch.as_tensor(u), torch.as_tensor(f)
    Bs = [B for d in lines for B in line_steps(A, d)]
    for B in Bs[::-1] if reverse else Bs:
        u = u + B(f - A(u))
    return u.numpy()


def compare(A, bc, lines, tolerance=1e-12, **options):
    batch = options.get("batch", 1)
    u, f = (random((batch, *A.shape), seed) for seed in (1, 2))
    native = Lines(A, bc, lines, **options)
    for begin in (u, None):
        for reverse in (False, True):
            plain = readable(A, lines, np.zeros_like(f) if begin is None else begin, f, reverse)
            ours = native.sweep(begin, f, reverse)
            assert np.abs(ours - plain).max() <= tolerance * np.abs(plain).max()


@pytest.mark.parametrize(("shape", "bc"), SHAPES, ids=str)
def test_equals_the_readable_sweep_along_each_axis(shape, bc):
    for A in stencils(shape, bc):
        for d in range(A.ndim):
            compare(A, bc, [d])
        compare(A, bc, list(range(A.ndim)))


@pytest.mark.parametrize("on", machines())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "bc"), [SHAPES[3], SHAPES[1], SHAPES[9], SHAPES[8]], ids=str)
def test_every_instruction_set_and_precision(shape, bc, dtype, on):
    for A in stencils(shape, bc):
        compare(A, bc, list(range(A.ndim)), 1e-12 if dtype == torch.float64 else 2e-4, dtype=dtype, on=on)


@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize(("shape", "bc"), [((37, 41), "periodic"), ((12, 9, 13), "dirichlet")])
def test_members_of_a_batch(shape, bc, members):
    for A in stencils(shape, bc, members):
        compare(A, bc, list(range(A.ndim)), batch=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("shape", "bc"), [((90, 210), "dirichlet"), ((91, 141), "periodic"), SHAPES[9], SHAPES[-1]])
def test_threads_give_equal_bits(shape, bc, dtype):
    for A in stencils(shape, bc):
        u, f = (random((1, *A.shape), seed) for seed in (1, 2))
        one, *others = (Lines(A, bc, list(range(A.ndim)), dtype, threads=threads) for threads in (1, 2, 3))
        for begin in (u, None):
            for reverse in (False, True):
                first = one.sweep(begin, f, reverse)
                for other in others:
                    np.testing.assert_array_equal(other.sweep(begin, f, reverse), first)


@pytest.mark.parametrize(("shape", "bc"), [((40, 30), "periodic"), ((41, 33), "periodic"), ((20, 14, 9), "neumann")])
def test_down_then_up_is_symmetric(shape, bc):
    """The inverse that a sweep and its reverse approximate is a symmetric one."""
    for A in stencils(shape, bc):
        lines, (v, w) = Lines(A, bc, list(range(A.ndim))), random((2, 1, *A.shape), 3)
        Bv, Bw = (lines.sweep(lines.sweep(None, f), f, True) for f in (v, w))
        assert (v * Bw).sum() == pytest.approx((w * Bv).sum(), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bc", ["neumann", "periodic"])
@pytest.mark.parametrize("d", [0, 1])
def test_lines_that_nothing_holds(d, bc, dtype):
    """Uncoupled rings and lines without flux: singular one by one."""
    shape = (37, 37)
    s = from_diffusion(Poisson(Grid(shape, bc=bc, centering="cell"), np.exp(random(shape))).A).couplings
    along, other = (int(d == 0), int(d == 1)), (int(d == 1), int(d == 0))
    alone = {along: s[along], other: torch.zeros_like(s[other])}
    A, _ = Stencil(s[along] + shift(s[along], [-step for step in along]), alone).unit()
    v = torch.as_tensor(random((1, *shape), 4))
    f = A(v)
    u = torch.as_tensor(Lines(A, bc, [d], dtype).sweep(None, f.numpy()))
    assert torch.isfinite(u).all()
    assert (f - A(u)).abs().max() <= (1e-10 if dtype == torch.float64 else 1e-3)


def test_what_lies_outside_a_mask_is_its_datum():
    mask = np.random.default_rng(0).random((40, 41)) > 0.3
    problem = Poisson(Grid(mask.shape, bc="neumann"), c=1.0, mask=mask, mask_bc="neumann")
    A, _ = from_diffusion(problem.A).unit()
    f = random((1, *mask.shape), 5)
    u = Lines(A, "neumann", [0, 1]).sweep(None, f)
    assert np.isfinite(u).all()
    assert (u[0][~A.coupled[0].numpy()] == f[0][~A.coupled[0].numpy()]).all()


def test_wrong_arguments_are_refused():
    S, ok = np.zeros((2, 1, 4, 1, 5)), [False] * 3
    for bad in (np.zeros((5, 1, 4, 1, 5)), np.zeros((2, 2, 4, 1, 5)), np.zeros((2, 4, 1, 5))):
        with pytest.raises(ValueError, match="`S`"):
            kernels.Lines(machine(), False, ok, bad, [0], 1, 1)
    with pytest.raises(ValueError, match="`lines`"):
        kernels.Lines(machine(), False, ok, S, [3], 1, 1)
    with pytest.raises(ValueError, match="`threads`"):
        kernels.Lines(machine(), False, ok, S, [0], 1, 0)
    with pytest.raises(ValueError, match="`f` and `u`"):
        kernels.Lines(machine(), False, ok, S, [0], 1, 1).sweep(False, False, 1, np.zeros(19), np.zeros(20))
