"""Passes over windows of shared grids: Triton's, the compiled kernels' and plain torch's are the same on the block.

Over windows in the middle, at an end, across a period and whole axes beside them, in two and three dimensions, from
all sources and for all ways. Where there is no GPU Triton's kernels run in its interpreter, so grids are small.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mgnet.pde import Grid, Poisson, Robin
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion
from mgnet.pde.distributed.native import NativePasses
from mgnet.pde.distributed.passes import BOTH, DATUM, DOWN, NONE, UP, Windows, owned, windows_of
from mgnet.pde.distributed.plain import PlainPasses
from mgnet.pde.distributed.stencils import How
from mgnet.pde.distributed.torch_stencils import TorchStencils
from mgnet.pde.distributed.window import Window, coarse_ends, windows
from mgnet.pde.levels.grids import grids
from mgnet.pde.levels.transfers import Transfer
from tests.pde.grids_and_data import random
from tests.pde.triton_loops import loops  # noqa: F401

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
REACH = 4
# shape, a, bc, centring, smoother, nu, cuts of each axis, place of the block
CASES: dict[str, tuple[Any, ...]] = {
    "the middle": ((40, 13), (1.0, 1.0), "dirichlet", "node", "chebyshev", (1, 1), ((0, 14, 27, 40), (0, 13)), (1, 0)),
    "the end, cells": ((31, 14), (1.0, 1.0), "neumann", "cell", "jacobi", (1, 1), ((0, 14, 31), (0, 14)), (1, 0)),
    "across a period": (
        (16, 40), (1.0, 1.0), ["neumann", "periodic"], "node", "chebyshev", (1, 1), ((0, 16), (0, 13, 40)), (0, 0)
    ),
    "a corner, one axis coarsened": (
        (36, 32), (1.0, 0.01), ["periodic", "dirichlet"], "node", "chebyshev", (1, 1), ((0, 18, 36), (0, 17, 32)),
        (1, 1),
    ),
    "red-black": ((36, 12), (1.0, 1.0), ["neumann", "periodic"], "node", "red-black", (1, 1), ((0, 17, 36), (0, 12)),
                  (1, 0)),
    "space": (
        (5, 20, 4), (1.0, 1.0, 1.0), ["dirichlet", "neumann", "periodic"], "node", "chebyshev", (1, 1),
        ((0, 5), (0, 10, 20), (0, 4)), (0, 1),
    ),
}  # fmt: skip
ROBIN = ((36, 12), (1.0, 1.0), (Robin(2.0), "neumann"), "cell", "chebyshev", (1, 1), ((0, 17, 36), (0, 12)), (0, 0))


def asked_of(case: Sequence[Any], like: torch.Tensor) -> Windows:
    """Two windows, of a grid and of the next coarser."""
    shape, a, bc, centering, smoother, nu, cuts, place = case
    chain = grids(Grid(shape, bc=bc, centering=centering).axes, a, 10)[:2]
    halo = (2 if smoother == "red-black" else 1) * sum(nu) + REACH
    Rs = Transfer(*chain).tables[2]
    coarse = tuple(e if R is None else coarse_ends(R, e) for R, e in zip(Rs, cuts, strict=True))
    place = (*place, *[0] * (len(shape) - len(place)))
    each = [windows(axes, ends, place, halo) for axes, ends in zip(chain, (cuts, coarse), strict=True)]
    return windows_of(chain, each, a, 0.3, (smoother, nu), like, 1)


def data(asked: Windows) -> list[torch.Tensor]:
    """u, f and e, the last on the coarse window."""
    return [torch.as_tensor(random(asked.shape(l), k)).to(asked.like) for k, l in enumerate((0, 0, 1))]


def gone(passes: Any, asked: Windows) -> dict[str, np.ndarray]:
    """What passes leave on the block, from all sources and for all ways."""
    fine, coarse = (owned(w) for w in (asked.grids[0].fine, asked.grids[0].coarse))
    u, f, e, out, f_c = (passes.empty(l) for l in (0, 0, 1, 0, 1))
    for l, array, v in zip((0, 0, 1), (u, f, e), data(asked), strict=True):
        passes.tensor(l, array).copy_(v)
    found = {}

    def keep(name: str, squares: Any = None) -> None:
        found[f"{name}, iterate"] = passes.tensor(0, out)[fine].cpu().numpy().copy()
        found[f"{name}, restricted"] = passes.tensor(1, f_c)[coarse].cpu().numpy().copy()
        if squares is not None:
            found[f"{name}, squares"] = np.asarray(torch.as_tensor(squares).cpu())

    passes.go(0, f, out=out, f_c=f_c, way=DOWN)
    keep("down from zero")
    keep("the residual", passes.go(0, f, u, f_c=f_c, way=NONE, norm=True))
    passes.go(0, f, None, e, e, out, way=UP)
    keep("up from an interpolant")
    keep("up and down", passes.go(0, f, u, None, e, out, f_c, BOTH, True, 1.25))
    R_f, rest = passes.empty(1), passes.empty(1)
    passes.go(0, f, f_c=R_f)
    passes.interpolant(0, f, R_f, e, rest)
    found["the residual of an interpolant"] = passes.tensor(1, rest)[coarse].cpu().numpy()
    return found


def alike(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    for name, v in theirs.items():
        np.testing.assert_allclose(ours[name], v, rtol=0, atol=1e-12 * np.abs(v).max(), err_msg=name)


@pytest.mark.parametrize("name", [*CASES, "Robin ends"])
def test_compiled(name: str) -> None:
    asked = asked_of(CASES.get(name, ROBIN), torch.zeros((), dtype=torch.float64))
    alike(gone(NativePasses(asked), asked), gone(PlainPasses(asked), asked))


@pytest.mark.parametrize("name", ["the middle", "a corner, one axis coarsened", "red-black", "space"])
def test_triton(name: str) -> None:
    pytest.importorskip("triton", reason="needs Triton")
    from mgnet.pde.distributed.triton_passes import TritonPasses

    asked = asked_of(CASES[name], torch.zeros((), dtype=torch.float64, device=DEVICE))
    alike(gone(TritonPasses(asked), asked), gone(PlainPasses(asked), asked))


def test_stencils_in_triton() -> None:
    """A window's level is the readable one's: its steps, its transfers, and the next coarser operator."""
    pytest.importorskip("triton", reason="needs Triton")
    from mgnet.pde.cuda.blackbox import CudaBlackBox

    a = np.exp(np.sin(np.arange(22 * 13.0))).reshape(22, 13)
    A = from_diffusion(Poisson(Grid((22, 13), bc=("dirichlet", "periodic")), a).A)
    w = Window(22, False, 0, 12, 6, True)
    A = Stencil(part(A.diagonal, w), {o: part(s, w) for o, s in A.couplings.items()})
    A = A.to(torch.zeros((), dtype=torch.float64, device=DEVICE))
    for o, s in A.couplings.items():
        s[:, w.size - o[0] :] = 0
    chosen = [Coarsening(22, False, 1), Coarsening(13, True)]
    how = How("chebyshev", (2, 1), (), torch.float64, False, False)
    f = torch.as_tensor(random((1, *A.shape))).to(A.diagonal)
    found = []
    for stencils in (TorchStencils(CudaBlackBox.forms), TorchStencils()):
        level = stencils.level(w, chosen, A, None, how, 2.0)
        u = level.of.smooth(None, f)
        f_c, A_c = level.of.restrict(u, f), stencils.coarse(level, slice(0, 6))
        u = level.of.smooth(u + level.of.P.P(f_c), f, up=True)
        found.append({"u": u, "f_c": f_c, "diagonal": A_c.diagonal} | {str(o): s for o, s in A_c.couplings.items()})
    alike(*({name: v.cpu().numpy() for name, v in each.items()} for each in found))


def part(v: torch.Tensor, w: Window) -> torch.Tensor:
    return v[:, w.begin : w.end].clone()


def test_a_window_is_part_of_the_whole() -> None:
    """A pass over it, of the whole grid's numbers, is the whole grid's pass on the block."""
    case = CASES["a corner, one axis coarsened"]
    like = torch.zeros((), dtype=torch.float64)
    part, whole = asked_of(case, like), asked_of([*case[:6], ((0, 36), (0, 32)), (0, 0)], like)
    found = []
    for asked in (part, whole):
        there = [np.ix_(range(1), *(w.planes for w in each)) for each in (part.grids[0].fine, part.grids[0].coarse)]
        u, f, e = data(whole)
        u, f, e = (
            v if asked is whole else torch.from_numpy(v.numpy()[at])
            for v, at in zip((u, f, e), (*there[:1] * 2, there[1]), strict=True)
        )
        passes = PlainPasses(asked)
        out, f_c = passes.empty(0), passes.empty(1)
        passes.go(0, f, u, None, e, out, f_c, BOTH)
        blocks = [owned(w) for w in (part.grids[0].fine, part.grids[0].coarse)]
        pairs = zip((out, f_c), there, strict=True)
        found.append([v if asked is part else torch.from_numpy(v.numpy()[at]) for v, at in pairs])
    for ours, theirs, block in zip(*found, blocks, strict=True):
        np.testing.assert_allclose(ours[block], theirs[block], rtol=0, atol=1e-12 * float(theirs.abs().max()))


def test_all_of_plain_torch_lies_on_the_device() -> None:
    """Tensors without memory know on which device they would be, and that one cannot be added to another's."""
    with FakeTensorMode():
        asked = asked_of(CASES["across a period"], torch.zeros((), dtype=torch.float64, device="cuda"))
        passes = PlainPasses(asked)
        u, f, out, e, f_c = (passes.empty(l, DATUM) for l in (0, 0, 0, 1, 1))
        squares = passes.go(0, f, u, None, e, out, f_c, BOTH, True, 1.25)
        passes.interpolant(0, f, f_c, e, e.clone())
        assert {v.device.type for v in (u, out, f_c, squares)} == {"cuda"}
