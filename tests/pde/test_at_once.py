"""Small problems take a few calls: plain coefficients are assembled in compiled passes, and all unknowns eliminated.

1  What the passes assemble is what torch does, whatever the coefficients, ends and centring; so are the data's weights.
2  A small grid is eliminated, and says so: arrays, tensors, batches, masks, singular problems, either precision; the
   solution is that of scipy's spsolve. Who asks for a cycle, a smoother or sweeps gets levels.
3  Guesses, callbacks, copies, updates and errors are as elsewhere.
"""

import pickle

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import spsolve

from mgnet.pde import Grid, Poisson, Solver, solve
from mgnet.pde.problem import diffusivity
from mgnet.pde.problem.tensor import FullTensor
from mgnet.pde.problem.velocity import Velocity
from tests.pde.grids_and_data import CENTERINGS, random

ENDS = ["dirichlet", "neumann", "periodic", ("neumann", "dirichlet")]
N = 15
A = np.exp(random((N, N)))
TENSOR = ((1 + A, 0.3 * A), (0.3 * A, 0.1 + A))
KINDS = {
    "array": {"a": A},
    "callable": {"a": lambda x, y: 1 + x * y},
    "velocity": {"a": 0.01, "velocity": (0.9, lambda x, y: x - y)},
    "central": {"a": 0.1, "velocity": (0.9, lambda x, y: y), "scheme": "central"},
    "tensor": {"a": TENSOR},
    "stretched": {"grid": Grid.from_faces([np.linspace(0, 1, N + 1) ** 2] * 2)},
    "mask": {"a": A, "mask": np.hypot(*np.indices((N, N)) - 7) < 6},
    "tensor in a mask": {"a": TENSOR, "mask": np.hypot(*np.indices((N, N)) - 7) < 6},
}


def posed(kind, like=None):
    given = dict(KINDS[kind])
    return Poisson(given.pop("grid", Grid((N, N))), given.pop("a", None), like=like, **given)


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(7, 9), (6, 5, 8), (11,)], ids=str)
def test_passes_assemble_what_torch_does(shape, bc, centering, monkeypatch):
    grid, n = Grid(shape, bc=[bc] * len(shape), centering=centering), len(shape)
    a = [2.0, np.exp(random(shape)), lambda *x: 1.2 + np.sin(sum(x))]
    v = [3.0, 9 * random(shape, 1), lambda *x: 5 * np.cos(3 * x[-1])]
    cases = [{"a": a_d} for a_d in a]
    cases += [
        {"a": a_d, "velocity": (v_d,) * n, "scheme": s}
        for a_d, v_d in zip(a, v, strict=True)
        for s in ("upwind", "central")
    ]
    if n > 1:
        off = [
            [1.5 + 0.2 * random(shape, d) if d == e else 0.05 * random(shape, 9) for e in range(n)] for d in range(n)
        ]
        for d in range(n):
            for e in range(d):
                off[d][e] = off[e][d]
        whole = ((1.0, 0.4, 0.2), (0.4, 2.0, -0.3), (0.2, -0.3, 3.0))
        cases += [{"a": tuple(row[:n] for row in whole[:n])}, {"a": tuple(map(tuple, off))}]
    f = random(shape, 3)
    for case in cases:
        ours = Poisson(grid, **case)
        with monkeypatch.context() as patch:
            patch.setattr(diffusivity, "plain_conductance", lambda *_: None)
            patch.setattr(Velocity, "_plain_arrays", lambda _: None)
            patch.setattr(FullTensor, "_of_plain", lambda _: None)
            theirs = Poisson(grid, **case)
            b = theirs.rhs(f, boundary=lambda *x: 1 + x[0])
        difference = ours.to_scipy() - theirs.to_scipy()
        assert abs(difference).max() <= 1e-14 * abs(theirs.to_scipy()).max()
        np.testing.assert_allclose(ours.rhs(f, boundary=lambda *x: 1 + x[0]), b, rtol=0, atol=1e-14 * abs(b).max())


@pytest.mark.parametrize("scheme", ["upwind", "central"])
def test_velocities_of_a_batch_are_assembled_as_those_of_its_members(scheme):
    grid, a = Grid((7, 9), bc=[("neumann", "dirichlet"), "periodic"]), np.exp(random((7, 9)))
    v, w = 9 * random((2, 3, 7, 9), 1), 9 * random((3, 7, 9), 2)
    A = Poisson(grid, a, velocity=(v, w), scheme=scheme).A
    for m, k in np.ndindex(2, 3):
        one = Poisson(grid, a, velocity=(v[m, k], w[k]), scheme=scheme).A
        for of, theirs in ((A.back, one.back), (A.forth, one.forth)):
            assert torch.equal(of[0][m, k], theirs[0])
            assert torch.equal(of[1][k], theirs[1])


@pytest.mark.parametrize("kind", KINDS)
def test_small_grids_are_eliminated(kind):
    problem, f = posed(kind), random((N, N))
    b = problem.rhs(f)
    exact = spsolve(problem.to_scipy().tocsc(), b.ravel()).reshape(N, N)
    solver = Solver(problem)
    for u in (solver.solve(f), solver.solve(torch.as_tensor(f)), solver.solve(np.stack([f, 2 * f]))):
        assert u.method == "elimination"
        assert u.cycles == u.work == 1
        assert u.status == "tolerance"
        v = u.u[0] if u.u.ndim == 3 else u.u
        np.testing.assert_allclose(np.asarray(v), exact, rtol=0, atol=1e-11 * abs(exact).max())
    assert solver.solve(f, tol=None).status == "full multigrid"
    single = Solver(posed(kind, np.zeros(1, np.float32))).solve(f.astype(np.float32), tol=1e-5)
    assert single.u.dtype == np.float32
    np.testing.assert_allclose(single.u, exact, rtol=0, atol=1e-3 * abs(exact).max())


def test_singular_and_batched():
    for velocity in (None, (3.0, -2.0)):
        problem = Poisson(Grid((N, N), bc="neumann"), A, velocity=velocity)
        s = Solver(problem).solve(random((N, N)), project=True)
        assert s.method == "elimination"
        assert s.residuals[-1] < 1e-12
    members = Solver(Poisson(Grid((N, N)), np.stack([A, 1 / A])))
    f = random((2, N, N))
    each = [solve(f[k], a=a).u for k, a in enumerate((A, 1 / A))]
    np.testing.assert_allclose(members.solve(f).u, each, rtol=1e-9)


def test_who_asks_for_levels_gets_them():
    f = random((N, N))
    for more in ({"smoother": "jacobi"}, {"nu": (1, 1)}, {"cycle": "W"}):
        s = Solver(posed("array"), **more).solve(f)
        assert "cycles" in s.method
        assert s.cycles > 1
    assert "cycles" in solve(random((40, 40)), a=np.exp(random((40, 40)))).method
    assert solve(np.ones((3, 3))).method == "fast diagonalisation"


def test_as_elsewhere():
    problem, f, told = posed("array"), random((N, N)), []
    solver = Solver(problem)
    u = solver.solve(f).u
    assert solver.solve(f, callback=lambda k, r: told.append((k, r))).cycles == 1
    assert told[0][0] == 1
    assert told[0][1] < 1e-12
    assert solver.solve(f, guess=u).cycles == 0
    assert solver.solve(np.zeros((N, N))).u.any() == np.False_
    assert np.array_equal(pickle.loads(pickle.dumps(solver)).solve(f).u, u)
    np.testing.assert_allclose(solver.update(a=2 * A).solve(f).u, u / 2, rtol=1e-12)
    f[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"`f` must be finite; it has 1 NaN, first at \(3, 4\)"):
        solver.solve(f)
    with pytest.raises(ValueError, match="must have the grid's shape"):
        solver.solve(np.ones((N, N + 1)))
