"""Coefficients in compiled passes: conductances of arrays, what decides how they are solved, and stencils made of them.

Claims: k is to the last bit what torch makes of the same array, for all ends, centrings and dtypes, and where an array
is to be refused there is none; a survey tells what the functions in torch tell; a hierarchy made of conductances has
the finest grid of one made of the finished stencil; the size of a residual that rounding leaves is that of torch, for
any batch, and so is A u; arrays of other shapes are refused.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin
from mgnet.pde.blackbox import from_diffusion, survey
from mgnet.pde.blackbox.stencil import excess
from mgnet.pde.blackbox.traits import dominance
from mgnet.pde.native import kernels, machine, machines
from mgnet.pde.native.blackbox import surveyed
from mgnet.pde.native.conductances import magnitudes
from mgnet.pde.problem.coefficients import Kind, on_faces, plain_conductance
from mgnet.pde.problem.conductances import conductance

SHAPES = [(9,), (1,), (7, 10), (1, 5), (16, 33), (3, 4, 5), (6, 1, 9)]
ENDS = ["dirichlet", "neumann", "periodic", Robin(0.7), "mixed"]
MIXED = [("dirichlet", "neumann"), (Robin(2.0), "dirichlet"), "periodic"]


def grid_of(shape, bc, centering="cell"):
    return Grid(shape, bc=MIXED[: len(shape)] if bc == "mixed" else bc, centering=centering, upper=1.3)


def rough(shape, seed=0, size=1.0):
    return np.exp(size * np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("bc", ENDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_conductances_are_those_of_torch(shape, bc, centering, dtype):
    if centering == "node" and min(shape) < 2:
        pytest.skip("a node-centred axis may need two points")
    grid, kind = grid_of(shape, bc, centering), Kind(dtype=dtype)
    for batch in ((), (3,)):
        a = rough((*batch, *shape)).astype(str(dtype).removeprefix("torch."))
        for d, axis in enumerate(grid.axes):
            k = plain_conductance(a, grid, d, kind)
            if axis.periodic and axis.n == 1:
                assert k is None
                continue
            assert torch.equal(k, conductance(grid.axes, on_faces("a", a, grid, d, kind), d)[0])


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf, 1e-300])
def test_arrays_to_be_refused_have_none(wrong):
    grid = Grid((20, 30))
    for at in ((0, 0), (7, 11), (19, 29)):
        a = np.ones(grid.shape)
        a[at] = wrong
        assert plain_conductance(a, grid, 0, Kind()) is None
    a[...] = 1e300
    assert plain_conductance(a, grid, 0, Kind()) is None
    assert plain_conductance(np.ones((30, 20)), grid, 0, Kind()) is None
    assert plain_conductance(np.ones(grid.shape, np.float32), grid, 0, Kind()) is None
    assert plain_conductance(torch.ones(grid.shape, dtype=torch.float64, requires_grad=True), grid, 0, Kind()) is None


@pytest.mark.parametrize("bc", ENDS, ids=str)
@pytest.mark.parametrize("centering", ["node", "cell"])
def test_boundary_data_weigh_the_same(bc, centering):
    grid = grid_of((7, 9), bc, centering)
    a = rough(grid.shape)
    graph = torch.from_numpy(a.copy()).requires_grad_()  # which takes the readable way
    one, other = Poisson(grid, a, like=graph), Poisson(grid, graph)
    zero = torch.zeros(grid.shape, dtype=torch.float64)
    assert torch.allclose(one.rhs(zero, boundary=1.5), other.rhs(zero, boundary=1.5), rtol=1e-15, atol=0)


def operators():
    yield "jumps", Poisson(Grid((12, 17)), rough((12, 17), size=4.0)).A
    yield "smooth", Poisson(Grid((12, 17)), 1 + np.linspace(0, 1, 12)[:, None] * np.ones(17), c=2.0).A
    yield "shares", Poisson(Grid((9, 8), bc=[("neumann", "dirichlet"), Robin(3.0)]), rough((9, 8)), rough((9, 8), 1)).A
    yield "singular", Poisson(Grid((9, 8), bc="neumann", centering="cell"), rough((9, 8))).A
    yield "periodic", Poisson(Grid((8, 5, 6), bc=["periodic", "neumann", "periodic"]), rough((8, 5, 6))).A
    yield "one axis", Poisson(Grid((31,)), rough((31,))).A
    yield "numbers", Poisson(Grid((5, 6)), (2.0, torch.tensor(3.0, dtype=torch.float64))).A
    mask = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, n) for n in (15, 16)], indexing="ij")) < 0.8
    yield "mask", Poisson(Grid((15, 16)), rough((15, 16)), mask=mask).A
    yield "batch", Poisson(Grid((10, 7)), rough((3, 10, 7)), c=rough((3, 1, 1)) * np.ones((10, 7))).A
    yield "float32", Poisson(Grid((10, 7)), rough((10, 7)), like=np.zeros(1, np.float32)).A
    yield "threads", Poisson(Grid((200, 230), bc=[("neumann",) * 2, ("periodic",) * 2]), rough((200, 230))).A


OPERATORS = dict(operators())


@pytest.mark.parametrize("name", OPERATORS)
def test_a_survey_tells_what_torch_tells(name):
    A = OPERATORS[name]
    seen, twin = surveyed(A.faces), survey(A)
    near = 1e-5 if A.k[0].dtype == torch.float32 else 1e-11
    assert seen.contrast == pytest.approx(twin.contrast, rel=near)
    assert seen.variation == pytest.approx(twin.variation, rel=near)
    assert seen.constant == pytest.approx(np.broadcast_to(twin.constant, seen.constant.shape), rel=near, abs=1e-300)
    assert seen.wave == pytest.approx(np.broadcast_to(twin.wave, seen.wave.shape), rel=near)
    assert seen.lone == (not from_diffusion(A).coupled.all())


def regions():
    """Whether an axis dominates there by about 1000."""
    yield "noise", False, OPERATORS["threads"]
    strip = np.ones((70, 40))
    strip[:3] = 1000.0
    yield "strip", True, Poisson(Grid(strip.shape), (strip, np.ones_like(strip))).A
    yield "too thin a strip", False, Poisson(Grid(strip.shape), (strip * (np.arange(70) != 1)[:, None] + 1, 1.0)).A
    yield "across the ends", True, Poisson(Grid(strip.shape, bc="periodic"), (1.0, np.roll(strip, -2, 0)), 1.0).A
    block = np.ones((2, 9, 10, 12))
    block[1, 2:5, 4:8, 5:9] = 1000.0
    yield "in space, of one member", True, Poisson(Grid(block.shape[1:], bc="neumann"), (1.0, block, 1.0)).A
    yield "plane", True, Poisson(Grid((1, 30, 30)), (1.0, 1000.0 * np.ones((1, 30, 30)), 1.0)).A
    yield "walls", True, Poisson(Grid((9, 8), bc="neumann"), Faces(np.zeros((10, 8)), np.ones((9, 9))), 1.0).A
    nodes = [np.linspace(0, 1, 12) ** 3, np.linspace(0, 1, 10)]
    yield "stretched", True, Poisson(Grid.from_nodes(nodes, bc="neumann"), rough((12, 10))).A


REGIONS = {name: rest for name, *rest in regions()}


@pytest.mark.parametrize("name", REGIONS)
def test_where_an_axis_dominates(name):
    dominates, A = REGIONS[name]
    found = dominance(A)
    assert surveyed(A.faces, varies=0.0).dominance == pytest.approx(found, rel=1e-6)
    assert (found > 100) == dominates


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("on", machines())
def test_the_finest_grid_is_that_of_the_finished_stencil(name, on):
    A = OPERATORS[name]
    stencil, faces = from_diffusion(A), A.faces
    axes, masked = A.axes, surveyed(faces).lone
    first, rest = [0] * A.ndim, ([1.0], [1.0], [], 2)
    made = kernels.StencilHierarchy(on, False, faces, first, masked, False, *rest)
    given = kernels.StencilHierarchy(
        on, False, stencil.shape, [axis.periodic for axis in axes], first, stencil.diagonal.contiguous().numpy(),
        [(o, s.contiguous().numpy()) for o, s in stencil.couplings.items()], excess(A).contiguous().numpy(), masked,
        False, *rest,
    )  # fmt: skip
    assert made.sizes() == given.sizes()
    one, other = made.finest(), given.finest()
    for part in ("scale", "couplings", "excess", "S", "s"):
        np.testing.assert_allclose(one[part], other[part], rtol=1e-13, err_msg=part)


def test_other_shapes_are_refused():
    def made(k, c=None, sizes=(4, 5)):
        return kernels.Conductances([4, 5], [False, False], [np.ones(n) for n in sizes], k, c)

    good = [np.ones((5, 5)), np.ones((4, 6))]
    assert made(good, np.ones(())).survey(1.0, 1)[0] == 1
    assert made([np.ones((5, 1)), np.ones((1, 6))], np.ones((2, 1, 1))).survey(1.0, 1)[4].shape == (2,)
    wrong = [[np.ones((4, 5)), good[1]], [good[0], np.ones((4, 5))], [good[0]], [good[0], np.ones((3, 4, 1))],
             [np.ones((2, 5, 5)), np.ones((3, 4, 6))], [good[0].astype(int), good[1]]]  # fmt: skip
    for k in wrong:
        with pytest.raises(ValueError, match="`k`"):
            made(k)
    with pytest.raises(ValueError, match="`c`"):
        made(good, np.ones(4))
    with pytest.raises(ValueError, match="`shares`"):
        made(good, sizes=(4, 4))
    assert machine() in machines()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("members", [(1, 1), (1, 3), (3, 3)], ids=str)  # of the operator, of the data
@pytest.mark.parametrize("bc", ENDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_rounding_leaves_is_that_of_torch(shape, bc, members, dtype):
    grid = grid_of(shape, bc, "cell")
    a, c = (rough((members[0], *shape), seed) for seed in (0, 1))
    u, b = (torch.from_numpy(rough((members[1], *shape), seed) - 1.5).to(dtype) for seed in (2, 3))
    for problem in (Poisson(grid, a=a, c=c), Poisson(grid, a=2.0)):
        A = problem.A.like(u)
        found, dims = magnitudes(A.faces, u, b), tuple(range(-len(shape), 0))
        expected = torch.linalg.vector_norm(A.magnitude(u) + b.abs(), dim=dims)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("bc", ENDS, ids=str)
def test_magnitudes_are_those_of_the_matrix(bc):
    shape = (6, 5)
    problem = Poisson(grid_of(shape, bc), a=rough(shape), c=rough(shape, 1))
    u = rough(shape, 2) - 1.5
    expected = abs(problem.to_scipy()) @ abs(u).ravel()
    np.testing.assert_allclose(problem.A.magnitude(torch.from_numpy(u)).numpy().ravel(), expected, rtol=1e-12)


def test_magnitudes_refuse_other_shapes():
    A = Poisson(Grid((9, 8)), a=rough((2, 9, 8))).A
    for u, b in ((np.ones((2, 9, 7)), np.ones((2, 9, 7))), (np.ones((3, 9, 8)), np.ones((3, 9, 8)))):
        with pytest.raises(ValueError, match="`u` must"):
            A.faces.magnitudes(u, b, 1)
    for b in (np.ones((2, 9, 8), np.float32), np.ones((2, 8, 9)), np.ones((2, 9, 16))[..., ::2]):
        with pytest.raises(ValueError, match="`b` must"):
            A.faces.magnitudes(np.ones((2, 9, 8)), b, 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize("bc", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(7, 10), (16, 33), (3, 4, 5), (12, 9, 13)], ids=str)
def test_products_are_those_of_torch(shape, bc, members, dtype):
    """Whatever the batch of coefficients, the precision and the number of threads."""
    A = Poisson(grid_of(shape, bc), rough((*members, *shape)), rough(shape, 1)).A
    u = torch.from_numpy(np.random.default_rng(2).standard_normal((3, *shape))).to(dtype)
    expected = A(u.double())
    for threads in (1, 3):
        found = np.full(u.shape, np.nan)
        A.faces.apply(u.numpy(), found, threads)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * float(expected.abs().max()))


def test_products_refuse_other_arrays():
    A, u = Poisson(grid_of((9, 8), "dirichlet"), rough((9, 8))).A, np.ones((1, 9, 8))
    for wrong, out in ((np.ones((1, 8, 9)), u.copy()), (u, np.ones((2, 9, 8))), (u, u), (u, u.astype(np.float32))):
        with pytest.raises(ValueError, match=r"`u` must|`out` must"):
            A.faces.apply(wrong, out, 1)
