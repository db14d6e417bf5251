"""What a user would otherwise take on a CUDA device: each rival is f -> u, tensors on it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mgnet.core import cycle
from mgnet.pde import Poisson
from mgnet.pde.levels.convolution import conv_levels

Solve = Callable[[Tensor], Tensor]
MOST_CYCLES = 60


def sine(v: Tensor, dim: int) -> Tensor:
    """sum_j v_j sin(pi (j + 1) (k + 1) / (n + 1)) along an axis: the FFT of the odd continuation."""
    n = v.shape[dim]
    zero = torch.zeros_like(v.narrow(dim, 0, 1))
    spectrum = torch.fft.rfft(torch.cat([zero, v, zero, -v.flip(dim)], dim), dim=dim)
    return spectrum.imag.narrow(dim, 1, n) * -0.5


def sine_transforms(problem: Poisson) -> Solve:
    """Fast diagonalisation by torch.fft: Dirichlet axes, node-centred, coefficient 1."""
    grid = problem.grid
    like = problem.A.k[0]
    eigenvalues, factor = torch.zeros((), dtype=like.dtype, device=like.device), 1.0
    for axis in grid.axes:
        k = torch.arange(1, axis.n + 1, dtype=torch.float64, device=like.device)
        line = (2 - 2 * torch.cos(torch.pi * k / (axis.n + 1))) / axis.h**2
        eigenvalues, factor = eigenvalues[..., None] + line.to(like), factor * 2 / (axis.n + 1)

    def solve(f: Tensor) -> Tensor:
        v = f
        for dim in range(-grid.ndim, 0):
            v = sine(v, dim)
        v = v / eigenvalues * factor
        for dim in range(-grid.ndim, 0):
            v = sine(v, dim)
        return v

    return solve


def convolutions(problem: Poisson, tol: float) -> Solve:
    """V-cycles whose operators are torch convolutions, until the residual is small (2^k - 1 unknowns)."""
    like = problem.A.k[0]
    levels = [level.to(device=like.device, dtype=like.dtype) for level in conv_levels(problem)]

    def solve(f: Tensor) -> Tensor:
        b, u = f[None, None], None
        for _ in range(MOST_CYCLES):
            u = cycle(levels, u, b)
            if torch.linalg.vector_norm(b - levels[0].A(u)) <= tol * torch.linalg.vector_norm(b):
                break
        assert u is not None
        return u[0, 0]

    return solve


def cupy_cg(problem: Poisson, tol: float) -> Solve | None:
    """CuPy's conjugate gradients without a preconditioner, None where CuPy (14 or newer) is missing."""
    try:
        import cupy
        import cupyx.scipy.sparse as sparse
        from cupyx.scipy.sparse.linalg import cg
    except ImportError:
        return None
    csr = problem.to_scipy()
    parts = csr.data, csr.indices.astype(np.int32), csr.indptr.astype(np.int32)
    A = sparse.csr_matrix(tuple(cupy.asarray(part) for part in parts))

    def solve(f: Tensor) -> Tensor:
        u, _ = cg(A, cupy.asarray(f).ravel(), rtol=tol, maxiter=20_000)
        return torch.as_tensor(u, device=f.device).reshape(f.shape)

    return solve


def amgx(problem: Poisson, tol: float) -> Solve | None:
    """Conjugate gradients preconditioned by a V-cycle of AmgX's classical AMG, None where pyamgx is missing."""
    try:
        import pyamgx
    except ImportError:
        return None
    pyamgx.initialize()
    multigrid = {"solver": "AMG", "algorithm": "CLASSICAL", "selector": "PMIS", "interpolator": "D2", "cycle": "V"}
    multigrid |= {"smoother": "JACOBI_L1", "presweeps": 1, "postsweeps": 1, "max_iters": 1, "monitor_residual": 0}
    cg = {"solver": "PCG", "preconditioner": multigrid, "max_iters": 200, "monitor_residual": 1}
    cg |= {"convergence": "RELATIVE_INI", "norm": "L2", "tolerance": tol}
    config = pyamgx.Config().create_from_dict({"config_version": 2, "solver": cg})
    resources = pyamgx.Resources().create_simple(config)
    A, b, x = (kind().create(resources) for kind in (pyamgx.Matrix, pyamgx.Vector, pyamgx.Vector))
    csr = problem.to_scipy()
    A.upload(csr.indptr.astype(np.int32), csr.indices.astype(np.int32), csr.data)
    solver = pyamgx.Solver().create(resources, config)
    solver.setup(A)

    def solve(f: Tensor) -> Tensor:
        u = torch.zeros_like(f)
        b.upload(f.ravel())
        x.upload(u.ravel())
        solver.solve(b, x, zero_initial_guess=True)
        x.download_raw(u.data_ptr())
        return u

    return solve
