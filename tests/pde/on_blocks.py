"""One process of several that solve the cases below on blocks; the first writes what came out, whole.

python tests/pde/on_blocks.py RANK COUNT FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mgnet.pde import Grid, Partition, Poisson, Polynomial, Robin, Solver, solve
from mgnet.pde.distributed import levels

CASES: dict[str, dict[str, Any]] = {
    "dirichlet nodes": {"shape": (255, 200)},
    "cells, tol=None": {"shape": (300, 255), "centering": "cell", "tol": None},
    "neumann": {"shape": (301, 255), "bc": "neumann", "centering": "cell"},
    "neumann nodes": {"shape": (257, 193), "bc": "neumann"},
    "periodic": {"shape": (256, 200), "bc": "periodic"},
    "mixed ends, c": {"shape": (257, 160), "bc": (("dirichlet", "neumann"), "periodic"), "c": 30.0},
    "robin": {"shape": (190, 260), "bc": (Robin(3.0), ("neumann", "dirichlet")), "centering": "cell"},
    "anisotropic": {"shape": (211, 211), "a": (1.0, 0.4)},
    "three dimensions": {"shape": (64, 50, 44), "centering": "cell"},
    "three dimensions, not nested": {"shape": (70, 41, 37), "bc": ("neumann", "dirichlet", "periodic")},
    "a batch": {"shape": (255, 130), "batch": (2,)},
    "float32": {"shape": (255, 130), "dtype": "f4", "tol": 1e-5},
    "boundary data": {"shape": (255, 140), "bc": ("dirichlet", ("neumann", "dirichlet")), "boundary": True},
    "boundary data, tol=None": {"shape": (150, 256), "centering": "cell", "boundary": True, "tol": None},
    "a guess": {"shape": (255, 180), "guess": True},
    "W-cycles": {"shape": (255, 180), "cycle": "W"},
    "F-cycles, Jacobi": {"shape": (255, 180), "cycle": "F", "smoother": "jacobi", "nu": (1, 2)},
    "steps of one's own": {"shape": (200, 180), "smoother": Polynomial("steps", lambda nu, ndim, low: (1.4, 0.6) * nu)},
    "uneven": {"shape": (255, 180), "uneven": True},
    "small": {"shape": (40, 30)},
    "one dimension": {"shape": (200,)},
}
METHOD = ("cycle", "smoother", "nu")


def problem_of(case: dict[str, Any]) -> tuple[Poisson, np.ndarray, dict[str, Any], dict[str, Any]]:
    """The problem, whole data, and what Solver and its solve are told; the same on every process."""
    shape = case["shape"]
    grid = Grid(shape, bc=case.get("bc", "dirichlet"), centering=case.get("centering", "node"))
    problem = Poisson(grid, case.get("a"), case.get("c"))
    f = np.random.default_rng(0).normal(size=(*case.get("batch", ()), *shape)).astype(case.get("dtype", "f8"))
    how = {"tol": case.get("tol", 1e-9), "project": grid.closed and "c" not in case}
    if case.get("boundary"):
        row = np.cos(np.arange(shape[0])) if case["shape"][0] == 150 else lambda x, y: np.cos(3 * x)
        how["boundary"] = [(lambda x, y: np.sin(5 * y), 2.0), (row, -1.0)]
    if case.get("guess"):
        how["guess"] = np.sin(np.arange(f.size)).reshape(f.shape)
    return problem, f, {key: case[key] for key in METHOD if key in case}, how


def sizes(n: int, count: int) -> list[int]:
    """Blocks of very different sizes."""
    each = [30 + 7 * k for k in range(count - 1)]
    return [*each, n - sum(each)]


def on_blocks(case: dict[str, Any]) -> tuple[np.ndarray, list[float], str]:
    problem, f, scheme, how = problem_of(case)
    uneven = sizes(f.shape[-len(case["shape"])], dist.get_world_size()) if case.get("uneven") else None
    partition = Partition(problem.grid, sizes=uneven)
    if "guess" in how:
        how["guess"] = partition.scatter(how["guess"])
    solution = Solver(problem, partition=partition, **scheme).solve(partition.scatter(f), **how)
    assert solution.u.shape[-len(case["shape"]) :] == partition.shape
    return partition.gather(solution.u), solution.residuals, solution.status


def gradients() -> np.ndarray:
    """Of the sum of all processes' u^2 by f."""
    partition = Partition(Grid((120, 140)))
    f = torch.from_numpy(np.random.default_rng(1).normal(size=(120, 140)))
    block = partition.scatter(f).clone().requires_grad_()
    solve(block, partition=partition, tol=1e-11).u.square().sum().backward()
    return partition.gather(block.grad).numpy()


def faults() -> dict[str, str]:
    """What is refused, and how this process hears of it."""
    said, rank = {}, dist.get_rank()
    grid = Grid((120, 140))
    partition = Partition(grid)
    f = np.ones(partition.shape)
    wrong = {
        "other c": lambda: Solver(Poisson(grid, c=float(rank)), partition=partition),
        "an array": lambda: Solver(Poisson(grid, np.ones(grid.shape)), partition=partition),
        "red-black": lambda: Solver(Poisson(grid), smoother="red-black", partition=partition),
        "another grid": lambda: Solver(Poisson(Grid((120, 141))), partition=partition),
        "shape on one": lambda: solve(f[1:] if rank else f, partition=partition),
        "guess on one": lambda: solve(f, partition=partition, guess=f[1:] if rank else f),
        "tol": lambda: solve(f, partition=partition, tol=1e-8 * (1 + rank)),
        "NaN on one": lambda: solve(np.full_like(f, np.nan) if rank else f, partition=partition),
        "mean": lambda: solve(f, partition=Partition(Grid((120, 140), bc="neumann"))),
        "sizes": lambda: Partition(grid, sizes=[120, 1]),
        "too many": lambda: Partition(Grid((1, 50))),
        "a word": lambda: solve(f, grid=grid, partition="two"),
        "not converged": lambda: solve(
            np.random.default_rng(0).normal(size=f.shape), partition=partition, max_cycles=2
        ),
    }
    for name, call in wrong.items():
        try:
            call()
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def main(rank: int, count: int, folder: Path) -> None:
    torch.set_num_threads(1)
    levels.GATHERED = 2**14  # so that small grids are shared, too
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)
    for index, case in enumerate(CASES.values()):
        u, residuals, status = on_blocks(case)
        if rank == 0:
            np.savez(folder / f"{index}.npz", u=u, residuals=residuals, status=status)
    grad = gradients()
    np.savez(folder / f"others{rank}.npz", grad=grad, faults=[f"{k}|{v}" for k, v in faults().items()])
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
