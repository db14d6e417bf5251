"""What a type checker knows of mgnet.pde: `mypy` checks this file, and test_solution.py runs it."""

from typing import assert_type

import numpy as np
import torch

import mgnet

f = np.ones((31, 31))
assert_type(mgnet.pde.solve(f), mgnet.pde.Solution[np.ndarray])
assert_type(mgnet.pde.solve(torch.from_numpy(f), centering="cell").u, torch.Tensor)
solver = mgnet.pde.Solver(mgnet.pde.Poisson(mgnet.pde.Grid((31, 31))))
assert_type(solver.solve(f).u, np.ndarray)
mgnet.pde.solve(f, centering="cel") if f.size < 0 else None  # type: ignore[arg-type]
