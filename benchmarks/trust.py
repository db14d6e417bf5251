"""How far to trust `mgnet.pde.solve`: random problems against matrices that are assembled here, anew.

    python -m benchmarks.trust [--problems 2000] [--seed 0]     # writes benchmarks/results/trust/results.json

A reference is a sparse LU decomposition, refined with residuals in extended precision and in differences, so that it
holds where a matrix in float64 has long lost what little holds u. Nothing of mgnet is used for it but the definition
of the discretisation (docs/pde.md).
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as splinalg
import torch

import mgnet

RESULTS = Path(__file__).parent / "results" / "trust" / "results.json"
WRONG = {"float32": 2e-4, "float64": 1e-6}  # relative 2-norm of the error beyond which an answer is wrong
CYCLES = 25
REFINEMENTS = 4
D, N, P = "dirichlet", "neumann", "periodic"
LARGEST = {1: 1500, 2: 48, 3: 13}  # unknowns along an axis


@dataclass
class Problem:
    """A random problem; a, c are numbers or arrays (batch, *grid) in float64, representable in the data's dtype."""

    number: int
    shape: tuple[int, ...]
    options: dict[str, Any]
    a: list[Any]
    c: Any
    f: np.ndarray
    how: str  # "numbers", "arrays" or "callables"
    mask: np.ndarray | None = None
    mask_bc: str = D
    tensor: bool = False

    @property
    def dtype(self) -> str:
        return str(self.f.dtype)


def random_problem(number: int, seed: int = 0) -> Problem:
    """Problem ``number`` of a seed."""
    rng = np.random.default_rng([seed, number])
    ndim = int(rng.choice([1, 2, 2, 3]))
    shape = tuple(int(n) for n in np.exp(rng.uniform(np.log(2), np.log(LARGEST[ndim]), ndim)))
    dtype = np.dtype(rng.choice(["float32", "float64"]))
    ends = [(D, D), (N, N), (P, P), (D, N), (N, D), (mgnet.pde.Robin(float(10.0 ** rng.integers(-3, 3))), N)]
    bc = [ends[k] for k in rng.integers(0, 6, ndim)]
    if rng.random() < 0.35:  # nothing holds u but c
        bc = [ends[rng.integers(1, 3)] for _ in range(ndim)]
    centering = str(rng.choice(["node", "cell"]))
    if centering == "node":
        shape = tuple(max(n, 3) for n in shape)
    upper = [float(n) for n in shape] if rng.random() < 0.5 else [float(rng.choice([1.0, 3.0]))] * ndim
    options = {"bc": bc, "centering": centering, "upper": upper}
    how = str(rng.choice(["numbers", "numbers", "arrays", "callables"]))
    batch = (int(rng.integers(2, 4)),) if rng.random() < 0.2 else ()
    c = 0.0 if rng.random() < 0.35 else float(np.float32(10 ** rng.uniform(-8, 6)))
    contrast = 10 ** rng.uniform(0, 2)
    if how != "arrays":
        a: list[Any] = [float(np.float32(v)) for v in contrast ** rng.uniform(-0.5, 0.5, ndim)]
    else:
        a, c = (
            [(contrast ** rng.uniform(-0.5, 0.5, (*batch, *shape))).astype("f4").astype(float)] * ndim,
            np.full(shape, c),
        )
    mask = None
    if how != "callables" and min(shape) > 3 and rng.random() < 0.2:
        mask = rng.random(shape) > 0.1
        how, a = "arrays", [np.full(shape, v) if np.ndim(v) == 0 else v for v in a]
    f = rng.normal(size=(*batch, *shape)) + rng.choice([0.0, 0.1, 1.0])
    return Problem(
        number, shape, options, a, c, f.astype(dtype), how, mask, str(rng.choice([D, N])), rng.random() < 0.3
    )


def spacing(n: int, low: Any, high: Any, centering: str, length: float) -> float:
    """h of an axis, by the table of docs/pde.md."""
    if centering == "cell" or low == P:
        return length / n
    return length / (n - 1 + (low == D) + (high == D))


class Reference:
    """A u = b of one member, as edges (i, j, k) between unknowns and what holds each unknown alone."""

    def __init__(self, problem: Problem, member: int | None):
        self.shape, self.problem = problem.shape, problem
        inside = np.ones(problem.shape, bool) if problem.mask is None else problem.mask
        index = np.arange(inside.size).reshape(inside.shape)
        bc, centering, upper = (problem.options[name] for name in ("bc", "centering", "upper"))
        self.share = np.ones(problem.shape)
        along = []
        for d, (low, high) in enumerate(bc):
            share = np.ones(problem.shape[d])
            if centering == "node" and low != P:
                share[0] *= 1.0 if low == D else 0.5
                share[-1] *= 1.0 if high == D else 0.5
            along.append(share)
            self.share *= share.reshape([-1 if e == d else 1 for e in range(len(bc))])
        c = np.broadcast_to(np.asarray(problem.c, float), problem.shape)
        self.alone = c * self.share
        edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for d, (low, high) in enumerate(bc):
            n, h = problem.shape[d], spacing(problem.shape[d], low, high, centering, upper[d])
            w = self.share / along[d].reshape([-1 if e == d else 1 for e in range(len(bc))])
            a = problem.a[d] if member is None or np.ndim(problem.a[d]) <= len(bc) else problem.a[d][member]
            a = np.broadcast_to(np.asarray(a, float), problem.shape)
            a, w, alone = (np.moveaxis(v, d, 0) for v in (a, w, self.alone))
            i, there = np.moveaxis(index, d, 0), np.moveaxis(inside, d, 0)
            last = n if low == P and n > 1 else n - 1
            for k in range(last):
                m = (k + 1) % n
                mean = 2 * a[k] * a[m] / (a[k] + a[m])
                both, cut = there[k] & there[m], there[k] ^ there[m]
                edges.append((i[k][both], i[m][both], (mean * w[k] / h**2)[both]))
                if problem.mask_bc == D and cut.any():
                    own = np.where(there[k], a[k], a[m]) * w[k] / h**2
                    alone[k] += np.where(cut & there[k], own, 0)
                    alone[m] += np.where(cut & there[m], own, 0)
            for end, k in ((low, 0), (high, n - 1)):
                alone[k] += w[k] * end_hold(end, a[k], h, centering)
        self.i, self.j, self.k = (np.concatenate(v) for v in zip(*edges, strict=True)) if edges else (index[:0],) * 3
        self.inside = inside.ravel()

    def residual(self, b: np.ndarray, u: np.ndarray) -> np.ndarray:
        """b - A u, in differences and extended precision."""
        u, b = u.astype(np.longdouble), b.astype(np.longdouble)
        flux = self.k * (u[self.i] - u[self.j])
        r = b - self.alone.ravel() * u
        np.subtract.at(r, self.i, flux)
        np.add.at(r, self.j, flux)
        return np.where(self.inside, r, 0)

    def solve(self, f: np.ndarray) -> np.ndarray:
        """u for one right-hand side; of mean zero on each part that nothing holds, f made to fit there."""
        size, inside = f.size, self.inside
        alone = np.where(inside, self.alone.ravel(), 1.0)
        graph = sparse.coo_array((np.ones(len(self.i)), (self.i, self.j)), shape=(size, size))
        _, part = sparse.csgraph.connected_components(graph, directed=False)
        free = np.bincount(part, np.where(inside, alone, 1.0)) == 0
        w, borders = self.share.ravel() * inside, []
        b = np.where(inside, f.ravel() * self.share.ravel(), 0.0)
        for p in np.flatnonzero(free):
            weight = np.where(part == p, w, 0.0)
            b = b - weight * (b[part == p].sum() / weight.sum())
            borders.append(weight)
        diagonal = alone + np.bincount(self.i, self.k, size) + np.bincount(self.j, self.k, size)
        rows = np.concatenate([np.arange(size), self.i, self.j])
        columns = np.concatenate([np.arange(size), self.j, self.i])
        A = sparse.coo_array((np.concatenate([diagonal, -self.k, -self.k]), (rows, columns)), shape=(size, size))
        if borders:
            B = sparse.csr_array(np.array(borders) * diagonal.mean())
            A = sparse.block_array([[A, B.T], [B, None]])
        LU, m = splinalg.splu(sparse.csc_array(A)), len(borders)
        u = np.zeros(size, np.longdouble)
        for _ in range(REFINEMENTS):
            r = self.residual(b, u).astype(float)
            u = u + LU.solve(np.concatenate([r, np.zeros(m)]))[:size]
        for weight in borders:
            u = np.where(weight > 0, u - (u * weight).sum() / weight.sum(), u)
        return np.where(inside, u, 0).astype(float).reshape(f.shape)


def end_hold(end: Any, a: np.ndarray, h: float, centering: str) -> np.ndarray:
    """What a homogeneous end adds to the equation of the unknown beside it."""
    if end in (N, P):
        return 0 * a
    if end == D:
        return (2 if centering == "cell" else 1) * a / h**2
    alpha = end.alpha
    return alpha * (2 * a / h) / (alpha + 2 * a / h) / h if centering == "cell" else np.full_like(a, alpha / h)


def references(problem: Problem) -> np.ndarray:
    """The solution of every member."""
    if problem.f.ndim == len(problem.shape):
        return Reference(problem, None).solve(problem.f.astype(float))
    return np.stack([Reference(problem, k).solve(f.astype(float)) for k, f in enumerate(problem.f)])


def given(problem: Problem) -> dict[str, Any]:
    """The arguments of ``solve`` beside f."""
    a, c = list(problem.a), problem.c
    if problem.how == "arrays":
        a, c = [v.astype(problem.dtype) for v in a], np.asarray(c, problem.dtype)
    options = problem.options | {"ndim": len(problem.shape), "throw": False}
    if problem.mask is not None:
        options |= {"mask": problem.mask, "mask_bc": problem.mask_bc}
    if problem.how == "callables":
        a, c = [lambda *x, v=v: v for v in a], lambda *x: problem.c
    return options | {"a": tuple(a), "c": c}


def as_tensors(v: Any) -> Any:
    """Arrays as tensors, in tuples, too."""
    if isinstance(v, tuple):
        return tuple(as_tensors(entry) for entry in v)
    return torch.from_numpy(v) if isinstance(v, np.ndarray) else v


def judge(problem: Problem) -> dict[str, Any]:
    """Solve it, and say how far the answer is from the reference."""
    f, u = problem.f, references(problem)
    options = given(problem)
    if problem.tensor:
        f, options = torch.from_numpy(f), {name: as_tensors(v) for name, v in options.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = mgnet.pde.solve(f, project=True, **options)
    found = np.asarray(s.u, float)
    axes = tuple(range(found.ndim - len(problem.shape), found.ndim))
    size = np.sqrt((u**2).sum(axes))
    error = float((np.sqrt(((found - u) ** 2).sum(axes)) / np.where(size > 0, size, 1)).max())
    return {
        "number": problem.number, "error": error, "cycles": s.cycles, "status": s.status, "dtype": problem.dtype,
        "how": problem.how, "wrong": not error <= WRONG[problem.dtype], "shape": problem.shape,
        "c": float(np.max(problem.c)),
        "bc": str(problem.options["bc"]), "centering": problem.options["centering"], "mask": problem.mask is not None,
        "batch": problem.f.ndim - len(problem.shape), "method": s.method,
    }  # fmt: skip


def run(problems: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """The first so many problems of a seed, without those that are refused."""
    return islice(filter(None, (judged(number, seed) for number in count())), problems)


def judged(number: int, seed: int) -> dict[str, Any] | None:
    try:
        return judge(random_problem(number, seed))
    except ValueError as refused:  # a part of one unknown without an equation, a grid without an interval
        if "must" not in str(refused):
            raise
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begun, rows = time.perf_counter(), list(run(arguments.problems, arguments.seed))
    groups = {}
    for dtype in WRONG:
        for how in ("numbers", "arrays", "callables"):
            of = [row for row in rows if row["dtype"] == dtype and row["how"] == how]
            groups[f"{dtype}, {how}"] = {
                "problems": len(of), "wrong": sum(row["wrong"] for row in of),
                "largest error": max(row["error"] for row in of), "most cycles": max(row["cycles"] for row in of),
            }  # fmt: skip
    for name, group in groups.items():
        print(f"{name:22}", *(f"{key} {value:.2g}" for key, value in group.items()))
    for row in rows:
        if row["wrong"] or row["cycles"] > CYCLES:
            print(row)
    print(f"{len(rows)} problems, {time.perf_counter() - begun:.0f} s")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"seed": arguments.seed, "limits": WRONG, "groups": groups}, indent=1) + "\n")


if __name__ == "__main__":
    main()
