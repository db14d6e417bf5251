"""Every verb of a compiled level equals the readable level's.

Over boundary kinds, centrings, 1-, 2- and 3-D, odd, even and semicoarsened sizes, both precisions, batches,
every smoother, and all sources a verb can start from (nothing, an iterate, an interpolant).
"""

import numpy as np
import pytest
import torch

from mgnet.core import ConvLevel, cycle
from mgnet.pde import Grid
from mgnet.pde.levels.constant import lowest, readable_levels
from mgnet.pde.levels.grids import grids
from mgnet.pde.levels.smoothers import steps
from tests.pde.grids_and_data import CENTERINGS, ENDS, SMOOTHERS, random
from tests.pde.native_levels import Interpolant, NativeLevel

CASES = [
    ((65, 70), (1.0, 1.0)),
    ((64, 131), (1.0, 2.0)),
    ((63, 100), (0.01, 1.0)),
    ((100, 63), (1.0, 0.01)),
    ((20, 22, 25), (1.0, 1.0, 1.0)),
    ((16, 31, 30), (1.0, 1.0, 0.1)),
    ((301,), (1.0,)),
]
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 2e-4)]
BATCH = 2


def relative(ours, theirs):
    theirs = theirs.numpy().reshape(ours.shape)
    return abs(ours - theirs).max() / (abs(theirs).max() or 1.0)


class Pair:
    """A fused level and its twin, with random data in the format of each."""

    def __init__(self, shape, a, bc, centering, smoother, dtype, nu=(2, 2)):
        grid = Grid(shape, bc=bc, centering=centering)
        self.chain = grids(grid.axes, a, 100)[:2]
        assert len(self.chain) == 2
        like = torch.zeros((), dtype=dtype)
        levels, (self.transfer,) = readable_levels(self.chain, a, 0.3, like, smoother, nu)
        numpy_dtype = np.dtype(np.float64 if dtype == torch.float64 else np.float32)
        both = steps(smoother, nu, grid.ndim, False, lowest(self.chain[0], a, 0.3))
        self.plain, self.fused = levels[0], NativeLevel(self.transfer, a, 0.3, both, numpy_dtype, BATCH)
        coarse = [axis.n for axis in self.chain[1]]
        self.u, self.f, self.e = (
            torch.as_tensor(random((BATCH, *s), k)).to(dtype) for k, s in enumerate((shape, shape, coarse))
        )
        self.dtype = numpy_dtype

    def fine(self, v):
        return None if v is None else v.numpy().reshape(self.fused.shape)

    def coarse(self, v):
        return v.numpy().reshape(self.fused.coarse_shape)

    def errors(self):
        for u in (None, self.u):
            v, f = self.fine(u), self.fine(self.f)
            u_plain, _, f_c = self.plain.down(u, self.f, None)
            u_fused, _, g_c = self.fused.down(v, f, None)
            yield "down u", relative(np.zeros_like(f) if u_fused is None else u_fused, u_plain)
            yield "down f_c", relative(g_c, f_c)
            yield "up", relative(self.fused.up(v, f, None, self.coarse(self.e)), self.plain.up(u, self.f, None, self.e))
            yield "smooth", relative(self.fused.smooth(v, f), self.plain.smooth(u, self.f))
        yield from self.interpolant_errors()

    def interpolant_errors(self):
        """Q e, restricted without a sweep and corrected; the residual's norm; R alone."""
        q, f = self.transfer.Q(self.e), self.fine(self.f)
        guess = Interpolant(self.coarse(self.e), self.coarse(self.transfer.R(self.f)))
        r = self.f - self.plain.A(q)
        yield "down Q", relative(self.fused.down(guess, f, None)[2], self.transfer.R(r))
        yield (
            "up Q",
            relative(self.fused.up(guess, f, None, self.coarse(self.e)), self.plain.up(q, self.f, None, self.e)),
        )
        squares = ((self.f - self.plain.A(self.u)) ** 2).flatten(1).sum(1)
        yield "norm", relative(self.fused.residuals(self.fine(self.u), f), squares)
        out = np.empty(self.fused.coarse_shape, self.dtype)
        yield "R", relative(self.fused.restrict(f, out), self.transfer.R(self.f))


def assert_equal(pair, tolerance):
    wrong = [(verb, error) for verb, error in pair.errors() if not error <= tolerance]
    assert not wrong


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["f64", "f32"])
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize(("shape", "a"), CASES, ids=str)
def test_verbs(shape, a, ends, centering, dtype, tolerance):
    """The kind of end in question on the first axis, then on the last, which the kernel treats apart."""
    others = ["neumann"] * (len(shape) - 1)
    for bc in ([ends, *others], [*others, ends])[: len(shape)]:
        assert_equal(Pair(shape, a, bc, centering, "chebyshev", dtype), tolerance)


@pytest.mark.parametrize("nu", [(1, 1), (0, 2), (3, 1)], ids=str)
@pytest.mark.parametrize("smoother", SMOOTHERS)
@pytest.mark.parametrize(("shape", "a"), [CASES[0], CASES[4], CASES[6]], ids=str)
def test_verbs_of_every_smoother(shape, a, smoother, nu):
    bc = ["periodic" if shape[0] % 2 == 0 else "dirichlet", "neumann", "dirichlet"][: len(shape)]
    assert_equal(Pair(shape, a, bc, "node", smoother, torch.float64, nu), 1e-12)


def nested_iteration(levels, transfers, fs, gamma):
    """Full multigrid whose cycles take no sweep on the interpolated iterate, which is smooth already."""
    u = levels[-1].smooth(None, fs[-1])
    for l in reversed(range(len(transfers))):
        A = levels[l]
        first = ConvLevel(A.A, [], A.R, None, A.P, A.Bs_up)
        u = cycle([first, *levels[l + 1 :]], transfers[l].Q(u), fs[l], gamma)
    return u
