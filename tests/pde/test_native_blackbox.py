"""Claims: each verb, cycle, full multigrid pass and step of conjugate gradients in C++ equals plain torch's, on any
grid and of any precision; threads change no bit; wrong arrays are refused."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.blackbox import ReadableBlackBox
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.outer.krylov import ConjugateGradients
from tests.pde.blackbox_levels import field, plain
from tests.pde.test_clusters import two_materials

SHAPES = [
    ((400,), "dirichlet", "node"),
    ((333,), "periodic", "node"),
    ((37, 52), "dirichlet", "node"),
    ((36, 53), "neumann", "cell"),
    ((37, 53), "periodic", "node"),
    ((52, 36), ["neumann", "periodic"], "node"),
    ((120, 1), "dirichlet", "node"),
    ((130, 2), ["dirichlet", "periodic"], "cell"),
    ((3, 130), ["periodic", "neumann"], "node"),
    ((17, 14, 15), "dirichlet", "node"),
    ((9, 16, 13), ["periodic", "neumann", "periodic"], "node"),
    ((8, 9, 10), "periodic", "cell"),
    ((12, 3, 13), ["neumann", "periodic", "dirichlet"], "cell"),
    ((11, 12, 1), "dirichlet", "node"),
    ((13, 1, 15), "dirichlet", "node"),
    ((14, 2, 13), ["neumann", "periodic", "dirichlet"], "cell"),
    ((12, 11, 2), ["dirichlet", "neumann", "periodic"], "cell"),
    ((30, 55, 4), "neumann", "cell"),  # several blocks of rows
]
F64, F32 = torch.float64, torch.float32
CLOSE = {F64: 1e-12, F32: 3e-5}


def native(A, like, nu=(2, 2), gamma=1, precision=F64, batch=1, jumps=False, threads=1):
    """On a number of threads, whatever torch has now."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return NativeBlackBox(A, like, nu, gamma, "chebyshev", precision, batch, jumps=jumps)
    finally:
        torch.set_num_threads(before)


def problem(shape, bc, centering, own=()):
    rng = np.random.default_rng(0)
    return Poisson(
        Grid(shape, bc=bc, centering=centering), np.exp(rng.standard_normal((*own, *shape))), rng.random(shape)
    )


def randn(*shape, dtype=F64, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def check(ours, theirs, close):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=close * float(theirs.abs().max() + 1), check_dtype=False)


def check_verbs(readable, cycles, shapes, wraps, batch, dtype, close):
    """Every verb of every level; readable : ConvLevels, the last one the coarsest."""
    kind = np.float32 if dtype == F32 else np.float64

    def to(v):
        return field(v, wraps, kind)

    for l, level in enumerate(readable[:-1]):
        u, f, e = (randn(batch, *shapes[l + k], dtype=dtype, seed=s) for k, s in ((0, 1), (0, 2), (1, 3)))
        out, f_c = to(0 * u), to(0 * e)
        for start in (None, u):
            given = None if start is None else to(start)
            cycles.smooth(l, given, to(f), out)
            check(plain(out, shapes[l]), level.smooth(start, f), close)
            cycles.down(l, given, to(f), out, f_c)
            v, _, g = level.down(start, f, None)
            check(plain(out, shapes[l]), v, close)
            check(plain(f_c, shapes[l + 1]), g, close)
        cycles.up(l, to(u), to(f), to(e), out)
        check(plain(out, shapes[l]), level.up(u, f, None, e), close)
        cycles.interpolate(l, to(e), out)
        check(plain(out, shapes[l]), level.P(e), close)
        cycles.restrict(l, to(f), f_c)
        check(plain(f_c, shapes[l + 1]), level.R(f), close)
    f = randn(batch, *shapes[-1], dtype=dtype, seed=4)
    u = to(0 * f)
    cycles.solve(to(f), u)
    check(plain(u, shapes[-1]), readable[-1].smooth(None, f), 10 * close)


def shapes_of(levels):
    """Of the grids of readable levels but the coarsest, and that one's."""
    inner = [level.A.shape for level in levels[:-1]]
    axes = levels[-2].P.__self__.axes
    return [*inner, tuple(axis.coarse for axis in axes)]


WAYS = [((2, 2), F64, (2,)), ((1, 3), F32, ()), ((0, 1), F64, ())]


@pytest.mark.parametrize(("nu", "dtype", "own"), WAYS, ids=str)
@pytest.mark.parametrize(("shape", "bc", "centering"), SHAPES, ids=str)
def test_every_verb(shape, bc, centering, nu, dtype, own):
    A, like = problem(shape, bc, centering, own).A.flattened(own), torch.zeros((), dtype=F64)
    readable = ReadableBlackBox(A, like, nu=nu, precision=dtype)
    ours = native(A, like, nu, precision=dtype, batch=2)
    check_verbs(readable.levels, ours._cycles, shapes_of(readable.levels), A.axes[-1].periodic, 2, dtype, CLOSE[dtype])


@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
@pytest.mark.parametrize("halved", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)], ids=str)
@pytest.mark.parametrize("shape", [(15, 22), (9, 12, 11)], ids=str)
def test_any_axes_may_be_halved(shape, halved, bc):
    """Strong couplings choose them; the second grid has 3^d points."""
    a = tuple(1e4 if d in halved else 1.0 for d in range(len(shape)))
    A, like = Poisson(Grid(shape, bc=bc), a, 3e5).A, torch.zeros((), dtype=F64)
    readable, ours = ReadableBlackBox(A, like, precision=F64), native(A, like)
    first = readable.levels[0].P.__self__.axes
    assert [d for d, axis in enumerate(first) if axis.halved] == [d for d in halved if d < len(shape)] or len(
        shape
    ) == 2
    check_verbs(readable.levels, ours._cycles, shapes_of(readable.levels), bc == "periodic", 1, F64, 1e-12)


@pytest.mark.parametrize(("gamma", "own"), [(1, (2,)), (2, ()), ("F", ())], ids=str)
@pytest.mark.parametrize(("shape", "bc", "centering"), SHAPES[::2] + SHAPES[9:11], ids=str)
def test_cycles_and_full_multigrid(shape, bc, centering, own, gamma):
    A, b = problem(shape, bc, centering, own).A.flattened(own), randn(2, *shape)
    readable = ReadableBlackBox(A, b, gamma=gamma, precision=F64)
    ours = native(A, b, gamma=gamma, batch=2)
    f = ours.data(b)
    check(ours.norms(None, f), readable.norms(None, b), 1e-13)
    for u, v in ((ours.full_multigrid(f), readable.full_multigrid(b)), (ours.cycle(None, f), readable.cycle(None, b))):
        check(ours.tensor(u), v, 1e-11)
        check(ours.norms(u, f), readable.norms(v, b), 1e-10)
    check(ours.tensor(ours.cycle(u, f)), readable.cycle(v, b), 1e-11)
    check(ours.measured(), readable.measured(), 1e-11)


@pytest.mark.parametrize("data", [F32, F64])
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("own", [(), (2,)], ids=["shared", "own"])
@pytest.mark.parametrize(("shape", "bc", "centering"), [SHAPES[k] for k in (4, 3, 10, 7, 14)], ids=str)
def test_steps_of_conjugate_gradients(shape, bc, centering, own, dtype, data):
    """From the same iterate; and as the outer loop takes them."""
    A, b = problem(shape, bc, centering, own).A.flattened(own), randn(2, *shape, dtype=data)
    readable, ours = ReadableBlackBox(A, b, precision=dtype), native(A, b, precision=dtype, batch=2)
    close = 1e-10 if dtype == data == F64 else 2e-4
    x = readable.full_multigrid(b)
    for system in (readable, ours):
        system.begin(system.data(x.clone()), system.data(b))
    ours.advance(), readable.advance()
    for v, w in zip(ours.state[:2], readable.state[:2], strict=True):  # what is left of (r, p) is rounding
        torch.testing.assert_close(torch.as_tensor(v), w, rtol=100 * close, atol=0, check_dtype=False)
    check(ours.tensor(ours.x), readable.x, close)
    whole, parts = ConjugateGradients(ours, 1e-3), ConjugateGradients(readable, 1e-3)
    u, v = whole.further(None, ours.data(b), 1), parts.further(None, b, 1)
    for _ in range(3):
        before, kept = whole.tensor(u), whole.tensor(u).clone()
        u, v = whole.further(u, ours.data(b), 1), parts.further(v, b, 1)
        assert whole.tensor(u).dtype == data
        assert torch.equal(before, kept)  # it holds until the next one
        check(whole.tensor(u), v, 10 * close)


def measured(cg):
    """(batch,) ||b - A x||, as the last step left it."""
    return torch.as_tensor(cg.system.state.norms)


def test_the_residual_is_that_of_the_rounded_iterate():
    A, b = problem((40, 41), "neumann", "cell").A, randn(1, 40, 41, dtype=F32)
    ours = native(A, b)
    cg, f = ConjugateGradients(ours, None), ours.data(b)
    u = cg.further(None, f, 7)
    exact = torch.linalg.vector_norm(b.double() - A.like(b.double())(ours.tensor(u).double()))
    torch.testing.assert_close(measured(cg), exact[None], rtol=1e-6, atol=0)


def test_members_at_the_floor_are_left_alone():
    A, b = problem((30, 31), "dirichlet", "node").A, randn(2, 30, 31)
    b[1] = 0
    ours = native(A, b, batch=2)
    cg = ConjugateGradients(ours, 1e-3)
    u = cg.further(None, ours.data(b), 1)
    for _ in range(8):
        last, u = ours.tensor(u).clone(), cg.further(u, ours.data(b), 1)
    assert torch.equal(ours.tensor(u), last)
    assert not last[1].any()
    assert 0 < measured(cg)[0] <= 1e-3 * b[0].norm()


CLUSTERED = [
    ((20, 30), "dirichlet", "node", ()),
    ((21, 24), ["periodic", "neumann"], "cell", ()),
    ((18, 23), ["dirichlet", "periodic"], "node", (2,)),
    ((9, 10, 12), ["neumann", "periodic", "dirichlet"], "node", ()),
    ((7, 9, 8), "periodic", "cell", (2,)),
]


@pytest.mark.parametrize("nu", [(2, 2), (0, 2), (3, 0)])
@pytest.mark.parametrize(("shape", "bc", "centering", "own"), CLUSTERED, ids=str)
def test_clusters_are_corrected(shape, bc, centering, own, nu):
    a = two_materials((*own, *shape), 1e4, share=0.6)
    A, b = Poisson(Grid(shape, bc=bc, centering=centering), a, 1.0).A.flattened(own), randn(2, *shape)
    readable = ReadableBlackBox(A, b, nu=nu, gamma=2, precision=F64, jumps=True)
    ours = native(A, b, nu, 2, batch=2, jumps=True)
    check_verbs(readable.levels, ours._cycles, shapes_of(readable.levels), A.axes[-1].periodic, 2, F64, 1e-9)
    check(ours.tensor(ours.full_multigrid(ours.data(b))), readable.full_multigrid(b), 1e-8)
    for system in (ours, readable):
        system.begin(None, system.data(b))
        system.advance()
    torch.testing.assert_close(torch.from_numpy(ours.state.rz), readable.state.rz, rtol=1e-8, atol=0)


THREADED = [
    ((300, 270), "neumann", 1),
    ((25, 29, 24), "periodic", 1),
    ((25, 29, 24), "dirichlet", 3),
    ((40, 37), "periodic", 4),
]


@pytest.mark.parametrize(("shape", "bc", "batch"), THREADED, ids=str)
def test_threads_change_no_bit(shape, bc, batch):
    A, b = problem(shape, bc, "node").A, randn(batch, *shape)
    found = []
    for threads in (1, 2, 3):
        cg = ConjugateGradients(native(A, b, batch=batch, threads=threads), None)
        f = cg.data(b)
        u = cg.further(None, f, 3)
        found.append((cg.tensor(u), measured(cg)))
    for u, norms in found[1:]:
        assert torch.equal(u, found[0][0])
        assert torch.equal(norms, found[0][1])


def test_masked_grids():
    rng = np.random.default_rng(1)
    mask = rng.random((37, 45)) > 0.05
    A = Poisson(Grid((37, 45), bc=["neumann", "periodic"]), np.exp(rng.standard_normal((37, 45))), 0.1, mask=mask).A
    b = randn(1, 37, 45)
    ours, readable = native(A, b), ReadableBlackBox(A, b, precision=F64)
    check(ours.tensor(ours.cycle(None, ours.data(b))), readable.cycle(None, b), 1e-10)


def test_wrong_arrays_are_refused():
    A, b = problem((37, 52), "dirichlet", "node").A, randn(1, 37, 52)
    ours = native(A, b)
    f, cycles = ours.data(b), ours._cycles
    out = np.empty_like(f)
    for wrong, words in ((f[:, :-1], "shape"), (f.astype(np.float32), "float64"), (np.asfortranarray(f), "contiguous")):
        with pytest.raises(ValueError, match=words):
            cycles.norms(None, wrong)
        with pytest.raises(ValueError, match=words):
            cycles.cycle(None, out, wrong)
    with pytest.raises(ValueError, match="other memory"):
        cycles.cycle(f, f, f)
    with pytest.raises(ValueError, match="one number a member"):
        cycles.advance(f.copy(), out, True, f, *[np.zeros(2)] * 5, 1e-3, 0.5, 1)
    with pytest.raises(ValueError, match="no such level"):
        cycles.smooth(9, None, f, out)
    frozen = f.copy()
    frozen.flags.writeable = False
    with pytest.raises(TypeError):
        cycles.cycle(None, frozen, f)


@pytest.mark.parametrize("batch", [1, 3])
def test_several_steps_in_one_call_are_those_one_by_one(batch):
    """From zero and from an iterate; they end where all is done, where a residual is not halved, or at ``most``."""
    A = problem((37, 52), "dirichlet", "node").A
    b = randn(batch, 37, 52)
    ways = [ConjugateGradients(native(A, b, batch=batch), 1e-8) for _ in range(2)]
    size = ways[0].norms(None, ways[0].data(b)).numpy()
    many, single = ways
    u, v, data = None, None, [way.data(b) for way in ways]
    for most in (1, 2, 50):
        before, u, norms = many.several(u, data[0], size, size, 1e-8, most)
        assert 1 <= len(norms) <= most
        for each in norms:
            old = None if v is None else single.tensor(v).clone()
            v = single.further(v, data[1], 1)
            assert np.array_equal(each, measured(single).numpy())
        assert torch.equal(many.tensor(u), single.tensor(v))
        assert (before is None) == (old is None)
        assert old is None or torch.equal(many.tensor(before), old)
    assert (norms[-1] <= 1e-8 * size).all()
    assert not (norms[-2] <= 1e-8 * size).all()
    assert len(many.several(u, data[0], size, size, 1e-30, 50)[2]) < 50  # round-off: no residual is halved any more


@pytest.mark.parametrize("shape", [(37, 52), (13, 16, 11)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_iterates_do_not_depend_on_whether_they_are_measured(shape, threads):
    """And no memory that is used again is another iterate's."""
    A, b = problem(shape, "periodic", "node").A, randn(2, *shape)
    ours = native(A, b, batch=2, threads=threads)
    f = ours.data(b)
    for begin in (None, ours.cycle(None, f)):
        one, two = (ours.cycle(begin, f, measure) for measure in (True, False))
        assert one is not two
        assert np.array_equal(one, two)
        assert not ours.measured().any()
    assert np.array_equal(ours.full_multigrid(f, True), ours.full_multigrid(f, False))
    zero = torch.zeros_like(b)
    for data in (b, zero):  # the residual of zero is the datum
        assert torch.equal(ours.begin(None, ours.data(data)), ours.norms(None, ours.data(data)))


def test_what_is_not_finite_shows_and_what_is_large_does_not():
    grid = Grid((40, 41))
    a = np.exp(np.random.default_rng(0).standard_normal(grid.shape))
    huge = np.full(grid.shape, 3e37, np.float32)
    u = Solver(Poisson(grid, a)).cycle(None, huge)
    assert np.isfinite(u).all()
    assert not np.isfinite(torch.from_numpy(u).sum())
    huge[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        Solver(Poisson(grid, a)).cycle(None, huge)
