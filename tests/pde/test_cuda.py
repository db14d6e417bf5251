"""Every verb of a level in Triton equals the readable level's, and so do cycles and full multigrid.

Over boundary kinds, centrings, two and three dimensions, odd, even, semicoarsened and non-nested sizes, both
precisions, batches and every smoother, from all sources a verb can start from. Where there is no GPU the
kernels run in Triton's interpreter (``conftest.py``), so grids are small; shapes take several tiles all the same.
"""

import numpy as np
import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")

from mgnet.core import cycle
from mgnet.pde import Grid
from mgnet.pde.cuda.hierarchy import CudaHierarchy
from mgnet.pde.cuda.level import CudaDirectLevel, CudaLevel, Interpolant, inner
from mgnet.pde.cuda.tables import described
from mgnet.pde.levels.constant import lowest, readable_levels
from mgnet.pde.levels.direct import DirectLevel
from mgnet.pde.levels.grids import grids
from mgnet.pde.levels.smoothers import steps
from tests.pde.grids_and_data import random
from tests.pde.test_twins import nested_iteration
from tests.pde.triton_loops import loops  # noqa: F401

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 2e-4)]
# shape, a, bc, centring, smoother, nu, batch
CASES = [
    ((17, 30), (1.0, 1.0), ["dirichlet", "dirichlet"], "node", "chebyshev", (2, 2), 1),
    ((8, 45), (1.0, 1.0), ["neumann", "periodic"], "node", "chebyshev", (2, 2), 1),
    ((12, 13), (1.0, 2.0), ["periodic", ("dirichlet", "neumann")], "node", "chebyshev", (1, 2), 2),
    ((11, 10), (1.0, 1.0), ["neumann", "dirichlet"], "cell", "chebyshev", (2, 2), 1),
    ((10, 14), (1.0, 1.0), [("neumann", "dirichlet"), "neumann"], "cell", "jacobi", (2, 1), 1),
    ((16, 12), (1.0, 0.01), ["neumann", "neumann"], "node", "jacobi", (0, 2), 1),
    ((12, 17), (0.01, 1.0), ["dirichlet", "periodic"], "node", "chebyshev", (1, 1), 1),
    ((11, 14), (1.0, 1.0), ["neumann", "dirichlet"], "node", "red-black", (1, 1), 1),
    ((6, 7, 8), (1.0, 1.0, 1.0), ["dirichlet", "neumann", "periodic"], "node", "chebyshev", (2, 2), 1),
    ((5, 20, 4), (1.0, 1.0, 0.01), ["periodic", "dirichlet", "neumann"], "cell", "jacobi", (1, 1), 1),
]


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / (theirs.abs().max() or 1.0))


class Pair:
    """A level in Triton and its twin, with random data."""

    def __init__(self, shape, a, bc, centering, smoother, nu, batch, dtype):
        grid = Grid(shape, bc=bc, centering=centering)
        chain = grids(grid.axes, a, 10)[:2]
        like = torch.zeros((), dtype=dtype, device=DEVICE)
        levels, (self.transfer,) = readable_levels(chain, a, 0.3, like, smoother, nu)
        both = steps(smoother, nu, grid.ndim, False, lowest(grid.axes, a, 0.3))
        self.plain = levels[0]
        one = None if smoother == "red-black" else inner(grid.axes, a, 0.3)
        self.fused = CudaLevel(described(self.transfer, a, 0.3), one, both, like, batch)
        coarse = [axis.n for axis in chain[1]]
        self.u, self.f, self.e = (
            torch.as_tensor(random((batch, *s), k)).to(like) for k, s in enumerate((shape, shape, coarse))
        )

    def errors(self):
        for u in (None, self.u):
            v, _, f_c = self.fused.down(u, self.f, None)
            v_plain, _, f_c_plain = self.plain.down(u, self.f, None)
            yield "down u", relative(v, v_plain)
            yield "down f_c", relative(f_c, f_c_plain)
            yield "up", relative(self.fused.up(u, self.f, None, self.e), self.plain.up(u, self.f, None, self.e))
        yield "smooth", relative(self.fused.smooth(self.u, self.f), self.plain.smooth(self.u, self.f))
        yield from self.interpolant_errors()
        yield from self.measured_errors()

    def interpolant_errors(self):
        """Q e, restricted without a sweep, and corrected; R alone."""
        q, R_f = self.transfer.Q(self.e), self.transfer.R(self.f)
        guess = Interpolant(self.e, R_f)
        yield "down Q", relative(self.fused.down(guess, self.f, None)[2], self.transfer.R(self.f - self.plain.A(q)))
        yield "up Q", relative(self.fused.up(guess, self.f, None, self.e), self.plain.up(q, self.f, None, self.e))
        yield "R", relative(self.fused.restrict(self.f, torch.empty_like(self.e)), R_f)

    def measured_errors(self):
        """The way up and the next way down at once; the residual's norm and restriction are left behind."""
        self.fused.measure = True
        ours = self.fused.up(self.u, self.f, None, self.e)
        theirs = self.plain.smooth(self.plain.up(self.u, self.f, None, self.e), self.f)
        r = self.f - self.plain.A(theirs)
        yield "measured up", relative(ours, theirs)
        yield "measured norm", relative(self.fused.squares(), (r**2).flatten(1).sum(1))
        yield "measured down", relative(self.fused.down(ours, self.f, None)[2], self.transfer.R(r))
        self.fused.omega = 1.25
        for begun in (self.u, ours.clone(), ours):  # the last is a workspace
            relaxed = begun + 1.25 * (self.plain.smooth(self.plain.up(begun, self.f, None, self.e), self.f) - begun)
            again = self.fused.up(begun, self.f, None, self.e)
            r = self.f - self.plain.A(relaxed)
            yield "relaxed up", relative(again, relaxed)
            yield "relaxed norm", relative(self.fused.squares(), (r**2).flatten(1).sum(1))
            yield "relaxed down", relative(self.fused.down(again, self.f, None)[2], self.transfer.R(r))
            self.fused.release(again)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_verbs(case):
    dtype, tolerance = PRECISIONS[CASES.index(case) % 4 == 3]
    wrong = [(verb, error) for verb, error in Pair(*case, dtype).errors() if not error <= tolerance]
    assert not wrong


@pytest.mark.parametrize(("shape", "bc"), [((6, 7), "neumann"), ((4, 5, 3), ["periodic", "dirichlet", "neumann"])])
def test_direct_solve(shape, bc):
    axes, a = Grid(shape, bc=bc).axes, (1.0, 2.0, 0.5)[: len(shape)]
    f = torch.as_tensor(random((2, *shape))).to(DEVICE)
    theirs = DirectLevel(axes, a, 0.0, f).smooth(None, f)
    assert relative(CudaDirectLevel(axes, a, 0.0, f).smooth(None, f), theirs) < 1e-13


@pytest.mark.parametrize(
    ("shape", "gamma", "bc"),
    [((16, 19), 1, ["neumann", "dirichlet"]), ((12, 11), 2, "dirichlet"), ((6, 7, 6), "F", "dirichlet")],
    ids=str,
)
def test_cycles_and_full_multigrid(shape, gamma, bc):
    """Twice each: workspaces are used again, and on a GPU the second time is a replay."""
    grid, a = Grid(shape, bc=bc), (1.0,) * len(shape)
    chain = grids(grid.axes, a, 2 * len(shape) ** 4)
    assert len(chain) >= 3
    u, f = (torch.as_tensor(random((1, *shape), k)).to(DEVICE) for k in (1, 2))
    levels, transfers = readable_levels(chain, a, 0.0, f, "chebyshev", (2, 1))
    ours = CudaHierarchy(chain, a, 0.0, f.new_zeros(()), 1, "chebyshev", (2, 1), gamma, False)
    fs = [f]
    for transfer in transfers:
        fs.append(transfer.R(fs[-1]))
    for k in (1, 2):
        v = ours.release(ours.cycle(u, k * f, measure=False))
        assert relative(v, cycle(levels, u, k * f, gamma)) < 1e-12
        v = ours.release(ours.full_multigrid(k * f, measure=False))
        assert relative(v, k * nested_iteration(levels, transfers, fs, gamma)) < 1e-12


def test_measured_cycles():
    """They converge, and their norms are those of the residual."""
    grid, a = Grid((15, 18), bc=["dirichlet", "neumann"]), (1.0, 1.0)
    chain = grids(grid.axes, a, 200)
    f = torch.as_tensor(random((1, 15, 18))).to(DEVICE)
    levels, _ = readable_levels(chain, a, 0.0, f)
    ours = CudaHierarchy(chain, a, 0.0, f.new_zeros(()), 1, "chebyshev", (2, 2), 1, False)
    norms, u = [float(ours.norms(None, f))], ours.full_multigrid(f)
    for _ in range(3):
        norms.append(float(ours.measured()))
        assert np.isclose(norms[-1], float(torch.linalg.vector_norm(f - levels[0].A(u))), rtol=1e-10)
        u = ours.cycle(u, f)
    assert norms[-1] < 1e-3 * norms[0]
