"""The compiled kernels: on every instruction set what the readable levels are, and no array that they cannot take.

- every verb with Robin ends, colours with cells, on every instruction set (other ends: ``test_twins``);
- planes of a datum that lie apart;
- whole cycles and full passes, as single calls: V, W, F, batches, threads, measured and lengthened, with known parts;
- residuals of what is almost constant keep a small c and a weak end, also in float32;
- wrong arrays, tables and numbers are refused; several callers and forked children get their answers;
- the extension was built from the sources that lie beside it.
"""

import hashlib
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import mgnet.pde.native
from mgnet.pde import Grid, Robin
from mgnet.pde.levels.constant import lowest, operator, readable_levels
from mgnet.pde.levels.grids import grids
from mgnet.pde.levels.smoothers import steps
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.native import kernels, machine, machines
from mgnet.pde.native.hierarchy import NativeHierarchy, constant_hierarchy
from tests.pde.grids_and_data import CENTERINGS, SMOOTHERS, random
from tests.pde.native_levels import DOWN, NONE, UP, Interpolant, NativeLevel
from tests.pde.test_twins import nested_iteration, relative

ROBIN = [(Robin(3.0), "dirichlet"), ("neumann", Robin(0.7)), (Robin(2.0), Robin(1e3))]
SHAPES = [(61,), (22, 35), (35, 22), (12, 9, 14)]


def pair(shape, bc, centering, smoother, on, dtype=torch.float64, nu=(2, 2), c=0.3, threads=1):
    """(readable level, compiled level, transfer) of a grid."""
    axes = Grid(shape, bc=bc, centering=centering).axes
    a = (1.0, 0.7, 1.3)[: len(shape)]
    chain = (axes, tuple(axis.coarsen() for axis in axes))
    levels, (transfer,) = readable_levels(chain, a, c, torch.zeros((), dtype=dtype), smoother, nu)
    both = steps(smoother, nu, len(shape), False, lowest(axes, a, c))
    return levels[0], NativeLevel(transfer, a, c, both, str(dtype).removeprefix("torch."), 2, on, threads), transfer


def assert_verbs(plain, native, transfer, tolerance=1e-12, dtype=torch.float64):
    u, f, e = (
        torch.as_tensor(random(shape, k)).to(dtype)
        for k, shape in enumerate([native.shape, native.shape, native.coarse_shape])
    )
    fine, coarse = ([2, *(axis.n for axis in axes)] for axes in (transfer.fine, transfer.coarse))
    U, F, E = u.reshape(fine), f.reshape(fine), e.reshape(coarse)
    for v, V in ((None, None), (u.numpy(), U)):
        ours, _, f_c = native.down(v, f.numpy(), None)
        theirs, _, F_c = plain.down(V, F, None)
        assert relative(np.zeros(native.shape) if ours is None else ours, theirs) < tolerance
        assert relative(f_c, F_c) < tolerance
        assert relative(native.up(v, f.numpy(), None, e.numpy()), plain.up(V, F, None, E)) < tolerance
    guess = Interpolant(e.numpy(), transfer.R(F).numpy().reshape(native.coarse_shape))
    r = F - plain.A(transfer.Q(E))
    assert relative(native.down(guess, f.numpy(), None)[2], transfer.R(r)) < tolerance
    assert relative(native.up(guess, f.numpy(), None, e.numpy()), plain.up(transfer.Q(E), F, None, E)) < tolerance
    squares = ((F - plain.A(U)) ** 2).flatten(1).sum(1)
    assert relative(native.residuals(u.numpy(), f.numpy()), squares) < tolerance


@pytest.mark.parametrize("smoother", ["chebyshev", "red-black"])
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", [*ROBIN, ("dirichlet", "neumann"), "periodic"], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_verbs(shape, ends, centering, smoother):
    for bc in ([ends, "neumann", "dirichlet"], [*["dirichlet", "neumann"][: len(shape) - 1], ends]):
        assert_verbs(*pair(shape, bc[: len(shape)], centering, smoother, machine()))


@pytest.mark.parametrize("nu", [(1, 1), (0, 2), (3, 1), (2, 3), (4, 5)], ids=str)
@pytest.mark.parametrize("on", machines())
@pytest.mark.parametrize("shape", [(40,), (17, 33), (9, 8, 31)], ids=str)
def test_every_instruction_set(shape, on, nu):
    bc = [("neumann", Robin(1.0)), "periodic", ("dirichlet", "neumann")][: len(shape)]
    assert_verbs(*pair(shape, bc, "node", "chebyshev", on, nu=nu))
    assert_verbs(*pair(shape, bc, "cell", "jacobi", on, torch.float32, nu), 1e-4, torch.float32)


@pytest.mark.parametrize("n", range(4, 40))
def test_short_rows(n):
    """Every place that the end of a row can have in a vector."""
    for on in machines():
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
            assert_verbs(
                *pair((7, n), [("neumann", "dirichlet")] * 2, "node", "chebyshev", on, dtype), tolerance, dtype
            )


@pytest.mark.parametrize("ends", ["periodic", ("neumann", "dirichlet")], ids=str)
@pytest.mark.parametrize("shape", [(33, 17), (34, 12), (19, 8, 12)], ids=str)
def test_data_may_lie_apart(shape, ends):
    """Planes before and after those of f change no digit; impossible ones are refused."""
    level = pair(shape, [ends] * len(shape), "cell", "chebyshev", machine())[1]
    u, f, e = (random(s, k) for k, s in enumerate([level.shape, level.shape, level.coarse_shape]))
    for begin, end in ((5, shape[0] - 6), (0, shape[0] - 1)):
        before, after = (with_room(v) for v in (f[:, :begin], f[:, end:]))
        block = np.ascontiguousarray(f[:, begin:])  # with planes behind those that are read
        for v, way, norm in ((None, NONE, True), (None, DOWN, False), (u, DOWN, False), (u, UP, False)):
            made = []
            for of_f, apart in ((f, (None, None)), (block, (before, after))):
                out, f_c = np.zeros(level.shape), np.zeros(level.coarse_shape)
                correction, to = (e if way == UP else None), (out if way else None)
                squares = level.kernels.pass_(0, v, None, correction, of_f, to, f_c, way, norm, False, 1.0, *apart)
                made.append((out, f_c, squares))
            np.testing.assert_equal(made[0], made[1])
        for wrong in (block[:, 6:], block[..., :-1], block[:1]):
            with pytest.raises((ValueError, TypeError)):
                level.kernels.pass_(0, None, None, None, block, None, f_c, NONE, False, False, 1.0, before, wrong)
        few = np.ascontiguousarray(block[:, : end - begin - 1])
        with pytest.raises(ValueError, match="too few planes"):
            level.kernels.pass_(0, None, None, None, few, None, f_c, NONE, False, False, 1.0, before, after)


def with_room(v):
    """A copy with numbers behind it that are none."""
    to = np.full(v.size + 64, np.nan)
    to[: v.size] = v.ravel()
    return to[: v.size].reshape(v.shape)


def test_threads_change_nothing():
    for shape in ((130, 97), (40, 31, 36)):
        for bc in ("neumann", "periodic"):
            alone, both = (pair(shape, [bc] * len(shape), "node", "chebyshev", machine(), threads=t)[1] for t in (1, 3))
            u, f, e = (random(s, k) for k, s in enumerate([alone.shape, alone.shape, alone.coarse_shape]))
            for v in (None, u):
                for ours, theirs in zip(both.down(v, f, None), alone.down(v, f, None), strict=True):
                    assert ours is theirs is None or relative(ours, torch.from_numpy(theirs)) < 1e-14
                assert relative(both.up(v, f, None, e), torch.from_numpy(alone.up(v, f, None, e))) < 1e-14


def hierarchy(
    shape,
    gamma=1,
    smoother="chebyshev",
    nu=(2, 1),
    bc=(("neumann", "dirichlet"), "neumann", "periodic"),
    batch=2,
    c=0.0,
):
    grid, a = Grid(shape, bc=list(bc)[: len(shape)]), (1.0,) * len(shape)
    chain = grids(grid.axes, a, 2000)
    levels, transfers = readable_levels(chain, a, c, torch.zeros((), dtype=torch.float64), smoother, nu)
    return levels, transfers, constant_hierarchy(chain, a, c, torch.float64, batch, smoother, nu, gamma, False)


def data_of(shape, batch=2):
    return [torch.as_tensor(random((batch, *shape), k)) for k in (1, 2)]


@pytest.mark.parametrize("smoother", SMOOTHERS)
@pytest.mark.parametrize("gamma", [1, 2, "F"])
@pytest.mark.parametrize("shape", [(300,), (130, 97), (26, 24, 40)], ids=str)
def test_cycles_and_full_passes(shape, gamma, smoother):
    from mgnet.core import cycle

    levels, transfers, native = hierarchy(shape, gamma, smoother)
    u, f = data_of(shape)
    b, fs = native.data(f), [f]
    for transfer in transfers:
        fs.append(transfer.R(fs[-1]))
    for begin in (None, u):
        ours = native.cycle(None if begin is None else native.data(begin), b, measure=False)
        assert relative(ours, cycle(levels, begin, f, gamma)) < 1e-11
    assert relative(native.full_multigrid(b, measure=False), nested_iteration(levels, transfers, fs, gamma)) < 1e-11
    known = [torch.as_tensor(random((2, *g.shape[1:]), k)) for k, g in enumerate(fs)]
    gs = [f]
    for l, transfer in enumerate(transfers):
        gs.append(transfer.R(gs[-1] - known[l]) + known[l + 1])
    ours = native.full_multigrid(b, measure=False, parts=known)
    assert relative(ours, nested_iteration(levels, transfers, gs, gamma)) < 1e-11


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", [(300,), (130, 97), (26, 24, 40)], ids=str)
def test_measured_cycles(shape, batch):
    """Up and down again in one pass: the norm is the iterate's, and the next cycle begins after its steps down."""
    levels, _, native = hierarchy(shape, nu=(2, 2), batch=batch, c=0.3)
    _, f = data_of(shape, batch)
    A, b = levels[0].A, native.data(f)
    native.richardson.rho = 0.2
    u = native.full_multigrid(b)
    for _ in range(4):
        v = native.tensor(u)
        np.testing.assert_allclose(native.measured(), (f - A(v)).flatten(1).norm(dim=1), rtol=1e-10)
        before, kept = v, v.clone()
        again = NativeHierarchy.cycle  # the same from a copy, whose residual the kernels do not have
        twin = hierarchy(shape, nu=(2, 2), batch=batch, c=0.3)[2]
        twin.richardson.rho, twin.richardson._taken = 0.2, native.richardson._taken
        u = native.cycle(u, b)
        assert relative(again(twin, kept.numpy().reshape(u.shape).copy(), b), native.tensor(u)) < 1e-12
        assert torch.equal(before, kept)  # what a cycle began with can still be read
    assert float((native.measured() / native.norms(None, b)).max()) < 1e-3


def test_a_full_pass_takes_raw_data():
    levels, _, native = hierarchy((130, 97), bc=("neumann", "neumann"), c=1.0)
    _, f = data_of((130, 97))
    weighed = levels[0].A.weigh(f)
    ours = native.full_multigrid(native.data(f), measure=False, unweighted=True)
    np.testing.assert_allclose(ours, native.full_multigrid(native.data(weighed), measure=False), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("ends", ["neumann", (Robin(1e-9), "neumann"), "periodic"], ids=str)
@pytest.mark.parametrize("centering", CENTERINGS)
def test_what_is_almost_constant_keeps_its_residual(centering, ends):
    """A 1 is c and what a weak end adds: 1e-9 of the diagonal, far below float32's round-off of it."""
    c, shape = 1e-3, (63, 64)
    axes = Grid(shape, bc=[ends, "neumann"], centering=centering).axes
    chain, a = (axes, tuple(axis.coarsen() for axis in axes)), (1.0, 1.0)
    transfer = Transfer(*chain)
    single = NativeLevel(
        transfer, a, c, steps("chebyshev", (2, 2), 2, False, lowest(transfer.fine, a, c)), "float32", 1
    )
    A, one = operator(axes, a, c, torch.zeros((), dtype=torch.float64)), torch.ones((1, *shape), dtype=torch.float64)
    zero, want = np.zeros(single.shape, np.float32), float((A(one) ** 2).sum())
    assert single.residuals(zero + 1, zero)[0] == pytest.approx(want, rel=1e-5)
    coarse = np.ones(single.coarse_shape, np.float32)
    _, _, f_c = single.down(Interpolant(coarse, 0 * coarse), zero, None)
    assert relative(f_c, -transfer.R(A(one))) < 1e-5


def _child(queue):
    _, _, native = hierarchy((130, 97))
    queue.put(native.full_multigrid(native.data(data_of((130, 97))[1]), measure=False).copy())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_callers_side_by_side_and_forked_children():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        f = data_of((130, 97))[1]
        many = [hierarchy((130, 97))[2] for _ in range(6)]
        expected = many[0].full_multigrid(many[0].data(f), measure=False).copy()
        with ThreadPoolExecutor(6) as pool:
            for u in pool.map(
                lambda h: [h.full_multigrid(h.data(f), measure=False).copy() for _ in range(20)][-1], many
            ):
                np.testing.assert_allclose(u, expected, rtol=0, atol=1e-13 * abs(expected).max())
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_child, args=(queue,))
        child.start()
        np.testing.assert_allclose(queue.get(timeout=60), expected, rtol=0, atol=1e-13 * abs(expected).max())
        child.join(10)
        assert child.exitcode == 0
    finally:
        torch.set_num_threads(threads)


def test_wrong_arrays_are_refused():
    level = pair((12, 9), ["dirichlet", "neumann"], "node", "chebyshev", machine())[1]
    fine, coarse = np.ones(level.shape), np.ones(level.coarse_shape)
    wrong = [
        fine.astype(np.float32), fine.astype(int), fine[:1], fine[..., ::2], fine[..., :-1], fine.reshape(-1), fine[0],
        fine.transpose(3, 1, 2, 0), np.empty((0, *fine.shape[1:])), np.empty(0), np.ones(1), np.float64(1), None, "f",
        np.frombuffer(b"\0" * (fine.nbytes + 1), np.uint8)[1:].view(np.float64).reshape(fine.shape),
        torch.ones(fine.shape, device="meta", dtype=torch.float64),
    ]  # fmt: skip
    for v in wrong:
        with pytest.raises((ValueError, TypeError)):
            level.kernels.pass_(0, None, None, None, v, fine.copy(), coarse.copy(), DOWN)
        with pytest.raises((ValueError, TypeError)):
            level.kernels.cycle(fine, v, fine.copy(), fine.copy(), False, False, 1.0)
        if v is not None:
            with pytest.raises((ValueError, TypeError)):
                level.kernels.pass_(0, v, None, None, fine, fine.copy(), coarse.copy(), UP)
            with pytest.raises((ValueError, TypeError)):
                level.kernels.interpolant(0, coarse, v, coarse.copy())
    read_only = fine.copy()
    read_only.flags.writeable = False
    with pytest.raises((ValueError, TypeError)):
        level.kernels.pass_(0, None, None, None, fine, read_only, coarse, DOWN)
    level.kernels.pass_(0, None, None, None, read_only, fine.copy(), coarse, DOWN)
    for l in (-1, 1, 5):
        with pytest.raises(ValueError, match="grid"):
            level.kernels.pass_(l, None, None, None, fine, fine.copy(), coarse, DOWN)
    with pytest.raises(ValueError, match="way"):
        level.kernels.pass_(0, None, None, None, fine, fine.copy(), coarse, 4)
    with pytest.raises(ValueError, match="scratch"):
        level.kernels.cycle(fine, fine, None, fine.copy(), False, False, 1.0)


def _table(rng, rows, columns, wrong):
    width = int(rng.integers(1, 4)) if wrong else 1
    start = rng.integers(-30, 30, rows) if wrong else np.minimum(np.arange(rows), columns - 1)
    return kernels.Table(
        start,
        rng.normal(size=(rows, width)),
        columns + int(wrong and rng.integers(-1, 2)),
    )


def test_wrong_problems_are_refused():
    """Tables at random: refused, or of a kind that the kernels can take."""
    rng, taken = np.random.default_rng(0), 0
    end = kernels.End(0.0, 0, 1.0, 0.0, 0.0)
    one, missing = (
        kernels.Table(np.zeros(1, np.int64), np.ones((1, 1)), 1, np.zeros(1)),
        kernels.Axis(1, False, 0.0, end, end),
    )
    direct = kernels.Direct([np.eye(5), np.eye(1), np.eye(4)], np.ones((5, 1, 4)))
    for trial in range(400):
        wrong = trial % 2 == 1
        try:
            axes = [
                kernels.Axis(9, bool(rng.integers(2)), 1.0, end, end),
                missing,
                kernels.Axis(8, bool(rng.integers(2)), 1.0, end, end),
            ]
            P, R, mass = ([_table(rng, *shape[0], wrong), one, _table(rng, *shape[1], wrong)]
                          for shape in (((9, 5), (8, 4)), ((5, 9), (4, 8)), ((5, 5), (4, 4))))  # fmt: skip
            stiffness = [kernels.Table(np.arange(n), np.ones((n, 1)), n, np.ones(n)) for n in (5, 1, 4)]
            grid = kernels.Grid(2, axes, [5, 1, 4], P, P, R, mass, stiffness, [(1.0, -1)] * 2, [(1.0, -1)])
        except ValueError:
            assert wrong
            continue
        made = kernels.Kernels(machine(), False, [grid], direct, 0.0, 1, 1, 2, False, None)
        f = np.ones((1, 9, 1, 8))
        made.cycle(f, f, f.copy(), f.copy(), False, False, 1.0)
        made.full_multigrid(f, f.copy(), True, False, False, [], [])
        taken += 1
    assert taken >= 200
    for batch, threads, gamma, on in (
        (0, 1, 1, machine()),
        (-1, 1, 1, machine()),
        (1, 0, 1, machine()),
        (1, 1, 99, machine()),
        (1, 1, 1, "x"),
    ):
        with pytest.raises((ValueError, TypeError)):
            kernels.Kernels(on, False, [grid], direct, 0.0, gamma, batch, threads, False, None)
    with pytest.raises(ValueError, match="grid"):
        kernels.Kernels(machine(), False, [], direct, 0.0, 1, 1, 1, False, None)


def test_the_environment_chooses_the_instruction_set(monkeypatch):
    for name in machines():
        monkeypatch.setenv("MGNET_MACHINE", name)
        assert machine() == name
    monkeypatch.setenv("MGNET_MACHINE", "abacus")
    with pytest.raises(ValueError, match="abacus"):
        machine()
    monkeypatch.delenv("MGNET_MACHINE")
    assert machine() == machines()[0]


def test_the_kernels_are_those_of_the_sources():
    folder = Path(mgnet.pde.native.__file__).parent
    sources = sorted([*folder.glob("*.cpp"), *folder.glob("*.h"), folder / "CMakeLists.txt"])
    hashes = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in sources)
    assert kernels.built_from == hashlib.sha256(hashes.encode()).hexdigest(), "build them again: python hatch_build.py"
