"""What a type checker knows after `import mgnet`: `make types` checks this file, test_types.py runs it.

Arrays give arrays, tensors tensors, labelled arrays labelled ones; a word that is none of the known is an error here,
and one that mypy misses fails as an ignore without use.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import torch
import xarray

import mgnet

f = np.ones((31, 31))
t = torch.from_numpy(f)
assert_type(mgnet.pde.solve(f), mgnet.pde.Solution[np.ndarray])
assert_type(mgnet.pde.solve(t, centering="cell").u, torch.Tensor)
assert_type(mgnet.pde.solve(xarray.DataArray(f)).u.dims, tuple[Hashable, ...])
assert_type(mgnet.pde.solve(xarray.DataArray(f)).u.mean(), Any)
assert_type(mgnet.pde.solve(f, bc=["periodic", ("dirichlet", mgnet.pde.Robin(1.0))]).u, np.ndarray)

solver = mgnet.pde.Solver(mgnet.pde.Poisson(mgnet.pde.Grid((31, 31))), cycle="W")
assert_type(solver.solve(f).u, np.ndarray)
assert_type(solver.cycle(None, t), torch.Tensor)
assert_type(mgnet.operators.MgNO(width=2), mgnet.operators.MgNO)


def trains() -> None:
    run = mgnet.vision.train("MgNet[1,1]-8-B^l", "digits", epochs=1)
    assert_type(run, mgnet.vision.Run)
    assert_type(run.directory, Path)
    assert_type(mgnet.vision.evaluate(run), mgnet.vision.Metrics)
    assert_type(mgnet.operators.train(mgnet.operators.darcy(8, 16)).error, float)
    mgnet.vision.plots.learning_curves(run.history, "curves.png")


def refused() -> None:
    mgnet.pde.solve(f, centering="cel")  # type: ignore[arg-type]
    mgnet.pde.solve(f, bc="dirchlet")  # type: ignore[arg-type]
    mgnet.pde.solve(f, bc=["neumann", "perodic"])  # type: ignore[list-item]
    mgnet.pde.Solver(solver.problem, cycle="X")  # type: ignore[arg-type]
    mgnet.pde.Solver(solver.problem, smoother="jakobi")  # type: ignore[arg-type]
    mgnet.pde.Poisson(mgnet.pde.Grid((3,)), scheme="wind")  # type: ignore[arg-type]
    mgnet.pde.Grid.from_faces([[0, 1, 2]], geometry="ball")  # type: ignore[arg-type]
    mgnet.vision.Recipe(optimizer="adam")  # type: ignore[arg-type]
    mgnet.vision.train(fit="stretch")  # type: ignore[arg-type]
    mgnet.operators.darcy(1, 8, kind="smoth")  # type: ignore[arg-type]
    print(mgnet.nothing)  # type: ignore[attr-defined]
