"""Blocks on several processes against one process that has everything."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from scipy import sparse
from scipy.sparse.linalg import spsolve

import mgnet
from mgnet.pde import Grid, Partition, Poisson, Solver, solve
from mgnet.pde.distributed.channel import kinds
from mgnet.pde.distributed.testing import alone
from mgnet.pde.distributed.window import Window, cut
from mgnet.pde.problem.axis import Table
from tests.pde.on_blocks import (
    CASES,
    LEAVES,
    ROWS,
    RUNS,
    SEVERAL,
    TORCH,
    VARYING,
    WITHIN,
    asked,
    leaves,
    posed_of,
    problem_of,
    smooth,
)

GATHERED = ("a full tensor, free", "a velocity", "specks, some held by a cut")  # lines, streams, a small grid
SCRIPT = Path(__file__).with_name("on_blocks.py")


@pytest.fixture(params=RUNS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where so many processes have left what came out; they run once, whichever of pytest's own asks first."""
    base = tmp_path_factory.getbasetemp()
    into = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"blocks, {request.param}"
    said = into / "errors"
    try:
        into.mkdir()
    except FileExistsError:
        for _ in range(3000):
            if said.exists():
                break
            time.sleep(0.1)
    else:
        count, _, by = request.param.split()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mgnet.__file__).parents[1])}
        command = [sys.executable, SCRIPT, count, by, into]
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, timeout=300)
        (into / "being written").write_text(done.stderr[-2000:] if done.returncode else "")
        (into / "being written").rename(said)
    assert said.read_text() == ""
    return into


def each_of(names: Iterable[str]) -> pytest.MarkDecorator:
    """The runs that solve each."""
    pairs = [(run, name) for run in (*RUNS, TORCH) for name in names if name in asked(run)]
    return pytest.mark.parametrize(("folder", "name"), pairs, indirect=["folder"])


@each_of(CASES | SEVERAL)
def test_as_one_process(name: str, folder: Path) -> None:
    problem, f, scheme, how = problem_of((CASES | SEVERAL)[name])
    one = Solver(problem, **scheme).solve(f, **how)
    found = np.load(folder / f"{name}.npz")
    eps = np.finfo(f.dtype).eps
    np.testing.assert_allclose(found["u"], one.u, rtol=0, atol=100 * eps * np.abs(one.u).max())
    assert found["status"] == one.status
    assert len(found["residuals"]) == len(one.residuals)
    if one.method == "fast diagonalisation":  # what is left is rounding's, and another number on each processor
        assert max(found["residuals"][1], one.residuals[1]) < 1e4 * eps
        return
    # the last digits of u may differ, and with them what rounding leaves of a residual; more where sums are others
    atol = 20 * eps if TORCH not in folder.name else 1e-12 if f.dtype == "f8" else 1e-5
    np.testing.assert_allclose(found["residuals"], one.residuals, rtol=1e-12 if f.dtype == "f8" else 1e-3, atol=atol)


@each_of(VARYING)
def test_varying_as_one_process(name: str, folder: Path) -> None:
    case = (VARYING | WITHIN)[name]
    problem, f, scheme, how = problem_of(case)
    one = Solver(problem, **scheme).solve(f, **how)
    found = np.load(folder / f"{name}.npz")
    assert found["status"] == one.status
    assert abs(len(found["residuals"]) - len(one.residuals)) <= 1
    near = case.get("near", 1e-9)
    np.testing.assert_allclose(found["u"], one.u, rtol=0, atol=near * np.abs(one.u).max())


@each_of(WITHIN)
def test_within_as_one_process(name: str, folder: Path) -> None:
    test_varying_as_one_process(name, folder)
    found = np.load(folder / f"{name}.npz")
    assert found["shared"] == (name not in GATHERED)
    assert len(found["residuals"]) <= 15


@pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
@each_of(ROWS)
def test_what_one_process_takes_several_take(name: str, folder: Path) -> None:
    row = ROWS[name]
    problem = row.problem()
    one = Solver(problem).solve(np.random.default_rng(0).normal(size=problem.grid.shape), tol=1e-11).u
    rounding = 1e-7 if "jumps" in row.coefficients or "velocity" in row.coefficients else 1e-9
    np.testing.assert_allclose(np.load(folder / "rows.npz")[name], one, rtol=0, atol=rounding * np.abs(one).max())


@each_of(["smooth a", "a callable, periodic cells", "noise, Robin", "stretched"])
def test_varying_against_elimination(name: str, folder: Path) -> None:
    problem, f, _, how = problem_of(VARYING[name])
    b = problem.rhs(f)
    b = b - b.mean() * how["project"]
    A, u = problem.to_scipy(), np.load(folder / f"{name}.npz")["u"]
    left = b.ravel() - A @ u.ravel()
    assert np.abs(left).max() < 1e-7 * np.abs(b).max()
    if not how["project"]:
        np.testing.assert_allclose(u.ravel(), spsolve(A.tocsc(), b.ravel()), rtol=0, atol=1e-9 * np.abs(u).max())


@each_of(["uneven, varying"])
def test_varying_against_petsc(name: str, folder: Path) -> None:
    """DMDA and PCMG in conjugate gradients: grids that hold their boundary, and the problem anew on each."""
    PETSc = pytest.importorskip("petsc4py.PETSc")
    problem, f, _, _ = problem_of(VARYING[name])
    shape = tuple(n + 2 for n in f.shape)

    def operator(solver: Any, A: Any, P: Any) -> None:
        matrix = with_boundary(tuple(solver.getDM().getSizes())[::-1], VARYING[name]["a"])
        P.setValuesCSR(matrix.indptr, matrix.indices, matrix.data)
        P.assemble()

    grid = PETSc.DMDA().create(dim=2, sizes=shape[::-1], stencil_width=1, dof=1)
    solver, b, u = PETSc.KSP().create(), grid.createGlobalVec(), grid.createGlobalVec()
    solver.setDM(grid)
    solver.setComputeOperators(operator)
    solver.setType("cg")
    solver.getPC().setType("mg")
    solver.getPC().setMGLevels(5)
    solver.setTolerances(rtol=1e-13, atol=0)
    b.getArray().reshape(shape)[1:-1, 1:-1] = f * np.prod(problem.grid.spacing)
    solver.solve(b, u)
    expected = u.getArray().reshape(shape)[1:-1, 1:-1]
    found = np.load(folder / f"{name}.npz")["u"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def with_boundary(shape: tuple[int, ...], a: Any) -> sparse.csr_array:
    """The matrix times the cells' volume, u = 0 an equation of its own at each point of the boundary."""
    problem = Poisson(Grid([n - 2 for n in shape]), a)
    inside = np.pad(np.ones(problem.grid.shape, bool), 1).ravel()
    put, A = sparse.eye_array(inside.size, format="csr")[:, inside], problem.to_scipy() * np.prod(problem.grid.spacing)
    whole = (put @ A @ put.T + sparse.diags_array(A.diagonal().mean() * ~inside)).tocsr()
    whole.indptr, whole.indices = (v.astype(np.int32) for v in (whole.indptr, whole.indices))
    return whole


def test_gradients(folder: Path) -> None:
    shape = (120, 80)
    rng = np.random.default_rng(1)
    whole = {"f": rng.normal(size=shape), "a": smooth(shape), "c": 10 * rng.random(shape)}
    v = {name: torch.from_numpy(each).requires_grad_() for name, each in whole.items()}
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    bc = ("neumann", "dirichlet")
    (plain,) = torch.autograd.grad(solve(v["f"], bc=bc, tol=1e-11).u.square().sum(), v["f"])
    solve(v["f"], bc=bc, a=factor * v["a"], c=v["c"], tol=1e-12).u.square().sum().backward()
    expected = {"f": plain, "f, blocks": plain, "factor": factor.grad}
    expected |= {f"{name}, varying{on}": each.grad for name, each in v.items() for on in ("", ", blocks")}
    for rank in (0, 1):
        found = np.load(folder / f"gradients{rank}.npz")
        for name, grad in expected.items():
            np.testing.assert_allclose(found[name], grad, rtol=1e-9, atol=1e-9 * float(grad.abs().max()), err_msg=name)


@pytest.mark.parametrize("name", LEAVES)
def test_more_gradients(name: str, folder: Path) -> None:
    v = leaves(name)
    grid, told = posed_of(name, v)
    solve(v["f"], grid=grid, tol=1e-12, **told).u.square().sum().backward()
    found = np.load(folder / "gradients0.npz")
    for key, each in v.items():
        assert each.grad is not None
        atol = 1e-9 * float(each.grad.abs().max())
        np.testing.assert_allclose(found[f"{name}, {key}"], each.grad, rtol=1e-9, atol=atol, err_msg=key)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (
            "other c",
            "ValueError: `the coefficients` must be the same",
            "ValueError: `the coefficients` must be the same",
        ),
        ("a whole mask", "`mask` must be this process's block", "`mask` must be this process's block"),
        ("a mask on one", "`mask` must be the same on every process", "`mask` must be the same on every process"),
        ("an empty mask", "`mask` must be True somewhere", "`mask` must be True somewhere"),
        ("a mask of numbers on one", "`mask` must be the same on every process", "`mask` must be the same"),
        ("alone", "process 1 was given what it refuses", "(first ({9}, 9))"),
        ("a tensor, indefinite on one", "process 1 was given what it refuses: `a`", "it is not at ({3}, 4)"),
        ("a, NaN on one", "`a` must be finite; it has 1 NaN, first at ({3}, 4)", "it has 1 NaN, first at ({3}, 4)"),
        ("c, NaN on one", "`c` must be finite; it has 1 NaN, first at ({3}, 4)", "it has 1 NaN, first at ({3}, 4)"),
        ("velocity, NaN on one", "process 1 was given what it refuses: `velocity[1]`", "2 NaN, first at ({3}, 4)"),
        ("faces, NaN on one", "process 1 was given what it refuses: `a` = Faces", "it is nan at ({3}, 4)"),
        ("fixed, a contradiction on one", "`fixed` must be the same", "`fixed` must be the same"),
        ("boundary, NaN", "`boundary` must be finite", "`boundary` must be finite"),
        ("other batches", "`f` must have batch axes", "`f` must have batch axes"),
        ("fixed nowhere", "`fixed` must hold somewhere", "`fixed` must hold somewhere"),
        ("fixed everywhere", "`fixed` must leave some unknown", "`fixed` must leave some unknown"),
        ("fixed of another shape", "process 1 was given what it refuses", "`fixed` must be this process's block"),
        ("fixed, NaN on one", "`fixed` must be the same", "`fixed` must be the same"),
        ("faces of another shape", "`a` = Faces on axis 0 must be this", "`a` = Faces on axis 0 must be this"),
        ("faces that differ", "`a` = Faces must be the same on both", "`a` = Faces must be the same on both"),
        ("data without a mask", "`mask_boundary` gives data on the cut", "`mask_boundary` gives data on the cut"),
        ("other values", "`fixed` gives values, but", "`fixed` gives values, but"),
        ("no tensor", "`a` must be positive definite", "`a` must be positive definite"),
        ("order 4", "knows order 2 alone", "knows order 2 alone"),
        ("f on a GPU", "exchanges nothing between GPUs. Begin with", "exchanges nothing between GPUs. Begin with"),
        ("f on a GPU, varying", "exchanges nothing between GPUs", "exchanges nothing between GPUs"),
        ("f elsewhere", "it is on meta: pass f.cpu()", "it is on meta: pass f.cpu()"),
        ("f elsewhere, varying", "it is on meta: pass f.cpu()", "it is on meta: pass f.cpu()"),
        ("like elsewhere", "it is on meta: pass like.cpu()", "it is on meta: pass like.cpu()"),
        ("a elsewhere", "it is on meta: pass a.cpu()", "it is on meta: pass a.cpu()"),
        ("no mean on parts", "on each part that nothing holds", "on each part that nothing holds"),
        ("a of another shape", "process 1 was given what it refuses", "`a` must be this process's block"),
        ("a negative", "`a` must be positive", "`a` must be positive"),
        ("a of another kind", "`a` must be the same on every process", "`a` must be the same on every process"),
        ("one cycle", "`cycle` runs on one process", "`cycle` runs on one process"),
        ("red-black", '"red-black" needs constant coefficients', '"red-black" needs constant coefficients'),
        ("an odd period", '"red-black" needs an even number', '"red-black" needs an even number'),
        ("another grid", "of the problem's grid", "of the problem's grid"),
        ("shape on one", "process 1 was given what it refuses", "must be this process's block"),
        ("guess on one", "process 1 was given what it refuses", "`guess` must be this process's block"),
        ("tol", "`tol` must be the same on every process", "`tol` must be the same on every process"),
        ("NaN on one", "process 1 was given what it refuses: `f` must be finite", "ValueError: `f` must be finite"),
        ("NaN on one, varying", "process 1 was given what it refuses: `f` must", "it has 1 NaN, first at ({3}, 4)"),
        ("guess, NaN on one, numbers", "process 1 was given what it refuses: `guess`", "first at ({3}, 4)"),
        ("guess of no kind", "process 1 was given what it refuses: `guess`", "TypeError: `guess` must be"),
        ("a guess of a batch", "`guess` must have the solution's shape", "`guess` must have the solution's shape"),
        ("a masked array", "process 1 was given what it refuses: `a`", "TypeError: `a` must be a plain array"),
        ("tol of no kind on one", "process 1 was given what it refuses: `tol`", "`tol` must be a number"),
        ("guess, NaN on one", "process 1 was given what it refuses: `guess`", "ValueError: `guess` must be finite"),
        ("mean", "must have mean zero", "must have mean zero"),
        ("sizes", "`sizes` must be", "`sizes` must be"),
        ("blocks", "`blocks` must be 2 positive numbers", "`blocks` must be 2 positive numbers"),
        ("thin blocks", "takes 750 processes along its first axis", "takes 750 processes along its first axis"),
        ("faces that differ on blocks", "must be the same on both blocks", "must be the same on both blocks"),
        ("too many", "has blocks for 1 processes at most", "has blocks for 1 processes at most"),
        ("a word", "TypeError: `partition` must be", "TypeError: `partition` must be"),
        ("not converged", "NotConverged", "NotConverged"),
        ("not converged, a derivative", "NotConverged", "NotConverged"),
        ("not converged, a derivative's, a(x)", "NotConverged", "NotConverged"),
    ],
)
def test_every_process_hears_of_a_fault(name: str, first: str, second: str, folder: Path) -> None:
    begin = 120 // int(folder.name.split()[1])  # the second process's first plane
    for rank, words in enumerate((first, second)):
        words = re.sub(r"\{(\d+)\}", lambda plane: str(begin + int(plane[1])), words)
        said = dict(line.split("|", 1) for line in np.load(folder / f"faults{rank}.npz")["said"])
        assert words in said[name]


GROUPS = {
    "cpu:gloo,cuda:nccl": {"cpu", "cuda"}, "cuda:nccl": {"cuda"}, "cpu:gloo,cuda:gloo": {"cpu"}, "xpu:xccl": set()
}  # fmt: skip


@pytest.mark.parametrize("backends", GROUPS)
def test_what_a_group_exchanges(backends: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "get_backend_config", lambda group: backends)
    assert kinds(None) == GROUPS[backends]


def test_without_a_group() -> None:
    with pytest.raises(RuntimeError, match="init_process_group"):
        Partition(Grid((8, 8)))


def test_a_group_of_gpus_alone(tmp_path: Path) -> None:
    dist.init_process_group("cuda:gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"has cuda:gloo alone. Pass group=torch.distributed.new_group"):
            Partition(Grid((8, 8)))
        Partition(Grid((8, 8)), group=dist.new_group(backend="gloo"))
    finally:
        dist.destroy_process_group()


def test_alone() -> None:
    f = np.random.default_rng(0).normal(size=(200, 150))
    with alone():
        partition = Partition(Grid(f.shape))
        np.testing.assert_array_equal(solve(f, partition=partition).u, solve(f).u)
        np.testing.assert_array_equal(partition.gather(partition.scatter(f)), f)
        with pytest.raises(ValueError, match="must be a whole array"):
            partition.scatter(f[1:])
        for a in (None, 1 + np.abs(f)):  # a full pass ends at the discretisation error, whatever it begins with
            passes = [solve(f, a=a, partition=partition, tol=None, guess=guess).u for guess in (None, 1e3 * f)]
            np.testing.assert_allclose(*passes, rtol=0, atol=1e-12)
        solver = Solver(Poisson(partition.grid), partition=partition)
        np.testing.assert_allclose(solver.update(a=2.0).solve(f).u, solve(f, a=2.0).u, rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="`mask_boundary` gives data on the cut of a `mask`, but there is none"):
            solver.solve(f, mask_boundary=1.0)
        with pytest.raises(ValueError, match="`fixed` gives values, but the problem has no fixed unknowns"):
            solver.solve(f, fixed=1.0)


def test_windows_cut_tables() -> None:
    """A product with a window's table is the window of the product, where it needs no more than the window has."""
    rng = np.random.default_rng(0)
    for periodic in (False, True):
        start = np.arange(20) // 2 - 1
        start = start if periodic else np.clip(start, 0, 7)
        table = Table(start, rng.normal(size=(20, 3)), 10)
        v = rng.normal(size=10)
        whole = (table.weights * v[table.index]).sum(1)
        rows, columns = Window(20, periodic, 8, 12, 2), Window(10, periodic, 3, 7, 2)
        part = cut(table, rows, columns)
        np.testing.assert_allclose((part.weights * v[columns.planes][part.index]).sum(1), whole[rows.planes])
