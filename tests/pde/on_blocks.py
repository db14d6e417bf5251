"""Several processes that solve the cases below on blocks; the first writes what came out, whole.

python tests/pde/on_blocks.py COUNT (memory | network | torch) FOLDER
"""

import multiprocessing
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mgnet.pde import Faces, Grid, Partition, Poisson, Polynomial, Robin, SharedPoisson, Solver, solve
from mgnet.pde.capabilities import Row, rows
from mgnet.pde.distributed import channel
from mgnet.pde.distributed.channel import Network
from mgnet.pde.distributed.nearby import block_of
from mgnet.pde.distributed.one_machine import OneMachine
from mgnet.pde.distributed.problem import posed
from mgnet.pde.outer import makers
from mgnet.pde.problem.coefficients import Kind

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
    "red-black": {"shape": (200, 130), "smoother": "red-black", "nu": (1, 1), "bc": ("neumann", "dirichlet")},
    "red-black, periodic": {"shape": (216, 120), "smoother": "red-black", "bc": "periodic", "c": 1.0},
    "small": {"shape": (40, 30)},
    "one dimension": {"shape": (200,)},
}
SPLIT: dict[str, dict[int, Any]] = {  # how so many processes cut a grid
    "": {2: (1, 2), 3: (1, 3), 4: (2, 2)},
    "2 x 2 x 1": {2: (1, 2, 1), 3: (1, 3, 1), 4: (2, 2, 1)},
    "2 x 1 x 2": {2: (1, 1, 2), 3: (1, 1, 3), 4: (2, 1, 2)},
}
UNEVEN = {2: (None, (39, 141)), 3: (None, (30, 110, 40)), 4: ((75, 180), (139, 41))}
SEVERAL: dict[str, dict[str, Any]] = {  # along several axes
    "blocks of nodes": {"shape": (255, 200), "split": ""},
    "blocks of cells, tol=None": {"shape": (300, 255), "centering": "cell", "tol": None, "split": ""},
    "blocks, neumann": {"shape": (193, 257), "bc": "neumann", "split": ""},
    "blocks, periodic": {"shape": (128, 192), "bc": "periodic", "split": ""},
    "blocks, mixed ends, c": {
        "shape": (160, 257), "bc": ("periodic", ("dirichlet", "neumann")), "c": 30.0, "split": ""
    },
    "blocks, robin": {
        "shape": (190, 260), "bc": (("neumann", "dirichlet"), Robin(3.0)), "centering": "cell", "split": ""
    },
    "blocks, semicoarsened": {"shape": (211, 211), "a": (1.0, 0.1), "split": ""},
    "blocks, uneven": {"shape": (255, 180), "uneven": True, "split": ""},
    "blocks, a batch": {"shape": (130, 255), "batch": (2,), "split": "", "guess": True, "cycle": "F"},
    "blocks, float32": {"shape": (130, 255), "dtype": "f4", "tol": 1e-5, "split": ""},
    "blocks, boundary data": {
        "shape": (255, 140), "bc": ("dirichlet", ("neumann", "dirichlet")), "boundary": True, "split": ""
    },
    "blocks, boundary data, tol=None": {
        "shape": (150, 256), "centering": "cell", "boundary": True, "tol": None, "split": ""
    },
    "blocks, red-black": {
        "shape": (129, 216), "smoother": "red-black", "nu": (2, 1), "bc": ("dirichlet", "periodic"), "split": ""
    },
    "blocks, a penalty": {
        "shape": (193, 130), "bc": ((Robin(1e7), "neumann"), "neumann"), "split": "", "guess": True,
        "data": {"boundary": lambda shape: [(1e7 * np.linspace(0, 1, shape[1]), 0.0), None]},
    },
    "blocks in space": {"shape": (64, 50, 44), "centering": "cell", "split": "2 x 2 x 1"},
    "blocks in space, not nested": {
        "shape": (70, 41, 37), "bc": ("neumann", "dirichlet", "periodic"), "c": 3.0, "split": "2 x 2 x 1"
    },
    "blocks in space, the last axis cut": {
        "shape": (50, 41, 64), "bc": ("neumann", "dirichlet", "periodic"), "tol": None, "split": "2 x 1 x 2"
    },
    "blocks in space, all periodic": {"shape": (48, 40, 64), "bc": "periodic", "split": "2 x 1 x 2"},
}  # fmt: skip
METHOD = ("cycle", "smoother", "nu")
RUNS, TORCH = ("3 by memory", "4 by memory", "2 by network"), "2 by torch"
IN_TORCH = (  # what is solved in plain torch, as on GPUs
    "cells, tol=None", "periodic", "robin", "anisotropic", "three dimensions, not nested", "float32",
    "boundary data", "F-cycles, Jacobi", "red-black", "small", "blocks, mixed ends, c", "blocks, a batch",
    "blocks, boundary data, tol=None", "blocks in space, all periodic", "blocks, red-black",
    "a checkerboard of cells, free", "two materials", "noise, Robin", "an a for each member", "float32, varying",
    "lines inside of blocks", "lines that are cut", "F-cycles at jumps", "one full pass, varying", "smooth a on blocks",
    "a mask for each member", "electrodes in a disc, other values", "walls on blocks", "a full tensor", "a velocity",
)  # fmt: skip


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    return np.exp(np.sin(3 * sum(np.ix_(*(np.arange(n) / n for n in shape)))))


def checkerboard(shape: tuple[int, ...]) -> np.ndarray:
    """8 x 8 squares of 1 and 1e6."""
    return np.where(sum(np.ix_(*(np.arange(n) * 8 // n for n in shape))) % 2, 1e6, 1.0)


def materials(shape: tuple[int, ...]) -> np.ndarray:
    """1 or 1e4, at random from unknown to unknown."""
    return np.where(np.random.default_rng(2).random(shape) < 0.5, 1.0, 1e4)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.exp(2 * np.random.default_rng(3).normal(size=shape))


def layers(axis: int) -> Any:
    """Isotropic in one half, dominant along an axis in the other: lines are smoothed along this one."""

    def a(shape: tuple[int, ...]) -> tuple[Any, ...]:
        ratio = np.where(np.indices(shape)[0] < shape[0] // 2, 1.0, 1e2)
        return (ratio, 1.0) if axis == 0 else (1.0, ratio)

    return a


def for_each(shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([smooth(shape), 1 / smooth(shape)])


def turned(shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Ratio 2, along directions that turn."""
    angle = sum(np.ix_(*(np.arange(n) / n for n in shape[:2])))
    cos, sin = np.cos(3 * angle), np.sin(3 * angle)
    one, other, mixed = cos**2 + sin**2 / 2, sin**2 + cos**2 / 2, cos * sin / 2
    return (one, mixed), (mixed, other)


def plate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (abs(x - 0.5) < 0.1) & (y < 0.6)


def graded(n: int) -> np.ndarray:
    return np.linspace(0, 1, n + 2) ** 1.3


VARYING: dict[str, dict[str, Any]] = {
    "smooth a": {"shape": (255, 120), "array": smooth, "local": True, "tol": 1e-11},
    "callables, cells": {
        "shape": (200, 110), "centering": "cell", "a": lambda x, y: 1 + x * x + y, "c": lambda x, y: 9 * x
    },
    "a callable, periodic": {"shape": (200, 110), "bc": "periodic", "a": lambda x, y: 2 + np.sin(2 * np.pi * x) + y},
    "a callable, periodic cells": {
        "shape": (200, 90), "bc": "periodic", "centering": "cell", "a": lambda x, y: 2 + np.sin(2 * np.pi * x) + x
    },
    "a checkerboard": {"shape": (190, 160), "array": checkerboard, "local": True, "near": 1e-6},
    "a checkerboard of cells, free": {
        "shape": (160, 120), "bc": "neumann", "centering": "cell", "array": checkerboard, "near": 1e-6
    },
    "two materials": {"shape": (150, 150), "array": materials, "tol": 1e-7, "near": 1e-4},
    "two materials, periodic": {
        "shape": (152, 120), "bc": "periodic", "c": 1.0, "array": materials, "tol": 1e-7, "near": 1e-4
    },
    "noise, Robin": {"shape": (181, 140), "bc": (Robin(2.0), "neumann"), "array": noise, "tol": 1e-11},
    "neumann nodes, varying": {"shape": (193, 110), "bc": "neumann", "array": smooth, "tol": 1e-11},
    "a in three dimensions": {
        "shape": (64, 30, 28), "bc": ("dirichlet", "periodic", "neumann"), "array": smooth, "tol": 1e-11
    },
    "a checkerboard in three dimensions": {
        "shape": (60, 28, 30), "centering": "cell", "array": checkerboard, "near": 1e-6
    },
    "an a for each member": {"shape": (180, 100), "batch": (2,), "array": for_each, "local": True, "tol": 1e-11},
    "one f for all members": {"shape": (180, 100), "array": for_each, "c": "smooth", "tol": 1e-11},
    "float32, varying": {"shape": (200, 100), "array": smooth, "dtype": "f4", "tol": 1e-5, "near": 1e-4},
    "semicoarsened along the cut": {"shape": (256, 80), "array": lambda shape: (smooth(shape), 0.01), "tol": 1e-11},
    "semicoarsened beside it": {"shape": (200, 110), "array": lambda shape: (0.01, smooth(shape)), "tol": 1e-11},
    "lines inside of blocks": {"shape": (200, 110), "array": layers(1), "tol": 1e-11, "near": 1e-8},
    "lines that are cut": {"shape": (200, 110), "array": layers(0), "tol": 1e-11, "near": 1e-8},
    "zebra": {"shape": (190, 120), "a": (1.0, 5.0), "smoother": "zebra", "tol": 1e-11},
    "stretched": {"shape": (200, 100), "nodes": True, "array": smooth, "tol": 1e-11},
    "F-cycles at jumps": {"shape": (190, 120), "array": checkerboard, "cycle": "F", "near": 1e-6},
    "an odd period": {"shape": (151, 110), "bc": "periodic", "c": 1.0, "array": smooth, "tol": 1e-11},
    "uneven, varying": {"shape": (255, 127), "uneven": True, "a": lambda x, y: np.exp(x - y * y), "tol": 1e-12},
    "boundary data, varying": {
        "shape": (150, 100), "bc": ("dirichlet", ("neumann", "dirichlet")), "boundary": True,
        "array": smooth, "tol": 1e-11,
    },
    "a guess, varying": {"shape": (200, 90), "guess": True, "array": smooth, "tol": 1e-11},
    "one full pass, varying": {"shape": (200, 100), "array": smooth, "tol": None},
    "a penalty on a block's end": {
        "shape": (180, 110), "bc": ((Robin(1e20), "neumann"), "neumann"), "array": noise, "tol": 1e-11,
        "data": {"boundary": lambda shape: [(1e20 * np.linspace(0, 1, shape[1]), 0.0), None]},
    },
    "a penalty on an end that is cut": {
        "shape": (180, 110), "bc": ("neumann", (Robin(1e20), "dirichlet")), "array": turned, "tol": 1e-11,
        "data": {"boundary": lambda shape: [None, (1e20 * np.linspace(0, 1, shape[0]), 2.0)]}, "split": "",
    },
    "penalties inside": {
        "shape": (180, 110), "c": lambda x, y: 1e20 * plate(x, y), "array": smooth, "tol": 1e-11, "guess": True,
        "times": lambda shape: np.where(plate(*Grid(shape).coordinates()), 1e20, 1.0),
    },
    "smooth a on blocks": {"shape": (255, 120), "array": smooth, "local": True, "tol": 1e-11, "split": ""},
    "callables on blocks": {
        "shape": (120, 200), "centering": "cell", "a": lambda x, y: 1 + x * x + y, "guess": True, "split": ""
    },
    "one dimension, varying": {"shape": (300,), "array": smooth, "tol": 1e-11},
    "one dimension, zebra": {"shape": (300,), "array": smooth, "tol": 1e-11, "smoother": "zebra"},
    "unequal sweeps": {"shape": (120, 90), "array": smooth, "nu": (2, 1), "tol": 1e-11},
}  # fmt: skip


def disc(shape: tuple[int, ...]) -> np.ndarray:
    x, y = np.ix_(*(np.arange(n) / n - 0.5 for n in shape))
    return x**2 + y**2 < 0.2


def islands(shape: tuple[int, ...]) -> np.ndarray:
    """A frame that blocks cut, a part within it that blocks cut, and one inside of a block."""
    x, y = np.ix_(*(np.arange(n) / n for n in shape))
    far = np.maximum(abs(x - 0.45), abs(y - 0.5))
    frame, middle = (far > 0.3) & (far < 0.43), far < 0.25
    return frame | (middle & (abs(x - 0.3) > 0.01))


def specks(shape: tuple[int, ...]) -> np.ndarray:
    """The same, and unknowns that are parts by themselves, beside cuts and elsewhere."""
    mask = islands(shape)
    mask[::2, -2] = True
    return mask


def pores(shape: tuple[int, ...]) -> np.ndarray:
    """At random, with parts of one unknown."""
    return np.random.default_rng(5).random(shape) < 0.62


def electrodes(shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    x, y = np.ix_(*(np.arange(n) / n for n in shape))
    where = (abs(x - 0.5) < 0.01) & (abs(y - 0.4) < 0.3)
    return [(where, np.sin(5 * x) + y), (lambda x, y: (x - 0.8) ** 2 + (y - 0.3) ** 2 < 0.01, 2.0)]


def walls(shape: tuple[int, ...]) -> Faces:
    """Two rooms with a door, and one without."""
    n, m = shape
    a, b = np.ones((n + 1, m)), np.ones((n, m + 1))
    a[n // 3, 10:] = 0.0
    a[3 * n // 4] = 0.0
    b[: n // 3, m // 2] = 0.0
    return Faces(a, b)


def oblique(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.4 * x


# what Poisson is told beside the grid, and what its right-hand side is
WITHIN: dict[str, dict[str, Any]] = {
    "a disc": {"shape": (160, 150), "told": {"mask": disc}, "tol": 1e-11},
    "a disc, data on the cut": {
        "shape": (160, 150), "centering": "cell", "told": {"mask": disc}, "tol": 1e-11,
        "data": {"mask_boundary": lambda x, y: np.sin(4 * x) + y},
    },
    "a disc without flux": {
        "shape": (170, 150), "bc": "neumann", "told": {"mask": disc, "mask_bc": "neumann"}, "project": True,
        "tol": 1e-11,
    },
    "islands": {
        "shape": (180, 150), "bc": "neumann", "centering": "cell", "project": True, "tol": 1e-11, "array": smooth,
        "told": {"mask": islands, "mask_bc": "neumann"}, "data": {"mask_boundary": smooth},
    },
    "islands, periodic": {
        "shape": (180, 150), "bc": "periodic", "project": True, "tol": 1e-11,
        "told": {"mask": islands, "mask_bc": "neumann"},
    },
    "pores": {
        "shape": (150, 150), "centering": "cell", "bc": ("periodic", "neumann"), "told": {"mask": pores}, "c": 1.0,
        "array": materials, "tol": 1e-9, "near": 1e-5,
    },
    "a mask for each member": {
        "shape": (150, 110), "batch": (2,), "bc": "neumann", "project": True, "tol": 1e-11,
        "told": {"mask": lambda shape: np.stack([disc(shape), islands(shape)]), "mask_bc": "neumann"},
    },
    "electrodes": {"shape": (170, 130), "bc": "neumann", "told": {"fixed": electrodes}, "tol": 1e-11},
    "electrodes in a disc, other values": {
        "shape": (170, 130), "told": {"fixed": electrodes, "mask": disc, "mask_bc": "neumann"}, "array": smooth,
        "tol": 1e-11, "data": {"fixed": lambda shape: [smooth(shape), lambda x, y: x]},
    },
    "specks, some held by a cut": {
        "shape": (40, 38), "told": {"mask": lambda shape: np.stack([disc(shape), specks(shape)])}, "array": smooth,
        "project": True, "tol": 1e-11,
    },
    "specks": {
        "shape": (180, 150), "bc": "neumann", "centering": "cell", "project": True, "tol": 1e-11, "array": smooth,
        "told": {"mask": specks, "mask_bc": "neumann"},
    },
    "walls": {
        "shape": (180, 120), "bc": "neumann", "centering": "cell", "project": True, "array": walls, "tol": 1e-11
    },
    "a disc on blocks": {
        "shape": (160, 150), "told": {"mask": disc}, "array": smooth, "tol": 1e-11, "split": "",
        "data": {"mask_boundary": smooth},
    },
    "walls on blocks": {
        "shape": (180, 120), "bc": "neumann", "centering": "cell", "project": True, "array": walls, "local": True,
        "tol": 1e-11, "split": "",
    },
    "islands, a large mean": {
        "shape": (180, 150), "bc": "neumann", "project": True, "tol": 1e-9, "mean": 1e9, "near": 1e-5,
        "told": {"mask": islands, "mask_bc": "neumann"},
    },
    "walls, held": {"shape": (180, 120), "array": walls, "tol": 1e-11, "boundary": True},
    "Robin arrays": {
        "shape": (180, 120), "tol": 1e-11, "array": smooth,
        "bc": ((Robin(np.linspace(0, 3, 120)), "neumann"), ("neumann", Robin(lambda x, y: 1 + x))),
    },
    "Robin arrays that vanish": {
        "shape": (180, 120), "tol": 1e-11, "project": True,
        "bc": ((Robin(np.zeros(120)), "neumann"), ("neumann", Robin(np.zeros(180)))),
    },
    "a full tensor": {"shape": (170, 140), "array": turned, "tol": 1e-11},
    "a full tensor, free": {"shape": (170, 140), "bc": ("dirichlet", "neumann"), "array": turned, "tol": 1e-11},
    "a full tensor of cells": {
        "shape": (170, 140), "centering": "cell", "tol": 1e-11, "boundary": True,
        "a": ((1.0, oblique), (oblique, 2.0)),
    },
    "a full tensor in three dimensions": {
        "shape": (60, 34, 30), "bc": ("periodic", "dirichlet", "dirichlet"), "tol": 1e-11,
        "a": ((1.0, 0.3, 0.1), (0.3, 1.0, 0.0), (0.1, 0.0, 2.0)),
    },
    "a full tensor in islands": {
        "shape": (180, 150), "told": {"mask": islands, "mask_bc": "neumann"}, "c": 3.0, "array": turned, "tol": 1e-11,
        "boundary": True,
    },
    "a full tensor among electrodes": {
        "shape": (170, 130), "told": {"mask": disc, "fixed": electrodes}, "array": turned, "tol": 1e-11,
        "data": {"mask_boundary": lambda x, y: np.sin(4 * x) + y},
    },
    "a velocity": {
        "shape": (90, 80), "tol": 1e-11, "array": smooth,
        "told": {"velocity": lambda shape: (30 * smooth(shape), lambda x, y: 10 * x), "mask": disc},
    },
}  # fmt: skip


def sampled() -> dict[str, Row]:
    """Of the table of what works one row for each kind of coefficients and domain, and ends of several kinds."""
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows():
        if row.ndim > 1:
            kinds.setdefault((row.coefficients, row.domain), []).append(row)
    some = [each[7 * k % len(each)] for k, each in enumerate(kinds.values())]
    ends = [("stretched node", "numbers", 2), ("cell", "array", 3), ("node", "full tensor", 3)]
    beside = [Row("varying robin", *of) for of in ends]  # where blocks at the end vary along more axes than others
    told = ("ndim", "coefficients", "domain", "boundary", "centering")
    return {", ".join(f"{getattr(row, name)}" for name in told): row for row in (*some, *beside)}


ROWS = sampled()


def asked(run: str) -> set[str]:
    """Cases of a run. In rows they are solved by three, of which one has neighbours on both sides, on 2 x 2 blocks by
    four; every third case by all, and by messages of the group. In plain torch, as on GPUs, some are solved by two.
    """
    if run == TORCH:
        return set(IN_TORCH)
    cases = CASES | SEVERAL | VARYING | WITHIN
    few = {name for names in (CASES, SEVERAL, VARYING, WITHIN, ROWS) for name in list(names)[::3]}
    split = {name for name in cases if "split" in cases[name]}
    return few | {"3 by memory": (cases.keys() | ROWS.keys()) - split, "4 by memory": split}.get(run, set())


def made(v: Any, shape: tuple[int, ...]) -> Any:
    """What a case says of a shape, if it takes one."""
    return v(shape) if callable(v) and len(signature(v).parameters) == 1 else v


def problem_of(case: dict[str, Any]) -> tuple[Poisson, np.ndarray, dict[str, Any], dict[str, Any]]:
    """The problem, whole data, and what Solver and its solve are told; the same on every process."""
    shape = case["shape"]
    grid = Grid(shape, bc=case.get("bc", "dirichlet"), centering=case.get("centering", "node"))
    if case.get("nodes"):
        grid = Grid.from_nodes([graded(n) for n in shape])
    a = case["array"](shape) if "array" in case else case.get("a")
    told = {name: made(v, shape) for name, v in case.get("told", {}).items()}
    problem = Poisson(grid, a, smooth(shape) if case.get("c") == "smooth" else case.get("c"), **told)
    f = np.random.default_rng(0).normal(size=(*case.get("batch", ()), *shape)).astype(case.get("dtype", "f8"))
    f += case.get("mean", 0.0)
    f = f * case["times"](shape) if "times" in case else f
    how = {"tol": case.get("tol", 1e-9), "project": case.get("project", grid.closed and "c" not in case and not told)}
    how |= {name: made(v, shape) for name, v in case.get("data", {}).items()}
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


def on_blocks(case: dict[str, Any]) -> dict[str, Any]:
    problem, f, scheme, how = problem_of(case)
    count = dist.get_world_size()
    blocks = SPLIT[case["split"]][count] if "split" in case else None
    uneven = UNEVEN[count] if blocks else sizes(case["shape"][0], count)
    partition = Partition(problem.grid, sizes=uneven if case.get("uneven") else None, blocks=blocks)
    how |= {name: block_of(partition, how[name]) for name in ("guess", "mask_boundary", "fixed") if name in how}
    if case.get("local"):
        problem = SharedPoisson(partition, block_of(partition, case["array"](case["shape"])), like=f)
    solution = Solver(problem, partition=partition, **scheme).solve(partition.scatter(f), **how)
    assert solution.u.shape[-len(case["shape"]) :] == partition.shape
    shared = "on each of" not in solution.method
    return {
        "u": partition.gather(solution.u),
        "residuals": solution.residuals,
        "status": solution.status,
        "shared": shared,
    }


def of_row(row: Row) -> np.ndarray:
    """The whole solution of a row's problem."""
    problem = row.problem()
    partition = Partition(problem.grid)
    f = np.random.default_rng(0).normal(size=problem.grid.shape)
    return partition.gather(Solver(problem, partition=partition).solve(partition.scatter(f), tol=1e-11).u)


def gradients() -> dict[str, np.ndarray]:
    """Of the sum of all processes' u^2 by f, constant coefficients; and by f, a, c and a number that a has in it."""
    shape = (120, 80)
    partition = Partition(Grid(shape, bc=("neumann", "dirichlet")))
    rng = np.random.default_rng(1)
    whole = {"f": rng.normal(size=shape), "a": smooth(shape), "c": 10 * rng.random(shape)}
    block = {name: torch.from_numpy(partition.scatter(v).copy()).requires_grad_() for name, v in whole.items()}
    solve(block["f"], partition=partition, tol=1e-11).u.square().sum().backward()
    found = {"f": partition.gather(block["f"].grad).numpy()}
    block["f"].grad = None
    several = Partition(partition.grid, blocks=SPLIT[""][partition.count])
    v = {name: torch.from_numpy(several.scatter(v).copy()).requires_grad_() for name, v in whole.items()}
    solve(v["f"], partition=several, tol=1e-11).u.square().sum().backward()
    found["f, blocks"] = several.gather(v["f"].grad).numpy()
    v["f"].grad = None
    solve(v["f"], partition=several, a=v["a"], c=v["c"], tol=1e-12).u.square().sum().backward()
    found |= {f"{name}, varying, blocks": several.gather(each.grad).numpy() for name, each in v.items()}
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    solve(block["f"], partition=partition, a=factor * block["a"], c=block["c"], tol=1e-12).u.square().sum().backward()
    found |= {f"{name}, varying": partition.gather(v.grad).numpy() for name, v in block.items()}
    return found | {"factor": partition.total(factor.grad.item())}


SHAPE = (90, 60)
LEAVES: dict[str, dict[str, tuple[int, ...]]] = {
    "in a disc": dict.fromkeys(("f", "a", "value", "data"), SHAPE),
    "walls": {"f": SHAPE, "low": (91, 60), "right": (90, 61), "alpha": (60,), "beta": (90,)},
    "a tensor": dict.fromkeys(("f", "one", "mixed"), SHAPE),
    "a velocity": dict.fromkeys(("f", "v", "c"), SHAPE),
    "penalties": {"f": SHAPE, "a": SHAPE, "alpha": (60,), "data": (60,)},
}


def leaves(name: str) -> dict[str, torch.Tensor]:
    """Positive numbers, of which a gradient is asked for."""
    rng = np.random.default_rng(7)
    return {key: torch.from_numpy(1 + rng.random(n)).requires_grad_() for key, n in LEAVES[name].items()}


def posed_of(name: str, v: dict[str, torch.Tensor]) -> tuple[Grid, dict[str, Any]]:
    """The grid, and what ``solve`` is told beside f."""
    if name == "in a disc":
        fixed = (lambda x, y: (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.01, v["value"])
        told = {"mask": torch.from_numpy(disc(SHAPE)), "a": v["a"], "mask_boundary": v["data"], "fixed": fixed}
        return Grid(SHAPE), told
    if name == "walls":
        bc = ((Robin(v["alpha"]), "neumann"), (Robin(v["beta"]), "neumann"))
        return Grid(SHAPE, bc=bc), {"a": Faces(v["low"], v["right"])}
    if name == "a tensor":
        mixed = 0.3 * v["mixed"]
        return Grid(SHAPE), {"a": ((v["one"], mixed), (mixed, 1.5))}
    if name == "penalties":
        bc, data = [(Robin(1e4 * v["alpha"]), "neumann"), "dirichlet"], [(1e4 * v["data"], 0.3), None]
        return Grid(SHAPE, bc=bc), {"a": v["a"], "c": 1e5 * torch.relu(v["a"] - 1.7) ** 2, "boundary": data}
    return Grid(SHAPE), {"velocity": (20 * v["v"], -5.0), "c": v["c"]}


def more_gradients() -> dict[str, np.ndarray]:
    """Of the sum of all processes' u^2; each one's part by tensors that all have whole."""
    found = {}
    for name in LEAVES:
        v = leaves(name)
        grid, told = posed_of(name, v)
        partition = Partition(grid, blocks=SPLIT[""][dist.get_world_size()] if name == "walls" else None)
        told |= {key: block_of(partition, told[key]) for key in told.keys() - {"boundary"}}
        solve(partition.scatter(v["f"]), partition=partition, tol=1e-12, **told).u.square().sum().backward()
        for key, each in v.items():
            grad = torch.zeros_like(each) if each.grad is None else each.grad
            found[f"{name}, {key}"] = partition.total(grad.numpy())
    return found


def edge(f: np.ndarray) -> np.ndarray:
    return np.arange(len(f))[:, None] + 0 * f < 3


def lonely(f: np.ndarray, rank: int) -> np.ndarray:
    """A mask with one unknown by itself on the second process."""
    mask = edge(f)
    mask[9, 9] = rank
    return mask


def solve_of(partition: Partition, smoother: Any) -> None:
    Solver(Poisson(partition.grid), smoother=smoother, partition=partition).solve(np.ones(partition.shape))


def derivative(partition, a=None):
    """What is solved in no cycle, of a guess; its gradient is not in one."""
    f = torch.from_numpy(np.random.default_rng(0).normal(size=partition.shape)).requires_grad_()
    of = {"partition": partition, "a": a and (lambda x, y: a(np.sin(3 * x)))}
    u = solve(f.detach(), tol=1e-10, **of).u
    solve(f, guess=u, max_cycles=1, **of).u.square().sum().backward()


def faults() -> dict[str, str]:
    """What is refused, and how this process hears of it."""
    said, rank = {}, dist.get_rank()
    grid = Grid((120, 140))
    partition = Partition(grid)
    f = np.ones(partition.shape)
    hole = f.copy()
    hole[3, 4] = np.nan
    beside = Partition(grid, blocks=(1, partition.count))
    odd = Partition(Grid((141, 140), bc=("periodic", "dirichlet")))
    thin = Partition(Grid((6000, 7)), blocks=(1, partition.count))
    wrong = {
        "other c": lambda: Solver(Poisson(grid, c=float(rank)), partition=partition),
        "a whole mask": lambda: solve(f, partition=partition, mask=np.ones(grid.shape, bool)),
        "a mask on one": lambda: solve(f, partition=partition, mask=f > 0 if rank else None),
        "an empty mask": lambda: solve(f, partition=partition, mask=f < 0),
        "a mask of numbers on one": lambda: solve(f, partition=partition, mask=np.ones_like(f, int if rank else bool)),
        "alone": lambda: solve(f, partition=partition, mask=lonely(f, rank), mask_bc="neumann", a=((2, 1), (1, 2))),
        "a tensor, indefinite on one": lambda: solve(
            f, partition=partition, a=((f, (m := np.where(np.isnan(hole), rank + 0.5, 0.0))), (m, f))
        ),
        "a, NaN on one": lambda: solve(f, partition=partition, a=hole if rank else f),
        "c, NaN on one": lambda: solve(f, partition=partition, c=hole if rank else f),
        "velocity, NaN on one": lambda: solve(f, partition=partition, velocity=(1.0, hole if rank else f)),
        "faces, NaN on one": lambda: solve(
            f, partition=partition, a=Faces(1.0, np.pad(hole if rank else f, ((0, 0), (0, 1)), constant_values=1.0))
        ),
        "fixed, a contradiction on one": lambda: solve(
            f, partition=partition, fixed=[(f > 0, 1.0), (np.isnan(hole), 2.0 if rank else 1.0)]
        ),
        "boundary, NaN": lambda: solve(f, partition=partition, boundary=[(0.0, np.full(140, np.nan)), None]),
        "other batches": lambda: solve(np.stack([f, f]), partition=partition, a=np.stack([f, f, f])),
        "fixed nowhere": lambda: solve(f, partition=partition, fixed=(f < 0, 1.0)),
        "fixed everywhere": lambda: solve(f, partition=partition, fixed=(f > 0, 1.0)),
        "fixed of another shape": lambda: solve(f, partition=partition, fixed=(f[1:] > 0 if rank else f > 0, 1.0)),
        "fixed, NaN on one": lambda: solve(f, partition=partition, fixed=(edge(f), np.nan if rank else 1.0)),
        "faces of another shape": lambda: solve(f, partition=partition, a=Faces(f, 1.0)),
        "faces that differ": lambda: solve(
            f, partition=partition, a=Faces(np.full((len(f) + 1, 140), 1.0 + rank), 1.0)
        ),
        "data without a mask": lambda: solve(f, partition=partition, a=f, mask_boundary=1.0),
        "other values": lambda: Solver(SharedPoisson(partition, f)).solve(f, fixed=1.0),
        "no tensor": lambda: solve(f, partition=partition, a=((1.0, 3.0), (3.0, 2.0))),
        "order 4": lambda: solve(f, partition=partition, order=4),
        "f on a GPU": lambda: posed(partition, grid, None, None, Kind(False, device=torch.device("cuda:0"))),
        "f on a GPU, varying": lambda: posed(partition, grid, f, None, Kind(False, device=torch.device("cuda:0"))),
        "f elsewhere": lambda: posed(partition, grid, None, None, torch.empty(f.shape, device="meta")),
        "f elsewhere, varying": lambda: posed(partition, grid, f, None, torch.empty(f.shape, device="meta")),
        "like elsewhere": lambda: SharedPoisson(partition, f, like=torch.empty(0, device="meta")),
        "a elsewhere": lambda: solve(f, partition=partition, a=torch.empty(f.shape, device="meta")),
        "no mean on parts": lambda: solve(
            f, partition=Partition(Grid((120, 140), bc="neumann")), mask=f > 0, mask_bc="neumann"
        ),
        "a of another shape": lambda: solve(f, partition=partition, a=f[1:] if rank else f),
        "a negative": lambda: solve(f, partition=partition, a=-f if rank else f),
        "a of another kind": lambda: solve(f, partition=partition, a=f if rank else 2.0, c=f),
        "one cycle": lambda: Solver(SharedPoisson(partition, f)).cycle(None, f),
        "red-black": lambda: Solver(SharedPoisson(partition, f), smoother="red-black"),
        "an odd period": lambda: solve_of(odd, "red-black"),
        "another grid": lambda: Solver(Poisson(Grid((120, 141))), partition=partition),
        "shape on one": lambda: solve(f[1:] if rank else f, partition=partition),
        "guess on one": lambda: solve(f, partition=partition, guess=f[1:] if rank else f),
        "tol": lambda: solve(f, partition=partition, tol=1e-8 * (1 + rank)),
        "NaN on one": lambda: solve(np.full_like(f, np.nan) if rank else f, partition=partition),
        "NaN on one, varying": lambda: solve(hole if rank else f, partition=partition, a=1 + f**2),
        "guess, NaN on one, numbers": lambda: solve(f, partition=partition, guess=hole if rank else f),
        "guess of no kind": lambda: solve(f, partition=partition, guess=f.tolist() if rank else f),
        "a guess of a batch": lambda: solve(f, partition=partition, guess=np.stack([f, f])),
        "a masked array": lambda: solve(f, partition=partition, a=np.ma.masked_array(f) if rank else f),
        "tol of no kind on one": lambda: solve(f, partition=partition, tol="1e-8" if rank else 1e-8),
        "guess, NaN on one": lambda: solve(f, partition=partition, a=1 + f**2, guess=hole if rank else f),
        "mean": lambda: solve(f, partition=Partition(Grid((120, 140), bc="neumann"))),
        "sizes": lambda: Partition(grid, sizes=[120, 1]),
        "blocks": lambda: Partition(grid, blocks=(2, 3)),
        "thin blocks": lambda: solve(np.ones(thin.shape), partition=thin),
        "faces that differ on blocks": lambda: solve(
            np.ones(beside.shape), partition=beside, a=Faces(1.0, np.full((120, beside.shape[1] + 1), 1.0 + rank))
        ),
        "too many": lambda: Partition(Grid((1, 50))),
        "a word": lambda: solve(f, grid=grid, partition="two"),
        "not converged": lambda: solve(
            np.random.default_rng(0).normal(size=f.shape), partition=partition, max_cycles=2
        ),
        "not converged, a derivative": lambda: derivative(partition),
        "not converged, a derivative's, a(x)": lambda: derivative(partition, np.exp),
    }
    for name, call in wrong.items():
        try:
            call()
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def as_on_gpus() -> None:
    """Plain torch, and messages without tags: two of the same processes meet in the order in which they are posted."""
    makers.MAKERS = (makers.PlainTorch(),)
    message = dist.P2POp
    dist.P2POp = lambda way, v, peer, group, tag=0: message(way, v, peer, group)  # type: ignore[misc, assignment]


def main(rank: int, count: int, by: str, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)
    if by != "memory":
        channel.joined = lambda *group: None
    if by == "torch":
        as_on_gpus()
    names = asked(f"{count} by {by}")
    for name, case in (CASES | SEVERAL | VARYING | WITHIN).items():
        if name not in names:
            continue
        least = 2**14 if name in CASES else 2**11  # so that small grids are shared, too
        Network.least = OneMachine.least = least
        found = on_blocks(case)
        if rank == 0:
            np.savez(folder / f"{name}.npz", **found)
    if by == "torch":
        return dist.destroy_process_group()
    Network.least = OneMachine.least = 2**9
    solved = {name: of_row(row) for name, row in ROWS.items() if name in names}
    if rank == 0:
        np.savez(folder / "rows.npz", **solved)
    Network.least = OneMachine.least = 2**11
    np.savez(folder / f"gradients{rank}.npz", **gradients(), **more_gradients())
    np.savez(folder / f"faults{rank}.npz", said=[f"{k}|{v}" for k, v in faults().items()])
    assert type(channel.channel(None, torch.device("cpu"))) is {"network": Network, "memory": OneMachine}[by]
    dist.destroy_process_group()


if __name__ == "__main__":
    count, by, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")  # fork: torch is imported once
    each = [how.Process(target=main, args=(rank, count, by, folder)) for rank in range(count)]
    for process in each:
        process.start()
    for process in each:
        process.join()
    sys.exit(any(process.exitcode for process in each))
